"""A picture and its reductions, each half as large as the one before, in one pass from top to bottom."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from .._core import halved
from ..arrays import Picture

__all__ = ["PyramidLevel", "pyramid_of"]

WriteRows = Callable[[int, Picture], None]
"""Takes a row of tiles, (h, w, 3), and the row of the level that it begins at."""


class PyramidLevel:
    """One resolution: collects rows, writes them a row of tiles at a time, and hands on their reduction."""

    def __init__(
        self, size: tuple[int, int], tile: int, dtype: np.dtype[np.generic], write: WriteRows
    ) -> None:
        """`size` is (height, width); `tile` is even, so that reductions of rows of tiles join."""
        self._height, width = size
        self._write = write
        self._rows: Picture = np.empty((min(tile, self._height), width, 3), dtype)
        self._y = 0  # rows that are written
        self._filled = 0  # rows that wait in `_rows`
        self.smaller: PyramidLevel | None = None

    def write(self, rows: Picture) -> None:
        """Take the next rows, (h, w, 3)."""
        while len(rows):
            taken, rows = np.split(rows, [len(self._rows) - self._filled])
            self._rows[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            if self._filled == len(self._rows) or self._y + self._filled == self._height:
                self._flush()

    def _flush(self) -> None:
        rows = self._rows[: self._filled]
        self._write(self._y, rows)
        self._y += self._filled
        self._filled = 0
        if self.smaller is not None:
            self.smaller.write(halved(rows))


def pyramid_of(
    sizes: Sequence[tuple[int, int]], tile: int, dtype: np.dtype[np.generic], writes: Sequence[WriteRows]
) -> PyramidLevel:
    """The finest of the levels of `sizes` (height, width), finest first; what is written to it fills all."""
    levels = [PyramidLevel(size, tile, dtype, write) for size, write in zip(sizes, writes, strict=True)]
    for level, smaller in itertools.pairwise(levels):
        level.smaller = smaller
    return levels[0]
