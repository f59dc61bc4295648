"""Rendering any region of any level of one picture, band by band."""

import contextlib
import functools
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._core import Box
from .arrays import Picture
from .bundle import Upscaler
from .coordinates import CoordinatesPicture, Placement
from .detail import DetailPicture, DetailPlan, OriginalPicture, PhotographSource, check_structure
from .engines import WindowRules
from .errors import BudgetError, OurganError, RenderMemoryError
from .limits import Need
from .passes.networks import Networks
from .passes.one_pass import Bands, Pass
from .passes.plan import Chain, Plan, from_detail, from_structure, make_plan
from .passes.tile_loop import run_pass
from .progress import Progress, RenderStats, reporting
from .structure import Base, Layout, StructurePicture, StructureSource
from .system.forks import lock
from .system.lazy import lazy
from .system.threads import ending_with_the_process

__all__ = [
    "FirstPicture",
    "Renderer",
    "RendererAround",
    "Share",
    "coordinates_renderer",
    "detail_renderer",
    "enlarging_renderer",
    "network_renderer",
]

_log = logging.getLogger(__name__)

Advance = Callable[[int], object]


class FirstPicture(Protocol):
    """What a picture begins with: its structure, where networks make the rest, or its detail."""

    @property
    def between(self) -> np.dtype[Any]:
        """The type that a pass takes it in."""

    @property
    def extent(self) -> float:
        """How many photographs wide (by the long sides) it is."""

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) of its levels, each half the one before, rounded up."""

    @property
    def copied_share(self) -> float | None:
        """The share of its structure that is one piece of the photograph; None unless it was made of such."""

    def work(self, level: int, box: Box) -> int:
        """What reading a part of a level takes, in pixels."""

    def need(self, dtype: np.dtype[Any]) -> tuple[int, Mapping[Hashable, int]]:
        """Bytes that reading it in that type takes, and those of parts that renders share, by their names."""

    def close(self) -> None:
        """Let go of what is kept; nothing is read of it any more."""

    def base(self, dtype: np.dtype[Any], stats: RenderStats, advance: Advance) -> Base:
        """What has to be found in the whole before any part is read in that type; found if it was not."""

    def use_base(self, base: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what the same picture's `base` has found elsewhere; raises ValueError if it cannot be that."""

    def bands(
        self, level: int, box: Box, dtype: np.dtype[Any], stats: RenderStats, advance: Advance
    ) -> Bands:
        """A part of a level in bands from top to bottom; `advance` is told of the work."""


_NOWHERE = Box(0, 0, 0, 0)

_BETWEEN = np.dtype(np.uint16)
"""Of pictures between passes: rounded to 8 bits, they would make whole levels of small differences."""


def network_renderer(
    networks: Networks,
    structure: StructureSource,
    size: tuple[int, int],
    extent: float | None,
    *,
    seed: int,
    dtype: np.dtype[Any],
    memory_limit: int,
) -> "Renderer":
    """A renderer of a picture of `size` (height, width) that networks make, from a structure on.

    Raises SizeError where that is too large.
    """
    chain = from_structure(networks.bundle.manifest, *size, extent)
    first = StructurePicture(structure, chain.sizes[0])
    check_structure(chain.sizes[0], first.extent)
    return Renderer(networks, first, chain, seed=seed, dtype=dtype, memory_limit=memory_limit)


def detail_renderer(
    networks: Networks,
    structure: StructureSource,
    source: PhotographSource,
    size: tuple[int, int],
    plan: DetailPlan,
    *,
    layout: Layout,
    seed: int,
    dtype: np.dtype[Any],
    memory_limit: int,
    threads: int,
) -> "Renderer":
    """A renderer of a picture of `size` (height, width) of the photograph's own detail, as `plan` says.

    Raises SizeError where its structure is too large.
    """
    manifest = networks.bundle.manifest
    check_structure(plan.structure_size(structure.long_side), plan.extent)
    first = DetailPicture(source, plan, structure, layout, seed=seed, threads=threads)
    chain = from_detail(manifest, size, plan.size, plan.passes)
    return Renderer(networks, first, chain, seed=seed, dtype=dtype, memory_limit=memory_limit)


def enlarging_renderer(
    networks: Networks,
    source: PhotographSource,
    passes: int,
    *,
    seed: int,
    dtype: np.dtype[Any],
    memory_limit: int,
) -> "Renderer":
    """A renderer of the photograph itself, so many passes larger."""
    photo = networks.bundle.photo
    size = photo.height, photo.width
    chain = from_detail(
        networks.bundle.manifest, (size[0] << 2 * passes, size[1] << 2 * passes), size, passes
    )
    first = OriginalPicture(source, size)
    return Renderer(networks, first, chain, seed=seed, dtype=dtype, memory_limit=memory_limit)


def coordinates_renderer(
    networks: Networks, placement: Placement, *, seed: int, dtype: np.dtype[Any], memory_limit: int
) -> "Renderer":
    """A renderer of a picture that a network makes of where its pixels lie.

    Raises BundleError where that is not what the manifest says, by whose numbers windows are planned.
    """
    record = placement.record
    networks.bundle.network(record.file)
    first = CoordinatesPicture(placement, functools.partial(networks.on_cpu, record.file), seed)
    chain = Chain(placement.size, [placement.size], [], placement.levels)
    return Renderer(networks, first, chain, seed=seed, dtype=dtype, memory_limit=memory_limit)


class Renderer:
    """Renders a picture as `dtype`: `first`, as the passes of `chain` enlarge it; noise is drawn by `seed`.

    `plan` says how. Where memory runs out in the middle of a render, there is a new plan for half the memory,
    by which the rest is rendered, and whatever is rendered later. Several threads may render at once.

    Levels are counted from the picture itself, 0: those of its passes, then those of `first`.
    """

    def __init__(
        self,
        networks: Networks,
        first: FirstPicture,
        chain: Chain,
        *,
        seed: int,
        dtype: np.dtype[Any],
        memory_limit: int,
    ) -> None:
        """Raises BudgetError if the memory limit, in bytes, is too small for any tile; EngineError."""
        self._networks = networks
        self.first = first
        self._chain = chain
        self._seed = seed
        self._dtype = dtype
        self._lock = lock()
        self._has_warned = False
        self.plan = self._make_plan(memory_limit)

    @property
    def extent(self) -> float:
        """How many photographs wide (by the long sides) the picture is."""
        return self.first.extent

    def need(self, *, keep: bool) -> Need:
        """Bytes that a render takes, with `keep` the tiles that are kept included."""
        plan = self.plan
        own, shared = self.first.need(self._first_dtype)
        return Need(own + plan.bytes, shared, plan.cache if keep and plan.windows else None)

    def close(self) -> None:
        """Let go of what is kept; nothing is rendered any more."""
        self.plan.cache.clear()
        self.first.close()

    @property
    def _first_dtype(self) -> np.dtype[Any]:
        return self.first.between if self.plan.passes else self._dtype

    @property
    def base_dtype(self) -> np.dtype[Any] | None:
        """The type that `base` is of: a structure's; None where it is the same for all."""
        return self._first_dtype if isinstance(self.first, StructurePicture) else None

    def base(self, progress: Progress, stats: RenderStats) -> Base:
        """What has to be found in the whole picture before any part of it is rendered, found if it was not.

        Raises what rendering raises.
        """
        work = self.first.work(0, _NOWHERE)
        with ending_with_the_process(), reporting(progress, work) as report:
            meter = _Meter(report, work)
            try:
                base = self.first.base(self._first_dtype, stats, meter.advance)
            except MemoryError as error:
                if error is meter.failure:
                    raise  # it is the caller who wants to stop
                raise _as_package_error(error) from error
            meter.finish()
        return base

    def use_base(self, base: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what another renderer of the same picture has found; raises ValueError if it cannot be."""
        try:
            self.first.use_base(base)
        except MemoryError as error:
            raise _as_package_error(error) from error

    def sources(self, level: int, box: Box, progress: Progress) -> npt.NDArray[np.int32]:
        """From where in the photograph's level each pixel mainly comes: (h, w, 2), (y, x).

        Raises ValueError if the level is a network's.
        """
        if not isinstance(self.first, DetailPicture) or level < self.plan.passes:
            raise ValueError(
                f"the pixels of level {level} are a network's, and have no place in the photograph"
            )
        return self.first.sources(level - self.plan.passes, box, progress)

    def plan_for(self, memory_limit: int) -> None:
        """Plan for `memory_limit` bytes; raises BudgetError if they are too few for any tile."""
        with self._lock:
            self.plan = self._make_plan(memory_limit)

    def lower_memory_limit(self, memory_limit: int) -> None:
        """Plan for `memory_limit` bytes, unless it is so already or for less."""
        with self._lock:
            if memory_limit < self.plan.memory_limit:
                self.plan = self._make_plan(memory_limit)

    def effort(self, level: int, box: Box) -> tuple[int, int]:
        """Pixels of `box` of `level`, and those that networks have to make for it, in whole tiles.

        Kept tiles, and what has to be found in the whole picture before, are not considered.
        """
        plan, made = self.plan, 0
        tiling = plan.tiling_of(level)
        if isinstance(self.first, CoordinatesPicture):
            made = self.first.planned(plan.first_grids, None).work(level, box)
        elif tiling is not None:
            grid, scale = tiling
            down, across = (-(-grid.height // grid.rows) * scale, -(-grid.width // grid.columns) * scale)
            rows = (-(-box.y1 // down) - box.y0 // down) * down
            columns = (-(-box.x1 // across) - box.x0 // across) * across
            made = sum(rows * columns >> 4 * before for before in range(plan.passes - level))
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
        """Render `box` of `level`, in its pixels, band by band from top to bottom, into `write`.

        With `keep`, tiles are taken from the plan's cache and put there. Raises what engines raise, and
        RenderMemoryError or EngineMemoryError where there is no room for the smallest windows.
        """
        _log.info(
            "rendering %d x %d at (%d, %d) of level %d of %d x %d, seed %d",
            *(box.width, box.height, box.x0, box.y0, level, *self._chain.size[::-1], self._seed),
        )
        route = self._route(level, box, keep=keep)
        with ending_with_the_process(), reporting(progress, route.work) as report:
            meter = _Meter(report, route.work)
            rows = 0
            while True:
                rows += self._follow(route, write, meter, stats)
                if rows == box.height:
                    meter.finish()
                    stats.copied_share = self.first.copied_share
                    return
                route = self._route(level, Box(box.y0 + rows, box.x0, box.y1, box.x1), keep=keep)
                meter.restart(route.work)

    def _follow(
        self, route: "_Route", write: Callable[[Picture], None], meter: "_Meter", stats: RenderStats
    ) -> int:
        """Write the bands of `route`; if memory runs out, there is a new plan. Returns the rows written."""
        rows = 0
        with contextlib.closing(route.bands(stats, meter.advance)) as bands:
            while True:
                try:
                    band = next(bands, None)
                except MemoryError as error:
                    if error is meter.failure:
                        raise  # it is the caller who wants to stop
                    self._shrink(route.plan, error)
                    return rows
                if band is None:
                    stats.passes += len(route.passes)
                    return rows
                write(band)
                rows += len(band)

    def _route(self, level: int, target: Box, *, keep: bool) -> "_Route":
        plan, first = self.plan, self.first
        if isinstance(first, CoordinatesPicture):
            first = first.planned(plan.first_grids, plan.cache if keep else None)
        return _Route(self._networks, first, plan, self._seed, self._dtype, level, target, keep)

    def _make_plan(self, memory_limit: int) -> Plan:
        return make_plan(self._chain, memory_limit, self._rules)

    def _rules(self, upscaler: Upscaler, is_last: bool) -> WindowRules:
        return self._networks.engine(upscaler, self._dtype if is_last else _BETWEEN).rules

    def _shrink(self, plan: Plan, error: MemoryError) -> None:
        """Replace `plan`, for which memory did not suffice, by one of smaller windows, or raise."""
        with self._lock:
            if self.plan is not plan:
                return  # another thread was here first
            if not plan.windows:
                raise _as_package_error(error) from error  # nothing is tiled
            smaller = plan
            try:
                while smaller.windows == plan.windows:
                    smaller = self._make_plan(smaller.memory_limit // 2)
            except BudgetError:
                raise _as_package_error(error) from None
            self.plan = smaller
            level = logging.INFO if self._has_warned else logging.WARNING
            self._has_warned = True
        _log.log(
            level,
            "out of memory (%s): going on with a memory limit of %d bytes instead of %d",
            *(str(error), smaller.memory_limit, plan.memory_limit),  # the error itself would hold the memory
        )


class RendererAround:
    """What a renderer has that does something to the pictures of `inner`: to a canvas it is one itself."""

    def __init__(self, inner: "Renderer | RendererAround") -> None:
        self._inner = inner

    @property
    def plan(self) -> Plan:
        """The inner one's."""
        return self._inner.plan

    @property
    def first(self) -> FirstPicture:
        """The inner one's."""
        return self._inner.first

    @property
    def extent(self) -> float:
        """How many photographs wide (by the long sides) the picture is."""
        return self._inner.extent

    def need(self, *, keep: bool) -> Need:
        """As a Renderer's."""
        return self._inner.need(keep=keep)

    def plan_for(self, memory_limit: int) -> None:
        """As a Renderer's."""
        self._inner.plan_for(memory_limit)

    def lower_memory_limit(self, memory_limit: int) -> None:
        """As a Renderer's."""
        self._inner.lower_memory_limit(memory_limit)

    @property
    def base_dtype(self) -> np.dtype[Any] | None:
        """As a Renderer's."""
        return self._inner.base_dtype

    def base(self, progress: Progress, stats: RenderStats) -> Base:
        """As a Renderer's."""
        return self._inner.base(progress, stats)

    def use_base(self, base: Mapping[str, npt.NDArray[Any]]) -> None:
        """As a Renderer's."""
        self._inner.use_base(base)

    def close(self) -> None:
        """As a Renderer's."""
        self._inner.close()

    def effort(self, level: int, box: Box) -> tuple[int, int]:
        """As a Renderer's, of what the inner one is asked for."""
        raise NotImplementedError

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
        raise NotImplementedError

    def sources(self, level: int, box: Box, progress: Progress) -> npt.NDArray[np.int32]:
        """As a Renderer's."""
        raise NotImplementedError

    def _level_size(self, level: int, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of a level of a picture of `size`; raises IndexError if there is no such level."""
        passes, sizes = self.plan.passes, len(self.first.sizes)
        shift = 2 * min(level, passes) + max(0, level - passes)
        if not 0 <= level < passes + sizes:
            raise IndexError(f"expected a level from 0 to {passes + sizes - 1}, got {level}")
        height, width = (((side - 1) >> shift) + 1 for side in size)
        return height, width


class Share:
    """A progress that tells `advance` what share of `total` is new."""

    def __init__(self, advance: Advance, total: int) -> None:
        self._advance = advance
        self._total = total
        self._told = 0

    def __call__(self, done: int, total: int) -> None:
        """So much is done; more than before."""
        now = self._total * done // max(1, total)
        self._advance(now - self._told)
        self._told = now


@dataclass(frozen=True)
class _Route:
    """One way from a first picture to `target`, a region of `level`, through the tiles of `plan`."""

    networks: Networks
    first: FirstPicture
    plan: Plan
    seed: int
    dtype: np.dtype[Any]
    level: int
    target: Box
    keep: bool

    @lazy
    def passes(self) -> list[Pass]:
        """The passes that have to be run, found from the last one back to the first."""
        passes: list[Pass] = []
        target = self.target
        for index in reversed(range(self.plan.passes - self.level)):
            upscaler = self.plan.upscalers[index]
            # The same for a pass whatever is asked for, so that a level has the same pixels either way.
            result = self.dtype if index == self.plan.passes - 1 else _BETWEEN
            one = Pass(
                index=index,
                file=upscaler.file,
                reference=functools.partial(self.networks.on_cpu, upscaler.file),
                engine=self.networks.engine(upscaler, result),
                grid=self.plan.grids[index],
                scale=upscaler.scale,
                deviation=upscaler.noise_deviation,
                target=target,
                dtype=_BETWEEN if passes else self.dtype,
                cache=self.plan.cache if self.keep else None,
            )
            passes.insert(0, one)
            if not one.missing_count:
                break  # its tiles are all known, so nothing before it is needed
            target = one.source
        return passes

    @property
    def _first_part(self) -> tuple[int, Box] | None:
        """The level of the first picture that is needed, and the part of it; None where nothing is."""
        if not self.passes:
            return max(self.level - self.plan.passes, 0), self.target
        return (0, self.passes[0].source) if self.passes[0].missing_count else None

    @property
    def work(self) -> int:
        """Pixels that have to be made: those that networks are given, and those of the first picture."""
        part = self._first_part
        return (self.first.work(*part) if part else 0) + sum(one.work for one in self.passes)

    def bands(self, stats: RenderStats, advance: Advance) -> Bands:
        """The bands of the target, from top to bottom."""
        part = self._first_part
        # A pass all of whose tiles are known asks for nothing.
        level, box = part or (0, Box(0, 0, 1, 1))
        dtype = self.first.between if self.passes else self.dtype
        bands = self.first.bands(level, box, dtype, stats, advance)
        for one in self.passes:
            bands = run_pass(one, bands, self.seed, stats, advance)
        return bands


def _as_package_error(error: MemoryError) -> MemoryError:
    """The package's own for what the core or NumPy has raised."""
    if isinstance(error, OurganError):
        return error
    reason = " ".join(str(error).split()) or "no reason is given"
    return RenderMemoryError(f"out of memory ({reason}): give a smaller size or extent, or free memory")


class _Meter:
    """Reports work as parts of a total that was told before, even if there turns out to be more to do."""

    def __init__(self, report: Callable[[int], object], total: int) -> None:
        self._report = report
        self._left = float(total)
        self._worth = 1.0
        self.failure: BaseException | None = None
        """What reporting has raised."""

    def restart(self, work: int) -> None:
        """From now on, `work` is all that is left to do."""
        self._worth = self._left / max(work, 1)  # it may all be known, thanks to another thread

    def advance(self, work: int) -> None:
        """So much has been done."""
        self._lower(self._left - self._worth * work)

    def finish(self) -> None:
        """All has been done: what another thread did is reported here."""
        if round(self._left):
            self._lower(0.0)

    def _lower(self, left: float) -> None:
        before, self._left = round(self._left), left
        try:
            self._report(before - round(left))
        except BaseException as error:
            self.failure = error
            raise
