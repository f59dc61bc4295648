"""Imports of large libraries, which neither Ctrl-C nor a fork catches halfway."""

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .forks import undisturbed
from .threads import Call

__all__ = ["import_module"]


def import_module(name: str, within: Callable[[], AbstractContextManager[object]] = nullcontext) -> Any:
    """As `importlib.import_module`, by a thread of its own, which goes on where Ctrl-C interrupts this one.

    A library that is interrupted while it loads says that it cannot be loaded, or is never whole again. It is
    loaded in a block of `within()`.
    """
    if name in sys.modules:
        return importlib.import_module(name)

    def load() -> Any:
        with undisturbed(), within():
            return importlib.import_module(name)

    return Call(load, "ourgan import").result()
