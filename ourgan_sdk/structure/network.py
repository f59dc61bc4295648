"""Structures from a bundle's network and noise."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import Box, normal, scatter
from ..arrays import Picture
from ..bundle import Structure
from ..engines.onnxruntime import OnnxRuntimeEngine
from ..errors import EngineError, EngineMemoryError, NonFiniteError
from ..progress import RenderStats
from .source import Report, Start

__all__ = ["NetworkSource", "render_structure"]


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


class NetworkSource:
    """Structures of one seed by a bundle's network, which `engine` gives; each is made anew."""

    def __init__(self, structure: Structure, engine: Callable[[], OnnxRuntimeEngine], seed: int) -> None:
        finest = structure.scales[-1]
        self.long_side = max(finest.height, finest.width)
        self.work_per_pixel = 10
        self.bytes_per_pixel = 4096
        self._structure = structure
        self._engine = engine
        self._seed = seed

    def picture(
        self, size: tuple[int, int], dtype: np.dtype[Any], stats: RenderStats
    ) -> tuple[Picture, float | None]:
        """The structure, (height, width) `size`, of no pieces; raises what `render_structure` raises."""
        engine = self._engine()
        return render_structure(self._structure, engine, size, self._seed, dtype=dtype, stats=stats), None

    def start(self, size: tuple[int, int], stats: RenderStats, _report: Report) -> Start:
        """The structure, of exactly this size; raises what `render_structure` raises."""
        return self.picture(size, np.dtype(np.uint16), stats)[0]
