"""Properties of tile grids."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ourgan_sdk._core import Box, Grid, Tile, plan_grid
from ourgan_sdk.errors import BudgetError

MAX_SIDE = 2**31
MAX_HALO = 2**28


@st.composite
def grids(draw: st.DrawFn, max_side: int = 400, max_halo: int = 60, max_tiles: int = 9) -> Grid:
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    halo = draw(st.integers(0, max_halo))
    rows = draw(st.integers(1, min(max_tiles, height)))
    columns = draw(st.integers(1, min(max_tiles, width)))
    smallest = Grid(height, width, halo, rows, columns)
    larger = st.one_of(st.none(), st.integers(0, max_halo))
    window = [
        0 if extra is None else side + extra
        for side, extra in (
            (smallest.window_height, draw(larger)),
            (smallest.window_width, draw(larger)),
        )
    ]
    return Grid(height, width, halo, rows, columns, *window)


def tiles(grid: Grid) -> list[Tile]:
    return [grid.tile(row, column) for row in range(grid.rows) for column in range(grid.columns)]


@given(grids())
def test_cores_partition_the_picture(grid: Grid) -> None:
    rows = [grid.tile(row, 0).core for row in range(grid.rows)]
    columns = [grid.tile(0, column).core for column in range(grid.columns)]
    assert [core.y0 for core in rows] == [0, *(core.y1 for core in rows[:-1])]
    assert [core.x0 for core in columns] == [0, *(core.x1 for core in columns[:-1])]
    assert (rows[-1].y1, columns[-1].x1) == (grid.height, grid.width)
    for tile in tiles(grid):
        assert tile.core == Box(
            rows[tile.row].y0, columns[tile.column].x0, rows[tile.row].y1, columns[tile.column].x1
        )
        assert tile.core.height > 0
        assert tile.core.width > 0


@given(grids(max_side=MAX_SIDE, max_halo=MAX_HALO))
def test_windows_are_equal_and_hold_the_halo_on_every_side(grid: Grid) -> None:
    for tile in tiles(grid):
        window, core = tile.window, tile.core
        assert (window.height, window.width) == (grid.window_height, grid.window_width)
        above, below = core.y0 - window.y0, window.y1 - core.y1
        before, behind = core.x0 - window.x0, window.x1 - core.x1
        assert min(above, below, before, behind) >= grid.halo
        assert 0 <= below - above <= 1  # the core lies in the middle
        assert 0 <= behind - before <= 1


@given(grids(max_side=MAX_SIDE))
def test_cores_are_even(grid: Grid) -> None:
    for tile in tiles(grid):
        assert tile.core.height - grid.height // grid.rows in (0, 1)
        assert tile.core.width - grid.width // grid.columns in (0, 1)


@given(st.integers(1, 400), st.integers(0, 60), st.data())
def test_the_smallest_window_holds_the_longest_core_and_two_halos(
    length: int, halo: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, length))
    grid = Grid(length, 1, halo, count, 1)
    assert grid.window_height == max(grid.tile(row, 0).core.height for row in range(count)) + 2 * halo
    assert grid.window_width == 1 + 2 * halo


@given(grids())
def test_recomputation_is_the_share_of_pixels_seen_twice(grid: Grid) -> None:
    seen = sum(tile.window.height * tile.window.width for tile in tiles(grid))
    assert grid.recomputation == pytest.approx(seen / (grid.height * grid.width) - 1)


@dataclass(frozen=True)
class Rules:
    """The keywords of plan_grid, and what they mean in plain arithmetic."""

    pixel_bytes: int = 1
    row_bytes: int = 0
    max_pixels: int | None = None
    max_side: int | None = None
    alignment: int = 1
    least_rows: int = 1
    window: tuple[int, int] | None = None

    def plan(self, height: int, width: int, halo: int, budget: int) -> Grid:
        return plan_grid(
            height,
            width,
            halo,
            budget,
            pixel_bytes=self.pixel_bytes,
            row_bytes=self.row_bytes,
            max_pixels=self.max_pixels,
            max_side=self.max_side,
            alignment=self.alignment,
            least_rows=self.least_rows,
            window=self.window,
        )

    def cost(self, height: int, width: int) -> int:
        return height * (width * self.pixel_bytes + self.row_bytes)

    def allow(self, height: int, width: int, budget: int) -> bool:
        fits = self.max_pixels is None or height * width <= self.max_pixels
        fits &= self.max_side is None or max(height, width) <= self.max_side
        return fits and self.cost(height, width) <= budget

    def splits(self, length: int, halo: int, window: int | None) -> list[tuple[int, int]]:
        """All pairs of a count and a window."""
        if window is not None:
            return [(-(-length // (window - 2 * halo)), window)]
        smallest = {count: -(-length // count) + 2 * halo for count in range(1, length + 1)}
        return [(count, -(-side // self.alignment) * self.alignment) for count, side in smallest.items()]

    def best(self, height: int, width: int, halo: int, budget: int) -> tuple[int, int, int] | None:
        """(total window area, tiles, columns) of the best of all grids."""
        rows = self.splits(height, halo, self.window and self.window[0])
        if self.window is None:
            rows = [(count, side) for count, side in rows if count >= min(self.least_rows, height)]
        columns = self.splits(width, halo, self.window and self.window[1])
        return min(
            (
                (i * h * j * w, i * j, j)
                for (i, h), (j, w) in itertools.product(rows, columns)
                if self.allow(h, w, budget)
            ),
            default=None,
        )


small_rules = st.builds(
    Rules,
    pixel_bytes=st.integers(1, 4),
    row_bytes=st.integers(0, 100),
    max_pixels=st.none() | st.integers(1, 900),
    max_side=st.none() | st.integers(1, 60),
    alignment=st.integers(1, 9),
    least_rows=st.integers(1, 50),
)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 8), st.integers(1, 3000), small_rules)
def test_plan_is_the_optimum(height: int, width: int, halo: int, budget: int, rules: Rules) -> None:
    expected = rules.best(height, width, halo, budget)
    if expected is None:
        with pytest.raises(BudgetError, match=r"allow at least that|have sides of at least"):
            rules.plan(height, width, halo, budget)
        return
    grid = rules.plan(height, width, halo, budget)
    count = grid.rows * grid.columns
    assert (grid.window_height * grid.window_width * count, count, grid.columns) == expected
    assert rules.allow(grid.window_height, grid.window_width, budget)
    assert grid.window_height % rules.alignment == grid.window_width % rules.alignment == 0


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 20), st.data())
def test_a_fixed_window_is_taken_as_it_is(height: int, width: int, halo: int, data: st.DataObject) -> None:
    side = st.integers(2 * halo + 1, 200)
    window = data.draw(st.tuples(side, side))
    rules = Rules(pixel_bytes=3, row_bytes=7, alignment=64, least_rows=9, window=window)
    cost = rules.cost(*window)
    grid = rules.plan(height, width, halo, cost)
    assert (grid.window_height, grid.window_width) == window
    count = grid.rows * grid.columns
    assert (count * window[0] * window[1], count, grid.columns) == rules.best(height, width, halo, cost)
    with pytest.raises(BudgetError, match=rf"budget is {cost - 1}, but .* takes {cost}: allow"):
        rules.plan(height, width, halo, cost - 1)


large_rules = st.builds(
    Rules,
    pixel_bytes=st.integers(1, 2**30),
    row_bytes=st.integers(0, 2**60),
    max_pixels=st.none() | st.integers(1, 2**63 - 1),
    alignment=st.integers(1, MAX_HALO),
)


@settings(deadline=None)
@given(
    st.integers(1, MAX_SIDE),
    st.integers(1, MAX_SIDE),
    st.integers(0, MAX_HALO),
    st.integers(0, 2**63 - 1),
    large_rules,
)
def test_nothing_overflows(height: int, width: int, halo: int, budget: int, rules: Rules) -> None:
    """Python's integers say whether the smallest window is allowed, and whether the plan's is."""
    side = -(-(2 * halo + 1) // rules.alignment) * rules.alignment
    if not rules.allow(side, side, budget):
        with pytest.raises(BudgetError, match=f"is {side} x {side} pixels"):
            rules.plan(height, width, halo, budget)
        return
    grid = rules.plan(height, width, halo, budget)
    assert rules.allow(grid.window_height, grid.window_width, budget)
    assert grid.recomputation >= 0


@pytest.mark.parametrize("halo", [0, 1, 64, MAX_HALO])
@pytest.mark.parametrize("budget", [2**40, 2**60, 2**63 - 1])
def test_the_largest_picture_is_planned_quickly(halo: int, budget: int) -> None:
    started = time.perf_counter()
    grid = plan_grid(MAX_SIDE, MAX_SIDE, halo, max(budget, (2 * halo + 1) ** 2))
    assert time.perf_counter() - started < 1
    last = grid.tile(grid.rows - 1, grid.columns - 1)
    assert (last.core.y1, last.core.x1) == (MAX_SIDE, MAX_SIDE)
    assert last.window.y1 >= MAX_SIDE + halo


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 40), small_rules)
def test_the_budget_an_error_names_is_enough_and_no_less_is(
    height: int, width: int, halo: int, rules: Rules
) -> None:
    rules = replace(rules, max_pixels=None, max_side=None)
    with pytest.raises(BudgetError, match=r"budget is 0, but .* takes \d+: allow at least that") as error:
        rules.plan(height, width, halo, 0)
    needed = int(str(error.value).split(": allow")[0].split()[-1])
    rules.plan(height, width, halo, needed)
    with pytest.raises(BudgetError):
        rules.plan(height, width, halo, needed - 1)


def test_an_8k_pass_recomputes_little() -> None:
    assert plan_grid(1080, 2048, 24, 512 * 512).recomputation < 0.25
    assert plan_grid(1080, 2048, 24, 1024 * 1024).recomputation < 0.12


def test_expensive_rows_make_windows_low_and_wide() -> None:
    """A row of a band as wide as this picture costs as much as 50 000 pixels of a window."""
    free = plan_grid(20_000, 50_000, 16, 2**24)
    priced = plan_grid(20_000, 50_000, 16, 2**24, row_bytes=50_000)
    assert priced.window_height * (priced.window_width + 50_000) <= 2**24
    assert priced.window_height < free.window_height / 5
    assert priced.window_width > free.window_width


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (
            (100, 200, 8, 288),
            {},
            "budget is 288, but the smallest window for a 200 x 100 picture with a halo of 8 "
            "is 17 x 17 pixels and takes 289: allow at least that",
        ),
        ((100, 200, 8, -1), {}, "budget is -1, but .* takes 289"),
        ((100, 200, 8, 6000), {"alignment": 32, "pixel_bytes": 6}, "is 32 x 32 pixels and takes 6144"),
        (
            (100, 200, 8, 1000),
            {"max_pixels": 288, "pixel_bytes": 3},
            "max_pixels is 288, but the smallest window .* 17 x 17 pixels and has 289: allow at least that",
        ),
        (
            (100, 200, 8, 4095),
            {"window": (32, 64), "row_bytes": 64},
            "budget is 4095, but the engine's window for a 200 x 100 picture with a halo of 8 "
            "is 64 x 32 pixels and takes 4096",
        ),
        (
            (100, 200, 8, 9999),
            {"max_side": 23, "alignment": 8},
            r"max_side is 23: windows .* halo of 8 have sides of at least 24",
        ),
        ((100, 200, 8, 4096), {"window": (64, 64), "max_pixels": 4095}, "max_pixels is 4095, .* has 4096"),
        (
            (100, 200, 8, 4096),
            {"window": (16, 64)},
            "the engine's window for a 200 x 100 picture with a halo of 8 "
            "is 64 x 16 pixels: both sides must be at least 17",
        ),
        (
            (100, 200, MAX_HALO, 4096),
            {"pixel_bytes": 2**30},
            "takes more than 9223372036854775807",
        ),
    ],
)
def test_refusals_say_what_would_do(
    arguments: tuple[int, int, int, int], keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(BudgetError, match=message):
        plan_grid(*arguments, **keywords)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"pixel_bytes": 0}, r"pixel_bytes must be in \[1, 1073741824\], got 0"),
        ({"row_bytes": -1}, "row_bytes must be in"),
        ({"alignment": 0}, r"alignment must be in \[1, 268435456\], got 0"),
        ({"window": (0, 5)}, "window's height must be in"),
        ({"window": (5, 2**32 + 1)}, r"window's width must be in \[1, 4294967296\], got 4294967297"),
    ],
)
def test_bad_rules(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        plan_grid(10, 10, 1, 100, **keywords)
    assert not isinstance(error.value, BudgetError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 1, 1, 1), r"height must be in \[1, 2147483648\], got 0"),
        ((5, 2**31 + 1, 1, 1, 1), "width must be in"),
        ((5, 5, -1, 1, 1), r"halo must be in \[0, 268435456\], got -1"),
        ((10, 10, 3, 11, 1), r"rows must be in \[1, 10\], got 11"),
        ((10, 10, 1, 1, 0), r"columns must be in \[1, 10\], got 0"),
        ((10, 10, 3, 3, 1, 9), r"window_height must be in \[10, 4294967296\], got 9"),
        ((10, 10, 3, 1, 1, 16, 15), r"window_width must be in \[16, 4294967296\], got 15"),
        ((10, 10, 3, 1, 1, 2**32 + 1), "window_height must be in"),
    ],
)
def test_bad_grids(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Grid(*arguments)


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (2, 0), (0, 3)])
def test_no_such_tile(row: int, column: int) -> None:
    with pytest.raises(IndexError, match="is outside a grid of 2 x 3 tiles"):
        Grid(50, 50, 2, 2, 3).tile(row, column)


def test_box_behaves_like_a_tuple() -> None:
    box = Box(1, 2, 5, 9)
    y0, x0, y1, x1 = box
    assert (y0, x0, y1, x1) == (1, 2, 5, 9)
    assert (box.height, box.width) == (4, 7)
    assert box == Box(1, 2, 5, 9)
    assert box != Box(1, 2, 5, 8)
    assert box != (1, 2, 5, 9)
    assert len({box, Box(1, 2, 5, 9), Box(0, 2, 5, 9)}) == 2
    assert repr(box) == "Box(y0=1, x0=2, y1=5, x1=9)"


def test_reprs_say_what_they_are() -> None:
    grid = Grid(50, 60, 2, 2, 3)
    size = "window_height=29, window_width=24"
    assert repr(grid) == f"Grid(height=50, width=60, halo=2, rows=2, columns=3, {size})"
    tile = grid.tile(1, 0)
    assert repr(tile) == f"Tile(row=1, column=0, window={tile.window!r}, core={tile.core!r})"
    assert all(a.core != b.core for a, b in itertools.combinations(tiles(grid), 2))
