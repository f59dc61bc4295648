"""Do pass 1 and the later passes need an upscaler each? PSNR of both networks of a run on both tasks.

Run it as ``python -m bench.upscalers RUN``; it prints one table. Windows are the photograph's own (the
networks have seen them): the table compares the two networks, it is no measure of generalisation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.networks.rrdb import SCALE
from trainers.photo import load_photo, to_float
from trainers.restore import restore_network
from trainers.run import Run
from trainers.upscaler import Pair, first_sizes, later_sizes, make_pairs

SIDE = 96  # pixels of the low-resolution windows
WINDOWS = 8

Upscale = Callable[[Tensor], Tensor]


def bicubic(low: Tensor) -> Tensor:
    """The usual enlargement, as a baseline."""
    return F.interpolate(low, scale_factor=float(SCALE), mode="bicubic", align_corners=False)


def psnr(upscale: Upscale, pairs: list[Pair], noise: float) -> float:
    """Mean peak signal-to-noise ratio in dB over random windows whose input has noise added."""
    torch.manual_seed(0)
    results = []
    for i in range(WINDOWS):
        pair = pairs[i % len(pairs)]
        y, x = (int(torch.randint(max(n - SIDE, 0) + 1, ())) for n in pair.low.shape[1:])
        low = pair.low[None, :, y : y + SIDE, x : x + SIDE]
        high = to_float(pair.high[None, :, SCALE * y : SCALE * (y + SIDE), SCALE * x : SCALE * (x + SIDE)])
        with torch.no_grad():
            got = upscale(low + noise * torch.randn_like(low)).clamp(0, 1)
        results.append(-10 * torch.log10(F.mse_loss(got, high)))
    return float(torch.stack(results).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    run = Run.open(parser.parse_args().run, torch.device("cpu"))
    preset = run.preset
    photo = load_photo(run.config["photo"]["path"])
    long_side, patch = preset.structure.long_side, preset.upscaler.patch
    first_pairs = make_pairs(photo, first_sizes(photo, long_side, patch))
    later_pairs = make_pairs(photo, later_sizes(photo, long_side, patch))
    upscalers: dict[str, Upscale] = {
        "bicubic": bicubic,
        "first": restore_network(run.checkpoint_path("upscaler-first")).network,
        "later": restore_network(run.checkpoint_path("upscaler-later")).network,
    }
    print(f"{'upscaler':<10} {'pass 1 (noise)':>16} {'later (clean)':>16}   PSNR, dB")
    for name, upscale in upscalers.items():
        noisy, clean = psnr(upscale, first_pairs, preset.upscaler.noise), psnr(upscale, later_pairs, 0)
        print(f"{name:<10} {noisy:>16.2f} {clean:>16.2f}")


if __name__ == "__main__":
    main()
