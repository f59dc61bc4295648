"""What a forked child does with what it inherits: locks, and objects that have threads of their own.

A fork copies the memory of all threads, and goes on with one of them. A lock that another thread held would
stay locked in the child for ever, and whoever uses or destroys a pool of threads there waits for threads that
are no more. So locks that may be held at a fork come from `lock`, and what has threads is in a `PerProcess`.
"""

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from io import RawIOBase
from typing import IO, Any, Generic, TypeVar

from ..errors import EngineError

__all__ = ["PerProcess", "ReentrantLock", "close_in_child", "in_child", "lock", "undisturbed"]

T = TypeVar("T")

_LONGEST_WAIT = 30.0
"""Seconds that a fork waits for what must not be disturbed by it."""

_locks: "weakref.WeakSet[threading.Lock]" = weakref.WeakSet()
_holders: "weakref.WeakSet[PerProcess[Any]]" = weakref.WeakSet()
_files: "weakref.WeakSet[IO[bytes] | RawIOBase]" = weakref.WeakSet()
_actions: list[Callable[[], None]] = []
_undisturbed = threading.RLock()


def lock() -> "threading.Lock":
    """A lock that nobody holds in a forked child: what it guards has to be whole between any two steps."""
    made = threading.Lock()
    _locks.add(made)
    return made


def in_child(action: Callable[[], None]) -> Callable[[], None]:
    """Call `action`, which this returns, in every forked child, before it does anything else."""
    _actions.append(action)
    return action


def close_in_child(file: "IO[bytes] | RawIOBase") -> None:
    """Close `file` in forked children: what is locked would stay so until the last of them ends."""
    _files.add(file)


def undisturbed() -> contextlib.AbstractContextManager[object]:
    """Let forks by other threads, and other threads' blocks of this kind, wait for the block.

    It is for what holds locks that are not ours: imports, and libraries that load networks.
    """
    return _undisturbed


class ReentrantLock:
    """As `lock` gives one, but a thread that holds it may take it again."""

    def __init__(self) -> None:
        self._lock = lock()
        self._owner = (0, 0)
        self._depth = 0

    def acquire(self, *, timeout: float) -> bool:
        """Whether it was had within so many seconds."""
        me = os.getpid(), threading.get_ident()
        if self._owner != me:
            if not self._lock.acquire(timeout=timeout):
                return False
            self._owner, self._depth = me, 0
        self._depth += 1
        return True

    def release(self) -> None:
        """As often as it was had."""
        self._depth -= 1
        if self._depth == 0:
            self._owner = (0, 0)
            self._lock.release()


class PerProcess(Generic[T]):
    """What `make` returns, made in every process by the first thread that asks for it there.

    A forked child makes its own, and neither uses nor destroys what it has inherited. With `once`, a name for
    it, a child whose parent has made it cannot, and EngineError says so.
    """

    def __init__(self, make: Callable[[], T], *, once: str | None = None) -> None:
        self._make = make
        self._once = once
        self._lock = lock()
        self._made: list[T] = []
        _holders.add(self)

    def __call__(self) -> T:
        """The value; raises what `make` raises, each time anew."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]

    def let_go(self) -> None:
        """Forget the value: whoever asks next makes it anew."""
        with self._lock:
            self._made = []

    def _abandon(self) -> None:
        for value in self._made:
            # One more reference than there are: not even the interpreter's end destroys it.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
        if self._made and self._once:
            self._make = self._refuse
        self._made = []

    def _refuse(self) -> T:
        raise EngineError(
            f"{self._once} was in use before this process was forked, and cannot be used in it: use it after "
            "forks alone, another engine in forked processes, or start them by spawn"
        )


def _before_fork() -> None:
    _undisturbed.acquire(timeout=_LONGEST_WAIT)


def _after_fork_in_parent() -> None:
    with contextlib.suppress(RuntimeError):  # it waited in vain
        _undisturbed.release()


def _after_fork_in_child() -> None:
    global _undisturbed  # noqa: PLW0603 - whoever held it is no more
    _undisturbed = threading.RLock()
    for made in list(_locks):
        if made.locked():
            made.release()
    for holder in list(_holders):
        holder._abandon()
    for file in list(_files):
        file.close()
    for action in _actions:
        action()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
