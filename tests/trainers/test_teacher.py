"""Crops of the photograph, and what a teacher makes of them."""

import pytest
import torch
from torch import Tensor

from trainers.networks import RRDBNet
from trainers.photo import Photo
from trainers.upscalers.patches import Pair
from trainers.upscalers.teacher import CROPS, SIDE, as_teacher, balanced, reductions, taught_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

HELD_OUT = 0.25


@pytest.fixture(scope="module")
def photo() -> Photo:
    """Its right quarter, which is held out, is white."""
    pixels = torch.randint(200, (3, 500, 1200), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels[..., 900:] = 255
    return Photo(pixels, "0" * 64)


def repeat(low: Tensor) -> Tensor:
    return low.repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_pairs_are_what_the_teacher_makes_of_parts_that_are_not_held_out(photo: Photo) -> None:
    seen: list[int] = []
    pairs = taught_pairs(photo, repeat, HELD_OUT, 1, lambda: seen.append(1))
    assert len(pairs) == len(seen) == CROPS
    for pair in pairs:
        assert pair.low.shape == (3, SIDE, SIDE)
        assert float(pair.low.max()) < 0.9
        expected = (repeat(pair.low[None])[0] * 255).round().to(torch.uint8)
        assert torch.equal(pair.high, expected)
    again = taught_pairs(photo, repeat, HELD_OUT, 1, lambda: None)
    assert all(torch.equal(one.low, other.low) for one, other in zip(pairs, again, strict=True))
    others = taught_pairs(photo, repeat, HELD_OUT, 2, lambda: None)
    assert not any(torch.equal(one.low, other.low) for one, other in zip(pairs, others, strict=True))


def test_reductions_go_down_by_half_octaves(photo: Photo) -> None:
    assert [tuple(picture.shape[2:]) for picture in reductions(photo, HELD_OUT)] == [
        (500, 900),
        (354, 636),
        (250, 450),
    ]


def test_half_of_what_is_drawn_is_the_photograph_itself() -> None:
    own = [Pair(torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(3, 1, 1)) for _ in range(5)]
    taught = [Pair(torch.ones(3, 4, 4, dtype=torch.uint8), torch.ones(3, 1, 1)) for _ in range(12)]
    both = balanced(own, taught)
    assert sum(float(pair.low.max()) == 0 for pair in both) == 10
    assert len(both) == 22
    assert balanced(own, []) == own


def test_a_teacher_computes_in_fewer_bits_and_answers_in_float32() -> None:
    torch.manual_seed(0)
    network = RRDBNet(8, 1, 4)
    low = torch.rand(1, 3, 12, 12)
    got = as_teacher(network, torch.device("cpu"))(low)
    assert got.dtype == torch.float32
    assert 0 < float((got - network(low)).detach().abs().max()) < 0.02
