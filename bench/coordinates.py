"""A bundle whose structure is of coordinates: time and memory by size, and its tiles against the whole.

Every render runs in a process of its own; memory is what it takes at most beyond the process before it.

python -m bench.coordinates BUNDLE                         1024, 2048 and 4096 pixels a side, into .npy
python -m bench.coordinates BUNDLE --sizes 8k --memory 256MiB

The second table has canvases of 512 x 512 at the smallest and the largest scale learned, between and beyond:
in tiles against in one window, both of 16 bits, in levels of 8.
"""

import argparse
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.processes import measure, report
from ourgan_sdk import Box, RenderStats, Synthesizer
from ourgan_sdk._core import Grid
from ourgan_sdk.coordinates import CoordinatesPicture, place
from ourgan_sdk.sizes import parse_size

SIZES = ("1024x1024", "2048x2048", "4096x4096")
REGION = 256
"""Pixels a side of the part that is read by itself, in the middle."""
SEAMS = 512
"""Pixels a side of canvases that are made in one window as well."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help=f"(default: {' '.join(SIZES)})")
    parser.add_argument("--memory", default="768MiB", help="of a render (default: 768MiB)")
    parser.add_argument("--threads", type=int, help="(default: the engine's choice)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run(options, options.one)
        return
    print("| picture | seconds | per megapixel | recomputed | memory, GB | 256 x 256 in the middle, s |")
    print("|---|---|---|---|---|---|")
    for size in options.sizes:
        more = ["--threads", options.threads] if options.threads else []
        result = measure(
            "bench.coordinates", options.bundle, "--memory", options.memory, *more, "--one", size
        )
        width, height = parse_size(size)
        print(
            f"| {width} x {height} | {result['seconds']:.1f} "
            f"| {1e6 * result['seconds'] / (width * height):.2f} | {100 * result['recomputed']:.0f} % "
            f"| {result['peak'] - result['idle']:.2f} | {result['region']:.2f} |",
            flush=True,
        )
    print("\n| scale | tiles | largest difference, levels | 99.99th percentile | differ after rounding |")
    print("|---|---|---|---|---|")
    for scale in seam_scales(options.bundle):
        seams(options, scale)


def run(options: argparse.Namespace, size: str) -> None:
    """One render, in a process of its own."""
    synthesizer = Synthesizer(options.bundle, memory_limit=options.memory, threads=options.threads)
    width, height = parse_size(size)
    canvas = synthesizer.canvas(width, height, seed=1)
    region: list[float] = []

    def prepare() -> None:
        stats, other = RenderStats(), synthesizer.canvas(width, height, seed=2)
        other[:8, :8]  # opens the network
        y, x = (height - REGION) // 2, (width - REGION) // 2
        other.read(Box(y, x, y + REGION, x + REGION), stats=stats)
        region.append(stats.seconds)

    def work() -> dict[str, Any]:
        stats = RenderStats()
        with tempfile.TemporaryDirectory() as folder:
            canvas.save(Path(folder) / "picture.npy", progress=True, stats=stats)
        return {"recomputed": stats.window_pixels / (width * height) - 1, "region": region[0]}

    report(work, prepare)


def seam_scales(bundle: Path) -> list[int]:
    """Pixels per side of the square: the smallest learned, the largest, and between and beyond them."""
    record = Synthesizer(bundle).bundle.manifest.coordinates
    if record is None:
        raise SystemExit(f"{bundle}: its structure is not of coordinates")
    middle = round((record.patch * record.largest) ** 0.5)
    return [record.patch, middle, record.largest, 4 * record.largest]


def seams(options: argparse.Namespace, scale: int) -> None:
    """Print a row: a canvas of SEAMS pixels a side at a scale, in its tiles and in one."""
    synthesizer = Synthesizer(options.bundle, memory_limit=options.memory, threads=options.threads)
    extent, dtype = SEAMS / scale, np.dtype(np.uint16)
    canvas = synthesizer.canvas(SEAMS, SEAMS, 1, extent=extent, dtype=dtype)
    record = synthesizer.bundle.manifest.coordinates
    assert record is not None
    placement = place(record, (SEAMS, SEAMS), extent)
    grid, tiles = Grid(*placement.levels[0].cells, record.halo, 1, 1), canvas.plan.first_grids[0]
    engine = functools.partial(canvas.networks.on_cpu, record.file)
    first = CoordinatesPicture(placement, engine, 1).planned([grid], None)
    bands = first.bands(0, Box(0, 0, SEAMS, SEAMS), dtype, RenderStats(), lambda _work: None)
    whole, tiled = np.concatenate(list(bands)) / 257, canvas[:] / 257
    difference = np.abs(tiled - whole)
    differ = 100 * np.mean(np.rint(whole) != np.rint(tiled))
    print(
        f"| {scale} | {tiles.rows} x {tiles.columns} | {difference.max():.3f} "
        f"| {np.quantile(difference, 0.9999):.3f} | {differ:.4f} % |",
        flush=True,
    )


if __name__ == "__main__":
    main()
