"""What a render has finished, kept in a file beside its output, so that a killed render can go on.

The file holds a line of JSON that says which picture it is of, then the bands from top to bottom, each behind
its number of rows, the memory limit that it was tiled for, and a CRC-32. A process that is killed can only
leave the last band incomplete. Whatever does not fit its checksum, and all behind it, is rendered again.
"""

import contextlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from io import RawIOBase
from pathlib import Path
from typing import Any

import numpy as np

from ._forks import close_in_child
from .arrays import Picture
from .errors import OutputError

if sys.platform != "win32":
    import fcntl

__all__ = ["SUFFIX", "Finished", "open_finished"]

SUFFIX = ".partial"

_HEAD = struct.Struct("<4sI")  # mark, CRC-32 of what follows
_NUMBERS = struct.Struct("<QQ")  # rows, memory limit
_MARK = b"band"
_LONGEST_LINE = 1 << 20


class Finished:
    """The finished bands of a picture of `shape` (height, width, 3) and `dtype`, in a file.

    `rows` says how many rows they have, and `memory_limit` what the last of them was tiled for, None if there
    is none: where memory ran out in between, it is less than the render began with.
    """

    def __init__(
        self, path: Path, file: RawIOBase, shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        """`file` stands behind its first line; the bands that follow are checked, and damage is cut off."""
        self.path = path
        self.rows = 0
        self.memory_limit: int | None = None
        self._file = file
        self._shape = shape
        self._dtype = dtype
        self._start = self._end = file.tell()
        for band, memory_limit in self._records():
            self.rows += len(band)
            self.memory_limit = memory_limit
            self._end = file.tell()
        file.seek(self._end)
        file.truncate()

    def bands(self) -> Iterator[Picture]:
        """The bands, from the first row on, as far as they are whole."""
        return (band for band, _ in self._records())

    def _records(self) -> Iterator[tuple[Picture, int]]:
        """The bands, with the memory limit of each."""
        height, width, channels = self._shape
        rows = 0
        self._file.seek(self._start)
        while len(head := self._file.read(_HEAD.size + _NUMBERS.size)) == _HEAD.size + _NUMBERS.size:
            mark, checksum = _HEAD.unpack_from(head)
            count, memory_limit = _NUMBERS.unpack_from(head, _HEAD.size)
            rows += count
            if mark != _MARK or count == 0 or rows > height:
                return
            size = count * width * channels * self._dtype.itemsize
            pixels = self._file.read(size)
            if len(pixels) < size or zlib.crc32(pixels, zlib.crc32(head[_HEAD.size :])) != checksum:
                return
            yield np.frombuffer(pixels, self._dtype).reshape(count, width, channels), memory_limit

    def append(self, band: Picture, memory_limit: int) -> None:
        """Add the next band (h, width, 3); raises OutputError when the disk does not take it."""
        pixels = np.ascontiguousarray(band).data.cast("B")
        numbers = _NUMBERS.pack(len(band), memory_limit)
        head = _HEAD.pack(_MARK, zlib.crc32(pixels, zlib.crc32(numbers))) + numbers
        try:
            self._file.seek(self._end)
            _write(self._file, memoryview(head))
            _write(self._file, pixels)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
        self._end = self._file.tell()
        self.rows += len(band)


def _write(file: RawIOBase, data: memoryview) -> None:
    while data:  # a disk that fills up takes a part before it refuses the rest
        data = data[file.write(data) :]


@contextlib.contextmanager
def open_finished(
    output: Path, picture: Mapping[str, Any], shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> Iterator[Finished]:
    """What was finished of `output` before, in a file beside it, which is removed when the block ends well.

    `picture` says, in terms of JSON, what the pixels depend on. After an exception the file stays for the
    next time, if it holds any rows.

    Raises OutputError if it belongs to another picture (naming what differs), if another render is writing
    it, or if it cannot be written.
    """
    if not output.name:
        raise OutputError(f"cannot write {output}: it is a folder")
    path = output.with_name(output.name + SUFFIX)
    line = json.dumps(dict(picture)).encode() + b"\n"
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_open_locked(path))
            _check_picture(path, file, line)
            finished = Finished(path, file, shape, dtype)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        try:
            yield finished
        except BaseException:
            if finished.rows == 0:
                path.unlink(missing_ok=True)
            raise
        path.unlink(missing_ok=True)


def _open_locked(path: Path) -> RawIOBase:
    """Open the file, and lock it until it is closed, so that no two renders write it (not on Windows)."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        if sys.platform == "win32":
            return file
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(descriptor)):
                    close_in_child(file)
                    return file
        except BlockingIOError as error:
            file.close()
            raise OutputError(f"cannot write {path}: another render is writing it") from error
        file.close()  # the render that held the lock has removed the file: begin with a new one


def _check_picture(path: Path, file: RawIOBase, line: bytes) -> None:
    """Read the first line and compare it; write it if there is none."""
    found = file.readline(_LONGEST_LINE)
    if found == line:
        return
    if line.startswith(found):  # empty, or its writer was killed at once
        file.seek(0)
        file.truncate()
        _write(file, memoryview(line))
        return
    try:
        before, now = json.loads(found), json.loads(line)
        differences = [
            f"{name} is {now.get(name)!r}, was {before.get(name)!r}"
            for name in now | before
            if now.get(name) != before.get(name)
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise OutputError(f"cannot write {path}: there is a file that no render has left") from error
    raise OutputError(
        f"cannot go on with {path}, which is of another picture: {'; '.join(differences)}; "
        "render that one, or remove the file"
    )
