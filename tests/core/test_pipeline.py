"""The pipeline: same pixels as serial work, free GIL, clean errors and cancellation."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from ourgan_sdk._core import Box, Grid, Pipeline, Tile, gather, scatter

Array = npt.NDArray[Any]
SCALE, SEED, STREAM, DEVIATION = 2, 5, 256, 0.1


@pytest.fixture(scope="module")
def source() -> Array:
    return np.random.default_rng(0).integers(0, 65536, (61, 83, 3), dtype=np.uint16)


GRID = Grid(61, 83, 5, 4, 6)
TILES = [GRID.tile(row, column) for row in range(GRID.rows) for column in range(GRID.columns)]


def upscale(values: Array) -> Array:
    """Stand-in for an engine: (1, C, h, w) -> (1, C, 2h, 2w)."""
    return values.repeat(SCALE, axis=2).repeat(SCALE, axis=3)


def crop(tile: Tile) -> Box:
    y, x = tile.window.y0, tile.window.x0
    core = tile.core
    return Box(SCALE * (core.y0 - y), SCALE * (core.x0 - x), SCALE * (core.y1 - y), SCALE * (core.x1 - x))


def render_serially(source: Array) -> Array:
    target = np.zeros((122, 166, 3), np.uint8)
    for tile in TILES:
        values = gather(source, tile.window, (0, 0), None, SEED, STREAM, DEVIATION)
        scatter(upscale(values[None])[0], crop(tile), target, SCALE * tile.core.y0, SCALE * tile.core.x0)
    return target


def new_pipeline(slots: int = 3, threads: int = 2) -> Pipeline:
    return Pipeline(3, GRID.window_height, GRID.window_width, SCALE, slots, threads)


def render(source: Array, pipeline: Pipeline, slots: int) -> Array:
    """One pass as a renderer drives it: up to slots - 1 tiles are packed ahead."""
    target = np.zeros((122, 166, 3), np.uint8)
    ahead: list[int] = []
    ticket = -1
    for index, tile in enumerate(TILES):
        while len(ahead) < max(1, slots - 1) and index + len(ahead) < len(TILES):
            window = TILES[index + len(ahead)].window
            ahead.append(pipeline.pack(source, window, (0, 0), None, SEED, STREAM, DEVIATION))
        slot = ahead.pop(0)
        pipeline.packed(slot)
        pipeline.output(slot)[...] = upscale(pipeline.input(slot))
        ticket = pipeline.unpack(slot, crop(tile), target, SCALE * tile.core.y0, SCALE * tile.core.x0)
    pipeline.wait(ticket)
    return target


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_equals_serial_work(source: Array, slots: int, threads: int) -> None:
    with new_pipeline(slots, threads) as pipeline:
        np.testing.assert_array_equal(render(source, pipeline, slots), render_serially(source))


def test_a_band_of_a_picture_is_packed_like_the_whole(source: Array) -> None:
    tile = TILES[-1]  # reaches beyond the picture below and on the right
    top, left = tile.window.y0, tile.window.x0
    with new_pipeline() as pipeline:
        slot = pipeline.pack(
            source[top:, left:], tile.window, (top, left), source.shape[:2], SEED, STREAM, DEVIATION
        )
        pipeline.packed(slot)
        expected = gather(source, tile.window, (0, 0), None, SEED, STREAM, DEVIATION)
        np.testing.assert_array_equal(pipeline.input(slot)[0], expected)


def test_many_pipelines_at_once(source: Array) -> None:
    expected = render_serially(source)
    results: list[Array] = []

    def work() -> None:
        with new_pipeline() as pipeline:
            results.append(render(source, pipeline, 3))

    renderers = [threading.Thread(target=work) for _ in range(8)]
    for renderer in renderers:
        renderer.start()
    for renderer in renderers:
        renderer.join()
    assert len(results) == 8
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_views_have_the_tensors_shapes_and_stay_alive(source: Array) -> None:
    pipeline = new_pipeline()
    values, result = pipeline.input(0), pipeline.output(2)
    assert values.shape == (1, 3, GRID.window_height, GRID.window_width)
    assert result.shape == (1, 3, SCALE * GRID.window_height, SCALE * GRID.window_width)
    assert values.dtype == result.dtype == np.float32
    assert values.ctypes.data % 64 == 0
    assert np.shares_memory(values, pipeline.input(0))
    assert not np.shares_memory(values, pipeline.input(1))
    slot = pipeline.pack(source, TILES[0].window)
    pipeline.packed(slot)
    pipeline.close()
    del pipeline
    gc.collect()
    np.testing.assert_array_equal(values[0], gather(source, TILES[0].window))


def test_close_frees_the_tensors() -> None:
    """At once, and not with the pipeline, which the frames of an error may hold for long."""
    process, pipelines = psutil.Process(), []
    before = process.memory_info().rss
    for _ in range(8):
        pipelines.append(Pipeline(3, 512, 512, 2, 3, 1))  # 47 MB
        view = pipelines[-1].input(0)
        pipelines[-1].close()
        with pytest.raises(RuntimeError, match="the pipeline is closed"):
            pipelines[-1].output(0)
        assert view.sum() == 0
        del view
    assert process.memory_info().rss - before < 100e6


def test_queued_arrays_are_kept_alive_and_then_let_go() -> None:
    class Picture(np.ndarray[Any, Any]):
        """An array that can be referred to weakly."""

    def new_array(height: int, width: int) -> Picture:
        return np.full((height, width, 3), 77, np.uint8).view(Picture)

    with new_pipeline() as pipeline:
        source, target = new_array(61, 83), new_array(122, 166)
        alive = weakref.ref(source), weakref.ref(target)
        slot = pipeline.pack(source, TILES[0].window)
        del source
        pipeline.packed(slot)
        ticket = pipeline.unpack(slot, crop(TILES[0]), target, 0, 0)
        del target
        assert alive[1]() is not None
        pipeline.wait(ticket)
        gc.collect()
        assert [reference() for reference in alive] == [None, None]


def test_other_threads_run_while_one_waits_for_a_slot(source: Array) -> None:
    """The thread that frees the slot could not run if the waiting one held the GIL."""
    target = np.zeros((122, 166, 3), np.uint8)
    with new_pipeline(slots=1) as pipeline:
        slot = pipeline.pack(source, TILES[0].window)
        pipeline.packed(slot)
        releaser = threading.Timer(0.1, lambda: pipeline.unpack(slot, crop(TILES[0]), target, 0, 0))
        releaser.start()
        assert pipeline.pack(source, TILES[1].window) == slot
        releaser.join()


def test_non_finite_tiles_are_told_once_and_the_rest_goes_on(source: Array) -> None:
    target = np.zeros((122, 166, 3), np.uint8)
    with new_pipeline() as pipeline:
        tickets = []
        for tile in TILES[:2]:
            slot = pipeline.pack(source, tile.window)
            pipeline.packed(slot)
            pipeline.output(slot)[...] = upscale(pipeline.input(slot))
            if tile is TILES[1]:
                pipeline.output(slot)[0, 1, 12, 12] = np.nan
            tickets.append(pipeline.unpack(slot, crop(tile), target, 0, SCALE * tile.core.x0))
        assert pipeline.wait(tickets[0]) == []
        assert pipeline.wait(tickets[1]) == [tickets[1]]
        assert pipeline.wait(tickets[1]) == []
        np.testing.assert_array_equal(render(source, pipeline, 3), render_serially(source))


def test_an_exception_in_the_loop_drains_the_queue(source: Array) -> None:
    pipeline = new_pipeline()
    target = np.zeros((122, 166, 3), np.uint8)

    def render_and_fail() -> None:
        with pipeline:
            slots = [pipeline.pack(source, tile.window) for tile in TILES[:3]]
            pipeline.packed(slots[0])
            pipeline.output(slots[0])[...] = 1
            pipeline.unpack(slots[0], crop(TILES[0]), target, 0, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        render_and_fail()
    box = crop(TILES[0])
    assert (target[: box.height, : box.width] == 255).all()
    pipeline.close()
    with pytest.raises(RuntimeError, match="the pipeline is closed"):
        pipeline.pack(source, TILES[0].window)


def count_threads() -> int:
    """Return the number of threads of this process, Python's and others."""
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_dropping_a_busy_pipeline_ends_it(source: Array) -> None:
    before = count_threads()
    for _ in range(20):
        pipeline = new_pipeline()
        pipeline.pack(source, TILES[0].window)
        pipeline.pack(source, TILES[1].window)
        del pipeline
    assert count_threads() <= before


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_ctrl_c_ends_a_wait(source: Array) -> None:
    with new_pipeline(slots=1) as pipeline:
        pipeline.pack(source, TILES[0].window)
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            pipeline.pack(source, TILES[1].window)
        assert time.monotonic() - start < 5


def test_slots_must_be_used_in_order() -> None:
    target = np.zeros((122, 166, 3), np.uint8)
    with new_pipeline() as pipeline:
        with pytest.raises(ValueError, match="slot 0 holds no tile that was packed"):
            pipeline.packed(0)
        with pytest.raises(ValueError, match="slot 1 holds no packed tile"):
            pipeline.unpack(1, crop(TILES[0]), target, 0, 0)
        with pytest.raises(IndexError, match=r"slot must be in \[0, 3\), got 3"):
            pipeline.input(3)
        with pytest.raises(IndexError, match="got -1"):
            pipeline.output(-1)
        with pytest.raises(ValueError, match=r"ticket must be in \[0, 0\), got 0"):
            pipeline.wait(0)


def test_bad_arguments_are_refused_before_they_are_queued(source: Array) -> None:
    with new_pipeline() as pipeline:
        with pytest.raises(ValueError, match=r"window .* shows .* but the array holds \[0:61, 0:83\]"):
            pipeline.pack(source, Box(50, 0, 50 + GRID.window_height, GRID.window_width), (0, 0), (100, 83))
        with pytest.raises(ValueError, match="cannot hold a window of 8 x 8 x 3"):
            pipeline.pack(source, Box(0, 0, 8, 8))
        with pytest.raises(TypeError, match="got int64"):
            pipeline.pack(source.astype(np.int64), TILES[0].window)
        slot = pipeline.pack(source, TILES[0].window)
        pipeline.packed(slot)
        with pytest.raises(ValueError, match=r"crop .* must be a non-empty part"):
            pipeline.unpack(slot, Box(0, 0, 1000, 1), np.zeros((9, 9, 3), np.uint8), 0, 0)
        pipeline.unpack(slot, crop(TILES[0]), np.zeros((9, 9, 3), np.uint8), 0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8, 8, 2), "channels must be in"),
        ((3, 8, -8, 2), "window_width must be in"),
        ((3, 8, 8, 2, 0), r"slots must be in \[1, 1024\], got 0"),
        ((3, 8, 8, 2, 1, -1), "threads must be in"),
        ((2**31, 2**31, 8, 2), "a tile this large cannot be addressed"),
    ],
)
def test_bad_pipelines(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pipeline(*arguments)


def test_too_large_a_pipeline_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        Pipeline(2**20, 2**20, 2**15, 2)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"input_type": "float16"}, "planar tiles must be of float32"),
        ({"output_type": "uint8"}, "planar tiles must be of float32"),
        ({"input_type": "uint16", "interleaved": True}, "must be of uint8, float16 or float32, got uint16"),
        ({"output_type": "double", "interleaved": True}, "got double"),
    ],
)
def test_bad_formats(types: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pipeline(3, 8, 8, 2, **types)


def test_the_engine_seconds_are_those_between_packed_and_unpack(source: Array) -> None:
    target = np.zeros((122, 166, 3), np.uint8)
    with new_pipeline() as pipeline:
        assert pipeline.engine_seconds == 0
        slot = pipeline.pack(source, TILES[0].window)
        time.sleep(0.05)
        start = time.perf_counter()
        pipeline.packed(slot)
        time.sleep(0.02)
        ticket = pipeline.unpack(slot, crop(TILES[0]), target, 0, 0)
        longest = time.perf_counter() - start
        pipeline.wait(ticket)
        assert 0.02 <= pipeline.engine_seconds <= longest
