"""The refiner: a picture that was enlarged by any factor gets the detail that it lacks.

Between the x4 passes of upscalers there is nothing. This network takes the factor as an input, as Chai et al.
(ECCV 2022) give theirs the scale: a code of it modulates the convolutions. What it adds to the bicubic
enlargement comes from residual blocks (EDSR, Lim et al. 2017) at half the resolution, where 2 x 2 pixels are
four channels of one place (ESPCN, Shi et al. 2016): a quarter of the work, and twice the reach.

From smooth input alone a network that is to draw details draws straight lines; so it is given noise as well,
as strong as the picture: a tenth of it had hardly become detail in as many steps (docs/refiner.md).

It is purely local: a pixel depends on the input within :attr:`Refiner.reach` pixels, on the factor, and on
nothing else. Its non-linearities are plain: aliasing that is tied to the pixels' grid matters where a
generator places what it draws, and here the enlargement does so; filtered ones take four times the channels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .modulated import GAIN, SLOPE, EqualConv2d, Mapping, ModulatedConv2d

STRIDE = 2  # pixels per place of the features, along each axis
MAPPING_LAYERS = 2
RESIDUAL = 0.1  # of what a new block adds: deep residuals train from small ones


class RefinerBlock(nn.Module):
    """Two modulated convolutions with a LeakyReLU in between, and a skip around them."""

    def __init__(self, features: int, code: int) -> None:
        super().__init__()
        self.conv1 = ModulatedConv2d(features, features, 3, [code])
        self.conv2 = ModulatedConv2d(features, features, 3, [code])
        self.gain = nn.Parameter(torch.full((1, features, 1, 1), RESIDUAL))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        inner = GAIN * F.leaky_relu(self.conv1(x, code), SLOPE)
        return x + self.gain.to(x.dtype) * self.conv2(inner, code)


class Refiner(nn.Module):
    """Enlarged pictures (N, 3, H, W) in [0, 1] -> (N, 3, H, W), nominally in [0, 1], not clamped.

    H and W are even. With noise (N, 1, H, W), normal, and the factor (1,) or (N,) by which the pictures were
    enlarged: more than 1, and what is above ``most`` counts as ``most``. Untrained it changes nothing.
    """

    def __init__(self, features: int = 32, blocks: int = 5, code: int = 32, most: float = 8.0) -> None:
        super().__init__()
        self.features, self.blocks, self.most = features, blocks, most
        self.mapping = Mapping(1, code, MAPPING_LAYERS, rate=RESIDUAL)
        self.conv_first = EqualConv2d(4 * STRIDE**2, features, 3)
        self.body = nn.ModuleList(RefinerBlock(features, code) for _ in range(blocks))
        self.conv_body = ModulatedConv2d(features, features, 3, [code])
        self.conv_last = EqualConv2d(features, 3 * STRIDE**2, 3)
        nn.init.zeros_(self.conv_last.weight)

    @property
    def reach(self) -> int:
        """Pixels of the input, on every side, that one of the result depends on; a multiple of the stride."""
        return STRIDE * (3 + 2 * self.blocks + 1)

    def forward(self, enlarged: Tensor, noise: Tensor, factor: Tensor) -> Tensor:
        share = (factor.log() / math.log(self.most)).clamp(0, 1)
        code = self.mapping((2 * share - 1).view(-1, 1, 1, 1))
        x = F.pixel_unshuffle(torch.cat([2 * enlarged - 1, noise], 1), STRIDE)
        first = self.conv_first(x)
        features = first
        for block in self.body:
            features = block(features, code)
        features = GAIN * F.leaky_relu(first + self.conv_body(features, code), SLOPE)
        return enlarged + F.pixel_shuffle(self.conv_last(features), STRIDE).float()


def enlarge(picture: Tensor, height: int, width: int) -> Tensor:
    """What a refiner is given: ``picture`` (N, 3, h, w) -> (N, 3, height, width), bicubic, not clamped."""
    return F.interpolate(picture, size=(height, width), mode="bicubic", align_corners=False)


def draw_noise(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Normal noise (N, 1, H, W) for pictures ``like`` (N, 3, H, W), drawn on the CPU."""
    count, _, height, width = like.shape
    return torch.randn(count, 1, height, width, generator=generator).to(like.device)
