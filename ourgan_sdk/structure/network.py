"""The base picture from a bundle's structure network and noise."""

import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from .._core import Box, NonFiniteError, normal, scatter
from ..arrays import Picture
from ..bundle import Structure
from ..engines.onnxruntime import OnnxRuntimeEngine
from ..errors import EngineError, EngineMemoryError
from ..progress import RenderStats

__all__ = ["NetworkStructure", "render_structure"]


def render_structure(
    structure: Structure,
    engine: OnnxRuntimeEngine,
    size: tuple[int, int],
    seed: int,
    *,
    dtype: np.dtype[Any],
    stats: RenderStats,
) -> Picture:
    """The base picture, `size` (height, width) and 3 of `dtype`; noise of scale m is drawn from stream m.

    `engine` holds the network of `structure`. Raises EngineError or NonFiniteError if it does not give such a
    picture.
    """
    height, width = size
    trained = structure.scales[-1]
    noise = {}
    for stream, scale in enumerate(structure.scales):
        rows = max(1, round(height * scale.height / trained.height))
        columns = max(1, round(width * scale.width / trained.width))
        maps = normal(scale.channels, rows, columns, seed, stream, deviation=scale.noise_deviation)
        noise[f"noise_{stream}"] = maps[np.newaxis]
    started = time.perf_counter()
    try:
        output = engine.run(noise)
    except EngineMemoryError as error:  # which smaller tiles would not help: it is not tiled
        raise EngineError(f"a structure of {width} x {height} does not fit into memory: {error}") from error
    stats.engine_seconds += time.perf_counter() - started
    expected = (1, 3, height, width)
    if output.shape != expected:
        raise EngineError(f"expected {structure.file} to give {expected}, got {output.shape}")
    picture = np.empty((height, width, 3), dtype)
    damaged = scatter(output[0], Box(0, 0, height, width), picture, 0, 0)
    if damaged:
        raise NonFiniteError(f"{structure.file} gave {damaged} values that are not finite")
    return picture


class NetworkStructure:
    """The structure of one picture as its first: whole, (height, width) `size`, made when it is read.

    `engine` gives the network of `structure`. The picture made last is kept: it is small.
    """

    between = np.dtype(np.float32)
    """Passes take it as the network gives it."""

    def __init__(
        self, structure: Structure, engine: Callable[[], OnnxRuntimeEngine], size: tuple[int, int], seed: int
    ) -> None:
        self.sizes = (size,)
        self._structure = structure
        self._engine = engine
        self._seed = seed
        self._kept: tuple[np.dtype[Any], Picture] | None = None

    def work(self, _level: int, _box: Box) -> int:
        """The pixels of the whole: it is not made in parts."""
        height, width = self.sizes[0]
        return height * width

    def bands(
        self,
        _level: int,
        box: Box,
        dtype: np.dtype[Any],
        stats: RenderStats,
        advance: Callable[[int], object],
    ) -> Generator[Picture, None, None]:
        """The pixels of `box`, as one band; raises what `render_structure` raises."""
        kept = self._kept
        if kept is None or kept[0] != dtype:
            picture = render_structure(
                self._structure, self._engine(), self.sizes[0], self._seed, dtype=dtype, stats=stats
            )
            kept = self._kept = dtype, picture
        advance(self.work(0, box))
        yield kept[1][box.y0 : box.y1, box.x0 : box.x1]
