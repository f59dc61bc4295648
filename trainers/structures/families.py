"""Structures of any family, by the type of their configuration."""

from __future__ import annotations

import torch

from ..networks import AnyStructure
from ..photo import Photo
from ..presets import AnyStructureConfig, ConsinganConfig, SinganConfig
from ..runs.run import Run
from .consingan import ConsinganModel, make_consingan, train_consingan
from .model import Model
from .ourgan import StructureModel, make_structure, train_structure
from .singan import SinganModel, make_singan, train_singan


def make_network(config: AnyStructureConfig, scales: int) -> AnyStructure:
    """The structure network of so many scales, untrained."""
    if isinstance(config, SinganConfig):
        return make_singan(config, scales)
    if isinstance(config, ConsinganConfig):
        return make_consingan(config, scales)
    return make_structure(config)


def make_model(config: AnyStructureConfig, height: int, width: int, device: torch.device) -> Model:
    """The structure network for a photograph of this size, untrained, with what sampling needs."""
    if isinstance(config, SinganConfig):
        return SinganModel(config, height, width, device)
    if isinstance(config, ConsinganConfig):
        return ConsinganModel(config, height, width, device)
    return StructureModel(config, height, width, device)


def train(run: Run, photo: Photo, config: AnyStructureConfig) -> Model:
    """Trains all scales, from where the run's checkpoint stands; returns the trained model.

    Raises:
        DivergedError: a scale diverged, and again with a lower learning rate; its checkpoints are good.
    """
    if isinstance(config, SinganConfig):
        return train_singan(run, photo, config)
    if isinstance(config, ConsinganConfig):
        return train_consingan(run, photo, config)
    return train_structure(run, photo, config)
