"""Random walks around what makes the photograph, for films (SinGAN, section 4, "single image animation").

z_t = a z_rec + (1 - a) (z_(t-1) + b (z_(t-1) - z_(t-2)) + (1 - b) u_t), of noise u. Where the film is to be
a loop, u repeats, and the walk has gone round until it does as well: it forgets a tenth of the past with
every step.
"""

import hashlib
from collections.abc import Generator

import numpy as np

from .._core import normal
from ..arrays import Tensor

__all__ = ["ALPHA", "BETA", "walk"]

ALPHA = 0.1
"""How strongly a walk is drawn back to where it began; SinGAN's."""

BETA = 0.9
"""How much of a step is the one before; SinGAN's."""

_FORGOTTEN = 300
"""Steps after which float32 no longer knows the beginning: 0.9^300 is 2e-14."""


def walk(
    shape: tuple[int, int, int],
    steps: int,
    seed: int,
    stream: int,
    *,
    is_loop: bool,
    alpha: float = ALPHA,
    beta: float = BETA,
) -> Generator[Tensor, None, None]:
    """Where the walk is at every step, less z_rec: float32 of `shape` (channels, height, width).

    u of a step is drawn by the seed, the step, the `stream` of a scale, and its place.
    """
    last = before = np.zeros(shape, np.float32)
    skipped = -(-_FORGOTTEN // steps) * steps if is_loop else 0
    for index in range(skipped + steps):
        u = normal(*shape, _step_seed(seed, index % steps), stream)
        now = np.float32(1 - alpha) * (last + np.float32(beta) * (last - before) + np.float32(1 - beta) * u)
        before, last = last, now
        if index >= skipped:
            yield now


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} step {step}".encode()).digest()[:8], "little")
