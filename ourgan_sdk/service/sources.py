"""What canvases are made of: the files that the operator names. No client's text ever becomes a path."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..photograph import SUFFIXES
from .errors import NotFoundError
from .settings import SOURCE_NAME, Settings

__all__ = ["Source", "Sources"]

_MOST = 1000
"""Files of a folder that are offered."""

_BUNDLE = ".ourgan"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A file by the name that clients call it, as it was when it was looked at."""

    name: str
    path: Path
    stamp: tuple[int, int, int]
    """Tells it from another file that has taken its place."""


class Sources:
    """The named files, and those of the folder as they were when it was last looked at."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, Source] = {}
        self._told: set[object] = set()
        self.look()

    def look(self) -> list[Source]:
        """All of them by name, now; reads the folder, and none of the files."""
        found = {source.name: source for source in self._in_folder()}
        for name, path in self._settings.sources.items():
            source = _look_at(name, path)
            if source is not None:
                found[name] = source
        self._known = dict(sorted(found.items()))
        return list(self._known.values())

    def get(self, name: str) -> Source:
        """The source of that name; raises NotFoundError."""
        source = self._known.get(name)
        if source is None:
            raise NotFoundError(f"there is no source {name[:100]!r} here: see /api/sources")
        return source

    def _in_folder(self) -> Iterator[Source]:
        """Bundles last, as they say more about the same photograph."""
        folder = self._settings.folder
        if folder is None:
            return
        root = folder.resolve()
        try:
            paths = sorted(folder.iterdir(), key=lambda path: (path.suffix.lower() == _BUNDLE, path.name))
        except OSError as error:
            _log.warning("cannot look into %s: %s", folder, error)
            return
        suitable = [path for path in paths if path.suffix.lower() in SUFFIXES | {_BUNDLE}]
        if len(suitable) > _MOST:
            self._tell("of the %d files in %s, %d are offered: give fewer", len(suitable), folder, _MOST)
        seen: dict[str, Path] = {}
        for path in suitable[:_MOST]:
            if SOURCE_NAME.fullmatch(path.stem) is None:
                self._tell("%s is left out: letters, digits, '.', '_' and '-' are allowed in names", path)
            elif not _is_within(path, root):
                self._tell("%s is left out: it leads out of the folder", path)
            elif (source := _look_at(path.stem, path)) is not None:
                if path.stem in seen:
                    self._tell("%s is left out: %s has the same name; rename one", seen[path.stem], path.name)
                seen[path.stem] = path
                yield source

    def _tell(self, message: str, *what: object) -> None:
        """The log, once: the folder is looked at again and again."""
        if (message, what) not in self._told:
            self._told.add((message, what))
            _log.warning(message, *what)


def _is_within(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # it leads nowhere, or to itself
        return False


def _look_at(name: str, path: Path) -> Source | None:
    """None where there is no file."""
    try:
        real = path.resolve(strict=True)
        if not real.is_file():
            return None
        status = real.stat()
    except (OSError, RuntimeError):
        return None
    return Source(name, real, (status.st_ino, status.st_size, status.st_mtime_ns))
