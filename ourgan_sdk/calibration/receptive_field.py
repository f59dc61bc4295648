"""How far a network looks: its effective and its theoretical receptive field.

The effective receptive field (Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional
Neural Networks", NIPS 2016) is how the energy of the network's Jacobian lies around an output's position. Luo
et al. look at rows of the Jacobian: the gradient of an output with respect to all inputs, as
`trainers.bundling.erf` does. Runtimes cannot back-propagate, so here it is columns: one input pixel is moved
a little, and all outputs are watched (the impulse response). A network that treats all positions alike has
the same energy at the same offset in both, mirrored.

Radii are Chebyshev radii in input pixels, as halos are square margins: radius r is a square of side 2r + 1.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..arrays import Tensor
from ..bundle import Erf
from .halo import Network

__all__ = ["ERF_WINDOWS", "by_radius", "impulse_energy", "measured_erf", "radius_of"]

Energy = npt.NDArray[np.float64]

ERF_WINDOWS = 16
"""Windows that an effective receptive field is averaged over."""

_AMPLITUDE = 4 / 255
"""What a pixel is moved by: so little that the network is nearly linear there, so much that float32's
rounding, in whatever the pixel reaches, stays far below a thousandth of the energy."""


def impulse_energy(
    network: Network, windows: Sequence[Tensor], advance: Callable[[int], object] = lambda _: None
) -> Energy:
    """Energy by radius of the response to moving the middle pixel, one channel after the other.

    It is summed over the channels and over `windows` (1, C, h, w), which are of one size. `advance(1)` is
    called after every window.
    """
    total = np.zeros(windows[0].shape[2:])
    for window in windows:
        _, channels, height, width = window.shape
        still = network(window)
        for channel in range(channels):
            moved = window.copy()
            moved[0, channel, height // 2, width // 2] += _AMPLITUDE
            response = (network(moved) - still).astype(np.float64)
            outputs = response.reshape(channels, height, -1, width, response.shape[3] // width)
            total += (outputs**2).sum((0, 2, 4))
        advance(1)
    return by_radius(total)


def by_radius(energy: Energy) -> Energy:
    """Sums of a map (h, w) over all pixels of Chebyshev distance 0, 1, 2, ... from its middle pixel."""
    height, width = energy.shape
    rows, columns = (np.abs(np.arange(n) - n // 2) for n in (height, width))
    return np.bincount(np.maximum.outer(rows, columns).ravel(), energy.ravel()).astype(np.float64)


def radius_of(energy: Energy, share: float) -> int:
    """The smallest radius whose square holds `share` of an energy by radius."""
    cumulative = np.cumsum(energy)
    return int(np.searchsorted(cumulative, share * cumulative[-1]))


def measured_erf(energy: Energy, theoretical: int | None) -> Erf:
    """The manifest's entry for an energy by radius."""
    return Erf(
        radius_9545=radius_of(energy, 0.9545),
        radius_999=radius_of(energy, 0.999),
        theoretical=theoretical,
    )
