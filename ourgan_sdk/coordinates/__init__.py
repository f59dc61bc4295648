"""Pictures that a network makes of where their pixels lie, at any scale (Chai et al., ECCV 2022).

`placement` says where in a picture's square a canvas and its levels lie, and in which windows of cells they
are made; `picture` makes any part of them.
"""

from .picture import CoordinatesPicture, latent_of
from .placement import CellLevel, Placement, place

__all__ = ["CellLevel", "CoordinatesPicture", "Placement", "latent_of", "place"]
