"""Sizes of pictures: reading them, checking them, and the sizes of the passes that lead to them."""

import math
import operator
import re
from fractions import Fraction
from typing import SupportsIndex

import numpy as np

from .errors import SizeError

__all__ = [
    "LARGEST_SIDE",
    "check_bytes",
    "check_integer",
    "check_number",
    "check_size",
    "parse_bytes",
    "parse_size",
    "patches_size",
    "picture_sizes",
]

LARGEST_SIDE = (1 << 31) - 1

_PATCHES_SIDE = 104
"""Pixels: the side of a square as large as a structure of patches that shows one photograph, of 128 x 85 for
3 : 2. Layout is settled by then; above, patches are searched for detail."""

_NAMED = {"4k": (3840, 2160), "8k": (7680, 4320), "16k": (15360, 8640)}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of `7680x4320`, `4k`, `8k` or `16k`; raises SizeError for anything else."""
    named = _NAMED.get(text.strip().lower())
    if named is not None:
        return named
    match = re.fullmatch(r"([+-]?\d{1,20})\s*[xX]\s*([+-]?\d{1,20})", text.strip())
    if match is None:
        raise SizeError(f"expected a size as WIDTHxHEIGHT or one of {', '.join(_NAMED)}, got {text!r}")
    return check_size(int(match[1]), int(match[2]))


def check_size(width: SupportsIndex, height: SupportsIndex) -> tuple[int, int]:
    """The two as plain ints from 1 to 2^31 - 1; raises SizeError if either is not one."""
    try:
        return check_integer("width", width, LARGEST_SIDE), check_integer("height", height, LARGEST_SIDE)
    except (TypeError, ValueError) as error:
        raise SizeError(str(error)) from None


def check_integer(name: str, value: SupportsIndex, largest: int) -> int:
    """`value` as a plain int; raises TypeError if it is none (or a bool), ValueError outside 1..`largest`."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"expected {name} to be an integer, got {value!r}")
    number = operator.index(value)
    if not 1 <= number <= largest:
        raise ValueError(f"expected {name} to be from 1 to {largest}, got {number}")
    return number


def parse_bytes(text: str) -> int:
    """The number of bytes of `512MiB`, `1.5G` or `1048576`; units are powers of 1024. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise ValueError(f"expected an amount of memory such as 512MiB or 2G, got {text!r}")
    return int(Fraction(match[1]) * _UNITS[match[2]])


def check_number(name: str, value: float, least: float, most: float) -> float:
    """`value` as a plain float; raises TypeError if it is no number, ValueError outside `least`..`most`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"expected {name} to be a number, got {value!r}")
    if not least <= value <= most:
        raise ValueError(f"expected {name} to be from {least:g} to {most:g}, got {value!r}")
    return float(value)


def check_bytes(name: str, value: SupportsIndex | str, largest: int) -> int:
    """A number of bytes, or a text that `parse_bytes` reads, as a plain int; raises as `check_integer`."""
    return check_integer(name, parse_bytes(value) if isinstance(value, str) else value, largest)


def picture_sizes(height: int, width: int, trained_height: int, trained_width: int) -> list[tuple[int, int]]:
    """(height, width) of the base picture and of what every pass makes of it, largest last.

    There are as many passes as bring the base, ceil(height / 4^k) x ceil(width / 4^k), closest in ratio of
    area to the size that the structure network was trained at; of two equally close ones the larger base is
    taken. The last picture covers height x width and is less than 4^k larger; the surplus is cut off.
    """
    trained = trained_height * trained_width

    def distance(passes: int) -> Fraction:
        area = _shrunk(height, passes) * _shrunk(width, passes)
        return max(Fraction(area, trained), Fraction(trained, area))

    enough = max(height, width).bit_length() // 2 + 2  # a base of 1 x 1 and one more
    passes = min(range(enough), key=distance)  # the first of equals, which has the larger base
    base_height, base_width = _shrunk(height, passes), _shrunk(width, passes)
    return [(base_height << 2 * k, base_width << 2 * k) for k in range(passes + 1)]


def patches_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of a structure of patches that shows one photograph of that size, or its own."""
    factor = min(1.0, _PATCHES_SIDE / math.sqrt(height * width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _shrunk(side: int, passes: int) -> int:
    """`side` / 4^passes, rounded up."""
    return -(-side >> 2 * passes)
