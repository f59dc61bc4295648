"""The small upscaler: residual blocks and a sub-pixel convolution over a bilinear enlargement, x4.

Blocks without normalisation (EDSR, Lim et al. 2017), all of them at the resolution of the input; what they
add to a bilinear enlargement of it comes out of one convolution whose channels become pixels (ESPCN, Shi et
al. 2016). Beside an RRDB, whose last convolutions work at 16 times the pixels, this is several times cheaper
at the same quality (docs/quality.md), and its activations take a small part of the memory. The enlargement
carries the picture: only what is added to it suffers where a runtime computes in fewer bits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rrdb import SCALE


class ResidualBlock(nn.Module):
    """Two convolutions with a ReLU in between, and a skip around them."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, 1, 1)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1)
        self.conv2.weight.data *= 0.1  # deep residuals train from small ones

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class ResidualNet(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 3, 4H, 4W), nominally in [0, 1], not clamped."""

    bilinear: Tensor

    def __init__(self, features: int = 48, blocks: int = 5) -> None:
        super().__init__()
        self.features, self.blocks = features, blocks
        self.conv_first = nn.Conv2d(3, features, 3, 1, 1)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_last = nn.Conv2d(features, 3 * SCALE**2, 3, 1, 1)
        for parameter in self.conv_last.parameters():
            nn.init.zeros_(parameter)  # untrained it is the enlargement
        self.register_buffer("bilinear", bilinear_kernels(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv_first(x)
        features = features + self.conv_body(self.body(features))
        with torch.autocast(x.device.type, enabled=False):
            enlarged = F.conv2d(x, self.bilinear, padding=1)
        return F.pixel_shuffle(self.conv_last(features) + enlarged, SCALE)


def bilinear_kernels() -> Tensor:
    """Bilinear enlargement by 4 as a sub-pixel convolution: (48, 3, 3, 3).

    As a convolution it is as fast as any; resizing at the size of the result takes runtimes as long as the
    whole body. Beyond its border a picture is black to it, as to all convolutions here: it changes what lies
    within two pixels of the result's border, which tiles cut off.
    """
    offsets = (torch.arange(SCALE) + 0.5) / SCALE - 0.5  # of a result's pixels from the input's
    row = torch.stack([(-offsets).clamp_min(0), 1 - offsets.abs(), offsets.clamp_min(0)], 1)
    kernels = torch.einsum("yi,xj->yxij", row, row).flatten(0, 1)
    return torch.einsum("cd,kij->ckdij", torch.eye(3), kernels).flatten(0, 1)
