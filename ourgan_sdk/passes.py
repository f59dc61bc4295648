"""Passes: x4 enlargements of a picture, tile by tile, as generators of bands.

A pass pulls rows from its source only when its next tiles need them, and yields its bands from top to bottom.
So passes chain: asking the last one for a band makes every earlier one work just far enough ahead, and no
intermediate picture is ever whole in memory.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from ._core import Box, Grid, NonFiniteError, Pipeline, Tile
from .arrays import Picture
from .cache import TileCache
from .engines import Engine
from .progress import RenderStats

__all__ = ["Bands", "Pass"]

STREAM = 256
"""Noise of pass p is drawn from stream 256 + p; the streams below belong to the structure."""

Bands = Generator[Picture, None, None]

T = TypeVar("T")


@dataclass(frozen=True)
class Pass:
    """Pass number `index` of a render: `engine` applied to the tiles of `grid` that `target` needs.

    `target` is a part of the result, in its pixels; the result is `scale` times the grid's picture. With a
    `cache`, tiles found there are not rendered again, and those rendered are kept there.
    """

    index: int
    engine: Engine
    grid: Grid
    scale: int
    deviation: float
    target: Box
    dtype: np.dtype[Any]
    cache: TileCache | None = None

    @property
    def work(self) -> int:
        """Input pixels that go through the engine."""
        return len(self.missing) * self._window_area

    @functools.cached_property
    def tiles(self) -> list[list[Tile]]:
        """The tiles whose cores touch the target, in rows."""
        grid, target, scale = self.grid, self.target, self.scale
        heights = [(i, grid.tile(i, 0).core) for i in range(grid.rows)]
        widths = [(i, grid.tile(0, i).core) for i in range(grid.columns)]
        rows = [i for i, core in heights if target.y0 < scale * core.y1 and scale * core.y0 < target.y1]
        columns = [i for i, core in widths if target.x0 < scale * core.x1 and scale * core.x0 < target.x1]
        return [[grid.tile(row, column) for column in columns] for row in rows]

    @functools.cached_property
    def known(self) -> dict[tuple[int, int], Picture]:
        """Results of tiles that were found in the cache, by row and column; held until this render ends."""
        if self.cache is None:
            return {}
        found = (((tile.row, tile.column), self.cache.get(self._key(tile))) for tile in chain(*self.tiles))
        return {place: picture for place, picture in found if picture is not None}

    @functools.cached_property
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

    def bands(self, source: Bands, seed: int, stats: RenderStats, advance: Callable[[int], object]) -> Bands:
        """Yield the target's bands, (h, target's width, 3) of `dtype`; each belongs to whoever takes it.

        `source` yields the part of the grid's picture that `self.source` names. `stats` is added to and
        `advance` called with every tile's work. Closing the generator closes `source` and drains the tiles
        in flight. Raises NonFiniteError if the network gives NaN or infinity, MemoryError (EngineMemoryError
        from the engine) if there is no room for the windows.
        """
        if not self.missing:
            source.close()
            yield from map(self._known_band, self.tiles)
            return
        window, slots = (self.grid.window_height, self.grid.window_width), self.engine.rules.slots
        with contextlib.closing(source), Pipeline(3, *window, self.scale, slots=slots) as pipeline:
            runs = [self.engine.bind(pipeline, slot) for slot in range(slots)]
            packed = _one_ahead(self._pack(pipeline, source, seed))
            finished: tuple[int | None, Picture] | None = None
            for row in self.tiles:
                band, ticket = self._known_band(row), None  # never reused: whoever takes it may keep it
                for tile in row:
                    if (tile.row, tile.column) in self.known:
                        continue
                    slot = next(packed)
                    pipeline.packed(slot)
                    started = time.perf_counter()
                    runs[slot]()
                    stats.engine_seconds += time.perf_counter() - started
                    stats.tiles += 1
                    stats.window_pixels += self._window_area
                    ticket = self._unpack(pipeline, slot, tile, band)
                    advance(self._window_area)
                    # A band is waited for only now, a tile later, so that its last one is unpacked meanwhile.
                    if finished is not None:
                        yield _settled(pipeline, *finished)
                        finished = None
                if finished is not None:  # the row after it was known altogether
                    yield _settled(pipeline, *finished)
                finished = ticket, band
            if finished is not None:
                yield _settled(pipeline, *finished)

    @property
    def _window_area(self) -> int:
        return self.grid.window_height * self.grid.window_width

    def _key(self, tile: Tile) -> tuple[int, str, int, int]:
        return self.index, self.dtype.str, tile.row, tile.column

    def _pack(self, pipeline: Pipeline, source: Bands, seed: int) -> Iterator[int]:
        """Start packing one missing tile after the other, and yield its slot."""
        whole, part = (self.grid.height, self.grid.width), self.source
        rows = _Rows(source, part.y0)
        for tile in self.missing:
            picture, top = rows.window(max(tile.window.y0, 0), min(tile.window.y1, self.grid.height))
            origin, stream = (top, part.x0), STREAM + self.index
            yield pipeline.pack(picture, tile.window, origin, whole, seed, stream, self.deviation)

    def _unpack(self, pipeline: Pipeline, slot: int, tile: Tile, band: Picture) -> int:
        """Start unpacking a tile into `band`, by way of the cache where there is one; returns a ticket."""
        part = self._part(tile)
        y, x = self.scale * tile.window.y0, self.scale * tile.window.x0
        if self.cache is None:
            crop = Box(part.y0 - y, part.x0 - x, part.y1 - y, part.x1 - x)
            return pipeline.unpack(slot, crop, band, 0, part.x0 - self.target.x0)
        core = self._result(tile)
        result = np.empty((core.height, core.width, 3), self.dtype)
        ticket = pipeline.unpack(slot, Box(core.y0 - y, core.x0 - x, core.y1 - y, core.x1 - x), result, 0, 0)
        _wait(pipeline, ticket)
        self._place(tile, result, band)
        self.cache.put(self._key(tile), result)
        return ticket

    def _known_band(self, row: list[Tile]) -> Picture:
        """The band of a row of tiles, as far as it is known."""
        height = self._part(row[0]).height
        band = np.empty((height, self.target.width, 3), self.dtype)
        for tile in row:
            result = self.known.get((tile.row, tile.column))
            if result is not None:
                self._place(tile, result, band)
        return band

    def _place(self, tile: Tile, result: Picture, band: Picture) -> None:
        """Copy what belongs to the target from the tile's whole result."""
        core, part = self._result(tile), self._part(tile)
        rows = slice(part.y0 - core.y0, part.y1 - core.y0)
        columns = slice(part.x0 - core.x0, part.x1 - core.x0)
        left = part.x0 - self.target.x0
        band[:, left : left + part.width] = result[rows, columns]

    def _result(self, tile: Tile) -> Box:
        """What the tile owns of the result, in its pixels."""
        return Box(*(self.scale * coordinate for coordinate in tile.core))

    def _part(self, tile: Tile) -> Box:
        """What the tile owns of the target, in the result's pixels."""
        core, target = self._result(tile), self.target
        return Box(
            max(core.y0, target.y0), max(core.x0, target.x0), min(core.y1, target.y1), min(core.x1, target.x1)
        )


class _Rows:
    """The rows of a picture that are still needed, pulled from a generator of its bands."""

    def __init__(self, source: Iterator[Picture], top: int) -> None:
        self._source = source
        self._rows = next(source)
        self._top = top

    def window(self, y0: int, y1: int) -> tuple[Picture, int]:
        """The rows y0..y1 or more, and the number of the first; what lies above y0 is let go.

        Arrays handed out are never written to again: packing may still read them.
        """
        end = self._top + len(self._rows)
        parts = [self._rows[max(y0 - self._top, 0) :]]
        while end < y1:
            part = next(self._source)
            parts.append(part[max(y0 - end, 0) :])
            end += len(part)
        self._rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self._top = end - len(self._rows)
        return self._rows, self._top


def _settled(pipeline: Pipeline, ticket: int | None, band: Picture) -> Picture:
    """The band, once all up to `ticket` is unpacked."""
    if ticket is not None:
        _wait(pipeline, ticket)
    return band


def _wait(pipeline: Pipeline, ticket: int) -> None:
    damaged = pipeline.wait(ticket)
    if damaged:
        raise NonFiniteError(f"tile {damaged[0]} has non-finite values")


def _one_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each handed out after the one behind it has been made."""
    iterator = iter(items)
    current = next(iterator)
    for following in iterator:
        yield current
        current = following
    yield current
