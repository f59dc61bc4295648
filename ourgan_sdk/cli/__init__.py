"""The `ourgan` command: one module per subcommand, and `options` for what they share."""

import argparse
import logging
from collections.abc import Sequence

from .._version import __version__
from ..errors import OurganError
from ..system.parser import Parser
from ..system.signals import Terminated, ended_by_signals, ignore_signals
from ..system.streams import log_to_stderr, steady_streams, warn
from . import (
    animate,
    calibrate,
    convert,
    doctor,
    edit,
    harmonize,
    info,
    learn,
    paint,
    preview,
    render,
    serve,
    superres,
    view,
)

__all__ = ["main", "run"]


def run() -> int:
    """The command as a program: `main`, after which no signal gets in the way of the process's end."""
    with ended_by_signals():
        code = main()
        ignore_signals()
        return code


_COMMANDS = (
    *(render, preview, paint, harmonize, edit, animate, superres, view),
    *(convert, serve, learn, calibrate, doctor, info),
)

_VERBOSE = "log what happens to stderr"


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    That is 0, 1 after an error, or as after a signal: 130 after Ctrl-C, 143 after SIGTERM, 141 when nobody
    reads what the command was run for. (2 is argparse's.)
    """
    with ended_by_signals():
        try:
            options = _parser().parse_args(arguments)
            if options.verbose:
                log_to_stderr(logging.INFO, "%(name)s: %(message)s")
            else:
                log_to_stderr(logging.WARNING, "%(message)s")
            options.run(options)
        except KeyboardInterrupt:
            ignore_signals()
            warn("ourgan: interrupted")
            return 130
        except Terminated:
            ignore_signals()
            warn("ourgan: terminated")
            return 143
        except BrokenPipeError:
            return 141
        except (OurganError, MemoryError) as error:
            warn(f"ourgan: error: {' '.join(str(error).split()) or 'out of memory'}")
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="ourgan", description="Render new pictures of the kind of one photograph.")
    parser.add_argument("--version", action="version", version=f"ourgan_sdk {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help=_VERBOSE)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    for one in commands.choices.values():  # there it counts, too, and is not taken back
        one.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help=_VERBOSE)
    return parser
