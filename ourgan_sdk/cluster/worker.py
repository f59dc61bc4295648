"""What workers keep from one task to the next: the canvases that they have opened, a few per process."""

import sys
from collections import OrderedDict
from collections.abc import Callable

from ..canvas import Canvas
from ..stopping import locked
from ..structure import Base
from ..system.forks import in_child, lock
from ..system.processors import available_processors
from .reference import CanvasReference

__all__ = ["MOST_CANVASES", "canvas_of", "forget", "threads_of_worker"]

MOST_CANVASES = 2
"""Of one process; those that were not asked for the longest go first."""

_THREADS_OF_TASK = 1
"""As many tasks run at once as a worker has threads."""


class _Place:
    """Of one canvas, opened by the task that comes first."""

    def __init__(self) -> None:
        self.lock = lock()
        self.canvas: Canvas | None = None


_places: OrderedDict[str, _Place] = OrderedDict()
_lock = lock()


def canvas_of(token: str, reference: Callable[[], CanvasReference], base: Callable[[], Base]) -> Canvas:
    """The canvas called `token` in this process, opened once, with `base`, while others wait for it.

    Raises what opening it raises, each time anew.
    """
    with _lock:
        place = _places.setdefault(token, _Place())
        _places.move_to_end(token)
        while len(_places) > MOST_CANVASES:
            _places.popitem(last=False)
    with locked(place.lock):
        if place.canvas is None:
            canvas = reference().open(_THREADS_OF_TASK)
            canvas.use_base(base())
            place.canvas = canvas
        return place.canvas


def forget(token: str) -> None:
    """Let go of a canvas that nobody asks for any more, or that is not what it was."""
    with _lock:
        _places.pop(token, None)


def threads_of_worker() -> int:
    """How many threads a task may have on which all others wait: the worker's, or else all."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        try:
            return int(distributed.get_worker().state.nthreads)
        except ValueError:
            pass  # this is no worker
    return available_processors()


@in_child
def _forget_all() -> None:
    _places.clear()
