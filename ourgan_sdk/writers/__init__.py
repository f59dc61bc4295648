"""Streaming a picture, band by band from top to bottom, into a file, a folder or an array.

Each output has a thread that encodes, so that the next band can be rendered meanwhile, and a temporary name
until it is whole.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import OutputError, SizeError
from ..system.atomic import absolute, atomic_file
from ..system.vips import import_vips
from .base import ArrayWriter, Encoder, EncodingWriter, Properties, Writer
from .deep_zoom import atomic_deep_zoom, encode_deep_zoom
from .npy import encode_npy
from .ome_zarr import atomic_zarr, encode_zarr, import_codecs
from .vips import encode_image, save_jpeg, save_png, save_tiff, save_webp

__all__ = ["SUFFIXES", "ArrayWriter", "Writer", "check_output", "open_writer"]


@contextlib.contextmanager
def open_writer(
    path: str | os.PathLike[str],
    width: int,
    height: int,
    *,
    dtype: npt.DTypeLike = np.uint8,
    quality: int = 95,
    pyramid: bool = False,
    dpi: float | None = None,
    description: str = "",
) -> Iterator[Writer]:
    """Open `path` for a picture of `width` x `height`; the suffix chooses the format.

    The output appears under its name when the block ends well, in place of an older one; after any exception
    nothing is left, and the older one stays. What a killed process has left of the same output is removed
    (not on Windows).

    | suffix | |
    |---|---|
    | .png | PNG, 8 or 16 bits |
    | .tif, .tiff | TIFF in deflated tiles, 8 or 16 bits; BigTIFF where needed |
    | .jpg, .jpeg | JPEG |
    | .webp | WebP, lossless at quality 100; libwebp holds the whole picture in memory |
    | .dzi | Deep Zoom: NAME.dzi and the folder NAME_files; JPEG tiles, at quality 100 PNG tiles |
    | .zarr | OME-Zarr 0.5: a folder, all resolutions, 8 or 16 bits, in shards of up to 64 chunks of 512 x 512
    pixels; takes the `zarr` library |
    | .npy | NumPy, 8 or 16 bits; holds neither `dpi` nor `description` |

    Args:
        path: The file, or the folder, to write.
        width: At least 1; at most what the format holds.
        height: As `width`.
        dtype: uint8 or uint16, the type of the bands.
        quality: From 1 to 100, of JPEG, WebP and Deep Zoom.
        pyramid: TIFF alone: add reductions, each half as large as the one before.
        dpi: Pixels per inch to note in the file, from 1 to 65535. None: unknown, which most formats express
            as 72.
        description: Text for the file's metadata; ASCII is what survives in every format.

    Raises:
        OutputError: Before the block: the format cannot hold the picture, or the folder cannot be written to.
            During or after it: the disk is full.
        SizeError: `width` or `height` is less than 1.
        ValueError: `dtype`, `quality` or `dpi` is none of the above, or a band does not fit the picture.
    """
    path = absolute(path)
    properties = Properties(width, height, np.dtype(dtype), quality, pyramid, dpi, description)
    kind = _format_for(path, properties)
    with kind.atomic(path) as output:
        kind.prepare()  # here, not in the encoder's thread: Ctrl-C may come in the middle of an import
        writer = EncodingWriter(path, properties, kind.encode, output)
        try:
            writer.start()
            yield writer
            writer.finish()
        finally:
            writer.stop()


def check_output(path: Path, properties: Properties) -> None:
    """Raise what `open_writer` raises if its format cannot hold the picture."""
    _format_for(path, properties)


@dataclass(frozen=True)
class _Format:
    name: str
    suffixes: tuple[str, ...]
    longest_side: int
    sixteen_bits: bool
    encode: Encoder
    atomic: Callable[[Path], AbstractContextManager[Path]] = atomic_file
    prepare: Callable[[], object] = import_vips
    """Imports what `encode` takes; raises OutputError if it is missing."""

    def obstacle(self, properties: Properties) -> str | None:
        """Why a picture cannot be held, if so."""
        width, height = properties.width, properties.height
        if max(width, height) > self.longest_side:
            return (
                f"{self.name} ends at {self.longest_side} pixels per side, the picture has {width} x {height}"
            )
        if properties.dtype == np.uint16 and not self.sixteen_bits:
            return f"{self.name} holds 8 bits per channel, the picture has 16"
        return None


_LONGEST_IN_LIBVIPS = 100_000_000
_LONGEST = (1 << 31) - 1
_FORMATS = (
    _Format("PNG", (".png",), _LONGEST_IN_LIBVIPS, True, functools.partial(encode_image, save_png)),
    _Format("TIFF", (".tif", ".tiff"), _LONGEST_IN_LIBVIPS, True, functools.partial(encode_image, save_tiff)),
    # 65535 by the standard, 65500 in libjpeg
    _Format("JPEG", (".jpg", ".jpeg"), 65_500, False, functools.partial(encode_image, save_jpeg)),
    _Format("WebP", (".webp",), 16_383, False, functools.partial(encode_image, save_webp)),
    _Format("Deep Zoom", (".dzi",), _LONGEST, False, encode_deep_zoom, atomic_deep_zoom),
    _Format("Zarr", (".zarr",), _LONGEST, True, encode_zarr, atomic_zarr, import_codecs),
    _Format("NumPy", (".npy",), _LONGEST, True, encode_npy, prepare=lambda: None),
)
SUFFIXES = tuple(suffix for kind in _FORMATS for suffix in kind.suffixes)
"""Of all formats."""


def _check(properties: Properties) -> None:
    """Raise SizeError or ValueError for what no format takes."""
    if min(properties.width, properties.height) < 1:
        raise SizeError(f"expected a picture of at least 1 x 1, got {properties.width} x {properties.height}")
    if properties.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pictures are written as uint8 or uint16, not as {properties.dtype}")
    if not _is_within(properties.quality, 1, 100):
        raise ValueError(f"expected a quality from 1 to 100, got {properties.quality!r}")
    if properties.dpi is not None and not _is_within(properties.dpi, 1, 65535):
        raise ValueError(f"expected 1 to 65535 dpi, got {properties.dpi!r}")


def _is_within(value: object, first: int, last: int) -> bool:
    """Whether `value` is a number in the range; numbers given as texts, a likely mistake, are none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and bool(first <= value <= last)


def _format_for(path: Path, properties: Properties) -> _Format:
    """The format that `path` asks for; if it cannot hold the picture, an OutputError names some that can."""
    _check(properties)
    kind = next((kind for kind in _FORMATS if path.suffix.lower() in kind.suffixes), None)
    if kind is None:
        raise OutputError(f"cannot write {path}: its suffix is none of {', '.join(SUFFIXES)}")
    if properties.pyramid and kind.name != "TIFF":
        raise OutputError(
            f"cannot write {path}: a pyramid is an option of TIFF; Deep Zoom and Zarr always are one"
        )
    obstacle = kind.obstacle(properties)
    if obstacle is not None:
        fitting = [other.name for other in _FORMATS if other.obstacle(properties) is None]
        advice = f"these can hold it: {', '.join(fitting)}" if fitting else "no other format can hold it"
        raise OutputError(f"cannot write {path}: {obstacle}; {advice}")
    return kind
