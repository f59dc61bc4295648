"""Where cells lie in a picture's square."""

import numpy as np
import pytest

from ourgan_sdk import BudgetError, SizeError
from ourgan_sdk._core import Box
from ourgan_sdk.coordinates import latent_of, place
from tests.coordinates.tiny import HALO, PATCH, STRIDE, coordinates_record


def test_the_square_lies_in_the_middle() -> None:
    """Of a canvas of 96 x 64, along whose longer side the network goes on beyond 0 and 1."""
    placement, doublings = place(coordinates_record(), (64, 96), None)
    assert (placement.side, doublings) == (64, 0)
    whole = placement.levels[0].coordinates(Box(0, 0, 32, 48))
    assert whole.shape == (1, 2, 32, 48)
    y, x = whole[0, 0, :, 0], whole[0, 1, 0]
    np.testing.assert_allclose(y, (np.arange(32) + 0.5) / 32)
    np.testing.assert_allclose(x, (np.arange(48) + 0.5) / 32 - 0.25, rtol=1e-6)
    assert (whole[0, 0] == y[:, None]).all()
    assert (whole[0, 1] == x).all()


def test_an_extent_is_squares_along_the_shorter_side() -> None:
    one, two, half = (place(coordinates_record(), (128, 128), extent)[0] for extent in (1.0, 2.0, 0.5))
    assert (one.side, two.side, half.side) == (128, 64, 256)
    corner = Box(0, 0, 1, 1)
    assert one.levels[0].coordinates(corner).ravel() == pytest.approx([1 / 128] * 2)
    assert two.levels[0].coordinates(corner).ravel() == pytest.approx([1 / 64 - 0.5] * 2)
    assert half.levels[0].coordinates(corner).ravel() == pytest.approx([1 / 256 + 0.25] * 2)


def test_a_cell_has_the_same_bits_in_every_window() -> None:
    """At a scale whose cells no float holds exactly."""
    level = place(coordinates_record(), (12_347, 17_891), 1.37)[0].levels[0]
    whole = level.coordinates(Box(-5, 900, 300, 1300))
    for y0, x0 in ((-5, 900), (17, 933), (131, 1201)):
        part = level.coordinates(Box(y0, x0, y0 + 40, x0 + 50))
        expected = whole[:, :, y0 + 5 : y0 + 45, x0 - 900 : x0 - 850]
        assert part.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_levels_are_the_same_square() -> None:
    """Halved down to the smallest scale learned; a pixel's corner is a corner of its four."""
    placement, _ = place(coordinates_record(), (301, 517), None)
    assert [level.size for level in placement.levels] == [(301, 517), (151, 259), (76, 130), (38, 65)]
    assert [level.square_side for level in placement.levels] == [301, 150.5, 75.25, 37.625]
    assert placement.levels[-1].square_side / 2 < PATCH
    finest, coarse = placement.levels[0], placement.levels[2]
    four = finest.coordinates(Box(8, 12, 12, 16)).mean((2, 3))
    np.testing.assert_allclose(coarse.coordinates(Box(2, 3, 3, 4))[:, :, 0, 0], four, rtol=1e-6)


def test_scales_below_the_smallest_are_made_larger() -> None:
    placement, doublings = place(coordinates_record(), (PATCH - 1, 40), None)
    assert (placement.size, doublings) == ((2 * PATCH - 2, 80), 1)
    placement, doublings = place(coordinates_record(), (PATCH, 40), None)
    assert (placement.size, doublings) == ((PATCH, 40), 0)
    with pytest.raises(SizeError, match="1 x 1 at an extent of 1024 would be reduced from 32768 x 32768"):
        place(coordinates_record(), (1, 1), 1024)


def test_no_two_pixels_of_one_place() -> None:
    place(coordinates_record(), (1 << 22, 1 << 22), None)
    with pytest.raises(SizeError, match="do not tell the pixels of 9000000 x 5000000 apart"):
        place(coordinates_record(), (5_000_000, 9_000_000), None)


def test_windows_are_those_that_memory_allows() -> None:
    level = place(coordinates_record(bytes_per_pixel=1000), (2000, 3000), None)[0].levels[0]
    assert level.cells == (1000, 1500)
    for budget in (16 << 20, 64 << 20, 768 << 20):
        grid = level.plan(budget)
        assert level.bytes(grid.window_height, grid.window_width) <= budget
        assert (grid.height, grid.width, grid.halo) == (1000, 1500, HALO)
        assert grid.window_height * grid.window_width * STRIDE**2 <= 1 << 16
    for halo, pixels in ((0, 1 << 16), (20, (16 * 20 * STRIDE) ** 2), (100, 1 << 19), (500, 2003**2)):
        level = place(coordinates_record(halo=halo), (2000, 3000), None)[0].levels[0]
        grid = level.plan(1 << 40)
        assert pixels // 2 < grid.window_height * grid.window_width * STRIDE**2 <= pixels
    with pytest.raises(BudgetError):
        level.plan(10_000)


def test_latents_are_the_seeds_own() -> None:
    one = latent_of(512, 3)
    assert one.shape == (1, 512)
    assert one.dtype == np.float32
    assert (latent_of(512, 3) == one).all()
    assert (latent_of(64, 3) == one[:, :64]).all()
    assert abs(np.corrcoef(one[0], latent_of(512, 4)[0])[0, 1]) < 0.2
    assert one.std() == pytest.approx(1, abs=0.1)
