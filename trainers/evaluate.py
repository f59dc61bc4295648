"""How good a bundle is: its samples against its photograph, in numbers.

python -m trainers.evaluate photo.ourgan photo.jpg                     -> a table, and photo-metrics.json
python -m trainers.evaluate photo.ourgan photo.jpg --sheet sheet.png   and a contact sheet
python -m trainers.evaluate photo.ourgan photo.jpg --full 8192x4320    and canvases at their own resolution

Samples are rendered by the runtime, and made by the networks. Each is as large as the structure was in
training, and 4 times as large per side after every pass: with a structure of 256 px that is 1K after one and
4K after two. The photograph is reduced to the same size; where it is smaller, both are compared at the
photograph's.

Beyond the photograph's resolution nobody can tell what is right. So a bundle is fitted to the photograph at
half its size, by whatever program halves it, and compared with the whole: ``--beyond`` adds what its upscaler
of later passes makes of the finest octave, which it has never seen, beside bicubic interpolation, and RealSR
where its package is installed (``metrics.beyond``).

    python -m trainers.fit half.png && python -m trainers.evaluate half.ourgan photo.jpg --beyond

Canvases (``--full``) are rendered as a user gets them, with detail from the photograph if the bundle holds
it, and compared at the scale that they are made at: ``metrics.canvases``.
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
from typing import Any, get_args

import torch
from torch import Tensor

from ourgan_sdk import Bundle, OurganError, Synthesizer, __version__
from ourgan_sdk.progress import progress_bar
from ourgan_sdk.sizes import parse_size
from ourgan_sdk.synthesizer import DetailMode
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import log_to_stderr, say, steady_streams, warn

from .command_line import limit_threads, parse_seed, pick_device
from .metrics import inception
from .metrics.beyond import PARTS, compare_beyond
from .metrics.canvases import CanvasComparison
from .metrics.comparison import (
    Comparison,
    as_upscale,
    evaluate_upscalers,
    measure_features,
    measure_patches,
    measure_structure,
    pairwise_lpips,
    spread,
)
from .metrics.diversity import diversity, own_deviation
from .metrics.inception import InceptionFeatures
from .metrics.restoration import Upscale
from .networks import lpips_jax
from .networks.lpips import LPIPS
from .photo import Photo, load_photo
from .report import SHEET_FORMATS, save_sheet, table
from .upscalers import realsr

log = logging.getLogger("trainers")

MOST_PASSES = 3
FEWEST_SAMPLES, MOST_SAMPLES = 4, 10_000
MOST_FULL_SEEDS = 100


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    log_to_stderr(logging.WARNING, "%(message)s")
    limit_threads()
    try:
        report = evaluate(options)
    except (OurganError, ValueError, OSError) as e:
        warn(f"error: {e}")
        return 1
    except (torch.OutOfMemoryError, MemoryError) as e:
        reason = str(e).partition("\n")[0]
        warn(f"error: out of memory ({reason}); fewer --passes, or --device cpu, need less")
        return 1
    except KeyboardInterrupt:
        return 130
    say(table(report))
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(
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
    add(
        "--full",
        type=parse_full_size,
        action="append",
        default=[],
        metavar="WIDTHxHEIGHT",
        help="also measure canvases of this size at their own resolution; may be given several times",
    )
    add(
        "--full-seeds",
        type=int,
        choices=range(1, MOST_FULL_SEEDS + 1),
        default=2,
        metavar="N",
        help="how many canvases of each size (default: 2); seeds as for samples",
    )
    add(
        "--detail",
        choices=get_args(DetailMode),
        default="auto",
        help="where canvases have their detail from (default: the photograph if the bundle holds it)",
    )
    add("--inception", type=Path, metavar="FILE", help=f"for SIFID: {inception.WEIGHTS}")
    add(
        *("--lpips",),
        type=Path,
        nargs=2,
        metavar=("ALEXNET", "LINEAR"),
        help="for LPIPS: torchvision's AlexNet weight file and LPIPS' linear weights (alex.pth); default: "
        "those of the package lpips-jax, where it is installed",
    )
    add(
        "--beyond",
        action="store_true",
        help="the bundle was fitted to this photograph at half its size: compare what its upscaler makes "
        "beyond that with what is there",
    )
    add(
        "--device", default="auto", help="that metrics are computed on: cpu, cuda, ... (default: cuda if any)"
    )
    add("--force", action="store_true", help="replace a report, of the default name, on another photograph")
    add("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(arguments)


def parse_count(text: str) -> int:
    """A number of samples; raises argparse.ArgumentTypeError for others."""
    if not text.isascii() or not text.isdigit() or not FEWEST_SAMPLES <= int(text) <= MOST_SAMPLES:
        raise argparse.ArgumentTypeError(
            f"expected from {FEWEST_SAMPLES} to {MOST_SAMPLES} samples, got {text!r}"
        )
    return int(text)


def parse_full_size(text: str) -> tuple[int, int]:
    """(width, height) of canvases; raises argparse.ArgumentTypeError for what is no size."""
    try:
        return parse_size(text)
    except OurganError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


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
    lpips = find_lpips(options.lpips, device)
    photo = load_photo(options.photo)
    if options.output is None and not options.force:
        check_report(output, photo)
    synthesizer = Synthesizer(options.bundle, detail="network")
    _ = synthesizer.bundle.photo  # of many pictures nothing here can be compared with one
    if options.beyond:
        check_half(synthesizer.bundle, photo)
    canvases = prepare_canvases(options, photo)
    passes = options.passes if options.passes is not None else (2 if features else 1)
    comparisons = [Comparison(synthesizer, photo, i, device) for i in range(passes + 1)]
    left_out = prepare(comparisons, features)
    if not options.beyond and not learned(synthesizer, photo):
        log.warning("%s is not the photograph that %s has learned", options.photo, options.bundle)
    if lpips is None:
        left_out["LPIPS"] = f"no weights ({lpips_jax.INSTALL}, or --lpips ALEXNET LINEAR)"
    upscalers, too_small = evaluate_upscalers(synthesizer.bundle, photo)
    samples = measure_samples(comparisons, range(options.seed, options.seed + options.samples), options.quiet)
    full = measure_canvases(canvases, options)
    for one in full:
        left_out |= left_out_of_canvases(one)
    report = {
        **describe(synthesizer, photo, options),
        "device": str(device),
        "sizes": [comparison.summary() for comparison in comparisons],
        "between_samples": {"diversity": diversity(samples, comparisons[0].photo.cpu())},
        "full_resolution": full,
        "upscalers": upscalers,
        "beyond": measure_beyond(synthesizer.bundle, photo, lpips, options.quiet) if options.beyond else None,
        "left_out": left_out | too_small,
    }
    if lpips is not None:
        distances = pairwise_lpips(lpips, samples)
        report["between_samples"]["lpips"] = {**spread(distances), "pairs": len(distances)}
    report["seconds"] = round(time.monotonic() - started, 1)
    with atomic_file(output) as path:
        path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    if options.sheet:
        save_sheet(options.sheet, comparisons[0].photo.cpu(), samples)
    return report


def find_lpips(files: Sequence[Path] | None, device: torch.device) -> LPIPS | None:
    """LPIPS on AlexNet, from the files given or from the installed package; None where there is neither.

    Raises:
        ValueError: the files are not what they should be.
    """
    if files:
        return LPIPS.load(*files).to(device)
    path = lpips_jax.find_weights("alexnet")
    return LPIPS.from_package(path, "alexnet").to(device) if path else None


def check_half(bundle: Bundle, photo: Photo) -> None:
    """Raises ValueError unless the bundle's photograph may be this one at half its size."""
    learned = bundle.photo
    if abs(2 * learned.width - photo.width) > 2 or abs(2 * learned.height - photo.height) > 2:
        raise ValueError(
            f"--beyond: expected a bundle fitted to the photograph at half its size, {photo.width // 2} x "
            f"{photo.height // 2}; {bundle.path} is fitted to {learned.width} x {learned.height}"
        )


def measure_beyond(bundle: Bundle, photo: Photo, lpips: LPIPS | None, quiet: bool) -> dict[str, Any]:
    """What upscalers make of the photograph's finest octave."""
    file = bundle.manifest.upscalers[-1].file
    upscalers = {file: as_upscale(bundle.network(file).data), **find_realsr_upscale()}
    with progress_bar(PARTS, "beyond", unit="part", silent=quiet) as bar:
        return compare_beyond(photo, upscalers, lpips, bar.update)


def find_realsr_upscale() -> dict[str, Upscale]:
    """RealSR's upscaler by its name, where its package is installed."""
    path = realsr.find_realsr()
    return {realsr.NAME: realsr.read_realsr(path)} if path else {}


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


def check_report(path: Path, photo: Photo) -> None:
    """Raises ValueError where ``path`` is a report on another photograph: bundles may share a name."""
    try:
        is_another = json.loads(path.read_text())["photo"]["sha256"] != photo.sha256
    except (OSError, ValueError, LookupError, TypeError):  # there is none, or it is no report
        is_another = False
    if is_another:
        raise ValueError(
            f"cannot write {path}: it is the report on another photograph; give another name with --output, "
            "or replace it with --force"
        )


def learned(synthesizer: Synthesizer, photo: Photo) -> bool:
    """Whether the bundle has learned this file."""
    return synthesizer.bundle.manifest.learned == photo.sha256


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


def prepare_canvases(options: argparse.Namespace, photo: Photo) -> list[CanvasComparison]:
    """Those of every size asked for; none of them rendered yet.

    Raises:
        BundleError: the bundle cannot be read, or does not hold the photograph that detail is asked from.
        ValueError: canvases of a size cannot be measured against this photograph.
    """
    if not options.full:
        return []
    synthesizer = Synthesizer(options.bundle, detail=options.detail)
    return [CanvasComparison(synthesizer, photo, *size) for size in dict.fromkeys(options.full)]


def measure_canvases(canvases: list[CanvasComparison], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Renders and measures them, a size after the other; what each has in memory goes before the next."""
    seeds = range(options.seed, options.seed + options.full_seeds)
    result = []
    while canvases:
        one = canvases.pop(0)
        measured = {}
        name = f"{one.width} x {one.height}"
        with progress_bar(len(seeds), name, unit="canvas", silent=options.quiet) as bar:
            for seed in seeds:
                measured[seed] = one.measure(seed)
                bar.update()
        result.append(one.summary(measured))
    return result


def left_out_of_canvases(summary: dict[str, Any]) -> dict[str, str]:
    """What could not be measured of canvases of one size, and why."""
    rendered, compared = ("{} x {}".format(*summary[name]) for name in ("rendered", "compared"))
    result = {}
    if summary["passes_left_out"]:
        result[f"full resolution of {rendered}"] = (
            f"the photograph has no pixels for what passes add at last; compared at {compared}"
        )
    if summary["detail"] == "network":
        result[f"sources and borders of {rendered}"] = "a network's pixels have no place in the photograph"
    return result


def measure_samples(comparisons: list[Comparison], seeds: Sequence[int], quiet: bool) -> Tensor:
    """Renders and measures all samples; returns the structures, (N, 3, H, W) in [0, 1] on the CPU."""
    structures = []
    with progress_bar(len(seeds), "samples", unit="sample", silent=quiet) as bar:
        for seed in seeds:
            for comparison in comparisons:
                picture = comparison.sample(seed)
                comparison.add(picture)
                if comparison.passes == 0:
                    structures.append(picture.cpu())
            bar.update()
    return torch.stack(structures)


def describe(synthesizer: Synthesizer, photo: Photo, options: argparse.Namespace) -> dict[str, Any]:
    """What was compared, by what."""
    bundle = synthesizer.bundle
    training = bundle.manifest.training
    return {
        "bundle": {
            "file": options.bundle.name,
            "sha256": bundle.sha256,
            "training": training.model_dump() if training else None,
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


if __name__ == "__main__":
    sys.exit(main())
