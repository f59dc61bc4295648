"""`ourgan view`: a canvas in the browser, made where one looks."""

import argparse
import threading
import webbrowser
from pathlib import Path

from ..errors import OurganError
from ..learning import open_source, sample_bundle
from ..service import Settings
from ..service.identifiers import Identifier
from ..service.settings import SOURCE_NAME
from ..sizes import parse_size
from ..system.streams import say
from .options import (
    Commands,
    add_command,
    add_detail_option,
    add_engine_options,
    add_layout_options,
    add_seed,
    add_start_scale,
    argument,
    layout_of,
    refused_values,
)
from .serve import serve_until_signal

__all__ = ["add_to", "run"]

SIZE = (100_000, 60_000)
"""(width, height) where nobody says: more than anybody would wait for."""

_VIEWER = Path(__file__).parents[1] / "service" / "viewer"
_LIBRARY = _VIEWER / "openseadragon" / "openseadragon.min.js"


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "view", run, "look at a canvas in the browser, made where one looks")
    parser.add_argument(
        "--size",
        type=argument(parse_size),
        help=f"WIDTHxHEIGHT, 4k, 8k or 16k (default: {SIZE[0]}x{SIZE[1]}; of coordinates, twice the largest "
        f"scale learned, up to {max(SIZE)})",
    )
    add_seed(parser)
    add_start_scale(parser)
    add_layout_options(parser)
    add_detail_option(parser)
    parser.add_argument("--port", type=int, default=0, help="of this machine (default: any that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the page's address alone")
    add_engine_options(parser, "for all that is made here, such as 4GiB (default: half of what is available)")


def run(options: argparse.Namespace) -> None:
    """Serve the canvas to this machine, and open the browser, until Ctrl-C or SIGTERM."""
    if not _LIBRARY.is_file():
        raise OurganError(
            "the viewer's part from npm, OpenSeadragon, is missing: run `make viewer` in the checkout"
        )
    path = sample_bundle() if options.bundle is None else options.bundle
    manifest = open_source(path).manifest  # what cannot be learned is said here, not in the browser
    if options.size is None:
        side = 0 if manifest.coordinates is None else min(2 * manifest.coordinates.largest, max(SIZE))
        options.size = (side, side) if side else SIZE
    name = path.stem if SOURCE_NAME.fullmatch(path.stem) else "photograph"
    with refused_values():
        identifier = _identifier(name, options)
        settings = Settings(
            sources={name: path},
            port=options.port,
            cors=None,  # it is one's own
            warm=(identifier,),
            memory=options.memory,
            engine=options.engine,
            device=options.device,
            precision=options.precision,
            engine_threads=options.threads,
            allow_plans=options.allow_plans,
        )

        def show(url: str) -> None:
            page = f"{url}/view/#canvas={identifier}"
            say(f"{page} (Ctrl-C ends it)")
            if not options.no_browser:  # which may keep its caller waiting
                threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()

        serve_until_signal(settings, show)


def _identifier(name: str, options: argparse.Namespace) -> str:
    """The canvas's, as the service calls it; raises ValueError for a layout that contradicts itself."""
    layout = layout_of(options)
    width, height = options.size
    return str(
        Identifier(
            name,
            width,
            height,
            options.seed,
            extent=options.extent,
            variety=layout.variety,
            vertical=layout.vertical,
            tileable=layout.tileable,
            symmetric=layout.symmetric,
            retarget=layout.retarget,
            start_scale=options.start_scale,
            structure=options.structure,
            detail=options.detail,
        )
    )
