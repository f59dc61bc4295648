"""`ourgan harmonize`: a pasted object takes on the photograph's colours and surface."""

from .options import Commands
from .starting import add_masked_command

__all__ = ["add_to"]

_GROW = 7.0
"""Of the mask, as in SinGAN's code."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    description = "what was pasted into a photograph takes on its colours and surface"
    add_masked_command(commands, "harmonize", description, picture="composite", grow=_GROW)
