"""`ourgan edit`: regions that were copied or moved grow together."""

from .options import Commands
from .starting import add_masked_command

__all__ = ["add_to"]

_GROW = 20.0
"""Of the mask, as in SinGAN's code."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    description = "make a whole of a photograph in which regions were copied or moved"
    add_masked_command(commands, "edit", description, picture="edited", grow=_GROW)
