"""Deep Zoom: a small file beside a folder with the tiles of all resolutions, as viewers in browsers read."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..system.atomic import atomic_outputs, check_no_folder, check_replaceable, follow
from .base import Properties
from .vips import PNG_LEVEL

__all__ = ["atomic_deep_zoom", "save_deep_zoom"]


@contextlib.contextmanager
def atomic_deep_zoom(path: Path) -> Iterator[Path]:
    """Yield NAME for a new NAME.dzi and NAME_files, which appear beside `path`, the file last.

    As `atomic_file`. Raises OutputError also if there is a folder of that name with something else in it.
    """
    target = follow(path)
    check_no_folder(path, target)
    tiles = target.with_name(f"{target.stem}_files")
    check_replaceable(path, tiles, ("0", "vips-properties.xml"))
    with atomic_outputs(path, {"picture_files": tiles, "picture.dzi": target}) as folder:
        yield folder / "picture"


def save_deep_zoom(image: Any, output: Path, properties: Properties) -> None:
    """Save the libvips image as OUTPUT.dzi and OUTPUT_files: JPEG tiles, at quality 100 PNG tiles.

    Resolution and description go into OUTPUT_files/vips-properties.xml.
    """
    if properties.quality == 100:
        suffix = f".png[compression={PNG_LEVEL},profile=srgb]"
    else:
        suffix = f".jpg[Q={properties.quality},profile=srgb]"
    # Tiles keep the profile alone: the rest of the metadata can be larger than a tile.
    image.dzsave(os.fsencode(output), layout="dz", suffix=suffix, properties=True, keep="icc")
