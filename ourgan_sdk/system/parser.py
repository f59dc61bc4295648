"""How all commands read their arguments."""

import argparse
import sys
from typing import Any

from .streams import Tolerant

__all__ = ["Parser"]

_PLAIN = "\0"
"""Begins words that are no options, whatever they look like, while they are parsed; no argument has one."""


class Parser(argparse.ArgumentParser):
    """argparse's, with options anywhere among the positionals, and whatever became of stdout and stderr.

    argparse itself takes positionals as they come: of an optional SOURCE and a SIZE, the first word before an
    option is SIZE.
    """

    _is_intermixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Options first, then the positionals among what is left; a subcommand's parser does its own part."""
        words = sys.argv[1:] if args is None else list(args)
        if self._is_intermixing or self._subparsers is not None:
            return super().parse_known_args(words, namespace)
        if "--" in words:  # which argparse forgets between the two
            end = words.index("--")
            words[end:] = [f"{_PLAIN}{word}" for word in words[end + 1 :]]
        self._is_intermixing = True  # what follows calls this method for each of the two
        try:
            found, left = self.parse_known_intermixed_args(words, namespace)
        finally:
            self._is_intermixing = False
        return found, [word.removeprefix(_PLAIN) for word in left]

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        return super()._get_value(action, arg_string.removeprefix(_PLAIN))

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(message, Tolerant(file))
