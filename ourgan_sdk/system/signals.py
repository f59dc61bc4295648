"""Ctrl-C and SIGTERM, which end commands and leave nothing half-done behind."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

__all__ = ["Terminated", "ended_by_signals", "ignore_signals"]


class Terminated(BaseException):
    """SIGTERM has come; like KeyboardInterrupt, it unwinds whatever runs and leaves nothing behind."""


_STOPS: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block; one that this process has been told to ignore stays ignored.

    In other threads than the main one there are no signals to handle.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in _STOPS}
    if _stop in previous.values():
        yield
        return
    try:
        for number, handler in previous.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, _stop)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: object) -> None:
    """End what runs; what is ending already cleans up, which another exception would cut short."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, tuple(_STOPS.values())):
            return
        error = error.__context__
    raise _STOPS[number]


def ignore_signals() -> None:
    """Let none cut short how the outermost block of `ended_by_signals` ends."""
    if threading.current_thread() is threading.main_thread():
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)
