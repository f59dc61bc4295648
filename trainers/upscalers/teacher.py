"""Learning from a larger upscaler: crops of the photograph, and what a teacher makes of them.

Beyond the photograph's own resolution nobody knows what should come out; a network that has seen many
photographs has an idea. Its results are training pairs like any other (knowledge distillation, Hinton et al.
2015, by the targets alone): the small network learns from them what edges and surfaces look like when they
are sharp. What is taught so is as free to use as the teacher's weights are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..networks import Upscaler
from ..photo import Photo, reduce, to_float
from .patches import Pair, channels_last

CROPS = 12
SIDE = 96  # low-resolution pixels of a crop: 0.15 megapixels of a result, 1 to 2 s by RRDB-23/64 on two cores
LEAST_SIDE = 600  # pixels, long side of the smallest reduction that crops are cut from


def taught_pairs(
    photo: Photo, teach: Callable[[Tensor], Tensor], held_out: float, seed: int, done: Callable[[], None]
) -> list[Pair]:
    """Random crops of the photograph, at its own size and by half octaves below, enlarged by a teacher.

    ``teach``: (1, 3, h, w) in [0, 1] -> (1, 3, 4h, 4w); ``done`` is called after every crop. The right
    ``held_out`` of the width is left away. The same ``seed`` gives the same crops.
    """
    generator = torch.Generator().manual_seed(seed)
    pictures = reductions(photo, held_out)
    pairs = []
    for i in range(CROPS):
        picture = pictures[i % len(pictures)]
        side = min(SIDE, *picture.shape[2:])
        y, x = (int(torch.randint(n - side + 1, (), generator=generator)) for n in picture.shape[2:])
        low = picture[:, :, y : y + side, x : x + side]
        high = (teach(low)[0].clamp(0, 1) * 255).round().to(torch.uint8).cpu()
        pairs.append(Pair(high, low[0].clone()))
        done()
    return pairs


def reductions(photo: Photo, held_out: float) -> list[Tensor]:
    """The photograph beside the part held out, (1, 3, H, W), at its own size and by half octaves below."""
    native = max(photo.height, photo.width)
    kept = photo.width - math.ceil(photo.width * held_out)
    full = to_float(photo.pixels[..., :kept])[None]
    count = max(1, 1 + math.floor(2 * math.log2(max(1.0, native / LEAST_SIDE))))
    sizes = [[max(1, round(n / 2 ** (i / 2))) for n in full.shape[2:]] for i in range(count)]
    return [full, *(reduce(full, *size) for size in sizes[1:])]


def as_teacher(network: Upscaler, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A network as a function of pictures; in bfloat16, which is twice as fast and as good for this."""
    network = network.to(device).eval()

    @torch.no_grad()
    def teach(low: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            enlarged: Tensor = network(channels_last(low.to(device)))
        return enlarged.float()

    return teach


def balanced(own: Sequence[Pair], taught: Sequence[Pair]) -> list[Pair]:
    """Both, so that about every other patch that is drawn is of the photograph itself."""
    repeated = max(1, len(taught) // max(1, len(own)))
    return [*(repeated * list(own)), *taught]
