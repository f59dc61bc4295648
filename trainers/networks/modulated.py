"""Layers whose strength a code decides: modulated convolutions, filtered non-linearities, mapping networks.

Modulation and demodulation are StyleGAN2's (Karras et al. 2020), with several codes at once as in
any-resolution training (Chai et al., ECCV 2022): the style of a layer is A(w) + B(w_s), of a latent code and
a scale's. The non-linearity between an enlargement and a reduction is StyleGAN3's idea (Karras et al. 2021):
what a LeakyReLU makes beyond the grid's highest frequency is taken away before it can alias.

All of it is plain convolutions with constant kernels, products and LeakyReLU, so that it exports to ONNX as
it is: styles scale a convolution's input and output in place of its weights, which is the same. Nothing but
zero padding depends on where a picture ends, and no statistics of a picture are taken.

Weights are drawn with deviation 1 and scaled when they are used ("equalised learning rate").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
GAIN = math.sqrt(2)  # keeps the variance of what a LeakyReLU lets through
BETA = 1.5  # of the Kaiser window: the least aliases at so few taps
EPSILON = 1e-8


class EqualConv2d(nn.Module):
    """A convolution with zero padding; (N, inputs, H, W) -> (N, outputs, H, W).

    ``rate`` slows its learning down, ``bias`` is what its biases begin at, None: it has none.
    """

    kernel: Tensor | None

    def __init__(
        self, inputs: int, outputs: int, side: int = 1, *, bias: float | None = 0.0, rate: float = 1.0
    ) -> None:
        super().__init__()
        self.gain, self.rate = rate / math.sqrt(inputs * side**2), rate
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side) / rate)
        self.bias = None if bias is None else nn.Parameter(torch.full((outputs,), bias / rate))
        self.register_buffer("kernel", None, persistent=False)

    def settle(self) -> None:
        """Fixes the scaled weights as they are now, for an export."""
        self.kernel = (self.weight * self.gain).detach()
        if self.bias is not None:
            self.bias.data *= self.rate
        self.rate = 1.0

    def scaled(self) -> Tensor:
        """The weights as they are used."""
        return self.weight * self.gain if self.kernel is None else self.kernel

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias if self.bias is None or self.rate == 1 else self.bias * self.rate
        return F.conv2d(x, self.scaled(), bias, padding=self.weight.shape[-1] // 2)


class ModulatedConv2d(nn.Module):
    """A convolution of ``side`` 1 or 3 with zero padding, modulated by codes and demodulated; it has a bias.

    (N, inputs, H, W) and codes of ``codes`` channels, (N, c, 1, 1) each -> (N, outputs, H, W). The style is
    the sum of affine maps of the codes, 1 on the average of a new layer.
    """

    energy: Tensor | None

    def __init__(
        self, inputs: int, outputs: int, side: int, codes: Sequence[int], *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.convolution = EqualConv2d(inputs, outputs, side, bias=None)
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        self.styles = nn.ModuleList(
            EqualConv2d(code, inputs, bias=None if i else 1.0) for i, code in enumerate(codes)
        )
        self.demodulate = demodulate
        self.register_buffer("energy", None, persistent=False)

    def settle(self) -> None:
        """As :meth:`EqualConv2d.settle`, which its parts do by themselves."""
        self.energy = self._energy().detach()

    def _energy(self) -> Tensor:
        """Squares of each kernel's weights together, (outputs, inputs, 1, 1)."""
        return self.convolution.scaled().square().sum((2, 3), keepdim=True)

    def forward(self, x: Tensor, *codes: Tensor) -> Tensor:
        parts = [style(code) for style, code in zip(self.styles, codes, strict=True)]
        style = cast("Tensor", sum(parts[1:], parts[0]))
        y: Tensor = self.convolution(x * style)
        if self.demodulate:
            with torch.autocast(x.device.type, enabled=False):
                energy = self._energy() if self.energy is None else self.energy
                style = style.float()
                deviation = (F.conv2d(style * style, energy) + EPSILON).sqrt()
            y = y / deviation.to(y.dtype)
        return y + self.bias.to(y.dtype)


def low_pass(radius: int) -> Tensor:
    """A Kaiser-windowed low-pass filter for factors of 2: ``4 * radius + 2`` taps at the finer grid, sum 1.

    Its cut-off is the coarser grid's highest frequency.
    """
    taps = 4 * radius + 2
    places = np.arange(taps) - (taps - 1) / 2
    filter_ = np.kaiser(taps, BETA) * np.sinc(places / 2)
    return torch.from_numpy(filter_ / filter_.sum()).float()


def phases(radius: int, *, enlarging: bool) -> Tensor:
    """That filter for the four places in a cell: kernels (4, 2 * radius + 1, 2 * radius + 1), rows first.

    ``enlarging``: what makes the places of cells, each of sum 1. Otherwise what makes a cell of the places
    around it, of sum 1 together.
    """
    rows = low_pass(radius).view(2 * radius + 1, 2)  # of cells, the places in one
    if enlarging:  # a correlation sees the filter from the other side
        rows = 2 * rows.flip(0)
    return torch.einsum("ak,bl->klab", rows, rows).flatten(0, 1).contiguous()


class Filtered(nn.Module):
    """What filters of :func:`low_pass` do, for ``channels`` channels; sees ``radius`` cells around each.

    In training an enlargement is a transposed convolution of stride 2 and a reduction one of stride 2, the
    fastest in PyTorch. After :func:`settle` the places in a cell are channels, and all convolutions have
    stride 1: twice as fast in ONNX Runtime, and what bundles may hold. Both are the same numbers.
    """

    kernel: Tensor
    finer: Tensor
    coarser: Tensor

    def __init__(self, channels: int, radius: int = 1) -> None:
        super().__init__()
        self.channels, self.radius, self.settled = channels, radius, False
        row = low_pass(radius)
        finer, coarser = phases(radius, enlarging=True)[:, None], phases(radius, enlarging=False)[None]
        kernels = {"kernel": torch.outer(row, row)[None, None], "finer": finer, "coarser": GAIN * coarser}
        for name, kernel in kernels.items():
            self.register_buffer(name, kernel.repeat(channels, 1, 1, 1), persistent=False)

    def settle(self) -> None:
        """To the form for runtimes."""
        self.settled = True

    def enlarge(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, 2H, 2W); settled (N, 4C, H, W), to be shuffled."""
        if self.settled:
            return F.conv2d(x, self.finer, padding=self.radius, groups=self.channels)
        kernel = 4 * self.kernel.to(x.dtype)
        return F.conv_transpose2d(x, kernel, stride=2, padding=2 * self.radius, groups=self.channels)

    def reduce(self, x: Tensor) -> Tensor:
        """The inverse, of what :meth:`enlarge` makes; times GAIN, which would cost more at the finer grid."""
        if self.settled:
            return F.conv2d(x, self.coarser, padding=self.radius, groups=self.channels)
        kernel = GAIN * self.kernel.to(x.dtype)
        return F.conv2d(x, kernel, stride=2, padding=2 * self.radius, groups=self.channels)


class FilteredLeakyReLU(Filtered):
    """Enlarges twofold, applies LeakyReLU, reduces: (N, channels, H, W) -> the same. Sees 2 * radius cells.

    Short filters keep what tiles need around them small, but are no perfect low pass: with ``radius`` 1 (six
    taps) an alias of a wave of 0.35 cycles a cell has a third of its strength, with 2 a twentieth.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(F.leaky_relu(self.enlarge(x), SLOPE))


class Enlarge(Filtered):
    """(N, channels, H, W) -> (N, channels, 2H, 2W) by the same filter."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.enlarge(x), 2) if self.settled else self.enlarge(x)


class Mapping(nn.Module):
    """A mapping network: (N, inputs, 1, 1) -> a code (N, outputs, 1, 1).

    ``normalised``: each input is scaled to a root mean square of 1 first, as normal latents are. Its layers
    learn at ``rate`` times the others' speed (StyleGAN: 0.01).
    """

    def __init__(
        self, inputs: int, outputs: int, layers: int = 2, *, normalised: bool = False, rate: float = 0.01
    ) -> None:
        super().__init__()
        widths = [inputs, *[outputs] * layers]
        self.layers = nn.ModuleList(
            EqualConv2d(before, after, rate=rate) for before, after in pairwise(widths)
        )
        self.normalised = normalised

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            if self.normalised:
                x = x / ((x * x).mean(1, keepdim=True) + EPSILON).sqrt()
            for layer in self.layers:
                x = GAIN * F.leaky_relu(layer(x), SLOPE)
        return x


def settle(network: nn.Module) -> None:
    """Fixes what the layers above make of their weights alone, for an export; not to be trained after."""
    for module in network.modules():
        if isinstance(module, (EqualConv2d, ModulatedConv2d, Filtered)):
            module.settle()
