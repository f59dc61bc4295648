"""Where a canvas lies with respect to a picture's square, level by level, and how its cells are tiled.

The square is [0, 1] x [0, 1], y pointing down and x to the right: what every learned picture showed. How many
pixels of a canvas its side has is the canvas's scale. It lies in the middle of the canvas; along the longer
side, and where the extent is more than 1, the network goes on beyond what it has seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._core import Box, Grid, plan_grid
from ..arrays import Tensor
from ..bundle import Coordinates
from ..errors import SizeError
from ..system.lazy import lazy

__all__ = ["CellLevel", "Placement", "place"]

_CHANNELS = 3
_AXES = 2

_BAND_BYTES = 12
"""Bytes of bands per pixel: as behind a pass."""

_HALOS_PER_WINDOW = 16
"""Along a side, at most: such windows make 31 % more pixels than they keep, and larger ones not many fewer,
while a small part of a picture has to wait for all of a window."""
_WINDOWS = (1 << 16, 1 << 19)
"""Pixels of the windows that are the largest, with small halos and large ones."""

_LEAST_BANDS = 4
_HALOS_PER_BAND = 32
"""Of a level in its file: as of a pass."""

_LARGEST_REACH = 1 << 22
"""Pixels from the square's corner to the farthest that is made: float32 has places up to there to a quarter
of a pixel, as its numbers lie at most half a one apart."""

_MOST_REDUCED = 1 << 24
"""Pixels of what is made in order to be reduced: at scales below those that a network has seen."""

Size = tuple[int, int]


@dataclass(frozen=True)
class CellLevel:
    """A level of a canvas of `canvas` (height, width), of whose pixels one here covers `step` per side.

    `side` is that of the square, in pixels of the canvas. Cells of `record.stride` pixels per side are
    counted from the level's upper left corner on.
    """

    record: Coordinates
    canvas: Size
    side: float
    step: int

    @property
    def size(self) -> Size:
        """(height, width) in pixels; what the last ones have beyond the canvas is made as well."""
        height, width = (-(-length // self.step) for length in self.canvas)
        return height, width

    @property
    def scale(self) -> int:
        """Pixels per side that a cell becomes."""
        return self.record.stride

    @property
    def cells(self) -> Size:
        """(height, width) in cells."""
        height, width = (-(-length // self.record.stride) for length in self.size)
        return height, width

    @property
    def square_side(self) -> float:
        """Of the square, in pixels of the level: the scale that the network is told."""
        return self.side / self.step

    def coordinates(self, window: Box) -> Tensor:
        """(1, 2, h, w) float32: y and x of the centres of the cells in `window`, which may leave the picture.

        Computed in float64 from each cell's own number and rounded once: a cell has the same bits in every
        window.
        """
        y = self._centres(0, window.y0, window.y1)
        x = self._centres(1, window.x0, window.x1)
        grid = np.empty((1, _AXES, window.height, window.width), np.float32)
        grid[0, 0], grid[0, 1] = y[:, np.newaxis], x
        return grid

    def _centres(self, axis: int, first: int, last: int) -> npt.NDArray[np.float64]:
        cells = np.arange(first, last, dtype=np.float64)
        begins = (self.canvas[axis] - self.side) / 2
        return ((cells + 0.5) * (self.record.stride * self.step) - begins) / self.side

    def plan(self, budget: int) -> Grid:
        """The grid of cells whose windows take `budget` bytes at most; raises BudgetError."""
        height, width = self.cells
        halo = self.record.halo
        rows = max(1, min(_LEAST_BANDS, height // (_HALOS_PER_BAND * max(1, halo))))
        least, most = (pixels // self.record.stride**2 for pixels in _WINDOWS)
        largest = min(max((_HALOS_PER_WINDOW * halo) ** 2, least), most)
        return plan_grid(
            height,
            width,
            halo,
            budget,
            pixel_bytes=self._cell_bytes,
            row_bytes=self._row_bytes,
            max_pixels=max(largest, (2 * halo + 1) ** 2),
            least_rows=rows,
        )

    def bytes(self, window_height: int, window_width: int) -> int:
        """Memory that a window of so many cells takes, with the bands that are made of it."""
        return window_height * (window_width * self._cell_bytes + self._row_bytes)

    @property
    def _cell_bytes(self) -> int:
        """Of activations, input and output."""
        pixel = self.record.bytes_per_pixel + 4 * _CHANNELS
        return self.record.stride**2 * pixel + 4 * _AXES

    @property
    def _row_bytes(self) -> int:
        """Of the bands that a row of cells becomes."""
        return _BAND_BYTES * self.record.stride**2 * self.cells[1]


@dataclass(frozen=True)
class Placement:
    """A canvas of `size` (height, width), of an `extent`; `side` is the square's, in pixels: the scale."""

    record: Coordinates
    size: Size
    side: float
    extent: float

    @lazy
    def levels(self) -> Sequence[CellLevel]:
        """The canvas and, each half as large, its coarser levels, down to the smallest scale learned."""
        steps = [1]
        while self.side / (2 * steps[-1]) >= self.record.patch:
            steps.append(2 * steps[-1])
        return [CellLevel(self.record, self.size, self.side, step) for step in steps]


def place(record: Coordinates, size: Size, extent: float | None, of: Size | None = None) -> Placement:
    """Where a canvas of `size` (height, width) lies, whose shorter side is `extent` squares long, or 1.

    With `of`, it is a canvas of that size, shown at another one: its extent is as long, and the scale goes by
    the longer side, as the shorter one may be rounded to another ratio.

    At scales below the smallest one that the network has seen, a canvas is made twice as large, or four
    times, ..., and reduced: the placement is that of the larger one, which has the ratio of `of`. Raises
    SizeError where that, or the canvas, is too large.
    """
    extent = 1.0 if extent is None else extent
    of = size if of is None else of
    side, made, doublings = min(of) * max(size) / max(of) / extent, size, 0
    while side < record.patch:
        side, doublings = 2 * side, doublings + 1
    if doublings:
        height, width = (max(1, round(one * (max(size) << doublings) / max(of))) for one in of)
        made = height, width
    height, width = made
    if doublings and height * width > _MOST_REDUCED:
        raise SizeError(
            f"{size[1]} x {size[0]} at an extent of {extent:g} would be reduced from {width} x {height}: the "
            f"network makes at least {record.patch} pixels of a square; give more pixels, or less extent"
        )
    if (max(height, width) + side) / 2 > _LARGEST_REACH:
        raise SizeError(
            f"float32 has the pixels of {width} x {height} to a quarter of one up to {_LARGEST_REACH} from a "
            "corner of the picture's square: give fewer, or less extent"
        )
    return Placement(record, made, side, extent)
