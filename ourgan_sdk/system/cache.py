"""Files in the user's cache folder: what takes its time to find out again, and nothing that anybody needs."""

import contextlib
import hashlib
import logging
from pathlib import Path

from ..errors import OutputError
from .atomic import atomic_file

__all__ = ["CacheFile", "cache_folder"]

_log = logging.getLogger(__name__)

_MOST = 256
"""Files of one kind; with more, those written first go."""


class CacheFile:
    """A file of a `kind` for what `parts` decide; nothing that is wrong with it or its folder is an error."""

    def __init__(self, kind: str, *parts: object) -> None:
        name = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
        self.path = cache_folder() / kind / f"{name}.cache"

    def read(self, most: int = -1) -> bytes | None:
        """Its content, at most so many bytes of it; None if there is none that can be read."""
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            return file.read(most)
        return None

    def write(self, content: bytes) -> None:
        """Keep `content`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(self.path) as temporary:
                temporary.write_bytes(content)
            files = sorted(self.path.parent.glob("*.cache"), key=lambda file: file.stat().st_mtime)
            for file in files[:-_MOST]:
                file.unlink(missing_ok=True)
        except (OSError, OutputError) as error:
            _log.info("%s is not kept: %s", self.path, error)


def cache_folder() -> Path:
    """This package's own among the user's cache folders; it need not exist."""
    import platformdirs  # noqa: PLC0415 - renders from memory alone do without

    return platformdirs.user_cache_path("ourgan_sdk")
