"""The `ourgan` command: one module per subcommand, and `options` for what they share."""

import argparse
import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence

from .._parser import Parser
from .._streams import log_to_stderr, steady_streams, warn
from .._version import __version__
from ..errors import OurganError
from . import calibrate, doctor, info, learn, preview, render

__all__ = ["main"]

_VERBOSE = "log what happens to stderr"


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    That is 0, 1 after an error, or as after a signal: 130 after Ctrl-C, 143 after SIGTERM, 141 when nobody
    reads what the command was run for. (2 is argparse's.)
    """
    options = _parser().parse_args(arguments)
    if options.verbose:
        log_to_stderr(logging.INFO, "%(name)s: %(message)s")
    else:
        log_to_stderr(logging.WARNING, "%(message)s")
    try:
        with _terminable():
            options.run(options)
    except KeyboardInterrupt:
        warn("ourgan: interrupted")
        return 130
    except _Terminated:
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


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    def terminate(_signal: int, _frame: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():  # where signals cannot be handled
        yield
        return
    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


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
