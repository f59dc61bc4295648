"""Vertical coordinate convolution (OUR-GAN, section 3.1): a convolution that knows how high it looks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def row_positions(x: Tensor) -> Tensor:
    """Position of every row of ``x`` (N, C, H, W): (H,) float, -1 at the top row to 1 at the bottom one."""
    rows = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)
    return rows * 2 / rows[-1].clamp(min=1) - 1


class CoordConv2d(nn.Module):
    """3 x 3 convolution over its input and one more channel that holds the row position.

    Equal to ``conv(pad(cat([x, position], 1)))`` with replicate padding. The position channel is constant
    along a row, and replicate padding keeps it so; its share of the result is therefore one value per
    output channel and row, which is computed as such: the large convolution keeps a channel count that is
    a multiple of 16, which processors like.

    Replicate padding instead of the reference's zeros: zeros tell the network where the left and right
    borders are, which shows as faint frames and ties samples to the photograph's layout.

    Input (N, in_channels, H, W), output (N, out_channels, H, W). Without ``vertical`` it is a usual
    convolution with replicate padding: what the coordinates are compared with.
    """

    def __init__(self, in_channels: int, out_channels: int, *, vertical: bool = True) -> None:
        super().__init__()
        self.vertical = vertical
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels + vertical, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.normal_(self.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        if not self.vertical:
            return F.conv2d(padded, weight, self.bias)
        y = F.conv2d(padded, weight[:, :-1], self.bias)
        rows = F.pad(row_positions(x)[None, None], (1, 1), mode="replicate")  # (1, 1, H + 2)
        share = F.conv1d(rows, weight[:, -1:].sum(-1))  # (1, out_channels, H)
        return y + share[..., None]
