"""OME-Zarr 0.5: a Zarr v3 group that holds the picture and its reductions, in chunks, up to 64 to a file."""

import contextlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._core import halved
from ..arrays import Picture
from ..errors import OutputError
from ..system.atomic import atomic_outputs, check_replaceable, follow
from ..system.optional import import_optional
from ..system.threads import call_for_each
from .base import Properties
from .pyramid import pyramid_of

__all__ = [
    "CHUNK",
    "SHARD",
    "ZarrLevel",
    "atomic_zarr",
    "encode_zarr",
    "encoded_shard",
    "halved",
    "import_codecs",
    "write_metadata",
    "zarr_layout",
]

CHUNK = 512
"""Rows and columns of a chunk, which is what readers have to decompress; even."""

SHARD = 4096
"""Rows and columns of a shard, which is a file."""

_CHUNKS = SHARD // CHUNK

_ZSTD_LEVEL = 0
"""Zstandard's own default."""

_THREADS = 4
"""That compress the chunks of a row of a shard."""


@contextlib.contextmanager
def atomic_zarr(path: Path) -> Iterator[Path]:
    """Yield a name for a new folder, which takes the name `path` when the block ends well.

    As `atomic_file`. Raises OutputError, before the block runs, also if something else than a Zarr folder has
    that name, or if the `zarr` library is not installed or does not load.
    """
    try:
        import_codecs()
    except OutputError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    target = follow(path)
    check_replaceable(path, target, ("zarr.json", ".zgroup", ".zarray"))
    with atomic_outputs(path, {"picture": target}) as folder:
        yield folder / "picture"


def import_codecs() -> tuple[Any, Any]:
    """What compresses chunks, with checksums, and the checksum of indices, by the `zarr` library's own.

    Raises OutputError where there is none.
    """
    zstd, crc32c = (
        import_optional(module, "Zarr", '"ourgan-sdk[zarr]"', OutputError)
        for module in ("numcodecs.zstd", "google_crc32c")
    )
    return zstd.Zstd(level=_ZSTD_LEVEL, checksum=True), crc32c.value


@dataclass(frozen=True)
class ZarrLevel:
    """An array (3, height, width) of the group; the picture itself is level 0."""

    index: int
    height: int
    width: int

    @property
    def shards(self) -> tuple[int, int]:
        """How many, (rows, columns)."""
        return -(-self.height // SHARD), -(-self.width // SHARD)

    def file(self, row: int, column: int) -> str:
        """The path of a shard within the group's folder."""
        return f"{self.index}/c/0/{row}/{column}"


def zarr_layout(height: int, width: int) -> list[ZarrLevel]:
    """All levels of a picture, halved and rounded up until one chunk holds it."""
    levels = [ZarrLevel(0, height, width)]
    while max(height, width) > CHUNK:
        height, width = -(-height // 2), -(-width // 2)
        levels.append(ZarrLevel(len(levels), height, width))
    return levels


def write_metadata(folder: Path, properties: Properties) -> None:
    """Make the group of a picture: a new folder, and in it all but the shards."""
    levels = zarr_layout(properties.height, properties.width)
    _write_node(folder, {"node_type": "group", "attributes": _attributes(len(levels), properties)})
    little, zstd = _named("bytes", endian="little"), _named("zstd", level=_ZSTD_LEVEL, checksum=True)
    sharding = _named(
        "sharding_indexed",
        chunk_shape=(3, CHUNK, CHUNK),
        codecs=[little, zstd],
        index_codecs=[little, {"name": "crc32c"}],
        index_location="end",
    )
    for level in levels:
        metadata = {
            "node_type": "array",
            "shape": (3, level.height, level.width),
            "data_type": properties.dtype.name,
            "chunk_grid": _named("regular", chunk_shape=(3, SHARD, SHARD)),
            "chunk_key_encoding": _named("default", separator="/"),
            "fill_value": 0,
            "codecs": [sharding],
            "dimension_names": ("c", "y", "x"),
            "attributes": {},
        }
        _write_node(folder / str(level.index), metadata)


def encode_zarr(bands: Iterator[Picture], output: Path, properties: Properties) -> None:
    """Write arrays "0", "1", ... of (3, height, width), each half as large as the one before.

    A level holds one row of chunks in memory. The last one fits into a single chunk.
    """
    # Not by the library itself: its threads are an executor's, which a fork or the main thread's end breaks.
    levels = zarr_layout(properties.height, properties.width)
    write_metadata(output, properties)
    writes = [_ShardRows(output, level).write for level in levels]
    sizes = [(level.height, level.width) for level in levels]
    pyramid = pyramid_of(sizes, CHUNK, properties.dtype, writes)
    for band in bands:
        pyramid.write(band)


def encoded_shard(pixels: Picture) -> bytes:
    """The file of a shard that shows `pixels`, (h, w, 3), as `encode_zarr` writes it too."""
    index, chunks = _Index(), []
    for row, y in enumerate(range(0, len(pixels), CHUNK)):
        for column, chunk in enumerate(_compressed(pixels[y : y + CHUNK])):
            index.add(row, column, len(chunk))
            chunks.append(chunk)
    return b"".join([*chunks, index.encoded()])


class _ShardRows:
    """A level's shards, of which a row of chunks is written at a time."""

    def __init__(self, folder: Path, level: ZarrLevel) -> None:
        self._folder = folder
        self._level = level
        self._indices: list[_Index] = []

    def write(self, y: int, rows: Picture) -> None:
        """Append a row of chunks, which begins at row `y` of the level, to the shards that it crosses."""
        shard_row, row = divmod(y // CHUNK, _CHUNKS)
        if row == 0:
            (self._folder / self._level.file(shard_row, 0)).parent.mkdir(parents=True)
            self._indices = [_Index() for _ in range(self._level.shards[1])]
        is_last = row == _CHUNKS - 1 or y + len(rows) == self._level.height
        for shard_column, index in enumerate(self._indices):
            x = shard_column * SHARD
            chunks = _compressed(rows[:, x : x + SHARD])
            with (self._folder / self._level.file(shard_row, shard_column)).open("ab") as file:
                for column, chunk in enumerate(chunks):
                    file.write(chunk)
                    index.add(row, column, len(chunk))
                if is_last:
                    file.write(index.encoded())


class _Index:
    """Where a shard's chunks lie in its file, in the order in which they are added: one after the other."""

    def __init__(self) -> None:
        # Chunks beyond the picture's border are not there, which all bits set say.
        self._places = np.full((_CHUNKS, _CHUNKS, 2), (1 << 64) - 1, "<u8")
        self._end = 0

    def add(self, row: int, column: int, size: int) -> None:
        self._places[row, column] = self._end, size
        self._end += size

    def encoded(self) -> bytes:
        """As it is at the end of the file, with its checksum."""
        places = self._places.tobytes()
        _, crc32c = import_codecs()
        return places + struct.pack("<I", crc32c(places))


def _compressed(rows: Picture) -> list[bytes]:
    """The chunks of a row of them, (h, w, 3), from left to right."""
    zstd, _ = import_codecs()
    starts = range(0, rows.shape[1], CHUNK)
    chunks = [b""] * len(starts)

    def compress(column: int) -> None:
        part = rows[:, starts[column] : starts[column] + CHUNK]
        chunk = np.zeros((3, CHUNK, CHUNK), rows.dtype.newbyteorder("<"))
        chunk[:, : part.shape[0], : part.shape[1]] = part.transpose(2, 0, 1)
        chunks[column] = zstd.encode(chunk)

    call_for_each(compress, range(len(starts)), threads=_THREADS)
    return chunks


def _write_node(folder: Path, metadata: dict[str, Any]) -> None:
    folder.mkdir()
    (folder / "zarr.json").write_text(json.dumps({"zarr_format": 3} | metadata, indent=2))


def _named(name: str, **configuration: object) -> dict[str, object]:
    return {"name": name, "configuration": configuration}


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
