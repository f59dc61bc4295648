"""How all commands read their arguments."""

import argparse
import sys
from typing import Any

from .streams import Tolerant

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """argparse's, with options anywhere among the positionals, and whatever became of stdout and stderr.

    argparse itself takes positionals as they come: of an optional SOURCE and a SIZE, the first word before an
    option is SIZE.
    """

    _is_intermixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Options first, then the positionals among what is left; a subcommand's parser does its own part."""
        words = sys.argv[1:] if args is None else list(args)
        # Behind "--" all are positionals, which argparse forgets between the two.
        if self._is_intermixing or self._subparsers is not None or "--" in words:
            return super().parse_known_args(words, namespace)
        self._is_intermixing = True  # what follows calls this method for each of the two
        try:
            return self.parse_known_intermixed_args(words, namespace)
        finally:
            self._is_intermixing = False

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(message, Tolerant(file))
