"""A bundle's samples against its photograph, size by size; its upscalers against bicubic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from ourgan_sdk import Bundle, Synthesizer

from ..bundling.assemble import as_function
from ..networks.lpips import LPIPS, SIDE
from ..networks.rrdb import SCALE
from ..photo import Photo, reduce, to_float
from .inception import InceptionFeatures
from .layout import layout_drift
from .nearest_patches import NearestPatches
from .restoration import Upscale, bicubic, make_task, score, task_sizes
from .sifid import SIFID
from .sliced_wasserstein import SlicedWasserstein

OWN_SHARE = 1 / 12
"""Of the photograph's width: the part that upscalers are compared on where none was held out."""

Numbers = dict[str, float]
Measure = Callable[[Tensor], Numbers]
"""Numbers about one picture (3, H, W), float32 in [0, 1]."""


def compared_size(photo: Photo, width: int, height: int) -> tuple[int, int]:
    """(height, width) that pictures of ``width`` x ``height`` are compared at: not larger than the photo."""
    ratio = min(1, photo.width / width, photo.height / height)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


class Comparison:
    """Samples after a number of passes, and the photograph at their size."""

    def __init__(self, synthesizer: Synthesizer, photo: Photo, passes: int, device: torch.device) -> None:
        self.synthesizer, self.passes, self.device = synthesizer, passes, device
        height, width = synthesizer.bundle.manifest.base_size
        self.width, self.height = width * SCALE**passes, height * SCALE**passes
        self.size = compared_size(photo, self.width, self.height)
        self.photo = reduce(to_float(photo.pixels)[None], *self.size)[0].to(device)
        self.measures: list[Measure] = []
        self.numbers: list[Numbers] = []  # of each sample

    def sample(self, seed: int) -> Tensor:
        """A sample (3, H, W), rendered at its own size and reduced where the photograph is smaller."""
        pixels = torch.from_numpy(self.synthesizer.render(self.width, self.height, seed)).permute(2, 0, 1)
        picture = to_float(pixels.to(self.device))
        return picture if picture.shape == self.photo.shape else reduce(picture[None], *self.size)[0]

    def add(self, picture: Tensor) -> None:
        """Measures one sample."""
        self.numbers.append(self._measure(picture))

    def _measure(self, picture: Tensor) -> Numbers:
        return {name: value for measure in self.measures for name, value in measure(picture).items()}

    def summary(self) -> dict[str, Any]:
        """Mean and deviation of every metric over samples, beside the photograph's own mirror image.

        That one is a new picture of the same kind, as good as can be: it gives each metric its scale.
        """
        mirrored = self._measure(self.photo.flip(2))
        return {
            "passes": self.passes,
            "rendered": [self.width, self.height],
            "compared": [self.size[1], self.size[0]],
            "metrics": {
                name: {**spread([numbers[name] for numbers in self.numbers]), "mirrored_photo": value}
                for name, value in mirrored.items()
            },
        }


def spread(values: list[float]) -> dict[str, float]:
    """Mean and standard deviation of two or more values."""
    return {"mean": fmean(values), "deviation": stdev(values)}


def measure_patches(photo: Tensor) -> Measure:
    """Sliced Wasserstein distance: the mean of all levels, and each, finest first."""
    distance = SlicedWasserstein(photo)

    def measure(picture: Tensor) -> Numbers:
        levels = distance(picture)
        return {"swd": fmean(levels), **{f"swd_level_{i}": value for i, value in enumerate(levels)}}

    return measure


def measure_structure(photo: Tensor) -> Measure:
    """What belongs to the structure: coherence, completeness, layout drift."""
    compare = NearestPatches(photo)

    def measure(picture: Tensor) -> Numbers:
        coherence, completeness = compare(picture)
        drift = layout_drift(picture, photo)
        return {"coherence": coherence, "completeness": completeness, "layout_drift": drift}

    return measure


def measure_features(network: InceptionFeatures, photo: Tensor) -> Measure:
    """SIFID after both layers."""
    distance = SIFID(network, photo)

    def measure(picture: Tensor) -> Numbers:
        fifth, thirteenth = distance(picture)
        return {"sifid_5": fifth, "sifid_13": thirteenth}

    return measure


def pairwise_lpips(network: LPIPS, samples: Tensor) -> list[float]:
    """LPIPS of all pairs of samples (N, 3, H, W), brought to 256 px (long side); on the network's device."""
    height, width = samples.shape[2:]
    size = [max(1, round(n * SIDE / max(height, width))) for n in (height, width)]
    with torch.no_grad():
        features = [network.features(reduce(one[None].to(network.shift.device), *size)) for one in samples]
        pairs = combinations(features, 2)
        return [float(network.between(one, other)) for one, other in pairs]


def evaluate_upscalers(bundle: Bundle, photo: Photo) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Scores of the upscalers of later passes and of pass 1, beside bicubic's; what was left out, and why."""
    manifest = bundle.manifest
    held_out = 0.0 if manifest.training is None else manifest.training.held_out
    share = held_out or OWN_SHARE
    rows: list[dict[str, Any]] = []
    left_out = {}
    for name, long_side in task_sizes(photo, max(manifest.base_size)):
        upscaler = manifest.upscalers[-1 if name == "later" else 0]
        label = f"{name}, {long_side} px"
        try:
            task = make_task(photo, share, long_side, upscaler.noise_deviation)
        except ValueError as e:
            left_out[f"upscaler {label}"] = str(e)
            continue
        rows.append(
            {
                "task": label,
                "file": upscaler.file,
                "held_out": held_out > 0,
                "share_of_width": share,
                "photo_long_side": long_side,
                "noise_deviation": upscaler.noise_deviation,
                "upscaler": asdict(score(as_upscale(bundle.network(upscaler.file).data), task)),
                "bicubic": asdict(score(bicubic, task)),
            }
        )
    return rows, left_out


def as_upscale(network: bytes) -> Upscale:
    """An ONNX upscaler as a function of tensors."""
    run = as_function(network)
    return lambda low: torch.from_numpy(run(low.numpy()))
