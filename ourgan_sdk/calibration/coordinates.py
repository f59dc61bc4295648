"""How large a halo networks of coordinates need: windows at all scales that they have seen, of many codes."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..arrays import Tensor
from ..bundle import Coordinates
from .halo import WINDOWS, Calibration, calibrate

__all__ = ["Run", "calibrate_coordinates", "coordinate_windows"]

_AXES = 2

Run = Callable[[Mapping[str, Tensor]], Tensor]
"""A network of coordinates: its inputs by name -> (1, 3, stride * h, stride * w) float32."""


def calibrate_coordinates(
    name: str, run: Run, record: Coordinates, seed: int = 0, *, progress: bool = False
) -> Calibration:
    """The smallest halo, in cells, whose tiles differ by at most half an 8-bit level from the whole.

    Of `record`, `latent`, `patch`, `largest` and `stride` matter. Raises OurganError where no halo will do,
    or the network gives values that are not finite.
    """
    generator = np.random.default_rng(seed)

    def network(window: Tensor) -> Tensor:
        return run(
            {
                "coordinates": np.ascontiguousarray(window[:, :_AXES]),
                "scale": np.array(window[0, _AXES, 0, :1]),
                "latent": np.ascontiguousarray(window[:, _AXES + 1 :, 0, 0]),
            }
        )

    def cut(side: int) -> Sequence[Tensor]:
        return coordinate_windows(record, side, generator)

    return calibrate(name, network, cut, progress=progress)


def coordinate_windows(
    record: Coordinates, side: int, generator: np.random.Generator, count: int = WINDOWS
) -> list[Tensor]:
    """Windows of `side` x `side` cells, float32 (1, 2 + 1 + latent, side, side), in and around the square.

    Channels are y, x, and, the same everywhere, the scale and the code: so a part of a window is a window.
    Scales go from the smallest to the largest in equal ratios.
    """
    octaves = math.log(record.largest / record.patch)
    windows = []
    for index in range(count):
        scale = record.patch * math.exp(octaves * index / max(1, count - 1))
        room = 1 - side * record.stride / scale
        origin = generator.uniform(min(0, room), max(0, room), _AXES)
        places = (np.arange(side) + 0.5) * record.stride / scale
        window = np.empty((1, _AXES + 1 + record.latent, side, side), np.float32)
        window[0, 0], window[0, 1] = (origin[0] + places)[:, np.newaxis], origin[1] + places
        window[0, _AXES] = scale
        window[0, _AXES + 1 :] = generator.normal(size=(record.latent, 1, 1))
        windows.append(window)
    return windows
