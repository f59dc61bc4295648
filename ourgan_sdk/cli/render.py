"""`ourgan render`: a picture into a file."""

import argparse
import time
from pathlib import Path

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
    add_output,
    argument,
    layout_of,
    open_synthesizer,
    parse_seed,
    refused_values,
)

__all__ = ["add_to", "run"]


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "render", run, "render a picture into a file")
    parser.add_argument("size", type=argument(parse_size), metavar="SIZE", help="WIDTHxHEIGHT, 4k, 8k or 16k")
    add_output(parser)
    parser.add_argument("--resume", action="store_true", help="go on with a render that was killed")
    parser.add_argument("--pyramid", action="store_true", help="TIFF: with reduced pictures for viewers")
    parser.add_argument("--quality", type=argument(_quality), default=95, help="1 to 100 (default: 95)")
    parser.add_argument("--dpi", type=argument(_dpi), help="pixels per inch, for printing")
    parser.add_argument(
        "--seed", type=argument(parse_seed), default=0, help="from 0 to 2^64 - 1 (default: 0)"
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="per channel (default: 8)")
    add_layout_options(parser)
    add_detail_option(parser)
    add_engine_options(parser)


def run(options: argparse.Namespace) -> None:
    """Render, and say how long it took, learning a photograph included."""
    started = time.perf_counter()
    synthesizer = open_synthesizer(options)
    stats = RenderStats()
    dtype = np.uint8 if options.bits == 8 else np.uint16
    width, height = options.size
    output: Path = options.output
    with refused_values():
        canvas = synthesizer.canvas(
            *(width, height, options.seed), dtype=dtype, extent=options.extent, layout=layout_of(options)
        )
    canvas.save(
        output,
        resume=options.resume,
        quality=options.quality,
        pyramid=options.pyramid,
        dpi=options.dpi,
        progress=True,
        stats=stats,
    )
    seconds = time.perf_counter() - started
    say(f"{output}: {width} x {height}, seed {options.seed}, in {seconds:.1f} s{_copied(stats)}")


def _copied(stats: RenderStats) -> str:
    """What is to be told of a structure of patches."""
    if stats.copied_share is None:
        return ""
    return f"; its largest piece of the photograph is {stats.copied_share:.0%} of the layout"


def _quality(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise ValueError(f"expected a quality from 1 to 100, got {text!r}")
    return int(text)


def _dpi(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 65535:
        raise ValueError(f"expected 1 to 65535 pixels per inch, got {text!r}")
    return value
