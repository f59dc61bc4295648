"""`ourgan preview`: a contact sheet of many seeds."""

import argparse
from collections.abc import Callable

import numpy as np

from ..arrays import Picture
from ..errors import OurganError
from ..progress import reporting
from ..sizes import parse_size
from ..synthesizer import Synthesizer
from ..writers import open_writer
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
    parse_count,
    parse_seed,
    refused_values,
)

__all__ = ["add_to", "run"]

_GAP = 4
"""Pixels between the pictures of a contact sheet."""

_PATIENCE = 2.0
"""Seconds after which a preview shows how far it is."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    description = "render a contact sheet of many seeds, with detail if the photograph is there"
    parser = add_command(commands, "preview", run, description)
    add_output(parser)
    parser.add_argument("--first", type=argument(parse_seed), default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--count", type=argument(parse_count), default=24, help="how many seeds (default: 24)"
    )
    parser.add_argument(
        "--columns", type=argument(parse_count), default=6, help="pictures in a row (default: 6)"
    )
    parser.add_argument(
        "--cell", type=argument(parse_count), default=640, help="pixels of a long side (default: 640)"
    )
    parser.add_argument(
        "--size",
        type=argument(parse_size),
        help="that the pictures will be rendered at: WIDTHxHEIGHT, 4k, ... (default: the photograph's)",
    )
    add_layout_options(parser)
    add_detail_option(parser)
    add_engine_options(parser)


def run(options: argparse.Namespace) -> None:
    """Write the sheet, row by row."""
    synthesizer = open_synthesizer(options)
    seeds = range(options.first, options.first + options.count)
    if seeds[-1] >= 1 << 64:
        raise OurganError(f"expected seeds up to 2^64 - 1, got {seeds[0]} to {seeds[-1]}")
    columns = min(options.columns, options.count)
    with refused_values(), reporting(True, options.count, delay=_PATIENCE, description="preview") as advance:
        make = _maker(synthesizer, options)
        sample = make(seeds[0])
        cell_height, cell_width, _ = sample.shape
        width = _GAP + columns * (cell_width + _GAP)
        height = _GAP + -(-options.count // columns) * (cell_height + _GAP)
        with open_writer(options.output, width, height) as writer:
            writer.write(np.full((_GAP, width, 3), 255, np.uint8))
            for first in range(0, options.count, columns):
                band = np.full((cell_height + _GAP, width, 3), 255, np.uint8)
                for i, seed in enumerate(seeds[first : first + columns]):
                    x = _GAP + i * (cell_width + _GAP)
                    band[:cell_height, x : x + cell_width] = sample if seed == seeds[0] else make(seed)
                    advance(1)
                writer.write(band)
    print(f"{options.output}: seeds {seeds[0]} to {seeds[-1]}, {columns} in a row")


def _maker(synthesizer: Synthesizer, options: argparse.Namespace) -> Callable[[int], Picture]:
    """What makes the picture of a seed: with detail, or where networks would have to make that, without."""
    layout = layout_of(options)
    if not synthesizer.takes_detail:
        return synthesizer.preview
    width, height = options.size or (None, None)

    def thumbnail(seed: int) -> Picture:
        return synthesizer.thumbnail(
            seed, width=width, height=height, size=options.cell, extent=options.extent, layout=layout
        )

    return thumbnail
