"""Canvases: a region is the slice of the whole, and costs the tiles that it touches."""

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ourgan_sdk import Box, Canvas, RenderStats, Synthesizer
from ourgan_sdk._core import Pipeline
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine

WIDTH, HEIGHT = 421, 293
SMALL = 2_000_000
"""A memory limit that makes many tiles."""


@pytest.fixture(scope="module")
def canvas(bundle_path: Path) -> Canvas:
    return Synthesizer(bundle_path, memory_limit=SMALL).canvas(WIDTH, HEIGHT, seed=7)


@pytest.fixture(scope="module")
def whole(canvas: Canvas) -> np.ndarray:
    return canvas.read()


@pytest.fixture(scope="module")
def wholes(canvas: Canvas, whole: np.ndarray) -> list[np.ndarray]:
    return [whole, *(canvas.read(level=level) for level in (1, 2))]


def test_shape_and_dtype(canvas: Canvas, whole: np.ndarray) -> None:
    assert canvas.shape == whole.shape == (HEIGHT, WIDTH, 3)
    assert canvas.dtype == whole.dtype == np.uint8


def test_render_is_the_canvas_read_whole(bundle_path: Path, whole: np.ndarray) -> None:
    rendered = Synthesizer(bundle_path, memory_limit=SMALL).render(WIDTH, HEIGHT, seed=7)
    np.testing.assert_array_equal(rendered, whole)


def test_is_enough_of_an_array_for_others(canvas: Canvas, whole: np.ndarray) -> None:
    """What dask.array.from_array asks of an array."""
    assert canvas.ndim == canvas.levels[1].ndim == len(canvas.shape)
    blocks = [
        [canvas[y : min(y + 100, HEIGHT), x : min(x + 130, WIDTH), 0:3] for x in range(0, WIDTH, 130)]
        for y in range(0, HEIGHT, 100)
    ]
    np.testing.assert_array_equal(np.vstack([np.hstack(row) for row in blocks]), whole)


def test_is_an_array_when_asked(canvas: Canvas, wholes: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(np.asarray(canvas), wholes[0])
    np.testing.assert_array_equal(np.asarray(canvas.levels[1], dtype=np.float32), wholes[1])
    assert (len(canvas), len(canvas.levels[1])) == (HEIGHT, len(wholes[1]))
    for one in (canvas, canvas.levels[1]):
        with pytest.raises(TypeError, match="not iterable"):
            list(one)


def test_rows_of_the_whole_width_are_kept(bundle_path: Path, whole: np.ndarray) -> None:
    canvas = Synthesizer(bundle_path, memory_limit=8_000_000).canvas(WIDTH, HEIGHT, seed=7)
    first, again = RenderStats(), RenderStats()
    canvas.read(Box(0, 0, 10, WIDTH), stats=first)
    rows = canvas.read(Box(0, 0, 10, WIDTH), stats=again)
    assert first.tiles > 0
    assert again.tiles == 0
    assert np.abs(rows.astype(int) - whole[:10]).max() <= 1


def test_levels_are_what_the_passes_enlarge(canvas: Canvas, bundle_path: Path) -> None:
    assert [level.shape for level in canvas.levels] == [(293, 421, 3), (74, 106, 3), (19, 27, 3)]
    assert [level.downsample for level in canvas.levels] == [1, 4, 16]
    assert {level.dtype for level in canvas.levels} == {canvas.dtype}
    preview = Synthesizer(bundle_path).preview(7, width=27, height=19)
    np.testing.assert_array_equal(canvas.levels[-1][:], preview)
    # The tiny upscalers add a little to the picture repeated: a level looks like the next finer one reduced.
    for fine, coarse in itertools.pairwise(canvas.levels):
        height, width = fine.shape[0] // 4, fine.shape[1] // 4
        reduced = fine[: 4 * height, : 4 * width].reshape(height, 4, width, 4, 3).mean((1, 3))
        assert np.corrcoef(reduced.ravel(), coarse[:height, :width].ravel())[0, 1] > 0.8


@st.composite
def regions(draw: st.DrawFn) -> tuple[int, slice, slice]:
    level = draw(st.integers(0, 2))
    rows, columns = (
        slice(*sorted(draw(st.lists(st.integers(0, -(-side // 4**level)), min_size=2, max_size=2))))
        for side in (HEIGHT, WIDTH)
    )
    return level, rows, columns


@given(regions())
def test_region_equals_the_slice(
    canvas: Canvas, wholes: list[np.ndarray], region: tuple[int, slice, slice]
) -> None:
    level, rows, columns = region
    np.testing.assert_array_equal(canvas.levels[level][rows, columns], wholes[level][rows, columns])


def test_region_equals_the_slice_on_a_fresh_canvas(bundle_path: Path, wholes: list[np.ndarray]) -> None:
    """Without anything in its cache."""
    synthesizer = Synthesizer(bundle_path, memory_limit=SMALL)
    generator = np.random.default_rng(5)
    for level in (0, 0, 0, 1, 1, 2):
        height, width, _ = wholes[level].shape
        y0, x0 = generator.integers(height), generator.integers(width)
        y1, x1 = generator.integers(y0, height) + 1, generator.integers(x0, width) + 1
        region = synthesizer.canvas(WIDTH, HEIGHT, seed=7).levels[level][y0:y1, x0:x1]
        np.testing.assert_array_equal(region, wholes[level][y0:y1, x0:x1])


def test_threads_that_read_one_canvas(bundle_path: Path, whole: np.ndarray) -> None:
    canvas = Synthesizer(bundle_path, memory_limit=SMALL).canvas(WIDTH, HEIGHT, seed=7)
    boxes = [Box(y, x, y + 60, x + 90) for y in range(0, 230, 45) for x in range(0, 330, 60)]
    with ThreadPoolExecutor(4) as threads:
        for box, region in zip(boxes, threads.map(canvas.read, boxes), strict=True):
            np.testing.assert_array_equal(region, whole[box.y0 : box.y1, box.x0 : box.x1])


def test_two_canvases_at_once(bundle_path: Path) -> None:
    synthesizer = Synthesizer(bundle_path, memory_limit=SMALL)
    canvases = [synthesizer.canvas(WIDTH, HEIGHT, seed=1), synthesizer.canvas(200, 500, seed=2)]
    with ThreadPoolExecutor(2) as threads:
        pictures = list(threads.map(lambda canvas: canvas[10:150, 20:180], canvases))
    for canvas, picture in zip(canvases, pictures, strict=True):
        np.testing.assert_array_equal(picture, canvas.read()[10:150, 20:180])


@pytest.mark.parametrize(("size", "shape"), [(300, (209, 300, 3)), (106, (74, 106, 3)), (64, (45, 64, 3))])
def test_thumbnail(canvas: Canvas, whole: np.ndarray, size: int, shape: tuple[int, int, int]) -> None:
    thumbnail = canvas.thumbnail(size)
    assert thumbnail.shape == shape
    assert thumbnail.dtype == np.uint8
    reduced = Image.fromarray(whole).resize((8, 6), Image.Resampling.BOX)
    difference = np.asarray(Image.fromarray(thumbnail).resize((8, 6), Image.Resampling.BOX)).astype(float)
    assert np.corrcoef(difference.ravel(), np.asarray(reduced).ravel())[0, 1] > 0.95


def test_thumbnails_never_enlarge_and_keep_their_type(bundle_path: Path, whole: np.ndarray) -> None:
    canvas = Synthesizer(bundle_path, memory_limit=SMALL).canvas(WIDTH, HEIGHT, seed=7, dtype=np.uint16)
    assert canvas.thumbnail(40).dtype == np.uint16
    np.testing.assert_array_equal(np.rint(canvas.thumbnail(5000) / 257).astype(np.uint8), whole)
    flat = Synthesizer(bundle_path).canvas(3000, 2)
    assert flat.thumbnail(100).shape == (1, 100, 3)
    with pytest.raises(ValueError, match="the size of a thumbnail to be from 1"):
        canvas.thumbnail(0)


def test_a_thumbnail_costs_a_coarse_level(canvas: Canvas) -> None:
    calls: list[int] = []
    canvas.thumbnail(20, progress=lambda _done, total: calls.append(total))
    assert calls == [19 * 27]


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
        np.s_[3:9, 5:7, ::-1],
        np.s_[3:9, 5:5, 1:],
    ],
)
def test_slices_mean_what_numpy_means(canvas: Canvas, whole: np.ndarray, key: object) -> None:
    np.testing.assert_array_equal(canvas[key], whole[key])


@pytest.mark.parametrize(
    "key", [3, (3, 4), np.s_[::2], np.s_[:, ::-1], np.s_[1:2, 1:2, :, :], np.s_[1:2, 3], "a"]
)
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
        ({"level": "1"}, "integer"),
        ({"progress": 1}, "expected progress to be True, False, None or a function, got 1"),
    ],
)
def test_arguments_of_other_types(canvas: Canvas, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        canvas.read(**arguments)


@pytest.mark.parametrize("level", [-1, 3])
def test_levels_that_are_none(canvas: Canvas, level: int) -> None:
    with pytest.raises(IndexError, match=f"a level from 0 to 2, got {level}"):
        canvas.read(level=level)


def test_a_region_costs_the_tiles_that_it_touches(bundle_path: Path) -> None:
    canvas = Synthesizer(bundle_path, memory_limit=SMALL).canvas(WIDTH, HEIGHT)
    everything, corner = RenderStats(), RenderStats()
    canvas.read(stats=everything)
    canvas = Synthesizer(bundle_path, memory_limit=SMALL).canvas(WIDTH, HEIGHT)  # which knows no tiles
    canvas.read(Box(HEIGHT - 4, WIDTH - 4, HEIGHT, WIDTH), stats=corner)
    assert everything.tiles > 20
    assert corner.tiles <= 5


def test_a_single_tile_takes_a_single_slot(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots hold a window each, with what an engine keeps for it."""
    bound = []
    bind = OnnxRuntimeEngine.bind

    def bind_and_tell(engine: OnnxRuntimeEngine, pipeline: Pipeline, slot: int) -> Callable[[], None]:
        bound.append(slot)
        return bind(engine, pipeline, slot)

    monkeypatch.setattr(OnnxRuntimeEngine, "bind", bind_and_tell)
    canvas = Synthesizer(bundle_path, engine="onnxruntime").canvas(300, 200, 1)
    stats = RenderStats()
    canvas.read(Box(0, 0, 2, 2), stats=stats)
    assert stats.tiles == stats.passes > 0
    assert bound == [0] * stats.passes


def test_sixteen_bits_of_a_region(bundle_path: Path) -> None:
    canvas = Synthesizer(bundle_path, memory_limit=SMALL).canvas(WIDTH, HEIGHT, seed=7, dtype=np.uint16)
    np.testing.assert_array_equal(canvas[31:90, 17:203], canvas.read()[31:90, 17:203])


def test_without_passes_the_structure_itself_is_cut(bundle_path: Path) -> None:
    canvas = Synthesizer(bundle_path).canvas(20, 14, seed=1)
    np.testing.assert_array_equal(canvas[3:9, 5:20], canvas.read()[3:9, 5:20])


@pytest.mark.parametrize("suffix", ["png", "npy", "tif", "jpg"])
def test_a_part_in_a_file(canvas: Canvas, whole: np.ndarray, tmp_path: Path, suffix: str) -> None:
    box = Box(40, 17, 171, 350)
    path = canvas.save(tmp_path / f"part.{suffix}", box=box, quality=100)
    if suffix == "npy":
        np.testing.assert_array_equal(np.load(path), whole[40:171, 17:350])
        return
    with Image.open(path) as image:
        part = np.asarray(image).astype(int)
        assert json.loads(image.info["Description"])["box"] == [40, 17, 171, 350] if suffix == "png" else True
    assert np.abs(part - whole[40:171, 17:350]).max() <= (8 if suffix == "jpg" else 0)


def test_all_of_it_is_the_same_file(canvas: Canvas, tmp_path: Path) -> None:
    part = canvas.save(tmp_path / "part.png", box=Box(0, 0, HEIGHT, WIDTH))
    assert part.read_bytes() == canvas.save(tmp_path / "all.png").read_bytes()
    with pytest.raises(IndexError, match=f"within {HEIGHT} x {WIDTH}"):
        canvas.save(part, box=Box(0, 0, HEIGHT + 1, WIDTH))
    with pytest.raises(TypeError, match=r"expected an ourgan_sdk\.Box"):
        canvas.save(part, box=(0, 0, 5, 5))  # type: ignore[arg-type]
