"""Deep Zoom: a small file beside a folder with the tiles of all resolutions, as viewers in browsers read.

Tiles do not overlap: so each depends on its own pixels alone, wherever these are made, and a level on the one
before it by means of 2 x 2 pixels.
"""

import contextlib
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..arrays import Picture
from ..system.atomic import atomic_outputs, check_no_folder, check_replaceable, follow
from ..system.threads import call_for_each
from ..system.vips import import_vips, with_vips
from .base import Properties
from .pyramid import pyramid_of
from .vips import PNG_LEVEL, missing_savers_named

__all__ = [
    "TILE",
    "atomic_deep_zoom",
    "begin_deep_zoom",
    "deep_zoom_sizes",
    "encode_deep_zoom",
    "encoded_tile",
    "tile_file",
]

TILE = 512
"""Rows and columns of a tile; even, so that reductions of whole rows of tiles join without a gap."""

_PROPERTIES = "properties.json"

_THREADS = 4
"""That encode the tiles of a row."""


@contextlib.contextmanager
def atomic_deep_zoom(path: Path) -> Iterator[Path]:
    """Yield NAME for a new NAME.dzi and NAME_files, which appear beside `path`, the file last.

    As `atomic_file`. Raises OutputError also if there is a folder of that name with something else in it.
    """
    target = follow(path)
    check_no_folder(path, target)
    tiles = target.with_name(f"{target.stem}_files")
    check_replaceable(path, tiles, ("0", _PROPERTIES))
    with atomic_outputs(path, {"picture_files": tiles, "picture.dzi": target}) as folder:
        yield folder / "picture"


def deep_zoom_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of every level, finest first, halved and rounded up down to a single pixel."""
    sizes = [(height, width)]
    while max(height, width) > 1:
        height, width = -(-height // 2), -(-width // 2)
        sizes.append((height, width))
    return sizes


def begin_deep_zoom(output: Path, properties: Properties) -> None:
    """Make OUTPUT.dzi, and OUTPUT_files with a folder for every level and what is known of the picture."""
    size = f'<Size Height="{properties.height}" Width="{properties.width}"/>'
    output.with_name(f"{output.name}.dzi").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="{_suffix(properties.quality)}" '
        f'Overlap="0" TileSize="{TILE}">{size}</Image>\n'
    )
    folder = output.with_name(f"{output.name}_files")
    folder.mkdir()
    for level in range(len(deep_zoom_sizes(properties.height, properties.width))):
        (folder / str(level)).mkdir()
    known = {"description": properties.description, "dpi": properties.dpi}
    (folder / _PROPERTIES).write_text(json.dumps(known))


def tile_file(properties: Properties, level: int, row: int, column: int) -> str:
    """The path of a tile within the folder of all of them; levels are counted from the finest one."""
    levels = len(deep_zoom_sizes(properties.height, properties.width))
    return f"{levels - 1 - level}/{column}_{row}.{_suffix(properties.quality)}"


def encoded_tile(pixels: Picture, quality: int) -> bytes:
    """The file of a tile that shows `pixels`, (h, w, 3) uint8: a JPEG, at quality 100 a PNG.

    Raises OutputError if libvips is missing or lacks the format.
    """
    height, width, _ = pixels.shape
    image = import_vips().Image.new_from_memory(np.ascontiguousarray(pixels), width, height, 3, "uchar")
    image = image.copy(interpretation="srgb")
    with missing_savers_named():
        # Tiles keep the profile alone: the rest of the metadata can be larger than a tile.
        if quality == 100:
            data = image.pngsave_buffer(compression=PNG_LEVEL, profile="srgb", keep="icc")
        else:
            data = image.jpegsave_buffer(Q=quality, profile="srgb", keep="icc")
    return bytes(data)


@with_vips
def encode_deep_zoom(bands: Iterator[Picture], output: Path, properties: Properties) -> None:
    """Write OUTPUT.dzi and OUTPUT_files: JPEG tiles, at quality 100 PNG tiles.

    A level holds one row of them in memory.
    """
    begin_deep_zoom(output, properties)
    sizes = deep_zoom_sizes(properties.height, properties.width)
    folder = output.with_name(f"{output.name}_files")
    writes = [functools.partial(_write_tiles, folder, properties, level) for level in range(len(sizes))]
    pyramid = pyramid_of(sizes, TILE, properties.dtype, writes)
    for band in bands:
        pyramid.write(band)


def _write_tiles(folder: Path, properties: Properties, level: int, y: int, rows: Picture) -> None:
    """Write a row of tiles of a level, which begins at row `y`."""

    def write(column: int) -> None:
        tile = rows[:, column * TILE : (column + 1) * TILE]
        file = folder / tile_file(properties, level, y // TILE, column)
        file.write_bytes(encoded_tile(tile, properties.quality))

    call_for_each(write, range(-(-rows.shape[1] // TILE)), threads=_THREADS)


def _suffix(quality: int) -> str:
    return "png" if quality == 100 else "jpg"
