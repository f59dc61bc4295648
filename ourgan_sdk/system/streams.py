"""What commands say. Whether anybody hears it decides about no picture.

Standard streams may be closed, full, a pipe that nobody reads, missing, or of an encoding that has not all
letters of a path. All commands and trainers speak through this module, and bars and logs go through its
`Tolerant` streams.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

from ..errors import OutputError

__all__ = ["Tolerant", "log_to_stderr", "occupy_closed_streams", "say", "show", "steady_streams", "warn"]


class Tolerant:
    """A stream whose `write` and `flush` never fail; what it has no characters for is written as escapes.

    Everything else is the stream's own, which may be None.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # full or broken; closed; None
            self._stream.write(_known_to(self._stream, text))
        return len(text)

    def flush(self) -> None:
        """Flush it, where that is possible."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(text: str) -> None:
    """Print a line, for whoever listens."""
    _write_line(Tolerant(sys.stdout), text)


def warn(text: str) -> None:
    """Print a line on stderr, for whoever listens."""
    _write_line(Tolerant(sys.stderr), text)


def show(text: str) -> None:
    """Print a line that the command was run for.

    Raises BrokenPipeError if nobody reads it, and OutputError if it cannot be printed.
    """
    if sys.stdout is None:
        raise OutputError("cannot print: standard output is closed")
    try:
        _write_line(sys.stdout, _known_to(sys.stdout, text))
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot print: {getattr(error, 'strerror', None) or error}") from error


def log_to_stderr(level: int, layout: str) -> None:
    """Show the log from `level` on, each record as `layout` says, unless somebody has settled that."""
    logging.basicConfig(level=level, format=layout, handlers=[logging.StreamHandler(Tolerant(sys.stderr))])


class _LastResort(logging.Handler):
    """Shows this package's warnings where nobody has set up a log, as Python's own does where it can.

    That one fails where `sys.stderr` has been closed, and with it what has only warned.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message, unless somebody else handles it."""
        if not logging.getLogger().handlers and _package_log.handlers == [self]:
            warn(self.format(record))


_package_log = logging.getLogger(__name__.partition(".")[0])
_package_log.addHandler(_LastResort(logging.WARNING))


@contextlib.contextmanager
def steady_streams() -> Iterator[None]:
    """Around a command: its exit code does not tell of its standard streams."""
    occupy_closed_streams()
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            _settle(stream)


def occupy_closed_streams() -> None:
    """Open the null device as those of the descriptors 0 to 2 that are closed.

    The next file to be opened would become one of them otherwise, and a library that complains on stderr
    would write into a picture.
    """
    with contextlib.suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)


def _write_line(stream: Any, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


def _known_to(stream: Any, text: str) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _settle(stream: Any) -> None:
    """Let go what a stream could not write: else the interpreter tries again when it ends, and fails."""
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
