"""Pictures that were made larger than they are to be, reduced on their way out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ._core import Box
from .arrays import Picture
from .limits import Need
from .progress import Progress, RenderStats, reporting
from .rendering import Renderer, RendererAround, Share
from .resizing import Resizer, Taps, resizer_bytes

__all__ = ["ReducedRenderer"]

_ROWS = 256
"""Read at a time where what lies beyond a border is read as well."""

Size = tuple[int, int]


class ReducedRenderer(RendererAround):
    """A picture of `size` (height, width) of one that `large` renders, of `large_size`.

    A pixel depends on its place alone, not on the part that is asked for. Along y and x, where `wrap` says
    so, the picture goes on beyond its borders as it begins; elsewhere what is at a border is repeated.
    """

    def __init__(
        self,
        large: Renderer | RendererAround,
        large_size: Size,
        size: Size,
        dtype: np.dtype[Any],
        wrap: tuple[bool, bool] = (False, False),
    ) -> None:
        super().__init__(large)
        self._large_size = large_size
        self._size = size
        self._dtype = dtype
        self._wrap = wrap

    def need(self, *, keep: bool) -> Need:
        """As a Renderer's, and the rows that are reduced."""
        need = self._inner.need(keep=keep)
        scale = self._large_size[0] / self._size[0]
        return replace(need, own=need.own + resizer_bytes(self._large_size[1], self._size[1], scale))

    def sources(self, _level: int, _box: Box, _progress: Progress) -> npt.NDArray[np.int32]:
        """Raises ValueError: they are mixed of others."""
        raise ValueError("the pixels of a resized picture are mixed of others: there are no sources of them")

    def effort(self, level: int, box: Box) -> tuple[int, int]:
        """As a Renderer's: of the larger picture."""
        large = self._level_size(level, self._large_size)
        size = self._level_size(level, self._size)
        first, last = (
            [
                Taps(place, place + 1, given, given / wanted, wraps=wraps)
                for place, given, wanted, wraps in zip(places, large, size, self._wrap, strict=True)
            ]
            for places in ((box.y0, box.x0), (box.y1 - 1, box.x1 - 1))
        )
        efforts = [
            self._inner.effort(level, Box(y0, x0, y1, x1))
            for y0, y1 in _runs(first[0].first, last[0].last, large[0], large[0])
            for x0, x1 in _runs(first[1].first, last[1].last, large[1], large[1])
        ]
        return sum(read for read, _ in efforts), sum(made for _, made in efforts)

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
        down = Taps(box.y0, box.y1, large[0], large[0] / size[0], wraps=self._wrap[0])
        across = Taps(box.x0, box.x1, large[1], large[1] / size[1], wraps=self._wrap[1])
        resizer = Resizer(down, across, write, self._dtype)
        source, write = resizer.source, resizer.write
        if source.y0 >= 0 and source.y1 <= large[0] and source.x0 >= 0 and source.x1 <= large[1]:
            self._inner.render(level, source, write, progress, stats, keep=keep)
            return
        parts = [
            [Box(y0, x0, y1, x1) for x0, x1 in _runs(source.x0, source.x1, large[1], large[1])]
            for y0, y1 in _runs(source.y0, source.y1, large[0], _ROWS)
        ]
        with reporting(progress, source.height * source.width) as advance:
            for row in parts:
                write(np.hstack([self._part(level, part, advance, stats, keep=keep) for part in row]))

    def _part(
        self, level: int, box: Box, advance: Callable[[int], object], stats: RenderStats, *, keep: bool
    ) -> Picture:
        bands: list[Picture] = []
        meter = Share(advance, box.height * box.width)
        self._inner.render(level, box, bands.append, meter, stats, keep=keep)
        meter(1, 1)
        return np.concatenate(bands)


def _runs(first: int, last: int, side: int, most: int) -> Iterator[tuple[int, int]]:
    """Where pixels first..last of a side that goes on beyond its borders lie in it, so many at most."""
    while first < last:
        place = first % side
        count = min(most, side - place, last - first)
        yield place, place + count
        first += count
