"""Where cells lie in a picture's square."""

import numpy as np
import pytest

from ourgan_sdk import BudgetError, SizeError
from ourgan_sdk._core import Box
from ourgan_sdk.coordinates import latent_of, place
from tests.coordinates.tiny import HALO, PATCH, STRIDE, coordinates_record


def test_the_square_lies_in_the_middle() -> None:
    """Of a canvas of 96 x 64, along whose longer side the network goes on beyond 0 and 1."""
    placement = place(coordinates_record(), (64, 96), None)
    assert (placement.side, placement.size) == (64, (64, 96))
    whole = placement.levels[0].coordinates(Box(0, 0, 32, 48))
    assert whole.shape == (1, 2, 32, 48)
    y, x = whole[0, 0, :, 0], whole[0, 1, 0]
    np.testing.assert_allclose(y, (np.arange(32) + 0.5) / 32)
    np.testing.assert_allclose(x, (np.arange(48) + 0.5) / 32 - 0.25, rtol=1e-6)
    assert (whole[0, 0] == y[:, None]).all()
    assert (whole[0, 1] == x).all()


def test_an_extent_is_squares_along_the_shorter_side() -> None:
    one, two, half = (place(coordinates_record(), (128, 128), extent) for extent in (1.0, 2.0, 0.5))
    assert (one.side, two.side, half.side) == (128, 64, 256)
    corner = Box(0, 0, 1, 1)
    assert one.levels[0].coordinates(corner).ravel() == pytest.approx([1 / 128] * 2)
    assert two.levels[0].coordinates(corner).ravel() == pytest.approx([1 / 64 - 0.5] * 2)
    assert half.levels[0].coordinates(corner).ravel() == pytest.approx([1 / 256 + 0.25] * 2)


def test_a_cell_has_the_same_bits_in_every_window() -> None:
    """At a scale whose cells no float holds exactly."""
    level = place(coordinates_record(), (12_347, 17_891), 1.37).levels[0]
    whole = level.coordinates(Box(-5, 900, 300, 1300))
    for y0, x0 in ((-5, 900), (17, 933), (131, 1201)):
        part = level.coordinates(Box(y0, x0, y0 + 40, x0 + 50))
        expected = whole[:, :, y0 + 5 : y0 + 45, x0 - 900 : x0 - 850]
        assert part.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_levels_are_the_same_square() -> None:
    """Halved down to the smallest scale learned; a pixel's corner is a corner of its four."""
    placement = place(coordinates_record(), (301, 517), None)
    assert [level.size for level in placement.levels] == [(301, 517), (151, 259), (76, 130), (38, 65)]
    assert [level.square_side for level in placement.levels] == [301, 150.5, 75.25, 37.625]
    assert placement.levels[-1].square_side / 2 < PATCH
    finest, coarse = placement.levels[0], placement.levels[2]
    four = finest.coordinates(Box(8, 12, 12, 16)).mean((2, 3))
    np.testing.assert_allclose(coarse.coordinates(Box(2, 3, 3, 4))[:, :, 0, 0], four, rtol=1e-6)


def test_scales_below_the_smallest_are_made_larger() -> None:
    assert place(coordinates_record(), (PATCH - 1, 40), None).size == (2 * PATCH - 2, 80)
    assert place(coordinates_record(), (PATCH, 40), None).size == (PATCH, 40)
    assert place(coordinates_record(), (20, 8000), None).size == (40, 16_000)
    assert place(coordinates_record(), (1, 1), 128).size == (1 << 12, 1 << 12)
    for size, extent, words in (
        ((1, 1), 129, "1 x 1 at an extent of 129 would be reduced from 8192 x 8192"),
        ((16, 16), 512, "16 x 16 at an extent of 512 would be reduced from 16384 x 16384"),
        ((1, 1 << 20), None, "1048576 x 1 at an extent of 1 would be reduced from 33554432 x 32"),
    ):
        with pytest.raises(SizeError, match=words):
            place(coordinates_record(), size, extent)


@pytest.mark.parametrize(
    ("of", "size"),
    [((70, 3000), (1, 64)), ((3000, 70), (64, 1)), ((66, 1000), (3, 40)), ((290, 3000), (97, 1000))],
)
@pytest.mark.parametrize("extent", [0.5, 1, 3])
def test_another_size_shows_the_same_part_of_the_plane(
    of: tuple[int, int], size: tuple[int, int], extent: float
) -> None:
    """Also where the shorter side is rounded to another ratio: by a pixel at most of what is made."""
    canvas, shown = place(coordinates_record(), of, extent), place(coordinates_record(), size, extent, of)
    assert shown.extent == extent
    assert shown.side >= PATCH
    for whole, part in zip(canvas.size, shown.size, strict=True):
        assert abs(part - whole * shown.side / canvas.side) <= 0.5


def test_coordinates_are_right_to_a_quarter_of_a_pixel() -> None:
    """As float32 rounds them, where that is least exact: just below and above powers of two."""
    for height, width in ((1 << 22, 1 << 22), (100, 8_000_000), (129, 8_388_000), (2_700_000, 5_600_000)):
        level = place(coordinates_record(), (height, width), None).levels[0]
        for window in (Box(0, 0, 40, 40), Box(*(side - 40 for side in level.cells), *level.cells)):
            told = level.coordinates(window)[0].astype(np.float64)
            for axis, (first, last) in enumerate(((window.y0, window.y1), (window.x0, window.x1))):
                begins = (level.size[axis] - level.side) / 2
                pixels = np.arange(first, last) * STRIDE + STRIDE / 2 - begins
                along = told[axis, :, 0] if axis == 0 else told[axis, 0]
                assert np.abs(along * level.side - pixels).max() <= 0.25
    words = "float32 has the pixels of 9000000 x 5000000 to a quarter of one up to 4194304 from a corner"
    with pytest.raises(SizeError, match=words):
        place(coordinates_record(), (5_000_000, 9_000_000), None)


def test_windows_are_those_that_memory_allows() -> None:
    level = place(coordinates_record(bytes_per_pixel=1000), (2000, 3000), None).levels[0]
    assert level.cells == (1000, 1500)
    for budget in (16 << 20, 64 << 20, 768 << 20):
        grid = level.plan(budget)
        assert level.bytes(grid.window_height, grid.window_width) <= budget
        assert (grid.height, grid.width, grid.halo) == (1000, 1500, HALO)
        assert grid.window_height * grid.window_width * STRIDE**2 <= 1 << 16
    for halo, pixels in ((0, 1 << 16), (20, (16 * 20 * STRIDE) ** 2), (100, 1 << 19), (500, 2003**2)):
        level = place(coordinates_record(halo=halo), (2000, 3000), None).levels[0]
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
