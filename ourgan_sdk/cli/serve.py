"""`ourgan serve`: canvases over HTTP."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import OurganError
from ..learning import sample_bundle
from ..service import Settings, serve
from ..service.settings import DEFAULT_PORT
from ..sizes import parse_bytes
from ..system.streams import say
from .options import Commands, add_engine_options, argument, refused_values

__all__ = ["add_to", "read_token", "run", "serve_until_signal"]

_VARIABLE = "OURGAN_TOKEN"
"""The environment variable; on a command line everybody on the machine could read it."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "serve",
        help="answer for canvases over HTTP",
        description="Answer for canvases over HTTP: IIIF Image API 3, renders, a viewer.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "sources",
        nargs="*",
        type=Path,
        metavar="SOURCE",
        help="photographs and .ourgan files, or a folder of them (default: the package's sample)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"0 is any (default: {DEFAULT_PORT})")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"what clients have to know, needed for other addresses than this machine's (or {_VARIABLE})",
    )
    parser.add_argument("--url", help="under which clients see the service, behind a proxy")
    parser.add_argument(
        "--cors", default="*", metavar="ORIGIN", help="whose pages may read pictures, or none (default: *)"
    )
    parser.add_argument("--no-viewer", action="store_true", help="the programming interfaces alone")
    _add_limits(parser)
    add_engine_options(
        parser, "for all that the service does, such as 4GiB (default: half of what is available)"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """How much of everything; `Settings` says more."""
    for name, default, what in (
        ("--queue", Settings.queue, "pictures that wait to be made; more get a 503"),
        ("--in-flight", Settings.in_flight, "requests of one client at once; more get a 429"),
        ("--renders", Settings.renders, "renders at work at once"),
        ("--render-queue", Settings.render_queue, "renders that wait; more get a 503"),
        ("--max-side", Settings.max_side, "pixels per side of a canvas"),
        ("--max-work", Settings.max_work, "pixels of work of a picture that is answered at once"),
        ("--max-pixels", Settings.max_pixels, "pixels of a render"),
    ):
        parser.add_argument(
            name, type=argument(_number), default=default, metavar="N", help=f"{what} (default: {default})"
        )
    parser.add_argument(
        "--tile-cache",
        type=argument(parse_bytes),
        default=Settings.tile_cache,
        metavar="BYTES",
        help="of encoded pictures that are kept, part of --memory (default: 64MiB)",
    )
    parser.add_argument(
        "--disk",
        type=argument(parse_bytes),
        default=Settings.disk,
        metavar="BYTES",
        help="of the files of renders (default: 32GiB)",
    )
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="for these files (default: the system's)")
    parser.add_argument(
        "--warm", action="append", default=[], metavar="CANVAS", help="an identifier to make ready at once"
    )


def run(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    folder, sources = _sources(options.sources)
    with refused_values():
        settings = Settings(
            sources=sources,
            folder=folder,
            host=options.host,
            port=options.port,
            token=read_token(options.token_file),
            url=options.url,
            cors=None if options.cors == "none" else options.cors,
            viewer=not options.no_viewer,
            warm=tuple(options.warm),
            memory=options.memory,
            tile_cache=options.tile_cache,
            queue=options.queue,
            in_flight=options.in_flight,
            max_side=options.max_side,
            max_work=options.max_work,
            max_pixels=options.max_pixels,
            renders=options.renders,
            render_queue=options.render_queue,
            disk=options.disk,
            work=options.work,
            engine=options.engine,
            device=options.device,
            precision=options.precision,
            engine_threads=options.threads,
            allow_plans=options.allow_plans,
        )
        serve_until_signal(settings, lambda url: say(f"serving at {url} (Ctrl-C ends it)"))


def serve_until_signal(settings: Settings, ready: Callable[[str], None]) -> None:
    """As `serve`; the process ends then, whatever a thread of it is at."""
    if not serve(settings, ready=ready):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # files are removed; the interpreter would wait for the thread


def read_token(file: Path | None) -> str | None:
    """The token of a file's first line, or of the environment; None where there is none."""
    if file is None:
        return os.environ.get(_VARIABLE) or None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OurganError(f"cannot read a token from {file}: {error}") from error
    if not lines or not lines[0].strip():
        raise OurganError(f"{file}: expected a token in its first line")
    return lines[0].strip()


def _sources(paths: list[Path]) -> tuple[Path | None, dict[str, Path]]:
    """The folder, and the files by their stems."""
    folders = [path for path in paths if path.is_dir()]
    files = [path for path in paths if not path.is_dir()] if paths else [sample_bundle()]
    if len(folders) > 1:
        raise OurganError("expected one folder at most: name the files of the others")
    sources: dict[str, Path] = {}
    for path in files:
        if not path.is_file():
            raise OurganError(f"there is no file {path}")
        if path.stem in sources:
            raise OurganError(f"both {sources[path.stem]} and {path} would be called {path.stem}: rename one")
        sources[path.stem] = path
    return (folders[0] if folders else None), sources


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise ValueError(f"expected a number, got {text!r}")
    return int(text)
