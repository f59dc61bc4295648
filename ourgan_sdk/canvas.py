"""One picture of a given size and seed, rendered where and when it is asked for."""

import contextlib
import json
import logging
import operator
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from ._core import Box
from ._version import __version__
from .arrays import Picture
from .bases import marked, unmarked
from .detail import DetailPicture
from .errors import BudgetError
from .limits import turn
from .passes.networks import Networks
from .passes.plan import Plan
from .progress import Progress, RenderStats, check_progress
from .rendering import Renderer, RendererAround
from .resume import Finished, begun_with, open_finished
from .showing import SHOWN, png_of
from .sizes import check_integer, check_size
from .stopping import Cancel, stoppable
from .structure import Base
from .system.atomic import absolute, check_is_not
from .system.frames import holding_nothing
from .system.lazy import lazy
from .thumbnails import reduce_picture
from .viewing import plan_view
from .writers import ArrayWriter, Writer, open_writer

__all__ = ["Canvas", "Level", "check_dtype", "check_seed"]

_CHANNELS = 3

_log = logging.getLogger(__name__)


class Level:
    """A picture of `shape` (height, width, 3), sliced like a NumPy array: `level[y0:y1, x0:x1]`.

    `downsample` says how many pixels per side of the canvas one of its pixels stands for: a power of two.
    Enough of an array for `dask.array.from_array(level, chunks=(1024, 1024, 3), asarray=False)`.
    """

    ndim = 3
    __iter__ = None  # else Python would try integers as indices, and find none

    def __init__(self, canvas: "Canvas", index: int, downsample: int) -> None:
        self.downsample = downsample
        self._canvas = canvas
        self._index = index

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return (
            -(-self._canvas.height // self.downsample),
            -(-self._canvas.width // self.downsample),
            _CHANNELS,
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        """The canvas's: uint8 or uint16."""
        return self._canvas.dtype

    def __getitem__(self, key: slice | tuple[slice, ...]) -> Picture:
        """The pixels of a region, given as up to three slices, those of rows and columns of step 1.

        `Canvas.read` can be watched and cancelled besides. Raises IndexError for anything else, and what
        `Canvas.read` raises.
        """
        slices = key if isinstance(key, tuple) else (key,)
        if len(slices) > 3 or not all(isinstance(one, slice) for one in slices):
            raise IndexError(f"expected [y0:y1, x0:x1], got {key!r}")
        rows, columns, channels = (*slices, *(slice(None),) * (3 - len(slices)))
        height, width, _ = self.shape
        y0, y1, y_step = rows.indices(height)
        x0, x1, x_step = columns.indices(width)
        if (y_step, x_step) != (1, 1):
            raise IndexError(f"expected slices of step 1, got {key!r}")
        if y1 <= y0 or x1 <= x0:
            return np.empty((max(y1 - y0, 0), max(x1 - x0, 0), _CHANNELS), self.dtype)[..., channels]
        return self._canvas.read(Box(y0, x0, y1, x1), self._index)[..., channels]

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Picture:
        """The whole picture, for `np.asarray`."""
        if copy is False:
            raise ValueError("a picture that has to be rendered cannot be had without a copy")
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def __repr__(self) -> str:
        height, width, _ = self.shape
        return f"Level({width} x {height}, downsample {self.downsample}, of {self._canvas!r})"

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the picture, small."""
        size = min(SHOWN, max(self.shape[:2]))
        return png_of(self, lambda: self._canvas.thumbnail(size))


class Canvas:
    """A picture of `shape` (height, width, 3) and `dtype`, sliced like a NumPy array: `canvas[y0:y1, x0:x1]`.

    A region renders only the tiles that it touches, in every pass, and equals the same slice of the whole
    picture bit for bit: both are made of the tiles of the same grids. Tiles rendered for a region are kept
    for the next one, up to a quarter of the memory limit. What the pixels depend on is told at `Synthesizer`.
    `view` shows any part at any size; `resized` is the same picture as a larger or smaller canvas; notebooks
    show a canvas small. Several threads may use a canvas at once.

    Where memory runs out during a render, the rest is rendered in smaller tiles, which may change values by
    one 8-bit level, and so is what is read later; a warning is logged.

    Pickles and copies are canvases of another synthesizer, opened in the same way. After `Synthesizer.close`
    whatever renders raises ClosedError.
    """

    ndim = 3
    __iter__ = None

    def __init__(
        self,
        networks: Networks,
        renderer: Renderer | RendererAround,
        size: tuple[int, int],
        *,
        seed: int,
        dtype: np.dtype[Any],
        layout: Mapping[str, object],
        remake: Callable[[], "Canvas"],
        resize: Callable[[tuple[int, int]], "Canvas"],
    ) -> None:
        """`size` is (width, height); `layout` says in a file what made the structure.

        `remake` makes another canvas like this one, `resize` one of a size (height, width), if that fits.

        Made by `Synthesizer.canvas`, which tells what is raised.
        """
        self.width, self.height = size
        self.seed = seed
        self.dtype = dtype
        self._networks = networks
        self._renderer = renderer
        self._layout = layout
        self._begun = self._describe_plan()
        self._remake = remake
        self._resize = resize

    def __reduce__(self) -> tuple[Callable[[], "Canvas"], tuple[()]]:
        return self._remake, ()

    def __repr__(self) -> str:
        kind = "" if self.dtype == np.uint8 else f", {self.dtype}"
        return f"Canvas({self.width} x {self.height}, seed {self.seed}, extent {self.extent:.4g}{kind})"

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the picture, small."""
        return png_of(self, lambda: self.thumbnail(SHOWN))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self.height, self.width, _CHANNELS

    @property
    def extent(self) -> float:
        """How many photographs wide (by the long sides) the picture is.

        Of coordinates, how many squares long its shorter side is.
        """
        return self._renderer.extent

    @property
    def kept(self) -> Mapping[Hashable, int]:
        """Bytes that it keeps once its base is known, by what they are; canvases share some of them."""
        return self._renderer.need(keep=False).shared

    @property
    def networks(self) -> Networks:
        """Of its synthesizer."""
        return self._networks

    @property
    def plan(self) -> Plan:
        """How its passes are tiled now: the pixels that networks make depend on it."""
        return self._renderer.plan

    @property
    def engine_name(self) -> str | None:
        """What the pixels depend on that networks make in tiles; None where none does."""
        plan = self._renderer.plan
        if plan.passes:
            return self._networks.opened.name
        return self._networks.cpu_name if plan.windows else None

    @property
    def description(self) -> str:
        """What it is made of, as JSON: of its file's metadata."""
        return json.dumps(self._provenance())

    @property
    def copied_share(self) -> float | None:
        """The share of its structure that is one piece of the photograph; None unless it is known to be."""
        return self._renderer.first.copied_share

    @property
    def base_work(self) -> int:
        """What `find_base` has to do, in pixels of a render."""
        return self._renderer.first.work(0, Box(0, 0, 0, 0))

    @lazy
    def levels(self) -> tuple[Level, ...]:
        """The canvas and the coarser pictures that it is made of.

        Each is 4 times smaller per side than the one before where a pass enlarges it, and half as large where
        detail is gathered, or where a network of coordinates makes it, at that scale. A level costs about as
        much less time as it has fewer pixels.
        """
        passes = self._renderer.plan.passes
        steps = [4**index for index in range(passes)]
        steps += [4**passes << index for index in range(len(self._renderer.first.sizes))]
        return tuple(Level(self, index, step) for index, step in enumerate(steps))

    def __getitem__(self, key: slice | tuple[slice, ...]) -> Picture:
        """The pixels of a region: those of `levels[0]`."""
        return self.levels[0][key]

    def __len__(self) -> int:
        return self.height

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Picture:
        """The whole picture, for `np.asarray`."""
        return self.levels[0].__array__(dtype, copy)

    @holding_nothing()
    def read(
        self,
        box: Box | None = None,
        level: SupportsIndex = 0,
        *,
        progress: Progress = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
        stats: RenderStats | None = None,
    ) -> Picture:
        """The pixels of `box`, by default all, of a level, as an array (h, w, 3).

        Args:
            box: A region (y0, x0, y1, x1) in pixels of the level, not empty, within it.
            level: An index into `levels`.
            progress: True for a bar, or a function of (done, total); more on all three: `Synthesizer.render`.
            cancel: Ends the render once its `is_set()` is true.
            timeout: Seconds after which the render ends.
            stats: An object to which the numbers of this render are added.

        Raises:
            SizeError: The array does not fit into memory.
            IndexError: `box` is empty or leaves the picture, or there is no such level.
            TypeError, ValueError: `box`, `level`, `progress`, `cancel` or `timeout` is nothing of the kind.
            RenderCancelledError, RenderTimeoutError: `cancel` was set, or `timeout` is over.
            BundleError, EngineError, NonFiniteError: As for `Synthesizer.render`.
        """
        check_progress(progress)
        index, box = self._part(box, level)
        keep = self._is_kept(box)
        with self._at_work(cancel, timeout, keep=keep), _timed(stats) as numbers:
            writer = ArrayWriter(box.width, box.height, self.dtype)
            self._renderer.render(index, box, writer.write, progress, numbers, keep=keep)
        return writer.array

    @holding_nothing()
    def view(
        self,
        box: Box,
        width: SupportsIndex,
        height: SupportsIndex,
        *,
        progress: Progress = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
        stats: RenderStats | None = None,
    ) -> Picture:
        """The pixels of `box`, in pixels of the canvas, at another size, as an array (height, width, 3).

        It is made of the coarsest of `levels` that has as many pixels along both axes, in about that level's
        time. Views that lie side by side on the grid of a power of two, in whose pixels they have their size
        (that of what the picture's border leaves of a pixel rounded up), join exactly: they are parts of a
        level, where there is one of that `downsample`, or of one that is reduced from the next finer level.

        Args:
            box: A region (y0, x0, y1, x1), not empty, within the picture.
            width: Of the view, in pixels: fewer than the box has, or more, from 1 to 2^31 - 1.
            height: As `width`; their ratio may be another than the box's, as long as neither side is reduced
                more than 8 times as much as the other (the less reduced one may always keep 8 pixels).
            progress: True for a bar, or a function of (done, total); more on all three: `Synthesizer.render`.
            cancel: Ends the render once its `is_set()` is true.
            timeout: Seconds after which the render ends.
            stats: An object to which the numbers of this render are added.

        Raises:
            SizeError: `width` or `height` is not allowed, or the array does not fit into memory.
            ValueError: The view is more distorted than that.
            IndexError, TypeError, ValueError: As for `read`.
            RenderCancelledError, RenderTimeoutError: `cancel` was set, or `timeout` is over.
            BundleError, EngineError, NonFiniteError: As for `Synthesizer.render`.
        """
        check_progress(progress)
        width, height = check_size(width, height)
        _, box = self._part(box, 0)
        shapes = [(level.shape[0], level.shape[1]) for level in self.levels]
        view = plan_view(shapes, [level.downsample for level in self.levels], box, (height, width))
        writer = ArrayWriter(width, height, self.dtype)
        source, write = view.begin(writer.write, self.dtype)
        keep = self._is_kept(source)
        with self._at_work(cancel, timeout, keep=keep, more=view.bytes), _timed(stats) as numbers:
            self._renderer.render(view.level, source, write, progress, numbers, keep=keep)
        return writer.array

    def view_work(self, box: Box, width: SupportsIndex, height: SupportsIndex) -> tuple[int, int]:
        """Pixels that `view` of such arguments reads, and that networks have to make for them.

        They are those of what the canvas is made of, where that is larger and reduced. Networks make whole
        tiles (of coordinates with their halos). Nothing is rendered; kept tiles, and `base_work`, are not
        considered. Raises as `view`.
        """
        width, height = check_size(width, height)
        _, box = self._part(box, 0)
        shapes = [(level.shape[0], level.shape[1]) for level in self.levels]
        view = plan_view(shapes, [level.downsample for level in self.levels], box, (height, width))
        source, _ = view.begin(lambda _band: None, self.dtype)
        return self._renderer.effort(view.level, source)

    def _is_kept(self, box: Box) -> bool:
        """Whether the tiles of `box` are: what is larger than the cache would only push out what is there."""
        size = box.height * box.width * _CHANNELS * self.dtype.itemsize
        return size <= self._renderer.plan.cache.limit

    @contextlib.contextmanager
    def _at_work(
        self, cancel: Cancel | None, timeout: float | None, *, keep: bool, more: int = 0
    ) -> Iterator[None]:
        """Wait for the canvas's turn to render, in which `cancel` or `timeout` may end it.

        `more`: bytes that it takes besides.
        """
        self._networks.check_open()
        need = self._renderer.need(keep=keep)
        with stoppable(cancel, timeout), turn(replace(need, own=need.own + more)):
            yield

    def resized(self, width: SupportsIndex, height: SupportsIndex) -> "Canvas":
        """The same picture at another size of the same ratio, larger or smaller, as a canvas of its own.

        Its layout stays, and so does what lies where; larger it has more detail, smaller it is made without
        what is finer. It is made of the smallest of its `levels`, or of those that it would have at twice,
        four times, ... its size (where networks make all of it, four times, sixteen times, ...), that has as
        many pixels, and reduced to the size. As the photograph is seen at other scales for each of them,
        what they show differs in the finest detail. (Of coordinates, their network makes it at its scale.)

        Args:
            width: Pixels, from 1 to 2^31 - 1.
            height: As `width`; the sides may be rounded either way.

        Raises:
            SizeError: A side is not allowed, or the picture wraps where networks would enlarge it.
            ValueError: The sides have another ratio; the message names what would fit.
            ClosedError: The synthesizer was closed.
            BudgetError, EngineError: As for `Synthesizer.canvas`.
        """
        width, height = check_size(width, height)
        return self if (width, height) == (self.width, self.height) else self._resize((height, width))

    def sources(
        self,
        box: Box | None = None,
        level: SupportsIndex = 0,
        *,
        progress: Progress = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
    ) -> npt.NDArray[np.int32]:
        """From where in the photograph each pixel of `box`, by default all, of a level mainly comes.

        An array (h, w, 2) of (y, x), in pixels of the photograph reduced or enlarged to the level's scale:
        its long side over the level's is 1 / extent. Arguments and errors as for `read`; ValueError as well
        if the level is made by a network.
        """
        check_progress(progress)
        index, box = self._part(box, level)
        with self._at_work(cancel, timeout, keep=False):
            return self._renderer.sources(index, box, progress)

    def _part(self, box: Box | None, level: SupportsIndex) -> tuple[int, Box]:
        """The level's index and the region, checked."""
        index = operator.index(level)
        if not 0 <= index < len(self.levels):
            raise IndexError(f"expected a level from 0 to {len(self.levels) - 1}, got {index}")
        height, width, _ = self.levels[index].shape
        box = Box(0, 0, height, width) if box is None else box
        if not isinstance(box, Box):
            raise TypeError(f"expected an ourgan_sdk.Box, got {box!r}")
        if not (0 <= box.y0 < box.y1 <= height and 0 <= box.x0 < box.x1 <= width):
            raise IndexError(f"expected a region within {height} x {width} (h x w), got {box}")
        return index, box

    def thumbnail(
        self,
        size: SupportsIndex = 256,
        *,
        progress: Progress = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
    ) -> Picture:
        """The whole picture with at most `size` pixels on its long side, (h, w, 3); never enlarged.

        Made from the coarsest level that has as many, so in a fraction of a render's time. Raises TypeError
        or ValueError if `size` is not a positive integer, and what `read` raises.
        """
        size = check_integer("the size of a thumbnail", size, 1 << 31)
        index = max((i for i, level in enumerate(self.levels) if max(level.shape[:2]) >= size), default=0)
        return reduce_picture(self.read(level=index, progress=progress, cancel=cancel, timeout=timeout), size)

    @holding_nothing()
    def find_base(
        self,
        *,
        progress: Progress = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
    ) -> Base:
        """What has to be found in the whole picture before any region of it can be made; found if it was not.

        Where detail is the photograph's, that is its field, in some 14 bytes for every pixel of the coarsest
        level; of networks, the structure. The same canvas in another process, given it by `use_base`, makes
        the same bytes and searches nothing; so does one of another `dtype`, unless a structure is all that
        there is of it. Arrays that pickle; they may be views of what the canvas keeps.
        Arguments and errors as for `read`.
        """
        check_progress(progress)
        with self._at_work(cancel, timeout, keep=False), _timed(None) as numbers:
            found = self._renderer.base(progress, numbers)
        return marked(found, self._identity())

    @holding_nothing()
    def use_base(self, base: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what `find_base` has found, of the same bundle and arguments, in this process or another one.

        It may come from anywhere: what it holds is checked. Raises TypeError or ValueError if it is no such
        thing, or of another canvas, and what `read` raises for a damaged bundle.
        """
        found = unmarked(base, self._identity())
        with self._at_work(None, None, keep=False):
            self._renderer.use_base(found)

    def _identity(self) -> dict[str, object]:
        """What a base belongs to: a type only where what is found is of it."""
        dtype = self._renderer.base_dtype
        return self._provenance() | ({} if dtype is None else {"dtype": dtype.name})

    def to_dask(self, level: SupportsIndex = 0, chunks: Any = None) -> Any:
        """A level as a `dask.array.Array` (height, width, 3): its chunks are rendered when they are computed.

        With threads, processes or on a cluster; the bytes are those of `canvas[...]`. Nothing is found or
        rendered here. What has to be found in the whole picture is found once, by one task, and sent to
        whoever computes chunks; every process opens the canvas once, from the bundle's file, which has to
        be there, or, if it was learned and not saved, from its bytes, which are in the graph.

        Args:
            level: An index into `levels`.
            chunks: As for `dask.array.from_array`, with all channels in a chunk. By default about 4096 x
                4096 pixels: 8 x 8 tiles of 512, or, where a network makes the level, whole tiles of it.

        Raises:
            ClusterError: Dask is not installed: `pip install "ourgan-sdk[dask]"`.
            TypeError, ValueError, IndexError: An argument is not allowed.
            ClosedError: The synthesizer was closed.
        """
        from .cluster import to_dask  # noqa: PLC0415 - Dask is for those who ask for it

        return to_dask(self, level, chunks)

    @holding_nothing()
    def save(
        self,
        path: str | os.PathLike[str],
        *,
        box: Box | None = None,
        resume: bool = False,
        quality: int = 95,
        pyramid: bool = False,
        dpi: float | None = None,
        progress: Progress = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
        stats: RenderStats | None = None,
    ) -> Path:
        """Stream the picture, or a part of it, into a file, and return its path, made absolute.

        The file appears under its name only when it is whole. Its metadata says, as JSON, what the picture
        was made of: software, bundle, size and seed, and of a part which one, as [y0, x0, y1, x1].

        Args:
            path: The suffix chooses the format: see `open_writer`.
            box: A region (y0, x0, y1, x1), not empty, within the picture: what the file holds of it; by
                default all.
            resume: Keep finished bands in a file `path` + ".partial" until the picture is whole, and go on
                from what an earlier call, which was killed or failed, has left there. That takes
                height x width x 3 bytes of disk (twice as many for uint16), of the part that the file holds.
            quality: As for `open_writer`.
            pyramid: As for `open_writer`.
            dpi: As for `open_writer`.
            progress: True for a bar, or a function of (done, total); more on all three: `Synthesizer.render`.
            cancel: Ends the render once its `is_set()` is true.
            timeout: Seconds after which the render ends.
            stats: An object to which the numbers of this render are added.

        Raises:
            OutputError: The file cannot be written, or what was left belongs to another picture.
            TypeError, ValueError, IndexError: An argument is not allowed.
            RenderCancelledError, RenderTimeoutError: `cancel` was set, or `timeout` is over.
            BundleError, EngineError, NonFiniteError: As for `Synthesizer.render`.
        """
        check_progress(progress)
        _, box = self._part(box, 0)
        path = absolute(path)
        check_is_not(path, self._networks.bundle.path)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._at_work(cancel, timeout, keep=False))
            numbers = stack.enter_context(_timed(stats))
            # Removed, as the first to be entered, after the file has got its name.
            finished = stack.enter_context(self._open_finished(path, box)) if resume else None
            file = stack.enter_context(
                open_writer(
                    path,
                    box.width,
                    box.height,
                    dtype=self.dtype,
                    quality=quality,
                    pyramid=pyramid,
                    dpi=dpi,
                    description=json.dumps(self._provenance(box)),
                )
            )
            start, write = (0, file.write) if finished is None else self._replay(finished, file)
            if start < box.height:
                rest = Box(box.y0 + start, box.x0, box.y1, box.x1)
                self._renderer.render(0, rest, write, progress, numbers, keep=False)
        return path

    def _replay(self, finished: Finished, file: Writer) -> tuple[int, Callable[[Picture], None]]:
        """Give `file` what is finished; return its number of rows, and what takes the bands that follow."""
        if finished.memory_limit is not None:
            _log.info("going on from row %d, found in %s", finished.rows, finished.path)
            self._renderer.lower_memory_limit(finished.memory_limit)
        for band in finished.bands():
            file.write(band)

        def write(band: Picture) -> None:
            finished.append(band, self._renderer.plan.memory_limit)
            file.write(band)

        return finished.rows, write

    def _provenance(self, box: Box | None = None) -> dict[str, object]:
        """What identifies the picture, or that part of it, for its file's metadata."""
        part = {} if box is None or box == Box(0, 0, self.height, self.width) else {"box": list(box)}
        return {
            "software": f"ourgan_sdk {__version__}",
            "bundle": self._networks.bundle.sha256,
            "width": self.width,
            "height": self.height,
            **part,
            "seed": self.seed,
            "detail": "photograph" if isinstance(self._renderer.first, DetailPicture) else "network",
            "extent": self.extent,
            **self._layout,
        }

    def _describe_plan(self) -> tuple[int, list[str]]:
        """The memory limit, and the grids, which decide about pixels where networks make them."""
        plan = self._renderer.plan
        return plan.memory_limit, [
            f"{grid.rows} x {grid.columns} tiles of {grid.window_height} x {grid.window_width}"
            for grid in (*plan.grids, *plan.first_grids[:1])
        ]

    def _open_finished(self, path: Path, box: Box) -> contextlib.AbstractContextManager[Finished]:
        begun = begun_with(path) if self._networks.memory_limit is None else None
        if begun is not None:  # another default, when more memory was free or less
            with contextlib.suppress(BudgetError):
                self._renderer.plan_for(begun)
                self._begun = self._describe_plan()
        memory_limit, grids = self._begun
        picture = self._provenance(box) | {
            "dtype": self.dtype.name,
            "engine": self.engine_name,
            "grids": grids,
        }
        shape = (box.height, box.width, _CHANNELS)
        return open_finished(path, picture, shape, self.dtype, memory_limit)


@contextlib.contextmanager
def _timed(stats: RenderStats | None) -> Iterator[RenderStats]:
    """Add the seconds that a render takes, writing its file included."""
    stats = RenderStats() if stats is None else stats
    started = time.perf_counter()
    yield stats
    stats.seconds += time.perf_counter() - started
    _log.info("rendered in %.2f s; %.2f s in the engine", stats.seconds, stats.engine_seconds)


def check_seed(seed: SupportsIndex) -> int:
    """The seed as a plain int; raises TypeError if it is none, ValueError unless from 0 to 2^64 - 1."""
    if not isinstance(seed, SupportsIndex):
        raise TypeError(f"expected the seed to be an integer, got {seed!r}")
    seed = operator.index(seed)
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"expected a seed from 0 to 2^64 - 1, got {seed}")
    return seed


def check_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """As a dtype; raises ValueError unless uint8 or uint16."""
    dtype = np.dtype(dtype)
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected a dtype of uint8 or uint16, got {dtype}")
    return dtype
