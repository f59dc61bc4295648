"""Telling a person or a program how far a render is."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import OurganError
from .stopping import check_stop
from .system.optional import import_optional
from .system.streams import Tolerant

if TYPE_CHECKING:
    from .system.bar import Bar

__all__ = ["Progress", "RenderStats", "check_progress", "progress_bar", "reporting"]

Progress = bool | Callable[[int, int], object] | None
"""True for a `progress_bar`, or a function that is called with (done, total)."""


@dataclass
class RenderStats:
    """What one render did: seconds in all and inside engines, tiles, passes, input pixels of all tiles.

    Of a network of coordinates, which has none, `window_pixels` are those that it made.

    `structure_seconds` went into composing a structure of patches, `field_seconds` into preparing the
    photograph and finding where detail comes from, `gather_seconds` into gathering it. `copied_share` is the
    share of a structure of patches that is one piece of the photograph; None where there is no such
    structure.

    `repaired_tiles` had to be rendered again, in float32, because half precision had overflowed.
    """

    seconds: float = 0.0
    engine_seconds: float = 0.0
    structure_seconds: float = 0.0
    copied_share: float | None = None
    field_seconds: float = 0.0
    gather_seconds: float = 0.0
    tiles: int = 0
    passes: int = 0
    window_pixels: int = 0
    repaired_tiles: int = 0


def check_progress(progress: Progress) -> None:
    """Raises TypeError unless it is True, False, None or can be called."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"expected progress to be True, False, None or a function, got {progress!r}")


def progress_bar(
    total: int,
    description: str,
    *,
    done: int = 0,
    unit: str | None = None,
    delay: float = 0.0,
    silent: bool = False,
) -> "Bar":
    """A bar on stderr, with the remaining time; `done` of `total` is done already. To be used in a `with`.

    On a terminal it is redrawn. Into a file or a pipe go whole lines, at most one in five seconds, and one at
    the end. Without a `unit`, what is done is shown as a share alone. It shows itself only after `delay`
    seconds, and never if it is `silent` or there is no stderr.
    """
    import_optional("tqdm", "tqdm, which draws bars,", "tqdm", OurganError)
    from .system.bar import Bar, LineBar  # noqa: PLC0415 - only for those who watch

    stream = sys.stderr
    kind = Bar if _is_terminal(stream) else LineBar
    # Not `disable=False` otherwise: that would overrule TQDM_DISABLE in the environment.
    hidden = {"disable": True} if silent or stream is None or getattr(stream, "closed", False) else {}
    return kind(
        total=total,
        initial=done,
        desc=description,
        unit=unit or "it",
        delay=delay,
        bar_format=kind.SHARE if unit is None else kind.COUNTED,
        file=Tolerant(stream),
        **hidden,
    )


@contextlib.contextmanager
def reporting(
    progress: Progress, total: int, *, delay: float = 0.0, description: str = "render"
) -> Iterator[Callable[[int], object]]:
    """Yield `advance(amount)`, which reports that `amount` more of `total` is done.

    A bar is headed by `description` and shows itself only after `delay` seconds. Whatever a callback raises
    passes through `advance`, and so does what `check_stop` raises: that is how renders are cancelled.
    """
    if progress is None or progress is False:
        yield _stoppable(lambda _amount: None)
    elif progress is True:
        with progress_bar(total, description, delay=delay) as bar:
            yield _stoppable(bar.update)
    else:
        yield _stoppable(_counter(progress, total))


def _is_terminal(stream: object) -> bool:
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):  # there is none, it does not say, or it is closed
        return False


def _stoppable(report: Callable[[int], object]) -> Callable[[int], object]:
    def advance(amount: int) -> None:
        report(amount)
        check_stop()

    return advance


def _counter(callback: Callable[[int, int], object], total: int) -> Callable[[int], object]:
    done = 0

    def advance(amount: int) -> None:
        nonlocal done
        done += amount
        try:
            callback(done, total)
        except StopIteration as error:  # the generators that it comes through would make another error of it
            raise ValueError(
                "expected progress to raise anything but StopIteration, which ends iterators: raise another "
                "exception to end a render"
            ) from error

    return advance
