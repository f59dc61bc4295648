"""Rendering pictures from a bundle."""

import os
from pathlib import Path
from typing import Literal, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from .arrays import Picture
from .bundle import Bundle
from .canvas import Canvas, check_seed
from .engines import Options
from .engines.protocol import Precision
from .errors import BundleError
from .memory import LARGEST_MEMORY_LIMIT, default_memory_limit
from .passes.networks import Networks
from .progress import Progress, RenderStats
from .sizes import check_integer, check_size
from .structure import render_structure

__all__ = ["MOST_THREADS", "Synthesizer"]

MOST_THREADS = 1024


class Synthesizer:
    """Renders pictures from one bundle; several threads may render at once.

    A picture depends on the bundle, its size, the seed and the engine, not on threads, order or time. Another
    memory limit makes other tiles, which may change values by one 8-bit level; that is why the default is the
    same on all machines with 3 GiB to spare.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        engine: str = "auto",
        device: str = "auto",
        precision: Precision | Literal["auto"] = "auto",
        memory_limit: SupportsIndex | None = None,
        threads: SupportsIndex | None = None,
    ) -> None:
        """Open the bundle at `path`, or the sample that comes with the package; engines open when needed.

        Args:
            path: An `.ourgan` file.
            engine: "tensorrt-rtx", "tensorrt", "onnxruntime", "openvino", or "auto" for the first, in the
                order of `ourgan_sdk.engines.ENGINES`, that can render this bundle here. `ourgan doctor` says
                which that is; the environment variable OURGAN_ENGINE decides in its place.
            device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if an engine can use one.
            precision: "fp32", "fp16", "bf16", or "auto" for the engine's own choice.
            memory_limit: Bytes for the tiles and bands of one render, at most 2^62, whatever the picture's
                size; by default 768 MiB, or a quarter of the memory available now where that is less. It
                holds for the memory of the host, and as much again for that of the GPU.
            threads: Threads of an engine on the CPU, from 1 to 1024; by default it chooses itself.

        Raises:
            BundleError: The file is not a whole, sound bundle.
            EngineError: There is no such engine, device or precision. (Whether it can be used shows when a
                canvas is made.)
            TypeError, ValueError: The memory limit or the number of threads is not allowed.
        """
        if threads is not None:
            threads = check_integer("threads", threads, MOST_THREADS)
        if memory_limit is not None:
            memory_limit = check_integer("memory_limit", memory_limit, LARGEST_MEMORY_LIMIT)
        options = Options(device, precision, threads, memory_limit)
        self._memory_limit = default_memory_limit() if memory_limit is None else memory_limit
        self._networks = Networks(Bundle.open(sample_bundle() if path is None else path), engine, options)

    @property
    def bundle(self) -> Bundle:
        """The opened bundle."""
        return self._networks.bundle

    @overload
    def render(
        self,
        width: SupportsIndex,
        height: SupportsIndex,
        seed: SupportsIndex = 0,
        *,
        out: None = None,
        resume: bool = False,
        progress: Progress = None,
        dtype: npt.DTypeLike = np.uint8,
        stats: RenderStats | None = None,
    ) -> Picture: ...

    @overload
    def render(
        self,
        width: SupportsIndex,
        height: SupportsIndex,
        seed: SupportsIndex = 0,
        *,
        out: str | os.PathLike[str],
        resume: bool = False,
        progress: Progress = None,
        dtype: npt.DTypeLike = np.uint8,
        stats: RenderStats | None = None,
    ) -> Path: ...

    def render(
        self,
        width: SupportsIndex,
        height: SupportsIndex,
        seed: SupportsIndex = 0,
        *,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: Progress = None,
        dtype: npt.DTypeLike = np.uint8,
        stats: RenderStats | None = None,
    ) -> Picture | Path:
        """Render a picture into an array (height, width, 3), or stream it into a file and return its path.

        Args:
            width: Pixels, from 1 to 2^31 - 1.
            height: Pixels, from 1 to 2^31 - 1.
            seed: From 0 to 2^64 - 1.
            out: A file, whose suffix chooses the format; it appears only when it is whole. `Canvas.save`
                has more options.
            resume: As for `Canvas.save`; for files alone.
            progress: True for a bar on stderr, or a function of (done, total), in pixels of work; an
                exception that it raises cancels the render and comes out of this call.
            dtype: uint8 or uint16.
            stats: An object to which the numbers of this render are added.

        Raises:
            SizeError: A side is not allowed, or the array does not fit into memory.
            TypeError, ValueError: The seed, dtype or `progress` is not allowed, or `resume` without `out`.
            BudgetError: The memory limit is too small for any tile.
            BundleError: A network in the bundle is damaged.
            EngineError: No engine can be used, or it failed.
            NonFiniteError: A network gave NaN or infinity.
            OutputError: The file cannot be written.
        """
        canvas = self.canvas(width, height, seed, dtype=dtype)
        if out is not None:
            return canvas.save(out, resume=resume, progress=progress, stats=stats)
        if resume:
            raise ValueError("only a render into a file can be resumed: give `out`")
        return canvas.read(progress=progress, stats=stats)

    def canvas(
        self,
        width: SupportsIndex,
        height: SupportsIndex,
        seed: SupportsIndex = 0,
        *,
        dtype: npt.DTypeLike = np.uint8,
    ) -> Canvas:
        """A picture that renders what is read of it: `canvas[y0:y1, x0:x1]`, `canvas.save(path)`.

        Arguments as for `render`. Raises SizeError, TypeError, ValueError and BudgetError as `render` does.
        """
        return Canvas(self._networks, self._memory_limit, (width, height), seed, dtype)

    def preview(
        self,
        seed: SupportsIndex = 0,
        *,
        width: SupportsIndex | None = None,
        height: SupportsIndex | None = None,
    ) -> Picture:
        """The structure alone, (height, width, 3) uint8, by default at the size that it was trained at.

        Takes a moment, in which the whole picture is in memory. Raises what `render` raises.
        """
        structure = self.bundle.manifest.structure
        trained = structure.scales[-1]
        width, height = check_size(
            trained.width if width is None else width, trained.height if height is None else height
        )
        engine = self._networks.on_cpu(structure.file)
        size, dtype = (height, width), np.dtype(np.uint8)
        return render_structure(structure, engine, size, check_seed(seed), dtype=dtype, stats=RenderStats())


def sample_bundle() -> Path:
    """The bundle that comes with the package; raises BundleError if there is none."""
    samples = sorted((Path(__file__).parent / "samples").glob("*.ourgan"))
    if not samples:
        raise BundleError("this installation has no sample bundle: give the path of one")
    return samples[0]
