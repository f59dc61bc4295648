"""The structure network: HP-VAE-GAN (Gur et al. 2020) with vertical coordinates (OUR-GAN, section 3.1).

    x_0 = G_0(z_0)
    x_m = up(x_{m-1}) + G_m(up(x_{m-1}) + z_m)

There is no tanh on the sums, which HP-VAE-GAN has (``tanh``): this is OUR-GAN's formula; pictures are clamped
once, at the end. ``z_0`` is a spatial latent map; ``z_m`` is zero at patch-VAE scales and noise at patch-GAN
scales. Every scale has the same form, so that one list of noise maps describes a picture: its sizes, its
aspect, its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .coordinates import CoordConv2d, Padding

SLOPE = 0.2  # of every LeakyReLU (HP-VAE-GAN)

Upsampling = Literal["bilinear", "bicubic"]
Normalisation = Literal["sample", "batch"]

Start = tuple[Tensor, Tensor]
"""What a scale is given: a picture (N, 3, H, W) in [-1, 1], and its share (N, 1, H, W) in [0, 1]."""


class SampleNorm(nn.Module):
    """Batch normalisation over the statistics of the sample itself, in training and at synthesis alike.

    HP-VAE-GAN trains on copies of one picture and samples with batch normalisation in training mode: a sample
    is normalised by its own statistics. With running statistics the same weights give
    washed-out, nearly equal pictures. Statistics per sample have one meaning for any batch size, and
    export to ONNX as what they are.

    With ``normalisation`` "batch" the samples of a batch share their statistics, as in HP-VAE-GAN's training;
    for one sample, as at synthesis, it is the same.
    """

    def __init__(self, channels: int, normalisation: Normalisation = "sample") -> None:
        super().__init__()
        self.is_shared = normalisation == "batch"
        self.weight = nn.Parameter(torch.empty(channels).normal_(1.0, 0.02))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] == 1 or self.is_shared:
            return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, 1e-5)
        # F.instance_norm leaves the channels-last layout: a step in float32 takes a tenth longer.
        return torch.cat([self(sample[None]) for sample in x])


class Generator(nn.Module):
    """G_m: head, ``layers`` intermediate blocks conv-norm-LeakyReLU, tail: (N, C_in, H, W) to 3 channels."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        layers: int,
        *,
        vertical: bool = True,
        padding: Padding = "replicate",
        normalisation: Normalisation = "sample",
    ) -> None:
        super().__init__()
        conv = partial(CoordConv2d, vertical=vertical, padding=padding)
        blocks: list[nn.Module] = []
        for i in range(layers + 1):
            blocks += [
                conv(in_channels if i == 0 else channels, channels),
                SampleNorm(channels, normalisation),
                nn.LeakyReLU(SLOPE),
            ]
        self.blocks = nn.Sequential(*blocks)
        self.tail = conv(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.blocks(x))


class Encoder(nn.Module):
    """E: photograph at scale 0 (N, 3, H, W) -> mean and log-variance of z_0, each (N, latent, H, W).

    ``blocks`` convolutions with spectral norm behind a first one, as HP-VAE-GAN counts them.
    """

    def __init__(
        self,
        channels: int,
        latent: int,
        blocks: int,
        *,
        vertical: bool = True,
        padding: Padding = "replicate",
    ) -> None:
        super().__init__()
        conv = partial(CoordConv2d, vertical=vertical, padding=padding)
        layers: list[nn.Module] = []
        for i in range(blocks + 1):
            layers += [spectral_norm(conv(3 if i == 0 else channels, channels)), nn.LeakyReLU(SLOPE)]
        self.blocks = nn.Sequential(*layers)
        self.mean = conv(channels, latent)
        self.log_variance = conv(channels, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.blocks(x)
        return self.mean(features), self.log_variance(features)


def upsample(x: Tensor, like: Tensor, how: Upsampling = "bilinear") -> Tensor:
    """``x`` resized to the height and width of ``like``.

    Bilinear is with aligned corners, as in HP-VAE-GAN. Bicubic is without, so that pixels stay where the
    reductions of the photograph have them, and so that ONNX Runtime agrees at every size.
    """
    return F.interpolate(x, size=like.shape[-2:], mode=how, align_corners=how == "bilinear")


def inject(x: Tensor, start: Start) -> Tensor:
    """``x`` (N, 3, H, W) where the share is 0, what is given where it is 1 (SinGAN, section 4).

    The scales above see it as their own: what was fed in comes out as the photograph would have it.
    """
    given, share = start
    return share * given + (1 - share) * x


class Structure(nn.Module):
    """All generators G_0 .. G_M as one network: noise maps in, picture in [-1, 1] out.

    Pictures are float32. ``dtype`` is what generators compute in, which bfloat16 makes faster while training;
    what is sampled and exported is float32 throughout. ``tanh``: on what every scale makes.
    """

    margin = 0  # pixels by which a noise map is larger than its scale, on every side
    takes_starts = True

    def __init__(
        self,
        scales: int,
        channels: int,
        layers: int,
        latent: int,
        *,
        vertical: bool = True,
        padding: Padding = "replicate",
        upsampling: Upsampling = "bilinear",
        normalisation: Normalisation = "sample",
        tanh: bool = False,
    ) -> None:
        super().__init__()
        self.noise_channels = [latent] + [3] * (scales - 1)
        self.upsampling, self.tanh = upsampling, tanh
        alike = {"vertical": vertical, "padding": padding, "normalisation": normalisation}
        self.generators = nn.ModuleList(
            Generator(latent if m == 0 else 3, channels, layers, **alike)  # type: ignore[arg-type]
            for m in range(scales)
        )

    def start(self, noise: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """x_0 from z_0 (N, latent, H_0, W_0)."""
        x: Tensor = self.generators[0](noise.to(dtype))
        return self._bounded(x.float())

    def step(self, m: int, previous: Tensor, noise: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """x_m from x_{m-1} (``previous``, any size) and z_m (N, 3, H_m, W_m)."""
        return self.refine(m, self.upsample(previous, noise), noise, dtype)

    def upsample(self, x: Tensor, like: Tensor) -> Tensor:
        """up(x), of the height and width of ``like``."""
        return upsample(x, like, self.upsampling)

    def refine(self, m: int, up: Tensor, noise: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """x_m from up(x_{m-1}) and z_m, both (N, 3, H_m, W_m)."""
        residual: Tensor = self.generators[m]((up + noise).to(dtype))
        return self._bounded(up + residual)

    def _bounded(self, x: Tensor) -> Tensor:
        return x.tanh() if self.tanh else x

    def forward(
        self,
        noises: Sequence[Tensor],
        dtype: torch.dtype = torch.float32,
        starts: Sequence[Start] = (),
    ) -> Tensor:
        """x_m for m = len(noises) - 1.

        ``noises``: z_0 (N, latent, H_0, W_0), then z_m (N, 3, H_m, W_m). ``starts``: what scales 0, 1, ...
        are given; as many as there are.
        """
        x = self.start(noises[0], dtype)
        for m in range(1, len(noises)):
            if m <= len(starts):
                x = inject(x, starts[m - 1])
            x = self.step(m, x, noises[m], dtype)
        return x
