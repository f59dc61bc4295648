"""A model whose noise, at every scale, is a map of the training size: SinGAN's and ConSinGAN's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..networks import ConsinganStructure, SinganStructure
from ..presets import ConsinganConfig, SinganConfig
from ..runs.run import place
from .model import Model


class MapsModel(Model):
    """The network with what sampling needs: sizes and noise deviations."""

    config: SinganConfig | ConsinganConfig
    network: SinganStructure | ConsinganStructure

    def __init__(
        self,
        sizes: list[tuple[int, int]],
        network: SinganStructure | ConsinganStructure,
        device: torch.device,
    ) -> None:
        self.sizes = sizes
        self.deviations = [1.0] + [0.0] * (len(sizes) - 1)  # z_m's, known once scale m is trained
        self.device = device
        self.network = place(network, device)

    def noise_shape(self, scale: int, count: int = 1) -> tuple[int, int, int, int]:
        """Of one scale's noise maps for ``count`` samples of the training size."""
        height, width = (side + 2 * self.network.margin for side in self.sizes[scale])
        return count, self.network.noise_channels[scale], height, width

    def noises(self, scales: int, count: int = 1) -> list[Tensor]:
        """Random z_0 .. z_{scales - 1} for ``count`` samples of the training size."""
        return [
            torch.randn(self.noise_shape(m, count), device=self.device) * self.deviations[m]
            for m in range(scales)
        ]

    def no_noises(self, scales: int) -> list[Tensor]:
        """z_1 .. z_{scales - 1} of one sample, zeros: the noise of reconstructions."""
        return [torch.zeros(self.noise_shape(m), device=self.device) for m in range(1, scales)]

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "deviations": self.deviations}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.deviations = list(state["deviations"])
