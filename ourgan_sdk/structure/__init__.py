"""Where a picture's layout comes from: the small structure that everything else enlarges.

`network` makes it from noise, as trained; `patches` composes it of a photograph's patches, untrained.
`layout` says what is asked of it, `start` what it may start from; `source` is what both are to the rest.
"""

from .layout import Layout
from .network import Draw, NetworkSource, read_reconstruction, reconstruction_feeds
from .patches import PatchesSource, level_count
from .source import Base, Start, StructurePicture, StructureSource, read_share, share_array
from .start import StartPicture, cells_of, moved
from .walk import ALPHA, BETA, steps_to_forget, walk

__all__ = [
    "ALPHA",
    "BETA",
    "Base",
    "Draw",
    "Layout",
    "NetworkSource",
    "PatchesSource",
    "Start",
    "StartPicture",
    "StructurePicture",
    "StructureSource",
    "cells_of",
    "level_count",
    "moved",
    "read_reconstruction",
    "read_share",
    "reconstruction_feeds",
    "share_array",
    "steps_to_forget",
    "walk",
]
