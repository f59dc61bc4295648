"""How many threads work where nobody says."""

import os

from .control_groups import processors_of_groups

__all__ = ["available_processors", "engine_threads"]


def available_processors() -> int:
    """Processors that this process may use, in its container as on its machine."""
    has_affinity = hasattr(os, "sched_getaffinity")
    allowed = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(allowed, processors_of_groups() or allowed))


def engine_threads(asked: int | None) -> int | None:
    """Threads for an engine: as asked; None for its own choice, unless that knows too many processors."""
    available = available_processors()
    return available if asked is None and available < (os.cpu_count() or 1) else asked
