"""Calls in threads of their own, which end with the call.

The executors of `concurrent.futures` take no more work once the main thread has ended, while threads that
render go on. And Ctrl-C, which interrupts the main thread between any two of its steps, leaves nothing locked
here: what threads tell each other is single assignments, and locks do no more than wake who waits for them.
"""

import atexit
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ..errors import OurganError
from .forks import in_child
from .frames import empty_frames

__all__ = [
    "Bell",
    "Call",
    "call_for_each",
    "check_process",
    "ending_with_the_process",
    "keeping_the_process",
]

T = TypeVar("T")

_POLL_SECONDS = 0.1
"""What a missed bell costs at most; a wait without a limit would hold up Ctrl-C on some systems."""


class Bell:
    """Wakes the one thread that waits for a change, which it sees elsewhere: it may be woken for nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread that waits, or the next one that will."""
        with contextlib.suppress(RuntimeError):  # it was rung already
            self._lock.release()

    def wait(self) -> None:
        """Until it is rung, or a moment has passed."""
        self._lock.acquire(timeout=_POLL_SECONDS)


class Call(Generic[T]):
    """`function()` in a thread of its own, until whose end the interpreter waits before it ends.

    The thread is a daemon all the same: Ctrl-C in the middle of its start can leave it waiting for ever.
    """

    def __init__(self, function: Callable[[], T], name: str) -> None:
        """Raises OurganError if the system gives no more threads."""
        self._function: Callable[[], T] | None = function
        self._result: list[T] = []
        self._failure: BaseException | None = None
        self._ended = False
        self._bell = Bell()
        self._process = os.getpid()
        self._is_last = _is_ending
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError as error:
            raise OurganError(f"cannot start a thread: {error}") from error

    def _run(self) -> None:
        try:
            with _awaited():
                self._work()
        finally:
            del self  # the error's traceback leads here, and would hold itself

    def _work(self) -> None:
        function, self._function = self._function, None
        try:
            assert function is not None  # noqa: S101 - it runs once
            if _is_ending and not self._is_last:
                raise SystemExit  # it starts so late that the interpreter's end has not waited for it
            self._result.append(function())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            empty_frames(error)
            self._failure = error
        finally:
            del function  # here: the interpreter waits for what it may hold, such as an engine, to go
            self._ended = True
            self._bell.ring()
            del self

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing to wait for, in a child forked meanwhile as well."""
        return self._ended or self._process != os.getpid()

    @property
    def failure(self) -> BaseException | None:
        """What it has raised; once it has ended, None says that there is a result."""
        if self._failure is None and not self._result and self.has_ended:
            return OurganError("this was begun in another process, from which this one was forked")
        return self._failure

    def wait(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Until it has ended. Ctrl-C ends the wait alone, as does what `meanwhile`, called often, raises."""
        while not self.has_ended:
            meanwhile()
            self._bell.wait()

    def result(self) -> T:
        """What the function has returned; raises what it has raised."""
        self.wait()
        try:
            if self.failure is not None:
                raise self.failure
            return self._result[0]
        finally:
            del self  # for the error's traceback leads here


def call_for_each(function: Callable[[T], object], items: Iterable[T], *, threads: int) -> None:
    """Call `function` with each of the items, so many at a time; raises what one that failed has raised."""
    left = deque(items)

    def work() -> None:
        while True:
            try:
                item = left.popleft()
            except IndexError:
                return
            function(item)

    calls: list[Call[None]] = []
    try:
        with contextlib.suppress(OurganError):  # there are no more threads
            for _ in range(min(threads, len(left))):
                calls.append(Call(work, "ourgan worker"))  # noqa: PERF401 - those that have started are kept
        if not calls:
            work()
        for call in calls:
            call.result()
    finally:
        left.clear()


@contextlib.contextmanager
def keeping_the_process() -> Iterator[None]:
    """Let the interpreter end no sooner than this block, in a daemon thread as well."""
    if not threading.current_thread().daemon:
        yield
        return
    is_over, bell = [False], Bell()

    def wait() -> None:
        while not is_over[0]:
            bell.wait()

    threading.Thread(target=wait, name="ourgan keeper", daemon=False).start()
    try:
        yield
    finally:
        is_over[0] = True
        bell.ring()


_LONGEST_END = 30.0
"""Seconds that the interpreter's end waits for daemon threads to stop."""

_at_work: list[int] = []
"""Daemon threads that the interpreter's end waits for."""

_is_ending = False


@contextlib.contextmanager
def ending_with_the_process() -> Iterator[None]:
    """In a daemon thread, let the block end, by `check_process`, before the interpreter does.

    Such a thread is stopped wherever it next needs the interpreter, and within compiled code that aborts the
    process.
    """
    if not threading.current_thread().daemon:
        yield
        return
    check_process()
    with _awaited():
        yield


@contextlib.contextmanager
def _awaited() -> Iterator[None]:
    """Let the interpreter's end wait for the block."""
    thread = threading.get_ident()
    _at_work.append(thread)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # in a child that was forked meanwhile
            _at_work.remove(thread)


def check_process() -> None:
    """Raise SystemExit in a daemon thread if the interpreter ends."""
    if _is_ending and threading.current_thread().daemon:
        raise SystemExit


@atexit.register
def _end_daemons() -> None:
    global _is_ending  # noqa: PLW0603
    _is_ending = True
    deadline = time.monotonic() + _LONGEST_END
    while _at_work and time.monotonic() < deadline:
        time.sleep(0.01)


in_child(_at_work.clear)
