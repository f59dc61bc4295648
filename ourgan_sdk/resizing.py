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

_ROWS = 16
"""Of the result, made at a time."""

_BAND_ROWS = 256
"""That are taken at a time."""

_KEPT_BYTES = 12
"""Per pixel that is kept: twice of 16 bits, when more come."""

_PIXEL_BYTES = 40
"""Per pixel of rows that are made: three times in float32, and rounded."""

Size = tuple[int, int]
Values = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]


class Taps:
    """Which pixels of a side of `given` pixels, and how much of each, make pixels first..last of another.

    One of those is as wide as `scale` given ones; the first of all, number 0, begins `origin` of them behind
    the border. By Catmull and Rom's cubic, widened where the side gets shorter so that nothing aliases.
    Beyond a border lies what is at it, or, if the side `wraps`, places of its other end, counted on.
    """

    def __init__(
        self, first: int, last: int, given: int, scale: float, origin: float = 0.0, *, wraps: bool = False
    ) -> None:
        wide = max(1.0, scale)
        count = 2 * math.ceil(_SUPPORT * wide) + 1
        centres = origin + (np.arange(first, last) + 0.5) * scale - 0.5
        begin = np.floor(centres - _SUPPORT * wide).astype(np.intp)
        places = begin[:, np.newaxis] + np.arange(count)
        weights = _cubic((places - centres[:, np.newaxis]) / wide)
        self.weights = np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
        if not wraps:
            places = np.clip(places, 0, given - 1)
        self.first, self.last = int(places[0, 0]), int(places[-1, -1]) + 1
        self.places = places - self.first

    def down(self, rows: Picture | Values, first: int, last: int, top: int) -> Values:
        """Pixels first..last of the wanted side, of rows (h, w, 3) whose first one is `top` below `first`."""
        places = self.places[first:last] - top
        weights = self.weights[first:last, :, np.newaxis, np.newaxis]
        return _weighted(rows, places, weights, 0)

    def across(self, rows: Values) -> Values:
        """Rows (h, w, 3) that begin at `first`, as (h, wanted, 3)."""
        return _weighted(rows, self.places, self.weights[:, :, np.newaxis], 1)


def _weighted(values: Picture | Values, places: Places, weights: Values, axis: int) -> Values:
    """The sum, over taps, of what lies at `places` along an axis, times `weights`: always in that order."""
    result = values.take(places[:, 0], axis) * weights[:, 0]
    taken = np.empty(result.shape, values.dtype)
    weighted = np.empty_like(result)
    for tap in range(1, places.shape[1]):
        np.take(values, places[:, tap], axis, out=taken, mode="clip")
        result += np.multiply(taken, weights[:, tap], out=weighted)
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
        self._kept: Picture | None = None
        self._top = 0  # which row is the first that is kept
        self._done = 0

    def write(self, band: Picture) -> None:
        """The next rows, (h, w, 3)."""
        kept = band if self._kept is None else np.concatenate([self._kept, band])
        known = self._top + len(kept)
        last = int(np.searchsorted(self._down.places[:, -1], known))
        for first in range(self._done, last, _ROWS):
            rows = self._down.down(kept, first, min(first + _ROWS, last), self._top)
            self._write(_rounded(self._across.across(rows), self._dtype))
        self._done = last
        unused = int(self._down.places[last, 0]) if last < len(self._down.places) else known
        self._kept, self._top = kept[unused - self._top :], unused


def _rounded(values: Values, dtype: np.dtype[Any]) -> Picture:
    return np.asarray(np.rint(np.clip(values, 0, np.iinfo(dtype).max)), dtype)


def resizer_bytes(given: int, wanted: int, scale: float) -> int:
    """About what a Resizer takes: of rows of `given` pixels it makes `wanted`, of `scale` rows one."""
    kept = math.ceil(2 * _SUPPORT * max(1.0, scale)) + _BAND_ROWS
    return given * (kept * _KEPT_BYTES + _ROWS * _PIXEL_BYTES) + wanted * _ROWS * _PIXEL_BYTES


def resized_part(picture: Picture, size: Size, box: Box) -> Picture:
    """What `box` holds of `picture`, uint8 (h, w, 3), resized to `size` (height, width)."""
    if picture.shape[:2] == size:
        return np.ascontiguousarray(picture[box.y0 : box.y1, box.x0 : box.x1])
    down = Taps(box.y0, box.y1, picture.shape[0], picture.shape[0] / size[0])
    across = Taps(box.x0, box.x1, picture.shape[1], picture.shape[1] / size[1])
    rows = picture[down.first : down.last, across.first : across.last]
    return _rounded(across.across(down.down(rows, 0, box.height, 0)), np.dtype(np.uint8))
