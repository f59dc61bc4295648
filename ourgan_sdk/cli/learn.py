"""`ourgan learn`: a photograph into a bundle, without training."""

import argparse
import time
from pathlib import Path

from .._streams import say
from ..bundle import save_bundle
from ..errors import OurganError
from ..learning import learn
from .options import Commands

__all__ = ["add_to", "run"]


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    description = "learn a photograph, without training: in seconds, into a bundle"
    parser = commands.add_parser("learn", help=description, description=f"{description.capitalize()}.")
    parser.set_defaults(run=run)
    parser.add_argument("photograph", type=Path, help="a JPEG, PNG, TIFF, WebP, AVIF or GIF file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .ourgan file")


def run(options: argparse.Namespace) -> None:
    """Write the bundle, and say how it is used."""
    started = time.perf_counter()
    output: Path = options.output
    if output.suffix.lower() != ".ourgan":
        raise OurganError(f"expected a name that ends in .ourgan for the bundle, got {output}")
    bundle = save_bundle(learn(options.photograph), output)
    photo = bundle.manifest.photo
    say(
        f"{output}: learned {photo.width} x {photo.height} pixels in {time.perf_counter() - started:.1f} s; "
        f"next: ourgan render {output} 8k -o picture.png"
    )
