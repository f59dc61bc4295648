"""Image files through libvips, which pulls pixels where a renderer pushes bands.

libvips offers no raw pixel source that works from Python; its TIFF reader, however, reads an uncompressed
BigTIFF strictly from front to back. So the bands are served as such a file, which never exists anywhere: a
header made up front, then the pixels as they come.
"""

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Picture
from ..errors import OutputError
from ..system.vips import import_vips, with_vips
from .base import Properties

__all__ = [
    "encode_image",
    "missing_savers_named",
    "save_jpeg",
    "save_png",
    "save_tiff",
    "save_webp",
]

DEFAULT_DPI = 72.0
"""What readers take for unknown. libvips always notes a resolution; left alone, one of 25.4."""
DESCRIPTION_FIELDS = (
    "png-comment-0-Description",
    "image-description",  # TIFF
    "exif-ifd0-ImageDescription",
)
PNG_LEVEL = 1
"""Of compression: level 6 takes half again as long for files that are hardly smaller."""
TIFF_LEVEL = 2
"""Likewise: level 6, which is usual, takes three times as long for files a tenth smaller."""
WEBP_EFFORT = 0
"""Of 6: libvips' usual 4 takes three times as long for files of the same size and quality."""
WEBP_LOSSLESS_EFFORT = 0
"""Of 100, which takes over ten times as long for files a tenth smaller."""


@with_vips
def encode_image(
    save: Callable[[Any, Path, Properties], None],
    bands: Iterator[Picture],
    output: Path,
    properties: Properties,
) -> None:
    """Encode by `save(image, output, properties)`, which is given the picture as a libvips image.

    The image bears resolution and description, the latter in the fields of all formats. Raises OutputError if
    libvips is missing or lacks the format, and pyvips.Error if it fails or the bands end early.
    """
    pyvips = import_vips()
    source = _BandSource(bands, properties.shape, properties.dtype)
    stream = pyvips.SourceCustom()  # libvips calls back through this object: it has to outlive `save`
    stream.on_read(source.read)
    stream.on_seek(source.seek)
    # With any other fail_on, a stream that ends early is saved as a truncated picture without an error.
    options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
    if pyvips.at_least_libvips(8, 17):  # which refuses strips of 50 MB unless told otherwise
        options["unlimited"] = True
    pixels_per_mm = (properties.dpi or DEFAULT_DPI) / 25.4
    image = pyvips.Image.tiffload_source(stream, **options).copy(xres=pixels_per_mm, yres=pixels_per_mm)
    if properties.description:
        for field in DESCRIPTION_FIELDS:
            image.set_type(pyvips.GValue.gstr_type, field, properties.description)
    with missing_savers_named():
        save(image, output, properties)


@contextlib.contextmanager
def missing_savers_named() -> Iterator[None]:
    """Turn what pyvips says of an operation that libvips does not have into an OutputError."""
    try:
        yield
    except AttributeError as error:
        raise OutputError(
            "this build of libvips cannot write such files: choose another format, or install the system's "
            "libvips, with an encoder for it, and pyvips without [binary]"
        ) from error


def save_png(image: Any, output: Path, _properties: Properties) -> None:
    """PNG, 8 or 16 bits."""
    image.pngsave(os.fsencode(output), compression=PNG_LEVEL, profile="srgb")


def save_tiff(image: Any, output: Path, properties: Properties) -> None:
    """TIFF in deflated tiles, 8 or 16 bits, with `pyramid` followed by its reductions; BigTIFF from 4 GB on.

    Until the end, libvips collects the reductions in files in the system's temporary folder.
    """
    size = properties.height * properties.width * 3 * properties.dtype.itemsize
    image.tiffsave(
        os.fsencode(output),
        compression="deflate",
        level=TIFF_LEVEL,
        predictor="horizontal",
        tile=True,
        tile_width=256,
        tile_height=256,
        pyramid=properties.pyramid,
        resunit="inch",
        bigtiff=size * 3 // 2 >= 1 << 32,  # the reductions take a third of the size, tables and padding less
        profile="srgb",
    )


def save_jpeg(image: Any, output: Path, properties: Properties) -> None:
    """JPEG of the given quality."""
    image.jpegsave(os.fsencode(output), Q=properties.quality, profile="srgb")


def save_webp(image: Any, output: Path, properties: Properties) -> None:
    """WebP of the given quality; 100: lossless. libwebp holds the whole picture in memory."""
    lossless = properties.quality == 100
    quality = WEBP_LOSSLESS_EFFORT if lossless else properties.quality  # what libwebp calls both
    image.webpsave(os.fsencode(output), Q=quality, lossless=lossless, effort=WEBP_EFFORT, profile="srgb")


class _BandSource:
    """A readable, seekable stream: the header of an uncompressed BigTIFF, then the pixels of the bands.

    If the bands end early, so does the stream.
    """

    def __init__(self, bands: Iterator[Picture], shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self._bands = bands
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
            band = next(self._bands, None)
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
