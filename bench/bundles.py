"""What networks cost, bundle against bundle: the same pictures in turns, each in a process of its own.

Run it as ``python -m bench.bundles BUNDLE BUNDLE ... [--engine openvino]``; it prints one table: 8192 x 4320
by networks alone, and 16384 x 10912 as it comes, with detail and one x4 pass where the bundle has its
photograph. The share is of everything but the networks: of the first picture, opening bundle and networks
included, and of a second one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from ourgan_sdk import RenderStats, Synthesizer
from ourgan_sdk.engines import engine_names
from ourgan_sdk.synthesizer import DetailMode

from .processes import measure, report

PICTURES: dict[str, tuple[int, int, DetailMode]] = {
    "8K, networks": (8192, 4320, "network"),
    "16K": (16384, 10912, "auto"),
}


def main() -> None:
    """Print the table; or, in a process of its own, measure one picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--engine", choices=engine_names(), default="openvino")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", choices=PICTURES, action="append", help="default: both")
    parser.add_argument("--measure", choices=PICTURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        report(lambda: render(options.bundles[0], options.engine, options.measure))
        return
    print(
        f"{'':<40} {'seconds':>9} {'(from, to)':>16} {'networks':>9} {'share':>7} {'second':>9} {'share':>7} "
        f"{'GB':>6} {'ratio':>6}"
    )
    for picture in options.only or PICTURES:
        runs: dict[Path, list[dict[str, Any]]] = {bundle: [] for bundle in options.bundles}
        for _ in range(options.repetitions):
            for bundle in options.bundles:
                arguments = [bundle, "--engine", options.engine, "--measure", picture]
                runs[bundle].append(measure("bench.bundles", *arguments))
        slowest = median(run["seconds"] for run in runs[options.bundles[0]])
        for bundle, measured in runs.items():
            show(f"{picture}, {bundle.name}", measured, slowest)


def render(bundle: Path, engine: str, picture: str) -> dict[str, Any]:
    """Two renders into PNGs, the first one with opening the networks."""
    width, height, detail = PICTURES[picture]
    first, second = RenderStats(), RenderStats()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        synthesizer = Synthesizer(bundle, engine=engine, detail=detail)
        synthesizer.render(width, height, 0, out=Path(folder) / "first.png", stats=first)
        seconds = time.perf_counter() - started
        synthesizer.render(width, height, 1, out=Path(folder) / "second.png", stats=second)
    return {
        "seconds": seconds,
        "networks": first.engine_seconds,
        "second": second.seconds,
        "second_networks": second.engine_seconds,
    }


def show(name: str, runs: list[dict[str, Any]], slowest: float) -> None:
    """One row: medians, and how many times as fast as the first bundle."""
    seconds = sorted(run["seconds"] for run in runs)
    middle, networks = median(seconds), median(run["networks"] for run in runs)
    spread = f"({seconds[0]:.1f}, {seconds[-1]:.1f})"
    second = median(run["second"] for run in runs)
    shares = (1 - networks / middle, median(1 - run["second_networks"] / run["second"] for run in runs))
    memory = max(run["peak"] for run in runs)
    print(
        f"{name:<40} {middle:>9.1f} {spread:>16} {networks:>9.1f} {shares[0]:>7.0%} {second:>9.1f} "
        f"{shares[1]:>7.0%} {memory:>6.2f} {slowest / middle:>6.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
