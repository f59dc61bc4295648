"""How large a halo must be: tiled output against whole output, measured.

The network is given as a function, so that the same measurement serves whatever runs it.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Tensor
from ..bundle import SeamError
from ..errors import OurganError
from ..progress import Progress, reporting

__all__ = ["TOLERANCE", "Calibration", "Network", "calibrate", "cut_windows", "seam_error", "tiled_output"]

Network = Callable[[Tensor], Tensor]
"""A network in tiles: (1, C, h, w) float32 -> (1, K, s h, s w) float32, of one s; 4 for upscalers."""

TOLERANCE = 0.5
"""Levels of 8 bits: what a tile may differ by, at any value, from the same place rendered whole."""

SIDES = (128, 256, 512)
"""Sides of the windows that halos are measured on, in pixels: the next where the one before is too small."""

WINDOWS = 6
"""Windows of one side."""

_LEVELS = 255


@dataclass(frozen=True)
class Calibration:
    """The smallest halo that will do, in input pixels, and what was seen on the way to it.

    `errors` holds the seam errors of all halos that were tried, in ascending order: 0, the powers of two, the
    largest one (a quarter of the windows' side) and those around `halo`.
    """

    halo: int
    errors: Mapping[int, SeamError]

    @property
    def error(self) -> SeamError:
        """The seam error of `halo`."""
        return self.errors[self.halo]

    @property
    def erf_side(self) -> int:
        """Side of the windows that a receptive field needs: the square within the largest halo."""
        return 2 * max(self.errors) + 1


def calibrate(
    name: str, network: Network, cut: Callable[[int], Sequence[Tensor]], *, progress: Progress = None
) -> Calibration:
    """The smallest halo whose tiles differ by at most half an 8-bit level from the whole, everywhere.

    `cut(side)` gives windows (1, C, side, side), inputs of the kind that the network will see. Halos up to a
    quarter of the side are tried, on larger windows where that is not enough.
    Between powers of two the halo is found by bisection, since what lies farther away weighs less. `name` is
    the network's, for the progress and for the error.

    Raises:
        OurganError: No halo will do, or the network gives values that are not finite.
    """
    for side in SIDES:
        windows = cut(side)
        with _reported(network, windows, progress, f"{name}, windows of {side}") as reported:
            halo, errors = _search(reported, windows)
        if halo is not None:
            return Calibration(halo, errors)
    largest = max(errors)
    raise OurganError(
        f"{name} cannot be tiled: with a halo of {largest} pixels, the largest to be tried, tiles still "
        f"differ from the whole by {errors[largest].maximum:.2f} 8-bit levels (at most {TOLERANCE} are "
        "allowed); the network looks farther, or normalises over space (instance normalisation, attention)"
    )


def tiled_output(network: Network, window: Tensor, halo: int) -> Tensor:
    """`window` (1, C, h, w) through `network` as four tiles that meet in its middle, float32.

    Each quarter is run with `halo` more pixels towards the middle, and its own part of the output is kept.
    """
    height, width = window.shape[2:]
    rows = []
    for y, y_read in _halves(height, halo):
        parts = []
        for x, x_read in _halves(width, halo):
            tile = network(np.ascontiguousarray(window[:, :, y_read, x_read]))
            scale = tile.shape[2] // (y_read.stop - y_read.start)
            down = slice(scale * (y.start - y_read.start), scale * (y.stop - y_read.start))
            across = slice(scale * (x.start - x_read.start), scale * (x.stop - x_read.start))
            parts.append(tile[:, :, down, across])
        rows.append(np.concatenate(parts, 3))
    return np.concatenate(rows, 2)


def _halves(length: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """The two halves of an axis, each with what is read to compute it."""
    middle = length // 2
    yield slice(0, middle), slice(0, min(middle + halo, length))
    yield slice(middle, length), slice(max(middle - halo, 0), length)


def seam_error(network: Network, windows: Sequence[Tensor], wholes: Sequence[Tensor], halo: int) -> SeamError:
    """Tiled against whole output at `halo`; `wholes` are the network's outputs for `windows`.

    Both are compared as a picture would hold them: clipped to [0, 1], in 8-bit levels. Raises OurganError if
    the network gives values that are not finite.
    """
    differences, different = [], 0
    for window, whole in zip(windows, wholes, strict=True):
        one, other = _levels(tiled_output(network, window, halo)), _levels(whole)
        differences.append(np.abs(one - other).ravel())
        different += np.count_nonzero(np.rint(one) != np.rint(other))
    seen = np.concatenate(differences)
    return SeamError(
        maximum=float(seen.max()),
        p9999=float(np.quantile(seen, 0.9999)),
        share_different=different / seen.size,
    )


def _levels(output: Tensor) -> Tensor:
    if not np.isfinite(output).all():
        raise OurganError("the network gives values that are not finite: no halo can be measured")
    levels: Tensor = np.clip(output, 0, 1) * np.float32(_LEVELS)
    return levels


def cut_windows(
    pictures: Sequence[Tensor],
    side: int,
    deviation: float,
    generator: np.random.Generator,
    count: int = WINDOWS,
) -> list[Tensor]:
    """Random windows (1, C, side, side) of `pictures` (C, H, W) in turn, with noise of `deviation` added.

    Smaller pictures are continued by reflection, so that they do not limit what halos can be measured.
    """
    windows = []
    for i in range(count):
        picture = pictures[i % len(pictures)]
        missing = [(0, max(side - n, 0)) for n in picture.shape[1:]]
        picture = np.pad(picture, ((0, 0), *missing), mode="symmetric")
        y, x = (int(generator.integers(n - side + 1)) for n in picture.shape[1:])
        window = picture[np.newaxis, :, y : y + side, x : x + side]
        windows.append(window + generator.normal(0, deviation, window.shape).astype(np.float32))
    return windows


def _search(network: Network, windows: Sequence[Tensor]) -> tuple[int | None, dict[int, SeamError]]:
    """The smallest halo that will do, and the seam errors seen; None where the largest one is too small."""
    wholes = [network(window) for window in windows]
    errors: dict[int, SeamError] = {}

    def will_do(halo: int) -> bool:
        errors[halo] = seam_error(network, windows, wholes, halo)
        return errors[halo].maximum <= TOLERANCE

    largest = windows[0].shape[2] // 4
    if not will_do(largest):
        return None, errors
    too_small = max((halo for halo in _coarse_halos(largest) if not will_do(halo)), default=-1)
    enough = min(halo for halo in errors if halo > too_small)
    while enough - too_small > 1:
        halo = (too_small + enough) // 2
        if will_do(halo):
            enough = halo
        else:
            too_small = halo
    return enough, dict(sorted(errors.items()))


def _coarse_halos(largest: int) -> list[int]:
    """0 and the powers of two below `largest`."""
    return [halo for halo in (0, *(1 << i for i in range(largest.bit_length()))) if halo < largest]


def _work(windows: Sequence[Tensor]) -> int:
    """About how many pixels a search sends through the network: whole, at all halos, and a bisection's."""
    side: int = windows[0].shape[2]
    largest, bisected = side // 4, side // 16
    halos = [0, largest, *_coarse_halos(largest), *([bisected] * bisected.bit_length())]
    return len(windows) * sum((side + 2 * halo) ** 2 for halo in halos)


@contextlib.contextmanager
def _reported(
    network: Network, windows: Sequence[Tensor], progress: Progress, description: str
) -> Iterator[Network]:
    """Yield `network`, reporting what goes through it as a part of a search's work."""
    remaining = _work(windows)
    with reporting(progress, remaining, description=description) as advance:

        def counted(window: Tensor) -> Tensor:
            nonlocal remaining
            output = network(window)
            pixels = min(window.shape[2] * window.shape[3], remaining)
            remaining -= pixels
            advance(pixels)
            return output

        yield counted
        advance(remaining)
