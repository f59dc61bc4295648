"""One picture of a given size and seed, rendered where and when it is asked for."""

import contextlib
import logging
import operator
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from ._core import Box, BudgetError, Grid, plan_grid
from ._version import __version__
from .arrays import Picture
from .bundle import Upscaler
from .networks import Networks
from .passes import SLOTS, Bands, Pass
from .progress import Progress, RenderStats, check_progress, reporting
from .sizes import check_size, picture_sizes
from .writers import ArrayWriter, open_writer

__all__ = ["Canvas", "check_seed"]

_CHANNELS = 3

_log = logging.getLogger(__name__)


class Canvas:
    """A picture of `shape` (height, width, 3) and `dtype`, sliced like a NumPy array: `canvas[y0:y1, x0:x1]`.

    A region renders only the tiles that it touches, in every pass, and equals the same slice of the whole
    picture bit for bit: both are made of the tiles of the same grids. What the pixels depend on is told at
    `Synthesizer`.
    """

    def __init__(
        self,
        networks: Networks,
        memory_limit: int,
        size: tuple[SupportsIndex, SupportsIndex],
        seed: SupportsIndex,
        dtype: npt.DTypeLike,
    ) -> None:
        """`size` is (width, height); made by `Synthesizer.canvas`, which tells what is raised."""
        self.width, self.height = check_size(*size)
        self.seed = check_seed(seed)
        self.dtype = _check_dtype(dtype)
        self._networks = networks
        manifest = networks.bundle.manifest
        trained = manifest.structure.scales[-1]
        self._sizes = picture_sizes(self.height, self.width, trained.height, trained.width)
        self._upscalers = [manifest.upscaler(index) for index in range(len(self._sizes) - 1)]
        self._grids = [
            _plan(*size, upscaler, memory_limit)
            for size, upscaler in zip(self._sizes, self._upscalers, strict=False)
        ]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self.height, self.width, _CHANNELS

    def __getitem__(self, key: slice | tuple[slice, ...]) -> Picture:
        """The pixels of a region, given as one or two slices of step 1.

        Raises IndexError for anything else, and what `read` raises.
        """
        slices = key if isinstance(key, tuple) else (key, slice(None))
        if len(slices) != 2 or not all(isinstance(one, slice) for one in slices):
            raise IndexError(f"expected canvas[y0:y1, x0:x1], got {key!r}")
        rows, columns = slices
        y0, y1, y_step = rows.indices(self.height)
        x0, x1, x_step = columns.indices(self.width)
        if (y_step, x_step) != (1, 1):
            raise IndexError(f"expected slices of step 1, got {key!r}")
        if y1 <= y0 or x1 <= x0:
            return np.empty((max(y1 - y0, 0), max(x1 - x0, 0), _CHANNELS), self.dtype)
        return self.read(Box(y0, x0, y1, x1))

    def read(
        self, box: Box | None = None, *, progress: Progress = None, stats: RenderStats | None = None
    ) -> Picture:
        """The pixels of `box`, by default all, as an array (h, w, 3).

        Args:
            box: A region (y0, x0, y1, x1) that is not empty and lies within the picture.
            progress: As for `Synthesizer.render`.
            stats: An object to which the numbers of this render are added.

        Raises:
            SizeError: The array does not fit into memory.
            IndexError: `box` is empty or leaves the picture.
            TypeError: `box` or `progress` is nothing of the kind.
            BundleError, EngineError, NonFiniteError: As for `Synthesizer.render`.
        """
        check_progress(progress)
        box = Box(0, 0, self.height, self.width) if box is None else box
        if not isinstance(box, Box):
            raise TypeError(f"expected an ourgan_sdk.Box, got {box!r}")
        if not (0 <= box.y0 < box.y1 <= self.height and 0 <= box.x0 < box.x1 <= self.width):
            raise IndexError(f"expected a region within {self.height} x {self.width} (h x w), got {box}")
        with _timed(stats) as numbers:
            writer = ArrayWriter(box.width, box.height, self.dtype)
            self._render(box, writer.write, progress, numbers)
        return writer.array

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Progress = None,
        stats: RenderStats | None = None,
    ) -> Path:
        """Stream the picture into a PNG, TIFF or JPEG file, and return its path.

        The file appears under its name only when it is whole. Arguments and errors are those of `read`, and
        OutputError when the file cannot be written.
        """
        check_progress(progress)
        description = (
            f"ourgan_sdk {__version__}, bundle {self._networks.bundle.sha256}, "
            f"{self.width}x{self.height}, seed {self.seed}"
        )
        with (
            _timed(stats) as numbers,
            open_writer(path, self.width, self.height, dtype=self.dtype, description=description) as file,
        ):
            self._render(Box(0, 0, self.height, self.width), file.write, progress, numbers)
        return Path(path)

    def _render(
        self, box: Box, write: Callable[[Picture], None], progress: Progress, stats: RenderStats
    ) -> None:
        """Render `box` band by band into `write`."""
        passes, base = self._passes(box)
        height, width = self._sizes[0]
        _log.info(
            "rendering %d x %d at (%d, %d) of %d x %d, seed %d: structure of %d x %d, %d passes, %d tiles",
            *(box.width, box.height, box.x0, box.y0, self.width, self.height, self.seed),
            *(width, height, len(passes)),
            sum(len(one.tiles) for one in passes),
        )
        with reporting(progress, height * width + sum(one.work for one in passes)) as advance:
            dtype = np.dtype(np.float32) if passes else self.dtype
            picture = self._networks.structure(height, width, self.seed, dtype, stats)
            advance(height * width)
            bands = _one_band(picture[base.y0 : base.y1, base.x0 : base.x1])
            for one in passes:
                bands = one.bands(bands, self.seed, stats, advance)
            with contextlib.closing(bands):
                for band in bands:
                    write(band)
        stats.passes += len(passes)

    def _passes(self, target: Box) -> tuple[list[Pass], Box]:
        """The passes that make `target`, and what the first of them needs of the base picture."""
        passes: list[Pass] = []
        for index in reversed(range(len(self._grids))):
            upscaler = self._upscalers[index]
            one = Pass(
                index=index,
                engine=self._networks.engine(upscaler.file),
                grid=self._grids[index],
                scale=upscaler.scale,
                deviation=upscaler.noise_deviation,
                target=target,
                dtype=np.dtype(np.uint16) if passes else self.dtype,
            )
            passes.insert(0, one)
            target = one.source
        return passes, target


def _plan(height: int, width: int, upscaler: Upscaler, memory_limit: int) -> Grid:
    """The tiling of a pass's input of height x width that the memory limit allows."""
    slot_bytes = 4 * _CHANNELS * (1 + upscaler.scale**2)  # float32 in and out, per input pixel
    pixel_bytes = upscaler.bytes_per_pixel + SLOTS * slot_bytes
    try:
        return plan_grid(height, width, upscaler.halo, memory_limit // pixel_bytes)
    except BudgetError as error:
        raise BudgetError(
            f"memory_limit is {memory_limit} bytes, of which a pixel of {upscaler.file} takes "
            f"{pixel_bytes}: {error}"
        ) from error


@contextlib.contextmanager
def _timed(stats: RenderStats | None) -> Iterator[RenderStats]:
    """Add the seconds that a render takes, writing its file included."""
    stats = RenderStats() if stats is None else stats
    started = time.perf_counter()
    yield stats
    stats.seconds += time.perf_counter() - started
    _log.info("rendered in %.2f s; %.2f s in the engine", stats.seconds, stats.engine_seconds)


def _one_band(picture: Picture) -> Bands:
    yield picture


def check_seed(seed: SupportsIndex) -> int:
    """The seed as a plain int; raises TypeError if it is none, ValueError unless from 0 to 2^64 - 1."""
    if not isinstance(seed, SupportsIndex):
        raise TypeError(f"expected the seed to be an integer, got {seed!r}")
    seed = operator.index(seed)
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"expected a seed from 0 to 2^64 - 1, got {seed}")
    return seed


def _check_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    dtype = np.dtype(dtype)
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected a dtype of uint8 or uint16, got {dtype}")
    return dtype
