"""One canvas's detail: its field, found when it is first needed, and the regions gathered through it."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._core import Box, Detail, resample
from ..arrays import Picture
from ..errors import SizeError
from ..progress import RenderStats
from .photograph import PhotographSource
from .plan import DetailPlan

__all__ = ["DetailPicture"]

_BAND_ROWS = 256
"""Rows gathered at a time: those of the core's tiles."""

_LARGEST_BAND = 64 << 20
"""Bytes; bands of wider pictures have fewer rows."""

_FIELD_WORK = 6
"""What finding the field costs per pixel of the last searched level, in pixels gathered there."""

Structure = Callable[[tuple[int, int], RenderStats], Picture]
"""Makes the structure, uint16 (height, width, 3), of the size it is given, and adds to the numbers."""

Advance = Callable[[int], object]


class DetailPicture:
    """The picture that `plan` leads to, of a structure and `source`'s photograph; for several threads.

    `levels` are counted from the finest, 0; each has half the sides of the one before.
    """

    def __init__(
        self,
        source: PhotographSource,
        plan: DetailPlan,
        structure: Structure,
        *,
        trained_long: int,
        seed: int,
        threads: int,
    ) -> None:
        """`trained_long`: the photograph's long side in pixels of the structure, as it was trained."""
        self.plan = plan
        self._source = source
        self._structure = structure
        self._trained_long = trained_long
        self._seed = seed
        self._threads = threads
        self._lock = threading.Lock()
        self._detail: Detail | None = None

    between = np.dtype(np.uint16)
    """The type that passes take it in."""

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) of the levels that can be read."""
        return self.plan.picture[self.plan.searched - 1 :][::-1]

    def work(self, _level: int, box: Box) -> int:
        """The pixels of `box`, and as long as the field has not been found, what that takes."""
        return (self._field_work if self._detail is None else 0) + box.height * box.width

    @property
    def _field_work(self) -> int:
        height, width = self.plan.picture[self.plan.searched - 1]
        return _FIELD_WORK * height * width

    def bands(
        self, level: int, box: Box, dtype: np.dtype[Any], stats: RenderStats, advance: Advance
    ) -> Generator[Picture, None, None]:
        """The pixels of `box` of a level, in bands from top to bottom, each of its own memory.

        `advance` is told the work that was done, in pixels; what it raises ends the search too. Raises
        BundleError for a damaged photograph, SizeError for a picture that is too large, and what the
        structure raises.
        """
        detail = self._found(stats, advance)
        rows = max(16, min(_BAND_ROWS, _LARGEST_BAND // (box.width * 3 * dtype.itemsize)))
        for y0 in range(box.y0, box.y1, rows):
            y1 = min(y0 + rows, box.y1)
            started = time.perf_counter()
            band = np.empty((y1 - y0, box.width, 3), dtype)
            detail.gather(detail.levels - 1 - level, Box(y0, box.x0, y1, box.x1), band, self._threads)
            stats.gather_seconds += time.perf_counter() - started
            advance((y1 - y0) * box.width)
            yield band

    def sources(self, level: int, box: Box) -> npt.NDArray[np.int32]:
        """From where in the photograph's level each pixel mainly comes: (h, w, 2), (y, x)."""
        detail = self._found(RenderStats(), lambda _work: None)
        try:
            return np.asarray(detail.sources(detail.levels - 1 - level, box))
        except MemoryError as error:
            raise SizeError(
                f"the sources of {box.width} x {box.height} pixels do not fit into memory; read them in parts"
            ) from error

    def _found(self, stats: RenderStats, advance: Advance) -> Detail:
        with self._lock:
            if self._detail is None:
                self._detail = self._find(stats, advance)
            return self._detail

    def _find(self, stats: RenderStats, advance: Advance) -> Detail:
        plan = self.plan
        started = time.perf_counter()
        levels = self._source.levels(plan)
        stats.field_seconds += time.perf_counter() - started
        structure = self._structure(plan.structure_size(self._trained_long), stats)
        structure = resample(structure, *plan.picture[0], threads=self._threads)
        total, done = self._field_work, 0
        failure: BaseException | None = None

        def report(share: float) -> None:
            nonlocal done, failure
            step = round(share * total) - done
            done += step
            try:
                advance(step)
            except BaseException as error:
                failure = error
                raise

        started = time.perf_counter()
        try:
            detail = Detail(levels, structure, plan.picture, self._seed, threads=self._threads, report=report)
        except ValueError as error:
            if error is failure:
                raise  # it is the caller who wants to stop
            raise SizeError(f"no detail for a picture of {plan.size[1]} x {plan.size[0]}: {error}") from error
        stats.field_seconds += time.perf_counter() - started
        advance(total - done)
        return detail
