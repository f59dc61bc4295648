"""All numbers about one picture at its full resolution, against the photograph at the picture's scale.

A canvas has a *scale*: how many of its pixels the photograph's long side would take. The photograph is
resized to it (best by whoever made the picture: the finest octave of two usual resizings differs by a tenth),
and from then on pixels stand against pixels:

* ``amplitude_2_4px`` ... and ``matched_2_4px`` ...: ratios of amplitudes per octave (``octaves``);
* ``swd_full_level_0`` ...: sliced Wasserstein distance per level, finest first, x 1000
  (``sliced_wasserstein_any_size``), and ``swd_full``: the mean of those levels at which the photograph's long
  side has more than 64 pixels. Coarser ones are composition;
* ``copied_largest``, ``copied_typical``, ``copied_pieces``: pieces found by nearest patches (``copied``);
* where sources are known, ``source_largest``, ``source_typical``, ``source_pieces`` of these, and
  ``border_...``: what borders between pieces show (``borders``).

8192 x 4320 takes 8 s on one thread and 1.1 GB, without sources (2 cores of an AMD EPYC with AVX-512).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..photo import Photo, reduce, to_float
from .borders import VisibleBorders, smooth_places
from .copied import LONG_SIDE, Copied, CopiedShare, Integers, copied_share
from .octaves import OctaveAmplitudes, Pixels, fitting_tile
from .sliced_wasserstein_any_size import Pyramid, SlicedWassersteinAnySize, gaussian_pyramid, level_count

BAND_ROWS = 512  # that are read of a picture at once
REGION = 768  # pixels per side, of the regions whose sources are asked for
BORDER_REGIONS = 40  # in which borders are measured, at most; drawn at random
SOURCE_PLACES = 65536  # about as many sources are looked at for pieces

COARSE_SIDE = 64  # pixels, of the photograph: levels up to it are composition

Numbers = dict[str, float]
Sources = Callable[[int, int, int, int], Integers]
"""(y0, x0, y1, x1) -> (y1 - y0, x1 - x0, 2): (y, x) in the photograph's level that pixels are mainly from."""

LABELS = {
    "amplitude": "amplitude, {} (1: as the photograph)",
    "matched": "  at equal composition, {}",
    "swd_full_level": "  level {}",
    "swd_full": "sliced Wasserstein, x 1000",
    "copied_largest": "largest piece found, share",
    "copied_typical": "typical piece found, share",
    "copied_pieces": "pieces found",
    "source_largest": "largest piece, share",
    "source_typical": "typical piece, share",
    "source_pieces": "pieces",
    "border_share": "pairs at borders, share",
}
"""How the table names numbers; others by their keys."""


class Sliceable(Protocol):
    """A picture of ``shape`` (height, width, 3): an array, or a canvas of the runtime."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, 3)."""

    def __getitem__(self, key: Any, /) -> Any:
        """``picture[y0:y1, x0:x1]`` -> uint8 (y1 - y0, x1 - x0, 3)."""


class FullResolution:
    """Measures pictures against one photograph at their scale.

    Raises:
        ValueError: the photograph is too small (64 pixels on the short side are needed), or not 8-bit RGB.
    """

    def __init__(self, photograph: Pixels, seed: int = 0) -> None:
        """``photograph``: (H, W, 3) uint8, resized to the canvas's scale."""
        self.photograph, self.seed = as_pixels(photograph), seed
        self.scale = max(self.photograph.shape[:2])
        pyramid = gaussian_pyramid(self.photograph)
        self.amplitudes = OctaveAmplitudes(self.photograph)
        self.distance = SlicedWassersteinAnySize(pyramid, seed)
        self.fine_levels = max(1, sum(max(shape) > COARSE_SIDE for shape in pyramid.shapes))
        self.copied = CopiedShare(self._coarse(pyramid))

    def measure(self, picture: Sliceable, sources: Sources | None = None) -> Numbers:
        """All numbers about a picture, which is read once, front to back; and so are its sources.

        What has no meaning is left out: octaves that the photograph does not have, borders of which there are
        too few.

        Raises:
            ValueError: the picture is much smaller than the photograph, or not 8-bit RGB.
        """
        pixels = as_pixels(picture)
        octaves = self.amplitudes(pixels)
        plain = {f"amplitude_{one.name}": one.plain for one in octaves}
        matched = {f"matched_{one.name}": one.matched for one in octaves if one.matched is not None}
        pyramid = gaussian_pyramid(pixels)
        levels = self.distance(pyramid)
        numbers = {
            **{name: value for name, value in (plain | matched).items() if math.isfinite(value)},
            "swd_full": fmean(levels[: self.fine_levels]),
            **{f"swd_full_level_{i}": value for i, value in enumerate(levels)},
            **_named("copied", self.copied(self._coarse(pyramid))),
        }
        return numbers | (self._measure_sources(pixels, sources) if sources else {})

    def mirrored(self) -> Numbers:
        """Of the photograph's own mirror image: a new picture of the same kind, as good as can be."""
        return self.measure(np.ascontiguousarray(self.photograph[:, ::-1]))

    def _coarse(self, pyramid: Pyramid) -> Tensor:
        """The picture with the photograph's long side at 256 pixels (or its own, where that is less)."""
        ratio = min(1.0, LONG_SIDE / self.scale)
        size = [max(1, round(side * ratio)) for side in pyramid.shapes[0]]
        halvings = min(len(pyramid.halvings), max(0, math.floor(math.log2(1 / ratio)) - 1))
        level = pyramid.halvings[halvings - 1] if halvings else to_float(_planes(pyramid.picture))
        return reduce(level[None], *size)[0]

    def _measure_sources(self, pixels: Pixels, sources: Sources) -> Numbers:
        height, width = pixels.shape[:2]
        regions = list(_regions(height, width))
        random = np.random.default_rng(self.seed)
        measured = set(random.permutation(len(regions))[:BORDER_REGIONS].tolist())
        stride = max(1, math.ceil(math.sqrt(height * width / SOURCE_PLACES)))
        places = np.zeros((-(-height // stride), -(-width // stride), 2), np.int64)
        borders = VisibleBorders(self.photograph, self.seed, smooth_places(self.photograph))
        for i, (y0, x0, y1, x1) in enumerate(regions):
            field = sources(y0, x0, y1, x1)
            first_y, first_x = (-start % stride for start in (y0, x0))
            sample = field[first_y::stride, first_x::stride]
            top, left = (y0 + first_y) // stride, (x0 + first_x) // stride
            places[top : top + sample.shape[0], left : left + sample.shape[1]] = sample
            if i in measured:
                borders.add(pixels[y0:y1, x0:x1], field)
        return {**_named("source", copied_share(places, stride)), **borders.result().numbers()}


def measure_full_resolution(
    picture: Sliceable, photograph: Pixels, *, sources: Sources | None = None, seed: int = 0
) -> Numbers:
    """All numbers about one ``picture``, against ``photograph`` (H, W, 3) uint8 resized to its scale.

    Raises:
        ValueError: one of them is too small, or not 8-bit RGB.
    """
    return FullResolution(photograph, seed).measure(picture, sources)


def check_sizes(picture: tuple[int, int], photograph: tuple[int, int]) -> None:
    """Whether a picture can be measured against a photograph, both (height, width), before either is made.

    Raises:
        ValueError: one of them is too small.
    """
    tile, (height, width) = fitting_tile(*photograph), picture
    if min(picture) < tile or level_count(*picture) < level_count(*photograph):
        shown = f"{photograph[1]} x {photograph[0]}"
        raise ValueError(f"a picture of {width} x {height} is too small for a photograph of {shown}")


def photograph_at(photo: Photo, scale: int) -> Pixels:
    """The photograph resized to a long side of ``scale`` pixels (bicubic, antialiased), (H, W, 3) uint8."""
    ratio = scale / max(photo.height, photo.width)
    size = [max(1, round(side * ratio)) for side in (photo.height, photo.width)]
    if size == [photo.height, photo.width]:
        planes = photo.pixels
    else:
        planes = (reduce(to_float(photo.pixels)[None], *size)[0] * 255).round_().byte()
    result: Pixels = planes.permute(1, 2, 0).contiguous().numpy()
    return result


def as_pixels(picture: Sliceable) -> Pixels:
    """The picture in memory: arrays (mapped ones too) as they are, anything else read in bands of rows.

    Raises:
        ValueError: it is not (H, W, 3) uint8.
    """
    if len(picture.shape) != 3 or picture.shape[2] != 3:
        raise ValueError(f"expected a picture of shape (height, width, 3), got {tuple(picture.shape)}")
    if isinstance(picture, np.ndarray):
        pixels = picture
    else:
        height, width = picture.shape[:2]
        pixels = np.empty((height, width, 3), picture[0:1, 0:1].dtype)
        for top in range(0, height, BAND_ROWS):
            pixels[top : top + BAND_ROWS] = picture[top : min(top + BAND_ROWS, height), 0:width]
    if pixels.dtype != np.uint8:
        raise ValueError(f"expected 8-bit pixels, got {pixels.dtype}")
    return pixels


def table(columns: Mapping[str, Numbers]) -> str:
    """Numbers for people: a row for each, a column for each picture."""
    names = list(dict.fromkeys(name for numbers in columns.values() for name in numbers))
    lines = [f"{'':<44}" + "".join(f"{title:>16}" for title in columns)]
    lines += [row(name, [numbers.get(name) for numbers in columns.values()]) for name in names]
    return "\n".join(lines)


def row(name: str, values: list[float | None]) -> str:
    """One number of all pictures; a dash where there is none."""
    shown = ["-" if value is None else f"{value:.{_digits(name)}f}" for value in values]
    return f"{_label(name):<44}" + "".join(f"{text:>16}" for text in shown)


def _label(name: str) -> str:
    if name in LABELS:
        return LABELS[name]
    for prefix in ("amplitude", "matched", "swd_full_level"):
        if name.startswith(prefix):
            detail = name.removeprefix(f"{prefix}_")
            return LABELS[prefix].format(detail.replace("_", " to ").replace("px", " px"))
    return name.replace("_", " ")


def _digits(name: str) -> int:
    if name.endswith(("pieces", "runs")):
        return 0
    if name.startswith("swd"):
        return 1
    return 4 if name.startswith(("copied", "source", "border_share")) else 3


def _named(prefix: str, copied: Copied) -> Numbers:
    return {
        f"{prefix}_largest": copied.largest,
        f"{prefix}_typical": copied.typical,
        f"{prefix}_pieces": float(copied.pieces),
    }


def _regions(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    for y in range(0, height, REGION):
        for x in range(0, width, REGION):
            yield y, x, min(y + REGION, height), min(x + REGION, width)


def _planes(picture: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
