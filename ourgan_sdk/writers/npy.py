"""NumPy's own file format: a header, then the rows in order."""

from collections.abc import Iterator
from pathlib import Path

from numpy.lib import format as npy_format

from ..arrays import Picture
from .base import Properties

__all__ = ["encode_npy"]


def encode_npy(bands: Iterator[Picture], output: Path, properties: Properties) -> None:
    """Write an array (height, width, 3) that `numpy.load(path, mmap_mode="r")` opens without reading it."""
    header = {
        "descr": npy_format.dtype_to_descr(properties.dtype),
        "fortran_order": False,
        "shape": properties.shape,
    }
    # Not a memory map: its pages, until the system writes them out, count as this process's memory.
    with output.open("wb") as file:
        npy_format.write_array_header_1_0(file, header)
        for band in bands:
            file.write(band.data)
