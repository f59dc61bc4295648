"""One canvas's detail: its field, found when it is first needed, and the regions gathered through it."""

import math
import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._core import Box, Composition, Detail, DetailSettings, resample
from ..arrays import Picture
from ..errors import SizeError
from ..progress import Progress, RenderStats, reporting
from ..stopping import locked
from ..structure import Base, Layout, StructureSource, read_share, share_array
from ..system.forks import ReentrantLock
from .photograph import PhotographSource
from .plan import DetailPlan

__all__ = ["DetailPicture", "empty_sources"]

_BAND_ROWS = 256
"""Rows gathered at a time: those of the core's tiles."""

_LARGEST_BAND = 64 << 20
"""Bytes; bands of wider pictures have fewer rows."""

_FIELD_WORK = 20
"""What finding the field costs per pixel of the last searched level, in pixels gathered and written."""


_BANDS_AT_WORK = 4
"""One that is gathered, one that waits, and one that is encoded, with what that takes."""

_BASE_BYTES = 14
"""What is kept per pixel of the last searched level: the picture, its field and its tone."""

_SEARCH_BYTES = 100
_PART = 4 << 20
"""What a search takes beside that, per pixel of as many as are searched at once; about."""

Advance = Callable[[int], object]


class DetailPicture:
    """The picture that `plan` leads to, of a structure and `source`'s photograph; for several threads.

    `levels` are counted from the finest, 0; each has half the sides of the one before.
    """

    def __init__(
        self,
        source: PhotographSource,
        plan: DetailPlan,
        structure: StructureSource,
        layout: Layout,
        *,
        seed: int,
        threads: int,
    ) -> None:
        """A side that wraps, as `layout` says, has to pass `check_wrap`."""
        self.plan = plan
        self._source = source
        self._structure = structure
        self._layout = layout
        self._seed = seed
        self._threads = threads
        # One that a thread may take again: what watches the search may want to see the picture.
        self._lock = ReentrantLock()
        self._detail: Detail | None = None
        self.copied_share: float | None = None
        """The share of the structure that is one piece of the photograph, once it is made of pieces."""

    between = np.dtype(np.uint16)
    """The type that passes take it in."""

    @property
    def extent(self) -> float:
        """How many photographs wide (by the long sides) the picture is."""
        return self.plan.extent

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) of the levels that can be read."""
        return self.plan.picture[self.plan.searched - 1 :][::-1]

    def work(self, _level: int, box: Box) -> int:
        """The pixels of `box`, and as long as the field has not been found, what that takes."""
        before = self._structure_work + self._field_work if self._detail is None else 0
        return before + box.height * box.width

    def need(self, dtype: np.dtype[Any]) -> tuple[int, Mapping[Hashable, int]]:
        """Bytes that reading it takes, and those of what other renders use as well: photograph and field."""
        width = self.plan.size[1]
        base = math.prod(self.plan.picture[self.plan.searched - 1])
        own = _BANDS_AT_WORK * _band_rows(width, dtype) * width * 3 * dtype.itemsize
        if self._detail is None:
            structure = math.prod(self.plan.structure_size(self._structure.long_side))
            own += structure * self._structure.bytes_per_pixel + min(base, _PART) * _SEARCH_BYTES
        return own, {**self._source.need(self.plan), self: base * _BASE_BYTES}

    def close(self) -> None:
        """Let go of the field; nothing is read of it any more."""
        self._detail = None

    def base(self, _dtype: np.dtype[Any], stats: RenderStats, advance: Advance) -> Base:
        """What has to be found in the whole picture, found if it was not: views of what is kept here.

        Of the last searched level, the picture and its tone, int16 (3, h, w), and the field, int32
        (rows, columns, 2); `copied`, float64 (1,), or (0,) where there is no `copied_share`. All of them
        little-endian. Raises what `bands` raises.
        """
        return {**self._found(stats, advance).state(), "copied": share_array(self.copied_share)}

    def use_base(self, base: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what the same picture's `base` has found elsewhere, unless it is known; the arrays are copied.

        Raises ValueError if they are no such arrays, and BundleError for a damaged photograph.
        """
        copied = read_share(base, "picture", "field", "tone")
        with locked(self._lock):
            if self._detail is None:
                self._detail = Detail.restored(
                    self._source.levels(self.plan),
                    self.plan.picture,
                    picture=base["picture"],
                    field=base["field"],
                    tone=base["tone"],
                    settings=self._settings,
                    wrap=self._layout.wrap,
                )
                self.copied_share = copied

    @property
    def _settings(self) -> DetailSettings:
        settings = DetailSettings()
        settings.row = round(settings.row * self._layout.rows**2)
        return settings

    @property
    def _structure_work(self) -> int:
        height, width = self.plan.structure_size(self._structure.long_side)
        return self._structure.work_per_pixel * height * width

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
        rows = _band_rows(box.width, dtype)
        for y0 in range(box.y0, box.y1, rows):
            y1 = min(y0 + rows, box.y1)
            started = time.perf_counter()
            band = np.empty((y1 - y0, box.width, 3), dtype)
            detail.gather(detail.levels - 1 - level, Box(y0, box.x0, y1, box.x1), band, self._threads)
            stats.gather_seconds += time.perf_counter() - started
            advance((y1 - y0) * box.width)
            yield band

    def sources(self, level: int, box: Box, progress: Progress) -> npt.NDArray[np.int32]:
        """From where in the photograph's level each pixel mainly comes: (h, w, 2), (y, x)."""
        places = empty_sources(box)
        with reporting(progress, self.work(level, box)) as advance:
            detail = self._found(RenderStats(), advance)
            for top in range(0, box.height, _BAND_ROWS):
                rows = Box(box.y0 + top, box.x0, min(box.y0 + top + _BAND_ROWS, box.y1), box.x1)
                places[top : top + rows.height] = detail.sources(detail.levels - 1 - level, rows)
                advance(rows.height * rows.width)
        return places

    def _found(self, stats: RenderStats, advance: Advance) -> Detail:
        with locked(self._lock):
            if self._detail is None:
                self._detail = self._find(stats, advance)
            return self._detail

    def _find(self, stats: RenderStats, advance: Advance) -> Detail:
        plan, work = self.plan, self._structure_work + self._field_work
        meter, composed = _Meter(work, advance), self._structure_work / work
        started = time.perf_counter()
        levels = self._source.levels(plan)
        stats.field_seconds += time.perf_counter() - started
        structure = self._structure.start(
            plan.structure_size(self._structure.long_side),
            stats,
            lambda share: meter.report(composed * share),
        )
        self.copied_share = structure.copied if isinstance(structure, Composition) else None
        started = time.perf_counter()
        if not isinstance(structure, Composition):
            structure = resample(structure, *plan.picture[0], threads=self._threads)
        try:
            detail = Detail(
                levels,
                structure,
                plan.picture,
                self._seed,
                settings=self._settings,
                threads=self._threads,
                report=lambda share: meter.report(composed + (1 - composed) * share),
                wrap=self._layout.wrap,
            )
        except ValueError as error:
            if error is meter.failure:
                raise  # it is the caller who wants to stop
            raise SizeError(f"no detail for a picture of {plan.size[1]} x {plan.size[0]}: {error}") from error
        stats.field_seconds += time.perf_counter() - started
        meter.report(1.0)
        return detail


def empty_sources(box: Box) -> npt.NDArray[np.int32]:
    """An array for the sources of `box`; raises SizeError if it does not fit into memory."""
    try:
        return np.empty((box.height, box.width, 2), np.int32)
    except (MemoryError, ValueError) as error:
        raise SizeError(
            f"the sources of {box.width} x {box.height} pixels do not fit into memory; read them in parts"
        ) from error


def _band_rows(width: int, dtype: np.dtype[Any]) -> int:
    return max(16, min(_BAND_ROWS, _LARGEST_BAND // (width * 3 * dtype.itemsize)))


class _Meter:
    """Tells `advance` what of `total` is done, and keeps what that raises as `failure`."""

    def __init__(self, total: int, advance: Advance) -> None:
        self._total = total
        self._advance = advance
        self._done = 0
        self.failure: BaseException | None = None

    def report(self, share: float) -> None:
        """So much is done; never less than before."""
        step = max(0, round(share * self._total) - self._done)
        self._done += step
        try:
            self._advance(step)
        except BaseException as error:
            self.failure = error
            raise
