"""The loop over a pass's tiles: always a few in flight, and bands handed out once theirs have landed."""

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .._core import Box, Pipeline, Tile, gather, scatter
from ..arrays import Picture
from ..errors import NonFiniteError
from ..progress import RenderStats
from .one_pass import Bands, Pass

__all__ = ["STREAM", "run_pass"]

STREAM = 256
"""Noise of pass p is drawn from stream 256 + p; the streams below belong to the structure."""

_REPAIR_SIDE = 128
"""Pixels of a damaged tile that are rendered again at a time, whatever the memory limit is."""

_TOLD = frozenset(4**i for i in range(16))
"""Of damaged tiles, those that are told of: the 1st, 4th, 16th, ..."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


def run_pass(
    one: Pass, source: Bands, seed: int, stats: RenderStats, advance: Callable[[int], object]
) -> Bands:
    """Yield the bands of a pass's target, (h, width, 3) of its dtype; each belongs to whoever takes it.

    `source` yields the part of the grid's picture that `one.source` names; rows are pulled from it only when
    the next tiles need them. `stats` is added to and `advance` called with every tile's work. Closing the
    generator closes `source` and drains the tiles in flight.

    Raises NonFiniteError if the network gives NaN or infinity in float32, MemoryError (EngineMemoryError from
    the engine) if there is no room for the windows, EngineError.
    """
    if not one.missing_count:
        source.close()
        yield from map(one.known_band, one.tiles)
        return
    with contextlib.closing(source), _open_pipeline(one) as pipeline:
        try:
            yield from _TileLoop(one, pipeline, seed, stats).bands(source, advance)
        finally:
            stats.engine_seconds += pipeline.engine_seconds


def _open_pipeline(one: Pass) -> Pipeline:
    rules, grid = one.engine.rules, one.grid
    return Pipeline(
        3,
        grid.window_height,
        grid.window_width,
        one.scale,
        _slots(one),
        device=one.engine.device,
        input_type=rules.format.input_type,
        output_type=rules.format.output_type,
        interleaved=rules.format.interleaved,
    )


def _slots(one: Pass) -> int:
    """No more than there are tiles: a slot's buffers are as large as its window."""
    return min(one.engine.rules.slots, one.missing_count)


@dataclass(frozen=True)
class _Flight:
    """A tile between its packing and the moment its band is whole."""

    tile: Tile
    picture: Picture
    """The rows it was packed from, which begin at `origin` (y, x) of the pass's whole picture."""
    origin: tuple[int, int]
    part: Box
    """What is kept of the tile, in the result's pixels."""
    array: Picture
    """Where that goes: to row 0 and column `x`."""
    x: int


@dataclass(frozen=True)
class _Band:
    """Rows of the target whose tiles have all been started, `last` being the count of tiles by then."""

    pixels: Picture
    flights: dict[int, _Flight]
    last: int


class _TileLoop:
    """One run of a pass: its missing tiles through `pipeline`."""

    def __init__(self, owner: Pass, pipeline: Pipeline, seed: int, stats: RenderStats) -> None:
        self._pass = owner
        self._pipeline = pipeline
        self._seed = seed
        self._stats = stats

    def bands(self, source: Bands, advance: Callable[[int], object]) -> Bands:
        """Yield the target's bands; `source` and `advance` as for `run_pass`."""
        one, pipeline = self._pass, self._pipeline
        runs = [one.engine.bind(pipeline, slot) for slot in range(_slots(one))]
        packed = _one_ahead(self._pack(source))
        waiting: deque[_Band] = deque()
        started = 0
        for row in one.tiles:
            band, flights = one.known_band(row), {}  # never reused: whoever takes it may keep it
            for tile in row:
                if (tile.row, tile.column) in one.known:
                    continue
                slot, picture, origin = next(packed)
                pipeline.packed(slot)
                runs[slot]()
                ticket, flight = self._unpack(slot, tile, picture, origin, band)
                flights[ticket] = flight
                started += 1
                self._stats.tiles += 1
                self._stats.window_pixels += one.window_area
                advance(one.window_area)
                # A band is waited for only when the other slots have been filled again.
                while waiting and started - waiting[0].last >= len(runs) - 1:
                    yield self._settle(waiting.popleft())
            waiting.append(_Band(band, flights, started))
        while waiting:
            yield self._settle(waiting.popleft())

    def _pack(self, source: Bands) -> Iterator[tuple[int, Picture, tuple[int, int]]]:
        """Start packing one missing tile after the other; yield its slot, the rows it is from and where."""
        one = self._pass
        grid, part = one.grid, one.source
        rows = _Rows(source, part.y0)
        for tile in one.missing:
            picture, top = rows.window(max(tile.window.y0, 0), min(tile.window.y1, grid.height))
            origin, whole = (top, part.x0), (grid.height, grid.width)
            yield (
                self._pipeline.pack(
                    picture, tile.window, origin, whole, self._seed, STREAM + one.index, one.deviation
                ),
                picture,
                origin,
            )

    def _unpack(
        self, slot: int, tile: Tile, picture: Picture, origin: tuple[int, int], band: Picture
    ) -> tuple[int, _Flight]:
        """Start unpacking a tile: into `band`, or whole into an array of its own where there is a cache."""
        one = self._pass
        if one.cache is None:
            part = one.part(tile)
            array, x = band, part.x0 - one.target.x0
        else:
            part = one.result(tile)
            array, x = np.empty((part.height, part.width, 3), one.dtype), 0
        crop = _moved(part, -one.scale * tile.window.y0, -one.scale * tile.window.x0)
        ticket = self._pipeline.unpack(slot, crop, array, 0, x)
        return ticket, _Flight(tile, picture, origin, part, array, x)

    def _settle(self, band: _Band) -> Picture:
        """The pixels of a band, once all its tiles have landed and none is damaged."""
        damaged = self._pipeline.wait(max(band.flights)) if band.flights else []
        for ticket in damaged:
            self._repair(band.flights[ticket])
        if self._pass.cache is not None:
            for flight in band.flights.values():
                self._pass.place(flight.tile, flight.array, band.pixels)
                self._pass.cache.put(self._pass.key(flight.tile), flight.array)
        return band.pixels

    def _repair(self, flight: _Flight) -> None:
        """Render a tile with values that are not finite again, in float32 on the CPU, piece by piece."""
        one, (y, x) = self._pass, (flight.tile.core.y0, flight.tile.core.x0)
        where = f"tile of {one.file} at ({y}, {x}) of the {one.grid.width} x {one.grid.height} picture"
        if one.engine.precision == "fp32":
            raise NonFiniteError(f"the {where} has values that are not finite")
        self._stats.repaired_tiles += 1
        if self._stats.repaired_tiles in _TOLD:
            _log.warning(
                "the %s is not finite in %s: rendered again in fp32, as the %d. of this render; where there "
                "are many, another precision is faster",
                *(where, one.engine.precision, self._stats.repaired_tiles),
            )
        network, whole = one.reference(), (one.grid.height, one.grid.width)
        for piece in _pieces(flight.tile.core):
            kept = _common(Box(*(one.scale * side for side in piece)), flight.part)
            if kept is None:
                continue
            halo = one.grid.halo
            window = Box(piece.y0 - halo, piece.x0 - halo, piece.y1 + halo, piece.x1 + halo)
            tile = gather(
                flight.picture, window, flight.origin, whole, self._seed, STREAM + one.index, one.deviation
            )
            output = network.enlarge(tile[np.newaxis])[0]
            crop = _moved(kept, -one.scale * window.y0, -one.scale * window.x0)
            left = flight.x + kept.x0 - flight.part.x0
            if scatter(output, crop, flight.array, kept.y0 - flight.part.y0, left):
                raise NonFiniteError(f"the {where} has values that are not finite, in fp32 as well")


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


def _moved(box: Box, down: int, right: int) -> Box:
    return Box(box.y0 + down, box.x0 + right, box.y1 + down, box.x1 + right)


def _common(one: Box, other: Box) -> Box | None:
    """What both boxes hold, if anything."""
    y0, x0 = max(one.y0, other.y0), max(one.x0, other.x0)
    y1, x1 = min(one.y1, other.y1), min(one.x1, other.x1)
    return Box(y0, x0, y1, x1) if y0 < y1 and x0 < x1 else None


def _pieces(box: Box) -> Iterator[Box]:
    for y in range(box.y0, box.y1, _REPAIR_SIDE):
        for x in range(box.x0, box.x1, _REPAIR_SIDE):
            yield Box(y, x, min(y + _REPAIR_SIDE, box.y1), min(x + _REPAIR_SIDE, box.x1))


def _one_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each handed out after the one behind it has been made."""
    iterator = iter(items)
    current = next(iterator)
    for following in iterator:
        yield current
        current = following
    yield current
