"""Pictures that are mirrored: the first half is rendered, and shown again the other way round."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ._core import Box
from .arrays import Picture
from .detail import empty_sources
from .limits import Need
from .progress import Progress, RenderStats, reporting
from .rendering import Renderer, RendererAround, Share

__all__ = ["MirroredRenderer", "half_of"]

_PIXEL_BYTES = 6
_ROWS = 256
"""Rendered at a time where rows come in reverse order, as renders go from top to bottom."""

Size = tuple[int, int]


def half_of(size: Size, mirror: tuple[bool, bool]) -> Size:
    """(height, width) of what has to be rendered: of an odd side, the middle row or column too."""
    height, width = (
        (side + 1) // 2 if mirrored else side for side, mirrored in zip(size, mirror, strict=True)
    )
    return height, width


class MirroredRenderer(RendererAround):
    """A picture of `size` (height, width) whose halves along y or x, as `mirror` says, `half` renders.

    It is exactly symmetric at every level. What else `half` renders, another half, say, is not asked for.
    """

    def __init__(self, half: Renderer | RendererAround, size: Size, mirror: tuple[bool, bool]) -> None:
        super().__init__(half)
        self._size = size
        self._mirror = mirror
        half_height, half_width = half_of(size, mirror)
        self._half_share = half_height * half_width / (size[0] * size[1])

    @property
    def extent(self) -> float:
        """How many photographs wide (by the long sides) the whole is."""
        return self.first.extent * max(self._size) / max(half_of(self._size, self._mirror))

    def need(self, *, keep: bool) -> Need:
        """As a Renderer's, and what is turned round."""
        need = self._inner.need(keep=keep)
        return replace(need, own=need.own + 2 * _ROWS * self._size[1] * _PIXEL_BYTES)

    def effort(self, level: int, box: Box) -> tuple[int, int]:
        """As a Renderer's: of the half, whose tiles are kept for the other one."""
        height, width = self._level_size(level, self._size)
        rows, columns = _half(box.y0, box.y1, height, self._mirror[0]), self._columns(box, width)
        _, made = self._inner.effort(level, Box(rows.start, columns.start, rows.stop, columns.stop))
        return box.height * box.width, made

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
        """As a Renderer's; progress is told in pixels of `box`."""
        height, width = self._level_size(level, self._size)
        columns = self._columns(box, width)
        with reporting(progress, box.height * box.width) as advance:
            for top, bottom, is_mirrored in self._runs(box, height):
                y0, y1 = (height - bottom, height - top) if is_mirrored else (top, bottom)
                part = Box(y0, columns.start, y1, columns.stop)
                meter = Share(advance, (bottom - top) * box.width)
                if is_mirrored:  # at most _ROWS of them, to be turned round
                    band = np.concatenate([*self._bands(level, part, meter, stats, keep)])[::-1]
                    write(self._widened(band, box, columns, width))
                else:
                    self._inner.render(
                        level,
                        part,
                        lambda band: write(self._widened(band, box, columns, width)),
                        meter,
                        stats,
                        keep=keep,
                    )
                meter(1, 1)
        share = self.first.copied_share  # of the half: a mirrored piece is another one
        stats.copied_share = None if share is None else share * self._half_share

    def sources(self, level: int, box: Box, progress: Progress) -> npt.NDArray[np.int32]:
        """As a Renderer's."""
        height, width = self._level_size(level, self._size)
        columns = self._columns(box, width)
        places = empty_sources(box)
        with reporting(progress, box.height * box.width) as advance:
            for top, bottom, is_mirrored in self._runs(box, height):
                y0, y1 = (height - bottom, height - top) if is_mirrored else (top, bottom)
                meter = Share(advance, (bottom - top) * box.width)
                part = self._inner.sources(level, Box(y0, columns.start, y1, columns.stop), meter)
                rows = slice(top - box.y0, bottom - box.y0)
                places[rows] = self._widened(part[::-1] if is_mirrored else part, box, columns, width)
                meter(1, 1)
        return places

    def _bands(
        self, level: int, box: Box, progress: Progress, stats: RenderStats, keep: bool
    ) -> list[Picture]:
        bands: list[Picture] = []
        self._inner.render(level, box, bands.append, progress, stats, keep=keep)
        return bands

    def _runs(self, box: Box, height: int) -> Iterator[tuple[int, int, bool]]:
        """Rows of `box` that come from the half in one go: first, last, and whether in reverse order."""
        middle = (height + 1) // 2 if self._mirror[0] else height
        if box.y0 < middle:
            yield box.y0, min(box.y1, middle), False
        for top in range(max(box.y0, middle), box.y1, _ROWS):
            yield top, min(top + _ROWS, box.y1), True

    def _columns(self, box: Box, width: int) -> range:
        """Those of the half that the columns of `box` are made of."""
        return _half(box.x0, box.x1, width, self._mirror[1])

    def _widened(
        self, band: npt.NDArray[np.generic], box: Box, columns: range, width: int
    ) -> npt.NDArray[np.generic]:
        """The columns of `box`, of a band of the half's `columns`."""
        return np.ascontiguousarray(band[:, _places(box.x0, box.x1, width, self._mirror[1]) - columns.start])


def _half(first: int, last: int, side: int, is_mirrored: bool) -> range:
    """The rows or columns of the half that first..last of the whole are made of."""
    places = _places(first, last, side, is_mirrored)
    return range(int(places.min()), int(places.max()) + 1)


def _places(first: int, last: int, width: int, is_mirrored: bool) -> npt.NDArray[np.int64]:
    """Where in the half columns first..last of the whole lie."""
    places = np.arange(first, last)
    return np.minimum(places, width - 1 - places) if is_mirrored else places
