"""Rendering pictures from a bundle."""

import os
from pathlib import Path
from typing import Literal, SupportsIndex, get_args, overload

import numpy as np
import numpy.typing as npt

from .arrays import Picture
from .bundle import Bundle
from .canvas import Canvas, check_dtype, check_seed
from .detail import EXTENTS, PhotographSource
from .engines import Options
from .engines.protocol import Precision
from .errors import BundleError
from .memory import LARGEST_MEMORY_LIMIT, default_memory_limit
from .passes.networks import Networks
from .progress import Progress, RenderStats
from .rendering import detail_renderer, network_renderer
from .sizes import check_integer, check_size
from .structure import render_structure

__all__ = ["MOST_THREADS", "DetailMode", "Synthesizer", "sample_bundle"]

MOST_THREADS = 1024

DetailMode = Literal["auto", "photograph", "network"]
"""Where detail comes from."""


class Synthesizer:
    """Renders pictures from one bundle; several threads may render at once.

    A picture depends on the bundle, its size, extent and seed, not on threads, order or time; where detail
    comes from the photograph, which is so by default if the bundle holds it, not on the memory limit either.
    What networks make depends on the engine too, and another memory limit makes other tiles, which may change
    values by one 8-bit level; that is why the default is the same on all machines with 3 GiB to spare.
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
        detail: DetailMode = "auto",
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
            threads: Threads of an engine on the CPU and of gathering detail, from 1 to 1024; by default an
                engine chooses itself, and detail takes all.
            detail: Where a picture's detail comes from: "photograph", its own pixels, which the bundle has
                to hold (and which are then in the picture); "network", as in OUR-GAN; "auto": the photograph
                if the bundle holds it. Beyond 1.5 times the photograph's resolution a network enlarges in
                either case.

        Raises:
            BundleError: The file is not a whole, sound bundle, or does not hold the photograph asked for.
            EngineError: There is no such engine, device or precision. (Whether it can be used shows when a
                canvas is made.)
            TypeError, ValueError: The memory limit, the number of threads or `detail` is not allowed.
        """
        if detail not in get_args(DetailMode):
            raise ValueError(
                f"expected detail to be one of {', '.join(get_args(DetailMode))}, got {detail!r}"
            )
        if threads is not None:
            threads = check_integer("threads", threads, MOST_THREADS)
        if memory_limit is not None:
            memory_limit = check_integer("memory_limit", memory_limit, LARGEST_MEMORY_LIMIT)
        options = Options(device, precision, threads, memory_limit)
        self._memory_limit = default_memory_limit() if memory_limit is None else memory_limit
        self._threads = threads or 0
        self._networks = Networks(Bundle.open(sample_bundle() if path is None else path), engine, options)
        holds_photograph = self.bundle.manifest.photo.file is not None
        if detail == "photograph" and not holds_photograph:
            raise BundleError(
                f"{self.bundle.path}: holds no photograph to take detail from: "
                "use detail='network' (--detail network)"
            )
        takes_photograph = holds_photograph and detail != "network"
        self._photograph = PhotographSource(self.bundle, self._threads) if takes_photograph else None

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
        extent: float | None = None,
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
        extent: float | None = None,
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
        extent: float | None = None,
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
            extent: How many photographs wide, by the long sides, the picture is, from 0.25 to 1024. By
                default one, or as many as avoid enlarging the photograph, up to two. Where networks make the
                detail, they take the number of passes that comes nearest.
            stats: An object to which the numbers of this render are added.

        Raises:
            SizeError: A side is not allowed, or the array does not fit into memory.
            TypeError, ValueError: The seed, dtype, extent or `progress` is not allowed, or `resume` without
                `out`.
            BudgetError: The memory limit is too small for any tile.
            BundleError: A network in the bundle is damaged.
            EngineError: No engine can be used, or it failed.
            NonFiniteError: A network gave NaN or infinity.
            OutputError: The file cannot be written.
        """
        canvas = self.canvas(width, height, seed, dtype=dtype, extent=extent)
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
        extent: float | None = None,
    ) -> Canvas:
        """A picture that renders what is read of it: `canvas[y0:y1, x0:x1]`, `canvas.save(path)`.

        Arguments as for `render`. Raises SizeError, TypeError, ValueError and BudgetError as `render` does.
        """
        width, height = check_size(width, height)
        seed, kind, extent = check_seed(seed), check_dtype(dtype), _check_extent(extent)
        size, limit = (height, width), self._memory_limit
        if self._photograph is None:
            renderer = network_renderer(
                self._networks, size, extent, seed=seed, dtype=kind, memory_limit=limit
            )
        else:
            renderer = detail_renderer(
                *(self._networks, self._photograph, size, extent),
                seed=seed,
                dtype=kind,
                memory_limit=limit,
                threads=self._threads,
            )
        return Canvas(self._networks, renderer, (width, height), seed=seed, dtype=kind)

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


def _check_extent(extent: float | None) -> float | None:
    if extent is None:
        return None
    if isinstance(extent, bool) or not isinstance(extent, (int, float, np.integer, np.floating)):
        raise TypeError(f"expected the extent to be a number, got {extent!r}")
    if not EXTENTS[0] <= extent <= EXTENTS[1]:
        raise ValueError(
            f"expected an extent from {EXTENTS[0]:g} to {EXTENTS[1]:g} photographs, got {extent!r}"
        )
    return float(extent)
