"""What the subcommands share: options, the types of their values, and opening a bundle as they say."""

import argparse
import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar, get_args

from ..detail import EXTENTS
from ..engines import PRECISIONS, engine_names
from ..errors import OurganError
from ..sizes import check_bytes, check_integer
from ..structure.layout import VARIETY, VERTICAL, Axes, Layout
from ..synthesizer import MOST_THREADS, DetailMode, StructureMode, Synthesizer
from ..system.memory import LARGEST_MEMORY_LIMIT
from ..system.parser import Parser
from ..writers import SUFFIXES

__all__ = [
    "Commands",
    "add_command",
    "add_detail_option",
    "add_engine_options",
    "add_layout_options",
    "add_output",
    "argument",
    "layout_of",
    "open_synthesizer",
    "parse_count",
    "parse_seed",
    "refused_values",
]

T = TypeVar("T")

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


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Those that say where to render, and in how much memory."""
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
        help="for tiles in work, such as 2GiB (default: 768MiB, or a quarter of what is available)",
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


def add_layout_options(parser: argparse.ArgumentParser) -> None:
    """Those that say what makes layouts, and what is asked of them."""
    parser.add_argument(
        "--structure",
        default="auto",
        choices=get_args(StructureMode),
        help="layouts by the bundle's network, or of the photograph's patches (default: the network, if any)",
    )
    parser.add_argument(
        "--variety",
        type=argument(_between("a variety", *VARIETY)),
        metavar="N",
        help="of patches: from 0, close to the photograph, to 1, wild (default: 0.5)",
    )
    parser.add_argument(
        "--vertical",
        type=argument(_between("a number", *VERTICAL)),
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
    parser.add_argument(
        "--extent",
        type=argument(_between("an extent", *EXTENTS)),
        metavar="N",
        help="how many photographs wide (default: 1, up to 2 where that avoids enlarging the photograph)",
    )


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


def _between(what: str, least: float, most: float) -> Callable[[str], float]:
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
