"""The `ourgan` command."""
# ruff: noqa: T201 - what a command prints is its result

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from .. import doctor
from .._compiled import BudgetError, NonFiniteError
from .._version import __version__
from ..bundle import Bundle, EngineRecord
from ..calibration import command as calibration
from ..engines import PRECISIONS, engine_names
from ..errors import OurganError
from ..memory import LARGEST_MEMORY_LIMIT
from ..progress import RenderStats, reporting
from ..sizes import check_integer, parse_bytes, parse_size
from ..synthesizer import MOST_THREADS, Synthesizer, sample_bundle
from ..writers import SUFFIXES, open_writer

__all__ = ["main"]

T = TypeVar("T")

_GAP = 4
"""Pixels between the pictures of a contact sheet."""

_PATIENCE = 2.0
"""Seconds after which a preview shows how far it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    That is 0, 1 after an error, or as after a signal: 130 after Ctrl-C, 143 after SIGTERM, 141 when nobody
    reads what is printed. (2 is argparse's.)
    """
    options = _parser().parse_args(arguments)
    if options.verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        with _terminable():
            options.run(options)
        print(end="", flush=True)  # a reader that has gone is noticed here, not when the interpreter ends
    except KeyboardInterrupt:
        print("ourgan: interrupted", file=sys.stderr)
        return 130
    except _Terminated:
        print("ourgan: terminated", file=sys.stderr)
        return 143
    except BrokenPipeError:
        # What is still in the buffer has to go somewhere when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (OurganError, BudgetError, NonFiniteError, MemoryError) as error:
        print("ourgan: error:", " ".join(str(error).split()) or "out of memory", file=sys.stderr)
        return 1
    return 0


class _Terminated(BaseException):
    """SIGTERM has come; like KeyboardInterrupt, it unwinds whatever runs and leaves nothing behind."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    def terminate(_signal: int, _frame: object) -> None:
        raise _Terminated

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ourgan", description="Render new pictures from a bundle.")
    parser.add_argument("--version", action="version", version=f"ourgan_sdk {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens to stderr")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    render = _command(commands, "render", _render, "render a picture into a file")
    render.add_argument(
        "size", type=_argument(parse_size), metavar="SIZE", help="WIDTHxHEIGHT, 4k, 8k or 16k"
    )
    _add_output(render)
    render.add_argument("--resume", action="store_true", help="go on with a render that was killed")
    render.add_argument("--pyramid", action="store_true", help="TIFF: with reduced pictures for viewers")
    render.add_argument("--quality", type=_argument(_quality), default=95, help="1 to 100 (default: 95)")
    render.add_argument("--dpi", type=_argument(_dpi), help="pixels per inch, for printing")
    render.add_argument("--seed", type=_argument(_seed), default=0, help="from 0 to 2^64 - 1 (default: 0)")
    render.add_argument("--bits", type=int, choices=(8, 16), default=8, help="per channel (default: 8)")
    _add_engine_options(render)

    preview = _command(commands, "preview", _preview, "render a contact sheet of many seeds, structure only")
    _add_output(preview)
    preview.add_argument("--first", type=_argument(_seed), default=0, help="the first seed (default: 0)")
    preview.add_argument("--count", type=_argument(_count), default=24, help="how many seeds (default: 24)")
    preview.add_argument(
        "--columns", type=_argument(_count), default=6, help="pictures in a row (default: 6)"
    )
    _add_engine_options(preview)

    calibrate = _command(commands, "calibrate", calibration.run, "measure how large the halos must be")
    calibration.add_options(calibrate)
    _add_engine_options(calibrate)

    examine = _command(
        commands, "doctor", doctor.run, "say which engines can render here, and why others cannot"
    )
    _add_engine_options(examine)

    _command(commands, "info", _info, "print what a bundle says about itself")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], None],
    description: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=description, description=f"{description.capitalize()}.")
    parser.set_defaults(run=run)
    parser.add_argument(
        "bundle", nargs="?", type=Path, help="an .ourgan file (default: the package's sample)"
    )
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help=f"a file ending in {', '.join(SUFFIXES)}",
    )


def _add_engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", default="auto", choices=["auto", *engine_names()], help="(default: auto)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:1 (default: auto)")
    parser.add_argument(
        "--precision", default="auto", choices=["auto", *PRECISIONS], help="of the engine (default: auto)"
    )
    parser.add_argument(
        "--threads", type=_argument(_threads), help="threads of the engine (default: its choice)"
    )
    parser.add_argument(
        "--memory",
        type=_argument(_memory),
        metavar="BYTES",
        help="for tiles in work, such as 2GiB (default: 768MiB, or a quarter of what is available)",
    )


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` as a type for argparse, which shows the message of no other error."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 64:
        raise ValueError(f"expected a seed from 0 to 2^64 - 1, got {text!r}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise ValueError(f"expected a number from 1 to 10000, got {text!r}")
    return int(text)


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


def _threads(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"expected a number from 1 to {MOST_THREADS}, got {text!r}")
    return check_integer("the number of threads", int(text), MOST_THREADS)


def _memory(text: str) -> int:
    return check_integer("the memory", parse_bytes(text), LARGEST_MEMORY_LIMIT)


def _open(options: argparse.Namespace) -> Synthesizer:
    return Synthesizer(
        options.bundle,
        engine=options.engine,
        device=options.device,
        precision=options.precision,
        memory_limit=options.memory,
        threads=options.threads,
    )


def _render(options: argparse.Namespace) -> None:
    synthesizer = _open(options)
    stats = RenderStats()
    dtype = np.uint8 if options.bits == 8 else np.uint16
    width, height = options.size
    output: Path = options.output
    synthesizer.canvas(width, height, options.seed, dtype=dtype).save(
        output,
        resume=options.resume,
        quality=options.quality,
        pyramid=options.pyramid,
        dpi=options.dpi,
        progress=True,
        stats=stats,
    )
    print(f"{output}: {width} x {height}, seed {options.seed}, in {stats.seconds:.1f} s")


def _preview(options: argparse.Namespace) -> None:
    synthesizer = _open(options)
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


def _info(options: argparse.Namespace) -> None:
    bundle = Bundle.open(sample_bundle() if options.bundle is None else options.bundle)
    manifest, training = bundle.manifest, bundle.manifest.training
    coarsest, finest = manifest.structure.scales[0], manifest.structure.scales[-1]
    lines = {
        "bundle": f"{bundle.path} (schema {manifest.schema_version}, by {manifest.created_by})",
        "sha256": bundle.sha256,
        "photo": f"{manifest.photo.width} x {manifest.photo.height}, sha256 {manifest.photo.sha256}",
        "training": f"preset {training.preset}, seed {training.seed}, {training.seconds:.0f} s",
        "steps": f"structure {'+'.join(map(str, training.structure_steps))}, "
        f"upscaler {training.upscaler_steps}",
        "structure": f"{len(manifest.structure.scales)} scales from {coarsest.width} x {coarsest.height} "
        f"to {finest.width} x {finest.height}",
    }
    for upscaler in manifest.upscalers:
        seam, erf = upscaler.seam_error, upscaler.erf
        lines[upscaler.file] = (
            f"x{upscaler.scale}, halo {upscaler.halo}, noise {upscaler.noise_deviation:g}, "
            f"seam error at most {seam.maximum:g} levels, {100 * seam.share_different:.4f} % of values differ"
            + (f", 99.9 % of the receptive field within {erf.radius_999} px" if erf else "")
        )
    for engine in manifest.engines:
        lines[engine.file] = (
            f"{engine.network} for {engine.runtime} {engine.version}, {engine.precision} to {engine.output}, "
            f"windows of {_window_sizes(engine)}, {engine.activation_bytes} bytes of activations, "
            f"compute capability {', '.join(engine.compute_capabilities)}"
        )
    lines |= {f"member {name}": f"{entry.size} bytes" for name, entry in manifest.files.items()}
    for name, text in lines.items():
        print(f"{name + ':':<24} {text}")


def _window_sizes(engine: EngineRecord) -> str:
    small, large = (f"{window.width} x {window.height}" for window in (engine.smallest_window, engine.window))
    return large if small == large else f"{small} to {large}"


if __name__ == "__main__":
    sys.exit(main())
