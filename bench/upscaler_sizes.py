"""How large an upscaler has to be: quality against speed, every size trained from scratch on one photograph.

Run it as ``python -m bench.upscaler_sizes photo.jpg``; it prints one table: what is held out of the
photograph, restored after an equally long L1 phase, and the time that a pass takes per megapixel of its
result (ONNX Runtime on this machine's processor).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np

from trainers.bundling.assemble import as_function
from trainers.bundling.onnx_export import export_upscaler
from trainers.metrics.restoration import Task, Upscale, bicubic, make_task, score
from trainers.networks import Upscaler, UpscalerSize
from trainers.networks.rrdb import SCALE
from trainers.photo import load_photo
from trainers.presets import STANDARD
from trainers.upscalers.patches import later_sizes

from .one_upscaler import train

SIZES = (
    UpscalerSize("rrdb", 32, 4, 16),
    UpscalerSize("rrdb", 64, 8, 32),
    UpscalerSize("residual", 32, 4, None),
    UpscalerSize("residual", 48, 5, None),
    UpscalerSize("residual", 64, 8, None),
)
SIDE, REPETITIONS = 256, 3  # of the window that is timed


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    photo = load_photo(options.photo)
    task = make_task(photo, STANDARD.upscaler.held_out, max(photo.height, photo.width) // 2, 0.0)
    limits = (STANDARD.structure.long_side, STANDARD.upscaler.window, STANDARD.upscaler.held_out)
    sizes = later_sizes(photo, *limits)
    print(f"{'network':<24} {'weights':>10} {'s / MP':>8} {'PSNR':>7} {'SSIM':>8} {'SWD':>7}")
    show("bicubic", bicubic, task)
    for size in SIZES:
        network = train(photo, sizes, STANDARD.upscaler, (options.steps, 0), size=size)
        show(
            str(size),
            network,
            task,
            sum(p.numel() for p in network.parameters()),
            seconds_per_megapixel(network),
        )


def seconds_per_megapixel(network: Upscaler) -> float:
    """Of the enlarged picture."""
    function = as_function(export_upscaler(network))
    picture = np.random.default_rng(0).random((1, 3, SIDE, SIDE), dtype=np.float32)
    function(picture)
    times = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        function(picture)
        times.append(time.perf_counter() - started)
    return median(times) / ((SCALE * SIDE) ** 2 / 1e6)


def show(name: str, upscale: Upscale, task: Task, weights: int = 0, seconds: float = 0.0) -> None:
    """One line of the table."""
    got = score(upscale, task)
    print(
        f"{name:<24} {weights:>10,} {seconds:>8.2f} {got.psnr:>7.2f} {got.ssim:>8.4f} {got.swd:>7.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
