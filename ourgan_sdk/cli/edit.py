"""`ourgan edit`: regions that were copied or moved grow together."""

import argparse
import time

from .options import Commands, open_synthesizer
from .starting import add_mask_options, add_start_command, read_mask, read_picture, render_from

__all__ = ["add_to", "run"]

_GROW = 20.0
"""Of the mask, as in SinGAN's code."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    description = "make a whole of a photograph in which regions were copied or moved"
    parser = add_start_command(commands, "edit", run, description, picture="edited")
    add_mask_options(parser, _GROW)


def run(options: argparse.Namespace) -> None:
    """Render within the mask; the rest stays as it is."""
    started = time.perf_counter()
    picture = read_picture(options.picture)
    mask = read_mask(options, picture)
    synthesizer = open_synthesizer(options)
    scale = synthesizer.default_start_scale("edit")
    render_from(synthesizer, options, picture, scale=scale, variety=0.0, mask=mask, started=started)
