"""The photograph that a bundle holds: whole, and without what is nobody's business."""

import numpy as np

from ..errors import PhotographError
from ..system.vips import import_vips, with_vips
from . import jpeg
from .colors import is_srgb
from .reader import KEPT_BYTES, Photograph, decode_photograph

__all__ = ["photograph_member"]

NAME = "photograph.jpg"
QUALITY = 95


@with_vips
def photograph_member(photograph: Photograph) -> tuple[str, bytes]:
    """A name and a JPEG file of the photograph, without private metadata.

    An upright JPEG in sRGB of at most 16 MiB keeps its pixels: its own file, less EXIF, XMP, IPTC, comments,
    thumbnails and what is appended. Any other is encoded at quality 95, without subsampling.

    Raises PhotographError if a side is longer than a JPEG file can have.
    """
    return NAME, _original(photograph) or _encoded(photograph)


def _original(photograph: Photograph) -> bytes | None:
    """The photograph's own file without private metadata, if it shows the same pixels to every program."""
    if photograph.kind != "JPEG" or photograph.data is None:
        return None
    data = jpeg.without_private_data(photograph.data)
    if data is None or len(data) > KEPT_BYTES:
        return None
    profile = jpeg.color_profile(data)
    if profile and not is_srgb(profile, "rgb"):
        return None
    try:
        same = np.array_equal(decode_photograph(data, NAME).pixels, photograph.pixels)
    except PhotographError:
        return None
    return data if same else None


def _encoded(photograph: Photograph) -> bytes:
    pyvips = import_vips()
    image = pyvips.Image.new_from_memory(
        photograph.pixels, photograph.width, photograph.height, 3, "uchar"
    ).copy(interpretation="srgb")
    try:
        data: bytes = image.jpegsave_buffer(
            Q=QUALITY, subsample_mode="off", keep="none", optimize_coding=True
        )
    except pyvips.Error as error:
        size = f"{photograph.width} x {photograph.height}"
        raise PhotographError(f"the photograph of {size} pixels does not fit in a JPEG: reduce it") from error
    return data
