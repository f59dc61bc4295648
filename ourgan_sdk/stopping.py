"""Ending a render from outside: `cancel` and `timeout`, looked at wherever a render works or waits.

Engines and writers wait in places that know nothing of renders. So what may end a render is not handed from
one to the other, but belongs to the flow of control that renders: its context, as of `contextvars`.
"""

import asyncio
import contextlib
import contextvars
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np

from .errors import RenderCancelledError, RenderTimeoutError
from .system.threads import check_process

__all__ = ["POLL_SECONDS", "Cancel", "check_stop", "locked", "stoppable", "to_thread"]

P = ParamSpec("P")
T = TypeVar("T")

POLL_SECONDS = 0.1
"""Between two looks, of whatever waits, at what may end it."""


_LONGEST = 1e9
"""Seconds: thirty years."""


class Cancel(Protocol):
    """What ends a render once it is set: an Event of `threading`, `asyncio` or `multiprocessing`, say."""

    def is_set(self) -> bool:
        """Whether the render is to end."""


@dataclass(frozen=True)
class _Watch:
    """What may end this render, and `outer` what may end the one that it is a part of."""

    cancel: Cancel | None
    timeout: float | None
    end: float
    """When the timeout is over, as time.monotonic() tells it."""
    outer: "_Watch | None"

    def check(self) -> None:
        if self.cancel is not None and self.cancel.is_set():
            raise RenderCancelledError("the render was cancelled")
        if time.monotonic() >= self.end:
            raise RenderTimeoutError(f"the render has not ended within {self.timeout:g} s")
        if self.outer is not None:
            self.outer.check()


_current: contextvars.ContextVar[_Watch | None] = contextvars.ContextVar("ourgan_sdk watch", default=None)


@contextlib.contextmanager
def stoppable(cancel: Cancel | None, timeout: float | None) -> Iterator[None]:
    """Let `cancel`, once it is set, or the end of `timeout`, in seconds from now, end what runs in the block.

    Raises TypeError or ValueError for what is neither, RenderCancelledError where it is set already.
    """
    _check(cancel, timeout)
    end = math.inf if timeout is None else time.monotonic() + timeout
    token = _current.set(_Watch(cancel, timeout, end, _current.get()))
    try:
        check_stop()
        yield
    finally:
        _current.reset(token)


def check_stop() -> None:
    """Raises RenderCancelledError or RenderTimeoutError if it is time to end; to be called now and then.

    And SystemExit in a daemon thread, once the interpreter ends: see `system.threads.check_process`.
    """
    check_process()
    watch = _current.get()
    if watch is not None:
        watch.check()


class Lock(Protocol):
    """Of `threading`."""

    def acquire(self, *, timeout: float) -> bool: ...
    def release(self) -> None: ...


@contextlib.contextmanager
def locked(lock: Lock) -> Iterator[None]:
    """Hold `lock`, which another render may hold for seconds; what ends this one ends the waiting."""
    while not lock.acquire(timeout=POLL_SECONDS):
        check_stop()
    try:
        yield
    finally:
        lock.release()


async def to_thread(call: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
    """As `asyncio.to_thread`, but if the await is cancelled, what `call` renders ends with it.

    For whatever renders: `await ourgan_sdk.to_thread(synthesizer.render, 7680, 4320, out="picture.png")`.
    A thread cannot be cancelled, and after `asyncio.to_thread` it would render on. Here the cancelled await
    waits for the moment that the render takes to end, so that nothing of it is left when it returns.
    """
    stop, begun = threading.Event(), threading.Event()

    def run() -> T:
        begun.set()
        with stoppable(stop, None):
            return call(*arguments, **keywords)

    future = asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, run)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop.set()
        future.add_done_callback(_take_notice)
        if begun.is_set():  # else it waits for a thread, and ends when it gets one
            await asyncio.wait([future])
        raise


def _take_notice(future: "asyncio.Future[Any]") -> None:
    """Of how a cancelled call ended, lest asyncio complains that nobody did."""
    if not future.cancelled():
        future.exception()


def _check(cancel: object, timeout: object) -> None:
    if cancel is not None and not callable(getattr(cancel, "is_set", None)):
        raise TypeError(f"expected cancel to have is_set(), as a threading.Event has, got {cancel!r}")
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float, np.integer, np.floating)):
        raise TypeError(f"expected timeout to be a number of seconds, got {timeout!r}")
    if not (0 <= timeout <= _LONGEST or timeout == math.inf):
        raise ValueError(f"expected a timeout from 0 to {_LONGEST:g} seconds, got {timeout!r}")
