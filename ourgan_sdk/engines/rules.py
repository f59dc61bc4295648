"""How an engine wants its tiles: what the planner and the pipeline have to know of it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["DEVICE_SLOTS", "TileFormat", "TileType", "WindowRules"]


DEVICE_SLOTS = 3
"""Tiles in flight on a device, where one is copied there and one back while one is computed. Two are too few
to keep it busy: csrc/tests/timeline_test.cpp."""

TileType = Literal["float32", "float16", "uint8"]


@dataclass(frozen=True)
class TileFormat:
    """The tensors of a tile: float32 planes (1, C, h, w), or interleaved (1, h, w, C), as pixels lie."""

    input_type: TileType = "float32"
    output_type: TileType = "float32"
    interleaved: bool = False


@dataclass(frozen=True)
class WindowRules:
    """Limits that an engine sets to a network's input, in pixels, and what a tile takes of memory."""

    alignment: int = 1
    """Both sides are multiples of it."""
    window: tuple[int, int] | None = None
    """(height, width), where the engine was built for one size alone."""
    max_side: int | None = None
    """No side of a window is longer, if there is a limit."""
    largest_tensor: int = 1 << 31
    """Elements that no tensor inside the network may exceed."""
    bytes_per_pixel: int | None = None
    """Activations per input pixel, where they are not what the bundle says."""
    on_device: bool = False
    """Whether activations lie in a device's memory, not in the host's."""
    slots: int = 2
    """Tiles in flight. Two where the engine keeps its caller waiting: while one is in the engine, the one
    before is unpacked and the next one packed."""
    format: TileFormat = TileFormat()
