"""How well an upscaler gives back a part of the photograph, against bicubic interpolation.

The part is reduced by 4 as in training and enlarged again. PSNR; SSIM (Wang, Bovik, Sheikh, Simoncelli,
"Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004); and the sliced
Wasserstein distance of patches, which falls where detail of the right kind is made up in the wrong place, as
adversarial training does at the expense of the other two (Blau and Michaeli, "The perception-distortion
tradeoff", CVPR 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from statistics import fmean
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.rrdb import SCALE
from ..photo import Photo, held_out_part, reduce, to_float
from .filters import convolve
from .sliced_wasserstein import SlicedWasserstein

Upscale = Callable[[Tensor], Tensor]
"""(N, 3, H, W) float32 in [0, 1] -> (N, 3, 4H, 4W), nominally in [0, 1]."""

BORDER = SCALE  # pixels that are left away on every side, as is usual: padding decides there
SSIM_WEIGHTS = [math.exp(-0.5 * (offset / 1.5) ** 2) for offset in range(-5, 6)]
SSIM_TAPS = [weight / sum(SSIM_WEIGHTS) for weight in SSIM_WEIGHTS]  # Gaussian window of 11 x 11 pixels
STABILISERS = (0.01**2, 0.03**2)  # SSIM's C1 and C2 for values in [0, 1]
BAND_ROWS = 128  # of the small picture that are enlarged at once
BAND_MARGIN = 16  # rows beyond these on either side, for the network to see; more than halos have needed
NOISES = 4  # draws of noise that a noisy task is averaged over


@dataclass(frozen=True)
class Task:
    """What an upscaler is given, and what it should make of it."""

    low: Tensor  # (N, 3, h, w) float32 in [0, 1], beyond it where there is noise
    high: Tensor  # (3, 4h, 4w) float32 in [0, 1]


@dataclass(frozen=True)
class Scores:
    """How close an upscaler came; PSNR in dB, SSIM up to 1, SWD x 1000 (mean of its levels)."""

    psnr: float
    ssim: float
    swd: float


def task_sizes(photo: Photo, structure_long: int) -> list[tuple[Literal["later", "first"], int]]:
    """Which upscaler is measured at which long side of the photograph, in pixels.

    That of the later passes at the photograph's own size, and at half of it: a camera's own pixels are often
    noise and blur, which nobody can give back. That of pass 1 at what pass 1 makes of ``structure_long``.
    """
    native = max(photo.height, photo.width)
    return [("later", native), ("later", native // 2), ("first", min(native, SCALE * structure_long))]


def make_task(photo: Photo, share: float, long_side: int, noise: float, seed: int = 0) -> Task:
    """Giving back the right ``share`` (0 to 1) of the photograph's width.

    The photograph is taken at ``long_side`` pixels (never enlarged), and its reduction by 4 has noise of
    standard deviation ``noise`` added; without noise N is 1.

    Raises:
        ValueError: the part is too small to be compared.
    """
    part = to_float(held_out_part(photo, share).pixels)[None]
    ratio = min(1.0, long_side / max(photo.height, photo.width))
    h, w = (int(n * ratio) // SCALE for n in part.shape[2:])
    if min(h, w) * SCALE - 2 * BORDER < len(SSIM_TAPS):
        raise ValueError(
            f"the part of the photograph to compare has {w * SCALE} x {h * SCALE} pixels at a long side of "
            f"{long_side}: too few"
        )
    high = part[..., : h * SCALE, : w * SCALE] if ratio == 1 else reduce(part, h * SCALE, w * SCALE)
    low = reduce(high, h, w)
    if noise:
        low = low.expand(NOISES, -1, -1, -1)
        low = low + noise * torch.randn(low.shape, generator=torch.Generator().manual_seed(seed))
    return Task(low, high[0])


def score(upscale: Upscale, task: Task) -> Scores:
    """Mean scores of ``upscale`` on a task."""
    return mean_scores(
        [score_picture(enlarge(upscale, low[None])[0].clamp(0, 1), task.high) for low in task.low]
    )


def score_picture(picture: Tensor, wanted: Tensor) -> Scores:
    """Scores of what came out for ``wanted``, both (3, H, W) in [0, 1]; their borders do not count."""
    got, high = _inner(picture), _inner(wanted)
    return Scores(psnr(got, high), ssim(got, high), fmean(SlicedWasserstein(high)(got)))


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean of each; of one at least."""
    return Scores(*(fmean(values) for values in zip(*map(astuple, scores), strict=True)))


@torch.no_grad()
def enlarge(upscale: Upscale, low: Tensor) -> Tensor:
    """``upscale(low)``, in bands of rows with margins, so that memory does not grow with the height."""
    height = low.shape[2]
    bands = []
    for top in range(0, height, BAND_ROWS):
        start, stop = max(0, top - BAND_MARGIN), min(height, top + BAND_ROWS + BAND_MARGIN)
        rows = min(BAND_ROWS, height - top)
        bands.append(upscale(low[:, :, start:stop])[:, :, SCALE * (top - start) :][:, :, : SCALE * rows])
    return torch.cat(bands, 2)


def bicubic(low: Tensor) -> Tensor:
    """The usual enlargement by 4, as a baseline: (N, 3, H, W) -> (N, 3, 4H, 4W)."""
    return F.interpolate(low, scale_factor=float(SCALE), mode="bicubic", align_corners=False)


def psnr(got: Tensor, wanted: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, at most 100, of pictures of one shape in [0, 1], over RGB values."""
    return float(-10 * (got - wanted).double().square().mean().clamp_min(1e-10).log10())


def ssim(got: Tensor, wanted: Tensor) -> float:
    """Mean structural similarity of pictures (3, H, W) in [0, 1]: of R, G and B each, averaged.

    Gaussian window of 11 x 11 pixels and deviation 1.5, where it lies wholly inside the picture.
    """
    x, y = got.double(), wanted.double()
    mean_x, mean_y, xx, yy, xy = (convolve(values, SSIM_TAPS) for values in (x, y, x * x, y * y, x * y))
    covariance = xy - mean_x * mean_y
    variances = xx - mean_x.square() + yy - mean_y.square()
    c1, c2 = STABILISERS
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return float((luminance * (2 * covariance + c2) / (variances + c2)).mean())


def _inner(picture: Tensor) -> Tensor:
    return picture[..., BORDER:-BORDER, BORDER:-BORDER]
