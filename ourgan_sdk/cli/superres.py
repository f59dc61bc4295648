"""`ourgan superres`: the learned photograph itself, larger."""

import argparse
import time

import numpy as np

from .._core import Box
from ..arrays import Picture
from ..canvas import Canvas
from ..synthesizer import MOST_ENLARGED
from ..system.atomic import check_is_not
from ..system.streams import say
from ..thumbnails import thumbnail_size
from .options import (
    Commands,
    add_command,
    add_engine_options,
    add_picture_options,
    add_seed,
    argument,
    between,
    open_synthesizer,
    refused_values,
    save_picture,
)

__all__ = ["add_to", "run"]


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "superres", run, "enlarge the learned photograph itself, by its networks")
    add_picture_options(parser)
    parser.add_argument(
        "--factor",
        type=argument(between("a factor", 1, MOST_ENLARGED)),
        default=4.0,
        metavar="N",
        help=f"times per side, above 1, up to {MOST_ENLARGED} (default: 4)",
    )
    add_seed(parser)
    add_engine_options(parser)


def run(options: argparse.Namespace) -> None:
    """Enlarge."""
    started = time.perf_counter()
    synthesizer = open_synthesizer(options)
    check_is_not(options.output, synthesizer.bundle.path)
    with refused_values():
        canvas = synthesizer.super_resolution(
            options.factor, options.seed, dtype=np.uint8 if options.bits == 8 else np.uint16
        )
        save_picture(lambda: canvas, lambda size: _middle(canvas, size), options)
    seconds = time.perf_counter() - started
    what = "the middle, at 100 %, of " if options.preview else ""
    say(f"{options.output}: {what}{canvas.width} x {canvas.height}, in {seconds:.1f} s")


def _middle(canvas: Canvas, size: int) -> Picture:
    """Of a canvas, at most that many pixels long: reduced it would show the photograph as it is."""
    height, width = thumbnail_size(canvas.height, canvas.width, size)
    y, x = (canvas.height - height) // 2, (canvas.width - width) // 2
    return canvas.read(Box(y, x, y + height, x + width))
