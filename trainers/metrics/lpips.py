"""Learned perceptual image patch similarity: how different two pictures look.

Zhang, Isola, Efros, Shechtman, Wang, "The unreasonable effectiveness of deep features as a perceptual metric"
(CVPR 2018), equation 1, with AlexNet (Krizhevsky, "One weird trick for parallelizing convolutional neural
networks", 2014) and linear weights on top, version 0.1.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.weight_files import load_weights

ALEXNET = "torchvision's AlexNet weight file (alexnet-owt-7be5be79.pth)"
LINEAR = "LPIPS' linear weights on AlexNet (alex.pth, version 0.1)"
CHANNELS = (64, 192, 384, 256, 256)
SIDE = 256  # pixels of the long side that pictures are compared at
SHIFT = (-0.030, -0.088, -0.188)  # of pictures in [-1, 1]: ImageNet's mean and deviation
SCALE = (0.458, 0.448, 0.450)
EPSILON = 1e-10


class AlexNet(nn.Module):
    """(N, 3, H, W) -> the outputs of its five convolutions, after their ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, 1, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, 1, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                outputs.append(x)
        return outputs


class Linear(nn.Module):
    """A weight per channel, called ``model.1`` as in the public file, where ``model.0`` is dropout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class LPIPS(nn.Module):
    """Two pictures (N, 3, H, W) in [0, 1], at least 32 x 32 -> their distances (N,)."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = AlexNet()
        self.linear = nn.ModuleDict({f"lin{i}": Linear(channels) for i, channels in enumerate(CHANNELS)})
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])

    @torch.no_grad()
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        pairs = zip(self.linear.values(), self._features(one), self._features(other), strict=True)
        distances = [linear((ours - theirs).square()).mean((1, 2, 3)) for linear, ours, theirs in pairs]
        return torch.stack(distances).sum(0)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        """Per layer the features, of unit length at every position."""
        outputs = self.backbone((2 * pictures - 1 - self.shift) / self.scale)
        return [F.normalize(x, eps=EPSILON) for x in outputs]

    @classmethod
    def load(cls, alexnet: str | Path, linear: str | Path) -> LPIPS:
        """Reads torchvision's AlexNet file and LPIPS' own; raises ValueError for files that are not these."""
        network = cls()
        load_weights(network.backbone, alexnet, ALEXNET)
        load_weights(network.linear, linear, LINEAR)
        return network
