"""How notebooks show what renders: as PNGs of bounded size, made in bounded time."""

import logging
from collections.abc import Callable, Sequence

import numpy as np

from .arrays import Picture
from .errors import OurganError
from .stopping import stoppable
from .system.vips import import_vips, with_vips

__all__ = ["SHOWN", "SHOWN_EACH", "png_of", "side_by_side"]

SHOWN = 640
"""Pixels of the long side, at most."""

SHOWN_EACH = 316
"""Of each of several pictures, two in a row."""

_GAP = SHOWN - 2 * SHOWN_EACH
_SECONDS = 60.0
"""After which whoever wrote the cell had rather go on."""

_LEVEL = 1
"""Of a PNG's compression, as writers take it."""

_log = logging.getLogger(__name__)


def png_of(owner: object, make: Callable[[], Picture]) -> bytes | None:
    """The PNG of what `make` makes, uint8 or uint16 (h, w, 3), in 8 bits.

    None where that fails in a way that this package tells of, or takes too long: a warning then says why, and
    whoever displays `owner` does it by its `repr`, as if there were no picture. Other errors come out.
    """
    try:
        with stoppable(None, _SECONDS):
            picture = make()
        if picture.dtype == np.uint16:
            picture = np.rint(picture / 257).astype(np.uint8)
        return _png(picture)
    except OurganError as error:
        _log.warning("no picture of %r: %s", owner, error)
        return None


def side_by_side(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one shape, (h, w, 3) uint8, two in a row, on white."""
    height, width, _ = pictures[0].shape
    rows = -(-len(pictures) // 2)
    sheet = np.full((rows * (height + _GAP) - _GAP, 2 * width + _GAP, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        y, x = index // 2 * (height + _GAP), index % 2 * (width + _GAP)
        sheet[y : y + height, x : x + width] = picture
    return sheet


@with_vips
def _png(picture: Picture) -> bytes:
    """`picture`, (h, w, 3) uint8, as a file."""
    height, width, channels = picture.shape
    pixels = np.ascontiguousarray(picture).data
    image = import_vips().Image.new_from_memory(pixels, width, height, channels, "uchar")
    return bytes(image.pngsave_buffer(compression=_LEVEL))
