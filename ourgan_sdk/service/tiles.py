"""Encoded pictures that were answered and may be asked for again."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from .flights import Flights

__all__ = ["Tiles"]

_OVERHEAD = 300
"""Bytes that an entry takes beside its data: its key, and its place."""


class Tiles:
    """Files by key, at most `limit` bytes of them; those not asked for the longest go first. One event loop.

    What several requests ask for at once is made once; it ends when none of them waits for it any more.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._making: Flights[str, bytes] = Flights()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    async def get(self, key: str, make: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
        """The file kept under `key`, or what `make()` returns or raises."""
        kept = self._files.get(key)
        if kept is not None:
            self.hits += 1
            self._files.move_to_end(key)
            return kept
        self.misses += 1
        data = await self._making.join(key, make)
        self._keep(key, data)
        return data

    async def close(self) -> None:
        """End what is being made."""
        await self._making.close()

    def _keep(self, key: str, data: bytes) -> None:
        size = len(data) + _OVERHEAD
        if key in self._files or size > self._limit:
            return
        self._files[key] = data
        self.bytes += size
        while self.bytes > self._limit:
            _, oldest = self._files.popitem(last=False)
            self.bytes -= len(oldest) + _OVERHEAD
