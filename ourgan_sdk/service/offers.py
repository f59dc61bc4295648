"""What clients may ask for, as /api/sources tells them."""

import importlib.util
from typing import Any, get_args

from ..detail import EXTENTS
from ..structure.layout import VARIETY, VERTICAL, Axes

__all__ = ["available_formats", "canvas_options"]

_FORMATS = ("png", "tif", "jpg", "webp", "dzi", "npy")


def available_formats() -> tuple[str, ...]:
    """Of renders' files: those whose libraries are installed."""
    return (*_FORMATS, "zarr") if importlib.util.find_spec("zarr") is not None else _FORMATS


def canvas_options() -> dict[str, Any]:
    """What may follow the seed in an identifier: ranges, and choices."""
    axes = list(get_args(Axes))
    return {
        "extent": list(EXTENTS),
        "variety": list(VARIETY),
        "vertical": list(VERTICAL),
        "tileable": axes,
        "symmetric": axes,
        "start-scale": [1, 255],
    }
