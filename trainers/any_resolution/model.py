"""The generator as any-resolution training has it, and whole pictures by it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks.continuous import ContinuousGenerator
from .presets import AnyConfig
from .views import coordinates


class Generator(ContinuousGenerator):
    """The network, with the configuration that it is trained by."""

    def __init__(self, config: AnyConfig, largest: int) -> None:
        super().__init__(config.size(largest))
        self.config = config


@torch.no_grad()
def render_whole(generator: Generator, latents: Tensor, scale: int) -> Tensor:
    """Whole pictures of ``scale`` pixels per side: (N, latent) -> (N, 3, scale, scale) in [-1, 1], clamped.

    Each is made in one piece, for samples and tests; memory grows with its area.
    """
    stride, device = generator.config.stride, latents.device
    margin, side = generator.radius, -(-scale // stride) * stride
    count = len(latents)
    where = torch.zeros(count, 2, dtype=torch.float64), torch.full((count,), scale, dtype=torch.float64)
    grid = coordinates(*where, side, stride, margin).to(device)
    pictures: Tensor = generator(grid, where[1].float().to(device), latents, margin)
    return pictures[..., :scale, :scale].clamp(-1, 1)
