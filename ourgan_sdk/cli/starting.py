"""What the commands share that start from a given picture: `paint`, `harmonize`, `edit`."""

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..arrays import Picture
from ..errors import OurganError
from ..mask import MOST_GROWTH, Mask
from ..photograph import SUFFIXES as PICTURES
from ..photograph import read_photograph
from ..sizes import parse_size
from ..structure.layout import VARIETY, Layout
from ..synthesizer import Synthesizer
from ..system.atomic import check_is_not
from ..system.streams import say
from .options import (
    Commands,
    add_command,
    add_detail_option,
    add_engine_options,
    add_extent,
    add_picture_options,
    add_seed,
    add_structure,
    argument,
    between,
    open_synthesizer,
    parse_scale,
    refused_values,
    save_picture,
)

__all__ = ["add_masked_command", "add_start_command", "read_mask", "read_picture", "render_from"]


_WHITE = 128
"""From which level on, in all channels, a mask marks: with loss, files have no clean white."""

_SAME_ASPECT = 0.01
"""By which a mask may be longer or shorter: sides are whole pixels."""


def add_start_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    description: str,
    *,
    picture: str,
) -> argparse.ArgumentParser:
    """The parser of a command that takes a picture, which its help calls `picture`."""
    parser = add_command(commands, name, run, description)
    parser.add_argument(
        "picture", type=Path, metavar=picture.upper(), help=f"a picture: {', '.join(PICTURES)}"
    )
    parser.add_argument(
        "--size", type=argument(parse_size), help="WIDTHxHEIGHT, 4k, 8k or 16k (default: the picture's)"
    )
    add_picture_options(parser)
    add_seed(parser)
    parser.add_argument(
        "--start-scale",
        type=argument(parse_scale),
        metavar="N",
        help="the first scale that is new, from 1, which keeps the least of the picture",
    )
    parser.add_argument(
        "--variety",
        type=argument(between("a variety", *VARIETY)),
        metavar="N",
        help="how far seeds move what it starts from, from 0 to 1",
    )
    add_structure(parser)
    add_extent(parser)
    add_detail_option(parser)
    add_engine_options(parser)
    return parser


def add_masked_command(
    commands: Commands, use: Literal["harmonize", "edit"], description: str, *, picture: str, grow: float
) -> None:
    """A command that makes a picture new within a mask, which grows by `grow` unless the options say."""
    parser = add_start_command(
        commands, use, functools.partial(_render_masked, use), description, picture=picture
    )
    parser.add_argument(
        "--mask",
        type=Path,
        required=True,
        help="an opaque picture, white where it is to become new and black elsewhere",
    )
    for name, default, what in (
        ("grow", grow, "by how much the mask grows"),
        ("soften", 5.0, "how soft its border is, a deviation"),
    ):
        parser.add_argument(
            f"--{name}",
            type=argument(between("a radius", 0, MOST_GROWTH)),
            default=default,
            metavar="N",
            help=f"{what}, in 1/250 of the long side (default: {default:g})",
        )


def _render_masked(use: Literal["harmonize", "edit"], options: argparse.Namespace) -> None:
    """Render within the mask; the rest stays as it is."""
    started = time.perf_counter()
    picture = read_picture(options.picture, may_be_transparent=False)
    mask = read_mask(options, picture)
    check_is_not(options.output, options.mask)
    synthesizer = open_synthesizer(options)
    scale = synthesizer.default_start_scale(use)
    render_from(synthesizer, options, picture, scale=scale, variety=0.0, mask=mask, started=started)


def read_picture(path: Path, *, may_be_transparent: bool = True) -> Picture:
    """The pixels of a file, uint8 (h, w, 3); raises PhotographError."""
    return read_photograph(path, may_be_flat=True, may_be_transparent=may_be_transparent).pixels


def read_mask(options: argparse.Namespace, picture: Picture) -> Mask:
    """That of `picture`; raises OurganError where the two do not belong together, or it marks nothing."""
    pixels = read_picture(options.mask, may_be_transparent=False)
    height, width, _ = picture.shape
    if abs(pixels.shape[0] * width / (pixels.shape[1] * height) - 1) > _SAME_ASPECT:
        raise OurganError(
            f"{options.mask} has {pixels.shape[1]} x {pixels.shape[0]} pixels, {options.picture} has "
            f"{width} x {height}: a mask has to have the picture's size or aspect"
        )
    darkest = np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    if darkest.max() < _WHITE:
        raise OurganError(
            f"{options.mask} is nowhere white, at most {darkest.max()} of 255 in all channels: paint white, "
            f"{_WHITE} or more, where the picture is to become new"
        )
    with refused_values():
        return Mask(darkest >= _WHITE, grow=options.grow, soften=options.soften)


def render_from(
    synthesizer: Synthesizer,
    options: argparse.Namespace,
    picture: Picture,
    *,
    scale: int,
    variety: float | None,
    mask: Mask | None = None,
    started: float,
) -> None:
    """Render what starts from `picture`, and say how long it took since `started`.

    `scale` and `variety` are taken where the options say nothing.
    """
    for path in (options.picture, synthesizer.bundle.path):
        check_is_not(options.output, path)
    height, width, _ = picture.shape
    if options.size is not None:
        width, height = options.size
    if options.variety is not None:
        variety = options.variety
    scale = scale if options.start_scale is None else options.start_scale
    with refused_values():
        asked: dict[str, Any] = {
            "extent": options.extent,
            "layout": Layout(variety=variety),
            "start": picture,
            "start_scale": scale,
            "mask": mask,
        }
        save_picture(
            lambda: synthesizer.canvas(
                width, height, options.seed, dtype=np.uint8 if options.bits == 8 else np.uint16, **asked
            ),
            lambda size: synthesizer.thumbnail(options.seed, width=width, height=height, size=size, **asked),
            options,
        )
    seconds = time.perf_counter() - started
    what = "a preview of " if options.preview else ""
    say(
        f"{options.output}: {what}{width} x {height}, seed {options.seed}, new from scale {scale} of "
        f"{synthesizer.start_scales} on, in {seconds:.1f} s"
    )
