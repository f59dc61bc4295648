"""What the subcommands share: options, the types of their values, and opening a bundle as they say."""

import argparse
import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar, get_args

from ..arrays import Picture
from ..canvas import Canvas
from ..detail import EXTENTS
from ..engines import PRECISIONS, engine_names
from ..errors import OurganError
from ..progress import RenderStats
from ..sizes import check_bytes, check_integer
from ..structure.layout import VARIETY, VERTICAL, Axes, Layout
from ..synthesizer import MOST_THREADS, DetailMode, StructureMode, Synthesizer
from ..system.memory import LARGEST_MEMORY_LIMIT
from ..system.parser import Parser
from ..writers import SUFFIXES, open_writer

__all__ = [
    "Commands",
    "add_command",
    "add_detail_option",
    "add_engine_options",
    "add_extent",
    "add_file_options",
    "add_layout_options",
    "add_output",
    "add_picture_options",
    "add_seed",
    "add_start_scale",
    "add_structure",
    "argument",
    "between",
    "layout_of",
    "open_synthesizer",
    "parse_count",
    "parse_quality",
    "parse_scale",
    "parse_seed",
    "refused_values",
    "save_picture",
]

T = TypeVar("T")

PREVIEW = 640
"""Pixels of a preview's long side."""

_FOR_TILES = "for tiles in work, such as 2GiB (default: 768MiB, or a quarter of what is available)"

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What a subcommand is added to."""


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    description: str,
) -> argparse.ArgumentParser:
    """The parser of a new subcommand, which takes a bundle or a photograph."""
    parser = commands.add_parser(name, help=description, description=f"{description.capitalize()}.")
    parser.set_defaults(run=run)
    parser.add_argument(
        "bundle",
        nargs="?",
        type=Path,
        metavar="SOURCE",
        help="a photograph, or an .ourgan file (default: the package's sample)",
    )
    return parser


def add_output(parser: argparse.ArgumentParser) -> None:
    """-o, a picture to write."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help=f"a file ending in {', '.join(SUFFIXES)}",
    )


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """Those of a picture that is rendered into a file."""
    add_output(parser)
    parser.add_argument("--resume", action="store_true", help="go on with a render that was killed")
    add_file_options(parser)
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="per channel (default: 8)")
    parser.add_argument(
        "--preview",
        action="store_true",
        help=f"write a small picture of what it would be, {PREVIEW} pixels long, in a second or two",
    )


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Those of the file that a picture is written into."""
    parser.add_argument("--pyramid", action="store_true", help="TIFF: with reduced pictures for viewers")
    parser.add_argument("--quality", type=argument(parse_quality), default=95, help="1 to 100 (default: 95)")
    parser.add_argument("--dpi", type=argument(_dpi), help="pixels per inch, for printing")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed."""
    parser.add_argument(
        "--seed", type=argument(parse_seed), default=0, help="from 0 to 2^64 - 1 (default: 0)"
    )


def add_start_scale(parser: argparse.ArgumentParser) -> None:
    """--start-scale, of pictures that start from the photograph."""
    parser.add_argument(
        "--start-scale",
        type=argument(parse_scale),
        metavar="N",
        help="keep the photograph's layout below scale N, counted from the coarsest: the larger, the more",
    )


def save_picture(
    canvas: Callable[[], Canvas], preview: Callable[[int], Picture], options: argparse.Namespace
) -> RenderStats:
    """Write the picture that the options of `add_picture_options` ask for: whole, or its preview.

    Raises what rendering raises.
    """
    stats = RenderStats()
    if options.preview:
        picture = preview(PREVIEW)
        height, width, _ = picture.shape
        with open_writer(
            options.output, width, height, dtype=picture.dtype, quality=options.quality
        ) as writer:
            writer.write(picture)
        return stats
    canvas().save(
        options.output,
        resume=options.resume,
        quality=options.quality,
        pyramid=options.pyramid,
        dpi=options.dpi,
        progress=True,
        stats=stats,
    )
    return stats


def add_engine_options(parser: argparse.ArgumentParser, memory: str = _FOR_TILES) -> None:
    """Those that say where to render, and in how much memory, which is said to be for `memory`."""
    parser.add_argument("--engine", default="auto", choices=["auto", *engine_names()], help="(default: auto)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:1 (default: auto)")
    parser.add_argument(
        "--precision", default="auto", choices=["auto", *PRECISIONS], help="of the engine (default: auto)"
    )
    parser.add_argument(
        "--threads", type=argument(_threads), help="of the engine (default: its choice) and of detail (all)"
    )
    parser.add_argument(
        "--memory",
        type=argument(_memory),
        metavar="BYTES",
        help=memory,
    )
    parser.add_argument(
        "--allow-plans",
        action="store_true",
        help="load TensorRT engines, which are programs, also if others have built them",
    )


def add_detail_option(parser: argparse.ArgumentParser) -> None:
    """--detail, for commands that make whole pictures."""
    parser.add_argument(
        "--detail",
        default="auto",
        choices=get_args(DetailMode),
        help="the photograph's own pixels, or by networks (default: the photograph, if the bundle holds it)",
    )


def add_structure(parser: argparse.ArgumentParser) -> None:
    """--structure."""
    parser.add_argument(
        "--structure",
        default="auto",
        choices=get_args(StructureMode),
        help="layouts by the bundle's network, or of the photograph's patches (default: the network, if any)",
    )


def add_extent(parser: argparse.ArgumentParser) -> None:
    """--extent."""
    parser.add_argument(
        "--extent",
        type=argument(between("an extent", *EXTENTS)),
        metavar="N",
        help="how many photographs wide (default: 1, up to 2 where that avoids enlarging the photograph; "
        "where it starts from a picture, what fits); of coordinates: how many squares long the shorter side "
        "is (default: 1)",
    )


def add_layout_options(parser: argparse.ArgumentParser) -> None:
    """Those that say what makes layouts, and what is asked of them."""
    add_structure(parser)
    parser.add_argument(
        "--variety",
        type=argument(between("a variety", *VARIETY)),
        metavar="N",
        help="of patches, and with --start-scale: from 0, close to the photograph, to 1, wild (default: 0.5)",
    )
    parser.add_argument(
        "--vertical",
        type=argument(between("a number", *VERTICAL)),
        metavar="N",
        help="of patches: how much up and down matter, 0 for textures, up to 4 (default: 1)",
    )
    parser.add_argument(
        "--tileable",
        choices=get_args(Axes),
        help="of patches: which opposite sides, which have to halve several times, continue each other",
    )
    parser.add_argument("--symmetric", choices=get_args(Axes), help="along which axes it is mirrored")
    parser.add_argument(
        "--retarget", action="store_true", help="of patches: the photograph's own layout, at another size"
    )
    add_extent(parser)


def layout_of(options: argparse.Namespace) -> Layout:
    """What those options ask for; raises ValueError where they contradict each other."""
    names = ("variety", "vertical", "tileable", "symmetric", "retarget")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return Layout(**given)


@contextlib.contextmanager
def refused_values() -> Iterator[None]:
    """Show a ValueError, by which the library says what does not go together, as any other error."""
    try:
        yield
    except ValueError as error:
        raise OurganError(str(error)) from error


def between(what: str, least: float, most: float) -> Callable[[str], float]:
    """The type of numbers from `least` to `most`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"expected {what} from {least:g} to {most:g}, got {text!r}")
        return value

    return parse


def argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` as a type for argparse, which shows the message of no other error."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def parse_seed(text: str) -> int:
    """A seed; raises ValueError otherwise, as all of these do."""
    if not text.isdecimal() or int(text) >= 1 << 64:
        raise ValueError(f"expected a seed from 0 to 2^64 - 1, got {text!r}")
    return int(text)


def parse_count(text: str) -> int:
    """How many."""
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise ValueError(f"expected a number from 1 to 10000, got {text!r}")
    return int(text)


def parse_scale(text: str) -> int:
    """The first new scale of a structure; how many there are depends on the bundle."""
    if not text.isdecimal() or not 1 <= int(text) <= 255:
        raise ValueError(f"expected a scale from 1 on, got {text!r}")
    return int(text)


def parse_quality(text: str) -> int:
    """Of files that lose something."""
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


def _threads(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"expected a number from 1 to {MOST_THREADS}, got {text!r}")
    return check_integer("the number of threads", int(text), MOST_THREADS)


def _memory(text: str) -> int:
    return check_bytes("the memory", text, LARGEST_MEMORY_LIMIT)


def open_synthesizer(options: argparse.Namespace) -> Synthesizer:
    """The bundle on the engine that the options ask for."""
    return Synthesizer(
        options.bundle,
        engine=options.engine,
        device=options.device,
        precision=options.precision,
        memory_limit=options.memory,
        threads=options.threads,
        detail=getattr(options, "detail", "network"),  # what is calibrated is the networks' own
        structure=getattr(options, "structure", "auto"),
        allow_plans=options.allow_plans,
    )
