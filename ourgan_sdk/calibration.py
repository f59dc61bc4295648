"""How large a halo must be: tiled output against whole output, measured.

The network is given as a function, so that the same measurement serves whatever runs it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .arrays import Tensor
from .bundle import SeamError

__all__ = ["TOLERANCE", "Calibration", "calibrate_halo", "seam_differences"]

Network = Callable[[Tensor], Tensor]
"""A x4 network: (1, C, h, w) float32 -> (1, C, 4h, 4w) float32."""

TOLERANCE = 0.5
"""Levels of 8 bits: what a tile may differ by, at any value, from the same place rendered whole."""

_LEVELS = 255


@dataclass(frozen=True)
class Calibration:
    """The chosen halo, in input pixels, and the differences that were seen with it."""

    halo: int
    error: SeamError


def seam_differences(network: Network, window: Tensor, whole: Tensor, halo: int) -> Tensor:
    """Differences, in 8-bit levels, of four tiles that meet in the middle of `window` from `whole`.

    `window` is (1, C, h, w) in [0, 1], `whole` the network's output for it. Each quarter of the window is
    run with `halo` more pixels towards the middle, and compared with its quarter of `whole`, both as a
    picture would hold them: clipped to [0, 1]. Returns (1, C, 4h, 4w) float32.
    """
    result = np.empty_like(whole)
    height, width = window.shape[2:]
    scale = whole.shape[2] // height
    for y, y_read in _halves(height, halo):
        for x, x_read in _halves(width, halo):
            tile = network(np.ascontiguousarray(window[:, :, y_read, x_read]))
            rows = slice(scale * (y.start - y_read.start), scale * (y.stop - y_read.start))
            columns = slice(scale * (x.start - x_read.start), scale * (x.stop - x_read.start))
            target = (..., slice(scale * y.start, scale * y.stop), slice(scale * x.start, scale * x.stop))
            result[target] = np.clip(tile[:, :, rows, columns], 0, 1) - np.clip(whole[target], 0, 1)
    result *= _LEVELS
    return np.abs(result)


def _halves(length: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """The two halves of an axis, each with what is read to compute it."""
    middle = length // 2
    yield slice(0, middle), slice(0, min(middle + halo, length))
    yield slice(middle, length), slice(max(middle - halo, 0), length)


def calibrate_halo(network: Network, windows: Sequence[Tensor], tolerance: float = TOLERANCE) -> Calibration:
    """The smallest halo whose tiles differ by at most `tolerance` 8-bit levels from the whole, everywhere.

    `windows` are inputs (1, C, h, w) of the kind that the network will see; halos up to a quarter of the
    smallest side are tried. Found by bisection, since what lies farther away weighs less.

    Raises:
        ValueError: No such halo will do: the network looks farther than the windows are large, or it
            normalises over space (instance normalisation, attention) and cannot be tiled at all.
    """
    wholes = [network(window) for window in windows]

    def largest(halo: int) -> float:
        return max(
            float(seam_differences(network, window, whole, halo).max())
            for window, whole in zip(windows, wholes, strict=True)
        )

    too_small, enough = -1, min(min(window.shape[2:]) for window in windows) // 4
    remaining = largest(enough)
    if not remaining <= tolerance:
        raise ValueError(
            f"tiles still differ from the whole by {remaining:.2f} 8-bit levels with a halo of {enough} "
            f"pixels (at most {tolerance} are allowed): give larger windows; a network that normalises over "
            "space (instance normalisation, attention) cannot be tiled"
        )
    while enough - too_small > 1:
        halo = (too_small + enough) // 2
        if largest(halo) <= tolerance:
            enough = halo
        else:
            too_small = halo
    return Calibration(enough, _seam_error(network, windows, wholes, enough))


def _seam_error(
    network: Network, windows: Sequence[Tensor], wholes: Sequence[Tensor], halo: int
) -> SeamError:
    differences = [
        seam_differences(network, *pair, halo).ravel() for pair in zip(windows, wholes, strict=True)
    ]
    seen = np.concatenate(differences)
    return SeamError(
        maximum=float(seen.max()),
        p9999=float(np.quantile(seen, 0.9999)),
        share_different=float((seen > TOLERANCE).mean()),
    )
