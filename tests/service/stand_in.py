"""A canvas whose every pixel is known: ten times ten squares, each of another colour."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ourgan_sdk import Box
from ourgan_sdk._core import resample

SQUARES = 10
SIDE = 100
"""Of a square, in pixels."""
WHOLE = SQUARES * SIDE


def colors() -> np.ndarray:
    """(10, 10, 3), by row and column: far from each other where squares touch."""
    rows, columns = np.mgrid[:SQUARES, :SQUARES]
    return np.stack([rows * 25, columns * 25, (rows + columns) % 2 * 200], -1).astype(np.uint8)


class Squares:
    """In the place of a Canvas."""

    def __init__(self, bytes_: int = 0) -> None:
        """`bytes_`: that it says it keeps."""
        self.pixels = np.repeat(np.repeat(colors(), SIDE, 0), SIDE, 1)
        self.width = self.height = WHOLE
        self.levels = (SimpleNamespace(shape=(WHOLE, WHOLE, 3)),)
        self.kept = {object(): bytes_}

    def read(self, box: Box, _level: int) -> np.ndarray:
        return self.pixels[box.y0 : box.y1, box.x0 : box.x1]

    def view_work(self, box: Box, _width: int, _height: int) -> tuple[int, int]:
        return box.width * box.height, 0

    def view(self, box: Box, width: int, height: int) -> np.ndarray:
        return resample(np.ascontiguousarray(self.read(box, 0)), height, width, threads=1)


class StandIn:
    """In the place of a Synthesizer: its canvases are `Squares`, or whatever `make` makes."""

    takes_detail = False

    def __init__(self, make: Callable[[], Any] = Squares, bytes_: int = 0) -> None:
        """`bytes_`: that it says it keeps of its photograph."""
        self.kept = {object(): bytes_}
        manifest = SimpleNamespace(
            natural_size=(WHOLE, WHOLE), photograph="photograph.png", structure=None, coordinates=None
        )
        self.bundle = SimpleNamespace(sha256="0", manifest=manifest)
        self._make = make

    def canvas(self, *_size: int, **_asked: object) -> Any:
        return self._make()

    def close(self) -> None:
        pass


def a_file(folder: Path) -> Path:
    """For a source, which has to be a file that is there."""
    path = folder / "squares.png"
    path.write_bytes(b"")
    return path
