"""Bounded work: so many threads, so much that waits for them, so much of one client. The rest is refused."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ..stopping import stoppable
from .errors import BusyError

__all__ = ["Clients", "Workers"]

T = TypeVar("T")

_LOOK = 0.01
"""Seconds between two looks at what is still at work."""


class Workers:
    """Calls in `threads` threads; up to `queue` more wait for one."""

    def __init__(self, name: str, threads: int, queue: int, retry_after: int = 1) -> None:
        self.name = name
        self._most = threads + queue
        self._threads = threads
        self._retry_after = retry_after
        self._lock = threading.Lock()
        self._count = 0
        self._stops: dict[Future[Any], threading.Event] = {}
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"ourgan {name}")

    @property
    def waiting(self) -> int:
        """Calls that no thread has begun."""
        return max(0, self._count - self._threads)

    async def run(self, call: Callable[[], T]) -> T:
        """`call()`; what it renders ends when the await is cancelled. Raises BusyError where all is full."""
        stop = threading.Event()

        def work() -> T:
            with stoppable(stop, None):
                return call()

        future = self._submit(work, stop)
        result = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(result)
        except asyncio.CancelledError:
            stop.set()
            if not future.cancel():  # a thread has begun it: nothing of it is left when this returns
                await asyncio.wait([result])
                _take_notice(result)
            raise

    def _submit(self, work: Callable[[], T], stop: threading.Event) -> "Future[T]":
        with self._lock:
            if self._count >= self._most:
                raise BusyError(f"too many {self.name} are asked for: try again later", self._retry_after)
            self._count += 1
        try:
            future = self._executor.submit(contextvars.copy_context().run, work)
        except RuntimeError:  # it is being shut down
            with self._lock:
                self._count -= 1
            raise BusyError("the service is being shut down", 10) from None
        with self._lock:
            self._stops[future] = stop
        future.add_done_callback(self._end)
        return future

    def _end(self, future: "Future[Any]") -> None:
        """Once it has ended, not once nobody waits for it: until then its thread is taken."""
        with self._lock:
            self._count -= 1
            self._stops.pop(future, None)

    @property
    def at_work(self) -> int:
        """Calls that have not ended."""
        return self._count

    async def close(self) -> None:
        """Let nothing more begin, and end what is at work, which is waited for; it may be left to itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            stops = dict(self._stops)
        for stop in stops.values():
            stop.set()
        while self._count:
            await asyncio.sleep(_LOOK)


def _take_notice(ended: "asyncio.Future[Any]") -> None:
    """Of how a cancelled call ended, lest asyncio complains that nobody did."""
    if not ended.cancelled():
        ended.exception()


class Clients:
    """How many requests each client has under way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    @contextlib.contextmanager
    def one_more(self, client: str) -> Iterator[None]:
        """Count one for as long as the block runs; raises BusyError (429) where there are too many."""
        count = self._counts.get(client, 0)
        if count >= self._most:
            raise BusyError(f"more than {self._most} requests at once: wait for some of them", 1, status=429)
        self._counts[client] = count + 1
        try:
            yield
        finally:
            if self._counts[client] == 1:
                del self._counts[client]
            else:
                self._counts[client] -= 1
