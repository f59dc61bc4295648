"""GPNN: pictures put together from one photograph's patches, level by level, without training.

Granot, Feinstein, Shocher, Bagon, Irani, "Drop the GAN: in defense of patches nearest neighbors as single
image generative models" (CVPR 2022), written anew from its formulas, as something to compare structures with.
Every level of a pyramid, coarsest first, replaces each patch of the picture so far (the *query*) with a sharp
patch of the photograph (a *value*), namely the one whose blurred counterpart (its *key*: the coarser level,
enlarged) has the least score

    d(query, key) / (alpha + least d(any query, key)),

d being the mean squared difference of values in [0, 1]. The smaller alpha, the more a key counts that nothing
in the picture is near to yet: that makes pictures complete. Where patches overlap they are averaged. The
start is the coarsest level with noise; there keys are sharp as well.

Where there was a choice:

* alpha is 0.005, the paper's value for complete pictures, at all levels. The authors' own program draws new
  pictures with an infinite one by default (``alpha=math.inf``): the nearest key, whatever is missing.
* The short side of the coarsest level is exactly 14 pixels, and the ratio of levels as near to 4/3 as a whole
  number of them allows. Their program takes nine levels, which gives 14 to its photographs of 180 pixels.
* Overlapping patches count alike, while their program weights them by the distance from a patch's centre.
* Noise of 0.75 is in units of values in [0, 1], as in their program. A patch of 147 values shows through
  it, and so does the photograph's layout: of some photographs pictures are copies. ``from_photo=False``
  starts with the mean colour in place of the coarsest level, so nothing tells what is above or below.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.metrics.nearest_patches import PATCH, patches_of
from trainers.photo import reduce

ALPHA = 0.005
RATIO = 4 / 3
COARSEST = 14  # pixels of the short side
NOISE = 0.75
ROUNDS = 10  # of every level but the coarsest, which has one


def generate(photo: Tensor, seed: int, alpha: float = ALPHA, *, from_photo: bool = True) -> Tensor:
    """A picture as large as ``photo``, both (3, H, W) float32 in [0, 1].

    The matrix of distances takes 4 bytes times the square of the number of pixels: 0.4 GB at 128 x 85.

    Raises:
        ValueError: the photograph's short side has fewer than 14 pixels.
    """
    *_, picture = rounds(photo, seed, alpha, from_photo=from_photo)
    return picture


def rounds(photo: Tensor, seed: int, alpha: float = ALPHA, *, from_photo: bool = True) -> Iterator[Tensor]:
    """The picture after every round, coarsest level first; the last one is as large as ``photo``.

    Raises:
        ValueError: the photograph's short side has fewer than 14 pixels.
    """
    generator = torch.Generator().manual_seed(seed)
    coarser, *levels = pyramid(photo)
    start = coarser if from_photo else coarser.mean((1, 2), keepdim=True)
    picture = start + NOISE * torch.randn(coarser.shape, generator=generator)
    picture = replace_patches(picture, coarser, coarser, alpha)
    yield picture
    for values in levels:
        picture, keys = (resize(one, values) for one in (picture, coarser))
        for _ in range(ROUNDS):
            picture = replace_patches(picture, keys, values, alpha)
            yield picture
        coarser = values


def pyramid(photo: Tensor) -> list[Tensor]:
    """The photograph at every level, coarsest first; raises ValueError where it is below 14 pixels."""
    height, width = photo.shape[1:]
    short = min(height, width)
    if short < COARSEST:
        raise ValueError(f"expected a short side of at least {COARSEST} pixels, got {width} x {height}")
    count = max(1, round(math.log(short / COARSEST, RATIO)))
    scales = [(COARSEST / short) ** (i / count) for i in range(count, 0, -1)]
    sizes = [(round(height * scale), round(width * scale)) for scale in scales]
    return [*(reduce(photo[None], *size)[0] for size in sizes), photo]


def resize(picture: Tensor, like: Tensor) -> Tensor:
    """``picture`` (3, h, w), as large as ``like``."""
    return reduce(picture[None], *like.shape[1:])[0]


def replace_patches(picture: Tensor, keys: Tensor, values: Tensor, alpha: float) -> Tensor:
    """One round: every patch of ``picture`` replaced with that of ``values`` whose key has the least score.

    ``keys`` and ``values`` are of one size, which may be another than the picture's.
    """
    distances = mean_squares(patches_of(picture), patches_of(keys))
    if alpha < math.inf:
        distances /= alpha + distances.amin(0)
    return vote(patches_of(values)[distances.argmin(1)], *picture.shape[1:])


def mean_squares(queries: Tensor, keys: Tensor) -> Tensor:
    """The mean squared difference of every query (Q, D) to every key (K, D): (Q, K)."""
    mean = keys.mean(0)  # without it the distances' differences drown in rounding
    queries, keys = queries - mean, keys - mean
    sums = queries.square().sum(1)[:, None] + keys.square().sum(1)
    return sums.addmm_(queries, keys.T, alpha=-2).clamp_min_(0).div_(queries.shape[1])


def vote(patches: Tensor, height: int, width: int) -> Tensor:
    """The picture (3, height, width) whose every pixel is the mean of the patches (n, 147) over it."""
    columns = patches.T[None]
    sums, counts = (F.fold(one, (height, width), PATCH) for one in (columns, torch.ones_like(columns)))
    return (sums / counts)[0]
