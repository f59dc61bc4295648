"""The networks that are trained: structures (OUR-GAN's, SinGAN's and ConSinGAN's) and upscalers."""

from .consingan import ConsinganCritic, ConsinganStructure
from .coordinates import CoordConv2d
from .discriminators import PatchCritic, UpscalerDiscriminator
from .residual import ResidualNet
from .rrdb import RRDBNet
from .singan import SinganCritic, SinganGenerator, SinganStructure
from .structure import Encoder, Generator, Structure
from .upscalers import Upscaler, UpscalerSize, make_upscaler, size_of

AnyStructure = Structure | SinganStructure | ConsinganStructure

__all__ = [
    "AnyStructure",
    "ConsinganCritic",
    "ConsinganStructure",
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
