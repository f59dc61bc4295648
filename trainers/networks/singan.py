"""The networks of SinGAN (Shaham, Dekel, Michaeli, ICCV 2019): a generator and a critic per scale.

    x_0 = G_0(pad(z_0))
    x_m = G_m(pad(up(x_{m-1})) + pad(z_m)) + up(x_{m-1})

Convolutions have no padding of their own: what surrounds a picture is there once, before the first of them.
High-Res-SinGAN (Son, Rehman, Solzbacher) has the same form with more layers and one width at all scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .structure import SLOPE, SampleNorm, Start, inject, upsample

NoisePadding = Literal["zeros", "noise"]

EPSILON = 1e-5  # of SampleNorm


class ValidConv2d(nn.Module):
    """3 x 3 convolution without padding: (N, in_channels, H, W) -> (N, out_channels, H - 2, W - 2).

    It computes in the input's dtype; weights stay float32. They start as SinGAN's do (normal, deviation
    0.02), biases at zero.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3).normal_(0.0, 0.02))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype))

    def transposed(self, gradient: Tensor) -> Tensor:
        """The gradient with respect to the input, given that with respect to the output.

        (N, out_channels, H - 2, W - 2) -> (N, in_channels, H, W), differentiable with respect to the weight.
        """
        return F.conv_transpose2d(gradient, self.weight)


def conv_blocks(width: int, count: int) -> nn.Sequential:
    """``count`` blocks convolution, norm, LeakyReLU: (N, 3, H, W) -> (N, width, H - 2 count, W - 2 count)."""
    blocks: list[nn.Module] = []
    for i in range(count):
        blocks += [ValidConv2d(3 if i == 0 else width, width), SampleNorm(width), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*blocks)


class SinganGenerator(nn.Module):
    """G_m: ``layers`` convolutions, (N, 3, H + 2 layers, W + 2 layers) -> (N, 3, H, W) in [-1, 1].

    SinGAN samples in training mode, one picture at a time: a sample is normalised by its own statistics.
    """

    def __init__(self, width: int, layers: int = 5) -> None:
        super().__init__()
        self.blocks = conv_blocks(width, layers - 1)
        self.tail = ValidConv2d(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.tail(self.blocks(x)))


class SinganCritic(nn.Module):
    """D_m: WGAN critic, (N, 3, H, W) -> (N, 1, H - 2 layers, W - 2 layers), one score per patch."""

    def __init__(self, width: int, layers: int = 5) -> None:
        super().__init__()
        self.width = width
        self.blocks = conv_blocks(width, layers - 1)
        self.tail = ValidConv2d(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.blocks(x))

    def input_gradient(self, x: Tensor) -> Tensor:
        """Gradient of the sum of all scores with respect to ``x``: (N, 3, H, W) -> (N, 3, H, W).

        It is differentiable with respect to the weights, for a gradient penalty. Autograd's own
        (``create_graph=True``) is the same and slower: it takes a convolution's double backward as a
        convolution with a kernel as large as the picture. Batch normalisation makes the gradient depend on
        what it normalises, and so on all weights before it: only the slopes of activations are constants.
        """
        kept = []
        for convolution, norm, _ in self._layers():
            y = convolution(x)
            variance, mean = torch.var_mean(y, (2, 3), correction=0, keepdim=True)
            inverse = (variance + EPSILON).rsqrt()
            normalised = (y - mean) * inverse
            factor = norm.weight[:, None, None]
            x = normalised * factor + norm.bias[:, None, None]
            with torch.no_grad():
                slope = torch.full_like(x, SLOPE).masked_fill_(x > 0, 1.0)
            x = x * slope
            kept.append((convolution, normalised, inverse * factor, slope))
        scores = x.new_ones(x.shape[0], 1, x.shape[2] - 2, x.shape[3] - 2)
        gradient = self.tail.transposed(scores)
        for convolution, normalised, factor, slope in kept[::-1]:
            gradient = convolution.transposed(through_norm(gradient * slope, normalised) * factor)
        return gradient

    def _layers(self) -> list[tuple[ValidConv2d, SampleNorm, nn.LeakyReLU]]:
        """The blocks' convolutions, norms and activations."""
        layers = list(self.blocks)
        return list(zip(layers[::3], layers[1::3], layers[2::3], strict=True))  # type: ignore[arg-type]


def through_norm(gradient: Tensor, normalised: Tensor) -> Tensor:
    """The gradient with respect to what is normalised, times its deviation, given that behind it.

    Both (N, C, H, W). The parts along the mean and along the deviation do not get through.
    """
    along = (gradient * normalised).mean((2, 3), keepdim=True)
    return gradient - gradient.mean((2, 3), keepdim=True) - normalised * along


class SinganStructure(nn.Module):
    """All generators G_0 .. G_M as one network: noise maps in, picture (near [-1, 1]) out.

    ``widths``: channels of each. The coarsest scale's noise has one channel, which stands for all colours.
    Padded with zeros, noise maps have the size of their scales. Padded with noise, they are ``margin`` pixels
    larger on every side, and only the picture is padded with zeros: nothing then tells the network where a
    border is, so that borders vary as much as the rest (SinGAN's code, for animations).
    """

    takes_starts = True

    def __init__(self, widths: Sequence[int], layers: int = 5, padding: NoisePadding = "zeros") -> None:
        super().__init__()
        self.layers, self.padding = layers, padding
        self.margin = layers if padding == "noise" else 0
        self.noise_channels = [1] + [3] * (len(widths) - 1)
        self.generators = nn.ModuleList(SinganGenerator(width, layers) for width in widths)

    def start(self, noise: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """x_0 (N, 3, H_0, W_0) from z_0 (N, 1, H_0 + 2 margin, W_0 + 2 margin)."""
        # Padded before it is repeated: ONNX would make padding right before a convolution a part of it.
        padded = torch.cat([self._pad_noise(noise)] * 3, 1)
        x: Tensor = self.generators[0](padded.to(dtype))
        return x.float()

    def step(self, m: int, previous: Tensor, noise: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """x_m from x_{m-1} (``previous``, any size) and z_m (N, 3, H_m + 2 margin, W_m + 2 margin)."""
        return self.refine(m, self.upsample(previous, noise), noise, dtype)

    def upsample(self, x: Tensor, noise: Tensor) -> Tensor:
        """up(x), of the height and width of the scale that ``noise`` is for."""
        if self.margin == 0:
            return upsample(x, noise, "bicubic")
        height, width = (side - 2 * self.margin for side in noise.shape[-2:])
        return F.interpolate(x, size=(height, width), mode="bicubic", align_corners=False)

    def refine(self, m: int, up: Tensor, noise: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """x_m from up(x_{m-1}) (N, 3, H_m, W_m) and z_m (N, 3, H_m + 2 margin, W_m + 2 margin)."""
        # Each padded by itself, for ONNX as above.
        padded = F.pad(up, (self.layers,) * 4) + self._pad_noise(noise)
        residual: Tensor = self.generators[m](padded.to(dtype))
        return up + residual

    def _pad_noise(self, noise: Tensor) -> Tensor:
        """``noise`` with what surrounds it."""
        return noise if self.margin else F.pad(noise, (self.layers,) * 4)

    def forward(
        self,
        noises: Sequence[Tensor],
        dtype: torch.dtype = torch.float32,
        starts: Sequence[Start] = (),
    ) -> Tensor:
        """x_m for m = len(noises) - 1.

        ``noises``: z_0 (N, 1, ...), then z_m (N, 3, ...), each ``margin`` pixels larger on every side than
        its scale. ``starts``: what scales 0, 1, ... are given; as many as there are.
        """
        x = self.start(noises[0], dtype)
        for m in range(1, len(noises)):
            if m <= len(starts):
                x = inject(x, starts[m - 1])
            x = self.step(m, x, noises[m], dtype)
        return x
