"""libvips, imported when it is first needed, and called where it works."""

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from ..errors import OutputError
from .apart import call_apart
from .forks import in_child
from .optional import import_optional
from .processors import available_processors

__all__ = ["import_vips", "with_vips"]

P = ParamSpec("P")
T = TypeVar("T")


def import_vips() -> Any:
    """The module `pyvips`; raises OutputError if it is not installed, or does not find the library itself."""
    if sys.modules.get("pyvips") is None:
        _load()
    import pyvips  # noqa: PLC0415 - not needed for pictures in memory

    logger = logging.getLogger("pyvips")
    if logger.level == logging.NOTSET:  # libvips warns of every unknown tag; what matters is an error here
        logger.setLevel(logging.ERROR)
    return pyvips


def _load() -> None:
    program = sys.argv
    sys.argv = ["ourgan"]  # which it tells libvips, and a program's name may be no text, or missing
    try:
        pyvips = import_optional("pyvips", "libvips", '"pyvips[binary]"', OutputError)
    finally:
        sys.argv = program
    if not os.environ.get("VIPS_CONCURRENCY"):
        pyvips.concurrency_set(min(pyvips.concurrency_get(), available_processors()))


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
