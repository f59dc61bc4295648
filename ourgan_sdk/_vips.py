"""libvips, imported when it is first needed."""

import logging
from typing import Any

from .errors import OutputError

__all__ = ["import_vips"]


def import_vips() -> Any:
    """The module `pyvips`; raises OutputError if it or the library itself is missing."""
    try:
        import pyvips  # noqa: PLC0415 - not needed for pictures in memory
    except (ImportError, OSError) as error:
        raise OutputError('libvips is missing; run: pip install "pyvips[binary]"') from error
    logger = logging.getLogger("pyvips")
    if logger.level == logging.NOTSET:  # libvips warns of every unknown tag; what matters is an error here
        logger.setLevel(logging.ERROR)
    return pyvips
