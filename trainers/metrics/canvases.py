"""Canvases at their own resolution, against the photograph at their scale: ``full_resolution`` over seeds.

The renderer's own plan says which scale that is, and its own resizing makes the photograph's level, so that
what differs is the picture. Where networks make a canvas, it is compared at the scale that detail of its
size would have.

A canvas so large that passes enlarge what the photograph has is compared before them, at a level that the
photograph still has the pixels for: beyond it there is nothing to compare with. So what is in memory is
bounded by the photograph and not by the canvas: a picture at most three times as long (with its pyramid
some seven bytes a pixel), and the photograph's level, at most 1.5 times as long.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from ourgan_sdk import Box, Canvas, Synthesizer
from ourgan_sdk.detail import plan_detail
from ourgan_sdk.detail.photograph import make_levels

from ..photo import Photo
from .full_resolution import FullResolution, Numbers, Sources, check_sizes
from .octaves import Pixels

PASS_SCALE = 4


class CanvasComparison:
    """Canvases of one size of ``synthesizer``'s bundle, whose photograph is ``photo``.

    Raises:
        ValueError: the photograph is not as large as the bundle's, or something is too small to be measured.
        SizeError: there are no canvases of this size.
    """

    def __init__(self, synthesizer: Synthesizer, photo: Photo, width: int, height: int) -> None:
        learned = synthesizer.bundle.photo
        if (learned.height, learned.width) != (photo.height, photo.width):
            raise ValueError(
                f"a photograph of {photo.width} x {photo.height} has not the scale of the bundle's, "
                f"which has {learned.width} x {learned.height}"
            )
        self.synthesizer, self.photo = synthesizer, photo
        self.width, self.height = width, height
        self.plan = plan_detail((photo.height, photo.width), (height, width))
        check_sizes(self.plan.size, self.plan.photograph[-1])

    @functools.cached_property
    def compare(self) -> FullResolution:
        """The photograph at the canvases' scale, as the renderer has it."""
        pixels: Pixels = np.ascontiguousarray(self.photo.pixels.permute(1, 2, 0).numpy())
        return FullResolution(make_levels(pixels, self.plan)[-1])

    def canvas(self, seed: int) -> Canvas:
        """The canvas of a seed."""
        return self.synthesizer.canvas(self.width, self.height, seed)

    def level(self, canvas: Canvas) -> int:
        """Which of its levels is compared.

        Raises:
            ValueError: it has none of the size that the photograph has the pixels for.
        """
        wanted = PASS_SCALE**self.plan.passes
        for index, level in enumerate(canvas.levels):
            if level.downsample == wanted:
                return index
        raise ValueError(f"{canvas.width} x {canvas.height}: no level is {wanted} times smaller per side")

    def measure(self, seed: int) -> Numbers:
        """All numbers about the canvas of a seed; about pieces and borders where it knows its sources."""
        canvas = self.canvas(seed)
        level = self.level(canvas)
        return self.compare.measure(canvas.read(level=level), sources_of(canvas, level))

    def summary(self, by_seed: dict[int, Numbers]) -> dict[str, Any]:
        """Every number over seeds, beside that of the photograph's own mirror image, None if it has none."""
        seeds, numbers = list(by_seed), list(by_seed.values())
        mirrored = self.compare.mirrored()
        return {
            "rendered": [self.width, self.height],
            "compared": list(self.plan.size[::-1]),
            "passes_left_out": self.plan.passes,
            "photograph": list(self.plan.photograph[-1][::-1]),
            "extent": self.plan.extent,
            "detail": "photograph" if "source_largest" in numbers[0] else "network",
            "seeds": [seeds[0], seeds[-1]],
            "metrics": {
                name: {**values, "mirrored_photo": mirrored.get(name)}
                for name, values in over_seeds(numbers).items()
            },
        }


def sources_of(canvas: Canvas, level: int) -> Sources | None:
    """Where the pixels of a level come from; None where a network makes them."""
    try:
        canvas.sources(Box(0, 0, 1, 1), level)
    except ValueError:
        return None
    return lambda y0, x0, y1, x1: canvas.sources(Box(y0, x0, y1, x1), level)


def over_seeds(numbers: Sequence[Numbers]) -> dict[str, dict[str, float]]:
    """Mean, minimum and maximum of every number over those seeds that have it; ``samples``: how many."""
    result = {}
    for name in dict.fromkeys(name for one in numbers for name in one):
        values = [one[name] for one in numbers if name in one]
        result[name] = {
            "mean": fmean(values),
            "minimum": min(values),
            "maximum": max(values),
            "samples": len(values),
        }
    return result
