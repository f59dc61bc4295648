"""`ourgan paint`: a painting, or another photograph, becomes one of the bundle's kind."""

import argparse
import time

from ..palette import MOST_COLORS
from .options import Commands, argument, open_synthesizer
from .starting import add_start_command, read_picture, render_from

__all__ = ["add_to", "run"]


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    description = "make a photograph of the bundle's kind from a painting, a sketch or another photograph"
    parser = add_start_command(commands, "paint", run, description, picture="painting")
    parser.add_argument(
        "--colors",
        type=argument(_colors),
        metavar="N",
        help="paint in N of the photograph's own main colours first, from 2 to "
        f"{MOST_COLORS} (SinGAN: 5), so that the painting's need not be like them",
    )


def run(options: argparse.Namespace) -> None:
    """Paint."""
    started = time.perf_counter()
    painting = read_picture(options.picture)
    synthesizer = open_synthesizer(options)
    if options.size is None:
        options.size = painting.shape[1], painting.shape[0]
    if options.colors is not None:
        painting = synthesizer.recolored(painting, options.colors)
    scale = synthesizer.default_start_scale("paint")
    variety = None if synthesizer.takes_patches else 0.0  # at a network's coarse scale little is much
    render_from(synthesizer, options, painting, scale=scale, variety=variety, started=started)


def _colors(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= MOST_COLORS:
        raise ValueError(f"expected a number of colours from 2 to {MOST_COLORS}, got {text!r}")
    return int(text)
