"""libvips, imported when it is first needed."""

import logging
import os
import sys
from typing import Any

from ._optional import import_optional
from .errors import OutputError
from .processors import available_processors

__all__ = ["import_vips"]


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
