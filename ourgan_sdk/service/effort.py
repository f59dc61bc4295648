"""How much work a picture may take that is answered at once."""

from fractions import Fraction
from math import isqrt

from .._core import Box
from .canvases import Opened
from .errors import BadRequestError
from .iiif import Limits, Request
from .settings import Settings

__all__ = ["check_work", "limits_of"]

_NETWORK = 16
"""Pixels that are gathered of the photograph in the time in which a network makes one, about."""

_LEAST_AREA = 1 << 18
"""Pixels of a tile."""


def check_work(opened: Opened, asked: Request, settings: Settings) -> None:
    """Raise BadRequestError where a picture takes more than is allowed."""
    work = _work(opened, asked.region, asked.width, asked.height)
    if work > settings.max_work:
        raise BadRequestError(
            f"{asked.width} x {asked.height} pixels of this region take the work of {work} pixels, "
            f"{settings.max_work} are allowed where it is answered at once: ask for a smaller size, "
            "for pieces of the region, or for a render (POST /api/renders)"
        )


def limits_of(opened: Opened, region: Box, settings: Settings) -> Limits:
    """What pictures of a region of a canvas may have: as many pixels as it can be answered at."""
    width, height, area = region.width, region.height, settings.max_area
    while area > _LEAST_AREA:
        scale = min(
            Fraction(isqrt(area), isqrt(width * height) + 1), Fraction(Limits(area).side, max(width, height))
        )
        scale = min(Fraction(1), scale)
        size = max(1, int(width * scale)), max(1, int(height * scale))
        if _work(opened, region, *size) <= settings.max_work:
            break
        area //= 2
    return Limits(area)


def _work(opened: Opened, region: Box, width: int, height: int) -> int:
    """In pixels of the photograph; raises BadRequestError where there is no such view."""
    try:
        read, made = opened.canvas.view_work(region, width, height)
    except ValueError as error:
        raise BadRequestError(str(error)) from error
    return width * height + read + _NETWORK * made
