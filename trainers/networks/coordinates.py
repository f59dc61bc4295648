"""Vertical coordinate convolution (OUR-GAN, section 3.1): a convolution that knows how high it looks."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Padding = Literal["zeros", "replicate"]

BORDER = (1, 1, 1, 1)  # of a 3 x 3 convolution


def row_positions(x: Tensor) -> Tensor:
    """Position of every row of ``x`` (N, C, H, W): (H,) float32, -1 at the top row to 1 at the bottom one."""
    rows = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)
    return rows * 2 / rows[-1].clamp(min=1) - 1


class CoordConv2d(nn.Module):
    """3 x 3 convolution over its input and one more channel that holds the row position.

    Input (N, in_channels, H, W), output (N, out_channels, H, W), both of the input's dtype, in which it
    computes; weights stay float32. Equal to ``conv(pad(cat([x, position], 1)))``.

    ``padding`` "zeros" is the reference's. Zeros tell the network where the left and right borders are, which
    shows as faint frames and ties samples to the photograph's layout; "replicate" does not. It also keeps the
    position constant along a row, so that its share of the result is one value per output channel and row,
    computed as such: the large convolution keeps a channel count that is a multiple of 16, which processors
    like.

    Without ``vertical`` it is a usual convolution: what the coordinates are compared with.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, vertical: bool = True, padding: Padding = "replicate"
    ) -> None:
        super().__init__()
        self.in_channels, self.vertical, self.padding = in_channels, vertical, padding
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels + vertical, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.normal_(self.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        if self.padding == "zeros":
            if self.vertical:
                position = row_positions(x).to(x.dtype)[:, None].expand(x.shape[0], 1, *x.shape[2:])
                x = torch.cat([x, position], 1)
            return F.conv2d(x, weight, bias, padding=1)
        x_padded = F.pad(x, BORDER, mode="replicate")
        if not self.vertical:
            return F.conv2d(x_padded, weight, bias)
        rows = F.pad(row_positions(x)[None, None], (1, 1), mode="replicate")  # (1, 1, H + 2)
        share = F.conv1d(rows, self.weight[:, -1:].sum(-1), self.bias)  # (1, out_channels, H)
        return F.conv2d(x_padded, weight[:, :-1]) + share[..., None].to(x.dtype)

    def transposed(self, gradient: Tensor) -> Tensor:
        """The gradient with respect to the input, given that with respect to the output.

        (N, out_channels, H, W) -> (N, in_channels, H, W), differentiable with respect to the weight.
        """
        weight = self.weight[:, : self.in_channels].to(gradient.dtype)
        if self.padding == "zeros":
            return F.conv_transpose2d(gradient, weight, padding=1)
        padded = F.conv_transpose2d(gradient, weight)
        # Border pixels were read in several places: they gather what came from there.
        inner = torch.empty_like(padded[..., 1:-1, 1:-1])
        return torch.ops.aten.replication_pad2d_backward(padded, inner, BORDER)
