"""Passes: x4 enlargements of a picture, tile by tile: which tiles it takes, from where they are and to where.

Passes chain as generators of bands (`tile_loop.run_pass`): asking the last one for a band makes every earlier
one work just far enough ahead, and no intermediate picture is ever whole in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import Box, Grid
from ..engines import Engine, HostEngine
from .cache import TileCache
from .tiles import Bands, Tiles

__all__ = ["Bands", "Pass"]


@dataclass(frozen=True)
class Pass(Tiles):
    """Pass number `index` of a render: `engine`, of member `file`, applied to the tiles that `target` needs.

    `target` is a part of the result, in its pixels; the result is `scale` times the grid's picture. With a
    `cache`, tiles found there are not rendered again, and those rendered are kept there. Where an engine of
    half precision gives values that are not finite, `reference` is what renders those tiles again.
    """

    index: int
    file: str
    engine: Engine
    reference: Callable[[], HostEngine]
    grid: Grid
    scale: int
    deviation: float
    target: Box
    dtype: np.dtype[Any]
    cache: TileCache | None = None
