"""Canvases whose detail is the photograph's: the same bytes however they are read."""

import contextlib
import hashlib
import itertools
import logging
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ourgan_sdk import (
    Box,
    Canvas,
    EngineError,
    OutputError,
    RenderMemoryError,
    RenderStats,
    SizeError,
    Synthesizer,
)
from ourgan_sdk import detail as detail_package
from ourgan_sdk._core import Detail
from ourgan_sdk.detail import DetailPicture
from tests.conftest import PHOTOGRAPH

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 1490, 967
"""Nearly 1.5 times the photograph: two levels are gathered above those that are searched."""
PASSED = (421, 293)
"""More than 1.5 times the photograph's share that an extent of a quarter shows: a pass enlarges it."""


def make_canvas(path: Path, dtype: type = np.uint8, seed: int = 7, **options: object) -> Canvas:
    return Synthesizer(path, **options).canvas(WIDTH, HEIGHT, seed, dtype=dtype, extent=1)


def make_passed(path: Path, dtype: type = np.uint8, **options: object) -> Canvas:
    return Synthesizer(path, **options).canvas(*PASSED, 7, dtype=dtype, extent=0.25)


@pytest.fixture(scope="module", params=[np.uint8, np.uint16])
def canvas(photograph_path: Path, request: pytest.FixtureRequest) -> Canvas:
    return make_canvas(photograph_path, request.param)


@pytest.fixture(scope="module")
def wholes(canvas: Canvas) -> list[np.ndarray]:
    return [canvas.read(level=index) for index in range(len(canvas.levels))]


@pytest.fixture(scope="module")
def narrow(photograph_path: Path) -> Canvas:
    """That of 8 bits."""
    canvas = make_canvas(photograph_path)
    canvas.read(Box(0, 0, 1, 1))
    return canvas


@pytest.fixture(scope="module")
def whole(narrow: Canvas) -> np.ndarray:
    return narrow.read()


@pytest.fixture(scope="module", params=[np.uint8, np.uint16])
def passed(photograph_path: Path, request: pytest.FixtureRequest) -> Canvas:
    return make_passed(photograph_path, request.param, memory_limit=2_000_000)


@pytest.fixture(scope="module")
def passed_wholes(passed: Canvas) -> list[np.ndarray]:
    return [passed.read(level=index) for index in range(len(passed.levels))]


@st.composite
def regions(draw: st.DrawFn, shapes: list[tuple[int, ...]]) -> tuple[int, slice, slice]:
    level = draw(st.integers(0, len(shapes) - 1))
    rows, columns = (
        slice(*sorted(draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True))))
        for side in shapes[level][:2]
    )
    return level, rows, columns


def test_levels_halve_down_to_the_last_one_that_is_searched(canvas: Canvas) -> None:
    assert [level.shape for level in canvas.levels] == [(967, 1490, 3), (484, 745, 3), (242, 373, 3)]
    assert [level.downsample for level in canvas.levels] == [1, 2, 4]
    assert {level.dtype for level in canvas.levels} == {canvas.dtype}
    assert canvas.extent == pytest.approx(1)


def test_a_level_is_the_next_finer_one_reduced(wholes: list[np.ndarray]) -> None:
    for fine, coarse in itertools.pairwise(wholes):
        height, width = fine.shape[0] // 2, fine.shape[1] // 2
        reduced = fine[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
        assert np.corrcoef(reduced.ravel(), coarse[:height, :width].ravel())[0, 1] > 0.9


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_region_equals_the_slice(canvas: Canvas, wholes: list[np.ndarray], data: st.DataObject) -> None:
    level, rows, columns = data.draw(regions([whole.shape for whole in wholes]))
    np.testing.assert_array_equal(canvas.levels[level][rows, columns], wholes[level][rows, columns])


def test_a_region_first_on_a_fresh_canvas(photograph_path: Path, whole: np.ndarray) -> None:
    region = make_canvas(photograph_path)[700:967, 1001:1003]
    np.testing.assert_array_equal(region, whole[700:967, 1001:1003])


def test_sixteen_bits_are_the_same_picture_finer(photograph_path: Path, whole: np.ndarray) -> None:
    fine = make_canvas(photograph_path, np.uint16)[:]
    assert np.abs(fine / 257 - whole).max() <= 0.51
    assert len(np.unique(fine)) > 256


@pytest.mark.parametrize(
    "options",
    [{"threads": 1}, {"threads": 2}, {"threads": 4}, {"memory_limit": 1}, {"memory_limit": 1 << 40}],
)
def test_neither_threads_nor_memory_change_a_byte(
    photograph_path: Path, whole: np.ndarray, options: dict[str, int]
) -> None:
    np.testing.assert_array_equal(make_canvas(photograph_path, **options)[:], whole)


@pytest.mark.parametrize("instruction_set", ["portable", "avx2", "avx512"])
def test_no_instruction_set_changes_a_byte(
    photograph_path: Path, whole: np.ndarray, instruction_set: str
) -> None:
    """On a processor that lacks one, the fastest that it has is used."""
    script = """if True:
        import hashlib, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from tests.detail.test_picture import make_canvas
        print(hashlib.sha256(make_canvas(Path(sys.argv[1]))[:]).hexdigest())
    """
    done = subprocess.run(
        [sys.executable, "-c", script, str(photograph_path), str(ROOT)],
        env=os.environ | {"OURGAN_INSTRUCTION_SET": instruction_set},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == hashlib.sha256(whole).hexdigest()


def test_seed_and_size_and_extent_make_other_pictures(photograph_path: Path) -> None:
    synthesizer = Synthesizer(photograph_path)
    pictures = [
        synthesizer.canvas(300, 200, seed, extent=extent)[:]
        for seed, extent in ((1, 0.5), (2, 0.5), (1, 0.6))
    ]
    assert len({picture.tobytes() for picture in pictures}) == 3
    np.testing.assert_array_equal(synthesizer.render(300, 200, 1, extent=0.5), pictures[0])


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 300), (300, 1), (7, 5), (1200, 3)])
def test_pictures_of_any_shape(photograph_path: Path, size: tuple[int, int]) -> None:
    canvas = Synthesizer(photograph_path).canvas(*size, extent=0.5)
    picture = canvas[:]
    assert picture.shape == (size[1], size[0], 3)
    np.testing.assert_array_equal(
        canvas[size[1] // 2 :, size[0] // 2 :], picture[size[1] // 2 :, size[0] // 2 :]
    )


def test_thumbnail(narrow: Canvas, whole: np.ndarray) -> None:
    calls: list[int] = []
    thumbnail = narrow.thumbnail(200, progress=lambda _done, total: calls.append(total))
    assert set(calls) == {242 * 373}  # the coarsest level's: the field is known
    assert thumbnail.shape == (130, 200, 3)
    reduced, small = (
        np.asarray(Image.fromarray(one).resize((12, 8), Image.Resampling.BOX)) for one in (whole, thumbnail)
    )
    assert np.corrcoef(reduced.ravel(), small.ravel())[0, 1] > 0.98
    np.testing.assert_array_equal(narrow.thumbnail(5000), whole)


def test_sources_say_where_pixels_come_from(narrow: Canvas) -> None:
    sides = np.array([PHOTOGRAPH, [side / 2 for side in PHOTOGRAPH], [side / 4 for side in PHOTOGRAPH]])
    for index, level in enumerate(narrow.levels):
        sources = narrow.sources(level=index)
        assert sources.shape == (*level.shape[:2], 2)
        assert sources.dtype == np.int32
        assert sources.min() >= 0
        limits = sides[index] * 1490 / 1000
        assert (sources.reshape(-1, 2).max(0) < limits * 1.01 + 1).all()
        assert (sources.reshape(-1, 2).max(0) > limits / 4).all()  # many places, not one
        rows, columns = np.indices(sources.shape[:2])
        offsets = sources - np.stack([rows, columns], -1)
        same = (offsets[:, 1:] == offsets[:, :-1]).all(-1).mean()
        assert same > 0.8  # inside a piece the offset is constant
        assert len(np.unique(offsets.reshape(-1, 2), axis=0)) > 10  # and there are pieces
        box = Box(40, 30, 111, 222)
        np.testing.assert_array_equal(narrow.sources(box, index), sources[box.y0 : box.y1, box.x0 : box.x1])


def test_pixels_are_those_that_the_sources_name(narrow: Canvas, whole: np.ndarray) -> None:
    """Inside large pieces: the photograph enlarged, with no more than tone added."""
    photograph = narrow._renderer.first._source._pixels()
    plan = narrow._renderer.first.plan
    large = detail_package.photograph.make_levels(photograph, plan)[-1].astype(int)
    sources = narrow.sources()
    taken = large[sources[..., 0], sources[..., 1]]
    assert np.median(np.abs(taken - whole.astype(int))) <= 4


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"level": 3}, IndexError, "a level from 0 to 2"),
        ({"box": Box(0, 0, 968, 1)}, IndexError, "within 967 x 1490"),
        ({"box": (0, 0, 1, 1)}, TypeError, r"an ourgan_sdk\.Box"),
    ],
)
def test_arguments_of_sources(
    narrow: Canvas, arguments: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        narrow.sources(**arguments)


def test_levels_of_networks_have_no_sources(passed: Canvas, bundle_path: Path) -> None:
    for canvas in (passed, Synthesizer(bundle_path).canvas(100, 70)):
        with pytest.raises(ValueError, match="the pixels of level 0 are a network's"):
            canvas.sources()
    assert passed.sources(level=1).shape == (74, 106, 2)


def test_stats_and_progress(photograph_path: Path) -> None:
    canvas, first, second = make_canvas(photograph_path), RenderStats(), RenderStats()
    calls: list[tuple[int, int]] = []
    canvas.read(progress=lambda *call: calls.append(call), stats=first)
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert len({total for _, total in calls}) == 1
    assert len(calls) > 30
    assert first.field_seconds > first.gather_seconds > 0
    assert first.seconds >= first.field_seconds + first.gather_seconds
    assert (first.tiles, first.passes) == (0, 0)
    calls.clear()
    canvas.read(progress=lambda *call: calls.append(call), stats=second)
    assert calls[-1] == (967 * 1490, 967 * 1490)
    assert second.field_seconds == 0
    assert second.gather_seconds > 0


class CancelError(ValueError):
    """Of a kind that the package raises itself."""


@pytest.mark.parametrize("error", [CancelError, MemoryError, KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("call", [1, 5, 20])
def test_a_callback_cancels_the_search_and_later_reads_work(
    photograph_path: Path, whole: np.ndarray, error: type[BaseException], call: int
) -> None:
    """What it raises comes out as it is."""
    canvas = make_canvas(photograph_path)
    raised = error("enough")
    calls = 0

    def cancel(_done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise raised

    with pytest.raises(error) as caught:
        canvas.read(progress=cancel)
    assert caught.value is raised
    assert calls == call
    assert canvas._renderer.first._detail is None
    np.testing.assert_array_equal(canvas[100:200, 300:400], whole[100:200, 300:400])


def test_threads_that_read_one_canvas(photograph_path: Path, whole: np.ndarray) -> None:
    """The field is found once, by the first; each reports all of its work."""
    canvas = make_canvas(photograph_path)
    boxes = [Box(y, x, y + 200, x + 300) for y in range(0, 760, 250) for x in range(0, 1100, 400)]
    stats = [RenderStats() for _ in boxes]
    ends: dict[int, tuple[int, int]] = {}

    def read(index: int) -> np.ndarray:
        def progress(done: int, total: int) -> None:
            ends[index] = done, total

        return canvas.read(boxes[index], progress=progress, stats=stats[index])

    with ThreadPoolExecutor(4) as threads:
        for box, region in zip(boxes, threads.map(read, range(len(boxes))), strict=True):
            np.testing.assert_array_equal(region, whole[box.y0 : box.y1, box.x0 : box.x1])
    assert sum(one.field_seconds > 0 for one in stats) == 1
    assert [ends[index][0] for index in range(len(boxes))] == [ends[index][1] for index in range(len(boxes))]


def test_canvases_of_several_sizes_at_once(photograph_path: Path) -> None:
    """They share one photograph, which keeps the levels of one scale alone."""
    synthesizer = Synthesizer(photograph_path)
    canvases = [synthesizer.canvas(200 + 60 * n, 150, n) for n in range(4)]
    with ThreadPoolExecutor(4) as threads:
        pictures = list(threads.map(lambda canvas: canvas[:], canvases))
    for n, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture, Synthesizer(photograph_path).render(200 + 60 * n, 150, n))


def test_a_failure_for_want_of_memory_is_raised(
    photograph_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no tiles that could be made smaller, nor would they help."""
    tried = 0

    class Starving:
        def __init__(self, *_: object, **__: object) -> None:
            nonlocal tried
            tried += 1
            assert tried < 100
            raise MemoryError("bad allocation")

    monkeypatch.setattr(detail_package.picture, "Detail", Starving)
    with pytest.raises(RenderMemoryError, match=r"out of memory \(bad allocation\): give a smaller size"):
        make_canvas(photograph_path).read()
    assert tried == 1


def test_a_picture_too_large_for_detail_is_refused(
    photograph_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the core says it."""

    class Refusing(Detail):
        def __init__(self, *_: object, **__: object) -> None:
            raise ValueError("levels must have sides from 1 to 5 pixels")

    monkeypatch.setattr(detail_package.picture, "Detail", Refusing)
    with pytest.raises(SizeError, match="no detail for a picture of 1490 x 967: levels must have sides"):
        make_canvas(photograph_path).read()


def test_very_wide_pictures_are_gathered_in_low_bands(
    photograph_path: Path, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail_package.picture, "_LARGEST_BAND", 1490 * 3 * 50)
    canvas, heights = make_canvas(photograph_path), []
    picture = DetailPicture.bands

    def noted(self: DetailPicture, *arguments: object) -> Iterator[np.ndarray]:
        for band in picture(self, *arguments):
            heights.append(len(band))
            yield band

    monkeypatch.setattr(DetailPicture, "bands", noted)
    np.testing.assert_array_equal(canvas[:], whole)
    assert set(heights[:-1]) == {50}


# Beyond 1.5 times the photograph a pass enlarges what was gathered.


def test_levels_of_a_picture_with_a_pass(passed: Canvas) -> None:
    assert [level.shape for level in passed.levels] == [(293, 421, 3), (74, 106, 3)]
    assert [level.downsample for level in passed.levels] == [1, 4]
    assert passed.extent == pytest.approx(0.25)


def test_levels_above_those_searched_follow_the_passes(photograph_path: Path) -> None:
    """Their shapes alone: nothing is rendered."""
    canvas = Synthesizer(photograph_path).canvas(5901, 3999, extent=1)
    assert [level.downsample for level in canvas.levels] == [1, 4, 8, 16]
    assert [level.shape[:2] for level in canvas.levels[1:]] == [(1000, 1476), (500, 738), (250, 369)]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_region_equals_the_slice_behind_a_pass(
    passed: Canvas, passed_wholes: list[np.ndarray], data: st.DataObject
) -> None:
    level, rows, columns = data.draw(regions([whole.shape for whole in passed_wholes]))
    np.testing.assert_array_equal(passed.levels[level][rows, columns], passed_wholes[level][rows, columns])


def test_the_pass_is_that_of_sharp_pictures(photograph_path: Path) -> None:
    canvas, stats = make_passed(photograph_path), RenderStats()
    calls: list[tuple[int, int]] = []
    canvas.read(progress=lambda *call: calls.append(call), stats=stats)
    assert [one.file for one in canvas._renderer.plan.upscalers] == ["upscaler_later.onnx"]
    assert (stats.passes, stats.tiles > 0, stats.field_seconds > 0) == (1, True, True)
    assert stats.engine_seconds > 0
    assert calls[-1][0] == calls[-1][1]


def test_region_first_behind_a_pass(photograph_path: Path, passed_wholes: list[np.ndarray]) -> None:
    dtype = passed_wholes[0].dtype.type
    canvas = make_passed(photograph_path, dtype, memory_limit=2_000_000)
    np.testing.assert_array_equal(canvas[200:, 300:], passed_wholes[0][200:, 300:])


# Files, and renders that go on.


@pytest.mark.parametrize("make", [make_canvas, make_passed])
def test_files_hold_the_picture_and_what_it_was_made_of(
    photograph_path: Path, tmp_path: Path, make: Callable[..., Canvas]
) -> None:
    canvas = make(photograph_path)
    path = canvas.save(tmp_path / "picture.png")
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), canvas[:])
        text = " ".join(map(str, image.info.values()))
    assert '"detail": "photograph"' in text
    assert f'"extent": {canvas.extent!r}' in text


def stop_after(bands: int, output: Path) -> Callable[[int, int], None]:
    partial, sizes = output.with_name(f"{output.name}.partial"), set()

    def progress(_done: int, _total: int) -> None:
        if partial.exists():
            sizes.add(partial.stat().st_size)
        if len(sizes) > bands + 1:
            raise RuntimeError("enough")

    return progress


def test_goes_on_from_the_last_whole_band(
    photograph_path: Path, tmp_path: Path, whole: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "picture.png"
    with pytest.raises(RuntimeError, match="enough"):
        make_canvas(photograph_path).save(output, resume=True, progress=stop_after(2, output))
    rest, done = RenderStats(), []
    with caplog.at_level(logging.INFO):
        make_canvas(photograph_path, threads=1).save(
            output, resume=True, stats=rest, progress=lambda *call: done.append(call)
        )
    assert "going on from row" in caplog.text
    all_work = make_canvas(photograph_path)._renderer.first.work(0, Box(0, 0, HEIGHT, WIDTH))
    assert done[-1][0] == done[-1][1] < all_work
    with Image.open(output) as image:
        np.testing.assert_array_equal(np.asarray(image), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize(
    ("options", "arguments", "words"),
    [
        ({}, {"extent": 0.9}, r"extent is 0\.9\d*, was 1\.0"),
        ({"detail": "network"}, {"extent": 1}, "detail is 'network', was 'photograph'"),
    ],
)
def test_another_picture_is_refused(
    photograph_path: Path,
    tmp_path: Path,
    options: dict[str, object],
    arguments: dict[str, object],
    words: str,
) -> None:
    output = tmp_path / "picture.png"
    with pytest.raises(RuntimeError, match="enough"):
        make_canvas(photograph_path).save(output, resume=True, progress=stop_after(1, output))
    other = Synthesizer(photograph_path, **options).canvas(WIDTH, HEIGHT, 7, **arguments)
    with pytest.raises(OutputError, match=f"another picture: .*{words}"):
        other.save(output, resume=True)


def render_slowly(path: Path, output: Path, started: object) -> None:
    canvas = make_canvas(path)
    started.set()  # type: ignore[attr-defined]
    canvas.save(output, resume=True, progress=lambda *_: time.sleep(0.01))


@pytest.mark.skipif(sys.platform == "win32", reason="kills processes")
def test_killed_again_and_again(photograph_path: Path, tmp_path: Path, whole: np.ndarray) -> None:
    """SIGKILL at random moments, in the search and behind it: the picture is that of a render in one go."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["ourgan_sdk", "onnxruntime"])
    output, moments, kills = tmp_path / "picture.tif", random.Random(1), 0
    while kills < 8:
        started = processes.Event()
        process = processes.Process(target=render_slowly, args=(photograph_path, output, started))
        process.start()
        assert started.wait(60)
        partial = output.with_name("picture.tif.partial")
        wait_for_growth(partial, process, moments.uniform(0, 0.05) if kills % 2 else None)
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        if output.exists():
            partial.unlink(missing_ok=True)  # killed between the last step and its end
            with Image.open(output) as image:
                np.testing.assert_array_equal(np.asarray(image), whole)
            output.unlink()
    make_canvas(photograph_path).save(output, resume=True)
    with Image.open(output) as image:
        np.testing.assert_array_equal(np.asarray(image), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.tif"]


def wait_for_growth(partial: Path, process: object, then: float | None) -> None:
    """Until a band more is finished, and some seconds; without those, for a moment alone."""

    def size() -> int:
        with contextlib.suppress(FileNotFoundError):
            return partial.stat().st_size
        return 0

    if then is None:
        time.sleep(0.1)
        return
    before = size()
    while size() <= before + 1000 and process.is_alive():  # type: ignore[attr-defined]
        time.sleep(0.002)
    time.sleep(then)


# Of the bundle without photograph, and by networks.


def test_by_networks_it_is_what_the_bundle_without_photograph_renders(
    photograph_path: Path, bundle_path: Path
) -> None:
    for arguments in ({}, {"extent": 0.3}, {"dtype": np.uint16}):
        with_it = Synthesizer(photograph_path, detail="network").canvas(221, 150, 3, **arguments)
        without = Synthesizer(bundle_path).canvas(221, 150, 3, **arguments)
        np.testing.assert_array_equal(with_it[:], without[:])
        assert with_it.extent == without.extent > 0
        assert [level.shape for level in with_it.levels] == [level.shape for level in without.levels]


def test_detail_of_the_photograph_needs_no_engine(
    photograph_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no pass enlarges it, no upscaler is opened, and an unusable engine does not matter."""

    def fail(*_: object) -> None:
        raise EngineError("no engine")

    monkeypatch.setattr("ourgan_sdk.passes.networks.open_first", fail)
    assert Synthesizer(photograph_path).render(90, 60, extent=0.5).shape == (60, 90, 3)
    with pytest.raises(EngineError, match="no engine"):
        make_passed(photograph_path)
