"""What stands in best for perceptual features where there are no weights for them.

Run it as ``python -m bench.fallbacks photo.jpg``; from the upscaler of ``trainers/weights`` it takes one
adversarial phase per candidate, and prints one table: what is held out of the photograph, restored at half
of its size.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from trainers.metrics.restoration import Upscale, bicubic, make_task, score
from trainers.photo import load_photo
from trainers.presets import STANDARD
from trainers.runs.restore import restore_upscaler
from trainers.upscalers.patches import later_sizes
from trainers.upscalers.pretrained import OURS

from .one_upscaler import train

CANDIDATES = {  # weights of the adversarial loss and of patch statistics, beside the presets' L1
    "L1 alone": (0.0, 0.0),
    "adversarial": (STANDARD.upscaler.adversarial, 0.0),
    "adversarial, six times": (6 * STANDARD.upscaler.adversarial, 0.0),
    "patch statistics (the presets)": (0.0, STANDARD.upscaler.patch_statistics_alone),
    "both": (STANDARD.upscaler.adversarial, STANDARD.upscaler.patch_statistics_alone),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--steps", type=int, default=STANDARD.upscaler.gan_steps)
    options = parser.parse_args()
    photo, config = load_photo(options.photo), STANDARD.upscaler
    task = make_task(photo, config.held_out, max(photo.height, photo.width) // 2, 0.0)
    sizes = later_sizes(photo, STANDARD.structure.long_side, config.window, config.held_out)
    start = restore_upscaler(OURS["init"])
    print(f"{'':<32} {'PSNR, dB':>9} {'SSIM':>8} {'SWD':>7}")

    def show(name: str, upscale: Upscale) -> None:
        got = score(upscale, task)
        print(f"{name:<32} {got.psnr:>9.2f} {got.ssim:>8.4f} {got.swd:>7.1f}", flush=True)

    show("bicubic", bicubic)
    show("before", start)
    for name, (adversarial, patch_statistics) in CANDIDATES.items():
        variant = replace(
            config,
            adversarial=adversarial,
            adversarial_share=None,  # the weight above in place of the presets' share, which is none
            patch_statistics_alone=patch_statistics,
            grid_pattern_alone=config.grid_pattern_alone if patch_statistics else 0.0,
        )
        show(name, train(photo, sizes, variant, (0, options.steps), start=start))


if __name__ == "__main__":
    main()
