"""Sliced Wasserstein distance between the patches of two pictures, on a Laplacian pyramid.

Karras, Aila, Laine, Lehtinen, "Progressive growing of GANs" (ICLR 2018), section 5: patches of 7 x 7 pixels
from every level of the Laplacian pyramids, normalised per colour channel, projected onto random directions;
per direction the distance between the sorted projections, which is the 1-Wasserstein distance in one
dimension (Rabin et al., "Wasserstein barycenter and its application to texture mixing", 2011).

Two things differ, because there is one photograph and not a data set:

* Thousands of patches are taken of each picture instead of 128, at the same random positions in both.
* Both pictures are normalised by the photograph's statistics. With its own, a picture that is too flat, too
  dark or of another tint would be made like the photograph before it is compared.

Which patches and directions are drawn changes the mean of the levels by some 2 % of it (four seeds, a 1K
sample of a canyon); what samples of one bundle differ by is several times as much, so tens are averaged.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .filters import convolve

PATCH = 7
SMALLEST_SIDE = 16  # pixels, of the coarsest level (Karras et al.)
DESCRIPTORS = 8192  # patches per level
DIRECTIONS = 128
UNIT = 1e3  # in which distances are published
TAPS = [tap / 16 for tap in (1, 4, 6, 4, 1)]
LEAST_DEVIATION = 1e-3  # a quarter of an 8-bit level: below it a channel counts as constant


class SlicedWasserstein:
    """Distance of pictures to one photograph; fixed by ``seed``, so that numbers can be compared.

    Raises:
        ValueError: the photograph is smaller than one patch.
    """

    def __init__(self, photo: Tensor, seed: int = 0) -> None:
        """``photo``: (3, H, W) float32 in [0, 1]."""
        if min(photo.shape[1:]) < PATCH:
            raise ValueError(f"expected at least {PATCH} x {PATCH} pixels, got {_size(photo)}")
        generator = torch.Generator().manual_seed(seed)
        directions = F.normalize(torch.randn(3 * PATCH**2, DIRECTIONS, generator=generator), dim=0)
        self.directions = directions.to(photo.device)
        self.size = photo.shape
        self.levels = [_Level(level, generator) for level in laplacian_pyramid(photo)]
        self.projections = self._project(photo)

    def __call__(self, picture: Tensor) -> list[float]:
        """The distance per level, finest first, x 1000; ``picture``: (3, H, W) of the photograph's size.

        Raises:
            ValueError: the picture is of another size.
        """
        if picture.shape != self.size:
            raise ValueError(f"expected the photograph's size {tuple(self.size)}, got {tuple(picture.shape)}")
        pairs = zip(self.projections, self._project(picture), strict=True)
        return [UNIT * float(np.abs(ours - theirs).mean()) for ours, theirs in pairs]

    def _project(self, picture: Tensor) -> list[npt.NDArray[np.float32]]:
        """Per level the projections (DIRECTIONS, patches), sorted (by NumPy: 4 x as fast as torch)."""
        pyramid = laplacian_pyramid(picture)
        return [
            np.sort((self.directions.T @ level.descriptors(band).T).cpu().numpy(), axis=1)
            for level, band in zip(self.levels, pyramid, strict=True)
        ]


class _Level:
    """Which patches are taken of one level, and how they are normalised."""

    def __init__(self, photo: Tensor, generator: torch.Generator) -> None:
        height, width = (n - PATCH + 1 for n in photo.shape[1:])
        corners = torch.randperm(height * width, generator=generator)[:DESCRIPTORS]
        y, x = corners // width, corners % width
        steps = torch.arange(PATCH)
        self.rows = (y[:, None] + steps)[:, :, None].to(photo.device)  # (patches, 7, 1)
        self.columns = (x[:, None] + steps)[:, None, :].to(photo.device)  # (patches, 1, 7)
        patches = self._patches(photo)
        self.mean = patches.mean((1, 2, 3), keepdim=True)
        self.deviation = patches.std((1, 2, 3), keepdim=True).clamp_min(LEAST_DEVIATION)

    def _patches(self, band: Tensor) -> Tensor:
        return band[:, self.rows, self.columns]  # (3, patches, 7, 7)

    def descriptors(self, band: Tensor) -> Tensor:
        """The patches of this level's ``band`` (3, h, w), normalised: (patches, 147)."""
        normalised = (self._patches(band) - self.mean) / self.deviation
        return normalised.transpose(0, 1).flatten(1)


def laplacian_pyramid(picture: Tensor) -> list[Tensor]:
    """What every halving of ``picture`` (3, H, W) loses, finest first, and what is left (3, h, w) at the end.

    It is halved as long as at least 16 pixels remain (Burt and Adelson, "The Laplacian pyramid as a compact
    image code", 1983, with their 5-tap kernel for a = 3/8).
    """
    pyramid = []
    while (min(picture.shape[1:]) + 1) // 2 >= SMALLEST_SIDE:
        smaller = _filter(picture)[:, ::2, ::2]
        spread = torch.zeros_like(picture)
        spread[:, ::2, ::2] = smaller
        pyramid.append(picture - 4 * _filter(spread))
        picture = smaller
    return [*pyramid, picture]


def _filter(picture: Tensor) -> Tensor:
    return convolve(F.pad(picture[None], (2, 2, 2, 2), mode="reflect")[0], TAPS)


def _size(picture: Tensor) -> str:
    return f"{picture.shape[2]} x {picture.shape[1]}"
