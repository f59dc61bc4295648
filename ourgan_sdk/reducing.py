"""Pictures that networks have made larger than they are to be, reduced on their way out."""

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
from .resizing import Taps

__all__ = ["ReducedRenderer"]

_ROWS = 64
"""Of the result, made at a time."""

_PIXEL_BYTES = 40

Size = tuple[int, int]
Values = npt.NDArray[np.float32]


class ReducedRenderer(RendererAround):
    """A picture of `size` (height, width) of one that `large` renders, of `large_size`.

    A pixel depends on its place alone, not on the part that is asked for.
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
        down = Taps(box.y0, box.y1, large[0], size[0])
        across = Taps(box.x0, box.x1, large[1], size[1])
        reducer = _Rows(down, across, write, self._dtype)
        source = Box(down.first, across.first, down.last, across.last)
        self._inner.render(level, source, reducer.write, progress, stats, keep=keep)


class _Rows:
    """Takes the rows of the larger picture, and writes those of the smaller one as soon as they are known."""

    def __init__(
        self, down: Taps, across: Taps, write: Callable[[Picture], None], dtype: np.dtype[Any]
    ) -> None:
        self._down, self._across = down, across
        self._write, self._dtype = write, dtype
        self._kept: Values = np.empty((0, across.weights.shape[0], 3), np.float32)
        self._top = 0  # which row is the first that is kept
        self._done = 0

    def write(self, band: Picture) -> None:
        """The next rows."""
        for start in range(0, len(band), _ROWS):
            self._kept = np.concatenate([self._kept, self._across.across(band[start : start + _ROWS])])
            self._make_rows()

    def _make_rows(self) -> None:
        known = self._top + len(self._kept)
        last = int(np.searchsorted(self._down.places[:, -1], known))
        if last == self._done:
            return
        values = self._down.down(self._kept, self._done, last, self._top)
        most = np.iinfo(self._dtype).max
        self._write(np.rint(np.clip(values, 0, most)).astype(self._dtype))
        self._done = last
        unused = int(self._down.places[last, 0]) if last < len(self._down.places) else known
        self._kept, self._top = self._kept[unused - self._top :], unused
