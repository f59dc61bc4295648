"""The networks that are trained: structures (OUR-GAN's and SinGAN's) and upscalers."""

from .coordinates import CoordConv2d
from .discriminators import PatchCritic, UpscalerDiscriminator
from .residual import ResidualNet
from .rrdb import RRDBNet
from .singan import SinganCritic, SinganGenerator, SinganStructure
from .structure import Encoder, Generator, Structure
from .upscalers import Upscaler, UpscalerSize, make_upscaler, size_of

AnyStructure = Structure | SinganStructure

__all__ = [
    "AnyStructure",
    "CoordConv2d",
    "Encoder",
    "Generator",
    "PatchCritic",
    "RRDBNet",
    "ResidualNet",
    "SinganCritic",
    "SinganGenerator",
    "SinganStructure",
    "Structure",
    "Upscaler",
    "UpscalerDiscriminator",
    "UpscalerSize",
    "make_upscaler",
    "size_of",
]
