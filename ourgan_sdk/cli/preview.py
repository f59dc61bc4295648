"""`ourgan preview`: a contact sheet of many seeds."""

import argparse

import numpy as np

from ..arrays import Picture
from ..errors import OurganError
from ..progress import reporting
from ..sizes import parse_size
from ..structure import Layout
from ..synthesizer import Synthesizer
from ..system.atomic import check_is_not
from ..system.streams import say
from ..thumbnails import thumbnail_size
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
        "--cell",
        type=argument(parse_count),
        default=640,
        help="pixels of a long side, with detail (default: 640)",
    )
    parser.add_argument(
        "--size",
        type=argument(parse_size),
        help="that pictures will be rendered at, which decides their layouts (default: the photograph's)",
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
    check_is_not(options.output, synthesizer.bundle.path)
    columns = min(options.columns, options.count)
    with refused_values():
        layout = layout_of(options)
    cell_height, cell_width = _cell(synthesizer, options)
    width = _GAP + columns * (cell_width + _GAP)
    height = _GAP + -(-options.count // columns) * (cell_height + _GAP)
    with (
        refused_values(),
        open_writer(options.output, width, height) as writer,
        reporting(True, options.count, delay=_PATIENCE, description="preview") as advance,
    ):
        writer.write(np.full((_GAP, width, 3), 255, np.uint8))
        for first in range(0, options.count, columns):
            band = np.full((cell_height + _GAP, width, 3), 255, np.uint8)
            for i, seed in enumerate(seeds[first : first + columns]):
                x = _GAP + i * (cell_width + _GAP)
                band[:cell_height, x : x + cell_width] = _picture(synthesizer, seed, layout, options)
                advance(1)
            writer.write(band)
    say(f"{options.output}: seeds {seeds[0]} to {seeds[-1]}, {columns} in a row")


def _size(synthesizer: Synthesizer, options: argparse.Namespace) -> tuple[int, int]:
    """(width, height) of what the pictures are previews of."""
    size: tuple[int, int] = options.size or synthesizer.bundle.manifest.natural_size[::-1]
    return size


def _takes_any_size(synthesizer: Synthesizer) -> bool:
    """Whether small pictures cost little: of the photograph's detail, or of coordinates."""
    return synthesizer.takes_detail or synthesizer.bundle.manifest.coordinates is not None


def _cell(synthesizer: Synthesizer, options: argparse.Namespace) -> tuple[int, int]:
    """(height, width) of one picture: of a structure alone, where networks would have to make detail."""
    if not _takes_any_size(synthesizer):
        return synthesizer.bundle.manifest.base_size
    width, height = _size(synthesizer, options)
    return thumbnail_size(height, width, options.cell)


def _picture(synthesizer: Synthesizer, seed: int, layout: Layout, options: argparse.Namespace) -> Picture:
    if not _takes_any_size(synthesizer):
        return synthesizer.preview(seed, layout=layout)
    width, height = _size(synthesizer, options)
    return synthesizer.thumbnail(
        seed, width=width, height=height, size=options.cell, extent=options.extent, layout=layout
    )
