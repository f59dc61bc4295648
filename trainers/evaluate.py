"""How good a bundle is: its samples against its photograph, in numbers.

python -m trainers.evaluate photo.ourgan photo.jpg                     -> a table, and photo-metrics.json
python -m trainers.evaluate photo.ourgan photo.jpg --sheet sheet.png   and a contact sheet

Samples are rendered by the runtime, as a user gets them. Each is as large as the structure was in training,
and 4 times as large per side after every pass: with a structure of 256 px that is 1K after one and 4K after
two. The photograph is reduced to the same size; where it is smaller, both are compared at the photograph's.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ourgan_sdk import OurganError, Synthesizer, __version__
from ourgan_sdk._atomic import atomic_file
from ourgan_sdk.bundle import Bundle, Manifest

from .assemble import as_function
from .fit import minutes, parse_seed, pick_device
from .metrics.diversity import diversity
from .metrics.layout import layout_drift
from .metrics.nearest_patches import NearestPatches
from .metrics.restoration import Upscale, bicubic, make_task, score
from .metrics.sliced_wasserstein import SlicedWasserstein
from .networks.rrdb import SCALE
from .photo import Photo, PhotoError, load_photo, reduce, to_float
from .run import grid

log = logging.getLogger("trainers")

SHEET_SAMPLES = 9
SHEET_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
OWN_SHARE = 1 / 12
"""Of the photograph's width: the part that upscalers are compared on where none was held out."""

LABELS = {
    "swd": ("sliced Wasserstein x 1000", 1, "lower"),
    "coherence": ("coherence, levels^2", 1, "lower"),
    "completeness": ("completeness, levels^2", 1, "lower"),
    "layout_drift": ("layout drift, levels", 2, "lower"),
}
"""How the table shows a metric: name, digits, which way is better."""

Numbers = dict[str, float]
Measure = Callable[[Tensor], Numbers]
"""Numbers about one picture (3, H, W), float32 in [0, 1]."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        report = evaluate(options)
    except (PhotoError, OurganError, ValueError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(table(report))
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.evaluate", description="Compare a bundle's samples with its photograph."
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "photo", type=Path, metavar="PHOTO", help="the photograph that the bundle has learned"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="the report (default: BUNDLE's name, -metrics.json)"
    )
    parser.add_argument("--sheet", type=Path, help="also a contact sheet: the photograph, then samples")
    parser.add_argument("--samples", type=parse_count, default=50, help="how many (default: 50)")
    parser.add_argument("--seed", type=parse_seed, default=0, help="of the first sample; the others follow")
    parser.add_argument(
        "--passes", type=int, choices=range(4), default=1, help="that samples are enlarged by (default: 1)"
    )
    parser.add_argument(
        "--device", default="auto", help="where metrics are computed: cpu, cuda, ... (default: cuda if any)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(arguments)


def parse_count(text: str) -> int:
    """A number of samples; raises argparse.ArgumentTypeError for fewer than two."""
    if not text.isascii() or not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected at least 2 samples, got {text!r}")
    return int(text)


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Renders and measures, writes the report, and returns it.

    Raises:
        PhotoError, OurganError: the photograph or the bundle cannot be read, or the report not be written.
        ValueError: an option is not usable.
    """
    started = time.monotonic()
    device = pick_device(options.device)
    output = options.output or Path(f"{options.bundle.stem}-metrics.json")
    check_outputs(output, options.sheet)
    photo = load_photo(options.photo)
    synthesizer = Synthesizer(options.bundle)
    manifest = synthesizer.bundle.manifest
    ours = photo.sha256 == manifest.photo.sha256
    if not ours:
        log.warning("%s is not the photograph that %s has learned", options.photo, options.bundle)
    comparisons = [Comparison(manifest, photo, passes, device) for passes in range(options.passes + 1)]
    upscalers, left_out = evaluate_upscalers(synthesizer.bundle, photo)
    seeds = range(options.seed, options.seed + options.samples)
    for seed in tqdm(seeds, "samples", unit="sample", dynamic_ncols=True, disable=options.quiet):
        for comparison in comparisons:
            comparison.add(synthesizer, seed)
    structure = comparisons[0]
    samples = torch.stack(structure.pictures)
    report = {
        "bundle": {
            "file": options.bundle.name,
            "sha256": synthesizer.bundle.sha256,
            "preset": manifest.training.preset,
        },
        "photo": {"file": options.photo.name, "sha256": photo.sha256, "of_this_bundle": ours},
        "samples": options.samples,
        "first_seed": options.seed,
        "versions": {"ourgan_sdk": __version__, "torch": torch.__version__},
        "device": str(device),
        "diversity": diversity(samples, structure.photo.cpu()),
        "sizes": [comparison.summary() for comparison in comparisons],
        "upscalers": upscalers,
        "left_out": left_out,
        "seconds": round(time.monotonic() - started, 1),
    }
    with atomic_file(output) as path:
        path.write_text(json.dumps(report, indent=2) + "\n")
    if options.sheet:
        sheet = grid(torch.stack([structure.photo.cpu(), *samples[:SHEET_SAMPLES]]), columns=5)
        with atomic_file(options.sheet) as path:
            sheet.save(path, SHEET_FORMATS[options.sheet.suffix.lower()])
    return report


def check_outputs(report: Path, sheet: Path | None) -> None:
    """Raises ValueError where a file cannot be written."""
    for path in (report, *([sheet] if sheet else [])):
        if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise ValueError(
                f"cannot write {path}: it is a folder, or {path.parent} is none that takes files"
            )
    if sheet and sheet.suffix.lower() not in SHEET_FORMATS:
        raise ValueError(f"cannot write {sheet}: a sheet's name ends in {', '.join(SHEET_FORMATS)}")


class Comparison:
    """Samples after a number of passes, and the photograph at the same size."""

    def __init__(self, manifest: Manifest, photo: Photo, passes: int, device: torch.device) -> None:
        """Prepares the measures.

        Raises:
            ValueError: pictures of this size are too small to be compared.
        """
        structure = manifest.structure.scales[-1]
        self.width, self.height = structure.width * 4**passes, structure.height * 4**passes
        ratio = min(1, photo.width / self.width, photo.height / self.height)
        size = max(1, round(self.height * ratio)), max(1, round(self.width * ratio))
        self.size, self.passes, self.device = size, passes, device
        self.photo = reduce(to_float(photo.pixels)[None], *size)[0].to(device)
        self.measures = [sliced_wasserstein(self.photo)]
        if passes == 0:
            self.measures += [nearest_patches(self.photo), layout(self.photo)]
        self.mirrored = self._measure(self.photo.flip(2))
        self.numbers: list[Numbers] = []
        self.pictures: list[Tensor] = []  # (3, H, W) float32 on the CPU; of the structure alone

    def add(self, synthesizer: Synthesizer, seed: int) -> None:
        """Renders and measures one sample."""
        pixels = torch.from_numpy(synthesizer.render(self.width, self.height, seed)).permute(2, 0, 1)
        picture = to_float(pixels.to(self.device))
        if picture.shape != self.photo.shape:
            picture = reduce(picture[None], *self.size)[0]
        self.numbers.append(self._measure(picture))
        if self.passes == 0:
            self.pictures.append(picture.cpu())

    def _measure(self, picture: Tensor) -> Numbers:
        return {name: value for measure in self.measures for name, value in measure(picture).items()}

    def summary(self) -> dict[str, Any]:
        """For the report: mean and deviation over samples, beside the photograph's own mirror image."""
        return {
            "passes": self.passes,
            "rendered": [self.width, self.height],
            "compared": [self.size[1], self.size[0]],
            "metrics": {
                name: {
                    "mean": fmean(numbers[name] for numbers in self.numbers),
                    "deviation": stdev(numbers[name] for numbers in self.numbers),
                    "mirrored_photo": reference,
                }
                for name, reference in self.mirrored.items()
            },
        }


def sliced_wasserstein(photo: Tensor) -> Measure:
    """Sliced Wasserstein distance: the mean of all levels, and each, finest first."""
    distance = SlicedWasserstein(photo)

    def measure(picture: Tensor) -> Numbers:
        levels = distance(picture)
        return {"swd": fmean(levels), **{f"swd_level_{i}": value for i, value in enumerate(levels)}}

    return measure


def nearest_patches(photo: Tensor) -> Measure:
    """Coherence and completeness."""
    compare = NearestPatches(photo)

    def measure(picture: Tensor) -> Numbers:
        coherence, completeness = compare(picture)
        return {"coherence": coherence, "completeness": completeness}

    return measure


def layout(photo: Tensor) -> Measure:
    """Layout drift."""
    return lambda picture: {"layout_drift": layout_drift(picture, photo)}


def evaluate_upscalers(bundle: Bundle, photo: Photo) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Scores of the upscalers of pass 1 and of the later ones beside bicubic; what was left out, and why."""
    manifest = bundle.manifest
    held_out = manifest.training.held_out
    native = max(photo.width, photo.height)
    structure = manifest.structure.scales[-1]
    rows: list[dict[str, Any]] = []
    left_out = {}
    for index, (name, long_side) in enumerate(
        (("pass 1", min(native, SCALE * max(structure.width, structure.height))), ("later passes", native))
    ):
        upscaler = manifest.upscaler(index)
        try:
            task = make_task(photo, held_out or OWN_SHARE, long_side, upscaler.noise_deviation)
        except ValueError as e:
            left_out[f"upscaler of {name}"] = str(e)
            continue
        rows.append(
            {
                "task": name,
                "file": upscaler.file,
                "held_out": held_out > 0,
                "share_of_width": held_out or OWN_SHARE,
                "photo_long_side": long_side,
                "noise_deviation": upscaler.noise_deviation,
                "upscaler": asdict(score(as_upscale(bundle.read(upscaler.file)), task)),
                "bicubic": asdict(score(bicubic, task)),
            }
        )
    return rows, left_out


def as_upscale(network: bytes) -> Upscale:
    """An ONNX upscaler as a function of tensors."""
    run = as_function(network)
    return lambda low: torch.from_numpy(run(low.cpu().numpy()))


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{report['bundle']['file']} against {report['photo']['file']}, {report['samples']} samples, "
        f"{minutes(report['seconds'])}",
        "",
        f"{'metric':<28}{'size':>12}{'mean':>10}{'+-':>9}{'mirrored photo':>16}",
    ]
    for size in report["sizes"]:
        shown = "{} x {}".format(*size["compared"])
        if size["passes"] == 0:
            lines.append(f"{'diversity':<28}{shown:>12}{report['diversity']:>10.3f}{'':>9}{0:>16.3f}  higher")
        for name, value in size["metrics"].items():
            label, digits, better = LABELS.get(name, (f"  {name.replace('_', ' ')}", 1, "lower"))
            lines.append(
                f"{label:<28}{shown:>12}{value['mean']:>10.{digits}f}{value['deviation']:>9.{digits}f}"
                f"{value['mirrored_photo']:>16.{digits}f}  {better}"
            )
    lines += ["", f"{'upscaler':<28}{'task':>14}{'PSNR, dB':>10}{'SSIM':>8}{'SWD':>8}"]
    for row in report["upscalers"]:
        for name, scores in ((row["file"], row["upscaler"]), ("bicubic", row["bicubic"])):
            lines.append(
                f"{name:<28}{row['task']:>14}{scores['psnr']:>10.2f}{scores['ssim']:>8.3f}{scores['swd']:>8.1f}"
            )
    if any(not row["held_out"] for row in report["upscalers"]):
        lines.append("The bundle held nothing out: its upscalers were TRAINED on the part compared here.")
    lines += [f"left out: {what}: {why}" for what, why in report["left_out"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
