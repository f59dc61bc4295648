"""Pictures that networks have made larger than they are to be, reduced on their way out."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ._core import Box
from .arrays import Picture
from .limits import Need
from .progress import Progress, RenderStats
from .rendering import Renderer, RendererAround

__all__ = ["ReducedRenderer"]

_SUPPORT = 2.0
"""Pixels of the result, to each side, that the cubic reaches."""

_ROWS = 64
"""Of the result, made at a time."""

_PIXEL_BYTES = 40

Size = tuple[int, int]
Values = npt.NDArray[np.float32]


class ReducedRenderer(RendererAround):
    """A picture of `size` (height, width) of one that `large` renders, of `large_size`.

    By Catmull and Rom's cubic, widened so that nothing aliases. A pixel depends on its place alone, not on
    the part that is asked for.
    """

    def __init__(self, large: Renderer, large_size: Size, size: Size, dtype: np.dtype[Any]) -> None:
        super().__init__(large)
        self._large_size = large_size
        self._size = size
        self._dtype = dtype

    def need(self, *, keep: bool) -> Need:
        """As a Renderer's, and the rows that are reduced."""
        need = self._inner.need(keep=keep)
        rows = _ROWS * self._large_size[0] // self._size[0] + 64
        return replace(need, own=need.own + rows * self._large_size[1] * _PIXEL_BYTES)

    def sources(self, _level: int, _box: Box, _progress: Progress) -> npt.NDArray[np.int32]:
        """Raises ValueError: networks have made it."""
        raise ValueError("an enlarged photograph is a network's: it has no sources")

    def render(
        self,
        level: int,
        box: Box,
        write: Callable[[Picture], None],
        progress: Progress,
        stats: RenderStats,
        *,
        keep: bool,
    ) -> None:
        """As a Renderer's."""
        large = self._level_size(level, self._large_size)
        size = self._level_size(level, self._size)
        down = _Taps(box.y0, box.y1, large[0], size[0])
        across = _Taps(box.x0, box.x1, large[1], size[1])
        reducer = _Rows(down, across, write, self._dtype)
        source = Box(down.first, across.first, down.last, across.last)
        self._inner.render(level, source, reducer.write, progress, stats, keep=keep)


class _Taps:
    """Which pixels of a longer side, and how much of each, make pixels first..last of a shorter one."""

    def __init__(self, first: int, last: int, long: int, short: int) -> None:
        scale = long / short
        count = 2 * math.ceil(_SUPPORT * scale) + 1
        centres = (np.arange(first, last) + 0.5) * scale - 0.5
        begin = np.floor(centres - _SUPPORT * scale).astype(np.intp)
        places = begin[:, np.newaxis] + np.arange(count)
        weights = _cubic((places - centres[:, np.newaxis]) / scale)
        self.weights = np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
        places = np.clip(places, 0, long - 1)  # beyond a border lies what is at it
        self.first, self.last = int(places[0, 0]), int(places[-1, -1]) + 1
        self.places = places - self.first


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Catmull and Rom's."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


class _Rows:
    """Takes the rows of the larger picture, and writes those of the smaller one as soon as they are known."""

    def __init__(
        self, down: _Taps, across: _Taps, write: Callable[[Picture], None], dtype: np.dtype[Any]
    ) -> None:
        self._down, self._across = down, across
        self._write, self._dtype = write, dtype
        self._kept: Values = np.empty((0, across.weights.shape[0], 3), np.float32)
        self._top = 0  # which row is the first that is kept
        self._done = 0

    def write(self, band: Picture) -> None:
        """The next rows."""
        for start in range(0, len(band), _ROWS):
            self._kept = np.concatenate([self._kept, self._narrowed(band[start : start + _ROWS])])
            self._make_rows()

    def _narrowed(self, band: Picture) -> Values:
        rows = band.astype(np.float32)
        return sum(
            rows[:, self._across.places[:, tap]] * self._across.weights[:, tap, np.newaxis]
            for tap in range(self._across.weights.shape[1])
        )  # type: ignore[return-value]  # there are some

    def _make_rows(self) -> None:
        known = self._top + len(self._kept)
        last = int(np.searchsorted(self._down.places[:, -1], known))
        if last == self._done:
            return
        places = self._down.places[self._done : last] - self._top
        weights = self._down.weights[self._done : last, :, np.newaxis, np.newaxis]
        values = sum(self._kept[places[:, tap]] * weights[:, tap] for tap in range(weights.shape[1]))
        most = np.iinfo(self._dtype).max
        self._write(np.rint(np.clip(values, 0, most)).astype(self._dtype))
        self._done = last
        unused = int(self._down.places[last, 0]) if last < len(self._down.places) else known
        self._kept, self._top = self._kept[unused - self._top :], unused
