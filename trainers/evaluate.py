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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ourgan_sdk import OurganError, Synthesizer, __version__
from ourgan_sdk._atomic import atomic_file

from .command_line import minutes, parse_seed, pick_device
from .metrics import inception
from .metrics.comparison import (
    Comparison,
    evaluate_upscalers,
    measure_features,
    measure_patches,
    measure_structure,
    pairwise_lpips,
    spread,
)
from .metrics.diversity import diversity, own_deviation
from .metrics.inception import InceptionFeatures
from .metrics.lpips import LPIPS
from .photo import Photo, load_photo
from .runs.run import grid

log = logging.getLogger("trainers")

SHEET_SAMPLES = 9
SHEET_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
MOST_PASSES = 3
FEWEST_SAMPLES, MOST_SAMPLES = 4, 10_000

LABELS = {
    "swd": ("sliced Wasserstein, x 1000", 1),
    "coherence": ("coherence, levels^2", 1),
    "completeness": ("completeness, levels^2", 1),
    "layout_drift": ("layout drift, levels", 2),
    "sifid_5": ("SIFID, 5th layer", 3),
    "sifid_13": ("SIFID, 13th layer", 3),
}
"""How the table shows a metric: its name, and how many digits."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        report = evaluate(options)
    except (OurganError, ValueError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except (torch.OutOfMemoryError, MemoryError) as e:
        reason = str(e).partition("\n")[0]
        print(f"error: out of memory ({reason}); fewer --passes, or --device cpu, need less", file=sys.stderr)
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
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE")
    add("photo", type=Path, metavar="PHOTO", help="the photograph that the bundle has learned")
    add("-o", "--output", type=Path, help="the report (default: BUNDLE's name with -metrics.json, here)")
    add("--sheet", type=Path, help="also a contact sheet: the photograph, then the first samples")
    add("--samples", type=parse_count, default=50, help="how many (default: 50)")
    add("--seed", type=parse_seed, default=0, help="of the first sample (default: 0); the others follow")
    add(
        *("--passes", "-p"),
        type=int,
        choices=range(MOST_PASSES + 1),
        help="that samples are enlarged by; metrics are taken after each (default: 1; 2 with --inception)",
    )
    add("--inception", type=Path, metavar="FILE", help=f"for SIFID: {inception.WEIGHTS}")
    add(
        *("--lpips",),
        type=Path,
        nargs=2,
        metavar=("ALEXNET", "LINEAR"),
        help="for LPIPS: torchvision's AlexNet weight file and LPIPS' linear weights (alex.pth)",
    )
    add(
        "--device", default="auto", help="that metrics are computed on: cpu, cuda, ... (default: cuda if any)"
    )
    add("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(arguments)


def parse_count(text: str) -> int:
    """A number of samples; raises argparse.ArgumentTypeError for others."""
    if not text.isascii() or not text.isdigit() or not FEWEST_SAMPLES <= int(text) <= MOST_SAMPLES:
        raise argparse.ArgumentTypeError(
            f"expected from {FEWEST_SAMPLES} to {MOST_SAMPLES} samples, got {text!r}"
        )
    return int(text)


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Renders and measures, writes the report, and returns it.

    Raises:
        OurganError: the photograph or the bundle cannot be read, or the report not be written.
        ValueError: an option is not usable.
    """
    started = time.monotonic()
    output = options.output or Path(f"{options.bundle.stem}-metrics.json")
    check_outputs([options.bundle, options.photo], output, options.sheet)
    device = pick_device(options.device)
    features = InceptionFeatures.load(options.inception).to(device) if options.inception else None
    lpips = LPIPS.load(*options.lpips).to(device) if options.lpips else None
    photo = load_photo(options.photo)
    synthesizer = Synthesizer(options.bundle)
    passes = options.passes if options.passes is not None else (2 if features else 1)
    comparisons = [Comparison(synthesizer, photo, i, device) for i in range(passes + 1)]
    left_out = prepare(comparisons, features)
    if not learned(synthesizer, photo):
        log.warning("%s is not the photograph that %s has learned", options.photo, options.bundle)
    if lpips is None:
        left_out["LPIPS"] = "no weights (--lpips ALEXNET LINEAR)"
    upscalers, too_small = evaluate_upscalers(synthesizer.bundle, photo)
    samples = measure_samples(comparisons, range(options.seed, options.seed + options.samples), options.quiet)
    report = {
        **describe(synthesizer, photo, options),
        "device": str(device),
        "sizes": [comparison.summary() for comparison in comparisons],
        "between_samples": {"diversity": diversity(samples, comparisons[0].photo.cpu())},
        "upscalers": upscalers,
        "left_out": left_out | too_small,
    }
    if lpips is not None:
        distances = pairwise_lpips(lpips, samples, device)
        report["between_samples"]["lpips"] = {**spread(distances), "pairs": len(distances)}
    report["seconds"] = round(time.monotonic() - started, 1)
    with atomic_file(output) as path:
        path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    if options.sheet:
        save_sheet(options.sheet, comparisons[0].photo.cpu(), samples)
    return report


def check_outputs(inputs: Sequence[Path], report: Path, sheet: Path | None) -> None:
    """Raises ValueError where a file cannot be written, or would replace an input or the other file."""
    taken = [path.resolve() for path in inputs]
    for path in (report, *([sheet] if sheet else [])):
        if path.resolve() in taken:
            raise ValueError(f"cannot write {path}: that is the bundle, the photograph or the other output")
        taken.append(path.resolve())
        if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise ValueError(
                f"cannot write {path}: it is a folder, or {path.parent} is none that takes files"
            )
    if sheet and sheet.suffix.lower() not in SHEET_FORMATS:
        raise ValueError(f"cannot write {sheet}: a sheet's name ends in {', '.join(SHEET_FORMATS)}")


def learned(synthesizer: Synthesizer, photo: Photo) -> bool:
    """Whether the bundle has learned this file."""
    return synthesizer.bundle.manifest.photo.sha256 == photo.sha256


def prepare(comparisons: list[Comparison], features: InceptionFeatures | None) -> dict[str, str]:
    """Gives every size its measures; returns what had to be left out, and why.

    Raises:
        ValueError: the photograph is too small, or of one colour.
    """
    left_out = {} if features else {"SIFID": "no weights (--inception FILE)"}
    for comparison in comparisons:
        photo = comparison.photo
        comparison.measures.append(measure_patches(photo))
        if comparison.passes == 0:
            comparison.measures.append(measure_structure(photo))
        elif features and min(comparison.size) < inception.SMALLEST_SIDE:
            left_out[f"SIFID after pass {comparison.passes}"] = (
                f"pictures of {comparison.size[1]} x {comparison.size[0]} are too small for Inception"
            )
        elif features:
            comparison.measures.append(measure_features(features, photo))
    own_deviation(comparisons[0].photo)  # which diversity will need at the end
    return left_out


def measure_samples(comparisons: list[Comparison], seeds: Sequence[int], quiet: bool) -> Tensor:
    """Renders and measures all samples; returns the structures, (N, 3, H, W) in [0, 1] on the CPU."""
    structures = []
    for seed in tqdm(seeds, "samples", unit="sample", dynamic_ncols=True, disable=quiet):
        for comparison in comparisons:
            picture = comparison.sample(seed)
            comparison.add(picture)
            if comparison.passes == 0:
                structures.append(picture.cpu())
    return torch.stack(structures)


def describe(synthesizer: Synthesizer, photo: Photo, options: argparse.Namespace) -> dict[str, Any]:
    """What was compared, by what."""
    bundle = synthesizer.bundle
    return {
        "bundle": {
            "file": options.bundle.name,
            "sha256": bundle.sha256,
            "training": bundle.manifest.training.model_dump(),
        },
        "photo": {
            "file": options.photo.name,
            "sha256": photo.sha256,
            "width": photo.width,
            "height": photo.height,
            "learned_by_the_bundle": learned(synthesizer, photo),
        },
        "seeds": [options.seed, options.seed + options.samples - 1],
        "samples": options.samples,
        "versions": {"ourgan_sdk": __version__, "torch": torch.__version__},
    }


def save_sheet(path: Path, photo: Tensor, samples: Tensor) -> None:
    """A contact sheet: the photograph, then the first samples."""
    sheet = grid(torch.stack([photo, *samples[:SHEET_SAMPLES]]), columns=5)
    with atomic_file(path) as temporary:
        sheet.save(temporary, SHEET_FORMATS[path.suffix.lower()], quality=90)


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{report['bundle']['file']} against {report['photo']['file']}: {report['samples']} samples, "
        f"{minutes(report['seconds'])}",
        "",
        f"{'metric (lower is better)':<28}{'size':>12}{'mean':>10}{'+-':>9}{'mirrored photo':>16}",
    ]
    for size in report["sizes"]:
        shown = "{} x {}".format(*size["compared"])
        for name, value in size["metrics"].items():
            label, digits = LABELS.get(name, (f"  level {name.removeprefix('swd_level_')}", 1))
            lines.append(
                f"{label:<28}{shown:>12}{value['mean']:>10.{digits}f}{value['deviation']:>9.{digits}f}"
                f"{value['mirrored_photo']:>16.{digits}f}"
            )
    between = report["between_samples"]
    lines += ["", "between samples (higher: more varied)", f"{'diversity':<40}{between['diversity']:>10.3f}"]
    if "lpips" in between:
        lpips = between["lpips"]
        lines.append(f"{'LPIPS, 256 px':<40}{lpips['mean']:>10.3f}{lpips['deviation']:>9.3f}")
    lines += ["", *upscaler_lines(report["upscalers"])]
    return "\n".join(lines + [f"left out: {what}: {why}" for what, why in report["left_out"].items()])


def upscaler_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The part of the table about upscalers."""
    if not rows:
        return []
    share = rows[0]["share_of_width"]
    if rows[0]["held_out"]:
        where = f"right {share:.1%} of the photograph, held out of their training"
    else:
        where = f"right {share:.1%} of the photograph, which they were TRAINED ON: no part was held out"
    lines = [f"upscalers on the {where}", f"{'':<40}{'PSNR, dB':>10}{'SSIM':>9}{'SWD':>16}"]
    for row in rows:
        for name in ("upscaler", "bicubic"):
            label, scores = f"{row['task']}: {row['file'] if name == 'upscaler' else name}", row[name]
            lines.append(f"{label:<40}{scores['psnr']:>10.2f}{scores['ssim']:>9.4f}{scores['swd']:>16.1f}")
    return [*lines, ""]


if __name__ == "__main__":
    sys.exit(main())
