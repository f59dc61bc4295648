"""Reducing a picture to a small one."""

import numpy as np

from .arrays import Picture
from .system.vips import import_vips, with_vips

__all__ = ["reduce_picture", "thumbnail_size"]


def thumbnail_size(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) of a picture with at most `size` pixels on its long side; never larger than it is."""
    factor = min(1.0, size / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


@with_vips
def reduce_picture(picture: Picture, size: int) -> Picture:
    """`picture`, (H, W, 3) uint8 or uint16, with at most `size` pixels on its long side; never enlarged.

    Every pixel is a Lanczos-weighted mean of those that it stands for. Raises OutputError without libvips.
    """
    height, width, channels = picture.shape
    reduced_height, reduced_width = thumbnail_size(height, width, size)
    if (reduced_height, reduced_width) == (height, width):
        return picture
    kind = "uchar" if picture.dtype == np.uint8 else "ushort"
    image = import_vips().Image.new_from_memory(
        np.ascontiguousarray(picture).data, width, height, channels, kind
    )
    reduced = image.resize(reduced_width / width, vscale=reduced_height / height)
    return np.frombuffer(reduced.write_to_memory(), picture.dtype).reshape(
        reduced_height, reduced_width, channels
    )
