"""Where a picture is new and where it stays what it was: masks, grown and softened.

As SinGAN's code does it for harmonisation and editing (Shaham et al., ICCV 2019): the mask is dilated by a
disk and blurred, and the result is a mean of both pictures by that weight.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_GROWTH", "Mask", "Weights", "as_mask"]

Values = npt.NDArray[np.float32]

_UNITS = 250
"""Pixels of the long side of SinGAN's pictures, in which its radii are told."""

_LONG_SIDE = 500
"""Pixels in which masks are softened: borders so soft lose nothing."""

_FULL = 0.8
"""Weight from which on a picture is new, altogether: of 7 and 5 the blurred mask is 0.92 where the marked
region ends, and a twelfth of what was pasted would be left as a ring."""

_DEVIATIONS = 3
"""Of a Gaussian, in which it ends: exactly, so that pixels beyond are untouched."""

MOST_GROWTH = 125.0
"""Pixels of SinGAN's pictures by which a mask may be grown or softened."""


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask, (height, width), of a picture that it is stretched to: nonzero where the picture becomes new.

    It grows by a disk of radius `grow`, and is blurred by a Gaussian of deviation `soften`, both in 1/250 of
    the picture's long side: SinGAN's pixels. What is farther away than `grow` and three times `soften` stays
    what it was, byte for byte.

    Raises TypeError or ValueError if it is none, or marks nothing.
    """

    pixels: npt.NDArray[Any]
    grow: float = 7.0
    soften: float = 5.0

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 2 or pixels.dtype.kind not in "bui" or not pixels.size:
            raise ValueError(
                "expected a mask of shape (height, width), of bool or integers, got "
                f"{pixels.dtype} {pixels.shape}"
            )
        if not pixels.any():
            raise ValueError("the mask marks nothing: expected nonzero where the picture is to become new")
        for name in ("grow", "soften"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not 0 <= value <= MOST_GROWTH:
                raise ValueError(f"expected {name} to be a number from 0 to {MOST_GROWTH:g}, got {value!r}")
        object.__setattr__(self, "pixels", pixels != 0)

    def weights(self, size: tuple[int, int]) -> "Weights":
        """How much of a picture of `size` (height, width) is new, and where."""
        factor = min(1.0, _LONG_SIDE / max(size))
        height, width = (max(1, round(side * factor)) for side in size)
        unit = max(height, width) / _UNITS
        marked = _grown(_stretched(self.pixels, height, width), self.grow * unit)
        return Weights(_blurred(marked, self.soften * unit))


def as_mask(mask: Mask | npt.ArrayLike | None) -> Mask | None:
    """As a Mask, unless it is one; raises as that does."""
    return mask if mask is None or isinstance(mask, Mask) else Mask(np.asarray(mask))


class Weights:
    """From 0, what was, to 1, what is new, for a picture of any size: linear between (h, w) `values`."""

    def __init__(self, values: Values) -> None:
        self._values = values
        rows, columns = np.flatnonzero(values.any(1)), np.flatnonzero(values.any(0))
        self._rows = int(rows[0]), int(rows[-1]) + 1
        self._columns = int(columns[0]), int(columns[-1]) + 1

    def span(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(y0, x0, y1, x1) in pixels of a picture of `size` (height, width), beyond which they are 0."""
        (y0, y1), (x0, x1) = (
            (
                max(0, math.floor((first - 0.5) * side / count)),
                min(side, math.ceil((last + 0.5) * side / count)),
            )
            for (first, last), side, count in zip(
                (self._rows, self._columns), size, self._values.shape, strict=True
            )
        )
        return y0, x0, y1, x1

    def part(self, size: tuple[int, int], y0: int, x0: int, y1: int, x1: int) -> Values:
        """Those of a part of a picture of `size` (height, width)."""
        top, bottom, down = _places(y0, y1, size[0], self._values.shape[0])
        left, right, across = _places(x0, x1, size[1], self._values.shape[1])
        rows = self._values[top] * (1 - down[:, None]) + self._values[bottom] * down[:, None]
        return np.asarray(rows[:, left] * (1 - across) + rows[:, right] * across, np.float32)


def _places(
    first: int, last: int, side: int, count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Values]:
    """The values before and behind every pixel, and how far it lies between them."""
    at = np.clip((np.arange(first, last) + 0.5) * count / side - 0.5, 0, count - 1)
    before = np.floor(at).astype(np.intp)
    return before, np.minimum(before + 1, count - 1), np.asarray(at - before, np.float32)


def _stretched(marked: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    """At another size: marked wherever some pixel is, so that nothing thin is lost."""
    for axis, new in enumerate((height, width)):
        old = marked.shape[axis]
        places = np.arange(new) * old // new
        marked = marked.take(places, axis) if old <= new else np.logical_or.reduceat(marked, places, axis)
    return np.asarray(marked)


def _grown(marked: npt.NDArray[np.bool_], radius: float) -> npt.NDArray[np.bool_]:
    """Dilated by a disk."""
    reach = math.floor(radius)
    height, width = marked.shape
    result = marked.copy()
    counts = np.zeros((height, width + 2 * reach + 1), np.int32)
    counts[:, reach + 1 :] = np.cumsum(np.pad(marked, ((0, 0), (0, reach))), 1)
    for dy in range(-reach, reach + 1):
        half = math.floor(math.sqrt(radius * radius - dy * dy))
        wide = (
            counts[:, reach + half + 1 : reach + half + 1 + width]
            > counts[:, reach - half : reach - half + width]
        )
        if abs(dy) < height:
            result[max(0, dy) : height + min(0, dy)] |= wide[max(0, -dy) : height - max(0, dy)]
    return np.asarray(result)


def _blurred(marked: npt.NDArray[np.bool_], deviation: float) -> Values:
    """By a Gaussian that ends, beyond the borders as at them; 1 from `_FULL` of the most on."""
    values = marked.astype(np.float32)
    reach = math.floor(_DEVIATIONS * deviation)
    if not reach:
        return values
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (reach, reach)
        padded = np.pad(values, padding, mode="edge")
        length = values.shape[axis]
        values = sum(
            np.float32(weight) * padded.take(range(i, i + length), axis) for i, weight in enumerate(weights)
        )
    most = np.float32(_FULL) * values.max()  # of what is smaller than the blur, less than 1
    return np.asarray(np.clip(values / most, 0, 1), np.float32)
