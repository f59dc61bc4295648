"""Where in a picture, and at which scale, the patches lie that any-resolution training looks at.

A picture's unit square has y pointing down, x to the right, and [0, 1] x [0, 1] inside. At scale s its side
has s pixels, a whole number here. A patch of p pixels whose upper left corner is at v (y, x) covers p / s of
it. Real patches and generated ones are drawn from one distribution of (s, v): Chai et al., "Any-resolution
training for high-resolution image synthesis" (ECCV 2022), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Views:
    """Patches of pictures, and where they lie in them."""

    patches: Tensor  # (N, 3, p, p) float32 in [-1, 1]
    origins: Tensor  # (N, 2) float64: y, x of the upper left corner in the unit square
    scales: Tensor  # (N,) float64, pixels per side of the unit square


@dataclass(frozen=True)
class Band:
    """Scales that are never drawn, both ends included; for experiments with what training has not seen."""

    first: int
    last: int


def draw_places(
    natives: Tensor, patch: int, generator: torch.Generator, band: Band | None = None
) -> tuple[Tensor, Tensor]:
    """Origins (N, 2) and scales (N,), both float64, of patches of pictures.

    ``natives``: the pictures' sides in pixels, (N,) int64. A scale is uniform among the whole numbers from
    ``patch`` to the picture's own, without the ``band``; an origin uniform among those that put the patch on
    whole pixels inside the square. ``generator`` is the CPU's.

    Raises:
        ValueError: a picture is smaller than a patch, or all of its scales lie in the band.
    """
    if int(natives.min()) < patch:
        raise ValueError(f"expected pictures of at least {patch} pixels per side, got {int(natives.min())}")
    drawn = torch.rand(3, len(natives), dtype=torch.float64, generator=generator)
    scales = _scales(natives, patch, drawn[0], band)
    origins = (drawn[1:] * (scales - patch + 1)).floor() / scales
    return origins.T.contiguous(), scales.double()


def _scales(natives: Tensor, patch: int, drawn: Tensor, band: Band | None) -> Tensor:
    """Whole numbers (N,) that ``drawn`` (N,) in [0, 1) choose."""
    if band is None:
        return patch + (drawn * (natives - patch + 1)).floor().long()
    first = max(band.first, patch)
    left_out = (natives.clamp(max=band.last) - first + 1).clamp(min=0)
    counts = natives - patch + 1 - left_out
    if int(counts.min()) < 1:
        raise ValueError(f"no scale is left of a picture without those from {band.first} to {band.last}")
    scales = patch + (drawn * counts).floor().long()
    return torch.where(scales >= first, scales + left_out, scales)


def coordinates(origins: Tensor, scales: Tensor, patch: int, stride: int, margin: int) -> Tensor:
    """Centres (y, x) of the cells of patches, (N, 2, h, w) float32, h = w = patch / stride + 2 margin.

    A cell has ``stride`` x ``stride`` pixels; ``margin`` cells more lie on every side of the patch.
    ``origins`` (N, 2) and ``scales`` (N,) are float64, as is the arithmetic.

    Raises:
        ValueError: ``patch`` is no multiple of ``stride``.
    """
    if patch % stride:
        raise ValueError(f"expected a patch of whole cells of {stride} pixels, got {patch} pixels")
    cells = torch.arange(-margin, patch // stride + margin, dtype=torch.float64, device=origins.device)
    centres = (cells + 0.5) * stride / scales[:, None]  # (N, h)
    y, x = (origins[:, axis, None] + centres for axis in (0, 1))
    side = len(cells)
    grid = torch.stack([y[:, :, None].expand(-1, side, side), x[:, None, :].expand(-1, side, side)], 1)
    return grid.float()
