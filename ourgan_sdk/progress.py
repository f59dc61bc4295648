"""Telling a person or a program how far a render is."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Progress", "RenderStats", "check_progress", "reporting"]

Progress = bool | Callable[[int, int], object] | None
"""True for a bar with the remaining time on stderr, or a function that is called with (done, total)."""


@dataclass
class RenderStats:
    """What one render did: seconds in all and inside engines, tiles, passes, input pixels of all tiles.

    `field_seconds` went into preparing the photograph and finding where detail comes from, `gather_seconds`
    into gathering it.

    `repaired_tiles` had to be rendered again, in float32, because half precision had overflowed.
    """

    seconds: float = 0.0
    engine_seconds: float = 0.0
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


@contextlib.contextmanager
def reporting(
    progress: Progress, total: int, *, delay: float = 0.0, description: str = "render"
) -> Iterator[Callable[[int], object]]:
    """Yield `advance(amount)`, which reports that `amount` more of `total` is done.

    A bar is headed by `description` and shows itself only after `delay` seconds. Whatever a callback raises
    passes through `advance`: that is how it cancels.
    """
    if progress is None or progress is False:
        yield lambda _amount: None
    elif progress is True:
        from tqdm import tqdm  # noqa: PLC0415 - only for those who watch

        form = "{desc} {percentage:3.0f}% |{bar}| {elapsed}<{remaining}"
        with tqdm(total=total, desc=description, bar_format=form, delay=delay) as bar:
            yield bar.update
    else:
        yield _counter(progress, total)


def _counter(callback: Callable[[int, int], object], total: int) -> Callable[[int], object]:
    done = 0

    def advance(amount: int) -> None:
        nonlocal done
        done += amount
        callback(done, total)

    return advance
