"""Tiles that were rendered for a region and may be wanted for the next one."""

from collections import OrderedDict
from collections.abc import Hashable

from ..arrays import Picture
from ..system.forks import lock

__all__ = ["TileCache"]


class TileCache:
    """Pictures by key, at most `limit` bytes of them: those that were not asked for the longest go first.

    Several threads may use it at once. Pictures are shared, so nobody writes to them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._pictures: OrderedDict[Hashable, Picture] = OrderedDict()
        self._lock = lock()

    @property
    def size(self) -> int:
        """Bytes of the pictures that are kept."""
        with self._lock:
            return self._bytes()

    def _bytes(self) -> int:
        # Counted, not kept: Ctrl-C between two steps would leave a number that is wrong for ever.
        return sum(picture.nbytes for picture in self._pictures.values())

    def get(self, key: Hashable) -> Picture | None:
        """The picture kept under `key`."""
        with self._lock:
            if key not in self._pictures:
                return None
            self._pictures.move_to_end(key)
            return self._pictures[key]

    def put(self, key: Hashable, picture: Picture) -> None:
        """Keep `picture`, unless it alone is larger than all that may be kept."""
        with self._lock:
            if key in self._pictures or picture.nbytes > self.limit:
                return
            self._pictures[key] = picture
            excess = self._bytes() - self.limit
            while excess > 0:
                _, oldest = self._pictures.popitem(last=False)
                excess -= oldest.nbytes

    def clear(self) -> int:
        """Let all of them go; returns how many bytes they had."""
        with self._lock:
            size = self._bytes()
            self._pictures.clear()
            return size
