"""How much memory a render may take where nobody says."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

__all__ = ["LARGEST_DEFAULT", "LARGEST_MEMORY_LIMIT", "available_memory", "default_memory_limit"]

LARGEST_DEFAULT = 768 << 20
"""Bytes. Every machine with four times as much to spare tiles a picture alike, and so renders the same one.
With this much a pass recomputes less than a tenth of its pixels for halos; more would buy little."""

LARGEST_MEMORY_LIMIT = 1 << 62
"""Bytes that may be asked for."""

_SHARE = 4

_GROUP = Path("/sys/fs/cgroup")
_CGROUPS = (  # limit, usage and statistics of the group of processes that a container is
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def default_memory_limit() -> int:
    """768 MiB, or a quarter of the memory that is available now, where that is less; in bytes."""
    return max(1, min(LARGEST_DEFAULT, available_memory() // _SHARE))


def available_memory() -> int:
    """Bytes that this process can still take without swapping, in its container as on its machine."""
    return int(min([psutil.virtual_memory().available, *_rooms_in_groups()]))


def _rooms_in_groups() -> Iterator[int]:
    for names in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):  # there is no such group, or its limit is "max"
            limit, usage, statistics = ((_GROUP / name).read_text() for name in names)
            # Files that were read count as usage, and go as soon as anybody needs the memory.
            cached = re.search(r"^inactive_file (\d+)$", statistics, re.MULTILINE)
            yield max(0, int(limit) - int(usage) + (int(cached[1]) if cached else 0))
