"""Structures composed of a photograph's own patches, from coarse to fine, without any training.

GPNN (Granot, Feinstein, Shocher, Bagon, Irani, "Drop the GAN: In defense of patches nearest neighbors as
single image generative models", CVPR 2022): a picture begins as noise at a coarse level, and at this and
every finer one its patches are replaced by those of the photograph that are nearest to them, in several
rounds, where patches that are not yet in the picture are preferred. Here the row that a patch lies at is one
more coordinate of it, as OUR-GAN has it for networks (Yoon et al., ECCV 2022, section 3.1): sky stays above
ground.

What patches make is copied: in pieces, some of them large. `MOST_COPIED` bounds them.
"""

import hashlib
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import Composition, CompositionSettings, resample
from ..arrays import Picture
from ..progress import RenderStats
from ..sizes import patches_size
from ..stopping import check_stop
from .layout import Layout
from .network import as_structure
from .source import Report, Start
from .start import moved, random_steps

__all__ = ["MOST_COPIED", "PatchesSource", "level_count"]

MOST_COPIED = 0.38
"""The share of a picture that one piece of the photograph may be; with a larger one it is drawn again."""

_DRAWS = 4
"""Layouts drawn at most; of those with too large a piece the one with the smallest is taken."""

_COARSEST = 26.7
"""The coarsest level's side, were it a square, in pixels of the photograph, at a variety of 1/2. The smaller,
the more of the photograph a patch of 8 x 8 holds: at 18 almost half of the height, and large parts are
copied; at 40 a fifth, and objects fall apart."""

_COARSEST_RANGE = 1.5
"""What a variety of 1 multiplies that by, and one of 0 divides it by; and the same for the noise."""
_NOISE_RANGE = 1.6

_START_NOISE = 48
_START_MOVES = 4.0
"""Of a picture that a structure starts from, at a variety of 1, and none at 0: the deviation of noise added
to it, in 8-bit levels, and about how far its parts move, in pixels of the scale below. Noise alone is
searched away; seeds that move things by 2 pixels give a third of the variety of new layouts."""

_START_COMPLETENESS = 4000
"""Of a start: how little it matters that all of the photograph is shown. Usual compositions, where it matters
much, put into a painting what it does not ask for."""

_USUAL = 0.5
"""The variety whose levels starts are counted by."""

_RATIO = 0.75
"""From one level to the next coarser one, about."""

_SHORTEST = 9
"""Pixels of the photograph's short side at the coarsest level: of a patch, and one to move it by."""

Size = tuple[int, int]


class PatchesSource:
    """Structures of one seed and layout, of patches of a photograph that `reduced` gives at any size."""

    def __init__(
        self,
        reduced: Callable[[Size], Picture],
        photograph: Size,
        layout: Layout,
        seed: int,
        threads: int = 0,
    ) -> None:
        """`photograph`: its (height, width). `threads`: 0 for all that the machine has."""
        self._size = patches_size(*photograph)
        self.long_side = max(self._size)
        self.work_per_pixel = 300
        self.bytes_per_pixel = 512
        self._reduced = reduced
        self._layout = layout
        self._seed = seed
        self._threads = threads

    def picture(self, size: Size, dtype: np.dtype[Any], stats: RenderStats) -> tuple[Picture, float | None]:
        """The structure, composed at about its own size and enlarged or reduced to `size`."""
        composed = self.start(size, stats, lambda _share: check_stop())
        if not isinstance(composed, Composition):
            return as_structure(composed, size, dtype), None
        return as_structure(np.asarray(composed.picture), size, dtype), composed.copied

    def start(self, size: Size, stats: RenderStats, report: Report) -> Start:
        """The composition, of exactly this size; the picture itself, where nothing is left to compose."""
        start = self._layout.start
        if start is not None and start.scale == len(self._levels(size)):
            return as_structure(start.pixels, size, np.dtype(np.uint16))
        started = time.perf_counter()
        best = self._draw(size, 0, report)
        is_new = not self._layout.retarget and start is None
        for number in range(1, _DRAWS if is_new else 1):
            if best.copied <= MOST_COPIED:
                break
            other = self._draw(size, number, report)
            best = min(best, other, key=lambda composition: composition.copied)
        stats.structure_seconds += time.perf_counter() - started
        return best

    def _levels(self, size: Size) -> list[tuple[Size, Size]]:
        """All of them; a start has to be told by its number, whatever the variety."""
        variety = self._layout.wildness if self._layout.start is None else _USUAL
        return composition_levels(self._size, size, variety)

    def _draw(self, size: Size, number: int, report: Report) -> Composition:
        layout = self._layout
        settings = CompositionSettings()
        settings.noise = round(settings.noise * _NOISE_RANGE ** (2 * layout.wildness - 1))
        settings.row = round(settings.row * layout.rows**2)
        photograph, levels, start = self._reduced(self._size), self._levels(size), None
        if layout.retarget:
            start = photograph
        elif layout.start is not None:
            # Reduced to the level below first: what is finer is not the picture's to say.
            start = resample(layout.start.pixels, *levels[layout.start.scale - 1][1], threads=self._threads)
            steps = random_steps(start.shape[:2], self._seed)
            start = moved(start, steps, _START_MOVES * layout.wildness)
            levels = levels[layout.start.scale :]
            settings.start_noise = round(_START_NOISE * layout.wildness)
            settings.completeness = _START_COMPLETENESS
        return Composition(
            photograph,
            levels,
            start=start,
            wrap=layout.wrap,
            seed=sub_seed(self._seed, number),
            settings=settings,
            threads=self._threads,
            report=lambda share: report((number + share) / (number + 1)),
        )


def sub_seed(seed: int, number: int) -> int:
    """The seed of draw `number`; the first one is the seed itself."""
    if number == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:8], "little")


def level_count(photograph: Size) -> int:
    """How many levels structures of a photograph of that (height, width) have where they start from one."""
    size = patches_size(*photograph)
    return len(composition_levels(size, size, _USUAL))


def composition_levels(photograph: Size, picture: Size, variety: float) -> list[tuple[Size, Size]]:
    """(height, width) of photograph and picture at every level, coarsest first; at the last those given.

    Both of the same factor to the last level's, in even steps.
    """
    side = _COARSEST * _COARSEST_RANGE ** (2 * variety - 1)
    factor = min(1.0, max(side / math.sqrt(math.prod(photograph)), _SHORTEST / min(photograph)))
    count = max(1, round(math.log(factor) / math.log(_RATIO)))

    def scaled(size: Size, step: int, least: int) -> Size:
        height, width = (max(least, round(length * factor ** (step / count))) for length in size)
        return height, width

    levels = [(scaled(photograph, step, _SHORTEST), scaled(picture, step, 1)) for step in range(count, 0, -1)]
    return [*levels, (photograph, picture)]
