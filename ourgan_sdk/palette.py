"""A picture in another one's few main colours, as SinGAN's paint-to-image prepares clip art.

The photograph's colours are found by k-means (Lloyd 1982), and every pixel of the painting takes the nearest
of them: so a painting in any colours asks for what the photograph has.
"""

import numpy as np
import numpy.typing as npt

from ._core import resample
from .arrays import Picture

__all__ = ["MOST_COLORS", "in_colors_of"]

MOST_COLORS = 64

_SIDE = 64
"""Pixels of the sides of what colours are found in."""

_ROUNDS = 20

Colors = npt.NDArray[np.float64]


def in_colors_of(painting: Picture, photograph: Picture, count: int) -> Picture:
    """`painting`, uint8 (h, w, 3), of which every pixel is one of `count` main colours of `photograph`.

    The painting's own main colours go to those that are nearest to them once both have the same mean and
    spread: a painting's sky becomes the photograph's, even where it is of another blue.
    """
    theirs, ours = main_colors(photograph, count), main_colors(painting, count)
    nearest = _nearest(_standard(ours), _standard(theirs))
    flat = painting.reshape(-1, 3)
    result = np.empty_like(flat)
    for first in range(0, len(flat), 1 << 16):
        part = flat[first : first + (1 << 16)].astype(np.float64)
        result[first : first + (1 << 16)] = np.rint(theirs[nearest[_nearest(part, ours)]])
    return result.reshape(painting.shape)


def main_colors(picture: Picture, count: int) -> Colors:
    """(count, 3), the centres of k-means; the same ones whenever it is asked."""
    height, width = (min(_SIDE, side) for side in picture.shape[:2])
    pixels = resample(picture, height, width).reshape(-1, 3).astype(np.float64)
    centres = _farthest(pixels, count)
    for _ in range(_ROUNDS):
        nearest = _nearest(pixels, centres)
        for index in range(len(centres)):
            members = pixels[nearest == index]
            if len(members):
                centres[index] = members.mean(0)
    return centres


def _farthest(pixels: Colors, count: int) -> Colors:
    """The mean's farthest pixel, then always the one that is farthest from all before."""
    chosen = [pixels[((pixels - pixels.mean(0)) ** 2).sum(1).argmax()]]
    distance = np.full(len(pixels), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, ((pixels - chosen[-1]) ** 2).sum(1))
        chosen.append(pixels[distance.argmax()])
    return np.stack(chosen)


def _nearest(pixels: Colors, centres: Colors) -> npt.NDArray[np.intp]:
    return np.asarray(((pixels[:, np.newaxis] - centres) ** 2).sum(2).argmin(1))


def _standard(colors: Colors) -> Colors:
    """Of mean 0 and deviation 1 in every channel."""
    return np.asarray((colors - colors.mean(0)) / (colors.std(0) + 1))
