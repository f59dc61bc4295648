"""Passes: x4 enlargements of a picture, tile by tile, as generators of bands.

A pass pulls rows from its source only when its next tiles need them, and yields its bands from top to bottom.
So passes chain: asking the last one for a band makes every earlier one work just far enough ahead, and no
intermediate picture is ever whole in memory.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ._core import Box, Grid, Pipeline, Tile
from .arrays import Picture
from .engines import Engine
from .progress import RenderStats

__all__ = ["SLOTS", "Bands", "Pass"]

SLOTS = 3
"""Tiles in flight: one is packed, one is in the engine, one is unpacked."""

STREAM = 256
"""Noise of pass p is drawn from stream 256 + p; the streams below belong to the structure."""

Bands = Generator[Picture, None, None]

T = TypeVar("T")


@dataclass(frozen=True)
class Pass:
    """Pass number `index` of a render: `engine` applied to every tile of `grid`.

    The result is `scale` times the grid's picture, cut to `height` x `width` at the bottom and right.
    """

    index: int
    engine: Engine
    grid: Grid
    scale: int
    deviation: float
    height: int
    width: int
    dtype: np.dtype[Any]

    @property
    def work(self) -> int:
        """Input pixels that go through the engine."""
        return len(self._tiles()) * self._window_area

    def bands(self, source: Bands, seed: int, stats: RenderStats, advance: Callable[[int], object]) -> Bands:
        """Yield the result's bands, (h, width, 3) of `dtype`; each belongs to whoever takes it.

        `source` yields the grid's picture in bands. `stats` is added to and `advance` called with every
        tile's work. Closing the generator closes `source` and drains the tiles in flight. Raises
        NonFiniteError if the network gives NaN or infinity.
        """
        window = self.grid.window_height, self.grid.window_width
        with contextlib.closing(source), Pipeline(3, *window, self.scale, slots=SLOTS) as pipeline:
            runs = [self.engine.bind(pipeline.input(slot), pipeline.output(slot)) for slot in range(SLOTS)]
            finished: tuple[int, Picture] | None = None
            for tile, slot in _one_ahead(self._pack(pipeline, source, seed)):
                pipeline.packed(slot)
                started = time.perf_counter()
                runs[slot]()
                stats.engine_seconds += time.perf_counter() - started
                stats.tiles += 1
                if tile.column == 0:
                    band = self._band(tile)
                ticket = pipeline.unpack(slot, self._crop(tile), band, 0, self.scale * tile.core.x0)
                advance(self._window_area)
                # A band is waited for only now, one tile later, so that its last tile is unpacked meanwhile.
                if finished is not None:
                    pipeline.wait(finished[0])
                    yield finished[1]
                finished = (ticket, band) if tile.column + 1 == self._columns else None
            if finished is not None:
                pipeline.wait(finished[0])
                yield finished[1]

    @property
    def _window_area(self) -> int:
        return self.grid.window_height * self.grid.window_width

    @property
    def _columns(self) -> int:
        """Columns of the grid that are not cut off whole."""
        return sum(self.scale * self.grid.tile(0, i).core.x0 < self.width for i in range(self.grid.columns))

    def _tiles(self) -> list[Tile]:
        """The tiles that are not cut off whole, row by row."""
        rows = [i for i in range(self.grid.rows) if self.scale * self.grid.tile(i, 0).core.y0 < self.height]
        return [self.grid.tile(row, column) for row in rows for column in range(self._columns)]

    def _pack(self, pipeline: Pipeline, source: Bands, seed: int) -> Iterator[tuple[Tile, int]]:
        """Start packing one tile after the other, and yield it with its slot."""
        rows = _Rows(source)
        for tile in self._tiles():
            picture, top = rows.window(tile.window.y0, tile.window.y1)
            yield tile, pipeline.pack(picture, tile.window, top, seed, STREAM + self.index, self.deviation)

    def _band(self, tile: Tile) -> Picture:
        """An empty band for the row of `tile`. Never reused, since whoever takes a band may keep it."""
        bottom = min(self.scale * tile.core.y1, self.height)
        return np.empty((bottom - self.scale * tile.core.y0, self.width, 3), self.dtype)

    def _crop(self, tile: Tile) -> Box:
        """The core of `tile` in pixels of its output."""
        core, window = tile.core, tile.window
        return Box(
            self.scale * (core.y0 - window.y0),
            self.scale * (core.x0 - window.x0),
            self.scale * (core.y1 - window.y0),
            self.scale * (core.x1 - window.x0),
        )


class _Rows:
    """The rows of a picture that are still needed, pulled from a generator of its bands."""

    def __init__(self, source: Iterator[Picture]) -> None:
        self._source = source
        self._rows = next(source)
        self._top = 0

    def window(self, y0: int, y1: int) -> tuple[Picture, int]:
        """An array with at least the rows y0..y1 and the number of its first row; rows above y0 are let go.

        Arrays handed out are never written to again: packing may still read them.
        """
        parts = [self._rows[y0 - self._top :]]
        end = self._top + len(self._rows)
        while end < y1:
            parts.append(next(self._source))
            end += len(parts[-1])
        self._rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self._top = y0
        return self._rows, self._top


def _one_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each handed out after the one behind it has been made."""
    iterator = iter(items)
    current = next(iterator)
    for following in iterator:
        yield current
        current = following
    yield current
