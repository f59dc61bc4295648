"""How a picture of some size is made: the sizes it passes through, and how each pass is tiled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .._core import Grid, plan_grid
from ..bundle import Manifest, Upscaler
from ..engines import WindowRules
from ..errors import BudgetError
from ..sizes import picture_sizes
from ..system.memory import LARGEST_MEMORY_LIMIT
from .cache import TileCache

__all__ = ["Chain", "FirstTiling", "Plan", "RulesOf", "Tiling", "from_detail", "from_structure", "make_plan"]

RulesOf = Callable[[Upscaler, bool], WindowRules]
"""What rules hold for an upscaler in a pass that is, or is not, the last one."""

_CHANNELS = 3
_BYTES_PER_ELEMENT = 4

_BAND_BYTES = 12
"""Bytes of bands per pixel of a pass's result: four bands of 8 bits or two of 16 may be on their way to the
writer. The same for both, so that the tiling does not depend on the type."""

_LEAST_BANDS = 4
"""Of a picture, at least: the last one is what is still to be written when networks are done. Of two, which
8K would do with, that is half of it."""
_HALOS_PER_BAND = 32
"""At least, so that lower bands do not recompute much more."""

_EARLIER_SHARES = (8, 32)
"""Which part of the memory limit the pass before the last may take, and every pass before that one; the last
takes what is left. Each has a sixteenth of the pixels of the next, so that what smaller windows recompute
there hardly counts; among such shares these recompute least at 4K to 16K."""


class FirstTiling(Protocol):
    """How a level of the first picture is tiled, where a network makes it of coordinates."""

    def plan(self, budget: int) -> Grid:
        """The grid whose windows take `budget` bytes at most; raises BudgetError."""

    def bytes(self, window_height: int, window_width: int) -> int:
        """Memory that such a window takes, with the bands that are made of it."""

    @property
    def scale(self) -> int:
        """Pixels per side that a cell becomes."""


@dataclass(frozen=True)
class Chain:
    """The way to a picture of `size`: those that it passes through, smallest first, and upscalers between.

    Sizes are (height, width); what the last one has beyond `size` is cut off. `first` is there where the
    first picture is made in tiles as well, for each of its levels.
    """

    size: tuple[int, int]
    sizes: list[tuple[int, int]]
    upscalers: list[Upscaler]
    first: Sequence[FirstTiling] = ()


def from_structure(manifest: Manifest, height: int, width: int, extent: float | None = None) -> Chain:
    """From a structure of about the size that shows one photograph, or `extent` times that, by networks."""
    extent = 1.0 if extent is None else extent
    base = [max(1, round(side * extent)) for side in manifest.base_size]
    sizes = picture_sizes(height, width, *base)
    return Chain((height, width), sizes, [manifest.upscaler(index) for index in range(len(sizes) - 1)])


def from_detail(manifest: Manifest, size: tuple[int, int], detail: tuple[int, int], passes: int) -> Chain:
    """From a picture of detail of that size, by so many passes of the upscaler of sharp pictures."""
    height, width = detail
    sizes = [(height << 2 * index, width << 2 * index) for index in range(passes + 1)]
    return Chain(size, sizes, passes * [manifest.upscalers[-1]])


@dataclass(frozen=True)
class Plan:
    """The passes of one picture.

    Level 0 is the picture itself; level i has 4^i times fewer pixels per side, and the last one is the base.
    """

    sizes: list[tuple[int, int]]
    """(height, width) of the base and of what every pass makes of it, largest last."""
    upscalers: list[Upscaler]
    grids: list[Grid]
    memory_limit: int
    bytes: int
    """Of its windows and bands, at most the memory limit."""
    cache: TileCache = field(compare=False)
    first_grids: list[Grid] = field(default_factory=list)
    """Of the first picture's levels, finest first, where a network makes them of coordinates."""
    first_scale: int = 1
    """Pixels per side that a cell of those grids becomes."""

    @property
    def passes(self) -> int:
        """The number of passes."""
        return len(self.grids)

    def tiling_of(self, level: int) -> tuple[Grid, int] | None:
        """The grid by which a network makes a level, and how many pixels per side a pixel of it becomes.

        None where no network makes it in tiles.
        """
        index = self.passes - 1 - level
        if index >= 0:
            return self.grids[index], self.upscalers[index].scale
        return (self.first_grids[-1 - index], self.first_scale) if self.first_grids else None

    @property
    def windows(self) -> list[tuple[int, int]]:
        """(height, width) of the windows of every pass, and of the first picture's levels."""
        return [(grid.window_height, grid.window_width) for grid in (*self.grids, *self.first_grids)]


def make_plan(chain: Chain, memory_limit: int, rules_of: RulesOf) -> Plan:
    """The plan for a picture within `memory_limit` bytes, on engines with such rules.

    Beside it, a quarter of the limit is allowed for tiles kept from one region to the next.
    Raises BudgetError if the limit is too small for any tile, and says which would do.
    """

    def within(limit: int) -> Plan:
        return _plan_within(limit, chain, rules_of)

    try:
        return within(memory_limit)
    except BudgetError as error:
        height, width = chain.size
        raise BudgetError(
            f"memory_limit is {memory_limit} bytes, too little for tiles and bands of a picture of "
            f"{width} x {height}: allow at least {_smallest_limit(memory_limit, within)}"
        ) from error


def _smallest_limit(too_small: int, plan_within: Callable[[int], Plan]) -> int:
    """About the smallest memory limit that will do, found by trying."""

    def will_do(limit: int) -> bool:
        try:
            plan_within(limit)
        except BudgetError:
            return False
        return True

    enough = max(1, 2 * too_small)
    while enough < LARGEST_MEMORY_LIMIT and not will_do(enough):
        too_small, enough = enough, 2 * enough
    while enough - too_small > too_small // 64 + 1:
        middle = (too_small + enough) // 2
        too_small, enough = (too_small, middle) if will_do(middle) else (middle, enough)
    return min(enough, LARGEST_MEMORY_LIMIT)


def _plan_within(memory_limit: int, chain: Chain, rules_of: RulesOf) -> Plan:
    passes = len(chain.upscalers)
    grids = []
    left = memory_limit
    for index, (size, upscaler) in enumerate(zip(chain.sizes, chain.upscalers, strict=False)):
        tiling = Tiling(*size, upscaler, rules_of(upscaler, index == passes - 1))
        budget = left
        if index < passes - 1:
            share = memory_limit // _EARLIER_SHARES[min(passes - 2 - index, 1)]
            budget = min(left, max(share, tiling.smallest))
        grid = tiling.plan(budget, tiling.least_rows if index == passes - 1 else 1)
        left -= tiling.bytes(grid.window_height, grid.window_width)
        grids.append(grid)
    firsts = [tiling.plan(left) for tiling in chain.first]
    left -= max(  # one level at a time is read
        (
            tiling.bytes(grid.window_height, grid.window_width)
            for tiling, grid in zip(chain.first, firsts, strict=True)
        ),
        default=0,
    )
    cache = TileCache(memory_limit // 4)
    taken, scale = memory_limit - left, chain.first[0].scale if chain.first else 1
    return Plan(chain.sizes, chain.upscalers, grids, memory_limit, taken, cache, firsts, scale)


@dataclass(frozen=True)
class Tiling:
    """What the tiling of one pass over a picture of height x width has to go by."""

    height: int
    width: int
    upscaler: Upscaler
    rules: WindowRules

    @property
    def activation_bytes(self) -> int:
        """Memory that the network's activations take per pixel of a window."""
        return self.rules.bytes_per_pixel or self.upscaler.bytes_per_pixel

    @property
    def slot_bytes(self) -> int:
        """Memory that the inputs and outputs of all slots take per pixel of a window."""
        tile = self.rules.format
        read, written = np.dtype(tile.input_type).itemsize, np.dtype(tile.output_type).itemsize
        return self.rules.slots * _CHANNELS * (read + written * self.upscaler.scale**2)

    @property
    def pixel_bytes(self) -> int:
        """Memory of the host that a pixel of a window takes."""
        return self.slot_bytes if self.rules.on_device else self.slot_bytes + self.activation_bytes

    @property
    def device_bytes(self) -> int:
        """Memory of a device that a pixel takes of a window whose size the planner is free to choose."""
        is_free = self.rules.on_device and self.rules.window is None
        return self.slot_bytes + self.activation_bytes if is_free else 0

    @property
    def row_bytes(self) -> int:
        """Memory that a row of a window takes, by the bands that are as wide as the picture."""
        return _BAND_BYTES * self.upscaler.scale**2 * self.width

    @property
    def smallest(self) -> int:
        """Memory that the smallest window takes."""
        if self.rules.window is not None:
            return self.bytes(*self.rules.window)
        side = -(-(2 * self.upscaler.halo + 1) // self.rules.alignment) * self.rules.alignment
        return self.bytes(side, side)

    def bytes(self, window_height: int, window_width: int) -> int:
        """Memory that a window takes, of the host, with the bands that are made of it, or of the device."""
        host = window_height * (window_width * self.pixel_bytes + self.row_bytes)
        return max(host, window_height * window_width * self.device_bytes)

    def max_pixels(self, budget: int) -> int:
        """How large a window may be, if a device has as much memory to give as the host: `budget` bytes."""
        # No tensor is larger than all activations together.
        pixels = self.rules.largest_tensor * _BYTES_PER_ELEMENT // self.activation_bytes
        if self.device_bytes:
            pixels = min(pixels, budget // self.device_bytes)
        return max(1, pixels)

    @property
    def least_rows(self) -> int:
        """Of tiles, for a picture on its way into a file."""
        return max(1, min(_LEAST_BANDS, self.height // (_HALOS_PER_BAND * max(1, self.upscaler.halo))))

    def plan(self, budget: int, least_rows: int = 1) -> Grid:
        """The grid of so many rows of tiles that recomputes least; raises BudgetError."""
        return plan_grid(
            self.height,
            self.width,
            self.upscaler.halo,
            budget,
            pixel_bytes=self.pixel_bytes,
            row_bytes=self.row_bytes,
            max_pixels=self.max_pixels(budget),
            max_side=self.rules.max_side,
            alignment=self.rules.alignment,
            least_rows=least_rows,
            window=self.rules.window,
        )
