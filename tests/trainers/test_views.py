"""Where patches lie, and the coordinates that a generator is asked for."""

import pytest
import torch

from trainers.any_resolution.views import Band, coordinates, draw_places


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_coordinates_are_the_centres_of_cells() -> None:
    origins = torch.tensor([[0.25, 0.5]], dtype=torch.float64)
    grid = coordinates(origins, torch.tensor([64.0], dtype=torch.float64), patch=8, stride=4, margin=1)
    assert grid.shape == (1, 2, 4, 4)
    assert grid.dtype == torch.float32
    steps = torch.tensor([-2.0, 2.0, 6.0, 10.0]) / 64  # centres of cells of 4 pixels, one before the patch
    assert torch.equal(grid[0, 0], (0.25 + steps)[:, None].expand(4, 4))
    assert torch.equal(grid[0, 1], (0.5 + steps)[None].expand(4, 4))


def test_a_patch_asks_for_a_slice_of_what_the_whole_asks_for() -> None:
    scale = torch.tensor([96.0], dtype=torch.float64)
    whole = coordinates(torch.zeros(1, 2, dtype=torch.float64), scale, patch=96, stride=4, margin=3)
    origins = torch.tensor([[24, 40]], dtype=torch.float64) / 96
    part = coordinates(origins, scale, patch=32, stride=4, margin=3)
    torch.testing.assert_close(part, whole[:, :, 6 : 6 + 14, 10 : 10 + 14], rtol=0, atol=1e-7)


def test_patches_of_broken_cells_are_refused() -> None:
    origins, scales = draw_places(torch.tensor([50]), 18, generator())
    with pytest.raises(ValueError, match="whole cells of 4 pixels, got 18"):
        coordinates(origins, scales, 18, 4, 0)


def test_every_scale_is_as_frequent_as_any_other() -> None:
    _, scales = draw_places(torch.full((20_000,), 24), 16, generator())
    counts = torch.bincount(scales.long() - 16)
    assert len(counts) == 9
    expected = 20_000 / 9
    assert (counts - expected).abs().max() < 5 * expected**0.5  # deviations of a Poisson distribution


def test_patches_lie_on_whole_pixels_inside_and_reach_both_ends() -> None:
    natives = torch.arange(16, 60).repeat(200)
    origins, scales = draw_places(natives, 16, generator())
    corners = origins * scales[:, None]
    assert (corners - corners.round()).abs().max() < 1e-9
    assert corners.min() == 0
    room = scales - 16
    assert (corners.round() <= room[:, None]).all()
    assert ((corners.round() == room[:, None]) & (room[:, None] > 0)).any()
    assert (scales <= natives).all()


@pytest.mark.parametrize(
    ("band", "left"),
    [
        (Band(18, 20), {16, 17, 21, 22, 23, 24}),
        (Band(10, 17), set(range(18, 25))),
        (Band(22, 90), set(range(16, 22))),
        (Band(25, 30), set(range(16, 25))),
        (Band(5, 15), set(range(16, 25))),
    ],
)
def test_scales_of_the_band_are_never_drawn_and_all_others_are(band: Band, left: set[int]) -> None:
    _, scales = draw_places(torch.full((2000,), 24), 16, generator(), band)
    assert set(scales.long().tolist()) == left


def test_pictures_of_many_sizes_have_a_band_of_their_own() -> None:
    natives = torch.tensor([16, 18, 19, 40]).repeat(500)
    _, scales = draw_places(natives, 16, generator(), Band(18, 20))
    assert (scales <= natives).all()
    assert not ((scales >= 18) & (scales <= 20)).any()
    assert scales[natives == 40].max() == 40


def test_a_seed_decides_and_another_decides_otherwise() -> None:
    natives = torch.full((64,), 100)
    one, again, other = (draw_places(natives, 16, generator(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])


def test_pictures_without_a_scale_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels per side, got 12"):
        draw_places(torch.tensor([40, 12]), 16, generator())
    with pytest.raises(ValueError, match=r"no scale is left .* from 10 to 40"):
        draw_places(torch.tensor([90, 30]), 16, generator(), Band(10, 40))
