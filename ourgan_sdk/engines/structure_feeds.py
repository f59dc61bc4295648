"""What a structure network is fed with, for a size and a seed."""

import numpy as np

from .._core import normal
from ..arrays import Tensor
from ..bundle import Structure
from ..bundle.structure_inputs import structure_inputs

__all__ = ["structure_feeds"]


def structure_feeds(structure: Structure, size: tuple[int, int] | None, seed: int) -> dict[str, Tensor]:
    """The inputs, by name, of a new structure of `size` (height, width), by default the training's.

    Noise of scale m is drawn from stream m of `seed`; nothing is given.
    """
    feeds = {}
    for stream, one in enumerate(structure_inputs(structure, size)):
        if stream < len(structure.scales):
            deviation = structure.scales[stream].noise_deviation
            maps = normal(one.channels, one.height, one.width, seed, stream, deviation=deviation)
        else:
            maps = np.zeros((one.channels, one.height, one.width), np.float32)
        feeds[one.name] = maps[np.newaxis]
    return feeds
