"""What detail from the photograph takes: time and memory, beside what networks take for the same picture.

python -m bench.detail [BUNDLE]                8192 x 4320 to PNG, the field, gathering, regions, the levels
python -m bench.detail [BUNDLE] --no-network   without networks, which take most of the time
python -m bench.detail [BUNDLE] --gigapixel    also 46336 x 23168 at the same scale into a pyramidal BigTIFF:
                                               minutes, and a few gigabytes of disk

Whole pictures are rendered in turns, each in a process of its own; their time is that of the call, with all
that it opens. Memory is what a process has at most, and in brackets what that is beyond the process before
the render. All else is measured in one process. Medians of `--runs`.
"""

import argparse
import functools
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.processes import measure, report
from ourgan_sdk import Box, Canvas, RenderStats, Synthesizer
from ourgan_sdk._core import PhotographLevels
from ourgan_sdk.detail import plan_detail
from ourgan_sdk.detail.photograph import make_levels
from ourgan_sdk.photograph import decode_photograph
from ourgan_sdk.sizes import parse_size
from ourgan_sdk.synthesizer import DetailMode

SIZE = "8192x4320"
GIGAPIXEL = "46336x23168"
REGION = 512
PLACES = 9
ENGINE = "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"


def main() -> None:
    """Measure one thing after the other, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("bundle", nargs="?", default="-", help="that holds its photograph (default: the package's sample)")
    add("--size", default=SIZE, help=f"(default: {SIZE})")
    add("--runs", type=int, default=3, help="of everything but the gigapixel (default: 3)")
    add("--engine", default=ENGINE, help=f"for networks (default: {ENGINE})")
    add("--no-network", action="store_true", help="leave out what networks make")
    add("--gigapixel", action="store_true", help=f"also {GIGAPIXEL}")
    add("--folder", type=Path, help="keep the pictures here")
    add("--one", nargs=4, metavar=("DETAIL", "SIZE", "EXTENT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        detail, size, extent, file = options.one
        run(options, detail, parse_size(size), None if extent == "-" else float(extent), Path(file))
        return
    open_bundle(options)  # raises BundleError before anything takes time
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} processors, load {load:.1f} before the first run; networks on {options.engine}\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        compare_with_networks(options, folder)
        measure_parts(options)
        if options.gigapixel:
            compare_with_gigapixel(options, folder)


def compare_with_networks(options: argparse.Namespace, folder: Path) -> None:
    """The same size to PNG, in turns."""
    details: list[DetailMode] = ["photograph"] if options.no_network else ["photograph", "network"]
    runs: dict[DetailMode, list[dict[str, Any]]] = {detail: [] for detail in details}
    for _ in range(options.runs):
        for detail in details:
            runs[detail].append(render(options, detail, options.size, "-", folder / f"{detail}.png"))
    print(f"| {options.size} to PNG | seconds, median | from | to | ratio | memory, GB | file, MB |")
    print("|---|---|---|---|---|---|---|")
    ours = median(runs["photograph"], "seconds")
    for detail in details:
        seconds = sorted(one["seconds"] for one in runs[detail])
        size = (folder / f"{detail}.png").stat().st_size / 1e6
        print(
            f"| {detail} | {median(runs[detail], 'seconds'):.2f} | {seconds[0]:.2f} | {seconds[-1]:.2f} | "
            f"{median(runs[detail], 'seconds') / ours:.2f} | {memory(runs[detail])} | {size:.0f} |"
        )
    field, gather = (median(runs["photograph"], name) for name in ("field_seconds", "gather_seconds"))
    print(f"\nOf the photograph's: {field:.2f} s for the field, {gather:.2f} s for gathering.\n", flush=True)


def measure_parts(options: argparse.Namespace) -> None:
    """What the parts of detail take, in this process."""
    synthesizer, (width, height) = open_bundle(options), parse_size(options.size)
    photo = synthesizer.bundle.photo
    plan = plan_detail((photo.height, photo.width), (height, width))
    if photo.file is None or plan.passes:
        raise SystemExit(f"{options.size} is not detail alone: the photograph is too small for it")
    data = synthesizer.bundle.read(photo.file)
    pixels = decode_photograph(data, photo.file).pixels
    levels = make_levels(pixels, plan)
    largest = "{1} x {0}".format(*plan.photograph[-1])
    print("| part | median | from | to |")
    print("|---|---|---|---|")

    def show(part: str, seconds: list[float], unit: str, worth: float) -> None:
        shown = (statistics.median(seconds), min(seconds), max(seconds))
        print(f"| {part} | {' | '.join(f'{worth * one:.3g} {unit}' for one in shown)} |", flush=True)

    def timed(part: str, work: Callable[[], object], unit: str = "s", worth: float = 1.0) -> None:
        show(part, [seconds_of(work) for _ in range(options.runs)], unit, worth)

    timed(
        f"decoding the photograph, {photo.width} x {photo.height}", lambda: decode_photograph(data, "photo")
    )
    timed(f"its levels from {largest} down", lambda: make_levels(pixels, plan))
    timed("preparing these for search", lambda: PhotographLevels(levels, plan.searched))
    fields = []
    for seed in range(options.runs):
        stats = RenderStats()
        canvas = synthesizer.canvas(width, height, seed)
        canvas.read(Box(0, 0, 1, 1), stats=stats)
        fields.append(stats.field_seconds)
    show("a field, all threads", fields, "s", 1.0)
    places = np.random.default_rng(0).integers(0, (height - REGION + 1, width - REGION + 1), (PLACES, 2))
    cold = [seconds_of(functools.partial(read_region, canvas, y, x)) for y, x in places.tolist()]
    show(f"a region of {REGION} x {REGION}, field known", cold, "ms", 1e3)
    for threads, name in ((None, "all threads"), (1, "one thread")):
        canvas = open_bundle(options, threads=threads).canvas(width, height)
        canvas[:8, :8]  # finds the field
        gathered = []
        for _ in range(options.runs):
            stats = RenderStats()
            canvas.read(stats=stats)
            gathered.append(stats.gather_seconds)
        show(f"gathering a pixel, {name}", gathered, "ns", 1e9 / (width * height))
    print()


def compare_with_gigapixel(options: argparse.Namespace, folder: Path) -> None:
    """Both sizes at one scale to a pyramidal TIFF: time per pixel, and memory."""
    photo = open_bundle(options).bundle.photo
    width, height = parse_size(options.size)
    plan = plan_detail((photo.height, photo.width), (height, width))
    extent = max(parse_size(GIGAPIXEL)) / max(plan.photograph[-1])
    print("| to a pyramidal TIFF | extent | seconds | ns per pixel | ratio | memory, GB | file, MB |")
    print("|---|---|---|---|---|---|---|")
    first = None
    for size, wide in ((options.size, plan.extent), (GIGAPIXEL, extent)):
        file = folder / f"{size}.tif"
        result = render(options, "photograph", size, repr(wide), file)
        width, height = parse_size(size)
        each = 1e9 * result["seconds"] / (width * height)
        first = first or each
        print(
            f"| {size} | {wide:.4g} | {result['seconds']:.1f} | {each:.1f} | {each / first:.3f} | "
            f"{memory([result])} | {file.stat().st_size / 1e6:.0f} |",
            flush=True,
        )


def render(options: argparse.Namespace, detail: str, size: str, extent: str, file: Path) -> dict[str, Any]:
    """One picture, in a process of its own."""
    arguments = (options.bundle, "--engine", options.engine, "--one", detail, size, extent, file)
    return measure("bench.detail", *arguments)


def run(
    options: argparse.Namespace, detail: DetailMode, size: tuple[int, int], extent: float | None, file: Path
) -> None:
    """What that process does."""
    synthesizer = open_bundle(options, detail=detail)

    def work() -> dict[str, Any]:
        stats = RenderStats()
        canvas = synthesizer.canvas(*size, seed=1, extent=extent)
        canvas.save(file, pyramid=file.suffix == ".tif", stats=stats)
        return {"field_seconds": stats.field_seconds, "gather_seconds": stats.gather_seconds}

    report(work)


def open_bundle(
    options: argparse.Namespace, *, detail: DetailMode = "photograph", threads: int | None = None
) -> Synthesizer:
    """The bundle that is measured."""
    path = None if options.bundle == "-" else options.bundle
    return Synthesizer(path, engine=options.engine, detail=detail, threads=threads)


def read_region(canvas: Canvas, y: int, x: int) -> None:
    """Read a small part of a picture."""
    canvas[y : y + REGION, x : x + REGION]


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median(runs: list[dict[str, Any]], name: str) -> float:
    """Of one number over runs."""
    return float(statistics.median(one[name] for one in runs))


def memory(runs: list[dict[str, Any]]) -> str:
    """The most of all runs, and how much of it is beyond what the process had."""
    most = max(runs, key=lambda one: float(one["peak"]))
    return f"{most['peak']:.2f} ({most['peak'] - most['idle']:.2f})"


if __name__ == "__main__":
    main()
