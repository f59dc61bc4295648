"""Renders one large picture by networks into a file and prints what it took beside what it may take.

python -m bench.render [BUNDLE] [--size 8192x4320] [--engine onnxruntime] [--output picture.png]
"""

import argparse
import resource
import sys
import tempfile
from pathlib import Path

from ourgan_sdk import RenderStats, Synthesizer
from ourgan_sdk.engines import engine_names
from ourgan_sdk.sizes import parse_size

LARGEST_RATIO = 1.15
LARGEST_MEMORY = 1.2


def main() -> int:
    """Render, print a table, and return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", nargs="?", type=Path, help="default: the package's sample")
    parser.add_argument("--size", type=parse_size, default=(8192, 4320))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default="onnxruntime", choices=["auto", *engine_names()])
    parser.add_argument("--output", type=Path, help="a file to keep; its suffix chooses the format")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = options.output or Path(folder) / "picture.png"
        stats = measure(options.bundle, options.engine, options.size, options.seed, output)
        size = output.stat().st_size
    ratio, memory = stats.seconds / stats.engine_seconds, peak_memory()
    width, height = options.size
    print(
        f"picture       {width} x {height}, {stats.passes} passes, {stats.tiles} tiles, {size / 1e6:.1f} MB"
    )
    print(
        f"wall time     {stats.seconds:8.2f} s   {1e6 * stats.seconds / (width * height):.3f} s per megapixel"
    )
    print(f"engine time   {stats.engine_seconds:8.2f} s")
    print(f"wall/engine   {ratio:8.3f}     goal: at most {LARGEST_RATIO}  {verdict(ratio <= LARGEST_RATIO)}")
    print(
        f"peak memory   {memory:8.3f} GB  goal: at most {LARGEST_MEMORY}  {verdict(memory <= LARGEST_MEMORY)}"
    )
    return 0 if ratio <= LARGEST_RATIO and memory <= LARGEST_MEMORY else 1


def measure(bundle: Path | None, engine: str, size: tuple[int, int], seed: int, output: Path) -> RenderStats:
    """The numbers of one render, opening the networks and encoding the file included."""
    stats = RenderStats()
    Synthesizer(bundle, engine=engine, detail="network").render(
        *size, seed, out=output, progress=True, stats=stats
    )
    return stats


def peak_memory() -> float:
    """Gigabytes that this process has had in memory at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak) / 1e9


def verdict(good: bool) -> str:
    """A word for whether a goal is met."""
    return "met" if good else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
