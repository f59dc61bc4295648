"""What upscalers make beyond the resolution that they have seen, against the truth.

The photograph at its full size is the truth, its reduction by 4 the input, and the upscaler to judge was
trained on the photograph at half its size: the finest octave is one that it has never seen. Compared are the
busiest parts; the smooth ones are alike by any means, and would hide the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.lpips import LPIPS
from ..networks.rrdb import SCALE
from ..photo import Photo, reduce, to_float
from .octaves import OctaveAmplitudes, Pixels
from .restoration import Task, Upscale, bicubic, enlarge, score_picture

SIDE = 512  # pixels of a part
PARTS = 4

Numbers = dict[str, float]

LABELS = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "swd": "SWD x 1000",
    "amplitude_2_4px": "amplitude 2 to 4 px",
    "amplitude_4_8px": "4 to 8 px",
    "pattern": "4 px pattern, levels",
    "lpips": "LPIPS",
}

BLOCK = 64  # pixels per side, in which a pattern is looked for


def compare_beyond(
    photo: Photo,
    upscalers: Mapping[str, Upscale],
    lpips: LPIPS | None = None,
    done: Callable[[], None] = lambda: None,
) -> dict[str, Numbers]:
    """Means over the busiest parts of ``photo``, for bicubic interpolation and every upscaler by name.

    PSNR in dB, SSIM, sliced Wasserstein distance x 1000; amplitudes of the two finest octaves, 1 being the
    photograph's; what repeats with every input pixel (:func:`grid_pattern`); and LPIPS, where its network is
    given. ``done`` is called after every part.

    Raises:
        ValueError: the photograph is smaller than one part.
    """
    rows: dict[str, list[Numbers]] = {}
    for high in busiest_parts(photo):
        task = Task(reduce(high, *(n // SCALE for n in high.shape[2:])), high[0])
        for name, upscale in {"bicubic": bicubic, **upscalers}.items():
            rows.setdefault(name, []).append(measure(upscale, task, lpips))
        done()
    return {
        name: {key: fmean(part[key] for part in parts) for key in parts[0]} for name, parts in rows.items()
    }


def busiest_parts(photo: Photo) -> list[Tensor]:
    """Squares (1, 3, 512, 512) in [0, 1] of the photograph, on a grid, with the most local contrast.

    Raises:
        ValueError: there is no room for one.
    """
    rows, columns = photo.height // SIDE, photo.width // SIDE
    if not rows * columns:
        raise ValueError(f"expected at least {SIDE} x {SIDE} pixels, got {photo.width} x {photo.height}")
    grid = to_float(photo.pixels[:, : rows * SIDE, : columns * SIDE])
    luma = grid.mean(0)[None, None]
    steps = [F.pad((luma[..., 1:, :] - luma[..., :-1, :]).abs(), (0, 0, 0, 1))]
    steps.append(F.pad((luma[..., 1:] - luma[..., :-1]).abs(), (0, 1)))
    contrast = F.avg_pool2d(steps[0] + steps[1], SIDE).flatten()
    places = contrast.topk(min(PARTS, len(contrast))).indices.tolist()
    starts = [(SIDE * (place // columns), SIDE * (place % columns)) for place in places]
    return [grid[None, :, y : y + SIDE, x : x + SIDE] for y, x in starts]


def measure(upscale: Upscale, task: Task, lpips: LPIPS | None) -> Numbers:
    """All numbers of one part."""
    enlarged = enlarge(upscale, task.low).clamp(0, 1)
    scores = score_picture(enlarged[0], task.high)
    fine, second, *_ = OctaveAmplitudes(_pixels(task.high))(_pixels(enlarged[0]))
    numbers = {
        "psnr": scores.psnr,
        "ssim": scores.ssim,
        "swd": scores.swd,
        "amplitude_2_4px": fine.plain,
        "amplitude_4_8px": second.plain,
        "pattern": grid_pattern(enlarged[0]),
    }
    if lpips is not None:
        device = lpips.shift.device
        numbers["lpips"] = float(lpips(enlarged.to(device), task.high[None].to(device)))
    return numbers


def grid_pattern(picture: Tensor) -> float:
    """How strong what repeats every 4 pixels is in ``picture`` (3, H, W) in [0, 1], in 8-bit levels.

    Root mean square over the 4 x 4 places of the luma's local contrast, averaged over a block of 64 x 64; the
    mean of all blocks. Busy parts of photographs have 0.4 to 1 by chance, smooth ones 0.1.
    """
    luma = 255 * picture.mean(0)[None, None]
    rest = (luma - F.avg_pool2d(F.pad(luma, (3, 4, 3, 4), mode="reflect"), 2 * SCALE, 1))[0, 0]
    rows, columns = (n // BLOCK for n in rest.shape)
    blocks = rest[: rows * BLOCK, : columns * BLOCK]
    places = blocks.reshape(rows, BLOCK // SCALE, SCALE, columns, BLOCK // SCALE, SCALE).mean((1, 4))
    return float(places.square().mean((1, 3)).sqrt().mean())


def lines(rows: Mapping[str, Numbers]) -> list[str]:
    """A table for people."""
    names = [name for name in LABELS if any(name in numbers for numbers in rows.values())]
    head = f"{'':<24}" + "".join(f"{LABELS[name]:>22}" for name in names)
    return [head, *(_row(title, numbers, names) for title, numbers in rows.items())]


def _row(title: str, numbers: Numbers, names: list[str]) -> str:
    digits = {"psnr": 2, "swd": 1, "ssim": 4}
    return f"{title:<24}" + "".join(f"{numbers[name]:>22.{digits.get(name, 3)}f}" for name in names)


def _pixels(picture: Tensor) -> Pixels:
    result: Pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return result
