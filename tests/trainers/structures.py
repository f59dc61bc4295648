"""What tests of several families of structures need."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from trainers.photo import Photo
from trainers.presets import PAPER, AnyStructureConfig, Preset
from trainers.runs.run import Run

__all__ = ["equal", "start", "weights"]


def start(directory: Path, photo: Photo, structure: AnyStructureConfig) -> Run:
    """A run, on the CPU, of a structure alone."""
    torch.manual_seed(7)
    config = {
        "photo": {"height": photo.height, "width": photo.width},
        "photograph": False,
        "output": "",
        "preset": Preset("tiny", structure, PAPER.upscaler).as_dict(),
        "seed": 7,
        "perceptual": None,
    }
    return Run.create(directory, config, torch.device("cpu"), quiet=True)


def weights(network: nn.Module) -> list[Tensor]:
    """As they are now."""
    return [parameter.detach().clone() for parameter in network.parameters()]


def equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether they are, bit for bit."""
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
