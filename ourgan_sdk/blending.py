"""Pictures that are new within a mask, and elsewhere what they were."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ._core import Box, resample
from .arrays import Picture
from .limits import Need
from .mask import Mask
from .progress import Progress, RenderStats, reporting
from .rendering import Renderer, RendererAround, Share
from .resizing import resized_part

__all__ = ["BlendedRenderer"]

_ROWS = 256
"""Written at a time, of what stays."""

_WORK_BYTES = 40
"""Per pixel of a band that is blended: both pictures, their difference and the weights, as float32."""

Size = tuple[int, int]


class BlendedRenderer(RendererAround):
    """What `new` renders, a picture of `size` (height, width), within a mask; elsewhere `old`, resized to it.

    (1 - w) old + w new, with w from the softened mask; where w is 0, the very bytes of `old`, uint8
    (h, w, 3), if it has that size. It is enlarged band by band, and only what the mask reaches is rendered.
    Coarser levels are blended of a smaller `old`.
    """

    def __init__(
        self,
        new: Renderer | RendererAround,
        old: Picture,
        size: Size,
        mask: Mask,
        dtype: np.dtype[np.generic],
    ) -> None:
        super().__init__(new)
        self._old = old
        self._size = size
        self._weights = mask.weights(size)
        self._dtype = dtype
        self._reduced: dict[Size, Picture] = {}

    def need(self, *, keep: bool) -> Need:
        """As a Renderer's, with the picture that stays, a smaller one of it, and a band that is blended."""
        need = self._inner.need(keep=keep)
        return replace(need, own=need.own + 2 * self._old.nbytes + _ROWS * self._size[1] * _WORK_BYTES)

    def close(self) -> None:
        """As a Renderer's."""
        super().close()
        self._reduced.clear()

    def sources(self, _level: int, _box: Box, _progress: Progress) -> npt.NDArray[np.int32]:
        """Raises ValueError: what stays comes from elsewhere."""
        raise ValueError("a picture with a mask has pixels that are not the photograph's: no sources of it")

    def effort(self, level: int, box: Box) -> tuple[int, int]:
        """As a Renderer's: what stays is made by nothing."""
        new = self._new_part(level, box)
        return box.height * box.width, self._inner.effort(level, new)[1] if new.height else 0

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
        size = self._level_size(level, self._size)
        old = self._old_at(size)
        new = self._new_part(level, box)
        with reporting(progress, box.height * box.width) as advance:

            def write_old(first: int, last: int) -> None:
                for top in range(first, last, _ROWS):
                    rows = Box(top, box.x0, min(top + _ROWS, last), box.x1)
                    write(self._converted(resized_part(old, size, rows)))
                    advance(rows.height * rows.width)

            write_old(box.y0, new.y0)
            if new.y0 < new.y1:
                row = new.y0

                def write_blended(band: Picture) -> None:
                    nonlocal row
                    part = Box(row, new.x0, row + len(band), new.x1)
                    row = part.y1
                    write(self._blended(old, band, size, box, part))

                meter = Share(advance, new.height * box.width)
                self._inner.render(level, new, write_blended, meter, stats, keep=keep)
                meter(1, 1)
            write_old(new.y1, box.y1)

    def _new_part(self, level: int, box: Box) -> Box:
        """What the mask reaches of `box`: below it, and empty, if that is nothing."""
        y0, x0, y1, x1 = self._weights.span(self._level_size(level, self._size))
        new = Box(max(box.y0, y0), max(box.x0, x0), min(box.y1, y1), min(box.x1, x1))
        if new.y0 >= new.y1 or new.x0 >= new.x1:
            return Box(box.y1, box.x0, box.y1, box.x0)
        return new

    def _blended(self, old: Picture, band: Picture, size: Size, box: Box, part: Box) -> Picture:
        """Full rows of `box`, in which `band` is new at `part`."""
        rows = self._converted(resized_part(old, size, Box(part.y0, box.x0, part.y1, box.x1))).copy()
        weights = self._weights.part(size, part.y0, part.x0, part.y1, part.x1)[..., np.newaxis]
        inside = rows[:, part.x0 - box.x0 : part.x1 - box.x0]
        mixed = inside + weights * (band.astype(np.float32) - inside)
        # Of an integer and nothing: that integer, so pixels without weight stay what they were.
        inside[...] = np.rint(mixed).astype(self._dtype)
        return np.asarray(rows)

    def _converted(self, rows: Picture) -> Picture:
        if self._dtype == np.uint16:
            return np.asarray(rows.astype(np.uint16) * np.uint16(257))
        return rows

    def _old_at(self, size: Size) -> Picture:
        """What stays, at most as large as it is to be: the last one that had to be reduced is kept."""
        if self._old.shape[0] <= size[0] or self._old.shape[1] <= size[1]:
            return self._old
        reduced = self._reduced.get(size)
        if reduced is None:  # another thread may put one of another size there at any time
            reduced = resample(self._old, *size)
            self._reduced = {size: reduced}
        return reduced
