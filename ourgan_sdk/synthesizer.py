"""Rendering pictures from a bundle."""

import functools
import logging
import math
import operator
import os
import weakref
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, Literal, SupportsIndex, get_args, overload

import numpy as np
import numpy.typing as npt

from ._core import resample
from ._version import __version__
from .animation import MOST_FRAMES, Animation, Frames, NetworkFrames, PatchesFrames
from .arrays import Picture
from .blending import BlendedRenderer
from .bundle import Bundle
from .canvas import Canvas, check_dtype, check_seed
from .coordinates import place
from .detail import (
    EXTENTS,
    DetailPlan,
    PhotographSource,
    check_passes,
    check_structure,
    check_wrap,
    halved_size,
    plan_detail,
)
from .engines import Options, asked_engine
from .engines.protocol import Precision
from .errors import BundleError, SizeError
from .layouts import ANY_LAYOUT, Layouts, StartUse
from .learning import open_source, sample_bundle
from .limits import Need, memory_for_all, turn
from .mask import Mask, as_mask
from .mirroring import MirroredRenderer, half_of
from .palette import MOST_COLORS, in_colors_of
from .passes.networks import Networks
from .passes.plan import from_structure
from .progress import Progress, RenderStats, check_progress
from .reducing import ReducedRenderer
from .rendering import (
    Renderer,
    RendererAround,
    coordinates_renderer,
    detail_renderer,
    enlarging_renderer,
    network_renderer,
)
from .scaling import check_fits, halvings_to
from .showing import SHOWN_EACH, png_of, side_by_side
from .sizes import check_bytes, check_integer, check_number, check_size
from .starting import StartingPicture, read_start
from .stopping import Cancel, stoppable
from .structure import (
    ALPHA,
    BETA,
    Draw,
    Layout,
    StructureSource,
    read_reconstruction,
    steps_to_forget,
)
from .system.memory import LARGEST_MEMORY_LIMIT, default_memory_limit
from .system.processors import available_processors, engine_threads
from .thumbnails import thumbnail_size

__all__ = ["MOST_THREADS", "DetailMode", "StructureMode", "Synthesizer", "sample_bundle"]

_log = logging.getLogger(__name__)

MOST_THREADS = 1024

MOST_ENLARGED = 64
"""Times per side, that a photograph is enlarged: three passes."""

_ELSEWHERE = {"cuda", "tensorrt", "tensorrt-rtx", "openvino", "fp16", "bf16"}
"""What is asked of engines and networks of coordinates cannot do."""

DetailMode = Literal["auto", "photograph", "network"]
"""Where detail comes from."""

StructureMode = Literal["auto", "network", "patches"]
"""What makes structures."""

_SHEET = 4
"""Pictures that a notebook shows of a synthesizer."""

_PAINTED = 1024
"""Pixels of the long side of paintings whose colours are changed."""


Size = tuple[int, int]


class Synthesizer:
    """Renders pictures from one bundle or photograph; several threads may render at once.

    A picture depends on the bundle, its size, extent, layout and seed, not on threads, order or time; where
    detail comes from the photograph, which is so by default if the bundle holds it, not on the memory limit
    either.
    What networks make depends on the engine too, and another memory limit makes other tiles, which may change
    values by one 8-bit level; that is why the default is the same on all machines with 3 GiB to spare.

    Where a bundle's structure is of coordinates, one network, in ONNX Runtime on the CPU, makes pictures at
    any scale: another `engine`, `precision` or `device` is warned of. There is no photograph to make layouts,
    films or enlargements of; asking for these raises BundleError, and ValueError where it is an argument.

    In a notebook it shows its photograph, and what the first seeds make of it.

    Close it, or use it in a `with`, to free engines, photograph and what canvases keep before it is garbage.
    Pickles and copies are opened anew, in the same way: from the bundle's file, which has to be there where
    they are used, or, if it was learned and not saved, from its bytes.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Bundle | None = None,
        *,
        engine: str = "auto",
        device: str = "auto",
        precision: Precision | Literal["auto"] = "auto",
        memory_limit: SupportsIndex | str | None = None,
        threads: SupportsIndex | None = None,
        detail: DetailMode = "auto",
        structure: StructureMode = "auto",
        allow_plans: bool = False,
    ) -> None:
        """Open a bundle, or learn a photograph as `learn` does; engines open when needed.

        Args:
            source: An `.ourgan` file, an opened bundle, or a photograph; by default the sample bundle that
                comes with the package.
            engine: "tensorrt-rtx", "tensorrt", "onnxruntime", "openvino", or "auto" for the first, in the
                order of `ourgan_sdk.engines.ENGINES`, that can render this bundle here. `ourgan doctor` says
                which that is; the environment variable OURGAN_ENGINE decides in its place.
            device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if an engine can use one.
            precision: "fp32", "fp16", "bf16", or "auto" for the engine's own choice.
            memory_limit: Bytes, or a text such as "512MiB", for the tiles and bands of one render, at most
                2^62 bytes, whatever the picture's size; by default 768 MiB, or a quarter of the memory
                available now where that is less. It holds for the memory of the host, and as much again for
                that of the GPU.
            threads: Threads of an engine on the CPU and of gathering detail, from 1 to 1024; by default an
                engine chooses itself, and detail takes all.
            detail: Where a picture's detail comes from: "photograph", its own pixels, which the bundle has
                to hold (and which are then in the picture); "network", as in OUR-GAN; "auto": the photograph
                if the bundle holds it. Beyond 1.5 times the photograph's resolution a network enlarges in
                either case.
            structure: What makes layouts: "network", as it was trained; "patches" of the photograph, which
                the bundle has to hold; "auto": the network if the bundle has one.
            allow_plans: Whether TensorRT engines in the bundle may be loaded that others have built. They are
                programs: say so only of bundles whose maker you trust. Those that this user's own
                `export/to_trt.py` has built are loaded in any case; the environment variable
                OURGAN_ALLOW_PLANS=1 allows all.

        Raises:
            BundleError: The file is not a whole, sound bundle, or does not hold what is asked for.
            PhotographError: The photograph cannot be learned.
            EngineError: There is no such engine, device or precision. (Whether it can be used shows when a
                canvas is made.)
            TypeError, ValueError: The memory limit, the number of threads, `detail` or `structure` is not
                allowed.
        """
        for name, mode, modes in (("detail", detail, DetailMode), ("structure", structure, StructureMode)):
            if mode not in get_args(modes):
                raise ValueError(f"expected {name} to be one of {', '.join(get_args(modes))}, got {mode!r}")
        if threads is not None:
            threads = check_integer("threads", threads, MOST_THREADS)
        if memory_limit is not None:
            memory_limit = check_bytes("memory_limit", memory_limit, LARGEST_MEMORY_LIMIT)
        self._arguments: dict[str, Any] = {
            "engine": engine,
            "device": device,
            "precision": precision,
            "memory_limit": memory_limit,
            "threads": threads,
            "detail": detail,
            "structure": structure,
            "allow_plans": allow_plans,
        }
        options = Options(device, precision, engine_threads(threads), memory_limit, allow_plans)
        self._memory_limit = min(
            default_memory_limit() if memory_limit is None else memory_limit, memory_for_all()
        )
        self._threads = threads or available_processors()
        self._networks = Networks(open_source(source), engine, options)
        manifest = self.bundle.manifest
        for wanted, purpose, otherwise in (
            (detail == "photograph", "take detail from", "detail='network' (--detail network)"),
            (structure == "patches", "take patches from", "structure='network' (--structure network)"),
        ):
            if wanted and manifest.photograph is None:
                raise BundleError(f"{self.bundle.path}: holds no photograph to {purpose}: use {otherwise}")
        self._takes_detail = manifest.photograph is not None and detail != "network"
        if structure == "network" and manifest.structure is None and manifest.coordinates is None:
            raise BundleError(
                f"{self.bundle.path}: has no structure network, as nothing was trained: "
                "use structure='patches' (--structure patches), or a bundle that trainers.fit made"
            )
        asked = (device.partition(":")[0], asked_engine(engine), precision)
        if manifest.coordinates is not None and not _ELSEWHERE.isdisjoint(asked):
            _log.warning(
                "%s: going on in ONNX Runtime on the CPU, in fp32, where networks of coordinates run",
                self.bundle.path,
            )
        self._photograph = PhotographSource(self.bundle, self._threads)
        self._layouts = Layouts(
            self._networks,
            self._photograph,
            takes_patches=structure == "patches",
            takes_detail=self._takes_detail,
            threads=self._threads,
        )
        self._renderers: weakref.WeakSet[Renderer | RendererAround] = weakref.WeakSet()

    def __enter__(self) -> "Synthesizer":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[[], "Synthesizer"], tuple[()]]:
        self._networks.check_open()
        return functools.partial(type(self), self.bundle, **self._arguments), ()

    def __repr__(self) -> str:
        manifest = self.bundle.manifest
        if manifest.coordinates is not None:
            learned = f"{manifest.coordinates.pictures.count} pictures"
            return f"Synthesizer({self.bundle.path.name!r}, {learned}, of coordinates)"
        photo = self.bundle.photo
        detail = "the photograph" if self.takes_detail else "networks"
        layouts = "patches" if self.takes_patches else "a network"
        return (
            f"Synthesizer({self.bundle.path.name!r}, photograph {photo.width} x {photo.height}, "
            f"layouts of {layouts}, detail of {detail})"
        )

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the photograph, where the bundle holds it, and what seeds make, small."""
        return png_of(self, self._sheet)

    def _sheet(self) -> Picture:
        pictures = []
        if self.bundle.manifest.photograph is not None:
            size = thumbnail_size(*self.bundle.manifest.natural_size, SHOWN_EACH)
            pictures.append(resample(self._photograph.pixels(), *size, threads=self._threads))
        pictures += [self.thumbnail(seed, size=SHOWN_EACH) for seed in range(_SHEET - len(pictures))]
        return side_by_side(pictures)

    def close(self) -> None:
        """Free engines, photograph, fields and kept tiles, those of canvases made from it included.

        Whatever would render from now on raises ClosedError; a render that is at work in another thread comes
        to its end, or to that error. May be called twice.
        """
        self._networks.close()
        self._photograph.close()
        for renderer in list(self._renderers):
            renderer.close()

    @property
    def kept(self) -> Mapping[Hashable, int]:
        """Bytes of the photograph that it keeps now, by what they are: a file, decoded, at a canvas's levels.

        What its canvases keep beside, their fields, is in `Canvas.kept`.
        """
        bundle = self.bundle
        file = sum(one.size for one in bundle.manifest.files.values()) if bundle.is_in_memory else 0
        return {**self._photograph.kept, bundle.sha256: file}

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The keyword arguments that it was opened with."""
        return dict(self._arguments)

    @property
    def takes_detail(self) -> bool:
        """Whether detail comes from the photograph."""
        return self._takes_detail

    @property
    def takes_patches(self) -> bool:
        """Whether structures are made of the photograph's patches."""
        return self._layouts.takes_patches

    @property
    def start_scales(self) -> int:
        """How many scales structures have: the largest `start_scale`, at which nothing of them is new."""
        return self._layouts.start_scales

    def default_start_scale(self, use: StartUse) -> int:
        """The `start_scale` that a command, "paint", "harmonize" or "edit", takes by itself.

        Structures of patches keep the shapes of what they start from only at the finest scales; networks
        have learned what coarse shapes stand for (SinGAN paints from the second coarsest scale on).
        """
        return self._layouts.default_start_scale(use)

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
        cancel: Cancel | None = None,
        timeout: float | None = None,
        dtype: npt.DTypeLike = np.uint8,
        extent: float | None = None,
        layout: Layout | None = None,
        start: StartingPicture | None = None,
        start_scale: SupportsIndex | None = None,
        mask: Mask | npt.ArrayLike | None = None,
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
        cancel: Cancel | None = None,
        timeout: float | None = None,
        dtype: npt.DTypeLike = np.uint8,
        extent: float | None = None,
        layout: Layout | None = None,
        start: StartingPicture | None = None,
        start_scale: SupportsIndex | None = None,
        mask: Mask | npt.ArrayLike | None = None,
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
        cancel: Cancel | None = None,
        timeout: float | None = None,
        dtype: npt.DTypeLike = np.uint8,
        extent: float | None = None,
        layout: Layout | None = None,
        start: StartingPicture | None = None,
        start_scale: SupportsIndex | None = None,
        mask: Mask | npt.ArrayLike | None = None,
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
                exception that it raises cancels the render and comes out of this call (but StopIteration,
                of which it makes a ValueError).
            cancel: Ends the render, within about a fifth of a second or one tile, once its `is_set()` is
                true: an Event of `threading`, `asyncio` or `multiprocessing`. As after any error, nothing
                half-written is left. `ourgan_sdk.to_thread` sets one when an await is cancelled.
            timeout: Seconds after which the render ends in the same way, waiting for its turn included.
            dtype: uint8 or uint16.
            extent: How many photographs wide, by the long sides, the picture is, from 0.25 to 1024 (of
                coordinates: how many learned squares its shorter side is long, by default one). By
                default one, or as many as avoid enlarging the photograph, up to two. Where networks make the
                detail, they take the number of passes that comes nearest. Of the photograph's own layout
                (`Layout.retarget`) by default as many as make it fit into the picture.
            layout: What is asked of the layout, where it is to be more than new.
            start: A picture that the layout starts from: uint8 (h, w, 3), or a file. It is stretched to the
                picture's size, and `extent` is by default what fits.
            start_scale: The first scale of the structure that is new, from 1 to `start_scales`: the smaller,
                the less is kept of what the layout starts from. Without `start`, that is the photograph.
            mask: Where the picture is new: (h, w), nonzero there, or a `Mask`, which says how soft it is.
                Elsewhere it is what `start` is, byte for byte where that has the picture's size.
            stats: An object to which the numbers of this render are added.

        Raises:
            SizeError: A side is not allowed, or not where it has to wrap, or the array does not fit into
                memory.
            TypeError, ValueError: The seed, dtype, extent, layout, start, mask, `progress`, `cancel` or
                `timeout` is not allowed, or `resume` without `out`.
            PhotographError: `start` is a file that cannot be read.
            RenderCancelledError: `cancel` was set.
            RenderTimeoutError: `timeout` is over; a TimeoutError, too.
            ClosedError: The synthesizer was closed.
            RenderMemoryError, EngineMemoryError: There is no room for even the smallest tiles.
            BudgetError: The memory limit is too small for any tile.
            BundleError: A network in the bundle is damaged.
            EngineError: No engine can be used, or it failed.
            NonFiniteError: A network gave NaN or infinity.
            OutputError: The file cannot be written.
        """
        check_progress(progress)
        with stoppable(cancel, timeout):
            canvas = self.canvas(
                *(width, height, seed),
                dtype=dtype,
                extent=extent,
                layout=layout,
                start=start,
                start_scale=start_scale,
                mask=mask,
            )
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
        layout: Layout | None = None,
        start: StartingPicture | None = None,
        start_scale: SupportsIndex | None = None,
        mask: Mask | npt.ArrayLike | None = None,
    ) -> Canvas:
        """A picture that renders what is read of it: `canvas[y0:y1, x0:x1]`, `canvas.save(path)`.

        Arguments as for `render`. Raises SizeError, TypeError, ValueError, PhotographError and BudgetError as
        `render` does.
        """
        width, height = check_size(width, height)
        return self._canvas(
            (height, width),
            check_seed(seed),
            check_dtype(dtype),
            _check_extent(extent),
            self._layouts.asked(layout, start, start_scale),
            mask=as_mask(mask),
        )

    def super_resolution(
        self, factor: float = 4, seed: SupportsIndex = 0, *, dtype: npt.DTypeLike = np.uint8
    ) -> Canvas:
        """The photograph itself, `factor` times larger per side, by the network that enlarges sharp pictures.

        That is a number from 1 to 64; powers of 4 are a network's own, others are reduced from the next one.
        Raises TypeError, ValueError and SizeError, and BundleError where the bundle holds no photograph.
        """
        seed, kind = check_seed(seed), check_dtype(dtype)
        if isinstance(factor, bool) or not isinstance(factor, (int, float, np.integer, np.floating)):
            raise TypeError(f"expected the factor to be a number, got {factor!r}")
        if not 1 < factor <= MOST_ENLARGED:
            raise ValueError(f"expected a factor of more than 1, up to {MOST_ENLARGED}, got {factor!r}")
        self._layouts.check_photograph("super-resolution")
        photo = self.bundle.photo
        if photo.file is None:
            raise BundleError(f"{self.bundle.path}: holds no photograph to enlarge")
        self._networks.check_open()
        size = round(factor * photo.height), round(factor * photo.width)
        return self._enlarged(seed, kind, shown=size)

    def _enlarged(self, seed: int, dtype: np.dtype[Any], *, shown: Size) -> Canvas:
        """The photograph at the size `shown`, (height, width), by networks as far as that is larger."""
        photo = self.bundle.photo
        own, (width, height) = (photo.height, photo.width), check_size(shown[1], shown[0])
        passes = -halvings_to(own, shown, [0], 2) // 2
        if 4**passes > MOST_ENLARGED:
            raise SizeError(
                f"expected at most {MOST_ENLARGED} times the photograph's {own[1]} x {own[0]}, "
                f"got {width} x {height}"
            )
        renderer = enlarging_renderer(
            *(self._networks, self._photograph, passes),
            seed=seed,
            dtype=dtype,
            memory_limit=self._memory_limit,
        )
        make = functools.partial(self._enlarged, seed, dtype)
        return Canvas(
            self._networks,
            self._shown(renderer, halved_size(own, -2 * passes), shown, dtype),
            (width, height),
            seed=seed,
            dtype=dtype,
            layout={"structure": "the photograph"},
            remake=functools.partial(make, shown=shown),
            resize=functools.partial(_fitting, make, own),
        )

    def animation(
        self,
        width: SupportsIndex,
        height: SupportsIndex,
        frames: SupportsIndex = 100,
        seed: SupportsIndex = 0,
        *,
        start_scale: SupportsIndex | None = None,
        is_loop: bool = True,
        alpha: float = ALPHA,
        beta: float = BETA,
        extent: float | None = None,
    ) -> Animation:
        """A film of the photograph that moves, of frames of that size: to be iterated over, or saved.

        With a structure network, what it makes the photograph of walks around at random, from `start_scale`,
        0 to the last, on (SinGAN, section 4); of patches, parts of the photograph walk, and what is finer is
        composed anew from `start_scale`, 1 to `start_scales`, on.

        Args:
            width: Pixels of a frame.
            height: Pixels of a frame.
            frames: How many, from 1 to 2^20.
            seed: From 0 to 2^64 - 1.
            start_scale: By default 0 of a network, and `start_scales` of patches.
            is_loop: Whether the first frame continues the last.
            alpha: How strongly walks are drawn back, from 0 to 1; where the film is a loop, not too weakly.
            beta: How much of a step is the one before, from 0 to 1.
            extent: As for `render`; by default the photograph fits.

        Raises:
            SizeError, TypeError, ValueError: An argument is not allowed.
            BundleError: The bundle's network is of an earlier release, or damaged.
        """
        self._layouts.check_photograph("a film")
        width, height = check_size(width, height)
        count = check_integer("the number of frames", frames, MOST_FRAMES)
        seed, extent = check_seed(seed), _check_extent(extent)
        alpha, beta = check_number("alpha", alpha, 0, 1), check_number("beta", beta, 0, 1)
        if is_loop:
            steps_to_forget(alpha, beta)
        walking = {"is_loop": bool(is_loop), "alpha": alpha, "beta": beta}
        canvas = functools.partial(self._canvas, (height, width), seed, np.dtype(np.uint8))
        structure = self.bundle.manifest.structure
        made: Frames
        if self.takes_patches or structure is None:
            first = self.start_scales if start_scale is None else start_scale
            first = check_integer("start_scale", first, self.start_scales)
            made = PatchesFrames(
                functools.partial(canvas, extent), self._layouts.photograph(), count, seed, first, **walking
            )
        else:
            first = 0 if start_scale is None else operator.index(start_scale)
            if not 0 <= first < len(structure.scales):
                raise ValueError(
                    f"expected a start_scale from 0 to {len(structure.scales) - 1}, got {start_scale!r}"
                )
            fitting = self._fitting_extent((height, width)) if extent is None else extent
            frame = functools.partial(self._frame, (height, width), seed, fitting)
            made = NetworkFrames(frame, read_reconstruction(self.bundle), count, seed, first, **walking)
        description = {
            "software": f"ourgan_sdk {__version__}",
            "bundle": self.bundle.sha256,
            "structure": "patches" if self.takes_patches else "network",
            "detail": "photograph" if self._takes_detail else "network",
            "width": width,
            "height": height,
            "frames": count,
            "seed": seed,
            "start_scale": first,
            "extent": extent,
            **walking,
        }
        return Animation(made, (width, height), count, is_loop=bool(is_loop), description=description)

    def _frame(self, size: Size, seed: int, extent: float, draw: Draw) -> Canvas:
        """One of a film, of `size` (height, width), whose network is fed with what `draw` draws."""
        source = self._layouts.fed(draw)
        return self._canvas(size, seed, np.dtype(np.uint8), extent, ANY_LAYOUT, source=source)

    def recolored(self, painting: StartingPicture, colors: SupportsIndex = 5) -> Picture:
        """A picture to start from, (h, w, 3) uint8, in so many of the photograph's main colours, 1 to 64.

        SinGAN's preparation of clip art. It has at most 1024 pixels on the long side, which is more than
        structures see. Raises TypeError, ValueError and PhotographError.
        """
        self._layouts.check_photograph("a palette")
        count = check_integer("colors", colors, MOST_COLORS)
        picture = read_start(painting)
        height, width, _ = picture.shape
        size = thumbnail_size(height, width, _PAINTED)
        reduced = resample(picture, *size, threads=self._threads)
        return in_colors_of(reduced, self._layouts.photograph(), count)

    def preview(
        self,
        seed: SupportsIndex = 0,
        *,
        width: SupportsIndex | None = None,
        height: SupportsIndex | None = None,
        layout: Layout | None = None,
        start: StartingPicture | None = None,
        start_scale: SupportsIndex | None = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
        stats: RenderStats | None = None,
    ) -> Picture:
        """The structure alone, (height, width, 3) uint8, by default at the size that it was trained at.

        Of coordinates, the picture at the smallest scale that was learned.

        Of what is asked of the layout, `symmetric` is left out: it is done to whole pictures.

        Takes a moment, in which the whole picture is in memory. `cancel` and `timeout` as for `render`.
        Raises what `render` raises.
        """
        base_height, base_width = self.bundle.manifest.base_size
        width, height = check_size(
            base_width if width is None else width, base_height if height is None else height
        )
        asked = self._layouts.asked(layout, start, start_scale)
        stats = RenderStats() if stats is None else stats
        self._networks.check_open()
        if self.bundle.manifest.coordinates is not None:
            canvas = self.canvas(width, height, seed)
            return canvas.read(cancel=cancel, timeout=timeout, stats=stats)
        structure = self._layouts.source(check_seed(seed), asked)
        check_structure((height, width))
        with stoppable(cancel, timeout), turn(Need(height * width * structure.bytes_per_pixel)):
            picture, stats.copied_share = structure.picture((height, width), np.dtype(np.uint8), stats)
        return picture

    def thumbnail(
        self,
        seed: SupportsIndex = 0,
        *,
        width: SupportsIndex | None = None,
        height: SupportsIndex | None = None,
        size: SupportsIndex = 640,
        extent: float | None = None,
        layout: Layout | None = None,
        start: StartingPicture | None = None,
        start_scale: SupportsIndex | None = None,
        mask: Mask | npt.ArrayLike | None = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
    ) -> Picture:
        """What `render(width, height, seed)` makes, (h, w, 3) uint8 with `size` pixels on the long side.

        It has that picture's layout, and detail of its own scale, in a fraction of a second: it is
        `canvas(width, height, seed).resized(...)`, never enlarged. Width and height are by default the
        photograph's. `cancel` and `timeout` as for `render`. Raises what `render` raises.
        """
        natural_height, natural_width = self.bundle.manifest.natural_size
        width, height = check_size(
            natural_width if width is None else width, natural_height if height is None else height
        )
        size = check_integer("the size of a thumbnail", size, 1 << 31)
        seed, extent, kind = check_seed(seed), _check_extent(extent), np.dtype(np.uint8)
        canvas = functools.partial(
            self._canvas,
            (height, width),
            seed,
            kind,
            extent,
            self._layouts.asked(layout, start, start_scale),
            mask=as_mask(mask),
        )
        with stoppable(cancel, timeout):
            return canvas(shown=thumbnail_size(height, width, size)).read()

    def _canvas(
        self,
        size: Size,
        seed: int,
        dtype: np.dtype[Any],
        extent: float | None,
        layout: Layout,
        *,
        mask: Mask | None = None,
        source: StructureSource | None = None,
        shown: Size | None = None,
    ) -> Canvas:
        """The canvas of `size` (height, width); `source` makes its structure, by default as `layout` says.

        With `shown`, that picture at another size (height, width), made without what is finer.
        """
        self._networks.check_open()
        if self.bundle.manifest.coordinates is not None:
            if mask is not None:
                self._layouts.check_photograph("a mask", ValueError)
            return self._of_coordinates(size, seed, dtype, extent, shown=shown)
        make = functools.partial(self._canvas, size, seed, dtype, extent, layout, mask=mask, source=source)
        structure = self._layouts.source(seed, layout) if source is None else source
        if mask is not None and layout.start is None:
            raise ValueError("expected the picture that is seen outside of the mask: give `start`")
        if mask is not None and layout.symmetric is not None:
            raise ValueError("a picture with a mask is not symmetric: give either")
        if extent is None and (layout.retarget or layout.start is not None):
            extent = self._fitting_extent(size)
        asked = size if shown is None else shown
        begun = self._with_detail if self._takes_detail else self._by_networks
        renderer, large = begun(structure, size, asked, extent, layout, seed=seed, dtype=dtype)
        resized = {} if asked == size else {"resized_from": [size[1], size[0]]}
        return Canvas(
            self._networks,
            self._shown(renderer, large, asked, dtype, layout=layout, mask=mask),
            asked[::-1],
            seed=seed,
            dtype=dtype,
            layout=self._layouts.describe(layout, mask) | resized,
            remake=functools.partial(make, shown=shown),
            resize=functools.partial(_fitting, make, size),
        )

    def _of_coordinates(
        self, size: Size, seed: int, dtype: np.dtype[Any], extent: float | None, *, shown: Size | None = None
    ) -> Canvas:
        """The canvas of `size` (height, width) of a bundle of coordinates, or that picture at size `shown`.

        Either is the network at that scale; where that is less than the smallest learned, it is reduced.
        """
        record = self.bundle.manifest.coordinates
        assert record is not None  # noqa: S101 - whoever calls has asked
        asked = size if shown is None else shown
        make = functools.partial(self._of_coordinates, size, seed, dtype, extent)
        placement = place(record, asked, extent, size)
        renderer = coordinates_renderer(
            self._networks, placement, seed=seed, dtype=dtype, memory_limit=self._memory_limit
        )
        if placement.side > record.largest:
            _log.info(
                "a scale of %.0f pixels, where the network has seen up to %d: its coordinates grow finer, "
                "what it draws there does not",
                *(placement.side, record.largest),
            )
        return Canvas(
            self._networks,
            self._shown(renderer, placement.size, asked, dtype),
            asked[::-1],
            seed=seed,
            dtype=dtype,
            layout=self._layouts.describe(ANY_LAYOUT, None)
            | ({} if asked == size else {"resized_from": [size[1], size[0]]}),
            remake=functools.partial(make, shown=shown),
            resize=functools.partial(_fitting, make, size),
        )

    def _with_detail(
        self,
        structure: StructureSource,
        size: Size,
        shown: Size,
        extent: float | None,
        layout: Layout,
        *,
        seed: int,
        dtype: np.dtype[Any],
    ) -> tuple[Renderer, Size]:
        """What renders a canvas of `size`, of the photograph's detail, as far as `shown` needs; and its size.

        Sizes are (height, width). Of a symmetric one the first half is rendered.
        """
        photo = self.bundle.photo
        half = half_of(size, layout.mirror)
        plan = self._plan(size, half, extent, layout)
        halvings = halvings_to(size, shown, plan.halvings, 1)
        if halvings:
            plan = plan.halved(half, halvings, max(photo.height, photo.width))
            check_passes(plan, layout.wrap)
        renderer = detail_renderer(
            *(self._networks, structure, self._photograph, halved_size(half, halvings), plan),
            layout=layout,
            seed=seed,
            dtype=dtype,
            memory_limit=self._memory_limit,
            threads=self._threads,
        )
        return renderer, halved_size(size, halvings)

    def _by_networks(
        self,
        structure: StructureSource,
        size: Size,
        shown: Size,
        extent: float | None,
        layout: Layout,
        *,
        seed: int,
        dtype: np.dtype[Any],
    ) -> tuple[Renderer, Size]:
        """As `_with_detail`, of networks' detail."""
        half = half_of(size, layout.mirror)
        if half != size:
            extent = (extent or 1.0) * math.sqrt(math.prod(half) / math.prod(size))
        passes = len(from_structure(self.bundle.manifest, *half, extent).upscalers)
        halvings = halvings_to(size, shown, range(0, 2 * passes + 1, 2), 2)
        renderer = network_renderer(
            *(self._networks, structure, halved_size(half, halvings), extent),
            seed=seed,
            dtype=dtype,
            memory_limit=self._memory_limit,
        )
        return renderer, halved_size(size, halvings)

    def _shown(
        self,
        renderer: Renderer,
        size: Size,
        shown: Size,
        dtype: np.dtype[Any],
        *,
        layout: Layout = ANY_LAYOUT,
        mask: Mask | None = None,
    ) -> Renderer | RendererAround:
        """What renders a canvas at the size `shown`, of what makes it, or half of it, at `size`."""
        whole: Renderer | RendererAround = renderer
        is_half = half_of(size, layout.mirror) != size
        if is_half:
            whole = MirroredRenderer(whole, size, layout.mirror)
        if shown != size:
            whole = ReducedRenderer(whole, size, shown, dtype, layout.wrap)
            if is_half:  # which rounding has left nearly so
                whole = MirroredRenderer(whole, shown, layout.mirror)
        if mask is not None and layout.start is not None:
            whole = BlendedRenderer(whole, layout.start.pixels, shown, mask, dtype)
        self._renderers.add(whole)
        return whole

    def _plan(self, size: Size, half: Size, extent: float | None, layout: Layout) -> DetailPlan:
        """That of `half` a picture of `size`, which may be all of it; raises SizeError if it cannot wrap."""
        photo = self.bundle.photo
        photograph = photo.height, photo.width
        plan = plan_detail(photograph, size, extent)
        if half != size:
            extent = plan.extent * max(half) / max(size)
            plan = plan_detail(photograph, half, extent)
        check_wrap(photograph, half, extent, layout.wrap)
        return plan

    def _fitting_extent(self, size: Size) -> float:
        """At which the whole photograph just fits into a picture of `size` (height, width)."""
        photo = self.bundle.photo
        factor = min(size[0] / photo.height, size[1] / photo.width)
        extent = max(size) / (factor * max(photo.height, photo.width))
        return min(max(extent, EXTENTS[0]), EXTENTS[1])


def _fitting(make: Callable[..., Canvas], size: Size, shown: Size) -> Canvas:
    """What `make` makes at `shown`, if a picture of `size`, both (height, width), can be shown so."""
    check_fits(size, shown)
    return make(shown=shown)


def _check_extent(extent: float | None) -> float | None:
    return None if extent is None else check_number("the extent", extent, *EXTENTS)
