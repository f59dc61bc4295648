"""Random walks around what makes the photograph, for films (SinGAN, section 4, "single image animation").

z_t = a z_rec + (1 - a) (z_(t-1) + b (z_(t-1) - z_(t-2)) + (1 - b) u_t), of noise u. Where the film is to be
a loop, u repeats, and the walk has gone round until it does as well.
"""

import hashlib
import math
from collections.abc import Generator

import numpy as np

from .._core import normal
from ..arrays import Tensor

__all__ = ["ALPHA", "BETA", "steps_to_forget", "walk"]

ALPHA = 0.1
"""How strongly a walk is drawn back to where it began; SinGAN's."""

BETA = 0.9
"""How much of a step is the one before; SinGAN's."""

_FORGOTTEN = 1e-7
"""What is left of the beginning once float32 no longer knows it."""

MOST_SKIPPED = 20_000
"""Steps in which a walk has to have forgotten where it began, for a loop: at SinGAN's values it takes 154."""


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
    skipped = -(-steps_to_forget(alpha, beta) // steps) * steps if is_loop else 0
    for index in range(skipped + steps):
        u = normal(*shape, _step_seed(seed, index % steps), stream)
        now = np.float32(1 - alpha) * (last + np.float32(beta) * (last - before) + np.float32(1 - beta) * u)
        before, last = last, now
        if index >= skipped:
            yield now


def steps_to_forget(alpha: float, beta: float) -> int:
    """How many steps it takes until nothing is left of where a walk began.

    Raises ValueError where these are too many.
    """
    roots = np.roots([1.0, -(1 - alpha) * (1 + beta), (1 - alpha) * beta])
    slowest = float(np.abs(roots).max())
    steps = math.log(_FORGOTTEN) / math.log(slowest) if 0 < slowest < 1 else math.inf if slowest else 1
    if steps > MOST_SKIPPED:
        raise ValueError(
            f"a loop takes a walk that comes back: give an alpha above {alpha:g}, a beta below {beta:g}, or "
            "no loop (--no-loop)"
        )
    return math.ceil(steps) + 1


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} step {step}".encode()).digest()[:8], "little")
