"""The losses, each with its source."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 7  # pixels
PATCH_STRIDE = 2
PATCH_DIRECTIONS = 32


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Mean KL divergence of N(mean, exp(log_variance)) from N(0, I), per latent element (PatchVAE)."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Wasserstein critic (WGAN): scores of real up, of fake down."""
    return fake.mean() - real.mean()


def gradient_penalty(gradient: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """WGAN-GP (Gulrajani et al. 2017) as SinGAN computes it: with the norm over channels at every pixel.

    ``gradient`` gives the gradient of the critic's scores with respect to a picture. ``real`` and ``fake``,
    (N, 3, H, W), of which ``real`` may be one picture for all, are interpolated at random.
    """
    mix = torch.rand(fake.shape[0], 1, 1, 1, device=fake.device)
    norm = gradient(mix * real + (1 - mix) * fake).float().norm(2, dim=1)
    return (norm - 1).square().mean()


def patch_statistics_loss(fake: Tensor, real: Tensor) -> Tensor:
    """How far the distribution of ``fake``'s patches is from that of ``real``'s, both (N, 3, H, W).

    The sliced Wasserstein distance (Rabin et al. 2011; on patches of one picture: GPDM, Elnekave and Weiss
    2022): patches are projected onto random directions, free of the mean, and compared in sorted order.
    """
    directions = torch.randn(PATCH_DIRECTIONS, 3, PATCH, PATCH, device=fake.device)
    directions = directions - directions.mean((2, 3), keepdim=True)
    directions = directions / directions.flatten(1).norm(dim=1)[:, None, None, None]
    ours, theirs = (
        F.conv2d(pictures, directions, stride=PATCH_STRIDE).transpose(0, 1).flatten(1).sort(1).values
        for pictures in (fake, real)
    )
    return F.l1_loss(ours, theirs)


def relativistic_loss(these: Tensor, those: Tensor, target: float) -> Tensor:
    """One half of the relativistic average GAN (Jolicoeur-Martineau 2018).

    Are ``these`` scores more real than ``those`` are on average? ``target`` 1: they should be, 0: they
    should not.
    """
    scores = these - those.mean()
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))
