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
from .source import Report

__all__ = ["MOST_COPIED", "PatchesSource"]

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
        composition = self.start(size, stats, lambda _share: check_stop())
        resized = resample(np.asarray(composition.picture), *size, threads=self._threads)
        if dtype == np.float32:
            resized = np.asarray(resized / np.float32(65535))
        elif dtype == np.uint8:
            resized = np.asarray((resized + 128) // 257, np.uint8)
        return resized, composition.copied

    def start(self, size: Size, stats: RenderStats, report: Report) -> Composition:
        """The composition, of exactly this size."""
        started = time.perf_counter()
        best = self._draw(size, 0, report)
        for number in range(1, 1 if self._layout.retarget else _DRAWS):
            if best.copied <= MOST_COPIED:
                break
            other = self._draw(size, number, report)
            best = min(best, other, key=lambda composition: composition.copied)
        stats.structure_seconds += time.perf_counter() - started
        return best

    def _draw(self, size: Size, number: int, report: Report) -> Composition:
        layout = self._layout
        settings = CompositionSettings()
        settings.noise = round(settings.noise * _NOISE_RANGE ** (2 * layout.wildness - 1))
        settings.row = round(settings.row * layout.rows**2)
        return Composition(
            self._reduced(self._size),
            composition_levels(self._size, size, layout.wildness),
            retarget=layout.retarget,
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
