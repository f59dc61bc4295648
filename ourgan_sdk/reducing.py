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
from .resizing import Resizer, Taps, resizer_bytes

__all__ = ["ReducedRenderer"]

Size = tuple[int, int]


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
        scale = self._large_size[0] / self._size[0]
        return replace(need, own=need.own + resizer_bytes(self._large_size[1], self._size[1], scale))

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
        down = Taps(box.y0, box.y1, large[0], large[0] / size[0])
        across = Taps(box.x0, box.x1, large[1], large[1] / size[1])
        resizer = Resizer(down, across, write, self._dtype)
        self._inner.render(level, resizer.source, resizer.write, progress, stats, keep=keep)
