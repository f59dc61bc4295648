"""Filtering pictures."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def convolve(pictures: Tensor, taps: Sequence[float]) -> Tensor:
    """Weighted means by the symmetric ``taps`` (n,) along rows and columns, where they lie wholly inside.

    (..., H, W) -> (..., H - n + 1, W - n + 1), in the precision of ``pictures``. As a sum of shifted pictures
    it is several times as fast on a processor as a convolution of so few channels.
    """
    height, width = (side - len(taps) + 1 for side in pictures.shape[-2:])
    rows = taps[0] * pictures[..., :height, :]
    for i, tap in enumerate(taps[1:], 1):
        rows.add_(pictures[..., i : i + height, :], alpha=tap)
    result = taps[0] * rows[..., :width]
    for i, tap in enumerate(taps[1:], 1):
        result.add_(rows[..., i : i + width], alpha=tap)
    return result
