"""OME-Zarr pictures, read back from top to bottom, a row of chunks at a time.

What is read may come from anywhere: sizes are bounded before anything of them is allocated, and whatever
the `zarr` library says of damaged files becomes one error.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Picture
from .errors import OurganError, OutputError, ZarrError
from .system.optional import import_optional

__all__ = ["ZarrPicture", "open_zarr"]

_LARGEST_CHUNK = 512 << 20
"""Bytes; the library decompresses chunks whole."""

_LARGEST_ROW = 512 << 20
"""Bytes of a row of chunks; of wider pictures, or higher chunks, some rows are read at a time."""

_BAND_ROWS = 128
"""Given at a time, of wide pictures fewer."""

_LARGEST_BAND = 64 << 20
"""Bytes."""

_LONGEST_SIDE = (1 << 31) - 1

_LONGEST_DESCRIPTION = 1 << 20

_AXES = ("c", "y", "x")


@dataclass(frozen=True)
class ZarrPicture:
    """One level of an OME-Zarr: (3, height, width) of `dtype`, uint8 or uint16."""

    path: Path
    height: int
    width: int
    dtype: np.dtype[Any]
    description: str
    """What the file says of the picture, or nothing."""
    dpi: float | None
    """Its pixels per inch, where it says so."""
    array: Any
    """The `zarr.Array`."""

    def bands(self) -> Iterator[Picture]:
        """The rows, (h, width, 3), in bands of their own memory.

        Chunks that are missing are what the file says of them. Raises ZarrError where it is damaged.
        """
        rows = min(int(self.array.chunks[1]), self._rows_in(_LARGEST_ROW))
        given = min(_BAND_ROWS, self._rows_in(_LARGEST_BAND))
        for top in range(0, self.height, rows):
            with _naming(self.path), _one_chunk_at_a_time():
                planes = self.array[:, top : min(top + rows, self.height)]
            for y in range(0, planes.shape[1], given):
                band = planes[:, y : y + given].transpose(1, 2, 0)
                yield np.ascontiguousarray(band, self.dtype)
            del planes, band  # before the next ones are read

    def _rows_in(self, size: int) -> int:
        return max(1, size // (3 * self.width * self.dtype.itemsize))


def open_zarr(path: Path, level: int = 0) -> ZarrPicture:
    """Open a level of the OME-Zarr in the folder `path`; 0 is the picture itself.

    Raises ZarrError if it is no OME-Zarr 0.5 of three channels, 8 or 16 bits, or has no such level.
    """
    try:
        zarr = import_optional("zarr", "Zarr", '"ourgan-sdk[zarr]"', OutputError)
    except OutputError as error:
        raise ZarrError(f"cannot read {path}: {error}") from error
    with _naming(path):
        if not (path / "zarr.json").is_file():
            raise ZarrError(f"cannot read {path}: expected a folder with a zarr.json, which is not there")
        store = zarr.storage.LocalStore(path.absolute(), read_only=True)
        group = zarr.open(store, mode="r", zarr_format=3, use_consolidated=False)
        if isinstance(group, zarr.Array):
            raise ZarrError(f"cannot read {path}: {_about_array(path.absolute())}")
        attributes = group.attrs.asdict()
        dataset, unit = _dataset(path, attributes, level)
        array = group[dataset["path"]]
        if not isinstance(array, zarr.Array):
            raise ZarrError(f"cannot read {path}: level {level} is no array")
        height, width = _size(path, array)
        description = attributes.get("description")
        is_text = isinstance(description, str) and len(description) <= _LONGEST_DESCRIPTION
        return ZarrPicture(
            path,
            height,
            width,
            array.dtype.newbyteorder("="),
            description if is_text else "",
            _dpi(dataset) if unit == "inch" else None,
            array,
        )


def _about_array(path: Path) -> str:
    """What is wrong with an array in place of the group."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
        attributes = json.loads((path.parent / "zarr.json").read_bytes())["attributes"]
        datasets = attributes["ome"]["multiscales"][0]["datasets"]
        level = [dataset["path"] for dataset in datasets].index(path.name)
        return f"it is one level: give {path.parent} and --level {level}"
    return "it is an array, expected the folder of an OME-Zarr, which holds arrays"


def _dataset(path: Path, attributes: Mapping[str, Any], level: int) -> tuple[Mapping[str, Any], object]:
    """What the group says of a level, and the unit of its pixels' lengths."""
    try:
        multiscales = attributes["ome"]["multiscales"][0]
        axes, datasets = multiscales["axes"], multiscales["datasets"]
        names, unit = tuple(axis["name"] for axis in axes), axes[-1].get("unit")
        count = len(datasets)
        dataset = datasets[level] if level < count else None
    except (KeyError, TypeError, IndexError, AttributeError):
        raise ZarrError(f"cannot read {path}: it is no OME-Zarr 0.5, which tells its levels") from None
    if names != _AXES:
        raise ZarrError(f"cannot read {path}: expected the axes c, y, x, got {', '.join(map(str, names))}")
    if dataset is None:
        raise ZarrError(f"cannot read {path}: it has {count} levels, from 0 on: there is no level {level}")
    if not isinstance(dataset, Mapping) or not isinstance(dataset.get("path"), str):
        raise ZarrError(f"cannot read {path}: it does not say where level {level} is")
    return dataset, unit


def _size(path: Path, array: Any) -> tuple[int, int]:
    """(height, width); raises ZarrError unless it is an array of a picture, in chunks that can be read."""
    shape, dtype = array.shape, array.dtype
    if len(shape) != 3 or shape[0] != 3 or dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ZarrError(
            f"cannot read {path}: expected (3, height, width) of uint8 or uint16, got {shape} {dtype}"
        )
    height, width = (int(side) for side in shape[1:])
    if not 1 <= min(height, width) <= max(height, width) <= _LONGEST_SIDE:
        raise ZarrError(
            f"cannot read {path}: expected sides from 1 to {_LONGEST_SIDE}, got {width} x {height}"
        )
    chunk = math.prod(array.chunks) * dtype.itemsize
    if chunk > _LARGEST_CHUNK:
        raise ZarrError(
            f"cannot read {path}: its chunks, {array.chunks}, have {chunk} bytes, more than "
            f"{_LARGEST_CHUNK}: store it in smaller ones"
        )
    return height, width


def _dpi(dataset: Mapping[str, Any]) -> float | None:
    """By the scale of a level whose pixels' lengths are in inches."""
    try:
        scale = next(one["scale"] for one in dataset["coordinateTransformations"] if one["type"] == "scale")
        # What 1 / (1 / dpi) has lost is rounded back.
        dpi = float(f"{1 / float(scale[-1]):.9g}")
    except (KeyError, TypeError, IndexError, ValueError, ArithmeticError, StopIteration):
        return None
    return dpi if 1 <= dpi <= 65535 else None


@contextlib.contextmanager
def _one_chunk_at_a_time() -> Iterator[None]:
    """The library decompresses several at once, of which each may be as large as is allowed."""
    zarr = import_optional("zarr", "Zarr", '"ourgan-sdk[zarr]"', OutputError)
    with zarr.config.set({"async.concurrency": 1}):
        yield


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn whatever the library raises into a ZarrError about `path`."""
    try:
        yield
    except OurganError:
        raise
    except MemoryError as error:
        raise ZarrError(f"cannot read {path}: out of memory, for what it says that it holds") from error
    except Exception as error:  # of the library, of codecs, of the disk
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ZarrError(f"cannot read {path}: it is damaged, or no OME-Zarr ({reason})") from error
