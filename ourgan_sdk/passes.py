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
    """Pass number `index` of a render: `engine` applied to the tiles of `grid` that `target` needs.

    `target` is a part of the result, in its pixels; the result is `scale` times the grid's picture.
    """

    index: int
    engine: Engine
    grid: Grid
    scale: int
    deviation: float
    target: Box
    dtype: np.dtype[Any]

    @property
    def work(self) -> int:
        """Input pixels that go through the engine."""
        return len(self.tiles) * self._window_area

    @functools.cached_property
    def tiles(self) -> list[Tile]:
        """The tiles whose cores touch the target, row by row."""
        grid, target, scale = self.grid, self.target, self.scale
        heights = [(i, grid.tile(i, 0).core) for i in range(grid.rows)]
        widths = [(i, grid.tile(0, i).core) for i in range(grid.columns)]
        rows = [i for i, core in heights if target.y0 < scale * core.y1 and scale * core.y0 < target.y1]
        columns = [i for i, core in widths if target.x0 < scale * core.x1 and scale * core.x0 < target.x1]
        return [grid.tile(row, column) for row in rows for column in columns]

    @property
    def source(self) -> Box:
        """The part of the grid's picture that the tiles read."""
        first, last = self.tiles[0].window, self.tiles[-1].window
        return Box(first.y0, first.x0, last.y1, last.x1)

    def bands(self, source: Bands, seed: int, stats: RenderStats, advance: Callable[[int], object]) -> Bands:
        """Yield the target's bands, (h, target's width, 3) of `dtype`; each belongs to whoever takes it.

        `source` yields the part of the grid's picture that `self.source` names. `stats` is added to and
        `advance` called with every tile's work. Closing the generator closes `source` and drains the tiles
        in flight. Raises NonFiniteError if the network gives NaN or infinity.
        """
        window = self.grid.window_height, self.grid.window_width
        last_column = self.tiles[-1].column
        with contextlib.closing(source), Pipeline(3, *window, self.scale, slots=SLOTS) as pipeline:
            runs = [self.engine.bind(pipeline.input(slot), pipeline.output(slot)) for slot in range(SLOTS)]
            finished: tuple[int, Picture] | None = None
            band: Picture | None = None
            for tile, slot in _one_ahead(self._pack(pipeline, source, seed)):
                pipeline.packed(slot)
                started = time.perf_counter()
                runs[slot]()
                stats.engine_seconds += time.perf_counter() - started
                stats.tiles += 1
                part = self._part(tile)
                if band is None:  # never reused, since whoever takes a band may keep it
                    band = np.empty((part.height, self.target.width, 3), self.dtype)
                ticket = pipeline.unpack(slot, self._crop(tile, part), band, 0, part.x0 - self.target.x0)
                advance(self._window_area)
                # A band is waited for only now, one tile later, so that its last tile is unpacked meanwhile.
                if finished is not None:
                    pipeline.wait(finished[0])
                    yield finished[1]
                    finished = None
                if tile.column == last_column:
                    finished, band = (ticket, band), None
            if finished is not None:
                pipeline.wait(finished[0])
                yield finished[1]

    @property
    def _window_area(self) -> int:
        return self.grid.window_height * self.grid.window_width

    def _pack(self, pipeline: Pipeline, source: Bands, seed: int) -> Iterator[tuple[Tile, int]]:
        """Start packing one tile after the other, and yield it with its slot."""
        rows = _Rows(source, self.source.y0)
        left, stream = self.source.x0, STREAM + self.index
        for tile in self.tiles:
            picture, top = rows.window(tile.window.y0, tile.window.y1)
            yield tile, pipeline.pack(picture, tile.window, (top, left), seed, stream, self.deviation)

    def _part(self, tile: Tile) -> Box:
        """What the core of `tile` makes of the target, in the result's pixels."""
        core, target = tile.core, self.target
        return Box(
            max(self.scale * core.y0, target.y0),
            max(self.scale * core.x0, target.x0),
            min(self.scale * core.y1, target.y1),
            min(self.scale * core.x1, target.x1),
        )

    def _crop(self, tile: Tile, part: Box) -> Box:
        """`part` of the result in pixels of the output of `tile`."""
        y, x = self.scale * tile.window.y0, self.scale * tile.window.x0
        return Box(part.y0 - y, part.x0 - x, part.y1 - y, part.x1 - x)


class _Rows:
    """The rows of a picture that are still needed, pulled from a generator of its bands."""

    def __init__(self, source: Iterator[Picture], top: int) -> None:
        self._source = source
        self._rows = next(source)
        self._top = top

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
