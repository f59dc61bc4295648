"""What all families' models have in common: a structure network with what sampling needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks import AnyStructure
from ..presets import AnyStructureConfig


class Model(ABC):
    """A structure network in training, and after it."""

    config: AnyStructureConfig
    network: AnyStructure
    sizes: list[tuple[int, int]]  # (height, width) of every scale
    deviations: list[float]  # of every scale's noise, known once the scale is trained
    device: torch.device

    @abstractmethod
    def noises(self, scales: int, count: int = 1) -> list[Tensor]:
        """Random noise maps of scales 0 .. ``scales`` - 1 for ``count`` samples of the training size."""

    @abstractmethod
    def reconstruction_noises(self, pyramid: Sequence[Tensor], scales: int) -> list[Tensor]:
        """The noise maps, of one sample, that reconstruct the photograph after ``scales`` scales.

        ``pyramid``: the photograph at every scale, [(1, 3, H_m, W_m)] in [-1, 1]. Nothing is drawn at random.
        """

    @abstractmethod
    def inherit(self, scale: int) -> None:
        """Before a scale's first step: its generator takes the weights of the one below, where they fit."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]: ...

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    @torch.no_grad()
    def sample(self, scales: int, count: int) -> Tensor:
        """``count`` random pictures (N, 3, H, W) in [0, 1] after ``scales`` scales."""
        return as_pictures(torch.cat([self.network(self.noises(scales)) for _ in range(count)]))

    @torch.no_grad()
    def reconstruct(self, pyramid: Sequence[Tensor], count: int) -> Tensor:
        """``count`` pictures (N, 3, H, W) in [0, 1] of the photograph's layout, with a sample's noise."""
        (layout,) = self.reconstruction_noises(pyramid, 1)
        scales = len(self.sizes)
        pictures = [self.network([layout, *self.noises(scales)[1:]]) for _ in range(count)]
        return as_pictures(torch.cat(pictures))

    @torch.no_grad()
    def reconstruction_levels(self, pyramid: Sequence[Tensor], scales: int) -> float:
        """How far the reconstruction after ``scales`` scales is from the photograph there.

        It is the root of the mean squared error, in levels of 8 bits.
        """
        reconstruction = self.network(self.reconstruction_noises(pyramid, scales))
        error = F.mse_loss(as_pictures(reconstruction), as_pictures(pyramid[scales - 1]))
        return 255 * float(error.sqrt())


def as_pictures(x: Tensor) -> Tensor:
    """What networks make, in [-1, 1], as pictures in [0, 1]."""
    return ((x + 1) / 2).clamp(0, 1)
