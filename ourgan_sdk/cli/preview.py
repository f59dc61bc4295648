"""`ourgan preview`: a contact sheet of many seeds, structure only."""

import argparse

import numpy as np

from ..errors import OurganError
from ..progress import reporting
from ..writers import open_writer
from .options import (
    Commands,
    add_command,
    add_engine_options,
    add_output,
    argument,
    open_synthesizer,
    parse_count,
    parse_seed,
)

__all__ = ["add_to", "run"]

_GAP = 4
"""Pixels between the pictures of a contact sheet."""

_PATIENCE = 2.0
"""Seconds after which a preview shows how far it is."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "preview", run, "render a contact sheet of many seeds, structure only")
    add_output(parser)
    parser.add_argument("--first", type=argument(parse_seed), default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--count", type=argument(parse_count), default=24, help="how many seeds (default: 24)"
    )
    parser.add_argument(
        "--columns", type=argument(parse_count), default=6, help="pictures in a row (default: 6)"
    )
    add_engine_options(parser)


def run(options: argparse.Namespace) -> None:
    """Write the sheet, row by row."""
    synthesizer = open_synthesizer(options)
    seeds = range(options.first, options.first + options.count)
    if seeds[-1] >= 1 << 64:
        raise OurganError(f"expected seeds up to 2^64 - 1, got {seeds[0]} to {seeds[-1]}")
    columns = min(options.columns, options.count)
    cell = synthesizer.bundle.manifest.structure.scales[-1]
    width = _GAP + columns * (cell.width + _GAP)
    height = _GAP + -(-options.count // columns) * (cell.height + _GAP)
    with (
        open_writer(options.output, width, height) as writer,
        reporting(True, options.count, delay=_PATIENCE) as advance,
    ):
        writer.write(np.full((_GAP, width, 3), 255, np.uint8))
        for first in range(0, options.count, columns):
            band = np.full((cell.height + _GAP, width, 3), 255, np.uint8)
            for i, seed in enumerate(seeds[first : first + columns]):
                x = _GAP + i * (cell.width + _GAP)
                band[: cell.height, x : x + cell.width] = synthesizer.preview(seed)
                advance(1)
            writer.write(band)
    print(f"{options.output}: seeds {seeds[0]} to {seeds[-1]}, {options.columns} in a row")
