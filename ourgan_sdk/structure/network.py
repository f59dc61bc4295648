"""Structures from a bundle's network and noise."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._core import Box, resample, scatter
from ..arrays import Picture, Tensor
from ..bundle import Bundle, Structure
from ..bundle.structure_inputs import scale_sizes, structure_inputs
from ..engines.onnxruntime import OnnxRuntimeEngine
from ..engines.structure_feeds import structure_feeds
from ..errors import BundleError, EngineError, EngineMemoryError, NonFiniteError
from ..progress import RenderStats
from .layout import Layout
from .source import Report, Start
from .start import StartPicture, moved, random_steps

__all__ = ["NetworkSource", "as_structure", "read_reconstruction", "reconstruction_feeds", "render_structure"]

_START_MOVES = 2.0
"""Pixels of the scale below by which parts of what a structure starts from move, about, at a variety of 1.
Noise alone moves nothing: networks that see a photograph's layout make that photograph."""

Feeds = Mapping[str, Tensor]

Draw = Callable[[Structure, tuple[int, int]], dict[str, Tensor]]
"""What a structure network is fed with, for a structure of a size (height, width)."""


def render_structure(
    structure: Structure,
    engine: OnnxRuntimeEngine,
    size: tuple[int, int],
    feeds: Feeds,
    *,
    dtype: np.dtype[Any],
    stats: RenderStats,
) -> Picture:
    """The base picture, `size` (height, width) and 3 of `dtype`, of what its network is fed with.

    `engine` holds the network of `structure`. Raises EngineError or NonFiniteError if it does not give such a
    picture.
    """
    height, width = size
    started = time.perf_counter()
    try:
        output = engine.run(feeds)
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


def start_feeds(
    structure: Structure, size: tuple[int, int], start: StartPicture, seed: int, wildness: float
) -> dict[str, Tensor]:
    """The inputs that make a structure of `size` (height, width) start from a picture, as `seed` moves it."""
    below = start.scale - 1
    height, width = scale_sizes(structure, size)[below]
    given = resample(start.pixels, height, width)
    given = moved(given, random_steps((height, width), seed), _START_MOVES * wildness)
    picture = given.transpose(2, 0, 1) / np.float32(255)
    return {
        f"given_{below}": np.ascontiguousarray(picture[np.newaxis]),
        f"share_{below}": np.ones((1, 1, height, width), np.float32),
    }


def read_reconstruction(bundle: Bundle) -> Tensor:
    """Scale 0's noise map that makes the photograph, (channels, height, width); raises BundleError."""
    structure = bundle.manifest.structure
    if structure is None or structure.reconstruction is None:
        raise BundleError(f"{bundle.path}: does not hold what reconstructs the photograph: fit it anew")
    one, entry = structure_inputs(structure)[0], bundle.manifest.files.get(structure.reconstruction)
    shape = (one.channels, one.height, one.width)
    if entry is not None and entry.size != 4 * math.prod(shape):
        raise BundleError(
            f"{bundle.path}: member {structure.reconstruction!r} has {entry.size} bytes, expected float32 "
            f"{shape}"
        )
    maps = np.frombuffer(bundle.read(structure.reconstruction), "<f4").reshape(shape).astype(np.float32)
    if not np.isfinite(maps).all():
        raise BundleError(
            f"{bundle.path}: member {structure.reconstruction!r} has values that are not finite"
        )
    return maps


def reconstruction_feeds(
    reconstruction: Tensor, structure: Structure, size: tuple[int, int]
) -> dict[str, Tensor]:
    """The inputs that make the photograph, at a structure of `size` (height, width)."""
    feeds = {
        one.name: np.zeros((1, one.channels, one.height, one.width), np.float32)
        for one in structure_inputs(structure, size)
    }
    feeds["noise_0"] = _nearest(reconstruction, feeds["noise_0"].shape[2:])[np.newaxis]
    return feeds


def _nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """At another size, of the same distribution: means of noise would be less noise."""
    rows, columns = (
        np.minimum((np.arange(new) * 2 + 1) * old // (2 * new), old - 1)
        for old, new in zip(maps.shape[1:], size, strict=True)
    )
    return np.ascontiguousarray(maps[:, rows][:, :, columns])


class NetworkSource:
    """Structures by a bundle's network, which `engine` gives; each is made anew.

    What is fed in is drawn by `draw`, by default noise of the seed.
    """

    def __init__(
        self,
        structure: Structure,
        engine: Callable[[], OnnxRuntimeEngine],
        seed: int = 0,
        layout: Layout | None = None,
        draw: Draw | None = None,
    ) -> None:
        """`layout`: what it starts from, and how far seeds move that."""
        layout = Layout() if layout is None else layout
        finest = structure.scales[-1]
        self.long_side = max(finest.height, finest.width)
        self.work_per_pixel = 10
        self.bytes_per_pixel = 4096
        self._structure = structure
        self._engine = engine
        self._start, self._wildness, self._seed = layout.start, layout.wildness, seed
        self._draw = draw or (lambda structure, size: structure_feeds(structure, size, seed))

    def picture(
        self, size: tuple[int, int], dtype: np.dtype[Any], stats: RenderStats
    ) -> tuple[Picture, float | None]:
        """The structure, (height, width) `size`, of no pieces; raises what `render_structure` raises."""
        if self._start is not None and self._start.scale == len(self._structure.scales):
            return as_structure(self._start.pixels, size, dtype), None
        feeds = self._draw(self._structure, size)
        if self._start is not None:
            feeds |= start_feeds(self._structure, size, self._start, self._seed, self._wildness)
        picture = render_structure(self._structure, self._engine(), size, feeds, dtype=dtype, stats=stats)
        return picture, None

    def start(self, size: tuple[int, int], stats: RenderStats, _report: Report) -> Start:
        """The structure, of exactly this size; raises what `render_structure` raises."""
        return self.picture(size, np.dtype(np.uint16), stats)[0]


def as_structure(picture: Picture, size: tuple[int, int], dtype: np.dtype[Any]) -> Picture:
    """`picture`, uint8 or uint16, as a structure of `size` (height, width): uint8, uint16 or float32."""
    resized = resample(picture, *size)
    if dtype == resized.dtype:
        return resized
    if dtype == np.float32:
        return np.asarray(resized / np.float32(np.iinfo(resized.dtype).max))
    return np.asarray(resized * np.uint16(257) if dtype == np.uint16 else (resized + 128) // 257, dtype)
