"""What a render has finished, kept in a file beside its output, so that a killed render can go on.

The file holds a line of JSON that says which picture it is of, then the bands from top to bottom, each behind
its number of rows, the memory limit that it was tiled for, and a CRC-32. That is of the band and of all that
stands before it, from the line on: a band counts in its own place alone, behind the bands that it was written
behind. A process that is killed can only leave the last band incomplete. Whatever does not fit its checksum,
and all behind it, is rendered again.
"""

import contextlib
import json
import logging
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from io import RawIOBase
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Picture
from .errors import OutputError
from .system.atomic import is_unsupported
from .system.forks import close_in_child
from .system.memory import LARGEST_DEFAULT, LARGEST_MEMORY_LIMIT
from .system.streams import occupy_closed_streams

if sys.platform != "win32":
    import fcntl

__all__ = ["SUFFIX", "Finished", "begun_with", "open_finished"]

SUFFIX = ".partial"

_FORMAT = 2  # the first one had no number, and checksums of single bands
_HEAD = struct.Struct("<4sI")  # mark, CRC-32 of what stands before and of what follows
_NUMBERS = struct.Struct("<QQ")  # rows, memory limit
_MARK = b"band"
_LONGEST_LINE = 1 << 20
_LONGEST_VALUE = 300  # characters that messages show of a line's value
_PIECE = 8 << 20  # bytes that are read at a time
_TRIES = 100

_log = logging.getLogger(__name__)


class Finished:
    """The finished bands of a picture of `shape` (height, width, 3) and `dtype`, in a file.

    `rows` says how many rows they have, and `memory_limit` what the last of them was tiled for, None if there
    is none: where memory ran out in between, it is less than the render began with.
    """

    def __init__(
        self, path: Path, file: RawIOBase, shape: tuple[int, int, int], dtype: np.dtype[Any], line: bytes
    ) -> None:
        """`file` stands behind its first `line`; the bands that follow are checked, and damage is cut off."""
        self.path = path
        self.rows = 0
        self.memory_limit: int | None = None
        self._file = file
        self._shape = shape
        self._dtype = dtype
        self._checksum = zlib.crc32(line)
        self._bands: list[tuple[int, int]] = []  # where their pixels begin, and their rows
        self._end = file.tell()
        while self._find():
            pass
        file.seek(self._end)
        file.truncate()

    @property
    def _row_bytes(self) -> int:
        return self._shape[1] * self._shape[2] * self._dtype.itemsize

    def _find(self) -> bool:
        """Whether another whole band follows; it is added then."""
        self._file.seek(self._end)
        head = self._file.read(_HEAD.size + _NUMBERS.size)
        if len(head) < _HEAD.size + _NUMBERS.size:
            return False
        mark, checksum = _HEAD.unpack_from(head)
        rows, memory_limit = _NUMBERS.unpack_from(head, _HEAD.size)
        # A limit never rises from one band to the next.
        limit_makes_sense = 1 <= memory_limit <= (self.memory_limit or LARGEST_MEMORY_LIMIT)
        if mark != _MARK or not 1 <= rows <= self._shape[0] - self.rows or not limit_makes_sense:
            return False
        start, found = self._end + len(head), zlib.crc32(head[_HEAD.size :], self._checksum)
        for piece in self._pieces(start, rows):
            found = zlib.crc32(piece, found)
        end = start + rows * self._row_bytes
        if self._file.tell() != end or found != checksum:
            return False
        self._add(start, rows, memory_limit, checksum)
        return True

    def _add(self, start: int, rows: int, memory_limit: int, checksum: int) -> None:
        self._bands.append((start, rows))
        self.rows += rows
        self.memory_limit = memory_limit
        self._checksum = checksum
        self._end = start + rows * self._row_bytes

    def _pieces(self, start: int, rows: int) -> Iterator[bytes]:
        """Whole rows from `start` on, some megabytes at a time; fewer where the file ends."""
        at_once = max(1, _PIECE // self._row_bytes)
        self._file.seek(start)
        for first in range(0, rows, at_once):
            size = min(at_once, rows - first) * self._row_bytes
            piece = self._file.read(size)
            yield piece
            if len(piece) < size:
                return

    def bands(self) -> Iterator[Picture]:
        """The finished rows, from the first one on; raises OutputError if they cannot be read any more."""
        with _naming(self.path):
            for start, rows in self._bands:
                for piece in self._pieces(start, rows):
                    if len(piece) % self._row_bytes:
                        raise OutputError(f"cannot go on with {self.path}: somebody else has cut it short")
                    yield np.frombuffer(piece, self._dtype).reshape(-1, *self._shape[1:])

    def append(self, band: Picture, memory_limit: int) -> None:
        """Add the next band (h, width, 3); raises OutputError when the disk does not take it."""
        pixels = np.ascontiguousarray(band).data.cast("B")
        numbers = _NUMBERS.pack(len(band), memory_limit)
        checksum = zlib.crc32(pixels, zlib.crc32(numbers, self._checksum))
        with _naming(self.path):
            self._file.seek(self._end)
            _write(self._file, memoryview(_HEAD.pack(_MARK, checksum) + numbers))
            start = self._file.tell()
            _write(self._file, pixels)
        self._add(start, len(band), memory_limit, checksum)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn the system's errors into OutputErrors about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _write(file: RawIOBase, data: memoryview) -> None:
    while data:  # a disk that fills up takes a part before it refuses the rest
        data = data[file.write(data) :]


def begun_with(output: Path) -> int | None:
    """The memory limit, in bytes, that an unfinished render of `output` was begun with, if it was a default.

    None if there is no such render. Default limits differ with the memory that is free; one beyond what they
    can be was asked for, and has to be asked for again.
    """
    path = _partial(output)
    if not path.is_file():
        return None  # nothing comes out of a pipe
    try:
        with path.open("rb") as file:
            limit = json.loads(file.readline(_LONGEST_LINE)).get("memory_limit")
    except (OSError, ValueError, AttributeError, RecursionError):  # no file, or none that a render has left
        return None
    is_default = isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= LARGEST_DEFAULT
    return limit if is_default else None


@contextlib.contextmanager
def open_finished(
    output: Path,
    picture: Mapping[str, Any],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    memory_limit: int,
) -> Iterator[Finished]:
    """What was finished of `output` before, in a file beside it, which is removed when the block ends well.

    `picture` says, in terms of JSON, what the pixels depend on; `memory_limit`, in bytes, is what the render
    begins with. After an exception the file stays for the next time, if it holds any rows.

    Raises OutputError if it belongs to another picture (naming what differs), if another render is writing
    it, or if it cannot be written.
    """
    path = _partial(output)
    occupy_closed_streams()
    with contextlib.ExitStack() as stack:
        with _naming(path):
            file = stack.enter_context(_open_locked(path))
            line = _check_picture(path, file, picture, memory_limit)
            finished = Finished(path, file, shape, dtype, line)
        try:
            yield finished
        except BaseException:
            if finished.rows == 0:
                _remove(path)
            raise
        _remove(path)


def _partial(output: Path) -> Path:
    if not output.name:
        raise OutputError(f"cannot write {output}: it is a folder")
    return output.with_name(output.name + SUFFIX)


def _remove(path: Path) -> None:
    """Remove the file; that it stays where it cannot be removed does not undo what was rendered."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("cannot remove %s, which is no longer needed: %s", path, error.strerror)


def _open_locked(path: Path) -> RawIOBase:
    """Open the file, and lock it until it is closed, so that no two renders write it (not on Windows)."""
    if path.exists() and not path.is_file():
        raise OutputError(f"cannot write {path}: it is there, and no file")  # of a pipe the end never comes
    for _ in range(_TRIES):
        file = os.fdopen(_open(path), "r+b", buffering=0)
        try:
            if _lock(path, file.fileno()):
                close_in_child(file)
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the render that held the lock has removed the file: begin with a new one
    _log.warning("%s has another number whenever it is looked at: let no other render write it", path)
    return os.fdopen(_open(path), "r+b", buffering=0)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)


def _lock(path: Path, descriptor: int) -> bool:
    """Lock the open file; False if it bears its name no longer. Raises OutputError if another one has it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"cannot write {path}: another render is writing it") from error
    except OSError as error:
        if not is_unsupported(error):
            raise
        _log.warning("%s cannot be locked (%s): let no other render write it", path, error.strerror)
        return True
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _check_picture(path: Path, file: RawIOBase, picture: Mapping[str, Any], memory_limit: int) -> bytes:
    """Read the first line and compare it; write it if there is none. Returns what stands there."""
    now = {"format": _FORMAT, **picture}
    line = json.dumps(now | {"memory_limit": memory_limit}).encode() + b"\n"
    found = file.readline(_LONGEST_LINE)
    if found == line:
        return line
    if line.startswith(found):  # empty, or its writer was killed at once
        file.seek(0)
        file.truncate()
        _write(file, memoryview(line))
        return line
    try:
        before = json.loads(found)
        begun = before.pop("memory_limit", None)
        differences = [
            f"{name} is {_shown(now.get(name))}, was {_shown(before.get(name))}"
            for name in now | before
            if now.get(name) != before.get(name)
        ]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"cannot write {path}: there is a file that no render has left, or it is damaged: remove it, "
            "or choose another name"
        ) from error
    if before.get("format") != _FORMAT:
        raise OutputError(
            f"cannot go on with {path}, which another version of ourgan_sdk has left: "
            "render with that one, or remove the file"
        )
    if not differences:
        return found
    if [name for name in now if now.get(name) != before.get(name)] == ["grids"]:
        differences.append(f"it was begun with a memory limit of {_shown(begun)} bytes")
    raise OutputError(
        f"cannot go on with {path}, which is of another picture: {'; '.join(differences)}; "
        "render that one, or remove the file"
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
