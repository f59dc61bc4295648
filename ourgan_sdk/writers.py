"""Streaming a picture, band by band from top to bottom, into an image file or an array.

libvips encodes. It pulls pixels where a renderer pushes bands, so each file has a thread in which libvips
reads from a queue. libvips offers no raw pixel source that works from Python; its TIFF reader, however, reads
an uncompressed BigTIFF strictly from front to back. So the bands are served as such a file, which never
exists anywhere: a header made up front, then the pixels as they come.
"""

import contextlib
import os
import queue
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._atomic import atomic_file
from .arrays import Picture
from .errors import OutputError, SizeError

__all__ = ["ArrayWriter", "Writer", "open_writer"]


class Writer(Protocol):
    """Takes the rows of one picture."""

    def write(self, band: Picture) -> None:
        """Take the next rows, (h, W, 3). The band is the writer's from then on: it may be read later."""


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


@contextlib.contextmanager
def open_writer(
    path: str | os.PathLike[str],
    width: int,
    height: int,
    *,
    dtype: npt.DTypeLike = np.uint8,
    quality: int = 95,
    description: str = "",
) -> Iterator[Writer]:
    """Open `path` for a picture of `width` x `height`; the suffix chooses PNG, TIFF or JPEG.

    `dtype` is uint8 or uint16 (not for JPEG), `quality` is JPEG's, from 1 to 100, and `description` goes into
    the file's metadata beside an sRGB profile. The file appears under its name when the block ends well;
    after any exception nothing is left. Raises OutputError, before the block runs, if the format cannot hold
    the picture or the folder cannot be written to, and during or after it if the disk is full.
    """
    path = Path(path)
    shape, pixel = (height, width, 3), np.dtype(dtype)
    kind = _format_for(path, width, height, pixel)
    with atomic_file(path) as temporary:

        def encode(next_band: Callable[[], Picture | None]) -> None:
            source = _BandSource(next_band, shape, pixel)
            _encode(source, lambda image: kind.save(image, str(temporary), quality), description)

        writer = _FileWriter(path, shape, pixel, encode)
        try:
            yield writer
            writer.finish()
        finally:
            writer.stop()


@dataclass(frozen=True)
class _Format:
    name: str
    suffixes: tuple[str, ...]
    longest_side: int
    sixteen_bits: bool
    save: Callable[[Any, str, int], None]


def _save_png(image: Any, path: str, _quality: int) -> None:
    # Level 1: level 6 takes half again as long for files that are hardly smaller.
    image.pngsave(path, compression=1, profile="srgb")


def _save_tiff(image: Any, path: str, _quality: int) -> None:
    image.tiffsave(
        path,
        compression="deflate",
        predictor="horizontal",
        tile=True,
        tile_width=256,
        tile_height=256,
        bigtiff=image.width * image.height * 6 >= 1 << 32,
        profile="srgb",
    )


def _save_jpeg(image: Any, path: str, quality: int) -> None:
    image.jpegsave(path, Q=quality, profile="srgb")


_LONGEST_IN_LIBVIPS = 100_000_000
_FORMATS = (
    _Format("PNG", (".png",), _LONGEST_IN_LIBVIPS, True, _save_png),
    _Format("TIFF", (".tif", ".tiff"), _LONGEST_IN_LIBVIPS, True, _save_tiff),
    _Format("JPEG", (".jpg", ".jpeg"), 65_500, False, _save_jpeg),  # 65535 by the standard, 65500 in libjpeg
)


def _format_for(path: Path, width: int, height: int, dtype: np.dtype[Any]) -> _Format:
    """The format that `path` asks for; if it cannot hold the picture, an OutputError names one that can."""
    kind = next((kind for kind in _FORMATS if path.suffix.lower() in kind.suffixes), None)
    if kind is None:
        known = ", ".join(suffix for kind in _FORMATS for suffix in kind.suffixes)
        raise OutputError(f"cannot write {path}: its suffix is none of {known}")
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pictures are written as uint8 or uint16, not as {dtype}")
    if dtype == np.uint16 and not kind.sixteen_bits:
        raise OutputError(f"cannot write {path}: {kind.name} holds 8 bits per channel; PNG and TIFF hold 16")
    if max(width, height) > kind.longest_side:
        fitting = [other.name for other in _FORMATS if max(width, height) <= other.longest_side]
        advice = f"; {' and '.join(fitting)} can hold it" if fitting else ", and so does every other format"
        raise OutputError(
            f"cannot write {path}: {kind.name} ends at {kind.longest_side} pixels per side, "
            f"the picture has {width} x {height}{advice}"
        )
    return kind


class _FileWriter:
    """Hands the bands that it is given to an encoder, which runs in a thread of its own.

    `encode(next_band)` calls `next_band()` for every further band; None instead of a band means that it is to
    give up, and then it must fail.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        encode: Callable[[Callable[[], Picture | None]], None],
    ) -> None:
        self._path = path
        self._shape = shape
        self._dtype = dtype
        self._rows = 0
        # One band waits while one is encoded and the next is rendered: enough to keep both sides busy.
        self._bands: queue.Queue[Picture | None] = queue.Queue(maxsize=1)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ourgan encoder")
        self._encoded = self._executor.submit(encode, self._bands.get)

    def write(self, band: Picture) -> None:
        """Queue the next rows; waits while the encoder is behind, and raises OutputError if it has failed."""
        _check_band(band, self._shape, self._dtype, self._rows)
        self._rows += len(band)
        self._put(np.ascontiguousarray(band))
        if self._encoded.done():
            self._raise_failure()

    def finish(self) -> None:
        """Wait until all is encoded; raises OutputError if that fails, ValueError if rows are missing."""
        if self._rows != self._shape[0]:
            raise ValueError(f"expected {self._shape[0]} rows, got {self._rows}")
        while not wait([self._encoded], timeout=0.1).done:
            pass  # a wait without a limit would hold up Ctrl-C on some systems
        self._raise_failure()

    def stop(self) -> None:
        """End the encoder, whatever it is doing; after `finish` there is nothing to end."""
        self._put(None)
        self._executor.shutdown()

    def _put(self, band: Picture | None) -> None:
        """Queue a band, unless the encoder has ended and will take none."""
        while not self._encoded.done():
            with contextlib.suppress(queue.Full):
                self._bands.put(band, timeout=0.05)
                return

    def _raise_failure(self) -> None:
        failure = self._encoded.exception()
        if failure is not None:
            raise OutputError(f"cannot write {self._path}: {_reason(failure)}") from failure


def _check_band(band: Picture, shape: tuple[int, ...], dtype: np.dtype[Any], rows: int) -> None:
    if band.ndim != 3 or band.shape[1:] != shape[1:] or band.dtype != dtype:
        raise ValueError(
            f"expected a band of (h, {shape[1]}, {shape[2]}) {dtype}, got {band.shape} {band.dtype}"
        )
    if rows + len(band) > shape[0]:
        raise ValueError(f"the picture has {shape[0]} rows, got {rows + len(band)}")


def _reason(failure: BaseException) -> str:
    """The operating system's reason if libvips passed one on, else what it said first."""
    lines = [line.strip() for line in str(getattr(failure, "detail", failure)).splitlines() if line.strip()]
    system = [
        line.partition(": ")[2] for line in lines if line.startswith(("system error: ", "unix error: "))
    ]
    return (system or lines or [repr(failure)])[0]


def _encode(source: "_BandSource", save: Callable[[Any], None], description: str) -> None:
    """Read the picture from `source`, add its metadata, for all formats at once, and save it."""
    try:
        import pyvips  # noqa: PLC0415 - not needed for pictures in memory
    except (ImportError, OSError) as error:
        raise OutputError('libvips is missing; run: pip install "pyvips[binary]"') from error
    stream = pyvips.SourceCustom()  # libvips calls back through this object: it has to outlive `save`
    stream.on_read(source.read)
    stream.on_seek(source.seek)
    # With any other fail_on, a stream that ends early is saved as a truncated picture without an error.
    options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
    if pyvips.at_least_libvips(8, 17):  # which refuses strips of 50 MB unless told otherwise
        options["unlimited"] = True
    image = pyvips.Image.tiffload_source(stream, **options).copy()
    if description:
        for field in ("png-comment-0-Description", "image-description", "exif-ifd0-ImageDescription"):
            image.set_type(pyvips.GValue.gstr_type, field, description)
    save(image)


class _BandSource:
    """A readable, seekable stream: the header of an uncompressed BigTIFF, then the pixels of the bands.

    `next_band()` waits for the next rows, or returns None if there will be none: the stream then ends early.
    """

    def __init__(
        self, next_band: Callable[[], Picture | None], shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        self._next_band = next_band
        self._header = _tiff_header(shape, dtype)
        self._size = len(self._header) + shape[0] * shape[1] * shape[2] * dtype.itemsize
        self._position = 0
        self._band_start = len(self._header)  # position of the first byte of `_band`
        self._band = memoryview(b"")

    def read(self, length: int) -> bytes:
        """At most `length` bytes, never across the end of the header or of a band; b"" at the end."""
        if self._position < len(self._header):
            data = self._header[self._position : self._position + length]
        else:
            data = self._pixels(length)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int) -> int:
        """Move to `offset`; only the header can be read twice."""
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def _pixels(self, length: int) -> bytes:
        if self._position < self._band_start:
            raise OSError("pixels that were encoded already cannot be read again")
        while self._position >= self._band_start + len(self._band) and self._position < self._size:
            self._band_start += len(self._band)
            band = self._next_band()
            if band is None:
                self._size = self._position
                self._band = memoryview(b"")
                return b""
            self._band = band.data.cast("B")
        start = self._position - self._band_start
        data = bytes(self._band[start : start + length])
        if self._position + len(data) == self._size:
            # libvips keeps finished sources in its cache of operations; the pixels need not stay with them.
            self._band_start, self._band = self._size, memoryview(b"")
        return data


_LARGEST_STRIP = 8 << 20
"""Bytes; a strip of one row alone may have more."""


def _tiff_header(shape: tuple[int, int, int], dtype: np.dtype[Any]) -> bytes:
    """The header of a little-endian BigTIFF whose pixels follow at once, in strips of up to 64 rows.

    libvips holds a strip in memory, so those of wide pictures have fewer rows, but at least one.
    """
    height, width, channels = shape
    row_bytes = width * channels * dtype.itemsize
    rows_per_strip = max(1, min(64, height, _LARGEST_STRIP // row_bytes))
    strips = -(-height // rows_per_strip)
    tags = 11
    directory_end = 16 + 8 + tags * 20 + 8
    pixels = directory_end + (16 * strips if strips > 1 else 0)  # one strip: its offset is in the tag itself
    offsets = [pixels + i * rows_per_strip * row_bytes for i in range(strips)]
    counts = [min(rows_per_strip, height - i * rows_per_strip) * row_bytes for i in range(strips)]
    short, long, long8 = 3, 4, 16

    def tag(number: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHQQ", number, kind, count, value)

    bits = 8 * dtype.itemsize
    directory = [
        tag(256, long, 1, width),
        tag(257, long, 1, height),
        tag(258, short, 3, bits | bits << 16 | bits << 32),
        tag(259, short, 1, 1),  # no compression
        tag(262, short, 1, 2),  # RGB
        tag(273, long8, strips, directory_end if strips > 1 else offsets[0]),
        tag(277, short, 1, channels),
        tag(278, long, 1, rows_per_strip),
        tag(279, long8, strips, directory_end + 8 * strips if strips > 1 else counts[0]),
        tag(284, short, 1, 1),  # channels interleaved
        tag(339, short, 3, 1 | 1 << 16 | 1 << 32),  # unsigned
    ]
    arrays = struct.pack(f"<{2 * strips}Q", *offsets, *counts) if strips > 1 else b""
    return (
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16)
        + struct.pack("<Q", tags)
        + b"".join(directory)
        + struct.pack("<Q", 0)
        + arrays
    )
