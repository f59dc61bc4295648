"""One upscaler, trained outside of a fit: what benchmarks of the trainer's choices compare."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from trainers.networks import RRDBNet
from trainers.photo import Photo
from trainers.presets import UpscalerConfig
from trainers.runs.run import Run
from trainers.upscalers.upscaler import Patches, UpscalerTraining, make_pairs, train_upscaler

CPU = torch.device("cpu")


def train(
    photo: Photo,
    sizes: list[int],
    config: UpscalerConfig,
    steps: tuple[int, int],
    *,
    noise: float = 0.0,
    start: RRDBNet | None = None,
) -> RRDBNet:
    """An upscaler after ``steps`` of the L1 phase and of the adversarial one, with seed 0.

    ``sizes``: long sides that the photograph is trained at; ``start``: the network to start from.
    """
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    pairs = make_pairs(photo, sizes, config.held_out)
    training = UpscalerTraining(config, *steps, Patches(lambda _: pairs, config, noise, CPU), None)
    if start is not None:
        training.start_from(start)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", {"preset": {}}, CPU)
        return train_upscaler(run, "upscaler", training)
