"""The IIIF Image API 3.0 on paper: what a request's parameters mean, and what an info.json says.

Pure geometry; nothing of HTTP, and nothing of pixels.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .._core import Box
from .errors import BadRequestError

__all__ = ["FORMATS", "PROFILE", "TILE", "Limits", "Request", "info", "parse_request", "scale_factors"]

TILE = 512
"""Pixels of a tile's side: those of the other tiles of this package."""

PROFILE = "http://iiif.io/api/image/3/level2.json"

FORMATS = {"jpg": "image/jpeg", "png": "image/png", "tif": "image/tiff", "webp": "image/webp"}
"""Their media types."""

_QUALITIES = ("default", "color", "gray", "bitonal")
_CONTEXT = "http://iiif.io/api/image/3/context.json"

_WHOLE = re.compile(r"\d{1,10}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,10}(\.\d{1,10})?|\.\d{1,10}", re.ASCII)


@dataclass(frozen=True)
class Limits:
    """The most that a picture may have: pixels in all, and per side."""

    area: int
    side: int = 16_384


@dataclass(frozen=True)
class Request:
    """`region` of a picture, in its pixels, at `width` x `height`, mirrored, then turned clockwise."""

    region: Box
    width: int
    height: int
    mirrored: bool
    rotation: int
    """0, 90, 180 or 270."""
    quality: str
    format: str
    canonical: str
    """The four parameters in the form that all requests for this picture have in common."""
    is_whole: bool
    """Whether the region is all of the picture."""


def parse_request(parameters: tuple[str, str, str, str], size: tuple[int, int], limits: Limits) -> Request:
    """What region, size, rotation and quality.format ask for of a picture of `size` (width, height).

    Raises BadRequestError that says what was expected.
    """
    region_text, size_text, rotation_text, file = parameters
    region = _region(region_text, *size)
    width, height, size_name = _size(size_text, region.width, region.height, limits)
    mirrored, rotation = _rotation(rotation_text)
    quality, format_ = _file(file)
    whole = (region.width, region.height) == size
    region_name = "full" if whole else f"{region.x0},{region.y0},{region.width},{region.height}"
    shown = "default" if quality == "color" else quality  # which is the colour picture
    canonical = f"{region_name}/{size_name}/{'!' if mirrored else ''}{rotation}/{shown}.{format_}"
    return Request(region, width, height, mirrored, rotation, shown, format_, canonical, whole)


def _region(text: str, width: int, height: int) -> Box:
    if text == "full":
        return Box(0, 0, height, width)
    if text == "square":
        side = min(width, height)
        x, y = (width - side) // 2, (height - side) // 2
        return Box(y, x, y + side, x + side)
    if text.startswith("pct:"):
        parts = _numbers(text[4:], _DECIMAL, 4, "region", text)
        scaled = [part * side / 100 for part, side in zip(parts, (width, height, width, height), strict=True)]
        x0, y0 = math.floor(scaled[0]), math.floor(scaled[1])
        x1, y1 = (_rounded(scaled[i] + scaled[i + 2]) for i in (0, 1))
    else:
        x0, y0, w, h = (int(part) for part in _numbers(text, _WHOLE, 4, "region", text))
        x1, y1 = x0 + w, y0 + h
    box = Box(y0, x0, min(y1, height), min(x1, width))
    if box.y1 <= box.y0 or box.x1 <= box.x0:
        raise BadRequestError(f"the region {text[:80]!r} shows nothing of a picture of {width} x {height}")
    return box


def _size(text: str, width: int, height: int, limits: Limits) -> tuple[int, int, str]:
    """(width, height), and the canonical name, of a size that a region of that size is wanted at."""
    enlarges, plain = text.startswith("^"), text.removeprefix("^")
    if plain == "max":
        fitting = _largest(width, height, limits)
        if not enlarges and fitting[0] >= width and fitting[1] >= height:
            fitting = width, height
        return (*fitting, text)
    asked = _asked_size(plain, text, width, height, enlarges=enlarges, limits=limits)
    if min(asked) < 1:
        raise BadRequestError(f"the size {text[:80]!r} leaves nothing of a region of {width} x {height}")
    if max(asked) > limits.side or math.prod(asked) > limits.area:
        raise BadRequestError(
            f"a picture has at most {limits.side} pixels per side and {limits.area} in all; "
            f"{asked[0]} x {asked[1]} are asked for"
        )
    is_larger = asked[0] > width or asked[1] > height
    if is_larger and not enlarges:
        raise BadRequestError(
            f"the size {text[:80]!r} is larger than the region, {width} x {height}: "
            "put a ^ before it to enlarge"
        )
    if asked == (width, height):
        return (*asked, "max")
    return (*asked, f"{'^' if is_larger else ''}{asked[0]},{asked[1]}")


def _asked_size(
    plain: str, text: str, width: int, height: int, *, enlarges: bool, limits: Limits
) -> tuple[int, int]:
    """(width, height) of a size without its ^."""
    if plain.startswith("pct:"):
        (percent,) = _numbers(plain[4:], _DECIMAL, 1, "size", text)
        return _rounded(width * percent / 100), _rounded(height * percent / 100)
    if plain.startswith("!"):
        w, h = (int(part) for part in _numbers(plain[1:], _WHOLE, 2, "size", text))
        largest = _largest(width, height, limits)
        most = (min(w, largest[0]), min(h, largest[1]))
        return _fit(width, height, most if enlarges else (min(most[0], width), min(most[1], height)))
    w_text, comma, h_text = plain.partition(",")
    if not comma or not (w_text or h_text):
        raise _malformed("size", text)
    if not h_text:
        (w,) = (int(part) for part in _numbers(w_text, _WHOLE, 1, "size", text))
        return w, max(1, _rounded(Fraction(w * height, width)))
    if not w_text:
        (h,) = (int(part) for part in _numbers(h_text, _WHOLE, 1, "size", text))
        return max(1, _rounded(Fraction(h * width, height))), h
    w, h = (int(part) for part in _numbers(plain, _WHOLE, 2, "size", text))
    return w, h


def _largest(width: int, height: int, limits: Limits) -> tuple[int, int]:
    """(width, height) of the largest picture of that aspect within the limits."""
    side = limits.side / max(width, height)
    factor = min(side, math.sqrt(limits.area / (width * height)))
    return max(1, math.floor(width * factor)), max(1, math.floor(height * factor))


def _fit(width: int, height: int, most: tuple[int, int]) -> tuple[int, int]:
    """The largest size of that aspect within `most`."""
    factor = min(Fraction(most[0], width), Fraction(most[1], height))
    if not factor:
        return 0, 0
    return max(1, _rounded(width * factor)), max(1, _rounded(height * factor))


def _rotation(text: str) -> tuple[bool, int]:
    mirrored, plain = text.startswith("!"), text.removeprefix("!")
    (degrees,) = _numbers(plain, _DECIMAL, 1, "rotation", text)
    if degrees not in (0, 90, 180, 270, 360):
        raise BadRequestError(f"expected a rotation by 0, 90, 180 or 270 degrees, got {text[:80]!r}")
    return mirrored, int(degrees) % 360


def _file(text: str) -> tuple[str, str]:
    quality, _, format_ = text.partition(".")
    if quality not in _QUALITIES:
        raise BadRequestError(f"expected a quality of {', '.join(_QUALITIES)}, got {quality[:40]!r}")
    if format_ not in FORMATS:
        raise BadRequestError(f"expected a format of {', '.join(FORMATS)}, got {format_[:40]!r}")
    return quality, format_


def _numbers(text: str, form: re.Pattern[str], count: int, what: str, whole: str) -> list[Fraction]:
    parts = text.split(",")
    if len(parts) != count or not all(form.fullmatch(part) for part in parts):
        raise _malformed(what, whole)
    return [Fraction(part) for part in parts]


def _malformed(what: str, text: str) -> BadRequestError:
    forms = {
        "region": "full, square, x,y,w,h or pct:x,y,w,h",
        "size": "max, w,h or w, or ,h or pct:n or !w,h, or any of these after a ^",
        "rotation": "0, 90, 180 or 270, or any of these after a !",
    }
    return BadRequestError(f"expected a {what} as {forms[what]}, got {text[:80]!r}")


def _rounded(value: Fraction) -> int:
    """To the next integer, halves up."""
    return math.floor(value + Fraction(1, 2))


def scale_factors(width: int, height: int) -> list[int]:
    """Powers of two, from 1 to the first at which the whole picture is one tile."""
    return [1 << n for n in range((-(-max(width, height) // TILE) - 1).bit_length() + 1)]


def info(url: str, size: tuple[int, int], limits: Limits) -> dict[str, Any]:
    """The info.json of a picture of `size` (width, height) that is found at `url`."""
    width, height = size
    factors = scale_factors(width, height)
    sizes = [(-(-width // factor), -(-height // factor)) for factor in reversed(factors)]
    return {
        "@context": _CONTEXT,
        "id": url,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level2",
        "width": width,
        "height": height,
        "maxWidth": limits.side,
        "maxHeight": limits.side,
        "maxArea": limits.area,
        "sizes": [
            {"width": w, "height": h} for w, h in sizes if max(w, h) <= limits.side and w * h <= limits.area
        ],
        "tiles": [{"width": TILE, "height": TILE, "scaleFactors": factors}],
        "preferredFormats": ["jpg"],
        "extraFormats": ["tif", "webp"],
        "extraQualities": ["color", "gray", "bitonal"],
        "extraFeatures": ["canonicalLinkHeader", "mirroring", "profileLinkHeader", "sizeUpscaling"],
    }
