"""Resizing parts of pictures: every pixel depends on its place alone, not on the part that is asked for."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._core import Box
from .arrays import Picture

__all__ = ["Resizer", "Taps", "resized_part", "resizer_bytes"]

_SUPPORT = 2.0
"""Pixels, of the coarser of both pictures, to each side that the cubic reaches."""

_ROWS = 64
"""Resized at a time."""

_PIXEL_BYTES = 12

Size = tuple[int, int]
Values = npt.NDArray[np.float32]


class Taps:
    """Which pixels of a side of `given` pixels, and how much of each, make pixels first..last of another.

    One of those is as wide as `scale` given ones; the first of all, number 0, begins `origin` of them behind
    the border. By Catmull and Rom's cubic, widened where the side gets shorter so that nothing aliases.
    """

    def __init__(self, first: int, last: int, given: int, scale: float, origin: float = 0.0) -> None:
        wide = max(1.0, scale)
        count = 2 * math.ceil(_SUPPORT * wide) + 1
        centres = origin + (np.arange(first, last) + 0.5) * scale - 0.5
        begin = np.floor(centres - _SUPPORT * wide).astype(np.intp)
        places = begin[:, np.newaxis] + np.arange(count)
        weights = _cubic((places - centres[:, np.newaxis]) / wide)
        self.weights = np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
        places = np.clip(places, 0, given - 1)  # beyond a border lies what is at it
        self.first, self.last = int(places[0, 0]), int(places[-1, -1]) + 1
        self.places = places - self.first

    def across(self, rows: Picture) -> Values:
        """Rows (h, w, 3) that begin at `first`, as (h, wanted, 3)."""
        values = rows.astype(np.float32)
        result = np.zeros((len(rows), len(self.places), 3), np.float32)
        for tap in range(self.weights.shape[1]):
            result += values[:, self.places[:, tap]] * self.weights[:, tap, np.newaxis]
        return result

    def down(self, rows: Values, first: int, last: int, top: int) -> Values:
        """Pixels first..last of the wanted side, of rows whose first one is `top` below `first`."""
        places = self.places[first:last] - top
        weights = self.weights[first:last, :, np.newaxis, np.newaxis]
        result = np.zeros((last - first, *rows.shape[1:]), np.float32)
        for tap in range(self.weights.shape[1]):
            result += rows[places[:, tap]] * weights[:, tap]
        return result


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Catmull and Rom's."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


class Resizer:
    """Takes the rows of `source`, a part of a picture, and writes those of the resized one, as `dtype`.

    Each as soon as it is known.
    """

    def __init__(
        self, down: Taps, across: Taps, write: Callable[[Picture], None], dtype: np.dtype[Any]
    ) -> None:
        self.source = Box(down.first, across.first, down.last, across.last)
        self._down, self._across = down, across
        self._write, self._dtype = write, dtype
        self._kept: Values = np.empty((0, across.weights.shape[0], 3), np.float32)
        self._top = 0  # which row is the first that is kept
        self._done = 0

    def write(self, band: Picture) -> None:
        """The next rows, (h, w, 3) of any type."""
        for start in range(0, len(band), _ROWS):
            self._kept = np.concatenate([self._kept, self._across.across(band[start : start + _ROWS])])
            self._make_rows()

    def _make_rows(self) -> None:
        known = self._top + len(self._kept)
        last = int(np.searchsorted(self._down.places[:, -1], known))
        if last == self._done:
            return
        most = np.iinfo(self._dtype).max
        for first in range(self._done, last, _ROWS):
            values = self._down.down(self._kept, first, min(first + _ROWS, last), self._top)
            self._write(np.rint(np.clip(values, 0, most)).astype(self._dtype))
        self._done = last
        unused = int(self._down.places[last, 0]) if last < len(self._down.places) else known
        self._kept, self._top = self._kept[unused - self._top :], unused


def resizer_bytes(given: int, wanted: int, scale: float) -> int:
    """About what a Resizer takes: of rows of `given` pixels it makes `wanted`, of `scale` rows one."""
    kept = math.ceil(2 * _SUPPORT * max(1.0, scale)) + _ROWS
    return _PIXEL_BYTES * (_ROWS * given + (2 * kept + 6 * _ROWS) * wanted)


def resized_part(picture: Picture, size: Size, box: Box) -> Picture:
    """What `box` holds of `picture`, uint8 (h, w, 3), resized to `size` (height, width)."""
    if picture.shape[:2] == size:
        return np.ascontiguousarray(picture[box.y0 : box.y1, box.x0 : box.x1])
    down = Taps(box.y0, box.y1, picture.shape[0], picture.shape[0] / size[0])
    across = Taps(box.x0, box.x1, picture.shape[1], picture.shape[1] / size[1])
    rows = across.across(picture[down.first : down.last, across.first : across.last])
    values = down.down(rows, 0, box.height, 0)
    return np.asarray(np.rint(np.clip(values, 0, 255)), np.uint8)
