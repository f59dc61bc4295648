"""libvips, imported when it is first needed, and called where it works."""

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from ._apart import call_apart
from ._forks import in_child
from ._imports import import_module
from .errors import OutputError

__all__ = ["import_vips", "with_vips"]

P = ParamSpec("P")
T = TypeVar("T")


def import_vips() -> Any:
    """The module `pyvips`; raises OutputError if it or the library itself is missing."""
    try:
        pyvips = import_module("pyvips")
    except (ImportError, OSError) as error:
        raise OutputError('libvips is missing; run: pip install "pyvips[binary]"') from error
    logger = logging.getLogger("pyvips")
    if logger.level == logging.NOTSET:  # libvips warns of every unknown tag; what matters is an error here
        logger.setLevel(logging.ERROR)
    return pyvips


_inherited = False
"""Whether a process that this one was forked from may have used libvips."""


@in_child
def _look_for_vips() -> None:
    global _inherited  # noqa: PLW0603
    _inherited = _inherited or "pyvips" in sys.modules


def with_vips(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, which uses libvips, called apart in a process that was forked from one that has used it.

    libvips keeps its threads for the next work; the child knows how many there were, and waits for them.
    """

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        if _inherited:
            return call_apart(function, *arguments, **named)
        return function(*arguments, **named)

    return call
