"""The sizes of a structure's scales, family by family."""

from __future__ import annotations

import math


def scale_sizes(height: int, width: int, long_side: int, scales: int, factor: float) -> list[tuple[int, int]]:
    """(height, width) of every scale, coarsest first; the finest's long side is ``long_side``."""
    ratio = long_side / max(height, width)
    return [
        (
            max(1, round(height * ratio * factor ** (scales - 1 - m))),
            max(1, round(width * ratio * factor ** (scales - 1 - m))),
        )
        for m in range(scales)
    ]


def singan_sizes(
    height: int, width: int, long_side: int, short_side: int, factor: float
) -> list[tuple[int, int]]:
    """(height, width) of every scale, coarsest first, as SinGAN has them: the coarsest's short side is given.

    The finest's long side is ``long_side``, the coarsest's short side ``short_side``. There are as
    many scales as bring the factor between neighbours nearest to ``factor``: that depends on the photograph's
    aspect. One as elongated as ``long_side`` : ``short_side``, or more, has a single scale.
    """
    whole = (
        short_side * max(height, width) / (long_side * min(height, width))
    )  # from the finest to the coarsest
    if whole >= 1:
        return scale_sizes(height, width, long_side, 1, factor)
    fewest = max(1, math.floor(math.log(whole, factor)))
    steps = min((fewest, fewest + 1), key=lambda count: abs(whole ** (1 / count) - factor))
    return scale_sizes(height, width, long_side, steps + 1, whole ** (1 / steps))


def consingan_sizes(
    height: int, width: int, long_side: int, short_side: int, stages: int
) -> list[tuple[int, int]]:
    """(height, width) of every stage, coarsest first, as ConSinGAN has them: closer where they are coarse.

    The finest's long side is ``long_side``, the coarsest's short side ``short_side``. With S = ``stages`` - 1
    and r the S-th root of the whole factor, stage m has the finest's size times r to the power of
    (S - 1) log(S - m) / log S + 1 (Hinz et al., section 3.3). A photograph as elongated as ``long_side`` :
    ``short_side``, or more, has a single stage.
    """
    whole = short_side * max(height, width) / (long_side * min(height, width))
    steps = stages - 1
    if whole >= 1 or steps == 0:
        return scale_sizes(height, width, long_side, 1, 1.0)
    slope = (steps - 1) / math.log(steps) if steps > 1 else 1.0
    powers = [(slope * math.log(steps - m) + 1) / steps for m in range(steps)]
    return [
        *(scale_sizes(height, width, long_side, 2, whole**power)[0] for power in powers),
        *scale_sizes(height, width, long_side, 1, 1.0),
    ]
