"""Where a picture's layout comes from: the small structure that everything else enlarges.

`network` makes it from noise, as trained; `patches` composes it of a photograph's patches, untrained.
`layout` says what is asked of it; `source` is what both are to the rest.
"""

from .layout import Layout
from .network import NetworkSource, render_structure
from .patches import PatchesSource
from .source import Start, StructurePicture, StructureSource

__all__ = [
    "Layout",
    "NetworkSource",
    "PatchesSource",
    "Start",
    "StructurePicture",
    "StructureSource",
    "render_structure",
]
