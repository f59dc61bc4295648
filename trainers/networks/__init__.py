"""The networks that are trained: structure (HP-VAE-GAN with vertical coordinates) and upscalers."""

from .coordinates import CoordConv2d
from .discriminators import PatchCritic, UpscalerDiscriminator
from .residual import ResidualNet
from .rrdb import RRDBNet
from .structure import Encoder, Generator, Structure
from .upscalers import Upscaler, UpscalerSize, make_upscaler, size_of

__all__ = [
    "CoordConv2d",
    "Encoder",
    "Generator",
    "PatchCritic",
    "RRDBNet",
    "ResidualNet",
    "Structure",
    "Upscaler",
    "UpscalerDiscriminator",
    "UpscalerSize",
    "make_upscaler",
    "size_of",
]
