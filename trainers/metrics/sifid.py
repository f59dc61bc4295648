"""Single image Fréchet Inception distance.

Shaham, Dekel, Michaeli, "SinGAN" (ICCV 2019), section 3: the Fréchet distance (Heusel et al., "GANs trained
by a two time-scale update rule converge to a local Nash equilibrium", NIPS 2017) between the normal
distributions that the features of two pictures have over positions. OUR-GAN (table 1) measures it after the
5th and the 13th layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .inception import InceptionFeatures

CHUNK = 1 << 16  # positions whose features are in memory in float64 at a time


@dataclass(frozen=True)
class Normal:
    """A normal distribution of features: mean (C,) and covariance (C, C), float64."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Normal:
        """The distribution of ``features`` (C, positions), more than one, over positions."""
        chunks = torch.split(features, CHUNK, dim=1)
        count = features.shape[1]
        mean = torch.stack([chunk.double().sum(1) for chunk in chunks]).sum(0) / count
        scatter = torch.zeros(len(mean), len(mean), dtype=mean.dtype, device=mean.device)
        for chunk in chunks:
            centred = chunk.double() - mean[:, None]
            scatter += centred @ centred.T
        return cls(mean, scatter / (count - 1))

    @cached_property
    def root(self) -> Tensor:
        """The symmetric root of the covariance; it exists where that is singular, too."""
        values, vectors = torch.linalg.eigh(self.covariance)
        return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def frechet_distance(one: Normal, other: Normal) -> float:
    """The squared Fréchet distance |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two normal distributions.

    The trace of the root is that of (R C2 R)^(1/2) with R = C1^(1/2): both are roots of symmetric matrices,
    which singular ones have as well, as there are with fewer positions than channels.
    """
    product = torch.linalg.eigvalsh(one.root @ other.covariance @ one.root)
    traces = one.covariance.trace() + other.covariance.trace() - 2 * product.clamp_min(0).sqrt().sum()
    return float(((one.mean - other.mean).square().sum() + traces).clamp_min(0))


class SIFID:
    """Distance of pictures to one photograph, after both layers."""

    def __init__(self, network: InceptionFeatures, photo: Tensor) -> None:
        """``photo``: (3, H, W) float32 in [0, 1], at least 75 x 75, on the network's device."""
        self.network = network
        self.photo = self._distributions(photo)

    def __call__(self, picture: Tensor) -> list[float]:
        """SIFID of ``picture`` (3, H, W) after the 5th and the 13th layer; 0 for the photograph itself."""
        pairs = zip(self.photo, self._distributions(picture), strict=True)
        return [frechet_distance(ours, theirs) for ours, theirs in pairs]

    def _distributions(self, picture: Tensor) -> Sequence[Normal]:
        return [Normal.of(features[0].flatten(1)) for features in self.network(picture[None])]
