"""What is known of a tensor without running the network."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy.typing as npt

from .parsing import DTYPES

__all__ = ["MOST_NUMBERS", "Origin", "Place", "Value"]

MOST_NUMBERS = 64
"""Elements of a tensor whose numbers are followed: sizes, and where to cut."""


class Origin(Enum):
    """What a tensor is computed from."""

    WEIGHTS = "weights"
    SIZES = "sizes"
    CODE = "a code"  # which lies nowhere in a picture: it says the same of all of it
    PICTURE = "a picture"


@dataclass(frozen=True)
class Place:
    """Where a tensor of a network in tiles lies with respect to the whole picture it is computed from.

    It holds the rows from `top` and the columns from `left` on of that picture, enlarged `scale` times, and
    every pixel of it depends on inputs that are at most `radius` input pixels away.

    Where it was cut above or below, `inside` the picture, what is padded there is not what the picture has:
    the first and the last rows, as many as `spoilt` says, depend on that.
    """

    scale: int = 1
    top: int = 0
    left: int = 0
    radius: float = 0.0
    inside: tuple[bool, bool] = (False, False)
    spoilt: tuple[int, int] = (0, 0)

    def widened(self, above: int, below: int, factor: int = 1) -> tuple[int, int]:
        """The rows that are spoilt once each is `factor` of them, and so many more are made up at cuts."""
        first, last = (
            factor * rows + (more if cut else 0)
            for rows, more, cut in zip(self.spoilt, (above, below), self.inside, strict=True)
        )
        return first, last


@dataclass(frozen=True)
class Value:
    """A tensor: its type and shape, for given sizes of the inputs; `numbers` are its elements, where known.

    `place` is what pictures in upscalers have.
    """

    dtype: int
    shape: tuple[int, ...]
    origin: Origin
    numbers: npt.NDArray[Any] | None = None
    place: Place | None = None

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """In memory."""
        return self.size * DTYPES[self.dtype].itemsize

    def __str__(self) -> str:
        return f"{DTYPES[self.dtype]} {self.shape}"
