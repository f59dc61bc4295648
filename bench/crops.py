"""A sheet of parts of pictures at 100 %, side by side: what networks make, detail, and the photograph.

The pictures have no place in common, so each shows its own: the busiest (the largest mean difference of
neighbouring pixels, a quarter of the size) and a smooth one (the tenth percentile).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyvips

from trainers.metrics.canvases import CanvasComparison
from trainers.metrics.full_resolution import Sliceable
from trainers.metrics.octaves import Pixels

__all__ = ["save_crops"]

SIDE = 512
GAP = 8
PERCENTILES = (100, 10)  # busiest, smooth
REDUCTION = 4


def save_crops(path: Path, bundles: Iterable[Sequence[CanvasComparison]], seed: int = 0) -> None:
    """Write a PNG with two rows per bundle, which is given as what measures its networks' and its detail."""
    rows: list[list[Pixels]] = []
    for comparisons in bundles:
        columns = [crops_of_canvas(one, seed) for one in comparisons]
        photograph = comparisons[-1].compare.photograph
        columns.append(crops(photograph, photograph[::REDUCTION, ::REDUCTION]))
        rows += [list(row) for row in zip(*columns, strict=True)]
    height = len(rows) * (SIDE + GAP) - GAP
    sheet = np.full((height, len(rows[0]) * (SIDE + GAP) - GAP, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, crop in enumerate(row):
            y, x = i * (SIDE + GAP), j * (SIDE + GAP)
            sheet[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    pyvips.Image.new_from_array(sheet, interpretation="srgb").write_to_file(str(path))


def crops_of_canvas(comparison: CanvasComparison, seed: int) -> list[Pixels]:
    """Of a seed's canvas, at the level that is compared; its places are looked for in a coarser one."""
    canvas = comparison.canvas(seed)
    level = canvas.levels[comparison.level(canvas)]
    coarse = next(one for one in canvas.levels if one.downsample == REDUCTION * level.downsample)
    return crops(level, coarse[:])


def crops(picture: Sliceable, reduced: Pixels) -> list[Pixels]:
    """The busiest part and a smooth one; `reduced` is the picture at a quarter of its size."""
    return [
        np.asarray(picture[y : y + SIDE, x : x + SIDE])
        for y, x in (place(reduced, SIDE // REDUCTION, percentile) for percentile in PERCENTILES)
    ]


def place(reduced: Pixels, side: int, percentile: float) -> tuple[int, int]:
    """(y, x), at full size, of the part whose busyness comes nearest to that percentile of all parts."""
    luma = reduced.astype(np.float32).mean(2)
    busy = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
    height, width = busy.shape
    places = [
        (y, x)
        for y in range(0, max(1, height - side + 1), side // 2)
        for x in range(0, max(1, width - side + 1), side // 2)
    ]
    means = np.array([busy[y : y + side, x : x + side].mean() for y, x in places])
    y, x = places[int(np.abs(means - np.percentile(means, percentile)).argmin())]
    return REDUCTION * y, REDUCTION * x
