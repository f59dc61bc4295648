"""At which scale detail is made, and at which levels it is searched."""

import itertools
import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ourgan_sdk import SizeError, Synthesizer
from ourgan_sdk.detail import EXTENTS, DetailPlan, plan_detail

sides = st.integers(1, 20_000)
photographs = st.tuples(st.integers(16, 8_000), st.integers(16, 8_000)).filter(
    lambda size: max(size) <= 4 * min(size)
)
extents = st.none() | st.floats(*EXTENTS)


def scale(plan: DetailPlan) -> int:
    """The photograph's long side in pixels of the finest level, before it is rounded to whole ones."""
    return round(max(plan.size) / plan.extent)


@given(photographs, sides, sides, extents)
def test_levels_halve_and_the_photograph_halves_exactly(
    photograph: tuple[int, int], height: int, width: int, extent: float | None
) -> None:
    plan = plan_detail(photograph, (height, width), extent)
    assert len(plan.picture) == len(plan.photograph)
    assert 1 <= plan.searched <= len(plan.picture)
    for below, above in itertools.pairwise(plan.picture):
        assert below == tuple(-(-side // 2) for side in above)
    for below, above in itertools.pairwise(plan.photograph):
        assert tuple(2 * side for side in below) == above
    assert plan.size == plan.picture[-1]
    assert plan.size == (-(-height // 4**plan.passes), -(-width // 4**plan.passes))
    assert min(plan.photograph[0]) >= 8  # a patch


@given(photographs, sides, sides, extents)
@example((16, 61), 1, 11585, None)  # a scale of 91, between half an octave above 64 and the next whole pixel
def test_the_search_goes_from_about_64_to_512_pixels(
    photograph: tuple[int, int], height: int, width: int, extent: float | None
) -> None:
    plan = plan_detail(photograph, (height, width), extent)
    longs = [max(size) for size in plan.photograph]
    if scale(plan) > 64 * 2**0.5:
        # Within half an octave of 64, and the rounding to whole pixels; a thin photograph ends earlier, so
        # that its short side has room for patches.
        assert longs[0] >= 45
        assert longs[0] <= 91 or min(plan.photograph[0]) < 24
    else:
        assert len(longs) == 1
    assert plan.searched == max(1, sum(long <= 724 for long in longs))
    if plan.searched < len(longs):
        assert longs[plan.searched - 1] >= 361


@given(photographs, sides, sides, extents)
def test_the_photograph_keeps_its_shape(
    photograph: tuple[int, int], height: int, width: int, extent: float | None
) -> None:
    plan = plan_detail(photograph, (height, width), extent)
    assume(scale(plan) > 91)
    wide, coarsest = photograph[1] / photograph[0], plan.photograph[0]
    assert coarsest[0] * wide == pytest.approx(coarsest[1], abs=1 + wide)
    assert max(plan.photograph[-1]) == pytest.approx(scale(plan), rel=0.02)


@given(photographs, sides, sides)
def test_by_default_the_photograph_is_shown_as_it_is_or_half_as_large(
    photograph: tuple[int, int], height: int, width: int
) -> None:
    native, long = max(photograph), max(height, width)
    plan = plan_detail(photograph, (height, width))
    if long <= native:
        assert (plan.passes, plan.extent) == (
            0,
            min(long, 8) / 8,
        )  # no photograph is reduced to less than 8 pixels
    elif long <= 2 * native:
        assert plan.passes == 0
        assert plan.extent == pytest.approx(long / native, rel=1 / native)
        assert scale(plan) == pytest.approx(native, abs=1)
    elif long <= 3 * native:
        assert (plan.passes, plan.extent) == (0, pytest.approx(2, rel=1e-3 + 1 / native))
        assert scale(plan) <= 1.5 * native + 1
    else:
        assert plan.passes >= 1
        reduced = -(-long // 4**plan.passes)
        assert reduced <= 3 * native < -(-long // 4 ** (plan.passes - 1))


@given(photographs, sides, sides, st.floats(*EXTENTS))
def test_an_extent_that_is_given_is_kept(
    photograph: tuple[int, int], height: int, width: int, extent: float
) -> None:
    plan = plan_detail(photograph, (height, width), extent)
    long = max(plan.size)
    assert long <= 1.5 * max(photograph) * extent
    if plan.passes:
        assert -(-max(height, width) // 4 ** (plan.passes - 1)) > 1.5 * max(photograph) * extent
    if long / extent >= 8:
        assert long / plan.extent == pytest.approx(long / extent, abs=0.51)


@pytest.mark.parametrize(
    ("size", "extent", "passes", "shown", "searched"),
    [
        ((2000, 3000), None, 0, 1.0, 4),
        ((2400, 3600), None, 0, 1.2, 4),
        ((4000, 6000), None, 0, 2.0, 4),
        ((6000, 9000), None, 0, 2.0, 4),
        ((6001, 9001), None, 1, 1.0, 4),
        ((4000, 6000), 1.0, 1, 1.0, 4),
        ((1000, 1500), 1.0, 0, 1.0, 4),
        ((1000, 1500), 0.5, 0, 0.5, 4),
        ((40, 60), None, 0, 1.0, 1),
    ],
)
def test_examples(
    size: tuple[int, int], extent: float | None, passes: int, shown: float, searched: int
) -> None:
    plan = plan_detail((2000, 3000), size, extent)
    assert (plan.passes, plan.extent, plan.searched) == (passes, pytest.approx(shown, rel=1e-3), searched)


def test_the_structure_has_the_size_that_shows_as_much_as_it_was_trained_on() -> None:
    # To within a pixel of the coarsest level, which has 47 by 31.
    for size, extent, expected in (
        ((2000, 3000), None, (128, 192)),
        ((4000, 6000), None, (256, 384)),
        ((500, 750), 0.25, (32, 48)),
    ):
        found = plan_detail((2000, 3000), size, extent).structure_size(192)
        assert found == pytest.approx(expected, abs=192 / 47)
    assert min(plan_detail((2000, 3000), (1, 30_000)).structure_size(192)) >= 1


@given(photographs, sides, sides, extents)
def test_searched_pictures_are_as_large_as_the_extent_says(
    photograph: tuple[int, int], height: int, width: int, extent: float | None
) -> None:
    plan = plan_detail(photograph, (height, width), extent)
    base = plan.picture[plan.searched - 1]
    assert max(base) <= math.ceil(plan.extent * max(724, *plan.photograph[0]) * 1.02) + 1


def test_a_photograph_that_would_be_searched_in_a_strip_is_refused() -> None:
    assert max(plan_detail((400, 3000), (2160, 3840)).photograph[0]) <= 256
    with pytest.raises(SizeError, match=r"3000 x 20 is too elongated .*--detail network"):
        plan_detail((20, 3000), (2160, 3840))


def test_a_structure_that_no_network_makes_whole_is_refused_when_the_canvas_is_made() -> None:
    assert Synthesizer().canvas(40_000, 30_000, extent=25).extent == pytest.approx(25, rel=0.01)
    with pytest.raises(SizeError, match=r"photographs wide needs a structure of 4.* smaller extent"):
        Synthesizer().canvas(40_000, 30_000, extent=60)
