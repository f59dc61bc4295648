"""Copied share: how large the pieces are that a picture takes from its photograph unchanged.

A field says for every place of a picture where in the photograph it comes from; its offset is source minus
position. A *piece* is a connected set of places (4-neighbourhood) in which neighbours' offsets differ by at
most a tolerance, vertically and horizontally, and sources advance from one to the next (else one pixel spread
over many would be a piece); so a piece may be warped slowly. Shares are of all places:

* ``largest``: the largest piece's;
* ``typical``: the sum of squared shares, which is the mean share of the piece that a place lies in. A mosaic
  of n equal pieces has 1/n;
* ``pieces``: how many there are. A single place that goes with none of its neighbours is one.

Where no field is known it is looked for in the picture itself (``CopiedShare``): the nearest of the
photograph's 7 x 7 patches, exactly, by the sum of squared differences of RGB values, with picture and
photograph reduced so that the photograph's long side has 256 pixels. Places are then every s-th patch per
axis, with s such that about 16,384 of them are left; the tolerance of one reduced pixel takes up what
reducing does to offsets that are no multiple of it. Where several patches are near but for rounding (within
half a level per value, as in clipped highlights and plain sky) the one that goes on a neighbour's piece is
taken: what cannot be told from a copy counts as one. Two things to know of numbers found so:

* pictures that were not copied at all have small pieces too (the photograph's mirror image: where it is
  symmetric or smooth), so a value is to be seen beside the mirror image's;
* copies moved by a fraction of a reduced pixel are found in pieces where the photograph is smooth, so values
  can be too small, by up to several times for pieces of a hundredth of the picture. A renderer's own field
  has no such error.

After PatchMatch's offset fields: Barnes, Shechtman, Finkelstein, Goldman, "PatchMatch: a randomized
correspondence algorithm for structural image editing" (SIGGRAPH 2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .nearest_patches import PATCH, patches_of

LONG_SIDE = 256  # pixels, of the photograph
QUERIES = 16384  # patches of a picture, at most
CHUNK = 512  # of them at a time: the matrix of distances takes 90 MB
TOLERANCE = 1
SAME = 0.5 / 255  # root mean square difference below which patches are equal but for rounding
TIE_PASSES = 64

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Copied:
    """Shares in [0, 1]; ``pieces`` >= 1."""

    largest: float
    typical: float
    pieces: int


class CopiedShare:
    """Looks for one photograph's pieces in pictures.

    Raises:
        ValueError: the photograph is smaller than one patch.
    """

    def __init__(self, photograph: Tensor) -> None:
        """``photograph``: (3, H, W) float32 in [0, 1], reduced, as pictures will be, by the same factor."""
        if min(photograph.shape[1:]) < PATCH:
            height, width = photograph.shape[1:]
            raise ValueError(f"expected at least {PATCH} x {PATCH} pixels, got {width} x {height}")
        self.columns = photograph.shape[2] - PATCH + 1
        self.rows = photograph.shape[1] - PATCH + 1
        patches = patches_of(photograph)
        self.mean = patches.mean(0)  # without it the distances' differences drown in rounding
        self.patches = patches - self.mean
        self.halves = self.patches.square().sum(1) / 2

    def __call__(self, picture: Tensor) -> Copied:
        """Of ``picture`` (3, H, W) float32 in [0, 1], at least 7 x 7."""
        sources, stride = self.sources(picture)
        return copied_share(sources, stride)

    def sources(self, picture: Tensor, stride: int | None = None) -> tuple[Integers, int]:
        """Sources (y, x) of patches ``stride`` pixels apart, (h, w, 2) int64; and the stride."""
        height, width = (side - PATCH + 1 for side in picture.shape[1:])
        if min(height, width) < 1:
            raise ValueError(f"expected at least {PATCH} x {PATCH} pixels, got {tuple(picture.shape[1:])}")
        if stride is None:
            stride = math.ceil(math.sqrt(height * width / QUERIES))
        h, w = (-(-side // stride) for side in (height, width))
        queries = patches_of(picture, stride) - self.mean
        nearest = torch.cat(
            [
                torch.addmm(self.halves, chunk, self.patches.T, alpha=-1).argmin(1)
                for chunk in torch.split(queries, CHUNK)
            ]
        )
        return self._join_ties(queries, nearest, h, w, stride), stride

    def _join_ties(self, queries: Tensor, nearest: Tensor, h: int, w: int, stride: int) -> Integers:
        """Sources (h, w, 2); of equal patches the one that goes on the piece to the left or above.

        Every pass lets each place try what its neighbours' offsets say, one direction after the other, until
        nothing changes.
        """
        sources = torch.stack([nearest // self.columns, nearest % self.columns], 1).view(h, w, 2)
        queries = queries.view(h, w, -1)
        limit = SAME**2 * queries.shape[2]
        least = (queries - self.patches[nearest].view(h, w, -1)).square().sum(2)
        for _ in range(TIE_PASSES):
            changed = 0
            for axis in (1, 0):
                before = sources.clone()
                here = (slice(None), slice(1, None)) if axis else (slice(1, None), slice(None))
                there = (slice(None), slice(None, -1)) if axis else (slice(None, -1), slice(None))
                proposed = before[there] + torch.tensor([0, stride] if axis else [stride, 0])
                inside = (proposed[..., 0] < self.rows) & (proposed[..., 1] < self.columns)
                wanted = inside & ((proposed - before[here]).abs().amax(2) > 0) & (least[here] <= limit)
                y, x = wanted.nonzero(as_tuple=True)
                y, x, chosen = y + (axis == 0), x + (axis == 1), proposed[y, x]
                patches = self.patches[chosen[:, 0] * self.columns + chosen[:, 1]]
                good = (queries[y, x] - patches).square().sum(1) <= limit
                sources[y[good], x[good]] = chosen[good]
                changed += int(good.sum())
            if not changed:
                break
        result: Integers = sources.numpy()
        return result


def copied_share(sources: Integers, stride: int = 1, tolerance: int = TOLERANCE) -> Copied:
    """Of a field ``sources`` (h, w, 2): (y, x) in the photograph, of places ``stride`` pixels apart.

    A renderer's own field may be given at every ``stride``-th pixel: ``sources[::stride, ::stride]``.
    ``tolerance`` is in pixels.

    Raises:
        ValueError: the field is empty.
    """
    if sources.size == 0:
        raise ValueError("expected sources of one place at least")
    sizes = np.bincount(pieces_of(sources, stride, tolerance).ravel())
    shares = sizes / sizes.sum()
    return Copied(float(shares.max()), float(np.square(shares).sum()), len(sizes))


def pieces_of(sources: Integers, stride: int = 1, tolerance: int = TOLERANCE) -> npt.NDArray[np.int64]:
    """The piece of every place of a field, from 0: (h, w)."""
    height, width = sources.shape[:2]
    offsets = sources - stride * np.moveaxis(np.indices((height, width)), 0, -1)
    index = np.arange(height * width).reshape(height, width)
    below, right = (
        (np.abs(np.diff(offsets, axis=axis)).max(2) <= tolerance)
        & (np.diff(sources[..., axis], axis=axis) > 0)
        for axis in (0, 1)
    )
    edges = np.concatenate(
        [
            np.stack([index[:-1][below], index[1:][below]]),
            np.stack([index[:, :-1][right], index[:, 1:][right]]),
        ],
        1,
    )
    roots = connected(edges, index.size)
    return np.unique(roots, return_inverse=True)[1].reshape(height, width)


def connected(edges: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The least node that each of ``count`` nodes hangs together with over ``edges`` (2, n): (count,).

    All edges at once: the larger of two roots is hung below the smaller one, and paths are shortened, until
    every edge lies within one tree (after Shiloach and Vishkin, "An O(log n) parallel connectivity
    algorithm", 1982).
    """
    parents = np.arange(count)
    while edges.shape[1]:
        one, other = parents[edges]
        np.minimum.at(parents, np.maximum(one, other), np.minimum(one, other))
        while True:
            grand = parents[parents]
            if np.array_equal(grand, parents):
                break
            parents = grand
        one, other = parents[edges]
        edges = edges[:, one != other]
    return parents
