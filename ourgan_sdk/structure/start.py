"""Pictures that structures start from, in place of noise alone: a painting, a paste, the photograph itself.

SinGAN (Shaham, Dekel, Michaeli, ICCV 2019, section 4) feeds a picture into a scale of its pyramid: what is
coarser than that scale is the picture's, what is finer is learned from the photograph. Here any kind of
structure can do so.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._core import normal
from ..arrays import Picture, Tensor

__all__ = ["StartPicture", "cells_of", "moved", "random_steps"]

_CELL = 8
"""Pixels between places that move on their own."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StartPicture:
    """A picture, uint8 (height, width, 3), that the scales of a structure from `scale` on are made of.

    Scales are counted from the coarsest, 0; `scale` is at least 1. The picture is stretched to the
    structure's size and reduced to the scale below `scale`. With as many as the structure has, the picture
    itself, reduced, is the structure.
    """

    pixels: Picture
    scale: int


def cells_of(size: tuple[int, int]) -> tuple[int, int]:
    """How many places, down and across, of a picture of `size` (height, width) move on their own."""
    height, width = size
    return -(-height // _CELL) + 1, -(-width // _CELL) + 1


def random_steps(size: tuple[int, int], seed: int) -> Tensor:
    """Of every such place, down and right, of deviation 1: float32 (2, rows, columns)."""
    return normal(2, *cells_of(size), seed, 0)


def moved(picture: Picture, steps: Tensor, by: float) -> Picture:
    """`picture`, uint8 (h, w, 3), whose parts have moved by `steps`, times `by`, in pixels.

    Of noise alone, patches make the picture again that they are of: they say what is likely.
    """
    height, width = picture.shape[:2]
    y, x = (np.arange(length, dtype=np.float64) for length in (height, width))
    places = _smooth(_smooth(by * steps.astype(np.float64), y / _CELL, 1), x / _CELL, 2)
    rows, columns = places[0] + y[:, np.newaxis], places[1] + x
    return _sampled(picture, np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))


def _smooth(values: Values, at: Values, axis: int) -> Values:
    """`values` between places of one axis, and no corners at them."""
    before = at.astype(np.intp)
    shape = [1, 1, 1]
    shape[axis] = len(at)
    share = (at - before).reshape(shape)
    share = share * share * (3 - 2 * share)
    return np.asarray(values.take(before, axis) * (1 - share) + values.take(before + 1, axis) * share)


def _sampled(picture: Picture, y: Values, x: Values) -> Picture:
    """Linear between pixels."""
    top, left = y.astype(np.intp), x.astype(np.intp)
    bottom, right = np.minimum(top + 1, picture.shape[0] - 1), np.minimum(left + 1, picture.shape[1] - 1)
    down, across = (y - top)[..., np.newaxis], (x - left)[..., np.newaxis]
    upper = picture[top, left] * (1 - across) + picture[top, right] * across
    lower = picture[bottom, left] * (1 - across) + picture[bottom, right] * across
    return np.asarray(np.rint(upper * (1 - down) + lower * down), np.uint8)
