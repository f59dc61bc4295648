"""Which tiles of a grid a part of a picture takes, from where they are and to where."""

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator
from itertools import chain
from typing import Any

import numpy as np

from .._core import Box, Grid, Tile
from ..arrays import Picture
from ..system.lazy import lazy
from .cache import TileCache

__all__ = ["Bands", "Tiles"]

Bands = Generator[Picture, None, None]


class Tiles:
    """The tiles of `grid` that `target` needs, a part of a result that is `scale` times the grid's picture.

    With a `cache`, tiles found there are not rendered again; `index` tells grids apart in it.
    """

    index: int
    grid: Grid
    scale: int
    target: Box
    dtype: np.dtype[Any]
    cache: TileCache | None

    @property
    def work(self) -> int:
        """What goes through the network, in pixels of the grid."""
        return self.missing_count * self.window_area

    @lazy
    def _rows(self) -> range:
        """The rows of tiles whose cores touch the target."""
        all_rows, scale = range(self.grid.rows), self.scale
        first = bisect_right(all_rows, self.target.y0, key=lambda row: scale * self.grid.tile(row, 0).core.y1)
        last = bisect_left(all_rows, self.target.y1, key=lambda row: scale * self.grid.tile(row, 0).core.y0)
        return range(first, last)

    @lazy
    def _columns(self) -> range:
        """And the columns."""
        every, scale = range(self.grid.columns), self.scale
        first = bisect_right(
            every, self.target.x0, key=lambda column: scale * self.grid.tile(0, column).core.x1
        )
        last = bisect_left(
            every, self.target.x1, key=lambda column: scale * self.grid.tile(0, column).core.x0
        )
        return range(first, last)

    @property
    def tiles(self) -> Iterator[list[Tile]]:
        """The tiles whose cores touch the target, in rows; of a picture that nobody can finish, very many."""
        return ([self.grid.tile(row, column) for column in self._columns] for row in self._rows)

    @lazy
    def known(self) -> dict[tuple[int, int], Picture]:
        """Results of tiles that were found in the cache, by row and column; held until this render ends."""
        if self.cache is None:
            return {}
        every = chain.from_iterable(self.tiles)
        found = (((tile.row, tile.column), self.cache.get(self.key(tile))) for tile in every)
        return {place: picture for place, picture in found if picture is not None}

    @property
    def missing(self) -> Iterator[Tile]:
        """The tiles that have to be rendered, row by row."""
        every = chain.from_iterable(self.tiles)
        return (tile for tile in every if (tile.row, tile.column) not in self.known)

    @property
    def missing_count(self) -> int:
        """How many."""
        return len(self._rows) * len(self._columns) - len(self.known)

    @lazy
    def source(self) -> Box:
        """The part of the grid's picture that the missing tiles read, of which there is at least one."""
        if self.known:
            windows = [tile.window for tile in self.missing]
        else:
            ends = ((self._rows[end], self._columns[end]) for end in (0, -1))
            windows = [self.grid.tile(*place).window for place in ends]
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
