"""What an exception holds on to: the frames that it has come through, and all that is in them."""

import contextlib
import traceback
from collections.abc import Iterator

__all__ = ["empty_frames", "holding_nothing"]

_PACKAGE = __name__.partition(".")[0]


def empty_frames(error: BaseException) -> None:
    """Let go of what is in this package's frames that `error`, and those before it, have come through.

    Somebody may keep an error for long, and would keep windows and bands with it. Frames that still run stay.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        left += [one.__cause__, one.__context__]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_globals.get("__name__", "").startswith(f"{_PACKAGE}."):
                with contextlib.suppress(RuntimeError):  # it still runs
                    frame.clear()


@contextlib.contextmanager
def holding_nothing() -> Iterator[None]:
    """Let exceptions out of the block, or the function, with what they say alone: see `empty_frames`."""
    try:
        yield
    except BaseException as error:
        empty_frames(error)
        raise
