"""The losses, each with its source."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 5  # pixels
PATCH_STRIDE = 4  # the upscalers' scale: a step's patches all lie alike within the outputs of an input
PATCH_DIRECTIONS = 24
GRID_BLOCK = 32  # pixels
SMALLEST_DEVIATION = 2e-3  # half a level, of patches in [0, 1]: what is less is rounding


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
    2022): patches are projected onto random directions, free of the mean, and compared in sorted order. Two
    things make the finest octave count, which holds little of a photograph's power and all of its sharpness:
    half of the directions are fine ones, and every direction is measured in its own deviation. A pattern that
    repeats with every input, which is a cheap way to such details, shows: all patches of a step lie at one
    random place within the outputs of an input.
    """
    directions = patch_directions().to(fake.device)
    top, left = (int(torch.randint(PATCH_STRIDE, ())) for _ in range(2))
    ours, theirs = (
        F.conv2d(pictures[..., top:, left:], directions, stride=PATCH_STRIDE)
        .transpose(0, 1)
        .flatten(1)
        .sort(1)
        .values
        for pictures in (fake, real)
    )
    deviations = theirs.std(1, keepdim=True) + SMALLEST_DEVIATION
    return ((ours - theirs).abs() / deviations).mean()


def patch_directions() -> Tensor:
    """Random ones, of unit length and without a mean: (PATCH_DIRECTIONS, 3, PATCH, PATCH).

    The first half have what a binomial filter keeps of them taken away: they see the finest details alone.
    """
    directions = torch.randn(PATCH_DIRECTIONS, 3, PATCH, PATCH)
    directions = directions - directions.mean((2, 3), keepdim=True)
    inner = F.pad(directions[: PATCH_DIRECTIONS // 2, :, 1:-1, 1:-1], (1, 1, 1, 1))
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    smooth = F.conv2d(inner.flatten(0, 1)[:, None], torch.outer(row, row)[None, None], padding=1)
    fine = inner - smooth.view_as(inner)
    directions = torch.cat([fine, directions[PATCH_DIRECTIONS // 2 :]])
    return directions / directions.flatten(1).norm(dim=1)[:, None, None, None]


def grid_pattern_loss(fake: Tensor, real: Tensor) -> Tensor:
    """What ``fake`` has more than ``real`` of a pattern that repeats every 4 pixels, both (N, 3, H, W).

    Mean absolute difference per place of the 4 x 4 outputs of an input, averaged over GRID_BLOCK pixels per
    side: other differences have no such place. A network that is to make more detail than its input tells of
    finds that it can draw a fixed pattern in its place, which no single pixel's loss makes dear.
    """
    block = min(GRID_BLOCK, *(n - n % 4 for n in fake.shape[2:]))
    rows, columns = (n // block for n in fake.shape[2:])
    difference = (fake - real)[..., : rows * block, : columns * block]
    cells = difference.reshape(*difference.shape[:2], rows, block // 4, 4, columns, block // 4, 4)
    places = cells.mean((3, 6))  # (N, 3, rows, 4, columns, 4)
    return (places - places.mean((3, 5), keepdim=True)).abs().mean()


def relativistic_loss(these: Tensor, those: Tensor, target: float) -> Tensor:
    """One half of the relativistic average GAN (Jolicoeur-Martineau 2018).

    Are ``these`` scores more real than ``those`` are on average? ``target`` 1: they should be, 0: they
    should not.
    """
    scores = these - those.mean()
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))
