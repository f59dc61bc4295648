"""`ourgan learn`: a photograph into a bundle, without training."""

import argparse
import time
from pathlib import Path

from ..bundle import save_bundle
from ..bundle.replacing import FORCE_HELP, check_replaceable_bundle
from ..errors import OurganError
from ..learning import learn
from ..system.atomic import check_is_not
from ..system.streams import say
from .options import Commands

__all__ = ["add_to", "run"]


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    description = "learn a photograph, without training: in seconds, into a bundle"
    parser = commands.add_parser("learn", help=description, description=f"{description.capitalize()}.")
    parser.set_defaults(run=run)
    parser.add_argument("photograph", type=Path, help="a JPEG, PNG, TIFF, WebP, AVIF or GIF file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .ourgan file")
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)


def run(options: argparse.Namespace) -> None:
    """Write the bundle, and say how it is used."""
    started = time.perf_counter()
    output: Path = options.output
    if output.suffix.lower() != ".ourgan":
        raise OurganError(f"expected a name that ends in .ourgan for the bundle, got {output}")
    learned = learn(options.photograph)
    check_is_not(output, options.photograph)
    sha256 = learned.manifest.learned
    check_replaceable_bundle(output, sha256, trained=False, force=options.force)
    bundle = save_bundle(learned, output)
    photo = bundle.photo
    say(
        f"{output}: learned {photo.width} x {photo.height} pixels in {time.perf_counter() - started:.1f} s; "
        f"next: ourgan render {output} 8k -o picture.png"
    )
