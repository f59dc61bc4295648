"""Perceptual features: VGG19 up to conv5_4, before its activation (ESRGAN, Wang et al. 2018)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from .weight_files import load_weights

LAYERS = (
    64,
    64,
    0,
    128,
    128,
    0,
    256,
    256,
    256,
    256,
    0,
    512,
    512,
    512,
    512,
    0,
    512,
    512,
    512,
    512,
)  # 0: max-pool


FILE = "vgg19-dcbb9e9d.pth"  # torchvision's


def find_weights(given: Path | None) -> Path | None:
    """The weight file given; else the one that torch hub has downloaded before; None where there is none."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    return given or (cached if cached.is_file() else None)


class VGGFeatures(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 512, H / 16, W / 16); frozen once loaded.

    The architecture stands here because torchvision need not be installed; the weights are its official
    ``vgg19`` file (IMAGENET1K_V1: keys ``features.0.weight`` ... ``features.34.bias``).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in LAYERS:
            if width == 0:
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers[:-1])
        for name, values in (("mean", [0.485, 0.456, 0.406]), ("deviation", [0.229, 0.224, 0.225])):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.features((x - self.mean) / self.deviation)
        return features

    @classmethod
    def load(cls, path: str | Path) -> VGGFeatures:
        """Reads torchvision's VGG19 weight file.

        Raises:
            ValueError: the file cannot be read, or is not that file.
        """
        network = cls()
        load_weights(network, path, f"torchvision's VGG19 weight file ({FILE})")
        return network
