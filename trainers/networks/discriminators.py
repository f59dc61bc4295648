"""The discriminators: a patch critic for the structure, a relativistic one for the upscaler."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .coordinates import CoordConv2d, Padding
from .structure import SLOPE


class PatchCritic(nn.Module):
    """D_m of HP-VAE-GAN: fully convolutional WGAN critic with vertical coordinates and spectral norm.

    (N, 3, H, W) -> (N, 1, H, W), one score per patch of ``2 * layers + 5`` pixels.
    """

    def __init__(
        self, channels: int, layers: int, *, vertical: bool = True, padding: Padding = "replicate"
    ) -> None:
        super().__init__()
        conv = partial(CoordConv2d, vertical=vertical, padding=padding)
        blocks: list[nn.Module] = []
        for i in range(layers + 1):
            blocks += [spectral_norm(conv(3 if i == 0 else channels, channels)), nn.LeakyReLU(SLOPE)]
        self.blocks = nn.Sequential(*blocks)
        self.tail = conv(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.blocks(x))

    def input_gradient(self, x: Tensor) -> Tensor:
        """Gradient of the sum of all scores with respect to ``x``: (N, 3, H, W) -> (N, 3, H, W).

        It is differentiable with respect to the weights, for a gradient penalty. Autograd's own
        (``create_graph=True``) is the same and slower: it takes a convolution's double backward as a
        convolution with a kernel as large as the picture. This critic is linear in ``x`` but for the slopes
        of its activations, so its gradient is a chain of transposed convolutions.
        """
        convolutions, slopes = [], []
        with torch.no_grad():
            for block in self.blocks:
                x = block(x)
                if isinstance(block, CoordConv2d):
                    convolutions.append(block)
                else:
                    slopes.append(torch.where(x > 0, 1.0, SLOPE).to(x.dtype))
            gradient = torch.ones_like(x[:, :1])
        gradient = self.tail.transposed(gradient)
        for convolution, slope in zip(convolutions[::-1], slopes[::-1], strict=True):
            gradient = convolution.transposed(gradient * slope)
        return gradient


class UpscalerDiscriminator(nn.Module):
    """VGG-style discriminator of ESRGAN (Wang et al. 2018), ending in a map of scores instead of one.

    Each level halves the size and doubles the channels (at most x8). A map scores every patch by itself: with
    one photograph as the only data this resists memorising whole crops. All convolutions have spectral norm
    (Miyato et al. 2018) in place of the reference's batch normalisation: the gradient stays bounded.
    (N, 3, H, W) -> (N, 1, H / 2**levels, W / 2**levels).
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = [spectral_norm(nn.Conv2d(3, channels, 3, 1, 1)), nn.LeakyReLU(SLOPE)]
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
        self.tail = spectral_norm(nn.Conv2d(width, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.blocks(x))
