"""Reducing a picture to a small one."""

import numpy as np

from ._vips import import_vips
from .arrays import Picture

__all__ = ["reduce_picture"]


def reduce_picture(picture: Picture, size: int) -> Picture:
    """`picture`, (H, W, 3) uint8 or uint16, with at most `size` pixels on its long side; never enlarged.

    Every pixel is a Lanczos-weighted mean of those that it stands for. Raises OutputError without libvips.
    """
    height, width, channels = picture.shape
    factor = size / max(height, width)
    if factor >= 1:
        return picture
    kind = "uchar" if picture.dtype == np.uint8 else "ushort"
    image = import_vips().Image.new_from_memory(
        np.ascontiguousarray(picture).data, width, height, channels, kind
    )
    reduced_height, reduced_width = max(1, round(height * factor)), max(1, round(width * factor))
    reduced = image.resize(reduced_width / width, vscale=reduced_height / height)
    return np.frombuffer(reduced.write_to_memory(), picture.dtype).reshape(
        reduced_height, reduced_width, channels
    )
