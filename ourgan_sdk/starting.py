"""Reading the pictures that a render is to start from."""

import os
from typing import TypeAlias

import numpy as np

from .arrays import Picture
from .photograph import read_photograph

__all__ = ["StartingPicture", "read_start"]

StartingPicture: TypeAlias = Picture | str | os.PathLike[str]
"""A picture, uint8 (height, width, 3), or a file of one."""


def read_start(start: StartingPicture) -> Picture:
    """The pixels; raises PhotographError for a file that is no picture, TypeError or ValueError."""
    if isinstance(start, (str, os.PathLike)):
        return read_photograph(start, may_be_flat=True).pixels
    if not isinstance(start, np.ndarray):
        raise TypeError(f"expected a picture to start from, or its file, got {type(start).__name__}")
    if start.dtype != np.uint8 or start.ndim != 3 or start.shape[2] != 3 or not start.size:
        raise ValueError(
            f"expected a picture to start from of uint8 (height, width, 3), got {start.dtype} {start.shape}"
        )
    return np.ascontiguousarray(start)
