"""The discriminators: a patch critic for the structure, a relativistic one for the upscaler."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .coordinates import CoordConv2d
from .structure import SLOPE


class PatchCritic(nn.Module):
    """D_m of HP-VAE-GAN: fully convolutional WGAN critic with vertical coordinates and spectral norm.

    (N, 3, H, W) -> (N, 1, H, W), one score per patch of ``2 * layers + 5`` pixels.
    """

    def __init__(self, channels: int, layers: int, *, vertical: bool = True) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for i in range(layers + 1):
            blocks += [
                spectral_norm(CoordConv2d(3 if i == 0 else channels, channels, vertical=vertical)),
                nn.LeakyReLU(SLOPE),
            ]
        self.blocks = nn.Sequential(*blocks)
        self.tail = CoordConv2d(channels, 1, vertical=vertical)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.blocks(x))


class UpscalerDiscriminator(nn.Module):
    """VGG-style discriminator of ESRGAN (Wang et al. 2018), ending in a map of scores instead of one.

    Each level halves the size and doubles the channels (at most x8). A map scores every patch by itself:
    with one photograph as the only data this resists memorising whole crops.
    (N, 3, H, W) -> (N, 1, H / 2**levels, W / 2**levels).
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Conv2d(3, channels, 3, 1, 1), nn.LeakyReLU(SLOPE)]
        width = channels
        for level in range(levels):
            wider = channels * min(2 ** (level + 1), 8)
            blocks += [
                spectral_norm(nn.Conv2d(width, width, 4, 2, 1)),
                nn.LeakyReLU(SLOPE),
                spectral_norm(nn.Conv2d(width, wider, 3, 1, 1)),
                nn.LeakyReLU(SLOPE),
            ]
            width = wider
        self.blocks = nn.Sequential(*blocks)
        self.tail = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.blocks(x))
