"""What all writers share: a picture's properties, the check of its bands, the thread that encodes them."""

import functools
import os
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..arrays import Picture
from ..errors import OurganError, OutputError, SizeError
from ..stopping import check_stop
from ..system.threads import Bell, Call

__all__ = ["ArrayWriter", "Encoder", "EncodingWriter", "Properties", "Writer"]


class Writer(Protocol):
    """Takes the rows of one picture."""

    def write(self, band: Picture) -> None:
        """Take the next rows, (h, W, 3). The band is the writer's from then on: it may be read later."""


@dataclass(frozen=True)
class Properties:
    """What is known of a picture before its first row is; the arguments of `open_writer`."""

    width: int
    height: int
    dtype: np.dtype[Any]
    quality: int
    pyramid: bool
    dpi: float | None
    description: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self.height, self.width, 3


Encoder = Callable[[Iterator[Picture], Path, Properties], None]
"""Encodes the bands of a picture into a new file or folder of the given name.

Bands that end before the picture does have been given up: what is made of them is thrown away.
"""


class ArrayWriter:
    """Collects a picture in memory: `array` is (height, width, 3) of `dtype`, whole after the last band."""

    def __init__(self, width: int, height: int, dtype: npt.DTypeLike = np.uint8) -> None:
        try:
            self.array: Picture = np.empty((height, width, 3), dtype)
        except (MemoryError, ValueError) as error:
            raise SizeError(
                f"a picture of {width} x {height} does not fit into memory; give a file to stream it into"
            ) from error
        self._rows = 0

    def write(self, band: Picture) -> None:
        """Copy the next rows; raises ValueError when their shape, type or number does not fit the picture."""
        _check_band(band, self.array.shape, self.array.dtype, self._rows)
        self.array[self._rows : self._rows + len(band)] = band
        self._rows += len(band)


class EncodingWriter:
    """Hands the bands that it is given to an encoder, which runs in a thread of its own once it is started.

    Errors name `path`, whatever the encoder writes to: `output`.
    """

    def __init__(self, path: Path, properties: Properties, encode: Encoder, output: Path) -> None:
        self._path = path
        self._properties = properties
        self._rows = 0
        self._encode = encode
        self._output = output
        self._bands = _Bands()
        self._encoded: Call[None] | None = None

    def start(self) -> None:
        """Start the encoder; from then on `stop` has to be called, whatever happens."""
        encode = functools.partial(self._encode, self._bands.taken(), self._output, self._properties)
        self._encoded = Call(encode, "ourgan encoder")

    def write(self, band: Picture) -> None:
        """Queue the next rows; waits while the encoder is behind, and raises OutputError if it has failed."""
        _check_band(band, self._properties.shape, self._properties.dtype, self._rows)
        self._rows += len(band)
        encoded = self._started()
        while not (encoded.has_ended or self._bands.has_room()):
            self._bands.wait_for_room()
            check_stop()
        self._bands.put(np.ascontiguousarray(band))
        if encoded.has_ended:
            self._finish(encoded)

    def finish(self) -> None:
        """Wait until all is encoded; raises OutputError if that fails, ValueError if rows are missing."""
        if self._rows != self._properties.height:
            raise ValueError(f"expected {self._properties.height} rows, got {self._rows}")
        self._finish(self._started())

    def stop(self) -> None:
        """End the encoder, whatever it is doing; may be called at any time, and again after Ctrl-C."""
        self._bands.end()
        if self._encoded is not None:
            self._encoded.wait()
        self._bands.clear()

    def _started(self) -> Call[None]:
        if self._encoded is None:
            raise ValueError("expected a writer that was started")
        return self._encoded

    def _finish(self, encoded: Call[None]) -> None:
        self._bands.end()
        encoded.wait(check_stop)
        failure = encoded.failure
        if isinstance(failure, OurganError):
            raise failure
        if failure is not None:
            raise OutputError(f"cannot write {self._path}: {_reason(failure)}") from failure


class _Bands:
    """Bands on their way to the encoder's thread.

    Ctrl-C may interrupt the writer's thread anywhere: every step of either side is one call in C, and `end`
    can be said at any time and more than once.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Picture | None] = queue.SimpleQueue()
        self._room = Bell()

    def has_room(self) -> bool:
        # One band waits while one is encoded and the next is rendered: enough to keep both sides busy.
        return self._queue.empty()

    def wait_for_room(self) -> None:
        self._room.wait()

    def put(self, band: Picture) -> None:
        self._queue.put(band)

    def end(self) -> None:
        self._queue.put(None)

    def clear(self) -> None:
        # Whoever keeps an error may keep the writer.
        self._queue = queue.SimpleQueue()

    def taken(self) -> Iterator[Picture]:
        # Not the writer's: an error's traceback would lead to the writer, which holds the error, and neither
        # that circle nor the files and pixels that it leads to would go before the garbage collector comes.
        bands = self._queue
        while (band := bands.get()) is not None:
            self._room.ring()
            yield band


def _check_band(band: Picture, shape: tuple[int, ...], dtype: np.dtype[Any], rows: int) -> None:
    if band.ndim != 3 or band.shape[1:] != shape[1:] or band.dtype != dtype:
        raise ValueError(
            f"expected a band of (h, {shape[1]}, {shape[2]}) {dtype}, got {band.shape} {band.dtype}"
        )
    if rows + len(band) > shape[0]:
        raise ValueError(f"the picture has {shape[0]} rows, got {rows + len(band)}")


def _reason(failure: BaseException) -> str:
    """The operating system's reason if there is one, else the first thing that was said."""
    if isinstance(failure, OSError) and failure.errno is not None:
        return os.strerror(failure.errno)
    lines = [line.strip() for line in str(getattr(failure, "detail", failure)).splitlines() if line.strip()]
    system = [
        line.partition(": ")[2] for line in lines if line.startswith(("system error: ", "unix error: "))
    ]
    return (system or lines or [repr(failure)])[0]
