"""How far generated patches are from real ones at the same places and scales: pFID, and one without weights.

Chai et al. ("Any-resolution training for high-resolution image synthesis", ECCV 2022, section 4) draw real
patches at random scales s and places v, generate patches at the same (s, v), and take the Fréchet distance of
their Inception features over 50,000 patches. Where a file of Inception's weights is given it is measured here
in that way, on features as far as ``inception`` has them: numbers cannot be compared with the paper's.

Without weights, features are what this project has chosen itself (:class:`TextureFeatures`): mean colours,
how strong oriented differences and colours are at every octave, and (s, v) themselves, so that what is right
on the whole and wrong at each scale is far as well. The Fréchet distance is that of these features, each in
units of its deviation among the real patches. It is called by another name than pFID everywhere.

Both are biased upwards, the more the fewer patches there are: :meth:`PatchDistance.floor` tells what other
real patches have, and only distances of the same number of patches may be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..any_resolution.views import Views
from .inception import InceptionFeatures
from .sifid import Normal, frechet_distance

PATCHES = 50_000  # the paper's number
BATCH = 64
INCEPTION_SIDE = 299  # pixels, to which patches are brought for Inception
SMALLEST = 8  # pixels of the coarsest octave
QUIET = 1 / 255  # of luma in [0, 1]: what is added before a logarithm, so that noise below a level is nothing
LEAST_DEVIATION = 1e-3
LUMA = (0.299, 0.587, 0.114)
SHIFTS = ((0, 1), (1, 1), (1, 0), (1, -1))  # differences along x, the diagonals and y

Draw = Callable[[int, torch.Generator], Views]
"""Real views, such as ``PictureFolder.patches``."""
Make = Callable[[Tensor, Tensor], Tensor]
"""(origins, scales) -> generated patches (n, 3, p, p) in [-1, 1]."""


class Features(Protocol):
    """What patches are compared by; ``units``: dimensions differ in theirs, and are told in deviations."""

    name: str
    units: bool

    def __call__(self, views: Views) -> Tensor:
        """(N, dimensions)."""
        ...


@dataclass(frozen=True)
class PatchScore:
    """A distance, by what it is a distance of, and over how many patches."""

    name: str
    value: float
    patches: int


class InceptionMeans:
    """Means over positions of Inception's features, as pFID has them but for the layer."""

    name = "pFID (Inception v3 to its 13th layer, torchvision's weights)"
    units = False

    def __init__(self, network: InceptionFeatures) -> None:
        self.network = network

    def __call__(self, views: Views) -> Tensor:
        device = next(self.network.parameters()).device
        pictures = (views.patches.to(device) + 1) / 2
        if pictures.shape[-1] != INCEPTION_SIDE:
            side = (INCEPTION_SIDE, INCEPTION_SIDE)
            pictures = F.interpolate(pictures, side, mode="bicubic", antialias=True).clamp(0, 1)
        return self.network(pictures)[1].mean((2, 3)).cpu()


class TextureFeatures:
    """Colours, oriented contrast by octave, and where the patch lies: no weights are needed.

    Per octave down to 8 pixels: the logarithms of the mean absolute difference of luma between neighbours in
    four directions, of the mean absolute deviation of luma in four quadrants from the octave below, and of
    that of the two colour differences. Of what is left: mean colours of four quadrants. log2 s, and v.
    """

    name = "patch texture distance (without weights; not pFID)"
    units = True

    def __call__(self, views: Views) -> Tensor:
        pictures = (views.patches.cpu().double() + 1) / 2
        red, green, blue = pictures.unbind(1)
        luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        channels = torch.stack([luma, red - luma, blue - luma], 1)
        found = [torch.log2(views.scales.cpu())[:, None], views.origins.cpu()]
        while channels.shape[-1] >= 2 * SMALLEST:
            coarser = F.avg_pool2d(channels, 2)
            found.append(_contrast(channels[:, 0]))
            band = (channels - F.interpolate(coarser, channels.shape[2:], mode="bilinear")).abs()
            found.append(_log(F.adaptive_avg_pool2d(band[:, :1], 2).flatten(1)))
            found.append(_log(band[:, 1:].mean((2, 3))))
            channels = coarser
        found.append(F.adaptive_avg_pool2d(channels, 2).flatten(1))
        return torch.cat(found, 1)


def _contrast(luma: Tensor) -> Tensor:
    """Of (N, h, w), the logarithms of the mean absolute differences of neighbours, (N, 4)."""
    inside = luma[:, :-1, 1:-1]
    height, width = luma.shape[1:]
    moved = (luma[:, dy : dy + height - 1, 1 + dx : 1 + dx + width - 2] for dy, dx in SHIFTS)
    return _log(torch.stack([(one - inside).abs().mean((1, 2)) for one in moved], 1))


def _log(contrast: Tensor) -> Tensor:
    return torch.log2(contrast + QUIET)


class PatchDistance:
    """The distance of generated patches from real ones, at the same places and scales; fixed by ``seed``."""

    def __init__(
        self, draw: Draw, patches: int = PATCHES, seed: int = 0, inception: InceptionFeatures | None = None
    ) -> None:
        """Draws the real patches, of which features, places and scales are kept.

        ``draw``: such as ``PictureFolder.patches``.

        Raises:
            ValueError: fewer than two patches have no distribution.
        """
        if patches < 2:
            raise ValueError(f"expected at least 2 patches, got {patches}")
        self.features: Features = TextureFeatures() if inception is None else InceptionMeans(inception)
        self.draw, self.patches, self.seed = draw, patches, seed
        self.places: list[tuple[Tensor, Tensor]] = []
        found = []
        for views in self._real(seed):
            self.places.append((views.origins, views.scales))
            found.append(self.features(views))
        features = torch.cat(found)
        self.mean = features.mean(0)
        self.deviation = features.std(0).clamp_min(LEAST_DEVIATION)
        self.real = self._normal(features)

    @property
    def name(self) -> str:
        """What the distance is; no pFID where there are no weights."""
        return self.features.name

    @torch.no_grad()
    def __call__(self, make: Make) -> PatchScore:
        """The distance of what ``make`` makes of every batch's origins and scales, in their order."""
        found = [
            self.features(Views(make(origins, scales), origins, scales)) for origins, scales in self.places
        ]
        return self._score(torch.cat(found))

    def floor(self) -> PatchScore:
        """The distance of as many other real patches: what a perfect generator would be at."""
        return self._score(torch.cat([self.features(views) for views in self._real(self.seed + 1)]))

    def _real(self, seed: int) -> Iterator[Views]:
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, self.patches, BATCH):
            yield self.draw(min(BATCH, self.patches - start), generator)

    def _score(self, features: Tensor) -> PatchScore:
        return PatchScore(self.name, frechet_distance(self.real, self._normal(features)), self.patches)

    def _normal(self, features: Tensor) -> Normal:
        """Their distribution over patches."""
        return Normal.of(((features - self.mean) / self.deviation if self.features.units else features).T)
