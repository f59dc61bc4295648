"""`ourgan render`: a picture into a file."""

import argparse
import time
from typing import Any

import numpy as np

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
    argument,
    layout_of,
    open_synthesizer,
    parse_scale,
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
    parser.add_argument(
        "--start-scale",
        type=argument(parse_scale),
        metavar="N",
        help="keep the photograph's layout below scale N, counted from the coarsest: the larger, the more",
    )
    add_layout_options(parser)
    add_detail_option(parser)
    add_engine_options(parser)


def run(options: argparse.Namespace) -> None:
    """Render, and say how long it took, learning a photograph included."""
    started = time.perf_counter()
    synthesizer = open_synthesizer(options)
    width, height = options.size
    with refused_values():
        asked: dict[str, Any] = {
            "extent": options.extent,
            "layout": layout_of(options),
            "start_scale": options.start_scale,
        }
        stats = save_picture(
            lambda: synthesizer.canvas(
                width, height, options.seed, dtype=np.uint8 if options.bits == 8 else np.uint16, **asked
            ),
            lambda size: synthesizer.thumbnail(options.seed, width=width, height=height, size=size, **asked),
            options,
        )
    seconds = time.perf_counter() - started
    what = "a preview of " if options.preview else ""
    say(
        f"{options.output}: {what}{width} x {height}, seed {options.seed}, in {seconds:.1f} s{_copied(stats)}"
    )


def _copied(stats: RenderStats) -> str:
    """What is to be told of a structure of patches."""
    if stats.copied_share is None:
        return ""
    return f"; its largest piece of the photograph is {stats.copied_share:.0%} of the layout"
