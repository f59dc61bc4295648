"""What all writers share: a picture's properties, the check of its bands, the thread that encodes them."""

import contextlib
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..arrays import Picture
from ..errors import OutputError, SizeError
from ..stopping import check_stop

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
    """Hands the bands that it is given to an encoder, which runs in a thread of its own.

    Errors name `path`, whatever the encoder writes to: `output`.
    """

    def __init__(self, path: Path, properties: Properties, encode: Encoder, output: Path) -> None:
        self._path = path
        self._properties = properties
        self._rows = 0
        # One band waits while one is encoded and the next is rendered: enough to keep both sides busy.
        self._bands: queue.Queue[Picture | None] = queue.Queue(maxsize=1)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ourgan encoder")
        self._encoded = self._executor.submit(encode, _until_none(self._bands), output, properties)

    def write(self, band: Picture) -> None:
        """Queue the next rows; waits while the encoder is behind, and raises OutputError if it has failed."""
        _check_band(band, self._properties.shape, self._properties.dtype, self._rows)
        self._rows += len(band)
        self._put(np.ascontiguousarray(band))
        if self._encoded.done():
            self._raise_failure()

    def finish(self) -> None:
        """Wait until all is encoded; raises OutputError if that fails, ValueError if rows are missing."""
        if self._rows != self._properties.height:
            raise ValueError(f"expected {self._properties.height} rows, got {self._rows}")
        self._put(None)
        while not wait([self._encoded], timeout=0.1).done:
            check_stop()  # and a wait without a limit would hold up Ctrl-C on some systems
        self._raise_failure()

    def stop(self) -> None:
        """End the encoder, whatever it is doing; after `finish` there is nothing to end."""
        self._put(None)
        self._executor.shutdown()

    def _put(self, band: Picture | None) -> None:
        """Queue a band, or None for the end, unless the encoder has ended and will take none."""
        while not self._encoded.done():
            with contextlib.suppress(queue.Full):
                self._bands.put(band, timeout=0.05)
                return
            if band is not None:
                check_stop()

    def _raise_failure(self) -> None:
        failure = self._encoded.exception()
        if isinstance(failure, OutputError):
            raise failure
        if failure is not None:
            raise OutputError(f"cannot write {self._path}: {_reason(failure)}") from failure


def _until_none(bands: queue.Queue[Picture | None]) -> Iterator[Picture]:
    # Not a method: an error's traceback would lead to the writer, which holds the error, and neither that
    # circle nor the files and pixels that it leads to would go before the garbage collector comes.
    while (band := bands.get()) is not None:
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
