"""A canvas as a Dask array: a graph of regions, each rendered by whoever computes it."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, SupportsIndex

from .._core import Box
from ..arrays import Picture
from ..canvas import Canvas
from ..structure import Base
from .libraries import import_dask
from .reference import CanvasReference, refer_to
from .worker import canvas_of, threads_of_worker

__all__ = ["to_dask"]

_SIDE = 4096
"""Pixels of a chunk's sides where nobody says; about, where networks make the level."""


def to_dask(canvas: Canvas, level: SupportsIndex = 0, chunks: Any = None) -> Any:
    """As `Canvas.to_dask`, which tells."""
    dask = import_dask()
    index = operator.index(level)
    if isinstance(level, bool) or isinstance(chunks, bool):
        raise TypeError(f"expected numbers, got level={level!r}, chunks={chunks!r}")
    if not 0 <= index < len(canvas.levels):
        raise IndexError(f"expected a level from 0 to {len(canvas.levels) - 1}, got {index}")
    shape = canvas.levels[index].shape
    if chunks is None:
        chunks = (*chunk_sides(canvas, index), 3)
    elif isinstance(chunks, Sequence) and not isinstance(chunks, str) and len(chunks) == 2:
        chunks = (*chunks, 3)
    elif isinstance(chunks, int):
        chunks = (chunks, chunks, 3)
    if isinstance(chunks, tuple) and 0 in chunks:
        raise ValueError(f"expected chunks of at least one pixel, got {chunks!r}")
    rows, columns, channels = dask.array.core.normalize_chunks(chunks, shape, dtype=canvas.dtype)
    if len(channels) > 1:
        raise ValueError(f"expected chunks of all three channels, got {channels}")
    reference = refer_to(canvas)
    base = f"ourgan-base-{reference.token}"
    name = f"ourgan-{dask.base.tokenize(reference.token, index, rows, columns)}"
    tasks = {
        (name, i, j, 0): (read_chunk, base, index, (y0, x0, y1, x1))
        for i, (y0, y1) in enumerate(_spans(rows))
        for j, (x0, x1) in enumerate(_spans(columns))
    }
    graph = dask.highlevelgraph.HighLevelGraph(
        {base: {base: (find_base, reference)}, name: tasks}, dependencies={base: set(), name: {base}}
    )
    return dask.array.Array(graph, name, chunks=(rows, columns, channels), dtype=canvas.dtype)


@dataclass(frozen=True)
class Found:
    """A canvas and its base, as they go from worker to worker."""

    reference: CanvasReference
    base: Base


def find_base(reference: CanvasReference) -> Found:
    """A task: what all chunks wait for."""
    return Found(reference, reference.open(threads_of_worker()).find_base())


def read_chunk(found: Found, level: int, box: tuple[int, int, int, int]) -> Picture:
    """A task: the pixels of a chunk."""
    canvas = canvas_of(found.reference.token, lambda: found.reference, lambda: found.base)
    return canvas.read(Box(*box), level)


def chunk_sides(canvas: Canvas, level: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Heights and widths of chunks of about `_SIDE` pixels a side, which end where tiles do.

    Of a picture that is reduced, mirrored or blended on its way out, tiles may end elsewhere: such a chunk
    renders all tiles that it touches.
    """
    height, width, _ = canvas.levels[level].shape
    tiling = canvas.plan.tiling_of(level)
    if tiling is None:
        return _grouped(range(_SIDE, height, _SIDE), height), _grouped(range(_SIDE, width, _SIDE), width)
    grid, scale = tiling
    downs = [grid.tile(row, 0).core.y1 * scale for row in range(grid.rows)]
    acrosses = [grid.tile(0, column).core.x1 * scale for column in range(grid.columns)]
    return _grouped(downs, height), _grouped(acrosses, width)


def _grouped(borders: Iterable[int], side: int) -> tuple[int, ...]:
    """Lengths that add up to `side`: of as many parts between borders as come to `_SIDE`, at least one."""
    ends = [0]
    for border in (*(border for border in borders if border < side), side):
        if len(ends) > 1 and border - ends[-2] <= _SIDE:
            ends[-1] = border
        else:
            ends.append(border)
    return tuple(end - start for start, end in pairwise(ends))


def _spans(lengths: Iterable[int]) -> list[tuple[int, int]]:
    """(start, end) of parts that follow each other."""
    return list(pairwise(accumulate(lengths, initial=0)))
