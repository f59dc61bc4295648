"""Blocks of a picture's levels: they partition each, and what one is made of is all that it shows."""

import numpy as np
import pytest

from ourgan_sdk._core import halved
from ourgan_sdk.cluster.pyramid import Block, Pyramid
from ourgan_sdk.writers.deep_zoom import deep_zoom_sizes


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [(1, 1, 8), (8, 8, 8), (64, 64, 8), (65, 63, 8), (129, 7, 8), (70, 101, 6), (9, 300, 2)],
)
def test_made_of_their_parts_blocks_show_their_levels(height: int, width: int, side: int) -> None:
    pyramid = Pyramid(deep_zoom_sizes(height, width), side)
    levels = [np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)]
    while len(levels) < len(pyramid.sizes):
        levels.append(halved(levels[-1]))
    seen = [np.zeros(level.shape[:2], int) for level in levels]
    halves: dict[Block, np.ndarray] = {}
    made = []

    def go_on(block: Block, pixels: np.ndarray) -> None:
        """As a worker does, and whoever hands in what can be made next."""
        made.append(block)
        box = pyramid.box(block)
        assert max(box.height, box.width) <= side
        np.testing.assert_array_equal(pixels, levels[block.level][box.y0 : box.y1, box.x0 : box.x1])
        seen[block.level][box.y0 : box.y1, box.x0 : box.x1] += 1
        if block.level < pyramid.top:
            halves[block] = halved(pixels)
            whole = pyramid.made_of(block)
            parts = pyramid.parts(whole)
            assert block in parts
            if all(part in halves for part in parts):
                go_on(whole, pyramid.assembled(whole, [halves.pop(part) for part in parts]))

    most = 0
    for leaf in pyramid.leaves():
        box = pyramid.box(leaf)
        go_on(leaf, levels[0][box.y0 : box.y1, box.x0 : box.x1])
        most = max(most, len(halves))
    assert len(made) == pyramid.blocks
    assert made[-1] == (pyramid.top, 0, 0)
    assert not halves
    assert all((counts == 1).all() for counts in seen[: pyramid.top + 1])
    assert most <= 3 * pyramid.top, "halves wait only for those beside them"
