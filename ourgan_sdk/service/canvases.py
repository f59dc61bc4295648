"""Opened canvases by identifier: made once, found once, kept as long as there is room."""

import asyncio
import contextlib
import functools
import logging
import math
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import Box
from .._version import __version__
from ..arrays import Picture
from ..canvas import Canvas
from ..errors import BundleError, PhotographError
from ..synthesizer import Synthesizer
from .admission import Workers
from .errors import BadRequestError, NotFoundError
from .flights import Flights
from .identifiers import Identifier
from .settings import Settings
from .sources import Source, Sources

__all__ = ["Canvases", "Opened", "Opener", "open_source"]

_LINGER = 10.0
"""Seconds for which a canvas that nobody waits for is searched on: who pans asks for other tiles of it."""

_MOST_CANVASES = 1000
"""That are kept without a field, which take a few kilobytes."""

_LATEST = 3
"""Synthesizers that are kept open without any canvas."""

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
        return self.canvas._renderer.need(keep=False).shared if self.is_found else {}


def open_source(settings: Settings, source: Source, identifier: Identifier | None) -> Synthesizer:
    """`source` opened as the identifier wants its structure and detail; raises as `Synthesizer`."""
    return Synthesizer(
        source.path,
        engine=settings.engine,
        device=settings.device,
        precision=settings.precision,
        threads=settings.engine_threads,
        allow_plans=settings.allow_plans,
        structure="auto" if identifier is None else identifier.structure,
        detail="auto" if identifier is None else identifier.detail,
    )


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
        self._synthesizers: weakref.WeakValueDictionary[Hashable, Synthesizer] = weakref.WeakValueDictionary()
        self._latest: deque[Synthesizer] = deque(maxlen=_LATEST)
        self._kept: OrderedDict[Hashable, Opened] = OrderedDict()
        self._described: dict[Source, dict[str, Any] | None] = {}
        self._opening: Flights[Hashable, Synthesizer] = Flights()
        self._making: Flights[Hashable, Opened] = Flights()
        self._finding: Flights[Hashable, None] = Flights(_LINGER)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Of what canvases keep."""
        parts: dict[Hashable, int] = {}
        for opened in self._kept.values():
            parts.update(opened.parts)
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
            return kept
        return await self._making.join(key, functools.partial(self._make, key, source, identifier))

    async def ready(self, identifier: Identifier) -> Opened:
        """The canvas, its field known; raises as `open`."""
        opened = await self.open(identifier)
        if not opened.is_found:
            key = (self.sources.get(identifier.source), str(identifier))
            await self._finding.join(key, functools.partial(self._find, opened))
        return opened

    async def prepare(self, identifier: Identifier) -> Opened:
        """The canvas, whose field is going to be known: whoever asked will ask for its tiles."""
        opened = await self.open(identifier)
        if not opened.is_found:
            key = (self.sources.get(identifier.source), str(identifier))
            self._finding.begin(key, functools.partial(self._find, opened))
        return opened

    async def thumbnail(self, identifier: Identifier, width: int, height: int) -> Picture:
        """The whole canvas, (height, width, 3) uint8, small, without its field: `Synthesizer.thumbnail`."""
        opened = await self.open(identifier)
        call = functools.partial(
            opened.synthesizer.thumbnail,
            identifier.seed,
            width=identifier.width,
            height=identifier.height,
            size=max(width, height),
            extent=identifier.extent,
            layout=identifier.layout,
            start_scale=identifier.start_scale,
        )
        return await self._workers.run(call)

    async def deep(self, identifier: Identifier) -> Canvas:
        """The canvas in 16 bits per channel, which nobody keeps; its field is found when it is read."""
        opened = await self.open(identifier)
        call = functools.partial(_canvas_of, opened.synthesizer, identifier, np.dtype(np.uint16))
        return await self._workers.run(call)

    async def describe(self) -> list[dict[str, Any]]:
        """What there is, for /api/sources: the folder is looked at anew, what cannot be read is left out."""
        found = await asyncio.get_running_loop().run_in_executor(None, self.sources.look)
        self._described = {source: self._described[source] for source in found if source in self._described}
        for source in found:
            with contextlib.suppress(NotFoundError):
                await self._described_source(source)
        return [one for source in found if (one := self._described.get(source)) is not None]

    async def close(self) -> None:
        """Stop what is being opened, and let go of everything."""
        for flights in (self._finding, self._making, self._opening):
            await flights.close()
        for synthesizer in list(self._synthesizers.values()):
            synthesizer.close()
        self._kept.clear()
        self._latest.clear()

    async def _described_source(self, source: Source) -> dict[str, Any]:
        if source not in self._described:
            self._described[source] = await self._describe(source)
        description = self._described[source]
        if description is None:
            raise NotFoundError(f"the source {source.name} cannot be read; the service's log says why")
        return description

    async def _describe(self, source: Source) -> dict[str, Any] | None:
        try:
            synthesizer = await self._synthesizer(source, None)
        except (BundleError, PhotographError) as error:
            _log.warning("%s is left out: %s", source.path, error)
            return None
        manifest = synthesizer.bundle.manifest
        size = {"width": manifest.photo.width, "height": manifest.photo.height}
        structures = [
            *(["patches"] if manifest.photo.file is not None else []),
            *(["network"] if manifest.structure is not None else []),
        ]
        return {
            "name": source.name,
            "kind": "bundle" if source.path.suffix.lower() == ".ourgan" else "photograph",
            **size,
            "detail": _DETAIL if manifest.photo.file is not None else _DETAIL[1:],
            "structures": structures,
            "default": size,
        }

    async def _synthesizer(self, source: Source, identifier: Identifier | None) -> Synthesizer:
        modes = ("auto", "auto") if identifier is None else (identifier.structure, identifier.detail)
        key = (source, modes)
        known = self._synthesizers.get(key)
        if known is None:
            call = functools.partial(self._open_source, self._settings, source, identifier)
            known = await self._opening.join(key, functools.partial(self._workers.run, call))
            self._synthesizers[key] = known
        if known in self._latest:
            self._latest.remove(known)
        self._latest.append(known)
        return known

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
        field = math.prod(opened.canvas.levels[-1].shape[:2])
        if field > self._settings.max_field:
            raise BadRequestError(
                f"a canvas of this extent has {field} pixels that have to be searched whole, "
                f"{self._settings.max_field} are allowed: give a smaller extent or size"
            )
        needed = sum(opened.canvas._renderer.need(keep=False).shared.values())
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
        """Let go of the canvases that were not asked for the longest, all but the last."""
        while len(self._kept) > 1 and (
            self.bytes > self._settings.memory_for_canvases or len(self._kept) > _MOST_CANVASES
        ):
            self._kept.popitem(last=False)


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


@contextlib.contextmanager
def _refused(source: Source) -> Iterator[None]:
    """Show what does not go together as the client's mistake; paths are nothing that clients are told."""
    try:
        yield
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
