"""`ourgan animate`: a film of the photograph that moves."""

import argparse
import time
from pathlib import Path

from ..animation import MOST_FRAMES
from ..sizes import check_integer, parse_size
from ..structure import ALPHA, BETA
from ..synthesizer import Synthesizer
from ..system.atomic import check_is_not
from ..system.streams import say
from ..thumbnails import thumbnail_size
from ..writers.film import FILM_SUFFIXES
from .options import (
    Commands,
    add_command,
    add_detail_option,
    add_engine_options,
    add_extent,
    add_seed,
    add_structure,
    argument,
    between,
    open_synthesizer,
    parse_quality,
    parse_scale,
    refused_values,
)

__all__ = ["add_to", "run"]

_LONG_SIDE = 1280
"""Pixels of frames, where nobody says."""

_PREVIEW, _PREVIEW_FRAMES = 320, 5
"""Pixels of the long side, and frames, of what is shown in a second or two."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "animate", run, "make a film of the photograph that moves, as a loop")
    names = ", ".join(FILM_SUFFIXES)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help=f"a file ending in {names}, or a folder for frames"
    )
    parser.add_argument(
        "--size",
        type=argument(parse_size),
        help=f"WIDTHxHEIGHT, 4k, 8k or 16k (default: the photograph's aspect, {_LONG_SIDE} long)",
    )
    parser.add_argument("--frames", type=argument(_frames), default=100, help="how many (default: 100)")
    parser.add_argument(
        "--rate",
        type=argument(between("a rate", 0.1, 240)),
        default=10.0,
        metavar="N",
        help="frames per second (default: 10)",
    )
    parser.add_argument(
        "--start-scale",
        type=argument(_scale),
        metavar="N",
        help="the first scale that moves, from 0, which moves most (default: 0; of patches, the last)",
    )
    parser.add_argument("--no-loop", action="store_true", help="let it end elsewhere than it begins")
    for name, default, what in (
        ("alpha", ALPHA, "how strongly it is drawn back to the photograph"),
        ("beta", BETA, "how much of a step is the one before: the smoother"),
    ):
        parser.add_argument(
            f"--{name}",
            type=argument(between("a share", 0, 1)),
            default=default,
            metavar="N",
            help=f"{what} (default: {default:g})",
        )
    parser.add_argument(
        "--quality", type=argument(parse_quality), default=90, help="of MP4 and WebP, 1 to 100 (default: 90)"
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help=f"write {_PREVIEW_FRAMES} small frames of it, {_PREVIEW} pixels long",
    )
    add_seed(parser)
    add_structure(parser)
    add_extent(parser)
    add_detail_option(parser)
    add_engine_options(parser)


def run(options: argparse.Namespace) -> None:
    """Make the film, frame by frame."""
    started = time.perf_counter()
    synthesizer = open_synthesizer(options)
    check_is_not(options.output, synthesizer.bundle.path)
    width, height = _size(synthesizer, options)
    with refused_values():
        animation = synthesizer.animation(
            *(width, height, options.frames, options.seed),
            start_scale=options.start_scale,
            is_loop=not options.no_loop,
            alpha=options.alpha,
            beta=options.beta,
            extent=options.extent,
        )
        animation.save(
            options.output,
            rate=options.rate,
            quality=options.quality,
            first=_PREVIEW_FRAMES if options.preview else None,
            progress=True,
        )
    seconds = time.perf_counter() - started
    what = f"the first of {options.frames}" if options.preview else f"{options.frames}"
    say(f"{options.output}: {what} frames, {width} x {height}, seed {options.seed}, in {seconds:.1f} s")


def _size(synthesizer: Synthesizer, options: argparse.Namespace) -> tuple[int, int]:
    """(width, height) of frames, even, as MP4 has them, where nobody says."""
    photo = synthesizer.bundle.photo
    width, height = options.size or (photo.width, photo.height)
    if options.size is not None and not options.preview:
        return width, height
    height, width = thumbnail_size(height, width, _PREVIEW if options.preview else _LONG_SIDE)
    return width + width % 2, height + height % 2


def _frames(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"expected a number of frames from 1 to {MOST_FRAMES}, got {text!r}")
    return check_integer("the number of frames", int(text), MOST_FRAMES)


def _scale(text: str) -> int:
    return 0 if text == "0" else parse_scale(text)
