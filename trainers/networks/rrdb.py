"""The upscaler: the RRDB generator of ESRGAN (Wang et al. 2018), x4.

Module names follow the layout of the public ESRGAN checkpoints (``conv_first``, ``body.0.rdb1.conv1``, ...),
so that weights can be exchanged with the rest of the field.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESIDUAL_SCALE = 0.2
SCALE = 4


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each of which sees the outputs of all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, growth, 3, 1, 1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, 1, 1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, 1, 1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, 1, 1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, 1, 1)
        self.lrelu = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.lrelu(self.conv1(x))
        x2 = self.lrelu(self.conv2(torch.cat((x, x1), 1)))
        x3 = self.lrelu(self.conv3(torch.cat((x, x1, x2), 1)))
        x4 = self.lrelu(self.conv4(torch.cat((x, x1, x2, x3), 1)))
        x5 = self.conv5(torch.cat((x, x1, x2, x3, x4), 1))
        return x5 * RESIDUAL_SCALE + x


class RRDB(nn.Module):
    """Residual in residual dense block: three dense blocks and a skip around them."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(features, growth)
        self.rdb2 = ResidualDenseBlock(features, growth)
        self.rdb3 = ResidualDenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        return self.rdb3(self.rdb2(self.rdb1(x))) * RESIDUAL_SCALE + x


class RRDBNet(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 3, 4H, 4W), nominally in [0, 1], not clamped."""

    def __init__(self, features: int = 64, blocks: int = 23, growth: int = 32) -> None:
        super().__init__()
        self.features, self.blocks, self.growth = features, blocks, growth
        self.conv_first = nn.Conv2d(3, features, 3, 1, 1)
        self.body = nn.Sequential(*(RRDB(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_up1 = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_up2 = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_hr = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_last = nn.Conv2d(features, 3, 3, 1, 1)
        self.lrelu = nn.LeakyReLU(0.2)
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):  # ESRGAN: small initial weights let deep residuals train
                nn.init.kaiming_normal_(module.weight)
                module.weight.data *= 0.1
        self._start_as_interpolation()

    @torch.no_grad()
    def _start_as_interpolation(self) -> None:
        """Sets the initial weights so that the untrained network is a linear interpolation.

        After each repetition of pixels a (1, 2, 1) filter makes the features linear in between: all kernels
        there start as multiples of it, so that no grid of repeated pixels has to be unlearned (the idea of
        ICNR, Aitken et al. 2017). The first three channels carry the picture through, as LeakyReLU leaves
        what is positive alone; the others start at random and weigh nothing at first. The layout of the
        weights stays the public one.
        """
        point = torch.zeros(3, 3)
        point[1, 1] = 1
        smooth = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])) / 16
        for convolution in (self.conv_up1, self.conv_up2):
            mixing = torch.empty_like(convolution.weight[:, :, :1, :1])
            convolution.weight.copy_(nn.init.kaiming_normal_(mixing) * smooth)
        nn.init.zeros_(self.conv_body.weight)
        nn.init.zeros_(self.conv_last.weight)
        carrying = (
            (self.conv_first, point),
            (self.conv_up1, smooth),
            (self.conv_up2, smooth),
            (self.conv_hr, point),
            (self.conv_last, point),
        )
        for convolution, kernel in carrying:
            for channel in range(3):
                convolution.weight[channel] = 0
                convolution.weight[channel, channel] = kernel
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv_first(x)
        features = features + self.conv_body(self.body(features))
        features = self.lrelu(self.conv_up1(F.interpolate(features, scale_factor=2.0, mode="nearest")))
        features = self.lrelu(self.conv_up2(F.interpolate(features, scale_factor=2.0, mode="nearest")))
        return self.conv_last(self.lrelu(self.conv_hr(features)))
