"""Passes: x4 enlargements of a picture, tile by tile: which tiles it takes, from where they are and to where.

Passes chain as generators of bands (`tile_loop.run_pass`): asking the last one for a band makes every earlier
one work just far enough ahead, and no intermediate picture is ever whole in memory.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from .._core import Box, Grid, Tile
from .._lazy import lazy
from ..arrays import Picture
from ..engines import Engine, HostEngine
from .cache import TileCache

__all__ = ["Bands", "Pass"]

Bands = Generator[Picture, None, None]


@dataclass(frozen=True)
class Pass:
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

    @property
    def work(self) -> int:
        """Input pixels that go through the engine."""
        return len(self.missing) * self.window_area

    @lazy
    def tiles(self) -> list[list[Tile]]:
        """The tiles whose cores touch the target, in rows."""
        grid, target, scale = self.grid, self.target, self.scale
        heights = [(i, grid.tile(i, 0).core) for i in range(grid.rows)]
        widths = [(i, grid.tile(0, i).core) for i in range(grid.columns)]
        rows = [i for i, core in heights if target.y0 < scale * core.y1 and scale * core.y0 < target.y1]
        columns = [i for i, core in widths if target.x0 < scale * core.x1 and scale * core.x0 < target.x1]
        return [[grid.tile(row, column) for column in columns] for row in rows]

    @lazy
    def known(self) -> dict[tuple[int, int], Picture]:
        """Results of tiles that were found in the cache, by row and column; held until this render ends."""
        if self.cache is None:
            return {}
        found = (((tile.row, tile.column), self.cache.get(self.key(tile))) for tile in chain(*self.tiles))
        return {place: picture for place, picture in found if picture is not None}

    @lazy
    def missing(self) -> list[Tile]:
        """The tiles that have to be rendered, row by row."""
        return [tile for tile in chain(*self.tiles) if (tile.row, tile.column) not in self.known]

    @property
    def source(self) -> Box:
        """The part of the grid's picture that the missing tiles read, of which there is at least one."""
        windows = [tile.window for tile in self.missing]
        return Box(
            max(min(window.y0 for window in windows), 0),
            max(min(window.x0 for window in windows), 0),
            min(max(window.y1 for window in windows), self.grid.height),
            min(max(window.x1 for window in windows), self.grid.width),
        )

    @property
    def window_area(self) -> int:
        """Input pixels that a tile takes through the engine."""
        return self.grid.window_height * self.grid.window_width

    def key(self, tile: Tile) -> tuple[int, str, int, int]:
        """What the cache knows a tile's result by."""
        return self.index, self.dtype.str, tile.row, tile.column

    def known_band(self, row: list[Tile]) -> Picture:
        """The band of a row of tiles, as far as it is known."""
        height = self.part(row[0]).height
        band = np.empty((height, self.target.width, 3), self.dtype)
        for tile in row:
            result = self.known.get((tile.row, tile.column))
            if result is not None:
                self.place(tile, result, band)
        return band

    def place(self, tile: Tile, result: Picture, band: Picture) -> None:
        """Copy what belongs to the target from the tile's whole result."""
        core, part = self.result(tile), self.part(tile)
        rows = slice(part.y0 - core.y0, part.y1 - core.y0)
        columns = slice(part.x0 - core.x0, part.x1 - core.x0)
        left = part.x0 - self.target.x0
        band[:, left : left + part.width] = result[rows, columns]

    def result(self, tile: Tile) -> Box:
        """What the tile owns of the result, in its pixels."""
        return Box(*(self.scale * coordinate for coordinate in tile.core))

    def part(self, tile: Tile) -> Box:
        """What the tile owns of the target, in the result's pixels."""
        core, target = self.result(tile), self.target
        return Box(
            max(core.y0, target.y0), max(core.x0, target.x0), min(core.y1, target.y1), min(core.x1, target.x1)
        )
