"""Amplitude per octave: how much detail of each size a picture has, against the photograph at its scale.

Amplitude of an octave [f/2, f] (cycles per pixel): the root of the mean power of luma in that ring of spatial
frequencies, in 8-bit levels. Power is estimated by averaging periodograms of overlapping Hann-windowed tiles
(Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967), spread evenly over the
whole picture, at most some 2,000 of them. The photograph is sampled in the same way with tiles of the same
size, so the ratio of the two is 1 for the photograph itself, less where detail was lost, more where there is
too much of it (noise, hard borders).

Two ratios, because a new picture may show more sky than the photograph:

* *plain*: of the two pictures' amplitudes; what shares of a picture are busy and smooth is part of it.
* *matched*: of the picture's amplitude to what the photograph has in tiles of the same coarse contrast. Tiles
  are sorted into up to 16 classes by their power in the coarsest octave (bounds: the photograph's quantiles),
  and the photograph's mean power per class is weighted by the picture's share of that class. Only finer
  octaves have this ratio. Where the coarsest octave is itself changed, by blur or by hard borders, tiles
  change their classes: there trust the plain one.

Rounding to 8 bits alone has an amplitude of 0.29 levels over all frequencies, 0.22 in the finest octave:
ratios of octaves that have hardly more in the photograph (an enlarged photograph's finest) say little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .diversity import LUMA

TILE = 256  # pixels; smaller powers of two in pictures that have no room for it
SMALLEST_TILE = 64
STEP = 0.5  # of a tile, from one to the next, at least
TILES = 2048  # at most, or a few more: a picture of 35 megapixels has its tiles at this step
OCTAVES = 5
LEAST_BIN = 4  # of an octave's lower bound: below it the window's own width blurs neighbouring octaves
CLASSES = 16
CLASS_TILES = 8  # of the photograph per class, at least: small photographs have fewer classes

Pixels = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, 8 bits."""


@dataclass(frozen=True)
class Octave:
    """Ratios of amplitudes for details from ``finest`` to 2 * ``finest`` pixels per cycle."""

    finest: int  # 2, 4, 8, ...
    amplitude: float  # of the picture, in 8-bit levels
    plain: float
    matched: float | None  # None for the coarsest octave, which tiles are sorted by

    @property
    def name(self) -> str:
        """Such as ``2_4px``."""
        return f"{self.finest}_{2 * self.finest}px"


class OctaveAmplitudes:
    """Compares pictures' amplitudes to those of one photograph.

    Raises:
        ValueError: the photograph has less than 64 pixels on its short side.
    """

    def __init__(self, photograph: Pixels, tile: int = TILE) -> None:
        """``photograph``: (H, W, 3) uint8, at the scale of the pictures to come; ``tile``: a power of two."""
        self.tile = min(tile, fitting_tile(*photograph.shape[:2]))
        self.powers = tile_powers(photograph, self.tile)
        coarsest = self.powers[:, -1].contiguous()
        count = max(1, min(CLASSES, len(coarsest) // CLASS_TILES))
        self.bounds = torch.quantile(coarsest, torch.linspace(0, 1, count + 1, dtype=torch.float64)[1:-1])
        classes = torch.bucketize(coarsest, self.bounds)
        overall = self.powers.mean(0)
        self.class_means = torch.stack(
            [self.powers[classes == i].mean(0) if (classes == i).any() else overall for i in range(count)]
        )

    def __call__(self, picture: Pixels) -> list[Octave]:
        """The octaves of ``picture`` (H, W, 3), finest first: 5, or fewer where tiles are below 256 pixels.

        A ratio is infinite or not a number where the photograph has no power at all.

        Raises:
            ValueError: the picture is smaller than one of the photograph's tiles.
        """
        powers = tile_powers(picture, self.tile)
        mean = powers.mean(0)
        expected = self.class_means[torch.bucketize(powers[:, -1].contiguous(), self.bounds)].mean(0)
        plain = (mean / self.powers.mean(0)).sqrt()
        matched = (mean / expected).sqrt()
        last = len(mean) - 1
        return [
            Octave(2 << i, float(mean[i].sqrt()), float(plain[i]), float(matched[i]) if i < last else None)
            for i in range(len(mean))
        ]


def tile_powers(picture: Pixels, tile: int) -> Tensor:
    """Power per tile and octave, finest octave first, in squared 8-bit levels: (tiles, octaves) float64.

    Raises:
        ValueError: the picture is smaller than one tile.
    """
    height, width = picture.shape[:2]
    if min(height, width) < tile:
        raise ValueError(f"expected at least {tile} x {tile} pixels, got {width} x {height}")
    step = max(STEP * tile, math.sqrt((height - tile) * (width - tile) / TILES))
    rows, columns = (_starts(side, tile, step) for side in (height, width))
    window = torch.hann_window(tile, periodic=True, dtype=torch.float64)
    weight = torch.outer(window, window)
    masks = octave_masks(tile) / (tile**2 * float(weight.square().sum()))
    weight, luma = weight.float(), torch.tensor(LUMA)
    powers = []
    for row in rows:
        band = torch.from_numpy(np.ascontiguousarray(picture[row : row + tile])).float() @ luma  # (tile, W)
        tiles = torch.stack([band[:, column : column + tile] for column in columns])
        tiles = (tiles - (tiles * weight).sum((1, 2), keepdim=True) / weight.sum()) * weight
        spectrum = torch.view_as_real(torch.fft.rfft2(tiles)).square().sum(-1)
        powers.append(spectrum.flatten(1).double() @ masks)
    return torch.cat(powers)


def octave_masks(tile: int) -> Tensor:
    """Which values of a real transform of ``tile`` x ``tile`` belong to which octave: (values, octaves).

    2 in place of 1 where a value stands for its mirrored one as well.
    """
    octaves = min(OCTAVES, int(math.log2(tile / LEAST_BIN)) - 1)
    radius = torch.fft.fftfreq(tile).square()[:, None] + torch.fft.rfftfreq(tile).square()
    radius = radius.double().sqrt().flatten()
    counts = torch.full((tile, tile // 2 + 1), 2.0, dtype=torch.float64)
    counts[:, 0] = counts[:, -1] = 1
    bounds = [2.0**-i for i in range(1, octaves + 2)]  # 1/2, 1/4, ...
    inside = [(radius > low) & (radius <= high) for high, low in pairwise(bounds)]
    return torch.stack([counts.flatten() * one for one in inside], 1)


def fitting_tile(height: int, width: int) -> int:
    """The tile, in pixels, that a photograph of this size has room for; raises ValueError if none."""
    if min(height, width) < SMALLEST_TILE:
        least = f"{SMALLEST_TILE} x {SMALLEST_TILE}"
        raise ValueError(f"expected at least {least} pixels, got {width} x {height}")
    return min(TILE, int(2 ** math.floor(math.log2(min(height, width)))))


def _starts(side: int, tile: int, step: float) -> list[int]:
    """Where tiles start along a side: evenly spread from one end to the other."""
    count = math.ceil((side - tile) / step) + 1
    return [round(i * (side - tile) / max(1, count - 1)) for i in range(count)]
