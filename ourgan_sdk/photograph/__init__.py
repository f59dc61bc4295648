"""Photographs as other programs show them: upright, 8-bit sRGB; or refused, and why.

One reader for training and for what a bundle holds, on libvips.
"""

from ..errors import PhotographError
from .kinds import SUFFIXES
from .member import photograph_member
from .reader import MAX_PIXELS, Photograph, decode_photograph, read_photograph

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Photograph",
    "PhotographError",
    "decode_photograph",
    "photograph_member",
    "read_photograph",
]
