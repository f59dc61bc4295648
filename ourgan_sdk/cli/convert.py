"""`ourgan convert`: an OME-Zarr into another format."""

import argparse
import time
from pathlib import Path

from ..ome_zarr import open_zarr
from ..progress import reporting
from ..system.atomic import check_is_not
from ..system.streams import say
from ..writers import open_writer
from .options import Commands, add_file_options, add_output, argument, refused_values

__all__ = ["add_to", "run"]


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    description = "write an OME-Zarr, as clusters make them, in another format"
    parser = commands.add_parser("convert", help=description, description=f"{description.capitalize()}.")
    parser.set_defaults(run=run)
    parser.add_argument("source", type=Path, metavar="IN.zarr", help="of three channels, 8 or 16 bits")
    add_output(parser)
    add_file_options(parser)
    parser.add_argument(
        "--level",
        type=argument(_level),
        default=0,
        metavar="N",
        help="a coarser one of its levels, each half as large as the one before (default: 0, the picture)",
    )


def run(options: argparse.Namespace) -> None:
    """Convert, band by band."""
    started = time.perf_counter()
    picture = open_zarr(options.source, options.level)
    check_is_not(options.output, options.source)
    dpi = picture.dpi if options.dpi is None else options.dpi
    with (
        refused_values(),
        open_writer(
            options.output,
            picture.width,
            picture.height,
            dtype=picture.dtype,
            quality=options.quality,
            pyramid=options.pyramid,
            dpi=dpi,
            description=picture.description,
        ) as writer,
        reporting(True, picture.height, description="convert") as advance,
    ):
        for band in picture.bands():
            writer.write(band)
            advance(len(band))
    seconds = time.perf_counter() - started
    say(f"{options.output}: {picture.width} x {picture.height}, in {seconds:.1f} s")


def _level(text: str) -> int:
    if not text.isdecimal() or int(text) > 31:
        raise ValueError(f"expected a level from 0 to 31, got {text!r}")
    return int(text)
