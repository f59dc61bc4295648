"""Throughput of packing and unpacking pixels: the compiled core beside the obvious NumPy code.

Run it as ``python -m bench.pixels``; it prints one table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ourgan_sdk._core import Box, gather, scatter

Picture = npt.NDArray[np.uint8]
Tile = npt.NDArray[np.float32]


def numpy_pack(picture: Picture, window: Box, tile: Tile) -> None:
    """Read a window of an (H, W, C) uint8 picture as a (C, h, w) float32 tile in [0, 1]."""
    region = picture[window.y0 : window.y1, window.x0 : window.x1]
    tile[...] = (region.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)


def numpy_unpack(tile: Tile, crop: Box, picture: Picture) -> None:
    """Write a crop of a (C, h, w) float32 tile into the top left corner of an (H, W, C) uint8 picture."""
    region = tile[:, crop.y0 : crop.y1, crop.x0 : crop.x1]
    values = np.rint(np.clip(region, 0, 1) * np.float32(255)).astype(np.uint8)
    picture[: crop.height, : crop.width] = values.transpose(1, 2, 0)


def best_seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the shortest wall time of a call: the one least disturbed by other processes."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure, check that both give the same pixels, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", type=int, default=512, help="side of the input window in pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    side, threads = arguments.window, arguments.threads

    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (2 * side, 2 * side, 3), dtype=np.uint8)
    window = Box(side // 3, side // 3, side // 3 + side, side // 3 + side)
    output = random.normal(0.5, 0.4, (3, 4 * side, 4 * side)).astype(np.float32)
    crop = Box(64, 64, 4 * side - 64, 4 * side - 64)
    expected_tile, tile = np.empty((2, 3, side, side), np.float32)
    expected, unpacked = np.zeros((2, 4 * side, 4 * side, 3), np.uint8)

    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "pack": (
            lambda: numpy_pack(picture, window, expected_tile),
            lambda: gather(picture, window, out=tile, threads=threads),
        ),
        "unpack": (
            lambda: numpy_unpack(output, crop, expected),
            lambda: scatter(output, crop, unpacked, 0, 0, threads=threads),
        ),
    }
    seconds = {
        name: [best_seconds(function, arguments.repeats) for function in pair] for name, pair in pairs.items()
    }
    np.testing.assert_array_equal(tile, expected_tile)
    np.testing.assert_array_equal(unpacked, expected)

    seconds["pack + unpack"] = [sum(times) for times in zip(*seconds.values(), strict=True)]
    pixels = {"pack": side * side, "unpack": crop.height * crop.width}
    pixels["pack + unpack"] = sum(pixels.values())
    print(f"uint8 pictures, windows of {side} x {side}, {threads} threads; megapixels per second")
    print(f"{'':14}{'NumPy':>10}{'core':>10}{'ratio':>8}")
    for name, (reference, core) in seconds.items():
        rate = pixels[name] / 1e6
        print(f"{name:14}{rate / reference:10.0f}{rate / core:10.0f}{reference / core:8.1f}")


if __name__ == "__main__":
    main()
