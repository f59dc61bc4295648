"""What upscalers are trained on: patches of a photograph's reductions, and of their own reductions by 4."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.rrdb import SCALE
from ..photo import Photo, reduce, smallest_long_side, to_float
from ..presets import UpscalerConfig


@dataclass(frozen=True)
class Pair:
    """A picture and what it is to become: one reduction of the photograph, say, after its own reduction by 4.

    Where it is not ``matched``, the large picture shows what belongs at the same height, and something else:
    it gives the statistics of details, and the small one what they must not change.
    """

    high: Tensor  # (3, 4h, 4w) uint8
    low: Tensor  # (3, h, w) float32 in [0, 1]
    matched: bool = True


@dataclass(frozen=True)
class Batch:
    """Aligned patches: (N, 3, s + 2 m, s + 2 m) of small pictures, (N, 3, 4s, 4s) of large ones."""

    low: Tensor  # with noise and with the margin m of the configuration, float32
    high: Tensor  # float32 in [0, 1]
    inner: Tensor  # (N, 3, s, s): ``low`` without either
    matched: Tensor  # (N, 1, 1, 1), 1 or 0


def make_pairs(photo: Photo, long_sides: Sequence[int], held_out: float = 0.0) -> list[Pair]:
    """Training pairs at the given sizes (long side of the whole high-resolution picture, pixels).

    The right ``held_out`` of the width is left away.
    """
    full = to_float(photo.pixels)[None]
    ratio = 1 / max(photo.height, photo.width)
    pairs = []
    for long_side in long_sides:
        h, w = (max(1, round(n * ratio * long_side / SCALE)) for n in (photo.height, photo.width))
        high = reduce(full, h * SCALE, w * SCALE)[..., : SCALE * (w - math.ceil(w * held_out))]
        low = reduce(high, h, high.shape[-1] // SCALE)
        pairs.append(Pair((high[0] * 255).round().to(torch.uint8), low[0]))
    return pairs


def later_sizes(photo: Photo, structure_long: int, window: int, held_out: float = 0.0) -> list[int]:
    """Long sides for the later passes.

    The photograph's own, and every half octave down to what pass 1 makes, or as far as windows fit beside
    the part held out.
    """
    native = max(photo.height, photo.width)
    smallest = max(SCALE * structure_long, smallest_long_side(photo, window, held_out))
    sizes = [native / 2 ** (i / 2) for i in range(12)]
    return [round(s) for s in sizes if s >= smallest] or [native]


def first_sizes(photo: Photo, structure_long: int, window: int, held_out: float = 0.0) -> list[int]:
    """Long sides for pass 1, and pass 2: around 4 x what they are given, as the photograph allows."""
    native = max(photo.height, photo.width)
    smallest = smallest_long_side(photo, window, held_out)
    return [round(min(max(SCALE * structure_long * f, smallest), native)) for f in (0.8, 1.0, 1.25)]


def structure_pairs(
    photo: Photo, reconstructions: Tensor, samples: Tensor, window: int, held_out: float = 0.0
) -> list[Pair]:
    """What early passes will meet: pictures (N, 3, h, w) in [0, 1], and the photograph at 4 times their size.

    ``reconstructions`` show what the photograph shows; ``samples`` anything, of which the photograph has the
    like at the same height. None where they have no room for a window, or the photograph is smaller than what
    they are to become: it would have to be enlarged, and its blur be learned.
    """
    height, width = reconstructions.shape[2:]
    kept = width - math.ceil(width * held_out)
    if min(height, kept) * SCALE < window or SCALE * height > photo.height or SCALE * width > photo.width:
        return []
    high = reduce(to_float(photo.pixels)[None], SCALE * height, SCALE * width)[0, ..., : SCALE * kept]
    pixels = (high * 255).round().to(torch.uint8)
    return [
        Pair(pixels, picture[..., :kept].cpu(), matched)
        for pictures, matched in ((reconstructions, True), (samples, False))
        for picture in pictures
    ]


class Patches:
    """Random aligned patches, mirrored at random (step T of the paper's algorithms).

    ``pairs`` gives the pictures to cut them from at a step. With ``turned`` they are also turned by right
    angles, as ESRGAN does; not where what is learned is one photograph, which has an above and a below.
    Without ``noise`` the small pictures have some grain, where the configuration says so.
    """

    def __init__(
        self,
        pairs: Callable[[int], Sequence[Pair]],
        config: UpscalerConfig,
        noise: float,
        device: torch.device,
        *,
        turned: bool = False,
    ) -> None:
        self.pairs, self.config, self.noise, self.device = pairs, config, noise, device
        self.turned = turned

    def __call__(self, step: int) -> Batch:
        """A batch for one step."""
        pairs = self.pairs(step)
        drawn = [pairs[i] for i in torch.randint(len(pairs), (self.config.batch,)).tolist()]
        lows, highs = zip(*map(self._cut, drawn), strict=True)
        margin = self.config.margin
        clean = torch.stack(lows).to(self.device)
        high = crop(to_float(torch.stack(highs).to(self.device)), SCALE * margin)
        low = clean + torch.randn_like(clean) * self._deviations(len(clean))
        matched = torch.tensor([float(pair.matched) for pair in drawn], device=self.device)
        return Batch(
            channels_last(low), channels_last(high), crop(clean, margin), matched[:, None, None, None]
        )

    def _deviations(self, count: int) -> Tensor:
        """Of the noise in each of so many small pictures: (count, 1, 1, 1)."""
        if self.noise or not self.config.grain:
            return torch.full((count, 1, 1, 1), self.noise, device=self.device)
        return self.config.grain * torch.rand(count, 1, 1, 1, device=self.device)

    def _cut(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """A window of ``pair`` somewhere in it, turned somehow."""
        size = self.config.window // SCALE
        y, x = (int(torch.randint(n - size + 1, ())) for n in pair.low.shape[1:])
        low = pair.low[:, y : y + size, x : x + size]
        high = pair.high[:, SCALE * y : SCALE * (y + size), SCALE * x : SCALE * (x + size)]
        if torch.rand(()) < 0.5:
            low, high = low.flip(-1), high.flip(-1)
        if self.turned:
            quarters = int(torch.randint(4, ()))
            low, high = (torch.rot90(picture, quarters, (1, 2)) for picture in (low, high))
        return low, high


def crop(pictures: Tensor, margin: int) -> Tensor:
    """``pictures`` (N, C, H, W) without ``margin`` pixels on every side."""
    height, width = pictures.shape[2:]
    return pictures[..., margin : height - margin, margin : width - margin]


def channels_last(x: Tensor) -> Tensor:
    """``x`` in the memory layout that convolutions on processors and tensor cores like."""
    return x.contiguous(memory_format=torch.channels_last)
