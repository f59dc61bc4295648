"""What all renders of this process may take together: bytes, and how many of them may be at work at once.

Renders that would go beyond it wait for their turn, in the order in which they came.
"""

import contextlib
import contextvars
import ctypes
import os
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

from .errors import OurganError
from .passes.cache import TileCache
from .sizes import check_bytes, check_integer, parse_bytes
from .stopping import check_stop
from .system.forks import in_child, lock
from .system.memory import LARGEST_MEMORY_LIMIT
from .system.threads import Bell

__all__ = ["MOST_RENDERS", "Need", "give_memory_back", "memory_for_all", "set_limits", "turn"]

MOST_RENDERS = 1 << 20

_MEMORY = "OURGAN_TOTAL_MEMORY"
_RENDERS = "OURGAN_MOST_RENDERS"
"""Environment variables: the limits until `set_limits` is called."""


_SMALL_SHARE = 16
"""Renders of less than that part of the limit leave what they have freed to the allocator."""


@dataclass(frozen=True, eq=False)
class Need:
    """Bytes that one render takes: of its own, and of parts that renders share, by what they are."""

    own: int
    shared: Mapping[Hashable, int] = field(default_factory=dict)
    cache: TileCache | None = None
    """Where the render keeps tiles."""


def set_limits(*, memory: SupportsIndex | str | None = None, renders: SupportsIndex | None = None) -> None:
    """Bound what all renders of this process take together. Every call sets both bounds; None is no bound.

    A render that would go beyond them waits until others have ended, in the order in which they came; its
    `cancel` and its `timeout` end the waiting, too. One that another render's `progress` starts, in the same
    thread, does not wait, for the other would wait for it.

    Before this is called, the environment variables OURGAN_TOTAL_MEMORY, such as 2GiB, and
    OURGAN_MOST_RENDERS say the same. Renders that are at work already stay as they are.

    Args:
        memory: Bytes, or a text such as "2GiB", of tiles, bands, fields, photographs at a picture's levels
            and tiles that canvases keep, which go first where others need the room. It is also the most that
            a `Synthesizer` opened from now on takes as its `memory_limit`. A render which alone takes more,
            as its photograph or its structure are so large, renders alone. Arrays that calls return are
            their callers', and networks, a few megabytes each, are the synthesizers': they do not count.
        renders: How many may be at work at once.

    Raises:
        TypeError, ValueError: They are no numbers, or less than 1.
    """
    if memory is not None:
        memory = check_bytes("memory", memory, LARGEST_MEMORY_LIMIT)
    if renders is not None:
        renders = check_integer("renders", renders, MOST_RENDERS)
    _gate.limit(memory, renders)


def memory_for_all() -> int:
    """Bytes that all renders may take together."""
    return _gate.memory


@contextlib.contextmanager
def turn(need: Need) -> Iterator[None]:
    """Wait until a render may begin that takes so much, and count it for as long as the block runs."""
    gate, place, is_within = _gate, _Place(need), _is_rendering.get()
    token = None
    try:
        token = _is_rendering.set(True)
        gate.enter(place, waits=not is_within)
        yield
    finally:
        if token is not None:
            _is_rendering.reset(token)
        gate.leave(place)


class _Place:
    """A render's, in the queue or at work, for as long as the render itself holds it."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self.bell = Bell()


class _Gate:
    """Lets renders in, in their order, as long as there is room.

    Ctrl-C may interrupt a render between any two steps, and whoever catches it goes on. So the lock is held
    for single blocks, never while one waits, and places are known weakly: one whose render has ended without
    a word goes by itself.
    """

    def __init__(self) -> None:
        self._limits: tuple[int, int] | None = None
        self._lock = lock()
        self._waiting: list[weakref.ref[_Place]] = []
        self._running: list[weakref.ref[_Place]] = []
        self._caches: weakref.WeakKeyDictionary[TileCache, int] = weakref.WeakKeyDictionary()
        self._turns = 0

    @property
    def memory(self) -> int:
        return self._known()[0]

    def limit(self, memory: int | None, renders: int | None) -> None:
        with self._lock:
            self._limits = (memory or LARGEST_MEMORY_LIMIT, renders or MOST_RENDERS)
        self._ring()

    def enter(self, place: _Place, *, waits: bool) -> None:
        with self._lock:
            self._waiting.append(weakref.ref(place))
        while not self._admit(place, at_once=not waits):
            place.bell.wait()
            check_stop()
        self._ring()

    def leave(self, place: _Place) -> None:
        if place.need.own * _SMALL_SHARE > self.memory:
            give_memory_back()  # first, for whoever waits takes it in another thread
        with self._lock:
            self._waiting = [ref for ref in self._waiting if ref() not in (None, place)]
            self._running = [ref for ref in self._running if ref() not in (None, place)]
        self._ring()

    def _ring(self) -> None:
        """Let those who wait look again."""
        for place in _held(list(self._waiting)):
            place.bell.ring()

    def _admit(self, place: _Place, *, at_once: bool) -> bool:
        """Count the render among those at work, if it is its turn and there is room."""
        with self._lock:
            waiting = _held(self._waiting)
            if not (at_once or (waiting[0] is place and self._has_room(place.need))):
                return False
            self._running.append(weakref.ref(place))
            self._waiting = [weakref.ref(one) for one in waiting if one is not place]
            self._remember(place.need.cache)
            return True

    def _has_room(self, need: Need) -> bool:
        """Whether one more may be at work; tiles that idle canvases keep make room, the oldest first."""
        memory, renders = self._known()
        running = [place.need for place in _held(self._running)]
        if len(running) >= renders:
            return False
        together = [*running, need]
        at_work = {one.cache for one in together}
        idle = [cache for cache in sorted(self._caches, key=self._caches.__getitem__) if cache not in at_work]
        excess = _bytes_of(together) + sum(cache.size for cache in idle) - memory
        if excess > sum(cache.size for cache in idle) and running:
            return False
        for cache in idle:
            if excess > 0:
                excess -= cache.clear()
        return True

    def _remember(self, cache: TileCache | None) -> None:
        if cache is not None:
            self._turns += 1
            self._caches[cache] = self._turns

    def _known(self) -> tuple[int, int]:
        if self._limits is None:
            self._limits = _from_environment()
        return self._limits


def _held(places: Sequence["weakref.ref[_Place]"]) -> list[_Place]:
    """Those whose renders have not ended."""
    return [place for place in (ref() for ref in places) if place is not None]


def _bytes_of(needs: Sequence[Need]) -> int:
    """What they take together: parts that several of them share once, caches as large as they may become."""
    shared = {part: size for need in needs for part, size in need.shared.items()}
    caches = {need.cache for need in needs if need.cache is not None}
    return sum(need.own for need in needs) + sum(shared.values()) + sum(cache.limit for cache in caches)


def give_memory_back() -> None:
    """To the system, what was freed: the allocator keeps it for the thread that had it, and for no other.

    Where it is not glibc's, nobody can tell it to.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _from_environment() -> tuple[int, int]:
    return _variable(_MEMORY, parse_bytes, LARGEST_MEMORY_LIMIT), _variable(_RENDERS, int, MOST_RENDERS)


def _variable(name: str, parse: Callable[[str], int], largest: int) -> int:
    text = os.environ.get(name, "").strip()
    try:
        return check_integer("it", parse(text), largest) if text else largest
    except ValueError as error:
        raise OurganError(f"the environment variable {name}, {text!r}: {error}") from None


_is_rendering: contextvars.ContextVar[bool] = contextvars.ContextVar("ourgan_sdk is rendering", default=False)


_gate = _Gate()


@in_child
def _after_fork() -> None:
    """In the child, whose only thread renders nothing: what the parent's threads did is not its affair."""
    global _gate
    limits, _gate = _gate._limits, _Gate()
    _gate._limits = limits
