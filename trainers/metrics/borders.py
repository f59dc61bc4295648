"""Visible borders: what shows where a picture's pieces of its photograph meet.

A *border pair* is two pixels side by side, or one above the other, whose offsets (source minus position)
differ. Pairs are gathered into *runs*: 8 pairs or more of one direction, of the same two offsets, within 16
rows (columns, for pairs one above the other); 16 for a straight border. The *step* of a run at width d
(2, 4, 8, 16) is the mean of the d pixels next to the border on one side of all its pairs, minus that on the
other side, root mean square over R, G and B, in 8-bit levels. So differences of tone add up along a border
although every single one is below the noise. Borders within 16 pixels of a region's end are left out.

What steps would be there anyhow the photograph says: each run, its two sides' strips included, is laid over
the photograph's level twice, where its one side comes from and where its other side does, and measured in the
same way: the *natural* steps, which are gradients, texture and noise of just those places in runs of the same
shape.

Per percentile p of runs ``stands_out`` is the largest difference, over the widths, between the p-th
percentile of steps at borders and that of natural ones, in 8-bit levels: 0 where borders cannot be told from
the photograph's own pixels; a uniform difference of tone of t levels in plain areas gives t, less what is
natural there. Values are negative where blending has left less than the photograph's own noise. What is
blended over n pixels still has 16 / n of its step at width 16.

*Smooth* are runs on both sides of which the photograph is smooth at the pair's sources: standard deviation of
luma within 15 x 15 pixels below 2.5 levels. All others are *busy*. The *gradient ratio* is the mean absolute
difference of the pairs themselves, over channels, at borders divided by that in the photograph.

The definitions are this project's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .copied import Integers
from .diversity import LUMA
from .octaves import Pixels

WIDTHS = (2, 4, 8, 16)
REACH = WIDTHS[-1]
RUN = 16
SHORTEST_RUN = 8
CONTRAST_WINDOW = 15
SMOOTH = 2.5  # levels
PERCENTILES = (50, 95, 99)
FEWEST_RUNS = 20  # of a kind, without which there are no numbers about it
RUNS = 2048  # per region, direction at most; drawn at random
KINDS = ("smooth", "busy")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Steps:
    """Runs of one kind of area; percentiles (percentile, width) as in PERCENTILES and WIDTHS, in levels."""

    runs: int
    at_borders: npt.NDArray[np.float64]
    natural: npt.NDArray[np.float64]
    gradient_ratio: float

    @property
    def stands_out(self) -> dict[int, float]:
        """By percentile: the largest difference over widths."""
        differences = (self.at_borders - self.natural).max(1)
        return {p: float(value) for p, value in zip(PERCENTILES, differences, strict=True)}


@dataclass(frozen=True)
class Borders:
    """What was found; ``share`` is that of border pairs among all pairs of neighbours, in [0, 1]."""

    share: float
    kinds: dict[str, Steps]  # smooth, busy: those with 20 runs at least

    def numbers(self) -> dict[str, float]:
        """``border_share``; of every kind its runs, stands_out by percentile and gradient ratio."""
        result = {"border_share": self.share}
        for kind, steps in self.kinds.items():
            result[f"border_{kind}_runs"] = float(steps.runs)
            for percentile, value in steps.stands_out.items():
                result[f"border_{kind}_stands_out_{percentile}"] = value
            result[f"border_{kind}_gradient_ratio"] = steps.gradient_ratio
        return result


class VisibleBorders:
    """Collects the runs of a picture's regions, one after the other.

    ``photograph``: the level that sources point into, (H, W, 3) uint8. ``seed`` draws runs where there are
    too many.
    """

    def __init__(
        self, photograph: Pixels, seed: int = 0, smooth: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """``smooth``: what ``smooth_places(photograph)`` says, where it is known already."""
        self.photograph = photograph
        self.smooth = smooth_places(photograph) if smooth is None else smooth
        self.random = np.random.default_rng(seed)
        self.pairs = self.border_pairs = 0
        self.at_borders: dict[str, list[Floats]] = {kind: [] for kind in KINDS}
        self.natural: dict[str, list[Floats]] = {kind: [] for kind in KINDS}

    def add(self, picture: Pixels, sources: Integers) -> None:
        """A region (h, w, 3) uint8 and the sources (h, w, 2) of its pixels: (y, x) in the photograph.

        Raises:
            ValueError: they are not of one size, or sources lie outside the photograph.
        """
        if picture.shape[:2] != sources.shape[:2]:
            raise ValueError(f"expected sources of {picture.shape[:2]}, got {sources.shape[:2]}")
        if sources.size and (sources.min() < 0 or (sources.max((0, 1)) >= self.photograph.shape[:2]).any()):
            raise ValueError("sources lie outside the photograph")
        offsets = sources.astype(np.int64) - np.moveaxis(np.indices(sources.shape[:2]), 0, -1)
        self._add(picture, offsets, self.photograph, self.smooth)
        turned = offsets.transpose(1, 0, 2)[..., ::-1]  # rows as columns: pairs one above the other
        self._add(picture.transpose(1, 0, 2), turned, self.photograph.transpose(1, 0, 2), self.smooth.T)

    def result(self) -> Borders:
        """Of all regions so far."""
        kinds = {}
        for kind in KINDS:
            nothing = np.empty((0, len(WIDTHS) + 1), np.float32)
            here, there = (np.concatenate([nothing, *of[kind]]) for of in (self.at_borders, self.natural))
            if min(len(here), len(there)) < FEWEST_RUNS:
                continue
            at_borders, natural = (np.percentile(one[:, :-1], PERCENTILES, axis=0) for one in (here, there))
            gradient_ratio = float(here[:, -1].mean() / max(there[:, -1].mean(), 1e-6))
            kinds[kind] = Steps(len(here), at_borders, natural, gradient_ratio)
        return Borders(self.border_pairs / max(1, self.pairs), kinds)

    def _add(
        self, picture: Pixels, offsets: Integers, photograph: Pixels, smooth: npt.NDArray[np.bool_]
    ) -> None:
        """Pairs side by side."""
        differs = (offsets[:, 1:] != offsets[:, :-1]).any(2)
        self.pairs += differs.size
        self.border_pairs += int(differs.sum())
        y, x = differs.nonzero()
        whole = (x >= REACH - 1) & (x + REACH < picture.shape[1])
        y, x = y[whole], x[whole]
        left, right = offsets[y, x], offsets[y, x + 1]
        is_smooth = smooth[y + left[:, 0], x + left[:, 1]] & smooth[y + right[:, 0], x + 1 + right[:, 1]]
        run, count = self._runs(y, left, right, is_smooth)
        if not count:
            return
        taken = run >= 0
        y, x, left, right, is_smooth, run = (a[taken] for a in (y, x, left, right, is_smooth, run))
        lengths = np.bincount(run, minlength=count)
        kind_of_run = np.bincount(run, is_smooth, count) > 0

        def measure(pixels: Pixels, rows: Integers, columns: Integers) -> Floats:
            """(runs, widths + 1): steps by width, mean gradient; not a number where a strip is cut off."""
            inside = (columns >= REACH - 1) & (columns + REACH < pixels.shape[1])
            inside &= (rows >= 0) & (rows < pixels.shape[0])
            values = strip_differences(
                pixels, np.where(inside, rows, 0), np.where(inside, columns, REACH - 1)
            )
            gradients = np.bincount(run, np.abs(values[:, :, -1]).mean(1), count) / lengths
            sums = [np.bincount(run, one, count) for one in values[:, :, :-1].reshape(len(run), -1).T]
            means = np.stack(sums, 1).reshape(count, 3, len(WIDTHS)) / lengths[:, None, None]
            steps = np.sqrt(np.square(means).mean(1))
            result = np.concatenate([steps, gradients[:, None]], 1).astype(np.float32)
            result[np.bincount(run, ~inside, count) > 0] = np.nan
            return result

        steps = measure(picture, y, x)
        natural = [measure(photograph, y + offset[:, 0], x + offset[:, 1]) for offset in (left, right)]
        for kind, chosen in (("smooth", kind_of_run), ("busy", ~kind_of_run)):
            there = np.concatenate([one[chosen] for one in natural])
            self.at_borders[kind].append(steps[chosen])
            self.natural[kind].append(there[~np.isnan(there[:, 0])])

    def _runs(
        self, y: Integers, left: Integers, right: Integers, is_smooth: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], int]:
        """The run that every pair belongs to, -1 for none; and how many runs there are."""
        key = np.zeros(len(y), np.uint64)
        for part in (y // RUN, *left.T, *right.T, is_smooth):  # a hash: 64 bits do not hold all of them
            key = (key ^ part.astype(np.int64).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        _, group, counts = np.unique(key, return_inverse=True, return_counts=True)
        long = np.flatnonzero(counts >= SHORTEST_RUN)
        if len(long) > RUNS:
            long = self.random.choice(long, RUNS, replace=False)
        number = np.full(len(counts), -1)
        number[long] = np.arange(len(long))
        return number[group], len(long)


def measure_borders(regions: Iterable[tuple[Pixels, Integers]], photograph: Pixels, seed: int = 0) -> Borders:
    """Of a picture's regions (or the whole as one), each with its sources."""
    borders = VisibleBorders(photograph, seed)
    for picture, sources in regions:
        borders.add(picture, sources)
    return borders.result()


def strip_differences(pixels: Pixels, y: Integers, x: Integers) -> Floats:
    """Between the strips right and left of the borders right of (``y``, ``x``): (pairs, 3, widths + 1).

    By width; the last one of width 1: the pair's own difference.
    """
    weights = np.zeros((2 * REACH, len(WIDTHS) + 1), np.float32)
    for i, width in enumerate((*WIDTHS, 1)):
        weights[REACH : REACH + width, i] = 1 / width
        weights[REACH - width : REACH, i] = -1 / width
    columns = x[:, None] + np.arange(1 - REACH, REACH + 1)
    strips = pixels[y[:, None], columns].transpose(0, 2, 1)  # (pairs, 3, 32)
    result: Floats = strips.astype(np.float32) @ weights
    return result


def smooth_places(photograph: Pixels) -> npt.NDArray[np.bool_]:
    """Where luma deviates by less than 2.5 levels within 15 x 15 pixels, its edges repeated: (H, W)."""
    reach = CONTRAST_WINDOW // 2
    height, width = photograph.shape[:2]
    result = np.empty((height, width), bool)
    rows_at_once = 256
    weights = np.array(LUMA, np.float32)
    for top in range(0, height, rows_at_once):
        bottom = min(top + rows_at_once, height)
        rows = np.clip(np.arange(top - reach, bottom + reach), 0, height - 1)
        luma = np.pad(photograph[rows].astype(np.float32) @ weights, ((0, 0), (reach, reach)), mode="edge")
        mean, square = _window_mean(luma), _window_mean(np.square(luma))
        result[top:bottom] = square - np.square(mean) < SMOOTH**2
    return result


def _window_mean(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Over 15 x 15, where that lies inside."""
    sums = values.astype(np.float64)
    for axis in (0, 1):
        total = np.cumsum(sums, axis)
        total = np.concatenate([np.zeros_like(total.take([0], axis)), total], axis)
        length = total.shape[axis]
        sums = total.take(range(CONTRAST_WINDOW, length), axis) - total.take(
            range(length - CONTRAST_WINDOW), axis
        )
    return sums / CONTRAST_WINDOW**2
