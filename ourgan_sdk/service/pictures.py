"""From pixels to the file that answers a request: turned, mirrored, without colour, encoded."""

from typing import Any

import numpy as np

from ..arrays import Picture
from ..system.vips import import_vips
from .iiif import Request

__all__ = ["encode"]

_LUMA = np.array([77, 150, 29], np.uint16)
"""Of 256: ITU-R BT.601, what gray JPEGs and televisions show."""

_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpg": ("jpegsave_buffer", {"Q": 85}),
    # The writers' own levels: more takes several times as long and saves a tenth.
    "png": ("pngsave_buffer", {"compression": 1}),
    "tif": ("tiffsave_buffer", {"compression": "deflate", "level": 2, "predictor": "horizontal"}),
    "webp": ("webpsave_buffer", {"Q": 85, "effort": 0}),
}


def encode(picture: Picture, request: Request) -> bytes:
    """`picture`, (h, w, 3) uint8 in the request's size, as its file. Raises OutputError without libvips."""
    if request.quality != "default":
        picture = _gray(picture, bitonal=request.quality == "bitonal")
    if request.mirrored:
        picture = picture[:, ::-1]
    picture = np.ascontiguousarray(np.rot90(picture, -request.rotation // 90))
    height, width, channels = picture.shape
    image = import_vips().Image.new_from_memory(picture.data, width, height, channels, "uchar")
    if channels == 1:
        image = image.copy(interpretation="b-w")
    name, options = _SAVERS[request.format]
    if request.quality == "bitonal" and request.format in ("png", "tif"):
        options = options | {"bitdepth": 1}
        if request.format == "tif":
            options["predictor"] = "none"  # the other one is for bytes
    data = getattr(image, name)(**options)
    assert isinstance(data, bytes)  # noqa: S101 - what libvips returns is Any
    return data


def _gray(picture: Picture, *, bitonal: bool) -> Picture:
    """(h, w, 1)."""
    gray = (picture.astype(np.uint16) @ _LUMA + 128) >> 8
    if bitonal:
        gray = (gray >= 128) * 255
    return gray.astype(np.uint8)[..., None]
