"""What any-resolution training minimises: StyleGAN2's losses, and phase 2's loss against its teacher."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..perceptual import Perceptual
from .views import Views

SCALES = 3  # of the L1 at several scales: pictures, and halved once and twice
MULTISCALE = "multiscale-l1"  # what stands in for LPIPS


def generator_loss(scores: Tensor) -> Tensor:
    """Non-saturating (Goodfellow et al. 2014): ``scores`` of generated pictures up."""
    return F.softplus(-scores).mean()


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic: scores of ``real`` up, of ``fake`` down."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def r1_penalty(critic: nn.Module, real: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): mean squared norm of the scores' gradient at ``real``."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def warp_down(patches: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    """``patches`` (N, 3, p, p) in the frame of the whole square at p pixels; and a mask of where they lie.

    Both (N, 3 or 1, p, p). A pixel of the frame is a mean of the patch's pixels around it, with weights that
    fall linearly to zero one pixel of the frame away; the mask is 1 where a pixel lies inside the patch with
    all of its area, else 0.
    """
    side, device = patches.shape[-1], patches.device
    rows, inside_rows = _resampling(views.origins[:, 0], views.scales, side, device)
    columns, inside_columns = _resampling(views.origins[:, 1], views.scales, side, device)
    warped = rows[:, None] @ patches @ columns[:, None].mT
    return warped, (inside_rows[:, :, None] * inside_columns[:, None])[:, None]


def _resampling(origins: Tensor, scales: Tensor, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Weights (N, side, side) of a patch's pixels for the frame's; which of these lie inside, (N, side)."""
    frame = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    pixels = origins[:, None] + (torch.arange(side, dtype=torch.float64) + 0.5) / scales[:, None]
    weights = (1 - side * (frame[:, None] - pixels[:, None]).abs()).clamp_min(0)
    weights = weights / weights.sum(2, keepdim=True).clamp_min(1e-9)
    half, slack = 0.5 / side, 1e-9  # whole views fit exactly
    last = origins + side / scales
    inside = (frame - half >= origins[:, None] - slack) & (frame + half <= last[:, None] + slack)
    return weights.float().to(device), inside.float().to(device)


def teacher_loss(
    patches: Tensor, views: Views, wanted: Tensor, perceptual: Perceptual | None, weight: float
) -> Tensor:
    """How far generated ``patches``, warped down, are from what the teacher makes there.

    L1, and beside it LPIPS (of ``weight``), or without it L1 at coarser scales. ``wanted`` (N, 3, p, p) are
    the teacher's whole pictures. Zero where no pixel of the frame lies in any patch.
    """
    warped, mask = warp_down(patches, views)
    if perceptual is not None and weight > 0:
        ours, theirs = ((mask * picture + 1) / 2 for picture in (warped, wanted))
        return masked_l1(warped, wanted, mask) + weight * perceptual(ours, theirs).float()
    loss = masked_l1(warped, wanted, mask)
    for _ in range(SCALES - 1):
        warped, wanted, mask = F.avg_pool2d(warped * mask, 2), F.avg_pool2d(wanted * mask, 2), _all(mask)
        loss = loss + masked_l1(warped, wanted, mask)
    return loss / SCALES


def _all(mask: Tensor) -> Tensor:
    """Where all four of a coarser pixel's pixels are inside."""
    return -F.max_pool2d(-mask, 2)


def masked_l1(one: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference where ``mask`` is 1, of each sample by itself, and the mean of these.

    Of all together, a patch at a large scale, which covers little of the frame, would hardly count.
    """
    found = ((one - other).abs() * mask).mean(1).sum((1, 2)) / mask.sum((1, 2, 3)).clamp_min(1)
    return found.mean()
