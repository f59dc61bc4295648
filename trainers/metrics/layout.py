"""Layout drift: how far colours have moved up or down, against the photograph.

This project's own measure of what vertical coordinate convolution is for (OUR-GAN, section 3.1: sky stays
above, ground below). A row's colours are described by the mean and the standard deviation of each channel,
which do not change when things move along the row. The distance of two rows is the 2-Wasserstein distance of
normal distributions with these statistics, sqrt((mu1 - mu2)^2 + (sigma1 - sigma2)^2) (Dowson and Landau, "The
Fréchet distance between multivariate normal distributions", 1982), root mean square over channels; the
drift is its mean over rows.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTHING = 1 / 64  # of the height: standard deviation of the window that a row's statistics are taken in
LEVELS = 255.0  # 8-bit levels per unit


def row_statistics(picture: Tensor) -> Tensor:
    """Mean and standard deviation of the channels of ``picture`` (3, H, W) around every row: (2, 3, H).

    Rows are weighted by a Gaussian window, so that a horizon one pixel higher is a small difference.
    """
    values = picture.double()  # for the difference of squares below
    moments = torch.stack([values.mean(2), values.square().mean(2)])  # (2, 3, H)
    mean, square = _smooth(moments, SMOOTHING * picture.shape[1])
    return torch.stack([mean, (square - mean.square()).clamp_min(0).sqrt()])


def layout_drift(picture: Tensor, photo: Tensor) -> float:
    """The mean distance of the rows of ``picture`` and ``photo``, both (3, H, W), in 8-bit levels.

    0 for the photograph itself, and wherever pixels were only moved along their rows.

    Raises:
        ValueError: the two are not of one height.
    """
    if picture.shape[1] != photo.shape[1]:
        raise ValueError(
            f"expected a height of {photo.shape[1]} px, as the photograph's, got {picture.shape[1]}"
        )
    squares = (row_statistics(picture) - row_statistics(photo)).square()  # (2, 3, H)
    return LEVELS * float(squares.sum(0).mean(0).sqrt().mean())


def _smooth(signals: Tensor, deviation: float) -> Tensor:
    """``signals`` (..., H), filtered by a Gaussian; ends are repeated."""
    reach = math.ceil(3 * deviation)
    window = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2).to(signals)
    rows = signals.flatten(0, -2)[:, None]  # (N, 1, H)
    padded = F.pad(rows, (reach, reach), mode="replicate")
    return F.conv1d(padded, (window / window.sum()).view(1, 1, -1)).view(signals.shape)
