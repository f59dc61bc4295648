"""The `ourgan` command: one module per subcommand, and `options` for what they share."""

import argparse
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from .._version import __version__
from ..errors import OurganError
from ..system.parser import Parser
from ..system.streams import log_to_stderr, steady_streams, warn
from . import calibrate, doctor, info, learn, preview, render

__all__ = ["main", "run"]


def run() -> int:
    """The command as a program: `main`, after which no signal gets in the way of the process's end."""
    with _stoppable():
        code = main()
        _ignore_signals()
        return code


_VERBOSE = "log what happens to stderr"


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    That is 0, 1 after an error, or as after a signal: 130 after Ctrl-C, 143 after SIGTERM, 141 when nobody
    reads what the command was run for. (2 is argparse's.)
    """
    with _stoppable():
        try:
            options = _parser().parse_args(arguments)
            if options.verbose:
                log_to_stderr(logging.INFO, "%(name)s: %(message)s")
            else:
                log_to_stderr(logging.WARNING, "%(message)s")
            options.run(options)
        except KeyboardInterrupt:
            _ignore_signals()
            warn("ourgan: interrupted")
            return 130
        except _Terminated:
            _ignore_signals()
            warn("ourgan: terminated")
            return 143
        except BrokenPipeError:
            return 141
        except (OurganError, MemoryError) as error:
            warn(f"ourgan: error: {' '.join(str(error).split()) or 'out of memory'}")
            return 1
    return 0


class _Terminated(BaseException):
    """SIGTERM has come; like KeyboardInterrupt, it unwinds whatever runs and leaves nothing behind."""


_STOPS: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: _Terminated}


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
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


def _ignore_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="ourgan", description="Render new pictures of the kind of one photograph.")
    parser.add_argument("--version", action="version", version=f"ourgan_sdk {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help=_VERBOSE)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (render, preview, learn, calibrate, doctor, info):
        command.add_to(commands)
    for one in commands.choices.values():  # there it counts, too, and is not taken back
        one.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help=_VERBOSE)
    return parser
