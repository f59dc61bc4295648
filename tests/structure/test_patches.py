"""Structures of a photograph's patches: deterministic, of any size, and bounded in what they copy."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ourgan_sdk import Layout, RenderStats
from ourgan_sdk._core import Composition, CompositionSettings, resample
from ourgan_sdk.sizes import patches_size
from ourgan_sdk.structure import PatchesSource, patches
from ourgan_sdk.structure.patches import composition_levels, sub_seed

SIZE = (640, 960)
KNOWN = [1067931, 91681]


def hills(height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    """A sky that darkens upwards over hills of other colours, with grain."""
    y, x = np.mgrid[:height, :width] / height
    ground = y > 0.5 + 0.08 * np.sin(9 * x) + 0.04 * np.sin(23 * x)
    sky = np.stack([90 + 60 * y, 120 + 70 * y, 200 + 20 * y], 2)
    earth = np.stack([120 + 60 * np.sin(7 * x), 60 + 50 * y, 30 + 0 * y], 2)
    grain = np.random.default_rng(1).integers(-12, 13, (height, width, 1))
    return np.where(ground[..., None], earth, sky).astype(int).__add__(grain).clip(0, 255).astype(np.uint8)


def make_source(seed: int = 0, threads: int = 0, **asked: object) -> PatchesSource:
    photograph = hills()
    return PatchesSource(
        lambda size: resample(photograph, *size),
        SIZE,
        Layout(**asked),  # type: ignore[arg-type]
        seed,
        threads,
    )


def make_picture(
    seed: int = 0, size: tuple[int, int] = (68, 128), threads: int = 0, **asked: object
) -> np.ndarray:
    return make_source(seed, threads, **asked).picture(size, np.dtype(np.uint8), RenderStats())[0]


def test_a_seed_has_one_picture_whatever_the_threads() -> None:
    first = make_picture(3)
    assert first.shape == (68, 128, 3)
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(make_picture(3, threads=threads), first)
    assert (make_picture(4) != first).mean() > 0.3


def test_a_known_picture() -> None:
    """The same bytes on every machine: the sum of a picture's values, and of their places."""
    values = make_picture(11, (48, 64)).astype(np.int64)
    assert [int(values.sum()), int((values.ravel() * np.arange(values.size)).sum() % 1_000_003)] == KNOWN


def test_types_show_the_same_picture() -> None:
    pictures = {
        kind: make_source().picture((40, 60), np.dtype(kind), RenderStats())[0]
        for kind in ("uint8", "uint16", "float32")
    }
    exact = pictures["uint16"].astype(float)
    np.testing.assert_allclose(pictures["uint8"] * 257.0, exact, atol=129)
    np.testing.assert_allclose(pictures["float32"] * 65535.0, exact, atol=0.01)


def test_sky_stays_above_ground_unless_it_is_told_not_to() -> None:
    def share_of_sky(picture: np.ndarray) -> tuple[float, float]:
        sky = picture[..., 2].astype(int) > picture[..., 0]
        return float(sky[:20].mean()), float(sky[-20:].mean())

    kept = [share_of_sky(make_picture(seed)) for seed in range(6)]
    assert min(top for top, _ in kept) > 0.95
    assert max(bottom for _, bottom in kept) < 0.05
    free = [share_of_sky(make_picture(seed, vertical=0.0)) for seed in range(6)]
    assert max(bottom for _, bottom in free) > 0.2


def test_variety_copies_less() -> None:
    shares = {}
    for variety in (0.0, 1.0):
        numbers = []
        for seed in range(6):
            source = make_source(seed, variety=variety)
            numbers.append(source.start((68, 128), RenderStats(), lambda _share: None).copied)
        shares[variety] = np.mean(numbers)
    assert shares[1.0] < 0.8 * shares[0.0]


def test_the_photographs_own_layout_is_the_photograph_at_its_size() -> None:
    size = patches_size(*SIZE)
    composition = make_source(retarget=True).start(size, RenderStats(), lambda _share: None)
    expected = resample(hills(), *size)
    assert np.corrcoef(np.asarray(composition.picture).ravel(), expected.ravel())[0, 1] > 0.9
    assert composition.copied > 0.5


def test_a_composition_begins_with_any_picture() -> None:
    photograph = resample(hills(), 85, 128)
    levels = composition_levels((85, 128), (68, 128), 0.5)
    mirrored = np.ascontiguousarray(photograph[:, ::-1])

    def compose(start: np.ndarray | None, seed: int = 1, noise: int = 0) -> np.ndarray:
        settings = CompositionSettings()
        settings.start_noise = noise
        composed = Composition(photograph, levels, start=start, seed=seed, settings=settings)
        return np.asarray(composed.picture)

    expected = resample(mirrored, 68, 128).astype(float).ravel()
    for start in (mirrored, resample(mirrored, 20, 90), resample(mirrored, 400, 300)):
        likeness = np.corrcoef(compose(start).ravel(), expected)[0, 1]
        assert likeness > 0.8
        assert likeness > np.corrcoef(compose(photograph).ravel(), expected)[0, 1]
    np.testing.assert_array_equal(compose(None, noise=9), compose(None))
    assert (compose(mirrored, noise=9) != compose(mirrored)).mean() > 0.1
    assert (compose(mirrored, noise=9) != compose(mirrored, 2, noise=9)).mean() > 0.1


@pytest.mark.parametrize(
    "start",
    [
        np.zeros((9, 9, 3), np.uint16),
        np.zeros((9, 9, 3), np.float64),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((9, 9), np.uint8),
        np.zeros((0, 9, 3), np.uint8),
        np.zeros((9, 9, 3), np.uint8)[:, ::-1],
    ],
)
def test_what_is_no_picture_to_begin_with_is_refused(start: np.ndarray) -> None:
    photograph = resample(hills(), 85, 128)
    with pytest.raises(ValueError, match=r"start must be|picture must (be|have)"):
        Composition(photograph, [((85, 128), (68, 128))], start=start)


class Draws:
    """In place of compositions: those with these shares, and the seeds that they are drawn from."""

    def __init__(self, shares: list[float]) -> None:
        self.shares = shares
        self.seeds: list[int] = []

    def __call__(self, *_: object, seed: int, **_options: object) -> "Draws":
        self.seeds.append(seed)
        self.copied = self.shares[len(self.seeds) - 1]
        result = Draws([])
        result.copied = self.copied
        return result


@pytest.mark.parametrize(
    ("shares", "drawn", "taken"),
    [
        ([0.3], 1, 0.3),
        ([0.38], 1, 0.38),
        ([0.6, 0.2], 2, 0.2),
        ([0.7, 0.39, 0.3], 3, 0.3),
        ([0.7, 0.5, 0.6, 0.9], 4, 0.5),
    ],
)
def test_too_large_pieces_are_drawn_again(
    monkeypatch: pytest.MonkeyPatch, shares: list[float], drawn: int, taken: float
) -> None:
    draws = Draws(shares)
    monkeypatch.setattr(patches, "Composition", draws)
    chosen = make_source(5).start((68, 128), RenderStats(), lambda _share: None)
    assert draws.seeds == [sub_seed(5, number) for number in range(drawn)]
    assert chosen.copied == taken


def test_sub_seeds_are_seeds_of_their_own() -> None:
    assert sub_seed(7, 0) == 7
    seeds = [sub_seed(seed, number) for seed in range(20) for number in range(4)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 1 << 64 for seed in seeds)


sides = st.integers(64, 9000)


@given(
    height=sides, width=sides, rows=st.integers(1, 400), columns=st.integers(1, 400), variety=st.floats(0, 1)
)
def test_levels_grow_evenly_to_those_given(
    height: int, width: int, rows: int, columns: int, variety: float
) -> None:
    photograph = patches_size(height, width)
    levels = composition_levels(photograph, (rows, columns), variety)
    assert levels[-1] == (photograph, (rows, columns))
    for (small, small_picture), (large, large_picture) in pairwise(levels):
        assert min(small) >= min(9, *photograph)
        assert all(a <= b for a, b in zip((*small, *small_picture), (*large, *large_picture), strict=True))
    if min(photograph) > 60:
        assert 16 < math.sqrt(math.prod(levels[0][0])) < 43


@given(height=st.integers(1, 1 << 31), width=st.integers(1, 1 << 31))
def test_patches_size_keeps_the_aspect_and_never_enlarges(height: int, width: int) -> None:
    rows, columns = patches_size(height, width)
    assert 1 <= rows <= height
    assert 1 <= columns <= width
    if min(rows, columns) > 20:
        assert rows / columns == pytest.approx(height / width, rel=0.05)
        assert rows * columns == pytest.approx(min(height * width, 104**2), rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 9), (8, 8), (200, 300)])
def test_any_size(size: tuple[int, int]) -> None:
    assert make_picture(2, size).shape == (*size, 3)


def test_what_the_report_raises_ends_the_work() -> None:
    def stop(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_source().start((68, 128), RenderStats(), stop)


def test_arguments_that_do_not_belong_together_are_refused() -> None:
    photograph = resample(hills(), 85, 128)
    with pytest.raises(ValueError, match="levels"):
        Composition(photograph, [((80, 128), (80, 128))])
    with pytest.raises(ValueError, match="8 to 1048576 pixels"):
        Composition(photograph, [((7, 12), (7, 12)), ((85, 128), (85, 128))])
    with pytest.raises(ValueError, match="uint8"):
        Composition(photograph.astype(np.uint16), [((85, 128), (85, 128))])
    assert CompositionSettings().rounds > 0
