"""Renders as jobs: they wait for their turn, tell how far they are, and leave a file for a while."""

import asyncio
import functools
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import BudgetError, ClosedError, OutputError, RenderTimeoutError, SizeError
from ..limits import give_memory_back
from .admission import Workers
from .canvases import Canvases
from .errors import BusyError, NotFoundError, RefusedError
from .orders import Order
from .settings import Settings

__all__ = ["STATES", "Render", "Renders"]

State = Literal["queued", "rendering", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = ("queued", "rendering", "done", "failed", "cancelled")

_MOST_ENDED = 200
"""Renders that are remembered once they have ended."""

_SOON = 1.0
"""Seconds before which nobody can tell how long a render takes."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Render:
    """One of them. Its numbers are set by the thread that renders, and read by the event loop."""

    order: Order
    folder: Path
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: State = "queued"
    done: int = 0
    total: int = 0
    begun: float | None = None
    ended: float | None = None
    error: str | None = None
    bytes: int = 0
    task: "asyncio.Task[None] | None" = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.state not in ("queued", "rendering")

    @property
    def file(self) -> Path:
        """What it writes."""
        return self.folder / self.order.name

    @property
    def seconds(self) -> float:
        """For which it has been at work."""
        if self.begun is None:
            return 0.0
        return (time.monotonic() if self.ended is None else self.ended) - self.begun

    @property
    def left(self) -> float | None:
        """Seconds that it takes from now on, if one can tell."""
        if self.state != "rendering" or not self.done or self.seconds < _SOON:
            return None
        return self.seconds * (self.total - self.done) / self.done

    def progress(self, done: int, total: int) -> None:
        """So much is done."""
        self.done, self.total = done, total


class Renders:
    """All renders of a service, for one event loop; their files lie in `folder`."""

    def __init__(self, settings: Settings, canvases: Canvases, folder: Path) -> None:
        self._settings = settings
        self._canvases = canvases
        self._folder = folder
        self._renders: dict[str, Render] = {}
        self._turns = asyncio.Semaphore(settings.renders)
        # Those that are let in by turns never wait for a thread, but for one that is just ending.
        self.workers = Workers("renders", settings.renders, settings.renders)

    def __iter__(self) -> Iterator[Render]:
        return iter(list(self._renders.values()))

    def count(self, state: State) -> int:
        """How many are in that state."""
        return sum(render.state == state for render in self._renders.values())

    def position(self, render: Render) -> int | None:
        """How many of those that wait are before it and with it; None unless it waits."""
        if render.state != "queued":
            return None
        waiting = [one for one in self._renders.values() if one.state == "queued"]
        return waiting.index(render) + 1 if render in waiting else None

    def get(self, name: str) -> Render:
        """The render of that id; raises NotFoundError."""
        render = self._renders.get(name)
        if render is None:
            raise NotFoundError("there is no such render here, or not any more")
        return render

    def add(self, order: Order) -> Render:
        """Let it wait for its turn. Raises BusyError where too many wait, or the disk's share is full."""
        self.expire()
        if self.count("queued") >= self._settings.render_queue + self._free_turns:
            raise BusyError("too many renders wait already: try again later", 10)
        if self._bytes + order.bytes > self._settings.disk:
            raise BusyError("the files of earlier renders fill the disk's share: delete some, or wait", 60)
        render = Render(order, self._folder)
        render.folder = self._folder / render.id
        self._renders[render.id] = render
        render.task = asyncio.get_running_loop().create_task(self._run(render))
        return render

    async def remove(self, render: Render) -> None:
        """End it, wait until it has, and forget it with its file."""
        self._renders.pop(render.id, None)
        await self._end(render)
        await asyncio.get_running_loop().run_in_executor(None, _remove, render.folder)

    def expire(self) -> None:
        """Forget renders, with their files, that nobody has fetched in time."""
        now = time.monotonic()
        over = [one for one in self._renders.values() if one.ended is not None]
        surplus = len(over) - _MOST_ENDED
        for index, render in enumerate(over):
            if index < surplus or now - (render.ended or now) >= self._settings.render_ttl:
                del self._renders[render.id]
                asyncio.get_running_loop().run_in_executor(None, _remove, render.folder)

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(self._end(render) for render in self._renders.values()))
        await self.workers.close()

    @property
    def _free_turns(self) -> int:
        return self._settings.renders - self.count("rendering")

    @property
    def _bytes(self) -> int:
        """Of disk that their files have, or may come to have."""
        return sum(one.bytes if one.is_over else one.order.bytes for one in self._renders.values())

    async def _end(self, render: Render) -> None:
        if render.task is not None and not render.task.done():
            render.task.cancel()
            await asyncio.wait([render.task])
        if not render.is_over:  # its task was cancelled before it began
            render.state = "cancelled"
            render.ended = time.monotonic()

    async def _run(self, render: Render) -> None:
        try:
            async with self._turns:
                render.state, render.begun = "rendering", time.monotonic()
                await self._render(render)
                render.bytes = await asyncio.get_running_loop().run_in_executor(
                    None, _bytes_in, render.folder
                )
                render.state = "done"
        except (asyncio.CancelledError, ClosedError):
            render.state = "cancelled"
        except (asyncio.TimeoutError, RenderTimeoutError):
            self._fail(render, f"not done within {self._seconds(render):g} seconds")
        except Exception as error:  # noqa: BLE001 - the client is told, and the log
            _log.warning("a render of %s has failed", render.order.identifier, exc_info=error)
            self._fail(render, _for_clients(error, render.folder))
        finally:
            render.ended = time.monotonic()
            if render.state != "done":
                await asyncio.get_running_loop().run_in_executor(None, _remove, render.folder)

    def _fail(self, render: Render, message: str) -> None:
        render.state, render.error = "failed", message

    def _seconds(self, render: Render) -> float:
        most = self._settings.render_deadline
        return most if render.order.timeout is None else min(most, render.order.timeout)

    async def _render(self, render: Render) -> None:
        await asyncio.wait_for(self._save(render), self._seconds(render))

    async def _save(self, render: Render) -> None:
        order = render.order
        if order.bits == 16:
            canvas = await self._canvases.deep(order.identifier)
        else:
            canvas = (await self._canvases.ready(order.identifier)).canvas
        if order.size != (canvas.width, canvas.height):
            canvas = canvas.resized(*order.size)
        render.folder.mkdir()
        save = functools.partial(
            canvas.save,
            render.file,
            box=order.box,
            quality=order.quality,
            pyramid=order.pyramid,
            dpi=order.dpi,
            progress=render.progress,
        )
        await self.workers.run(functools.partial(_returning_memory, save))


def _returning_memory(save: Callable[[], object]) -> None:
    """Save, and return what that took to the system, however it ends: the next one may come much later."""
    try:
        save()
    finally:
        give_memory_back()


def _for_clients(error: Exception, folder: Path) -> str:
    """What they are told of it; paths of this machine are nothing for them."""
    if isinstance(error, (BudgetError, MemoryError)):
        return "out of memory: ask for less"
    if isinstance(error, (OutputError, RefusedError, SizeError)):
        return " ".join(str(error).split()).replace(f"{folder}/", "")
    return "the service failed; its log says why"


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
