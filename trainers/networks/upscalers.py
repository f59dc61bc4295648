"""Upscalers: two architectures of one kind, (N, 3, H, W) in [0, 1] -> (N, 3, 4H, 4W), and their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .residual import ResidualNet
from .rrdb import RRDBNet

Upscaler = RRDBNet | ResidualNet


@dataclass(frozen=True)
class UpscalerSize:
    """Which network an upscaler is, and how large."""

    kind: Literal["rrdb", "residual"] = "rrdb"
    features: int = 64  # channels
    blocks: int = 23
    growth: int | None = 32  # channels that each convolution of an RRDB's dense blocks adds

    def __str__(self) -> str:
        parts = (self.features, self.blocks, *(() if self.growth is None else (self.growth,)))
        return f"{self.kind} {'/'.join(map(str, parts))}"


def make_upscaler(size: UpscalerSize) -> Upscaler:
    """An upscaler of that size, untrained: it interpolates.

    Raises:
        ValueError: an RRDB without a growth, or another network with one.
    """
    if (size.kind == "rrdb") != (size.growth is not None):
        raise ValueError(f"expected a growth for an RRDB and for nothing else, got {size}")
    if size.growth is not None:
        return RRDBNet(size.features, size.blocks, size.growth)
    return ResidualNet(size.features, size.blocks)


def size_of(network: Upscaler) -> UpscalerSize:
    """The size that :func:`make_upscaler` makes such a network of."""
    if isinstance(network, RRDBNet):
        return UpscalerSize("rrdb", network.features, network.blocks, network.growth)
    return UpscalerSize("residual", network.features, network.blocks, None)
