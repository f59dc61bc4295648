"""`ourgan render`: a picture into a file."""

import argparse
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..canvas import Canvas
from ..errors import OurganError
from ..progress import RenderStats
from ..sizes import parse_size
from ..system.streams import say
from .options import (
    Commands,
    add_command,
    add_detail_option,
    add_engine_options,
    add_layout_options,
    add_picture_options,
    add_seed,
    add_start_scale,
    argument,
    layout_of,
    open_synthesizer,
    parse_count,
    refused_values,
    save_picture,
)

__all__ = ["add_to", "run"]


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "render", run, "render a picture into a file")
    parser.add_argument("size", type=argument(parse_size), metavar="SIZE", help="WIDTHxHEIGHT, 4k, 8k or 16k")
    add_picture_options(parser)
    add_seed(parser)
    add_start_scale(parser)
    add_layout_options(parser)
    add_detail_option(parser)
    add_engine_options(parser)
    _add_cluster_options(parser)


def _add_cluster_options(parser: argparse.ArgumentParser) -> None:
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--workers",
        type=argument(parse_count),
        metavar="N",
        help="render by N processes on this machine, which share its threads, into .zarr or .dzi",
    )
    either.add_argument(
        "--cluster",
        metavar="SCHEDULER",
        help="render by the workers of a Dask cluster, into .zarr or .dzi in a folder that all of them see: "
        "the address of its scheduler, such as tcp://host:8786, or the file that it has written",
    )


def run(options: argparse.Namespace) -> None:
    """Render, and say how long it took, learning a photograph included."""
    started = time.perf_counter()
    by_cluster = _by_cluster(options)
    synthesizer = open_synthesizer(options)
    width, height = options.size
    with refused_values():
        asked: dict[str, Any] = {
            "extent": options.extent,
            "layout": layout_of(options),
            "start_scale": options.start_scale,
        }

        def canvas() -> Canvas:
            dtype = np.uint8 if options.bits == 8 else np.uint16
            return synthesizer.canvas(width, height, options.seed, dtype=dtype, **asked)

        if by_cluster is not None:
            stats = by_cluster(canvas())
        else:
            stats = save_picture(
                canvas,
                lambda size: synthesizer.thumbnail(
                    options.seed, width=width, height=height, size=size, **asked
                ),
                options,
            )
    seconds = time.perf_counter() - started
    what = "a preview of " if options.preview else ""
    say(
        f"{options.output}: {what}{width} x {height}, seed {options.seed}, in {seconds:.1f} s{_copied(stats)}"
    )


def _by_cluster(options: argparse.Namespace) -> Callable[[Canvas], RenderStats] | None:
    """What renders a canvas on the cluster that the options ask for; None where they ask for none.

    Raises OurganError where they do not go together.
    """
    if options.preview or (options.workers is None and options.cluster is None):
        return None
    from .. import cluster  # noqa: PLC0415 - Dask is for those who ask for it

    cluster.check_suffix(options.output)
    for given, name, instead in (
        (options.resume, "--resume", "a cluster renders again what its workers have lost, but begins anew"),
        (options.pyramid, "--pyramid", "Deep Zoom and Zarr always are one"),
    ):
        if given:
            raise OurganError(f"{name} does not go with --workers and --cluster: {instead}")

    def connect() -> AbstractContextManager[Any]:
        if options.workers is None:
            return cluster.connected(options.cluster)
        return cluster.local_workers(options.workers, options.threads)

    def render(canvas: Canvas) -> RenderStats:
        stats = RenderStats()
        with connect() as client:
            cluster.save(
                *(canvas, options.output, client),
                quality=options.quality,
                dpi=options.dpi,
                progress=True,
                stats=stats,
            )
        return stats

    return render


def _copied(stats: RenderStats) -> str:
    """What is to be told of a structure of patches."""
    if stats.copied_share is None:
        return ""
    return f"; its largest piece of the photograph is {stats.copied_share:.0%} of the layout"
