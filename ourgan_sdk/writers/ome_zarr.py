"""OME-Zarr 0.5: a Zarr v3 group that holds the picture and its reductions, in chunks."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Picture
from ..errors import OutputError
from ..system.atomic import atomic_outputs, check_replaceable, follow
from ..system.optional import import_optional
from ..system.threads import call_for_each
from .base import Properties

__all__ = ["atomic_zarr", "encode_zarr", "import_zstd"]

CHUNK = 512
"""Rows and columns of a chunk; even, so that reductions of whole rows of chunks join without a gap."""

_ZSTD_LEVEL = 0
"""Zstandard's own default."""

_THREADS = 4
"""That compress the chunks of a row."""


@contextlib.contextmanager
def atomic_zarr(path: Path) -> Iterator[Path]:
    """Yield a name for a new folder, which takes the name `path` when the block ends well.

    As `atomic_file`. Raises OutputError, before the block runs, also if something else than a Zarr folder has
    that name, or if the `zarr` library is not installed or does not load.
    """
    try:
        import_zstd()
    except OutputError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    target = follow(path)
    check_replaceable(path, target, ("zarr.json", ".zgroup", ".zarray"))
    with atomic_outputs(path, {"picture": target}) as folder:
        yield folder / "picture"


def import_zstd() -> Any:
    """The compression of chunks, by the `zarr` library's own; raises OutputError where there is none."""
    codec = import_optional("numcodecs.zstd", "Zarr", '"ourgan-sdk[zarr]"', OutputError)
    return codec.Zstd(level=_ZSTD_LEVEL)


def encode_zarr(bands: Iterator[Picture], output: Path, properties: Properties) -> None:
    """Write arrays "0", "1", ... of (3, height, width), each half as large as the one before.

    A level holds one row of chunks in memory. The last one fits into a single chunk.
    """
    # Not by the library itself: its threads are an executor's, which a fork or the main thread's end breaks.
    sizes = _level_sizes(properties.height, properties.width)
    _write_metadata(output, {"node_type": "group", "attributes": _attributes(len(sizes), properties)})
    arrays = [_Array(output / str(i), size, properties.dtype) for i, size in enumerate(sizes)]
    level = _Level(arrays[-1], None)
    for array in reversed(arrays[:-1]):
        level = _Level(array, level)
    for band in bands:
        level.write(band.transpose(2, 0, 1))


class _Array:
    """An array of (3, height, width) in a new folder, in chunks of all channels, compressed by Zstandard."""

    def __init__(self, folder: Path, size: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.shape = (3, *size)
        self.dtype = dtype
        self._folder = folder
        self._zstd = import_zstd()
        metadata = {
            "node_type": "array",
            "shape": self.shape,
            "data_type": dtype.name,
            "chunk_grid": _named("regular", chunk_shape=(3, CHUNK, CHUNK)),
            "chunk_key_encoding": _named("default", separator="/"),
            "fill_value": 0,
            "codecs": [_named("bytes", endian="little"), _named("zstd", level=_ZSTD_LEVEL, checksum=False)],
            "dimension_names": ("c", "y", "x"),
            "attributes": {},
        }
        _write_metadata(folder, metadata)

    def write(self, y: int, rows: np.ndarray[Any, Any]) -> None:
        """Write the rows (3, h, width) of a row of chunks, which begins at `y`."""
        folder = self._folder / "c" / "0" / str(y // CHUNK)
        folder.mkdir(parents=True)

        def write_chunk(x: int) -> None:
            part = rows[..., x : x + CHUNK]
            chunk = np.zeros((3, CHUNK, CHUNK), self.dtype.newbyteorder("<"))
            chunk[:, : part.shape[1], : part.shape[2]] = part
            (folder / str(x // CHUNK)).write_bytes(self._zstd.encode(chunk))

        call_for_each(write_chunk, range(0, self.shape[2], CHUNK), threads=_THREADS)


def _write_metadata(folder: Path, metadata: dict[str, Any]) -> None:
    folder.mkdir()
    (folder / "zarr.json").write_text(json.dumps({"zarr_format": 3} | metadata, indent=2))


def _named(name: str, **configuration: object) -> dict[str, object]:
    return {"name": name, "configuration": configuration}


class _Level:
    """One resolution: collects rows, writes them a row of chunks at a time, and hands on their reduction."""

    def __init__(self, array: _Array, smaller: "_Level | None") -> None:
        _, self._height, width = array.shape
        self._array = array
        self._smaller = smaller
        self._rows = np.empty((3, min(CHUNK, self._height), width), array.dtype)
        self._y = 0  # rows that are written
        self._filled = 0  # rows that wait in `_rows`

    def write(self, rows: np.ndarray[Any, Any]) -> None:
        """Take the next rows, (3, h, width)."""
        while rows.shape[1]:
            taken, rows = np.split(rows, [self._rows.shape[1] - self._filled], axis=1)
            self._rows[:, self._filled : self._filled + taken.shape[1]] = taken
            self._filled += taken.shape[1]
            if self._filled == self._rows.shape[1] or self._y + self._filled == self._height:
                self._flush()

    def _flush(self) -> None:
        rows = self._rows[:, : self._filled]
        self._array.write(self._y, rows)
        self._y += self._filled
        self._filled = 0
        if self._smaller is not None:
            self._smaller.write(_halved(rows))


def _halved(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rounded means of 2 x 2 pixels, (3, h, w) -> (3, ceil(h / 2), ceil(w / 2)); odd edges count twice."""
    total = rows[:, ::2].astype(np.uint16 if rows.itemsize == 1 else np.uint32)
    lower = rows[:, 1::2]
    total[:, : lower.shape[1]] += lower
    total[:, lower.shape[1] :] *= 2
    left, right = total[..., ::2], total[..., 1::2]
    left[..., : right.shape[2]] += right
    left[..., right.shape[2] :] *= 2
    return ((left + 2) >> 2).astype(rows.dtype)


def _level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of every level, halved and rounded up until one chunk holds it."""
    sizes = [(height, width)]
    while max(height, width) > CHUNK:
        height, width = -(-height // 2), -(-width // 2)
        sizes.append((height, width))
    return sizes


def _attributes(levels: int, properties: Properties) -> dict[str, Any]:
    """The group's attributes: OME's multiscales, with the lengths of pixels in inches if there are dpi."""
    pixel = 1 / properties.dpi if properties.dpi else 1.0
    unit = {"unit": "inch"} if properties.dpi else {}
    largest = int(np.iinfo(properties.dtype).max)
    window = {"min": 0, "max": largest, "start": 0, "end": largest}
    colors = {"red": "FF0000", "green": "00FF00", "blue": "0000FF"}
    multiscales = {
        "axes": [
            {"name": "c", "type": "channel"},
            {"name": "y", "type": "space", **unit},
            {"name": "x", "type": "space", **unit},
        ],
        "datasets": [
            {"path": str(i), "coordinateTransformations": _transformations(1 << i, pixel)}
            for i in range(levels)
        ],
        "type": "mean of 2 x 2",
    }
    channels = [
        {"label": label, "color": color, "active": True, "window": window} for label, color in colors.items()
    ]
    return {
        "ome": {
            "version": "0.5",
            "multiscales": [multiscales],
            "omero": {"channels": channels, "rdefs": {"model": "color"}},
        },
        "description": properties.description,
    }


def _transformations(factor: int, pixel: float) -> list[dict[str, Any]]:
    """Where a level lies whose pixels are means of `factor` x `factor`: centres, as OME has it, are whole."""
    scale, offset = factor * pixel, (factor - 1) / 2 * pixel
    return [
        {"type": "scale", "scale": [1.0, scale, scale]},
        {"type": "translation", "translation": [0.0, offset, offset]},
    ]
