"""Canvases: a region is the slice of the whole, and costs the tiles that it touches."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ourgan_sdk import Box, Canvas, RenderStats, Synthesizer

WIDTH, HEIGHT = 421, 293
SMALL = 500_000
"""A memory limit that makes many tiles."""


@pytest.fixture(scope="module")
def canvas(bundle_path: Path) -> Canvas:
    return Synthesizer(bundle_path, memory_limit=SMALL).canvas(WIDTH, HEIGHT, seed=7)


@pytest.fixture(scope="module")
def whole(canvas: Canvas) -> np.ndarray:
    return canvas.read()


def test_shape_and_dtype(canvas: Canvas, whole: np.ndarray) -> None:
    assert canvas.shape == whole.shape == (HEIGHT, WIDTH, 3)
    assert canvas.dtype == whole.dtype == np.uint8


def test_render_is_the_canvas_read_whole(bundle_path: Path, whole: np.ndarray) -> None:
    rendered = Synthesizer(bundle_path, memory_limit=SMALL).render(WIDTH, HEIGHT, seed=7)
    np.testing.assert_array_equal(rendered, whole)


@given(
    st.lists(st.integers(0, HEIGHT), min_size=2, max_size=2, unique=True).map(sorted),
    st.lists(st.integers(0, WIDTH), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_region_equals_the_slice(
    canvas: Canvas, whole: np.ndarray, rows: list[int], columns: list[int]
) -> None:
    region = canvas[slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(region, whole[slice(*rows), slice(*columns)])


@pytest.mark.parametrize(
    "key",
    [
        np.s_[-50:],
        np.s_[:40, 100:],
        np.s_[5:5, 10:20],
        np.s_[200:100],
        np.s_[:, -3:],
        np.s_[280:9999, 400:9999],
        np.s_[::1, ::1],
    ],
)
def test_slices_mean_what_numpy_means(canvas: Canvas, whole: np.ndarray, key: object) -> None:
    np.testing.assert_array_equal(canvas[key], whole[key])


@pytest.mark.parametrize("key", [3, (3, 4), np.s_[::2], np.s_[:, ::-1], np.s_[1:2, 1:2, :], "a"])
def test_other_indices_are_refused(canvas: Canvas, key: object) -> None:
    with pytest.raises(IndexError, match="expected"):
        canvas[key]


@pytest.mark.parametrize("box", [Box(0, 0, 1, WIDTH + 1), Box(-1, 0, 5, 5), Box(5, 5, 5, 9)])
def test_regions_outside_are_refused(canvas: Canvas, box: Box) -> None:
    with pytest.raises(IndexError, match=f"within {HEIGHT} x {WIDTH}"):
        canvas.read(box)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"box": (0, 0, 5, 5)}, r"expected an ourgan_sdk\.Box, got \(0, 0, 5, 5\)"),
        ({"progress": 1}, "expected progress to be True, False, None or a function, got 1"),
    ],
)
def test_arguments_of_other_types(canvas: Canvas, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        canvas.read(**arguments)


def test_a_region_costs_the_tiles_that_it_touches(canvas: Canvas) -> None:
    everything, corner = RenderStats(), RenderStats()
    canvas.read(stats=everything)
    canvas.read(Box(HEIGHT - 4, WIDTH - 4, HEIGHT, WIDTH), stats=corner)
    assert everything.tiles > 20
    assert corner.tiles <= 5


def test_sixteen_bits_of_a_region(bundle_path: Path) -> None:
    canvas = Synthesizer(bundle_path, memory_limit=SMALL).canvas(WIDTH, HEIGHT, seed=7, dtype=np.uint16)
    np.testing.assert_array_equal(canvas[31:90, 17:203], canvas.read()[31:90, 17:203])


def test_without_passes_the_structure_itself_is_cut(bundle_path: Path) -> None:
    canvas = Synthesizer(bundle_path).canvas(20, 14, seed=1)
    np.testing.assert_array_equal(canvas[3:9, 5:20], canvas.read()[3:9, 5:20])
