"""A canvas rendered by the workers of a cluster into one output, and how that is watched from here."""

import contextlib
import functools
import logging
import os
import queue
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .._version import __version__
from ..canvas import Canvas
from ..errors import ClusterError, OurganError, OutputError, RenderMemoryError
from ..progress import Progress, RenderStats, check_progress, reporting
from ..rendering import Share
from ..stopping import POLL_SECONDS, Cancel, check_stop, stoppable
from ..system.atomic import absolute, check_is_not
from ..system.frames import holding_nothing
from ..system.threads import Call
from ..writers import check_output
from ..writers.base import Properties
from .jobs import Job, check_worker, merge_blocks, render_block
from .libraries import import_distributed
from .outputs import DeepZoom, Output, Zarr
from .pyramid import Block
from .reference import refer_to
from .worker import forget

__all__ = ["OUTPUTS", "check_suffix", "save"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

OUTPUTS: dict[str, type[Output]] = {".zarr": Zarr, ".dzi": DeepZoom}
"""By suffix."""

_LEAF_OF_NETWORKS = 1
"""The level of leaves where networks make the picture: 8192 pixels a side, in 200 or 400 MB."""

_LOOK_SECONDS = 5.0
"""Between two looks at how many workers there are."""

_MISSED_SECONDS = 30.0
"""For which workers of this machine may be missing: nobody else brings others."""

_FAREWELL_SECONDS = 2.0
"""That the workers are given to hear of the end: they see it all the same."""

_LEAST_AT_ONCE = 8
"""Tasks that are handed in at least, so that clusters which grow as they are needed see that they are."""


@holding_nothing()
def save(
    canvas: Canvas,
    path: str | os.PathLike[str],
    client: Any,
    *,
    quality: int = 95,
    dpi: float | None = None,
    progress: Progress = None,
    cancel: Cancel | None = None,
    timeout: float | None = None,
    stats: RenderStats | None = None,
) -> Path:
    """Let the workers of a Dask cluster render a canvas into OME-Zarr or Deep Zoom; the path, made absolute.

    The files have the same bytes as those of `canvas.save(path)`. What has to be found in the whole picture
    is found here, once. Workers write into a temporary folder beside the output, which all have to see under
    the same path; it takes its name when it is whole, and goes if this ends in any other way. Blocks of
    workers that die are rendered again. Whoever is cancelled, or whose process ends, leaves no tasks behind.

    Args:
        canvas: Of a bundle that the workers see under the same path, or that was learned and not saved.
        path: Ends in .zarr or .dzi; `ourgan convert` makes other formats of a Zarr.
        client: A `distributed.Client`.
        quality: As for `Canvas.save`.
        dpi: As for `Canvas.save`.
        progress: True for a bar, or a function of (done, total), in pixels.
        cancel: Ends the render once its `is_set()` is true.
        timeout: Seconds after which the render ends.
        stats: An object to which the seconds in all, and those of the base, are added.

    Raises:
        ClusterError: Workers cannot take part, the scheduler is gone, or a block's workers died too often.
        OutputError: The output cannot be written, by whomsoever, or has another suffix.
        TypeError, ValueError: An argument is not allowed.
        RenderCancelledError, RenderTimeoutError: `cancel` was set, or `timeout` is over.
        BundleError, EngineError, NonFiniteError, RenderMemoryError: As for `Synthesizer.render`, here or on a
            worker.
    """
    check_progress(progress)
    path = absolute(path)
    output = _output(canvas, path, quality, dpi)
    check_is_not(path, canvas.networks.bundle.path)
    if not isinstance(client, import_distributed().Client) or client.asynchronous:
        raise TypeError(f"expected a distributed.Client, and not an asynchronous one, got {client!r}")
    _check_scheduler(client)
    stats = RenderStats() if stats is None else stats
    started = time.perf_counter()
    reference = refer_to(canvas)
    base_work, pixels = canvas.base_work, canvas.width * canvas.height
    with (
        stoppable(cancel, timeout),
        output.atomic(path) as name,
        reporting(progress, base_work + pixels) as advance,
    ):
        job = Job(path, name.parent, name.name, output, reference.token)
        share = Share(advance, base_work)
        base = canvas.find_base(progress=share)
        share(1, 1)
        stats.field_seconds += time.perf_counter() - started
        stats.copied_share = canvas.copied_share
        job.begin(reference, base)
        _check_workers(client, job)
        _Run(client, job, advance).run()
    stats.seconds += time.perf_counter() - started
    return path


def check_suffix(path: Path) -> None:
    """Raise OutputError unless it is that of an output which a cluster writes."""
    if path.suffix.lower() not in OUTPUTS:
        raise OutputError(
            f"cannot write {path}: a cluster writes {' and '.join(OUTPUTS)}; make other formats of a Zarr: "
            f"ourgan convert {path.stem}.zarr -o {path.name}"
        )


def _output(canvas: Canvas, path: Path, quality: int, dpi: float | None) -> Output:
    """What is written; raises OutputError for other suffixes, and what `open_writer` raises."""
    check_suffix(path)
    kind = OUTPUTS[path.suffix.lower()]
    properties = Properties(
        canvas.width, canvas.height, canvas.dtype, quality, False, dpi, canvas.description
    )
    check_output(path, properties)
    # Tiles of networks do not end where blocks do, and those that two share are rendered twice.
    return kind(properties, _LEAF_OF_NETWORKS if canvas.plan.tiling_of(0) else 0)


def _check_workers(client: Any, job: Job) -> None:
    """Raise ClusterError if one of those that are there cannot take part."""
    ask = functools.partial(client.run, check_worker, job, __version__, on_error="return")
    answers = _answered(ask, check_stop)
    for worker, answer in answers.items():
        if answer is not None:
            told = f"{type(answer).__name__}: {answer}" if isinstance(answer, Exception) else answer
            raise ClusterError(
                f"the worker {worker} cannot take part: {told}; all workers need this package, and the "
                "output's folder under the same path"
            )
    if not answers:
        _log.warning("the cluster has no workers yet: waiting for some")


def _check_scheduler(client: Any) -> None:
    """Raise ClusterError if it does not listen any more."""
    if client.status != "running":
        raise ClusterError("the client is closed, or the connection to the cluster's scheduler is lost")


def _answered(ask: Callable[[], T], meanwhile: Callable[[], object]) -> T:
    """What `ask()` returns, unless `meanwhile` ends the waiting: a frozen worker answers nobody."""
    call = Call(ask, "ourgan cluster")
    call.wait(meanwhile)
    return call.result()


class _Run:
    """Hands in tasks, as many as keep the workers busy, and what can be made of those that have ended."""

    def __init__(self, client: Any, job: Job, advance: Callable[[int], object]) -> None:
        self._client = client
        self._job = job
        self._advance = advance
        self._pyramid = job.output.pyramid
        self._leaves = self._pyramid.leaves()
        self._name = secrets.token_hex(8)
        self._ended: queue.SimpleQueue[Block] = queue.SimpleQueue()
        self._lost: list[Block] = []
        self._running: dict[Block, Any] = {}
        self._halves: dict[Block, Any] = {}
        self._left = self._pyramid.blocks
        self._at_once = _LEAST_AT_ONCE
        self._looked = self._missed = -np.inf

    def run(self) -> None:
        """Until all blocks are written; on any error, no task is left."""
        try:
            while self._left:
                self._look()
                self._submit_leaves()
                try:
                    self._take(self._ended.get(timeout=POLL_SECONDS))
                except queue.Empty:
                    check_stop()
                    while self._lost:
                        self._ended.put(self._lost.pop())
        finally:
            self._end()

    def _look(self) -> None:
        """Now and then, at how many there are to work."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        _check_scheduler(self._client)
        threads = sum(_answered(self._client.nthreads, check_stop).values())
        if threads:
            self._missed = np.inf
        elif self._looked > 0:
            self._miss_workers(now)
        self._looked = now
        self._at_once = max(_LEAST_AT_ONCE, 2 * threads)

    def _miss_workers(self, now: float) -> None:
        """Wait for other workers, for as long as there may be some."""
        self._missed = min(self._missed, now)
        is_local = isinstance(self._client.cluster, import_distributed().LocalCluster)
        if is_local and now - self._missed >= _MISSED_SECONDS:
            raise ClusterError(
                f"all workers have died, and none has come in their place for {_MISSED_SECONDS:g} s: "
                "processes of this machine cannot be started any more, or run out of memory"
            )
        _log.warning("the cluster has no workers any more: waiting for new ones")

    def _submit_leaves(self) -> None:
        while sum(map(self._pyramid.is_leaf, self._running)) < self._at_once:
            block = next(self._leaves, None)
            if block is None:
                return
            self._submit(render_block, block)

    def _submit(self, function: Callable[..., Any], block: Block, *parts: Any) -> None:
        # What is made of others goes first: so no more halves wait than have to.
        future = self._client.submit(
            *(function, self._job, block, *parts),
            key=(f"ourgan-{'merge' if parts else 'render'}-{self._name}", *block),
            priority=block.level,
        )
        self._running[block] = future
        future.add_done_callback(lambda _future: self._ended.put(block))

    def _take(self, block: Block) -> None:
        """Go on from a block that has ended."""
        future = self._running[block]
        if future.status in ("pending", "lost"):  # its worker died before this look: it is rendered again
            _check_scheduler(self._client)
            self._lost.append(block)
            return
        del self._running[block]
        if future.status != "finished":
            raise self._failure(block, future)
        self._left -= 1
        if self._pyramid.is_leaf(block):
            box = self._pyramid.below(block)
            self._advance(box.height * box.width)
        if not self._left:
            return
        self._halves[block] = future
        whole = self._pyramid.made_of(block)
        parts = self._pyramid.parts(whole)
        if all(part in self._halves for part in parts):
            self._submit(merge_blocks, whole, *(self._halves.pop(part) for part in parts))

    def _failure(self, block: Block, future: Any) -> Exception:
        """What a task that has not come to its end is reported as."""
        if future.status != "error":
            _check_scheduler(self._client)
            return ClusterError("the tasks of this render were cancelled by somebody else")
        error = future.exception()
        if isinstance(error, OurganError):
            return error
        if isinstance(error, import_distributed().KilledWorker):
            return ClusterError(
                f"{error.allowed_failures + 1} workers died over the block at row {block.row} and column "
                f"{block.column} of level {block.level}, the last one {error.last_worker.address}: they may "
                "have run out of memory; their logs tell"
            )
        if isinstance(error, MemoryError):
            return RenderMemoryError(f"a worker ran out of memory ({error}): give workers more")
        return ClusterError(f"a worker failed: {type(error).__name__}: {error}")

    def _end(self) -> None:
        """Let the workers drop what they have not begun, and the canvas.

        What is at work sees that its folder goes.
        """
        if self._client.status != "running":
            return
        until = time.monotonic() + _FAREWELL_SECONDS

        def wait_no_longer() -> None:
            if time.monotonic() >= until:
                raise TimeoutError

        with contextlib.suppress(Exception):  # the scheduler may be gone as well, and workers frozen
            _answered(self._say_farewell, wait_no_longer)

    def _say_farewell(self) -> None:
        futures = [*self._running.values(), *self._halves.values()]
        if futures:
            self._client.cancel(futures, force=True)
        self._client.run(forget, self._job.token, on_error="ignore")
