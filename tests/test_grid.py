"""Properties of tile grids."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ourgan_sdk._core import Box, BudgetError, Grid, Tile, plan_grid

MAX_SIDE = 2**31


@st.composite
def grids(draw: st.DrawFn, max_side: int = 400, max_tiles: int = 9) -> Grid:
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    halo = draw(st.integers(0, max(height, width)))
    rows = draw(st.integers(1, max(1, min(max_tiles, height - 2 * halo))))
    columns = draw(st.integers(1, max(1, min(max_tiles, width - 2 * halo))))
    return Grid(height, width, halo, rows, columns)


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


@given(grids(max_side=MAX_SIDE))
def test_windows_are_equal_and_inside_and_hold_the_halo(grid: Grid) -> None:
    for tile in tiles(grid):
        window, core = tile.window, tile.core
        assert (window.height, window.width) == (grid.window_height, grid.window_width)
        assert 0 <= window.y0 < window.y1 <= grid.height
        assert 0 <= window.x0 < window.x1 <= grid.width
        assert core.y0 - window.y0 >= grid.halo or core.y0 == window.y0 == 0
        assert core.x0 - window.x0 >= grid.halo or core.x0 == window.x0 == 0
        assert window.y1 - core.y1 >= grid.halo or core.y1 == window.y1 == grid.height
        assert window.x1 - core.x1 >= grid.halo or core.x1 == window.x1 == grid.width


@given(grids())
def test_windows_are_as_short_as_the_halo_allows(grid: Grid) -> None:
    for length, count, window in [
        (grid.height, grid.rows, grid.window_height),
        (grid.width, grid.columns, grid.window_width),
    ]:
        overlaps = 2 * grid.halo * (count - 1)
        assert window == -(-(length + overlaps) // count)


@given(grids())
def test_recomputation_is_the_share_of_pixels_seen_twice(grid: Grid) -> None:
    seen = sum(tile.window.height * tile.window.width for tile in tiles(grid))
    assert grid.recomputation == pytest.approx(seen / (grid.height * grid.width) - 1)


def brute_force(height: int, width: int, halo: int, max_pixels: int) -> tuple[int, int, int] | None:
    """(total window area, tiles, columns) of the best of all grids."""
    candidates = []
    for rows in range(1, max(1, height - 2 * halo) + 1):
        for columns in range(1, max(1, width - 2 * halo) + 1):
            grid = Grid(height, width, halo, rows, columns)
            window = grid.window_height * grid.window_width
            if window <= max_pixels:
                candidates.append((window * rows * columns, rows * columns, columns))
    return min(candidates, default=None)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 8), st.integers(1, 900))
def test_plan_is_the_optimum(height: int, width: int, halo: int, max_pixels: int) -> None:
    expected = brute_force(height, width, halo, max_pixels)
    if expected is None:
        with pytest.raises(BudgetError, match="allow at least that"):
            plan_grid(height, width, halo, max_pixels)
        return
    grid = plan_grid(height, width, halo, max_pixels)
    count = grid.rows * grid.columns
    assert (grid.window_height * grid.window_width * count, count, grid.columns) == expected


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 40))
def test_the_budget_an_error_names_is_enough_and_no_less_is(height: int, width: int, halo: int) -> None:
    with pytest.raises(BudgetError, match=r"has \d+ pixels") as error:
        plan_grid(height, width, halo, 0)
    needed = int(str(error.value).split(" pixels: ")[0].split()[-1])
    plan_grid(height, width, halo, needed)
    with pytest.raises(BudgetError):
        plan_grid(height, width, halo, needed - 1)


def test_an_8k_pass_recomputes_little() -> None:
    assert plan_grid(1080, 2048, 24, 512 * 512).recomputation < 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 1, 1, 1), r"height must be in \[1, 2147483648\], got 0"),
        ((5, 2**31 + 1, 1, 1, 1), "width must be in"),
        ((5, 5, -1, 1, 1), r"halo must be in \[0, 2147483648\], got -1"),
        ((10, 10, 3, 5, 1), r"rows must be in \[1, 4\], got 5"),
        ((10, 10, 5, 1, 2), r"columns must be in \[1, 1\], got 2"),
        ((10, 10, 1, 1, 0), r"columns must be in \[1, 8\], got 0"),
    ],
)
def test_bad_grids(arguments: tuple[int, int, int, int, int], message: str) -> None:
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
    assert repr(grid) == "Grid(height=50, width=60, halo=2, rows=2, columns=3)"
    tile = grid.tile(1, 0)
    assert repr(tile) == f"Tile(row=1, column=0, window={tile.window!r}, core={tile.core!r})"
    assert all(a.core != b.core for a, b in itertools.combinations(tiles(grid), 2))
