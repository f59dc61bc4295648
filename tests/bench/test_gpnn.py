"""GPNN gives a photograph's patches."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.gpnn import COARSEST, ROUNDS, generate, mean_squares, pyramid, replace_patches, rounds, vote
from trainers.metrics.layout import layout_drift
from trainers.metrics.nearest_patches import NearestPatches, patches_of
from trainers.photo import reduce

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """(3, 32, 44): a sky that brightens downwards, dark ground with texture."""
    rows = np.linspace(0, 1, 64)[:, None, None]
    ground = np.random.default_rng(3).uniform(0.05, 0.4, (64, 88, 1)) * [1.0, 0.8, 0.5]
    sky = rows * [0.5, 0.3, 0.1] + [0.2, 0.3, 0.7] + np.zeros((1, 88, 1))
    ridge = 0.6 + 0.1 * np.sin(np.arange(88) / 8)
    picture = np.where(rows < ridge[None, :, None], sky, ground)
    return reduce(torch.from_numpy(picture).float().permute(2, 0, 1)[None], 32, 44)[0]


def both_ways(picture: Tensor, photo: Tensor) -> float:
    """The bidirectional distance to the photograph at the picture's size."""
    return sum(NearestPatches(reduce(photo[None], *picture.shape[1:])[0], stride=1)(picture))


def test_pictures_have_shape_and_range_and_follow_the_seed(photo: Tensor) -> None:
    one, again, other = (generate(photo, seed) for seed in (0, 0, 1))
    assert one.shape == photo.shape
    assert 0 <= one.min() < one.max() <= 1
    assert torch.equal(one, again)
    assert (one - other).abs().max() > 0.1


def test_from_noise_alone_the_layout_is_gone(photo: Tensor) -> None:
    drifts = {
        from_photo: [layout_drift(generate(photo, seed, from_photo=from_photo), photo) for seed in range(4)]
        for from_photo in (True, False)
    }
    assert sum(drifts[True]) < 0.7 * sum(drifts[False])


def test_levels(photo: Tensor) -> None:
    levels = pyramid(photo)
    assert levels[0].shape[1] == COARSEST
    assert torch.equal(levels[-1], photo)
    ratios = [finer.shape[2] / coarser.shape[2] for coarser, finer in itertools.pairwise(levels)]
    assert all(1.2 < ratio < 1.5 for ratio in ratios)
    assert len(list(rounds(photo, 0))) == 1 + ROUNDS * (len(levels) - 1)
    with pytest.raises(ValueError, match="at least 14"):
        pyramid(photo[:, :13])


def test_rounds_bring_the_picture_nearer_to_the_photograph(photo: Tensor) -> None:
    """Both ways. Not in every round: keys are blurred, and alpha gives up nearness for completeness."""
    generator = torch.Generator().manual_seed(0)
    coarsest = pyramid(photo)[0]
    distances = [both_ways(coarsest + 0.75 * torch.randn(coarsest.shape, generator=generator), photo)]
    distances += [both_ways(picture, photo) for picture in rounds(photo, 0)]
    assert distances[1] < distances[0] / 4
    firsts, lasts = distances[2::ROUNDS], distances[1 + ROUNDS :: ROUNDS]
    assert all(last <= first for first, last in zip(firsts, lasts, strict=True))
    assert lasts[-1] < distances[1] / 2


def test_sharp_keys_and_no_alpha_lower_the_distance_in_every_round(photo: Tensor) -> None:
    """What the search and the mean both make smaller, so neither can be wrong."""
    picture = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
    distances = []
    for _ in range(6):
        picture = replace_patches(picture, photo, photo, math.inf)
        distances.append(NearestPatches(photo, stride=1)(picture)[0])
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.9 * distances[0]


def test_the_photograph_is_its_own_answer(photo: Tensor) -> None:
    for alpha in (0.005, math.inf):
        assert (replace_patches(photo, photo, photo, alpha) - photo).abs().max() < 1e-3  # the sky is smooth


def test_a_small_alpha_prefers_what_the_picture_lacks() -> None:
    """0.65 is nearer to 0.5 than to 0.9; but 0.5 has a nearer one in the picture, and 0.9 has none."""
    picture, photo = torch.full((3, 7, 14), 0.55), torch.full((3, 7, 14), 0.5)
    picture[..., 7:], photo[..., 7:] = 0.65, 0.9
    nearest, complete = (replace_patches(picture, photo, photo, alpha) for alpha in (math.inf, 1e-6))
    assert nearest[:, :, -1].max() == 0.5
    assert complete[:, :, -1].min() == pytest.approx(0.9)
    assert complete[:, :, 0].max() == 0.5


def test_distances_and_votes(photo: Tensor) -> None:
    queries, keys = patches_of(photo)[:5], patches_of(photo.flip(2))[:7]
    exact = (queries[:, None] - keys).double().square().mean(2)
    torch.testing.assert_close(mean_squares(queries, keys).double(), exact, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(vote(patches_of(photo), *photo.shape[1:]), photo)
