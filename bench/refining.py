"""What a refiner is compared on: parts of a photograph given back, and whole pictures.

Three tasks at a factor r, all with the photograph at one *scale* (its long side in pixels):

* **held out**: the right part of the photograph, which no network has seen, after its own reduction by r.
  Detail is a canvas of all the rest, started from the reduction of the whole; the same part is taken of it.
* **reduced**: the whole photograph after its reduction by r. Most of it was trained on. Detail is a canvas
  one photograph wide (seed 0), which is no reconstruction but a new picture.
* **new**: that canvas after its own reduction by r: a new picture whose detail is to be made. Detail is the
  canvas itself.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ourgan_sdk import Canvas, Synthesizer
from trainers.metrics.canvases import sources_of
from trainers.metrics.full_resolution import FullResolution, Numbers, photograph_at
from trainers.metrics.octaves import OctaveAmplitudes, Pixels
from trainers.metrics.restoration import Upscale, score_picture
from trainers.metrics.restoration import enlarge as by_pass
from trainers.networks.lpips import LPIPS
from trainers.networks.refiner import Refiner, enlarge
from trainers.networks.rrdb import SCALE
from trainers.photo import Photo, reduce, to_float
from trainers.upscalers.refiner import refine

__all__ = ["Contender", "Subject", "by_bicubic", "by_passes", "by_refiner", "measure_part"]

DETAIL = "detail"
SEED = 0
FACTORS_DIVIDE = 12  # sides of the part held out are multiples of it: x2, x3, x4 and x6 are exact
LPIPS_SIDE = 256

Contender = Callable[[Tensor, int, int], Tensor]
"""(1, 3, h, w) in [0, 1], height, width -> (1, 3, height, width) in [0, 1]."""


def by_bicubic(low: Tensor, height: int, width: int) -> Tensor:
    """Interpolation alone."""
    return enlarge(low, height, width).clamp(0, 1)


def by_passes(upscale: Upscale) -> Contender:
    """As many passes of x4 as lead beyond the size, then reduced to it, as `ourgan superres` does."""

    def contend(low: Tensor, height: int, width: int) -> Tensor:
        factor = max(height / low.shape[2], width / low.shape[3])
        for _ in range(math.ceil(math.log(factor, SCALE) - 1e-6)):
            low = by_pass(upscale, low).clamp(0, 1)
        return reduce(low, height, width)

    return contend


def by_refiner(network: Refiner) -> Contender:
    """One step of any factor."""
    return lambda low, height, width: refine(network, low, height, width, SEED)


class Subject:
    """One photograph at one scale, and what it is measured with: made when it is first asked for.

    Raises:
        ValueError: the photograph is too small to be measured.
    """

    def __init__(self, photo: Photo, scale: int, held_out: float, lpips: LPIPS | None) -> None:
        """``scale``: its long side in pixels, if it has so many; ``held_out``: share of its width."""
        self.lpips = lpips
        self.whole = photograph_at(photo, min(scale, max(photo.height, photo.width)))
        height, width = self.whole.shape[:2]
        self.kept = width - round(width * held_out)  # columns
        sides = [n - n % FACTORS_DIVIDE for n in (height, width - self.kept)]
        self.part = _floats(self.whole[: sides[0], width - sides[1] :])  # (1, 3, h, w) in [0, 1]

    @cached_property
    def compare(self) -> FullResolution:
        """What pictures of the whole are measured with."""
        return FullResolution(self.whole)

    @cached_property
    def mirror(self) -> Numbers:
        """Of the mirror image."""
        return self.compare.mirrored()

    @cached_property
    def canvas(self) -> Canvas:
        """A new picture, one photograph wide."""
        height, width = self.whole.shape[:2]
        return _learned(self.whole).canvas(width, height, SEED, extent=1)

    @cached_property
    def rest(self) -> Synthesizer:
        """Of the photograph without the part held out."""
        return _learned(self.whole[:, : self.kept])

    def held_out(self, factor: float, contender: Contender | None) -> tuple[Numbers, Tensor]:
        """Numbers about the part given back, and the picture (3, h, w); without a contender, of detail."""
        height, width = self.part.shape[2:]
        if contender is None:
            picture = self._detail(factor)
        else:
            low = reduce(self.part, *(round(n / factor) for n in (height, width)))
            picture = contender(low, height, width)
        return measure_part(picture[0], self.part[0], self.lpips), picture[0]

    def _detail(self, factor: float) -> Tensor:
        """A canvas of the rest of the photograph, started from the whole of it as it is known; its part."""
        height, width = self.whole.shape[:2]
        low = reduce(_floats(self.whole), *(round(n / factor) for n in (height, width)))
        learned = self.rest.bundle.manifest.photo
        assert learned is not None
        canvas = self.rest.canvas(
            *(width, height, SEED),
            extent=max(width, height) / max(learned.width, learned.height),
            start=_pixels(low[0]),
            start_scale=self.rest.start_scales,
        )
        part_height, part_width = self.part.shape[2:]
        return _floats(canvas[:part_height, width - part_width :])

    def reduced(self, factor: float, contender: Contender | None) -> Numbers:
        """Numbers about the whole photograph given back."""
        if contender is None:
            return self._relative(self.compare.measure(self.canvas.read(), sources_of(self.canvas, 0)))
        return self._relative(self.compare.measure(self._given_back(self.whole, factor, contender)))

    def new(self, factor: float, contender: Contender | None) -> Numbers:
        """Numbers about a new picture whose detail is made; its pieces are the canvas's."""
        if contender is None:
            return self.reduced(factor, None)
        picture = self._given_back(self.canvas.read(), factor, contender)
        return self._relative(self.compare.measure(picture, sources_of(self.canvas, 0)))

    def _given_back(self, whole: Pixels, factor: float, contender: Contender) -> Pixels:
        height, width = whole.shape[:2]
        low = reduce(_floats(whole), *(round(n / factor) for n in (height, width)))
        return _pixels(contender(low, height, width)[0])

    def _relative(self, numbers: Numbers) -> Numbers:
        """With sliced Wasserstein distances in units of the mirror image's."""
        return {
            name: value / self.mirror[name] if name.startswith("swd") else value
            for name, value in numbers.items()
        }


def measure_part(picture: Tensor, wanted: Tensor, lpips: LPIPS | None) -> Numbers:
    """PSNR, SSIM, sliced Wasserstein distance, amplitudes, LPIPS; both (3, h, w) in [0, 1]."""
    scores = score_picture(picture, wanted)
    octaves = OctaveAmplitudes(_pixels(wanted))(_pixels(picture))
    numbers = {"psnr": scores.psnr, "ssim": scores.ssim, "swd": scores.swd}
    numbers |= {f"amplitude_{one.name}": one.plain for one in octaves[:2]}
    if lpips is not None:
        side = min(LPIPS_SIDE, picture.shape[2])
        tops = range(0, picture.shape[1] - side + 1, side)
        numbers["lpips"] = fmean(
            float(lpips(*(one[None, :, top : top + side, :side] for one in (picture, wanted))))
            for top in tops
        )
    return numbers


def _learned(pixels: Pixels) -> Synthesizer:
    """Of a picture as a photograph."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.png"
        Image.fromarray(pixels).save(path, compress_level=1)
        return Synthesizer(path, threads=1)


def _floats(pixels: Pixels) -> Tensor:
    return to_float(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1))[None]


def _pixels(picture: Tensor) -> Pixels:
    result: Pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return result
