"""The networks of ConSinGAN (Hinz, Fisher, Wang, Wermter, WACV 2021): one generator that grows, and a critic.

    f_0 = B_0(pad(enlarge(head(pad(z_0)))))
    f_m = up(f_{m-1}) + B_m(up'(f_{m-1}) + z_m)
    x_m = tanh(tail(pad(f_m)))

Features go from stage to stage, not pictures: there is a picture behind the last stage alone. Convolutions
have no padding of their own; ``up'`` enlarges to as many more pixels as a stage's convolutions take away, and
noise covers those as well, so that borders vary as much as the rest. Nothing is normalised.

Enlarging is bicubic without aligned corners (with them in the authors' code), for the reasons of
:func:`trainers.networks.structure.upsample`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .singan import ValidConv2d
from .structure import Start

SLOPE = 0.05  # of every LeakyReLU
HEAD_GROWTH = 2  # pixels by which what the head makes is enlarged, for the borders' sake


def plain_blocks(in_channels: int, width: int, count: int) -> nn.Sequential:
    """``count`` blocks convolution, LeakyReLU: (N, in_channels, H, W) -> (N, width, H - 2 count, ...)."""
    blocks: list[nn.Module] = []
    for i in range(count):
        blocks += [ValidConv2d(in_channels if i == 0 else width, width), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*blocks)


class ConsinganCritic(nn.Module):
    """WGAN critic, (N, 3, H, W) -> (N, 1, H - 2 (layers + 2), ...), one score per patch of 2 layers + 5."""

    def __init__(self, width: int, layers: int = 3) -> None:
        super().__init__()
        self.blocks = plain_blocks(3, width, layers + 1)
        self.tail = ValidConv2d(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.blocks(x))

    def input_gradient(self, x: Tensor) -> Tensor:
        """Gradient of the sum of all scores with respect to ``x``: (N, 3, H, W) -> (N, 3, H, W).

        It is differentiable with respect to the weights, for a gradient penalty, and as autograd's own, in
        less time: the critic is linear but for the slopes of its activations, so the gradient is a chain of
        transposed convolutions.
        """
        convolutions, slopes = [], []
        with torch.no_grad():
            for block in self.blocks:
                x = block(x)
                if isinstance(block, ValidConv2d):
                    convolutions.append(block)
                else:
                    slopes.append(torch.full_like(x, SLOPE).masked_fill_(x > 0, 1.0))
            scores = x.new_ones(x.shape[0], 1, x.shape[2] - 2, x.shape[3] - 2)
        gradient = self.tail.transposed(scores)
        for convolution, slope in zip(convolutions[::-1], slopes[::-1], strict=True):
            gradient = convolution.transposed(gradient * slope)
        return gradient


class ConsinganStructure(nn.Module):
    """The whole generator: noise maps in, picture in [-1, 1] out.

    Noise maps are ``margin`` pixels larger than their stages on every side; z_0 has three channels, as the
    photograph's reduction that takes its place for the reconstruction, and its margin is not used. The others
    have as many channels as features. ``generators`` are the stages B_0, B_1, ...
    """

    takes_starts = False  # between stages there is no picture that another could take the place of

    def __init__(self, stages: int, width: int, layers: int = 3) -> None:
        super().__init__()
        self.layers = self.margin = layers
        self.noise_channels = [3] + [width] * (stages - 1)
        self.head = plain_blocks(3, width, 1)
        self.generators = nn.ModuleList(plain_blocks(width, width, layers) for _ in range(stages))
        self.tail = ValidConv2d(width, 3)

    def start(self, noise: Tensor) -> Tensor:
        """f_0 (N, width, H_0, W_0) from z_0 (N, 3, H_0 + 2 margin, W_0 + 2 margin)."""
        inner = noise[..., self.margin : -self.margin, self.margin : -self.margin]
        features: Tensor = self.head(F.pad(inner, (1,) * 4))
        height, width = inner.shape[-2:]
        enlarged = resize(features, height + HEAD_GROWTH, width + HEAD_GROWTH)
        made: Tensor = self.generators[0](F.pad(enlarged, (self.layers - HEAD_GROWTH // 2,) * 4))
        return made

    def refine(self, m: int, features: Tensor, noise: Tensor) -> Tensor:
        """f_m from f_{m-1} (``features``, any size) and z_m (N, width, H_m + 2 margin, W_m + 2 margin)."""
        height, width = noise.shape[-2:]
        around = 2 * self.margin
        residual: Tensor = self.generators[m](resize(features, height, width) + noise)
        return resize(features, height - around, width - around) + residual

    def picture(self, features: Tensor) -> Tensor:
        """x_m (N, 3, H_m, W_m) from f_m."""
        return torch.tanh(self.tail(F.pad(features, (1,) * 4)))

    def features(self, noises: Sequence[Tensor]) -> Tensor:
        """f_m for m = len(noises) - 1."""
        result = self.start(noises[0])
        for m, noise in enumerate(noises[1:], 1):
            result = self.refine(m, result, noise)
        return result

    def forward(
        self,
        noises: Sequence[Tensor],
        dtype: torch.dtype = torch.float32,
        starts: Sequence[Start] = (),
    ) -> Tensor:
        """x_m for m = len(noises) - 1; what noises are: see the class.

        Raises:
            ValueError: there are starts, or another type to compute in than float32, as other structures
                have them.
        """
        if starts or dtype != torch.float32:
            raise ValueError("expected no starts and float32: a ConSinGAN's stages hand on features")
        return self.picture(self.features(noises))


def resize(features: Tensor, height: int, width: int) -> Tensor:
    """``features`` (N, C, h, w) at another size, bicubic."""
    return F.interpolate(features, size=(height, width), mode="bicubic", align_corners=False)
