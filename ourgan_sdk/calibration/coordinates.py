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
    codes: list[Mapping[str, Tensor]] = []

    def network(window: Tensor) -> Tensor:
        code = codes[int(window[0, _AXES, 0, 0])]
        return run({"coordinates": np.ascontiguousarray(window[:, :_AXES]), **code})

    def cut(side: int) -> Sequence[Tensor]:
        windows, codes[:] = coordinate_windows(record, side, generator)
        return windows

    return calibrate(name, network, cut, progress=progress)


def coordinate_windows(
    record: Coordinates, side: int, generator: np.random.Generator, count: int = WINDOWS
) -> tuple[list[Tensor], list[Mapping[str, Tensor]]]:
    """Windows of `side` cells a side, float32 (1, 3, side, side), in and around the square, and their codes.

    Channels are y, x, and, the same everywhere, the window's number, so that a part of a window is a window:
    that of its `scale` and `latent` among the codes. Scales go from the smallest to the largest in equal
    ratios.
    """
    octaves = math.log(record.largest / record.patch)
    windows: list[Tensor] = []
    codes: list[Mapping[str, Tensor]] = []
    for index in range(count):
        scale = record.patch * math.exp(octaves * index / max(1, count - 1))
        room = 1 - side * record.stride / scale
        origin = generator.uniform(min(0, room), max(0, room), _AXES)
        places = (np.arange(side) + 0.5) * record.stride / scale
        window = np.empty((1, _AXES + 1, side, side), np.float32)
        window[0, 0], window[0, 1] = (origin[0] + places)[:, np.newaxis], origin[1] + places
        window[0, _AXES] = index
        windows.append(window)
        latent = generator.normal(size=(1, record.latent)).astype(np.float32)
        codes.append({"scale": np.array([scale], np.float32), "latent": latent})
    return windows, codes
