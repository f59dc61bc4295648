"""The `ourgan` command: one module per subcommand, and `options` for what they share."""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from .._compiled import BudgetError, NonFiniteError
from .._version import __version__
from ..errors import OurganError
from . import calibrate, doctor, info, learn, preview, render

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    That is 0, 1 after an error, or as after a signal: 130 after Ctrl-C, 143 after SIGTERM, 141 when nobody
    reads what is printed. (2 is argparse's.)
    """
    options = _parser().parse_args(arguments)
    if options.verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        with _terminable():
            options.run(options)
        print(end="", flush=True)  # a reader that has gone is noticed here, not when the interpreter ends
    except KeyboardInterrupt:
        print("ourgan: interrupted", file=sys.stderr)
        return 130
    except _Terminated:
        print("ourgan: terminated", file=sys.stderr)
        return 143
    except BrokenPipeError:
        # What is still in the buffer has to go somewhere when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (OurganError, BudgetError, NonFiniteError, MemoryError) as error:
        print("ourgan: error:", " ".join(str(error).split()) or "out of memory", file=sys.stderr)
        return 1
    return 0


class _Terminated(BaseException):
    """SIGTERM has come; like KeyboardInterrupt, it unwinds whatever runs and leaves nothing behind."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    def terminate(_signal: int, _frame: object) -> None:
        raise _Terminated

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ourgan", description="Render new pictures of the kind of one photograph."
    )
    parser.add_argument("--version", action="version", version=f"ourgan_sdk {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens to stderr")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (render, preview, learn, calibrate, doctor, info):
        command.add_to(commands)
    return parser
