"""How pass 1 should be trained: samples of a finished run after it, against the photograph.

Run it as ``python -m bench.first_pass RUN``, for a run that started from two pre-trained upscalers as presets
do; it trains one more, which has never seen noise, with the same losses, and prints one table.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from trainers.metrics.restoration import Upscale, bicubic, enlarge
from trainers.metrics.sliced_wasserstein import SlicedWasserstein
from trainers.networks import Structure
from trainers.networks.rrdb import SCALE
from trainers.photo import load_photo, reduce, to_float
from trainers.runs.restore import Restored, restore_network, restore_upscaler
from trainers.runs.run import Run
from trainers.upscalers.patches import first_sizes

from .one_upscaler import CPU, train

SAMPLES = 10
FINEST = 3  # levels of the pyramid that have a column each


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run directory of trainers.fit")
    run = Run.open(parser.parse_args().run, CPU, quiet=True)
    config = run.preset.upscaler
    if run.config.get("init_first") is None or run.config["perceptual"]:
        parser.error("expected a run from two pre-trained upscalers, without perceptual features")
    photo = load_photo(run.config["photo"]["path"])
    structure = restore_network(run.checkpoint_path("structure"))
    samples = [sample(structure, seed) for seed in range(SAMPLES)]
    height, width = (SCALE * n for n in structure.sizes[-1])
    distance = SlicedWasserstein(reduce(to_float(photo.pixels)[None], height, width)[0])
    first, later, start = (
        restore_upscaler(run.checkpoint_path(name)) for name in ("upscaler-first", "upscaler-later", "init")
    )
    sizes = first_sizes(photo, max(structure.sizes[-1]), config.window, config.held_out)
    steps = config.steps(pretrained=True, share=config.first_share)
    same_losses = replace(config, reconstruction_alone=config.noisy_reconstruction_alone)
    clean = train(photo, sizes, same_losses, steps, size=config.first, start=start)
    print(f"{width} x {height}, {SAMPLES} samples: sliced Wasserstein distance x 1000")
    print(f"{'pass 1 by':<36} {'mean':>8} {'finest':>8} {'second':>8} {'third':>8}")
    variants: tuple[tuple[str, Upscale, float], ...] = (
        ("its upscaler, used to noise", first, config.noise),
        ("its upscaler, trained without noise", clean, 0.0),
        ("the upscaler of the later passes", later, 0.0),
        ("bicubic", bicubic, 0.0),
    )
    for name, upscale, noise in variants:
        torch.manual_seed(0)
        noisy = [x + noise * torch.randn_like(x) for x in samples]
        levels = [distance(enlarge(upscale, x)[0].clamp(0, 1)) for x in noisy]
        means = [fmean(values) for values in zip(*levels, strict=True)]
        finest = " ".join(f"{value:>8.1f}" for value in means[:FINEST])
        print(f"{name:<36} {fmean(means):>8.1f} {finest}", flush=True)


@torch.no_grad()
def sample(structure: Restored, seed: int) -> Tensor:
    """One picture (1, 3, H, W) in [0, 1] of the training size."""
    torch.manual_seed(seed)
    network = structure.network
    assert isinstance(network, Structure)
    noises = [
        deviation * torch.randn(1, network.noise_channels[m], *size)
        for m, (size, deviation) in enumerate(zip(structure.sizes, structure.deviations, strict=True))
    ]
    picture: Tensor = (network(noises) + 1) / 2
    return picture.clamp(0, 1)


if __name__ == "__main__":
    main()
