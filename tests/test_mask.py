"""Masks: grown, softened, and exactly nothing beyond."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ourgan_sdk import Mask

SIZE = 300, 400


def marked(seed: int, height: int = 150, width: int = 200) -> np.ndarray:
    """A rectangle and a few single pixels somewhere."""
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    y, x = random.integers(0, height - 20), random.integers(0, width - 20)
    mask[y : y + 15, x : x + 18] = True
    mask[random.integers(0, height, 3), random.integers(0, width, 3)] = True
    return mask


def distances(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """From every pixel's centre to the nearest marked place, in 1/250 of the long side."""
    height, width = size
    y, x = ((np.argwhere(mask).T + 0.5).T * [height / mask.shape[0], width / mask.shape[1]]).T
    rows, columns = np.mgrid[:height, :width] + 0.5
    nearest = np.full(size, np.inf)
    for one_y, one_x in zip(y, x, strict=True):
        nearest = np.minimum(nearest, np.hypot(rows - one_y, columns - one_x))
    return nearest * 250 / max(size)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.floats(0, 12), st.floats(0, 8))
def test_weights_are_one_inside_and_nothing_far_outside(seed: int, grow: float, soften: float) -> None:
    mask = marked(seed)
    weights = Mask(mask, grow=grow, soften=soften).weights(SIZE).part(SIZE, 0, 0, *SIZE)
    away = distances(mask, SIZE)
    pixel = 250 / max(SIZE) * math.sqrt(2)
    # Blurred along both axes apart, it ends in a square; two pixels are for the mask's own and the blur's.
    assert (weights[away > grow + 3 * math.sqrt(2) * soften + 3 * pixel] == 0).all()
    assert weights.min() >= 0
    assert weights.max() <= 1
    if grow > 1.5 * soften + 2:
        assert weights[away < pixel].min() > 0.85


def test_a_border_is_soft() -> None:
    mask = np.zeros((100, 100), bool)
    mask[:, :50] = True
    weights = Mask(mask, grow=0, soften=5).weights((500, 500)).part((500, 500), 250, 0, 251, 500)[0]
    assert weights[0] == 1
    assert weights[-1] == 0
    assert 0.5 < weights[249] < 0.7  # a half, of 0.8
    assert (np.diff(weights) <= 1e-6).all()
    assert np.abs(np.diff(weights)).max() < 0.08


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 700), st.integers(1, 900))
def test_a_part_is_the_slice_of_the_whole(seed: int, height: int, width: int) -> None:
    weights = Mask(marked(seed)).weights((height, width))
    whole = weights.part((height, width), 0, 0, height, width)
    random = np.random.default_rng(seed)
    y0, x0 = random.integers(0, height), random.integers(0, width)
    y1, x1 = random.integers(y0, height) + 1, random.integers(x0, width) + 1
    np.testing.assert_array_equal(weights.part((height, width), y0, x0, y1, x1), whole[y0:y1, x0:x1])
    top, left, bottom, right = weights.span((height, width))
    outside = whole.copy()
    outside[top:bottom, left:right] = 0
    assert not outside.any()


def test_nothing_thin_is_lost() -> None:
    mask = np.zeros((4000, 6000), np.uint8)
    mask[1234, 4321] = 255
    weights = Mask(mask, grow=0, soften=0).weights((400, 600))
    assert np.count_nonzero(weights.part((400, 600), 0, 0, 400, 600)) > 0


def test_what_is_smaller_than_the_blur_is_new_all_the_same() -> None:
    mask = np.zeros((100, 150), bool)
    mask[40, 60] = True
    weights = Mask(mask, grow=0, soften=6).weights((400, 600))
    assert weights.part((400, 600), 0, 0, 400, 600).max() == 1


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((4, 4), bool), {}, "marks nothing"),
        (np.zeros((4, 4, 2), bool), {}, r"of shape \(height, width\)"),
        (np.ones((4, 4), np.float32), {}, "bool or integers, got float32"),
        (np.ones((0, 4), bool), {}, r"of shape \(height, width\)"),
        (np.ones((4, 4), bool), {"grow": -1}, "grow to be a number from 0 to 125, got -1"),
        (np.ones((4, 4), bool), {"soften": float("nan")}, "soften to be a number from 0 to 125"),
        (np.ones((4, 4), bool), {"grow": True}, "grow to be a number"),
    ],
)
def test_what_is_no_mask(pixels: np.ndarray, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mask(pixels, **options)
