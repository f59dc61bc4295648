"""Blocks of a picture's levels: they partition each, and what one is made of is all that it shows."""

import numpy as np
import pytest

from ourgan_sdk._core import halved
from ourgan_sdk.cluster.pyramid import Block, Pyramid
from ourgan_sdk.writers.deep_zoom import deep_zoom_sizes


@pytest.mark.parametrize("leaf", [0, 1, 2])
@pytest.mark.parametrize(
    ("height", "width", "side"),
    [(1, 1, 8), (8, 8, 8), (64, 64, 8), (65, 63, 8), (129, 7, 8), (70, 101, 6), (9, 300, 2)],
)
def test_made_of_their_parts_blocks_show_their_levels(height: int, width: int, side: int, leaf: int) -> None:
    pyramid = Pyramid(deep_zoom_sizes(height, width), side, leaf)
    levels = [np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)]
    while len(levels) < len(pyramid.sizes):
        levels.append(halved(levels[-1]))
    seen = [np.zeros(level.shape[:2], int) for level in levels]
    halves: dict[Block, np.ndarray] = {}
    made = []

    def see(block: Block, pixels: np.ndarray) -> None:
        box = pyramid.box(block)
        assert max(box.height, box.width) <= side
        np.testing.assert_array_equal(pixels, levels[block.level][box.y0 : box.y1, box.x0 : box.x1])
        seen[block.level][box.y0 : box.y1, box.x0 : box.x1] += 1

    def go_on(block: Block, pixels: np.ndarray) -> None:
        """As a worker does, and whoever hands in what can be made next."""
        made.append(block)
        see(block, pixels)
        if block.level < pyramid.top:
            halves[block] = halved(pixels)
            whole = pyramid.made_of(block)
            parts = pyramid.parts(whole)
            assert block in parts
            if all(part in halves for part in parts):
                go_on(whole, pyramid.assembled(whole, [halves.pop(part) for part in parts]))

    most = 0
    for block in pyramid.leaves():
        box = pyramid.below(block)
        pixels = levels[0][box.y0 : box.y1, box.x0 : box.x1]
        for level in range(block.level):
            for finer, part in pyramid.divided(block, pixels, level):
                see(finer, part)
            pixels = halved(np.ascontiguousarray(pixels))
        go_on(block, pixels)
        most = max(most, len(halves))
    assert len(made) == pyramid.blocks
    assert made[-1] == (pyramid.top, 0, 0)
    assert not halves
    assert all((counts == 1).all() for counts in seen[: pyramid.top + 1])
    assert most <= 3 * pyramid.top, "halves wait only for those beside them"
