"""Work that several requests wait for, done once."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from ..errors import ClosedError

__all__ = ["Flights"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Flights(Generic[K, T]):
    """Begins work for the first who asks; those who ask meanwhile share it. All in one event loop.

    Work that nobody waits for any more is cancelled after `linger` seconds, unless somebody asks again.
    """

    def __init__(self, linger: float = 0.0) -> None:
        self._linger = linger
        self._flights: dict[K, _Flight[T]] = {}
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._flights)

    def begin(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        """Start it, unless it is at work, without waiting for it; raises ClosedError after `close`."""
        flight = self._flight(key, work)
        if not flight.waiters:
            self._leave(key, flight)

    async def join(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work()` returns, or raises; ClosedError if everything ends meanwhile."""
        flight = self._flight(key, work)
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if flight.task.cancelled():  # by `close`: nobody else cancels what is waited for
                raise ClosedError("the service is being shut down") from None
            raise
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._leave(key, flight)

    async def close(self) -> None:
        """Cancel all of it; nothing more begins, lest somebody waits for what nobody cancels."""
        self._is_closed = True
        flights = list(self._flights.values())
        for flight in flights:
            flight.task.cancel()
        await asyncio.gather(*(flight.task for flight in flights), return_exceptions=True)

    def _flight(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> "_Flight[T]":
        flight = self._flights.get(key)
        if flight is None:
            if self._is_closed:
                raise ClosedError("the service is being shut down")
            flight = self._flights[key] = _Flight(asyncio.get_running_loop().create_task(work()))
            flight.task.add_done_callback(lambda _task: self._land(key, flight))
        return flight

    def _leave(self, key: K, flight: "_Flight[T]") -> None:
        if flight.end is not None:
            flight.end.cancel()  # it begins anew for who was here last
        if self._linger:
            loop = asyncio.get_running_loop()
            flight.end = loop.call_later(self._linger, self._cancel, key, flight)
        else:
            self._cancel(key, flight)

    def _cancel(self, key: K, flight: "_Flight[T]") -> None:
        if not flight.waiters and not flight.task.done():
            flight.task.cancel()
            self._remove(key, flight)  # at once: who asks now begins anew

    def _land(self, key: K, flight: "_Flight[T]") -> None:
        self._remove(key, flight)
        if flight.end is not None:
            flight.end.cancel()  # lest it keeps the key
        with contextlib.suppress(asyncio.CancelledError):
            flight.task.exception()  # looked at, lest asyncio complains that nobody did

    def _remove(self, key: K, flight: "_Flight[T]") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class _Flight(Generic[T]):
    def __init__(self, task: "asyncio.Task[T]") -> None:
        self.task = task
        self.waiters = 0
        self.end: asyncio.TimerHandle | None = None
