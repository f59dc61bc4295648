"""Coherence and completeness by nearest patches.

Simakov, Caspi, Shechtman, Irani, "Summarizing visual data using bidirectional similarity" (CVPR 2008),
equation 1, whose two terms stand apart here: a picture is *coherent* where each of its patches occurs in the
photograph, and *complete* where each patch of the photograph occurs in it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 7
STRIDE = 5
"""Between the patches that look for their nearest ones, which are looked for at every position: neighbouring
patches share most of their pixels, so that the mean changes by some 1 % while the time falls to a 25th."""
CHUNK_VALUES = 1 << 24  # of the matrix of distances in memory at a time: 64 MiB
LEVELS = 255.0**2  # squared 8-bit levels per unit of squared distance


class NearestPatches:
    """Compares pictures to one photograph, patch by patch, with exact nearest neighbours."""

    def __init__(self, photo: Tensor, stride: int = STRIDE) -> None:
        """``photo``: (3, H, W) float32 in [0, 1], at least 7 x 7.

        Raises:
            ValueError: it is smaller than one patch.
        """
        if min(photo.shape[1:]) < PATCH:
            raise ValueError(f"expected at least {PATCH} x {PATCH} pixels, got {tuple(photo.shape[1:])}")
        self.photo, self.stride = photo, stride
        self.patches = patches_of(photo)
        self.queries = patches_of(photo, stride)

    def __call__(self, picture: Tensor) -> tuple[float, float]:
        """(coherence, completeness) of ``picture`` (3, H, W): mean squared differences per colour value.

        In squared 8-bit levels; 0 is perfect. Coherence is the mean over the picture's patches to the
        nearest of the photograph's, completeness the other way round.
        """
        coherence = mean_distance(patches_of(picture, self.stride), self.patches)
        completeness = mean_distance(self.queries, patches_of(picture))
        return coherence * LEVELS, completeness * LEVELS


def patches_of(picture: Tensor, stride: int = 1) -> Tensor:
    """The 7 x 7 patches of ``picture`` (3, H, W): (patches, 147)."""
    return F.unfold(picture[None], PATCH, stride=stride)[0].T.contiguous()


def mean_distance(queries: Tensor, targets: Tensor) -> float:
    """Mean over ``queries`` (Q, D) of the mean squared difference to the nearest of ``targets`` (T, D)."""
    halves = targets.square().sum(1) / 2
    total = torch.zeros((), dtype=torch.float64)
    for chunk in torch.split(queries, max(1, CHUNK_VALUES // len(targets))):
        nearest = torch.addmm(halves, chunk, targets.T, alpha=-1).argmin(1)  # |q - t|^2 / 2 - |q|^2 / 2
        # The difference itself, as the expression above loses small ones to rounding.
        total += (chunk - targets[nearest]).square().sum(dtype=torch.float64).cpu()
    return float(total / queries.numel())
