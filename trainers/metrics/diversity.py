"""How different samples of one bundle are from each other.

Shaham, Dekel, Michaeli, "SinGAN" (ICCV 2019), section 3: the standard deviation of every pixel's intensity
over the samples, averaged over the picture, in units of the standard deviation of the photograph's own
intensities. (There over 100 samples: 0.5 from the coarsest scale, 0.35 from the next.)
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def intensity(pictures: Tensor) -> Tensor:
    """(..., 3, H, W) -> (..., H, W): luma."""
    weights = torch.tensor(LUMA, device=pictures.device, dtype=pictures.dtype)
    return (pictures * weights[:, None, None]).sum(-3)


def own_deviation(photo: Tensor) -> Tensor:
    """The unit of diversity: the deviation of intensity within the photograph (3, H, W).

    Raises:
        ValueError: there is none, as the photograph is of one intensity.
    """
    deviation = intensity(photo).std(correction=0)
    if deviation < 1e-6:
        raise ValueError("the photograph is of one intensity: there is nothing to compare samples with")
    return deviation


def diversity(samples: Tensor, photo: Tensor) -> float:
    """Of ``samples`` (N, 3, H, W), N >= 2, of one photograph (3, h, w); 0: all samples are equal.

    Raises:
        ValueError: there are fewer than two samples, or the photograph is of one intensity.
    """
    if len(samples) < 2:
        raise ValueError(f"expected at least two samples, got {len(samples)}")
    return float(intensity(samples).std(0, correction=0).mean() / own_deviation(photo))
