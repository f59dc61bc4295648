"""What fixed windows engines are best built for: those that recompute least within a GPU's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ourgan_sdk import EngineError
from ourgan_sdk.bundle import Manifest, Upscaler, Window
from ourgan_sdk.engines.rules import DEVICE_SLOTS
from ourgan_sdk.sizes import picture_sizes

__all__ = ["Needs", "choose_windows", "memory_of_render"]

TARGETS = ((3840, 2160), (7680, 4320), (15360, 8640), (3840, 2560), (7680, 5120), (15360, 10240))
"""(width, height) of the pictures that windows are chosen for: 4K, 8K and 16K, 16:9 and 3:2."""

ALIGNMENT = 32
"""Sides of windows are multiples of it."""

EARLIER_SHARE = 8
"""Upscalers before the last see small pictures: each gets this part of the memory at most."""


@dataclass(frozen=True)
class Needs:
    """What the engines of an upscaler take of a GPU's memory: their weights, and per pixel of a window.

    ``activations`` are those of one tile, ``tile`` is an input and an output.
    """

    weights: int
    activations: int
    tile: int

    def of_pass(self, window: Window) -> int:
        """Bytes of a pass with its slots, without weights."""
        return window.height * window.width * self._per_pixel

    def pixels_within(self, budget: int) -> int:
        """How large a window may be, so that a pass takes ``budget`` bytes."""
        return max(0, budget) // self._per_pixel

    def together(self, other: Needs) -> Needs:
        """With another engine of the same upscaler, of which only one runs at a time."""
        return Needs(
            self.weights + other.weights,
            max(self.activations, other.activations),
            max(self.tile, other.tile),
        )

    @property
    def _per_pixel(self) -> int:
        return self.activations + DEVICE_SLOTS * self.tile


@dataclass(frozen=True)
class _Work:
    """The passes of all target pictures that an upscaler makes."""

    pictures: Sequence[tuple[int, int]]
    """(height, width) of their inputs."""
    weights: Sequence[float]
    """What a pixel of each counts for: one over those of the whole render's last pass."""
    at_once: int
    """How many of them one render has at most."""


def choose_windows(manifest: Manifest, needs: Mapping[str, Needs], memory: int) -> dict[str, Window]:
    """A window for every upscaler, with which any render takes ``memory`` bytes of the GPU's at most.

    ``needs`` and the windows go by the upscaler's file.

    Raises:
        EngineError: The memory is too small for any.
    """
    left = memory - sum(need.weights for need in needs.values())
    upscalers = {upscaler.file: upscaler for upscaler in manifest.upscalers}
    windows = {}
    for file, upscaler in upscalers.items():
        work = _work(manifest, upscaler)
        share = left if file == manifest.upscalers[-1].file else min(left, memory // EARLIER_SHARE)
        window = _best_window(work, upscaler.halo, needs[file].pixels_within(share // work.at_once))
        if window is None:
            raise EngineError(
                "engines of this bundle do not fit into so little of the GPU's memory: allow more, "
                "or choose a small window"
            )
        left -= work.at_once * needs[file].of_pass(window)
        windows[file] = window
    return windows


def memory_of_render(manifest: Manifest, needs: Mapping[str, Needs], windows: Mapping[str, Window]) -> int:
    """Bytes of the GPU's memory that a render with these windows takes at most."""
    upscalers = {upscaler.file: upscaler for upscaler in manifest.upscalers}
    passes = sum(
        _work(manifest, upscaler).at_once * needs[file].of_pass(windows[file])
        for file, upscaler in upscalers.items()
    )
    return passes + sum(need.weights for need in needs.values())


def _work(manifest: Manifest, upscaler: Upscaler) -> _Work:
    trained = manifest.structure.scales[-1]
    pictures, weights, at_once = [], [], 1
    for width, height in TARGETS:
        *inputs, _ = picture_sizes(height, width, trained.height, trained.width)
        own = [size for index, size in enumerate(inputs) if manifest.upscaler(index).file == upscaler.file]
        pictures += own
        weights += [1 / (inputs[-1][0] * inputs[-1][1])] * len(own)
        at_once = max(at_once, len(own))
    return _Work(pictures, weights, at_once)


def _best_window(work: _Work, halo: int, most_pixels: int) -> Window | None:
    """The window that takes the least work over all pictures; the smallest of those."""
    margin = 2 * halo
    first = -(-(margin + 1) // ALIGNMENT) * ALIGNMENT
    longest = max((max(size) for size in work.pictures), default=first) + margin + ALIGNMENT
    sides = np.arange(first, longest, ALIGNMENT)
    heights, widths = sides[:, np.newaxis], sides[np.newaxis]
    areas = heights * widths
    cost = np.zeros(areas.shape)
    for (height, width), weight in zip(work.pictures, work.weights, strict=True):
        tiles = -(-height // (heights - margin)) * -(-width // (widths - margin))
        cost += weight * tiles * areas
    cost[areas > most_pixels] = np.inf
    cost += areas * 1e-12  # among equals
    row, column = np.unravel_index(np.argmin(cost), cost.shape)
    if not np.isfinite(cost[row, column]):
        return None
    return Window(height=int(sides[row]), width=int(sides[column]))
