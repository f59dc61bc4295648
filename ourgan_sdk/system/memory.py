"""How much memory a render may take where nobody says."""

import psutil

from .control_groups import room_in_groups

__all__ = ["LARGEST_DEFAULT", "LARGEST_MEMORY_LIMIT", "available_memory", "default_memory_limit"]

LARGEST_DEFAULT = 768 << 20
"""Bytes. Every machine with four times as much to spare tiles a picture alike, and so renders the same one.
With this much a pass recomputes less than a tenth of its pixels for halos; more would buy little."""

LARGEST_MEMORY_LIMIT = 1 << 62
"""Bytes that may be asked for."""

_SHARE = 4


def default_memory_limit() -> int:
    """768 MiB, or a quarter of the memory that is available now, where that is less; in bytes."""
    return max(1, min(LARGEST_DEFAULT, available_memory() // _SHARE))


def available_memory() -> int:
    """Bytes that this process can still take without swapping, in its container as on its machine."""
    available, room = int(psutil.virtual_memory().available), room_in_groups()
    return available if room is None else min(available, room)
