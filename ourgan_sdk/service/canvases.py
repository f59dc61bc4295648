"""Opened canvases by identifier: made once, found once, kept as long as there is room."""

import asyncio
import contextlib
import functools
import gc
import logging
import math
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import Box
from .._version import __version__
from ..arrays import Picture
from ..canvas import Canvas
from ..errors import BudgetError, BundleError, ClosedError, PhotographError
from ..limits import give_memory_back
from ..synthesizer import DetailMode, StructureMode, Synthesizer
from .admission import Workers
from .errors import BadRequestError, NotFoundError, RefusedError
from .flights import Flights
from .identifiers import Identifier
from .settings import Settings
from .sources import Source, Sources

__all__ = ["Canvases", "Opened", "Opener", "open_source"]

_LINGER = 10.0
"""Seconds for which a canvas that nobody waits for is searched on: who pans asks for other tiles of it."""

_MOST_CANVASES = 1000
"""A canvas without its field takes a few kilobytes; what its synthesizer keeps is counted by itself."""

_MOST_SYNTHESIZERS = 16
"""That are kept open, as each may have networks open, whose bytes nobody knows."""

_BETWEEN_SWEEPS = 0.5
"""Seconds in which whoever is at work with what was let go of may end."""

_DETAIL = ["photograph", "network"]

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Opened:
    """A canvas, what its pixels depend on beside its identifier, and whether its field is known."""

    canvas: Canvas
    synthesizer: Synthesizer
    version: str
    is_found: bool = False

    @property
    def parts(self) -> Mapping[Hashable, int]:
        """Bytes of what it keeps, some of it together with others: photograph, its levels, field."""
        return self.canvas.kept if self.is_found else {}


def open_source(settings: Settings, source: Source, identifier: Identifier | None) -> Synthesizer:
    """`source` opened as the identifier wants its structure and detail; raises as `Synthesizer`."""
    structure, detail = _modes(identifier)
    return Synthesizer(
        source.path,
        engine=settings.engine,
        device=settings.device,
        precision=settings.precision,
        threads=settings.engine_threads,
        allow_plans=settings.allow_plans,
        structure=structure,
        detail=detail,
    )


def _modes(identifier: Identifier | None) -> tuple[StructureMode, DetailMode]:
    return ("auto", "auto") if identifier is None else identifier.modes


Opener = Callable[[Settings, Source, Identifier | None], Any]
"""Gives a `Synthesizer`, or what stands for one."""


class Canvases:
    """For one event loop. Canvases are made and searched in `workers`, so tiles of others do not wait."""

    def __init__(
        self,
        settings: Settings,
        workers: Workers,
        opener: Opener = open_source,
    ) -> None:
        self.sources = Sources(settings)
        self._settings = settings
        self._workers = workers
        self._open_source = opener
        # Those that are let go of are still open for whoever is using them.
        self._open: weakref.WeakValueDictionary[Hashable, Synthesizer] = weakref.WeakValueDictionary()
        self._synthesizers: OrderedDict[Hashable, Synthesizer] = OrderedDict()
        self._kept: OrderedDict[Hashable, Opened] = OrderedDict()
        self._sweeping: asyncio.Future[None] | None = None
        self._is_closed = False
        self._described: dict[Source, dict[str, Any] | None] = {}
        self._opening: Flights[Hashable, Synthesizer] = Flights()
        self._making: Flights[Hashable, Opened] = Flights()
        self._finding: Flights[Opened, None] = Flights(_LINGER)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Of what canvases and synthesizers keep, those included that are still in use."""
        return self._bytes_of(list(self._open.values()))

    def _bytes_of(self, synthesizers: Iterable[Synthesizer]) -> int:
        parts: dict[Hashable, int] = {}
        for opened in self._kept.values():
            parts.update(opened.parts)
        for synthesizer in synthesizers:
            parts.update(synthesizer.kept)
        return sum(parts.values())

    async def open(self, identifier: Identifier) -> Opened:
        """The canvas, whose field may not be known yet.

        Raises NotFoundError, BadRequestError where there is no such canvas or it is too large, BusyError, and
        what opening a source raises.
        """
        source = self.sources.get(identifier.source)
        key = (source, str(identifier))
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            self._touch(kept.synthesizer)
            return kept
        return await self._making.join(key, functools.partial(self._make, key, source, identifier))

    async def ready(self, identifier: Identifier) -> Opened:
        """The canvas, its field known; raises as `open`."""
        opened = await self.open(identifier)
        await self.find(opened)
        return opened

    def is_found(self, identifier: Identifier) -> bool:
        """Whether the canvas is open, and its field known."""
        kept = self._kept.get((self.sources.get(identifier.source), str(identifier)))
        return kept is not None and kept.is_found

    async def find(self, opened: Opened) -> None:
        """Know its field; raises what rendering raises."""
        if not opened.is_found:
            await self._finding.join(opened, functools.partial(self._find, opened))

    async def prepare(self, identifier: Identifier) -> Opened:
        """The canvas, whose field is going to be known: whoever asked will ask for its tiles."""
        opened = await self.open(identifier)
        if not opened.is_found:
            self._finding.begin(opened, functools.partial(self._find, opened))
        return opened

    async def thumbnail(self, opened: Opened, identifier: Identifier, size: int) -> Picture:
        """The whole canvas, (h, w, 3) uint8, `size` on its long side, without its field.

        It is that of `Synthesizer.thumbnail`.
        """
        call = functools.partial(
            opened.synthesizer.thumbnail,
            identifier.seed,
            width=identifier.width,
            height=identifier.height,
            size=size,
            extent=identifier.extent,
            layout=identifier.layout,
            start_scale=identifier.start_scale,
        )
        try:
            return await self._workers.run(call)
        finally:
            self._make_room()

    async def deep(self, identifier: Identifier) -> Canvas:
        """The canvas in 16 bits per channel, which nobody keeps; its field is found when it is read."""
        opened = await self.open(identifier)
        if opened.synthesizer.takes_detail:  # one field for both
            await self.find(opened)
        return await self._workers.run(functools.partial(_deep_of, opened, identifier))

    async def describe(self) -> list[dict[str, Any]]:
        """What there is, for /api/sources: the folder is looked at anew, what cannot be read is left out."""
        found = await asyncio.get_running_loop().run_in_executor(None, self.sources.look)
        self._described = {source: self._described[source] for source in found if source in self._described}
        turns = asyncio.Semaphore(self._settings.workers)

        async def describe_one(source: Source) -> None:
            async with turns:
                with contextlib.suppress(RefusedError, MemoryError):
                    await self._described_source(source)

        await asyncio.gather(*map(describe_one, found))
        return [one for source in found if (one := self._described.get(source)) is not None]

    async def close(self) -> None:
        """Stop what is being opened, and let go of everything."""
        self._is_closed = True
        for flights in (self._finding, self._making, self._opening):
            await flights.close()
        for synthesizer in list(self._open.values()):
            synthesizer.close()
        self._kept.clear()
        self._synthesizers.clear()

    async def _described_source(self, source: Source) -> dict[str, Any]:
        if source not in self._described:
            self._described[source] = await self._describe(source)
        description = self._described.get(source)  # which may have been found to be gone meanwhile
        if description is None:
            raise _unreadable(source)
        return description

    async def _describe(self, source: Source) -> dict[str, Any] | None:
        try:
            synthesizer = await self._synthesizer(source, None)
        except NotFoundError:  # the log says why
            return None
        manifest = synthesizer.bundle.manifest
        height, width = manifest.natural_size
        size = {"width": width, "height": height}
        structures = [
            *(["coordinates"] if manifest.coordinates is not None else []),
            *(["patches"] if manifest.photograph is not None else []),
            *(["network"] if manifest.structure is not None else []),
        ]
        return {
            "name": source.name,
            "kind": "bundle" if source.path.suffix.lower() == ".ourgan" else "photograph",
            **size,
            "detail": _DETAIL if manifest.photograph is not None else _DETAIL[1:],
            "structures": structures,
            "default": size,
        }

    async def _synthesizer(self, source: Source, identifier: Identifier | None) -> Synthesizer:
        key = (source, _modes(identifier))
        known = self._open.get(key)
        if known is None:
            known = await self._opening.join(key, functools.partial(self._open_anew, key, source, identifier))
        self._synthesizers[key] = known
        self._touch(known)
        self._make_room()
        return known

    async def _open_anew(self, key: Hashable, source: Source, identifier: Identifier | None) -> Synthesizer:
        call = functools.partial(self._open_source, self._settings, source, identifier)
        try:
            opened: Synthesizer = await self._workers.run(call)
        except (BundleError, PhotographError, OSError) as error:
            _log.warning("%s is left out: %s", source.path, error)
            self._described[source] = None
            raise _unreadable(source) from error
        self._open[key] = opened
        return opened

    def _touch(self, synthesizer: Synthesizer) -> None:
        """It was asked for last."""
        for key, one in self._synthesizers.items():
            if one is synthesizer:
                self._synthesizers.move_to_end(key)
                return

    async def _make(self, key: Hashable, source: Source, identifier: Identifier) -> Opened:
        if max(identifier.width, identifier.height) > self._settings.max_side:
            raise BadRequestError(
                f"canvases have at most {self._settings.max_side} pixels per side here, "
                f"{identifier.width} x {identifier.height} are asked for"
            )
        _check_modes(identifier, await self._described_source(source))
        synthesizer = await self._synthesizer(source, identifier)
        with _refused(source):
            call = functools.partial(_canvas_of, synthesizer, identifier, np.dtype(np.uint8))
            canvas = await self._workers.run(call)
        opened = Opened(canvas, synthesizer, f"{synthesizer.bundle.sha256} {__version__}")
        self._check(opened)
        self._kept[key] = opened
        self._make_room()
        return opened

    def _check(self, opened: Opened) -> None:
        """Raise BadRequestError where a canvas takes more than is allowed before its first tile."""
        is_searched = opened.synthesizer.bundle.manifest.coordinates is None
        field = math.prod(opened.canvas.levels[-1].shape[:2]) if is_searched else 0
        if field > self._settings.max_field:
            raise BadRequestError(
                f"a canvas of this extent has {field} pixels that have to be searched whole, "
                f"{self._settings.max_field} are allowed: give a smaller extent or size"
            )
        needed = sum(opened.canvas.kept.values())
        if needed > self._settings.memory_for_canvases:
            raise BadRequestError(
                f"a canvas of this size and extent takes {needed >> 20} MiB, more than the "
                f"{self._settings.memory_for_canvases >> 20} that there are for canvases: give less, or "
                "start the service with more --memory"
            )

    async def _find(self, opened: Opened) -> None:
        canvas = opened.canvas
        # Any pixel takes all that has to be known of the whole picture, and the coarsest level no more.
        call = functools.partial(canvas.read, Box(0, 0, 1, 1), len(canvas.levels) - 1)
        await self._workers.run(call)
        opened.is_found = True
        self._make_room()

    def _make_room(self) -> None:
        """Let go of what was not asked for the longest, all but the last: canvases, and who has made them."""
        before = len(self._synthesizers) + len(self._kept)
        self._let_go_of_the_oldest()
        if len(self._synthesizers) + len(self._kept) < before:
            self._sweep()

    def _let_go_of_the_oldest(self) -> None:
        while len(self._synthesizers) > _MOST_SYNTHESIZERS:
            self._let_go(next(iter(self._synthesizers)))
        while len(self._kept) > _MOST_CANVASES:
            self._kept.popitem(last=False)
        # What is still in use goes by itself; nothing else has to go in its place.
        while self._bytes_of(self._synthesizers.values()) > self._settings.memory_for_canvases:
            in_use = {id(opened.synthesizer) for opened in self._kept.values()}
            idle = [key for key, one in self._synthesizers.items() if id(one) not in in_use]
            last = next(reversed(self._synthesizers), None)
            if idle and idle[0] != last:
                self._let_go(idle[0])
            elif len(self._kept) > 1:
                self._kept.popitem(last=False)
            else:
                return

    def _sweep(self) -> None:
        """Collect what was let go of, now and, what somebody was still at work with, later."""
        if self._sweeping is None:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.run_in_executor(None, _collect)
            self._sweeping.add_done_callback(lambda _done: self._swept(loop))

    def _swept(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = None
        if len(self._open) > len(self._synthesizers) and not self._is_closed:
            loop.call_later(_BETWEEN_SWEEPS, self._sweep)

    def _let_go(self, key: Hashable) -> None:
        """Of a synthesizer and its canvases. Whoever is at work with one has it to the end of that."""
        synthesizer = self._synthesizers.pop(key)
        for name in [name for name, opened in self._kept.items() if opened.synthesizer is synthesizer]:
            del self._kept[name]


def _canvas_of(synthesizer: Synthesizer, identifier: Identifier, dtype: "np.dtype[Any]") -> Canvas:
    return synthesizer.canvas(
        identifier.width,
        identifier.height,
        identifier.seed,
        dtype=dtype,
        extent=identifier.extent,
        layout=identifier.layout,
        start_scale=identifier.start_scale,
    )


def _deep_of(opened: Opened, identifier: Identifier) -> Canvas:
    canvas = _canvas_of(opened.synthesizer, identifier, np.dtype(np.uint16))
    if opened.is_found and opened.synthesizer.takes_detail:
        canvas.use_base(opened.canvas.find_base())
    return canvas


def _collect() -> None:
    """Canvases know their levels, which know them: no count of references tells when they are over."""
    gc.collect()
    give_memory_back()


def _unreadable(source: Source) -> NotFoundError:
    return NotFoundError(f"the source {source.name} cannot be read; the service's log says why")


@contextlib.contextmanager
def _refused(source: Source) -> Iterator[None]:
    """Show what does not go together as the client's mistake; paths are nothing that clients are told."""
    try:
        yield
    except (ClosedError, PhotographError):  # nobody's mistake
        raise
    except BudgetError as error:
        raise BadRequestError(
            "a canvas of this size takes more memory than there is for a render here: give a smaller one, or "
            "start the service with more --memory"
        ) from error
    except ValueError as error:
        raise BadRequestError(str(error).replace(str(source.path), source.name)) from error


def _check_modes(identifier: Identifier, description: Mapping[str, Any]) -> None:
    """Raise BadRequestError where the source has not what the identifier wants."""
    for what, mode, modes in (
        ("detail", identifier.detail, description["detail"]),
        ("structure", identifier.structure, description["structures"]),
    ):
        if mode != "auto" and mode not in modes:
            raise BadRequestError(f"{identifier.source} has {what} by {' or '.join(modes)} alone, not {mode}")
