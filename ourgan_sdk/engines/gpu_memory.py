"""How much of a GPU's memory the engines in a bundle take."""

from collections.abc import Sequence

import numpy as np

from ..bundle import EngineRecord, Manifest, Upscaler, Window
from ..sizes import picture_sizes
from .graphs.even_strips import ALIGNMENT
from .graphs.precision import float_type
from .rules import DEVICE_SLOTS

__all__ = ["bytes_per_pixel", "memory_of_render", "resized", "slot_bytes", "smallest_window"]

_TARGETS = ((3840, 2160), (7680, 4320), (15360, 8640), (3840, 2560), (7680, 5120), (15360, 10240))
"""(width, height) of pictures: 4K, 8K and 16K, 16:9 and 3:2."""


def memory_of_render(manifest: Manifest, records: Sequence[EngineRecord], weights: int) -> int:
    """Bytes that a render of up to 16K takes at most, all its passes being at work at once.

    `records` are the engines of one runtime and precision, which take `weights` bytes by themselves.
    """
    renders = []
    for width, height in _TARGETS:
        *inputs, _ = picture_sizes(height, width, *manifest.base_size)
        passes = [_bytes_of_pass(records, manifest.upscaler(i), size) for i, size in enumerate(inputs)]
        renders.append(sum(passes))
    return weights + max(renders)


def resized(record: EngineRecord, largest: Window) -> EngineRecord:
    """The record of the same engine for windows of up to this size."""
    area = largest.height * largest.width
    changes = {"window": largest, "activation_bytes": area * bytes_per_pixel(record)}
    return record.model_copy(update=changes)


def smallest_window(upscaler: Upscaler) -> Window:
    """The smallest that the planner makes: two halos and a pixel, aligned."""
    side = _aligned(2 * upscaler.halo + 1)
    return Window(height=side, width=side)


def bytes_per_pixel(record: EngineRecord) -> int:
    """What activations take per pixel of a window."""
    return -(-record.activation_bytes // (record.window.height * record.window.width)) or 1


def slot_bytes(record: EngineRecord) -> int:
    """What the inputs and outputs of all slots take per pixel of a window."""
    read, written = float_type(record.precision).itemsize, np.dtype(record.output).itemsize
    return DEVICE_SLOTS * 3 * (read + 16 * written)


def _bytes_of_pass(records: Sequence[EngineRecord], upscaler: Upscaler, picture: tuple[int, int]) -> int:
    """Bytes of a pass over a picture of that (height, width), by the engine that takes more."""
    amounts = []
    for record in records:
        if record.network == upscaler.file:
            small, large = record.smallest_window, record.window
            height = _side(picture[0] + 2 * upscaler.halo, small.height, large.height)
            width = _side(picture[1] + 2 * upscaler.halo, small.width, large.width)
            amounts.append(height * width * (bytes_per_pixel(record) + slot_bytes(record)))
    return max(amounts, default=0)


def _side(whole: int, smallest: int, largest: int) -> int:
    """How long a window's side is at most, where the picture with its halos has a side of `whole`."""
    return max(smallest, min(largest, _aligned(whole)))


def _aligned(side: int) -> int:
    return -(-side // ALIGNMENT) * ALIGNMENT
