"""Any part of any level of a picture that a network makes of coordinates."""

import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .._core import Box, Grid, Tile, normal, scatter
from ..arrays import Picture, Tensor
from ..engines.onnxruntime import OnnxRuntimeEngine
from ..errors import EngineError, NonFiniteError
from ..passes.cache import TileCache
from ..passes.tiles import Tiles
from ..progress import RenderStats
from ..structure import Base
from .placement import CellLevel, Placement

__all__ = ["CoordinatesPicture", "latent_of"]

Advance = Callable[[int], object]

_STREAM = 0
"""Of the seed's noise: that of a structure network's coarsest scale, which such bundles have none of."""


def latent_of(length: int, seed: int) -> Tensor:
    """The code of a seed, normal, float32 (1, length): the same on every machine."""
    return np.ascontiguousarray(normal(length, 1, 1, seed, _STREAM).reshape(1, length))


@dataclass(frozen=True)
class _CellTiles(Tiles):
    """The tiles of cells that a part of a level takes."""

    index: int
    grid: Grid
    scale: int
    target: Box
    dtype: np.dtype[Any]
    cache: TileCache | None


@dataclass(frozen=True)
class CoordinatesPicture:
    """A picture that is made whole by one network, `engine`, as `placement` says, of the code of `seed`.

    It is read once it is `planned`: in windows of the levels' `grids`, kept in `cache` if there is one. What
    a tile is depends on its place in its grid alone, not on what is read.
    """

    placement: Placement
    engine: Callable[[], OnnxRuntimeEngine]
    seed: int
    grids: Sequence[Grid] = ()
    cache: TileCache | None = None

    between = np.dtype(np.uint16)
    """The type that a pass would take it in."""

    copied_share = None
    """There are no pieces of a photograph."""

    def planned(self, grids: Sequence[Grid], cache: TileCache | None) -> "CoordinatesPicture":
        """The same, to be read by these grids."""
        return replace(self, grids=grids, cache=cache)

    @property
    def extent(self) -> float:
        """How many squares long its shorter side is."""
        return self.placement.extent

    @cached_property
    def latent(self) -> Tensor:
        """What the seed stands for."""
        return latent_of(self.placement.record.latent, self.seed)

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) of its levels."""
        return [level.size for level in self.placement.levels]

    def work(self, level: int, box: Box) -> int:
        """The pixels that the network makes for `box`; nothing has to be found before."""
        if not box.height or not self.grids:
            return 0
        tiles = self._tiles(level, box, np.dtype(np.uint8))
        return tiles.work * tiles.scale**2

    def need(self, _dtype: np.dtype[Any]) -> tuple[int, Mapping[Hashable, int]]:
        """Nothing beside what the plan says; nothing is shared."""
        return 0, {}

    def close(self) -> None:
        """Nothing is kept but in the plan's cache."""

    def base(self, _dtype: np.dtype[Any], _stats: RenderStats, _advance: Advance) -> Base:
        """Nothing has to be found."""
        return {}

    def use_base(self, base: Mapping[str, npt.NDArray[Any]]) -> None:
        """Raises ValueError if something was found."""
        if base:
            raise ValueError(f"expected nothing that is found of coordinates, got {', '.join(base)}")

    def bands(
        self, level: int, box: Box, dtype: np.dtype[Any], stats: RenderStats, advance: Advance
    ) -> Generator[Picture, None, None]:
        """The pixels of `box`, (h, w, 3) of `dtype`, in bands from top to bottom.

        Raises EngineError (of memory: EngineMemoryError), NonFiniteError and BundleError.
        """
        tiles = self._tiles(level, box, dtype)
        pixels = tiles.window_area * tiles.scale**2
        for row in tiles.tiles:
            band = tiles.known_band(row)
            for tile in row:
                if (tile.row, tile.column) in tiles.known:
                    continue
                made = self._made(self.placement.levels[level], tile, dtype, stats)
                if tiles.cache is not None:
                    tiles.cache.put(tiles.key(tile), made)
                tiles.place(tile, made, band)
                stats.tiles += 1
                stats.window_pixels += pixels
                advance(pixels)
            yield band

    def _tiles(self, level: int, box: Box, dtype: np.dtype[Any]) -> _CellTiles:
        return _CellTiles(level, self.grids[level], self.placement.record.stride, box, dtype, self.cache)

    def _made(self, level: CellLevel, tile: Tile, dtype: np.dtype[Any], stats: RenderStats) -> Picture:
        """What a tile owns, of whole cells."""
        record, window, core = level.record, tile.window, tile.core
        feeds = {
            "coordinates": level.coordinates(window),
            "scale": np.array([level.square_side], np.float32),
            "latent": self.latent,
        }
        engine = self.engine()
        started = time.perf_counter()
        output = engine.run(feeds)
        stats.engine_seconds += time.perf_counter() - started
        expected = (1, 3, record.stride * window.height, record.stride * window.width)
        if output.shape != expected:
            raise EngineError(f"expected {record.file} to give {expected}, got {output.shape}")
        sides = (core.y0 - window.y0, core.x0 - window.x0, core.y1 - window.y0, core.x1 - window.x0)
        crop = Box(*(record.stride * side for side in sides))
        made = np.empty((crop.height, crop.width, 3), dtype)
        damaged = scatter(output[0], crop, made, 0, 0)
        if damaged:
            raise NonFiniteError(f"{record.file} gave {damaged} values that are not finite")
        return made
