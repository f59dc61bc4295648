"""How a bar looks: redrawn on a terminal, whole lines now and then in a file or a pipe.

The only module that imports tqdm. Only those who watch need that: `progress` imports this module when it is
asked for a bar.
"""

import os
import sys
import threading
from typing import Any

from tqdm import tqdm

from .forks import in_child

__all__ = ["LINE_SECONDS", "Bar", "LineBar"]

LINE_SECONDS = 5.0  # between two lines of a log
_USUAL_SIZE = {"ncols": 79, "nrows": 24}  # of a terminal


class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
    """tqdm's on stderr, whatever its encoding, and also where a terminal does not say how large it is."""

    SHARE: str = "{desc} {percentage:3.0f}% |{bar}| {elapsed}<{remaining}"
    COUNTED: str | None = None  # tqdm's own

    def __init__(self, **options: Any) -> None:
        # Of no columns or rows, which it would believe, tqdm shows nothing.
        super().__init__(**({"dynamic_ncols": True} if _size_is_known() else _USUAL_SIZE), **options)

    def __str__(self) -> str:
        """As tqdm's, with question marks for what the stream has no characters for."""
        encoding = getattr(getattr(self, "fp", None), "encoding", None) or "utf-8"
        return str(super().__str__()).encode(encoding, "replace").decode(encoding)


class LineBar(Bar):
    """The same in lines, at least `LINE_SECONDS` apart, and a last one at the end."""

    SHARE = "{desc}: {percentage:3.0f}%, {elapsed} elapsed, {remaining} left{postfix}"
    COUNTED = (
        "{desc}: {percentage:3.0f}%, {n_fmt}/{total_fmt}, "
        "{elapsed} elapsed, {remaining} left, {rate_fmt}{postfix}"
    )

    _written: float | None = None  # when there was a line
    _told = -1  # how much was done then

    def __init__(self, **options: Any) -> None:
        # What tqdm calls a GUI is a bar with a display of its own: tqdm itself draws nothing.
        super().__init__(gui=True, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:  # noqa: ARG002 - tqdm's names
        """Write a line if the last one is old enough; tqdm calls this whenever it would draw."""
        since = self.start_t if self._written is None else self._written
        due = bool(self._time() - since >= LINE_SECONDS)
        if due:
            self._write()
        return due

    def clear(self, nolock: bool = False) -> None:
        """Do nothing: lines stay."""

    def close(self) -> None:
        """Write the last line, unless it was written or the bar still waited for its `delay`."""
        if getattr(self, "disable", True) or not hasattr(self, "start_t"):  # silent, closed, or never opened
            return
        with self._lock:
            if self.n != self._told and self._time() - self.start_t >= self.delay:
                self._ema_dt = lambda: None  # the rate of the whole, as tqdm's last words
                self._write()
        super().close()

    def _write(self) -> None:
        self._written, self._told = self._time(), self.n
        self.fp.write(f"{self}\n")
        getattr(self.fp, "flush", lambda: None)()


@in_child
def _renew_lock() -> None:
    """The bars' own: tqdm's is one for this process and all that are forked from it."""
    Bar.set_lock(threading.RLock())


_renew_lock()


def _size_is_known() -> bool:
    try:
        return all(os.get_terminal_size(sys.stderr.fileno()))
    except (AttributeError, OSError, ValueError):  # no stream, no terminal, or a closed one
        return False
