"""Rendering pictures from a bundle."""

import contextlib
import logging
import operator
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ._core import Box, BudgetError, Grid, NonFiniteError, normal, plan_grid, scatter
from ._version import __version__
from .arrays import Picture
from .bundle import Bundle, Upscaler
from .engines import Engine, open_engine
from .errors import BundleError, EngineError
from .passes import SLOTS, Bands, Pass
from .progress import Progress, RenderStats, reporting
from .sizes import check_size, picture_sizes
from .writers import ArrayWriter, open_writer

__all__ = ["DEFAULT_MEMORY_LIMIT", "Synthesizer"]

DEFAULT_MEMORY_LIMIT = 512 << 20
"""Bytes for the tiles in work. A constant, so that the tiling does not depend on the machine."""

_CHANNELS = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    """The picture that is asked for, checked."""

    width: int
    height: int
    seed: int
    dtype: np.dtype[Any]


class Synthesizer:
    """Renders pictures from one bundle; several threads may render at once.

    The same bundle, size, seed and engine give the same pixels, whatever the threads and the time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        engine: str = "auto",
        memory_limit: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Open the bundle at `path`, or the sample that comes with the package; engines open when needed.

        Args:
            path: An `.ourgan` file.
            engine: A name out of `ourgan_sdk.engines.ENGINES`, or "auto" for the first that is installed.
            memory_limit: Bytes for the tiles in work, 512 MiB by default; it does not grow with the picture.
            threads: Threads of the engine; by default it chooses itself.

        Raises:
            BundleError: The file is not a whole, sound bundle.
        """
        self.bundle = Bundle.open(sample_bundle() if path is None else path)
        self._engine_name = engine
        self._memory_limit = DEFAULT_MEMORY_LIMIT if memory_limit is None else memory_limit
        self._threads = threads
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    @overload
    def render(
        self,
        width: int,
        height: int,
        seed: int = 0,
        *,
        out: None = None,
        progress: Progress = None,
        dtype: npt.DTypeLike = np.uint8,
        stats: RenderStats | None = None,
    ) -> Picture: ...

    @overload
    def render(
        self,
        width: int,
        height: int,
        seed: int = 0,
        *,
        out: str | os.PathLike[str],
        progress: Progress = None,
        dtype: npt.DTypeLike = np.uint8,
        stats: RenderStats | None = None,
    ) -> Path: ...

    def render(
        self,
        width: int,
        height: int,
        seed: int = 0,
        *,
        out: str | os.PathLike[str] | None = None,
        progress: Progress = None,
        dtype: npt.DTypeLike = np.uint8,
        stats: RenderStats | None = None,
    ) -> Picture | Path:
        """Render a picture into an array (height, width, 3), or stream it into a file and return its path.

        Args:
            width: Pixels, from 1 to 2^31 - 1.
            height: Pixels, from 1 to 2^31 - 1.
            seed: From 0 to 2^64 - 1.
            out: A PNG, TIFF or JPEG file by its suffix; it appears only when it is whole.
            progress: True for a bar on stderr, or a function of (done, total), in pixels of work; an
                exception that it raises cancels the render and comes out of this call.
            dtype: uint8 or uint16.
            stats: An object to which the numbers of this render are added.

        Raises:
            SizeError: A side is not allowed, or the array does not fit into memory.
            ValueError: The seed or dtype is not allowed.
            BudgetError: The memory limit is too small for any tile.
            BundleError: A network in the bundle is damaged.
            EngineError: The engine is not installed, or failed.
            NonFiniteError: A network gave NaN or infinity.
            OutputError: The file cannot be written.
        """
        job = _Job(*check_size(width, height), _check_seed(seed), _check_dtype(dtype))
        stats = RenderStats() if stats is None else stats
        with _timed(stats):
            if out is None:
                writer = ArrayWriter(job.width, job.height, job.dtype)
                self._render_into(writer.write, job, progress, stats)
                return writer.array
            description = (
                f"ourgan_sdk {__version__}, bundle {self.bundle.sha256}, {width}x{height}, seed {seed}"
            )
            with open_writer(out, job.width, job.height, dtype=job.dtype, description=description) as file:
                self._render_into(file.write, job, progress, stats)
        return Path(out)

    def preview(self, seed: int = 0, *, width: int | None = None, height: int | None = None) -> Picture:
        """The structure alone, (height, width, 3) uint8, by default at the size that it was trained at.

        Takes a moment, in which the whole picture is in memory. Raises what `render` raises.
        """
        trained = self.bundle.manifest.structure.scales[-1]
        width, height = check_size(
            trained.width if width is None else width, trained.height if height is None else height
        )
        return self._structure(height, width, _check_seed(seed), np.dtype(np.uint8), RenderStats())

    def _render_into(
        self, write: Callable[[Picture], None], job: _Job, progress: Progress, stats: RenderStats
    ) -> None:
        """Render the picture band by band into `write`."""
        trained = self.bundle.manifest.structure.scales[-1]
        sizes = picture_sizes(job.height, job.width, trained.height, trained.width)
        base_height, base_width = sizes[0]
        passes = [self._pass(index, sizes, job) for index in range(len(sizes) - 1)]
        _log.info(
            "rendering %d x %d, seed %d: structure of %d x %d, then %d passes in %d tiles",
            *(job.width, job.height, job.seed, base_width, base_height, len(passes)),
            sum(one.grid.rows * one.grid.columns for one in passes),
        )
        base_work = base_height * base_width
        with reporting(progress, base_work + sum(one.work for one in passes)) as advance:
            dtype = np.dtype(np.float32) if passes else job.dtype
            bands = _one_band(self._structure(base_height, base_width, job.seed, dtype, stats))
            advance(base_work)
            for one in passes:
                bands = one.bands(bands, job.seed, stats, advance)
            with contextlib.closing(bands):
                for band in bands:
                    write(band)
        stats.passes += len(passes)

    def _pass(self, index: int, sizes: Sequence[tuple[int, int]], job: _Job) -> Pass:
        """Pass `index` of a render whose pictures have `sizes`; only the last is cut to what was asked."""
        upscaler = self.bundle.manifest.upscaler(index)
        last = index + 2 == len(sizes)
        height, width = (job.height, job.width) if last else sizes[index + 1]
        return Pass(
            index=index,
            engine=self._engine(upscaler.file),
            grid=self._grid(*sizes[index], upscaler),
            scale=upscaler.scale,
            deviation=upscaler.noise_deviation,
            height=height,
            width=width,
            dtype=job.dtype if last else np.dtype(np.uint16),
        )

    def _grid(self, height: int, width: int, upscaler: Upscaler) -> Grid:
        """The tiling of a picture of height x width that the memory limit allows."""
        slot_bytes = 4 * _CHANNELS * (1 + upscaler.scale**2)  # float32 in and out, per input pixel
        pixel_bytes = upscaler.bytes_per_pixel + SLOTS * slot_bytes
        try:
            return plan_grid(height, width, upscaler.halo, self._memory_limit // pixel_bytes)
        except BudgetError as error:
            raise BudgetError(
                f"memory_limit is {self._memory_limit} bytes, of which a pixel of {upscaler.file} takes "
                f"{pixel_bytes}: {error}"
            ) from error

    def _structure(
        self, height: int, width: int, seed: int, dtype: np.dtype[Any], stats: RenderStats
    ) -> Picture:
        """The base picture, (height, width, 3) of `dtype`."""
        structure = self.bundle.manifest.structure
        trained = structure.scales[-1]
        noise = {}
        for stream, scale in enumerate(structure.scales):
            rows = max(1, round(height * scale.height / trained.height))
            columns = max(1, round(width * scale.width / trained.width))
            maps = normal(scale.channels, rows, columns, seed, stream, deviation=scale.noise_deviation)
            noise[f"noise_{stream}"] = maps[np.newaxis]
        engine = self._engine(structure.file)
        started = time.perf_counter()
        output = engine.run(noise)
        stats.engine_seconds += time.perf_counter() - started
        expected = (1, _CHANNELS, height, width)
        if output.shape != expected:
            raise EngineError(f"expected {structure.file} to give {expected}, got {output.shape}")
        picture = np.empty((height, width, _CHANNELS), dtype)
        damaged = scatter(output[0], Box(0, 0, height, width), picture, 0, 0)
        if damaged:
            raise NonFiniteError(f"{structure.file} gave {damaged} values that are not finite")
        return picture

    def _engine(self, file: str) -> Engine:
        """The network of member `file`, opened by the first thread that asks."""
        with self._lock:
            if file not in self._engines:
                self._engines[file] = open_engine(self.bundle.read(file), self._engine_name, self._threads)
            return self._engines[file]


def sample_bundle() -> Path:
    """The bundle that comes with the package; raises BundleError if there is none."""
    samples = sorted((Path(__file__).parent / "samples").glob("*.ourgan"))
    if not samples:
        raise BundleError("this installation has no sample bundle: give the path of one")
    return samples[0]


@contextlib.contextmanager
def _timed(stats: RenderStats) -> Iterator[None]:
    """Add the seconds that a render takes, writing its file included."""
    started = time.perf_counter()
    yield
    stats.seconds += time.perf_counter() - started
    _log.info("rendered in %.2f s; %.2f s in the engine", stats.seconds, stats.engine_seconds)


def _one_band(picture: Picture) -> Bands:
    yield picture


def _check_seed(seed: int) -> int:
    seed = operator.index(seed)
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"expected a seed from 0 to 2^64 - 1, got {seed}")
    return seed


def _check_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    dtype = np.dtype(dtype)
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected a dtype of uint8 or uint16, got {dtype}")
    return dtype
