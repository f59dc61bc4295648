"""The networks that are trained: structure (HP-VAE-GAN with vertical coordinates) and upscaler (RRDB)."""

from .coordinates import CoordConv2d
from .discriminators import PatchCritic, UpscalerDiscriminator
from .rrdb import RRDBNet
from .structure import Encoder, Generator, Structure

__all__ = [
    "CoordConv2d",
    "Encoder",
    "Generator",
    "PatchCritic",
    "RRDBNet",
    "Structure",
    "UpscalerDiscriminator",
]
