import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trainers.any_resolution.views import coordinates
from trainers.networks.continuous import (
    ContinuousCritic,
    ContinuousGenerator,
    ContinuousSize,
    differences,
    spread_waves,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = ContinuousSize(patch=16, largest=128, channels=4, latent=6, features=12, layers=2)


@pytest.fixture(scope="module")
def generator() -> ContinuousGenerator:
    torch.manual_seed(0)
    network = ContinuousGenerator(SIZE).requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def grid(scale: float, side: int, margin: int = 0, origin: float = 0.0, count: int = 1) -> Tensor:
    where = torch.full((count, 2), origin, dtype=torch.float64)
    return coordinates(where, torch.full((count,), scale, dtype=torch.float64), side, SIZE.stride, margin)


def test_shapes_for_every_stride() -> None:
    latents, scales = torch.randn(2, 6), torch.tensor([16.0, 40.0])
    for stride in (1, 2, 4, 8):
        network = ContinuousGenerator(replace(SIZE, stride=stride))
        picture = network(torch.rand(2, 2, 5, 7), scales, latents, 1)
        assert picture.shape == (2, 3, stride * 3, stride * 5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"stride": 3}, "power of 2"), ({"patch": 18}, "whole cells"), ({"largest": 8}, "below")],
)
def test_sizes_that_do_not_go_together(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SIZE, **wrong)


@pytest.mark.parametrize("margin", [1, 3, 6, 9])
def test_a_margin_is_cut_off_and_changes_nothing(generator: ContinuousGenerator, margin: int) -> None:
    """Though most of it is left out as soon as no later layer sees it."""
    where, scale, latent = grid(50, 24, margin), torch.tensor([50.0]), torch.randn(1, 6)
    whole = generator(where, scale, latent)
    cut = SIZE.stride * margin
    torch.testing.assert_close(
        generator(where, scale, latent, margin), whole[..., cut:-cut, cut:-cut], atol=1e-4, rtol=1e-4
    )


def test_how_far_it_sees(generator: ContinuousGenerator) -> None:
    """Exactly its radius: what lies one cell farther away changes no bit."""
    radius, middle = generator.radius, generator.radius + 1
    where, scale, latent = grid(100, 4 * (2 * middle + 1)), torch.tensor([100.0]), torch.randn(1, 6)
    pixels = (..., slice(4 * middle, 4 * middle + 4), slice(4 * middle, 4 * middle + 4))
    before = generator(where, scale, latent)[pixels]
    for column, changes in ((0, False), (1, True)):
        moved = where.clone()
        moved[..., column] += 0.3
        assert (generator(moved, scale, latent)[pixels] != before).any() == changes
    assert radius == middle - 1


@pytest.mark.parametrize("scale", [16, 37, 128, 300])
def test_a_patch_is_the_slice_of_the_whole(generator: ContinuousGenerator, scale: int) -> None:
    """With as many cells around it as it sees, to far less than a level; from any cell of the whole."""
    margin, latent = generator.radius, torch.randn(1, 6)
    side, scales = 4 * (-(-scale // 4)), torch.tensor([float(scale)])
    whole = generator(grid(scale, side, margin), scales, latent, margin)
    for cell in {0, (side - 16) // 8, (side - 16) // 4}:
        part = generator(grid(scale, 16, margin, 4 * cell / scale), scales, latent, margin)
        expected = whole[..., 4 * cell : 4 * cell + 16, 4 * cell : 4 * cell + 16]
        assert (part - expected).abs().max() * 127.5 < 0.2


def test_samples_of_a_batch_do_not_see_each_other(generator: ContinuousGenerator) -> None:
    where = torch.cat([grid(40, 16), grid(90, 16, origin=0.3)])
    scales, latents = torch.tensor([40.0, 90.0]), torch.randn(2, 6)
    both = generator(where, scales, latents)
    alone = generator(where[1:], scales[1:], latents[1:])
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=1e-4)


def test_features_that_the_grid_cannot_show_fade_out(generator: ContinuousGenerator) -> None:
    features = generator.features
    lengths = features.frequencies.square().sum(0).sqrt().flatten()
    assert lengths.max() <= SIZE.largest / (2 * SIZE.stride)
    for scale in (16.0, 64.0, 128.0):
        values = features(grid(scale, 64), torch.full((1, 1, 1, 1), scale), torch.zeros(1, 6, 1, 1))
        highest = scale / (2 * SIZE.stride)
        silent = (values == 0).all(3).all(2)[0]
        assert torch.equal(silent, lengths >= highest)
        loud = lengths <= highest / 2
        peaks = values[0].abs().amax((1, 2))[loud]
        torch.testing.assert_close(peaks, features.strengths.flatten()[loud], rtol=0.1, atol=0)


def test_features_are_weaker_the_finer_they_are(generator: ContinuousGenerator) -> None:
    features = generator.features
    lengths, strengths = features.frequencies.square().sum(0).sqrt().flatten(), features.strengths.flatten()
    order = lengths.argsort()
    assert (strengths[order].diff() < 0).all()
    coarse = lengths <= SIZE.patch / (2 * SIZE.stride)  # what phase 1 can show: half of them
    assert coarse.sum() == SIZE.features // 2
    assert float(strengths[coarse].square().mean()) == pytest.approx(2, rel=1e-3)  # sines of variance 1


def test_the_code_moves_fine_features_alone_and_half_of_those(generator: ContinuousGenerator) -> None:
    where, scale = grid(128, 64), torch.full((1, 1, 1, 1), 128.0)
    one, other = (generator.features(where, scale, torch.randn(1, 6, 1, 1)) for _ in range(2))
    moved = (one != other).flatten(2).any(2)[0]
    half = SIZE.features // 2
    assert not moved[:half].any()
    shown = one.abs().amax((0, 2, 3))[half:] > 0
    assert moved[half:][shown].sum() == (shown & (torch.arange(half) % 2 == 1)).sum() > 0


def test_waves_spread_over_directions_and_octaves() -> None:
    lengths, directions = spread_waves(64, 0.5, 8.0)
    octaves = (lengths / 0.5).log2()
    assert octaves.min() >= 0
    assert octaves.max() <= 4
    for first in range(4):  # each has its share, all around
        some = directions[(octaves >= first) & (octaves < first + 1)].sort().values
        assert 14 <= len(some) <= 18
        gaps = torch.cat([some, some[:1] + math.pi]).diff()
        assert gaps.max() < 3 * math.pi / len(some)


def test_the_scale_can_be_switched_off(generator: ContinuousGenerator) -> None:
    blind = ContinuousGenerator(replace(SIZE, scale_input=False)).requires_grad_(False)
    blind.load_state_dict(generator.state_dict())
    where, latent = grid(40, 16), torch.randn(1, 6)
    one, other = (torch.tensor([scale]) for scale in (40.0, 100.0))
    assert torch.equal(blind(where, one, latent), blind(where, other, latent))
    assert not torch.allclose(generator(where, one, latent), generator(where, other, latent), atol=1e-2)


def test_scales_beyond_those_of_training_count_as_the_last(generator: ContinuousGenerator) -> None:
    where, latent = grid(300, 16), torch.randn(1, 6)
    one, other = (generator(where, torch.tensor([scale]), latent) for scale in (128.0, 300.0))
    assert torch.equal(one, other)


@pytest.mark.parametrize("patch", [16, 24, 32])
def test_critics_score_every_sample(patch: int) -> None:
    torch.manual_seed(0)
    critic = ContinuousCritic(patch, 4)
    pictures = torch.randn(8, 3, patch, patch, requires_grad=True)
    scores = critic(pictures)
    assert scores.shape == (8, 1)
    scores.sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in critic.parameters())
    assert (pictures.grad != 0).flatten(1).any(1).all()


def test_a_patch_that_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="can be halved to 7, got 30"):
        ContinuousCritic(30, 4)


def test_differences_within_groups() -> None:
    """Groups of four take every second of eight samples: one whose samples are alike, one whose are not."""
    features = torch.zeros(8, 2, 3, 3)
    features[1::2] = torch.tensor([-1.0, 1.0, -1.0, 1.0])[:, None, None, None]
    deviation = differences(features)
    assert deviation.shape == (8, 1, 3, 3)
    torch.testing.assert_close(deviation[::2], torch.full((4, 1, 3, 3), 1e-4))
    torch.testing.assert_close(deviation[1::2], torch.ones(4, 1, 3, 3))
    assert differences(torch.zeros(6, 2, 3, 3)).shape == (6, 1, 3, 3)
