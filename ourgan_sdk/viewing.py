"""Parts of a picture at any size: of which level they are made, and how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._core import Box
from .arrays import Picture
from .resizing import Resizer, Taps, resizer_bytes

__all__ = ["View", "check_proportions", "plan_view"]

_DISTORTION = 8
"""How many times as much as one side the other may be reduced: all that is read has to be made, and held."""

Size = tuple[int, int]


@dataclass(frozen=True)
class View:
    """Pixels of `level`, a picture of `shape` (height, width), that make a picture of `size`.

    One of the result is as large as `scale` of the level's along y and x, and they begin `origin` of those
    behind the borders.
    """

    level: int
    shape: Size
    size: Size
    scale: tuple[float, float]
    origin: tuple[float, float]

    @property
    def is_whole(self) -> bool:
        """Whether the level's pixels are the result's."""
        return self.scale == (1.0, 1.0) and all(place.is_integer() for place in self.origin)

    @property
    def bytes(self) -> int:
        """About what resizing takes."""
        if self.is_whole:
            return 0
        given = min(self.shape[1], int(self.size[1] * self.scale[1]) + 1)
        return resizer_bytes(given, self.size[1], self.scale[0])

    def begin(
        self, write: Callable[[Picture], None], dtype: np.dtype[Any]
    ) -> tuple[Box, Callable[[Picture], None]]:
        """The part of the level to read, and what takes its bands and hands those of the view to `write`."""
        if self.is_whole:
            y0, x0 = (int(place) for place in self.origin)
            return Box(y0, x0, y0 + self.size[0], x0 + self.size[1]), write
        down, across = (
            Taps(0, count, side, scale, origin)
            for count, side, scale, origin in zip(self.size, self.shape, self.scale, self.origin, strict=True)
        )
        resizer = Resizer(down, across, write, dtype)
        return resizer.source, resizer.write


def plan_view(shapes: Sequence[Size], downsamples: Sequence[int], box: Box, size: Size) -> View:
    """A view of `size` (height, width) of `box`, in pixels of the finest of levels of those (height, width).

    It is made of the coarsest level that has as many pixels along both axes; enlarged, of the finest. Where
    the box lies on the grid of a power of two, or ends at a border, and has `size` in its pixels, the view is
    a part of one and the same picture for all such boxes. A narrow box, of which one side is left a few
    pixels and the other is reduced more, is made of a level that has an eighth of those for the other.

    Raises ValueError as `check_proportions`.
    """
    check_proportions(box, size)
    power = _power_of_two(box, shapes[0], size)
    steps = (box.height / size[0], box.width / size[1]) if power is None else (float(power), float(power))
    most = max(min(steps), max(steps) / _DISTORTION)
    level = max(index for index, one in enumerate(downsamples) if index == 0 or one <= most)
    downsample = downsamples[level]
    return View(
        level,
        shapes[level],
        size,
        (steps[0] / downsample, steps[1] / downsample),
        (box.y0 / downsample, box.x0 / downsample),
    )


def check_proportions(box: Box, size: Size) -> None:
    """Raise ValueError if a view of `size` (height, width) of `box` is too distorted.

    The less reduced side may always keep eight, as a narrow box's own proportions may leave it less than one.
    """
    sides = box.height, box.width
    for one, other in ((0, 1), (1, 0)):
        own = -(-sides[one] * size[other] // sides[other])
        if min(size[one], sides[one]) > _DISTORTION * own:
            raise ValueError(
                f"a view of {box.width} x {box.height} pixels at {size[1]} x {size[0]} reduces one side more "
                f"than {_DISTORTION} times as much as the other: view it at its own proportions, and "
                "resize that"
            )


def _power_of_two(box: Box, shape: Size, size: Size) -> int | None:
    """How many pixels per side one of the view stands for, if the box lies on the grid of such; else None.

    Of a box that makes a single pixel of every larger grid, too, the smallest.
    """
    least = max(-(-box.height // size[0]), -(-box.width // size[1]))
    power = 1 << (least - 1).bit_length()
    fits = (
        box.y0 % power == 0
        and box.x0 % power == 0
        and (box.y1 % power == 0 or box.y1 == shape[0])
        and (box.x1 % power == 0 or box.x1 == shape[1])
        and size == (-(-box.height // power), -(-box.width // power))
    )
    return power if fits else None
