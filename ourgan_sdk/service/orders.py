"""What a client may ask a render to be, checked."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .._core import Box
from ..sizes import LARGEST_SIDE
from .errors import BadRequestError, UnprocessableError
from .identifiers import Identifier, parse_identifier
from .settings import Settings

__all__ = ["LARGEST_BODY", "Order", "parse_order"]

LARGEST_BODY = 1 << 16
"""Bytes of a request that asks for a render."""

_DEEP = ("png", "tif", "zarr", "npy")
"""Formats of 16 bits."""

_REDUCED = ("tif", "dzi", "zarr")
"""Formats that hold the picture at several sizes, or can."""

_Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
_Place = Annotated[int, Field(ge=0, le=LARGEST_SIDE)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    canvas: Annotated[str, Field(max_length=500)]
    region: tuple[_Place, _Place, _Side, _Side] | None = None
    width: _Side | None = None
    height: _Side | None = None
    format: Literal["png", "tif", "jpg", "webp", "dzi", "zarr", "npy"] = "png"
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    dpi: Annotated[float, Field(ge=1, le=65535)] | None = None
    bits: Literal[8, 16] = 8
    pyramid: bool = False
    timeout: Annotated[float, Field(gt=0, le=1e9)] | None = None


@dataclass(frozen=True)
class Order:
    """A part `box` of a canvas that was resized to `size` (width, height), as a file."""

    identifier: Identifier
    size: tuple[int, int]
    box: Box
    format: str
    quality: int
    dpi: float | None
    bits: int
    pyramid: bool
    timeout: float | None

    @property
    def pixels(self) -> int:
        """That the file has."""
        return self.box.width * self.box.height

    @property
    def bytes(self) -> int:
        """Of disk that it takes at most, about: as if nothing could be compressed."""
        raw = self.pixels * 3 * self.bits // 8
        return (raw * 4 // 3 if self.format in _REDUCED else raw) + (1 << 20)

    @property
    def name(self) -> str:
        """The file's: whose picture, which seed, how large."""
        one = self.identifier
        part = "" if (self.box.width, self.box.height) == self.size else f"-at-{self.box.x0}-{self.box.y0}"
        return f"{one.source}-{one.seed}-{self.box.width}x{self.box.height}{part}.{self.format}"


def parse_order(body: bytes, settings: Settings) -> Order:
    """What `body`, JSON, asks for.

    Raises BadRequestError for what is no JSON, UnprocessableError for what is not allowed.
    """
    try:
        asked = _Body.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "json_invalid":
            raise BadRequestError(f"expected JSON: {problem['msg']}") from None
        raise UnprocessableError(f"{where or 'the body'}: {problem['msg']}") from None
    identifier = parse_identifier(asked.canvas)
    if asked.bits == 16 and asked.format not in _DEEP:
        raise UnprocessableError(f"{asked.format} has 8 bits per channel; 16 have {', '.join(_DEEP)}")
    size, box = _geometry(asked, identifier)
    order = Order(
        identifier,
        size,
        box,
        asked.format,
        asked.quality,
        asked.dpi,
        asked.bits,
        asked.pyramid,
        asked.timeout,
    )
    if order.pixels > settings.max_pixels:
        raise UnprocessableError(
            f"a render has at most {settings.max_pixels} pixels here, "
            f"{box.width} x {box.height} are asked for"
        )
    if order.bytes > settings.disk:
        raise UnprocessableError(f"a render's file has at most {settings.disk} bytes here: ask for less")
    return order


def _geometry(asked: _Body, identifier: Identifier) -> tuple[tuple[int, int], Box]:
    """The size (width, height) of the whole canvas at which a part of it, the box, is what is asked for."""
    whole = (identifier.width, identifier.height)
    x, y, w, h = asked.region or (0, 0, *whole)
    if x + w > whole[0] or y + h > whole[1]:
        raise UnprocessableError(
            f"region: expected x, y, width, height within {whole[0]} x {whole[1]}, got {[x, y, w, h]}"
        )
    width, height = asked.width, asked.height
    if width is None and height is None:
        width, height = w, h
    elif width is None and height is not None:
        width = max(1, _rounded(Fraction(w * height, h)))
    elif height is None and width is not None:
        height = max(1, _rounded(Fraction(h * width, w)))
    assert width is not None and height is not None  # noqa: S101, PT018 - mypy cannot tell
    factors = Fraction(width, w), Fraction(height, h)
    if abs(height - h * factors[0]) > 1 and abs(width - w * factors[1]) > 1:
        raise UnprocessableError(
            f"width, height: {width} x {height} has not the shape of the region, {w} x {h}; give one of them"
        )
    # The side that is longer tells the scale more exactly.
    factor = factors[0] if w >= h else factors[1]
    size = (
        whole[0] if factor == 1 else max(_rounded(whole[0] * factor), width),
        whole[1] if factor == 1 else max(_rounded(whole[1] * factor), height),
    )
    if (w, h) == whole:
        size = (width, height)
    if max(size) > LARGEST_SIDE:
        raise UnprocessableError(
            f"the canvas would have {size[0]} x {size[1]} pixels, sides end at {LARGEST_SIDE}"
        )
    x0 = min(_rounded(x * factor), size[0] - width)
    y0 = min(_rounded(y * factor), size[1] - height)
    return size, Box(y0, x0, y0 + height, x0 + width)


def _rounded(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))
