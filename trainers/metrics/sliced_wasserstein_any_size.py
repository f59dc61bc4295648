"""The sliced Wasserstein distance of ``sliced_wasserstein``, between pictures of any two sizes at one scale.

The same descriptors (patches of 7 x 7 from Laplacian levels, normalised by the photograph's statistics), the
same projections and unit; level 0 is the picture's own pixels. Different are

* where patches are taken: at the same relative places in both pictures (points of a low-discrepancy sequence,
  Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018, moved by the seed). So both are
  covered evenly, rows stand against rows of the same relative height, and the photograph itself is at 0.
* memory: the Laplacian of a patch is computed where the patch is, from a Gaussian pyramid whose level 0 is
  the 8-bit picture and whose other levels are floats; 35 megapixels take some 250 MB.

A distance of pictures whose composition differs holds that difference too: the photograph's mirror image,
measured in the same way, says what distances mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .octaves import Pixels
from .sliced_wasserstein import DIRECTIONS, LEAST_DEVIATION, PATCH, SMALLEST_SIDE, TAPS, UNIT

PATCHES = 16384  # per level, at most
BAND_ROWS = 256  # of level 1 that are computed at once
STRIDES = (0.7548776662466927, 0.5698402909980532)  # 1/p, 1/p^2 of the plastic number p = 1.3247...
SUPPORT = 6  # pixels per side of the next level that a patch's Laplacian depends on


@dataclass(frozen=True)
class Pyramid:
    """A Gaussian pyramid: the picture, (H, W, 3) uint8, and its halvings, (3, h, w) float32 in [0, 1]."""

    picture: Pixels
    halvings: list[Tensor]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(height, width) of every level, finest first."""
        return [
            (self.picture.shape[0], self.picture.shape[1]),
            *((level.shape[1], level.shape[2]) for level in self.halvings),
        ]


class SlicedWassersteinAnySize:
    """Distance of pictures to one photograph of their scale, fixed by ``seed``.

    Raises:
        ValueError: the photograph is smaller than one patch.
    """

    def __init__(self, photograph: Pyramid, seed: int = 0) -> None:
        if min(photograph.shapes[0]) < PATCH:
            height, width = photograph.shapes[0]
            raise ValueError(f"expected at least {PATCH} x {PATCH} pixels, got {width} x {height}")
        generator = torch.Generator().manual_seed(seed)
        self.directions = F.normalize(torch.randn(3 * PATCH**2, DIRECTIONS, generator=generator), dim=0)
        self.shift = torch.rand(2, dtype=torch.float64, generator=generator)
        self.counts = [min(PATCHES, (h - PATCH + 1) * (w - PATCH + 1)) for h, w in photograph.shapes]
        patches = self._patches(photograph)
        self.means = [level.mean((0, 2, 3), keepdim=True) for level in patches]
        self.deviations = [level.std((0, 2, 3), keepdim=True).clamp_min(LEAST_DEVIATION) for level in patches]
        self.projections = self._project(patches)

    def __call__(self, picture: Pyramid) -> list[float]:
        """The distance per level, finest first, x 1000, for as many levels as the photograph has.

        Raises:
            ValueError: the picture has fewer levels than the photograph: it is much smaller.
        """
        if len(picture.shapes) < len(self.counts):
            height, width = picture.shapes[0]
            raise ValueError(f"a picture of {width} x {height} is too small for this photograph")
        pairs = zip(self.projections, self._project(self._patches(picture)), strict=True)
        return [UNIT * float(np.abs(ours - theirs).mean()) for ours, theirs in pairs]

    def _patches(self, pyramid: Pyramid) -> list[Tensor]:
        """Per level (n, 3, 7, 7); the last of the photograph's levels is its Gaussian one."""
        last = len(self.counts) - 1
        result = []
        for level, count in enumerate(self.counts):
            index = torch.arange(1, count + 1, dtype=torch.float64)
            y, x = (
                ((shift + index * stride) % 1 * (side - PATCH + 1)).long()
                for side, shift, stride in zip(pyramid.shapes[level], self.shift, STRIDES, strict=True)
            )
            result.append(laplacian_patches(pyramid, level, y, x, residual=level == last))
        return result

    def _project(self, patches: Sequence[Tensor]) -> list[npt.NDArray[np.float32]]:
        """Per level the projections (DIRECTIONS, patches), sorted."""
        return [
            np.sort((self.directions.T @ ((level - mean) / deviation).flatten(1).T).numpy(), axis=1)
            for level, mean, deviation in zip(patches, self.means, self.deviations, strict=True)
        ]


def gaussian_pyramid(picture: Pixels) -> Pyramid:
    """``picture`` (H, W, 3) and its halvings, as ``sliced_wasserstein.laplacian_pyramid`` makes them."""
    halvings: list[Tensor] = []
    for _ in range(level_count(*picture.shape[:2]) - 1):
        halvings.append(_halve_columns(_halve_rows(halvings[-1])) if halvings else _first_halving(picture))
    return Pyramid(picture, halvings)


def level_count(height: int, width: int) -> int:
    """How many levels the pyramid of a picture of this size has."""
    side, count = (min(height, width) + 1) // 2, 1
    while side >= SMALLEST_SIDE:
        side, count = (side + 1) // 2, count + 1
    return count


def laplacian_patches(pyramid: Pyramid, level: int, y: Tensor, x: Tensor, *, residual: bool) -> Tensor:
    """Patches (n, 3, 7, 7) of a Laplacian level with their first pixels at ``y``, ``x`` (n,).

    ``residual``: of the Gaussian level instead, as of the coarsest one.
    """
    steps = torch.arange(PATCH)
    patches = _crops(pyramid, level, y[:, None] + steps, x[:, None] + steps)
    if residual:
        return patches
    height, width = pyramid.shapes[level]
    coarse_height, coarse_width = pyramid.shapes[level + 1]
    steps = torch.arange(SUPPORT) - 1
    rows = _beyond(y[:, None] // 2 + steps, coarse_height, height)
    columns = _beyond(x[:, None] // 2 + steps, coarse_width, width)
    coarse = _crops(pyramid, level + 1, rows, columns)
    kernels = torch.stack([_enlargement(0), _enlargement(1)])
    return patches - kernels[y % 2][:, None] @ coarse @ kernels[x % 2][:, None].transpose(2, 3)


def _crops(pyramid: Pyramid, level: int, rows: Tensor, columns: Tensor) -> Tensor:
    """(n, 3, a, b) float32 of a Gaussian level, at ``rows`` (n, a) and ``columns`` (n, b)."""
    if level:
        return pyramid.halvings[level - 1][:, rows[:, :, None], columns[:, None, :]].transpose(0, 1)
    crops = pyramid.picture[rows.numpy()[:, :, None], columns.numpy()[:, None, :]]
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255


def _beyond(index: Tensor, length: int, fine_length: int) -> Tensor:
    """Indices into a level of ``length``, mirrored as the finer one, of ``fine_length``, is at its ends."""
    last = length - 1
    mirrored = torch.where(index < 0, -index, index)
    return torch.where(mirrored > last, 2 * last + 1 - fine_length % 2 - mirrored, mirrored)


def _enlargement(odd: int) -> Tensor:
    """(7, 6): seven pixels of the finer level, from an even or ``odd`` one on, out of six of the coarser."""
    matrix = torch.zeros(PATCH, SUPPORT)
    for row in range(PATCH):
        half, is_odd = divmod(row + odd, 2)
        if is_odd:
            matrix[row, half + 1 : half + 3] = torch.tensor([2 * TAPS[1], 2 * TAPS[3]])
        else:
            matrix[row, half : half + 3] = torch.tensor([2 * TAPS[0], 2 * TAPS[2], 2 * TAPS[4]])
    return matrix


def _first_halving(picture: Pixels) -> Tensor:
    height, width = picture.shape[:2]
    result = torch.empty(3, (height + 1) // 2, (width + 1) // 2)
    for top in range(0, result.shape[1], BAND_ROWS):
        bottom = min(top + BAND_ROWS, result.shape[1])
        index = np.abs(np.arange(2 * top - 2, 2 * bottom + 1))  # mirrored above ...
        index = np.where(index >= height, 2 * (height - 1) - index, index)  # ... and below
        band = torch.from_numpy(picture[index]).float().div_(255).flatten(1)
        halved = _weighted(band, bottom - top, 0).view(bottom - top, width, 3).permute(2, 0, 1)
        result[:, top:bottom] = _halve_columns(halved)
    return result


def _halve_rows(level: Tensor) -> Tensor:
    padded = F.pad(level[None], (0, 0, 2, 2), mode="reflect")[0]
    return _weighted(padded, (level.shape[1] + 1) // 2, 1)


def _halve_columns(level: Tensor) -> Tensor:
    padded = F.pad(level[None], (2, 2, 0, 0), mode="reflect")[0]
    return _weighted(padded, (level.shape[2] + 1) // 2, 2)


def _weighted(padded: Tensor, count: int, axis: int) -> Tensor:
    """``count`` weighted means of five neighbours along an axis, of which every other is taken."""
    index = [slice(None)] * padded.ndim

    def shifted(i: int) -> Tensor:
        index[axis] = slice(i, i + 2 * count - 1, 2)
        return padded[tuple(index)]

    result = TAPS[0] * shifted(0)
    for i, tap in enumerate(TAPS[1:], 1):
        result.add_(shifted(i), alpha=tap)
    return result
