"""The pipeline on a CUDA device, played by a stand-in for the driver: same pixels, clean errors, no leaks."""

from __future__ import annotations

import faulthandler
import gc
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ourgan_sdk._core import Box, CudaDevice, Grid, Pipeline, Tile, gather, scatter
from ourgan_sdk.errors import EngineError, EngineMemoryError
from tests.fake_cuda import OUT_OF_MEMORY, WAITS, FakeCuda

Array = npt.NDArray[Any]
SCALE, SEED, STREAM, DEVIATION = 2, 5, 256, 0.1
GRID = Grid(61, 83, 5, 4, 6)
TILES = [GRID.tile(row, column) for row in range(GRID.rows) for column in range(GRID.columns)]
TYPES = ["uint8", "float16", "float32"]


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def make_source(dtype: str = "uint16") -> Array:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (61, 83, 3), dtype, endpoint=True)


def make_target(output_type: str) -> Array:
    return np.zeros((122, 166, 3), np.uint8 if output_type == "uint8" else np.uint16)


def deviation(input_type: str) -> float:
    return 0.0 if input_type == "uint8" else DEVIATION


def quantize(values: Array, dtype: str) -> Array:
    """Values as a tile of `dtype` holds them."""
    if dtype == "uint8":
        return np.rint(np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8) / np.float32(255)
    return values.astype(dtype).astype(np.float32)


def crop(tile: Tile) -> Box:
    y, x = tile.window.y0, tile.window.x0
    core = tile.core
    return Box(SCALE * (core.y0 - y), SCALE * (core.x0 - x), SCALE * (core.y1 - y), SCALE * (core.x1 - x))


def render_serially(source: Array, input_type: str, output_type: str) -> Array:
    """What the pipeline must give, on the host and through float32 alone."""
    target = make_target(output_type)
    for tile in TILES:
        values = gather(source, tile.window, (0, 0), None, SEED, STREAM, deviation(input_type))
        upscaled = quantize(values, input_type).repeat(SCALE, axis=1).repeat(SCALE, axis=2)
        result = quantize(np.clip(upscaled, np.float32(0), np.float32(1)), output_type)
        scatter(result, crop(tile), target, SCALE * tile.core.y0, SCALE * tile.core.x0)
    return target


def new_pipeline(
    device: CudaDevice, slots: int = 3, input_type: str = "float16", output_type: str = "uint8"
) -> Pipeline:
    return Pipeline(
        3,
        GRID.window_height,
        GRID.window_width,
        SCALE,
        slots,
        device=device,
        input_type=input_type,
        output_type=output_type,
        interleaved=True,
    )


def run_pass(
    fake: FakeCuda, pipeline: Pipeline, source: Array, slots: int, tiles: list[Tile] = TILES
) -> tuple[Array, list[int]]:
    """One pass, up to slots - 1 tiles packed ahead: the picture and the non-finite tickets."""
    target = make_target(pipeline.output(0).dtype.name)
    noise = SEED, STREAM, deviation(pipeline.input(0).dtype.name)
    ahead: list[int] = []
    ticket = -1
    for index, tile in enumerate(tiles):
        while len(ahead) < max(1, slots - 1) and index + len(ahead) < len(tiles):
            ahead.append(pipeline.pack(source, tiles[index + len(ahead)].window, (0, 0), None, *noise))
        slot = ahead.pop(0)
        pipeline.packed(slot)
        fake.upscale(pipeline, slot)
        ticket = pipeline.unpack(slot, crop(tile), target, SCALE * tile.core.y0, SCALE * tile.core.x0)
    return target, pipeline.wait(ticket)


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
@pytest.mark.parametrize("output_type", TYPES)
@pytest.mark.parametrize("input_type", TYPES)
def test_equals_serial_work_under_random_delays(
    fake_cuda: FakeCuda, input_type: str, output_type: str, slots: int
) -> None:
    fake_cuda.set_jitter(1, seed=slots)
    source = make_source("uint8" if input_type == "uint8" else "uint16")
    with new_pipeline(fake_cuda.device(), slots, input_type, output_type) as pipeline:
        picture, damaged = run_pass(fake_cuda, pipeline, source, slots)
        assert damaged == []
        np.testing.assert_array_equal(picture, render_serially(source, input_type, output_type))


def test_planar_tiles_cross_the_device_too(fake_cuda: FakeCuda) -> None:
    """The kernel takes the planes for one long row of pixels."""
    source, tile = make_source(), TILES[7]
    width = GRID.window_height * GRID.window_width
    with Pipeline(3, GRID.window_height, GRID.window_width, 1, device=fake_cuda.device()) as pipeline:
        slot = pipeline.pack(source, tile.window)
        pipeline.packed(slot)
        addresses = (pipeline.device_input(slot), pipeline.device_output(slot), pipeline.device_check(slot))
        fake_cuda.launch_upscale(pipeline.stream, *addresses, (1, width, 3), 1, "float32", "float32")
        box = Box(0, 0, GRID.window_height, GRID.window_width)
        target = np.zeros((GRID.window_height, GRID.window_width, 3), np.float32)
        assert pipeline.wait(pipeline.unpack(slot, box, target, 0, 0)) == []
    np.testing.assert_array_equal(target.transpose(2, 0, 1), gather(source, tile.window))


@pytest.mark.parametrize("wait", WAITS)
def test_a_missing_wait_is_seen(fake_cuda: FakeCuda, wait: str) -> None:
    """The driver leaves out one of the three waits, while what it waits for takes its time."""
    slow = {"copied_in": "copy_in", "computed": "kernel", "copied_out": "copy_out"}[wait]
    source = make_source()
    expected = render_serially(source, "float16", "uint8")
    for ignored in (False, True):
        fake_cuda.reset()
        fake_cuda.set_durations(**{slow: 2.0})
        if ignored:
            fake_cuda.ignore(wait)
        with new_pipeline(fake_cuda.device()) as pipeline:
            picture, _ = run_pass(fake_cuda, pipeline, source, 3)
        assert np.array_equal(picture, expected) != ignored


def test_non_finite_tiles_are_told_even_where_8_bits_hide_them(fake_cuda: FakeCuda) -> None:
    source = make_source("uint8") / np.float32(255)
    source[20, 30, 1], source[21, 80, 0] = np.nan, np.inf
    for output_type in TYPES:
        with new_pipeline(fake_cuda.device(), output_type=output_type) as pipeline:
            _, damaged = run_pass(fake_cuda, pipeline, source, 3)
            showing = [
                number
                for number, tile in enumerate(TILES)
                if any(
                    tile.window.y0 <= y < tile.window.y1 and tile.window.x0 <= x < tile.window.x1
                    for y, x in ((20, 30), (21, 80))
                )
            ]
            assert damaged == showing != []
            assert pipeline.wait(len(TILES) - 1) == []


def test_engine_seconds_are_those_of_the_device(fake_cuda: FakeCuda) -> None:
    fake_cuda.set_durations(copy_in=3, copy_out=3, kernel=2)
    with new_pipeline(fake_cuda.device()) as pipeline:
        run_pass(fake_cuda, pipeline, make_source(), 3, TILES[:5])
        assert 5 * 0.002 <= pipeline.engine_seconds < 5 * 0.005 + 0.05


def test_slots_have_memory_of_their_own(fake_cuda: FakeCuda) -> None:
    with new_pipeline(fake_cuda.device()) as pipeline:
        values = pipeline.input(0)
        assert values.shape == (1, GRID.window_height, GRID.window_width, 3)
        assert pipeline.output(0).shape == (1, SCALE * GRID.window_height, SCALE * GRID.window_width, 3)
        assert (values.dtype, pipeline.output(0).dtype) == (np.float16, np.uint8)
        functions = (pipeline.device_input, pipeline.device_output, pipeline.device_check)
        addresses = [function(slot) for function in functions for slot in range(3)]
        assert len(set(addresses)) == 9
        assert values.ctypes.data not in addresses
        assert pipeline.stream != 0
        assert fake_cuda.live() == {
            "contexts": 1, "device memory": 9, "pinned memory": 9, "streams": 3, "events": 12
        }  # fmt: skip
        with pytest.raises(IndexError, match=r"slot must be in \[0, 3\), got 3"):
            pipeline.device_check(3)


def test_8_bit_tiles_have_no_room_for_noise(fake_cuda: FakeCuda) -> None:
    with (
        new_pipeline(fake_cuda.device(), input_type="uint8") as pipeline,
        pytest.raises(ValueError, match=r"no room for noise: deviation must be 0, got 0\.1"),
    ):
        pipeline.pack(make_source("uint8"), TILES[0].window, deviation=0.1)


def test_a_tile_given_up_is_waited_for(fake_cuda: FakeCuda) -> None:
    """After an exception nothing works on the engine's memory any more, so that it may be freed."""
    fake_cuda.set_durations(copy_in=10, kernel=50)
    pipeline = new_pipeline(fake_cuda.device())

    def fail_in_between() -> None:
        with pipeline:
            slot = pipeline.pack(make_source(), TILES[0].window)
            pipeline.pack(make_source(), TILES[1].window)
            pipeline.packed(slot)
            fake_cuda.upscale(pipeline, slot)
            raise ZeroDivisionError

    started = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        fail_in_between()
    assert time.monotonic() - started >= 0.05  # the kernel's own time


def test_other_threads_run_while_memory_is_freed(fake_cuda: FakeCuda) -> None:
    """The driver waits for all of the device's work then, also for what another pipeline has queued."""
    device = fake_cuda.device()
    pipeline = new_pipeline(device)
    with new_pipeline(device) as other:
        fake_cuda.set_durations(copy_in=500)
        other.pack(make_source(), TILES[0].window)
        time.sleep(0.1)  # a worker queues the copy, in a stream that this pipeline's end does not wait for
        has_ended = threading.Event()
        wakes: list[float] = []

        def wake() -> None:
            while not has_ended.wait(0.01):
                wakes.append(time.monotonic())

        thread = threading.Thread(target=wake)
        thread.start()
        started = time.monotonic()
        del pipeline
        ended = time.monotonic()
        has_ended.set()
        thread.join()
        assert ended - started > 0.2
        assert sum(started < moment < ended for moment in wakes) > 5


def test_ctrl_c_ends_a_wait_and_drains_the_device(fake_cuda: FakeCuda) -> None:
    fake_cuda.set_durations(kernel=300)
    with new_pipeline(fake_cuda.device()) as pipeline:
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            run_pass(fake_cuda, pipeline, make_source(), 3, TILES[:3])


# Every function of the driver that a render calls, and the engine's.
CALLS = [
    "cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent", "cuMemAlloc",
    "cuMemHostAlloc", "cuStreamCreate", "cuEventCreate", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync",
    "cuEventRecord", "cuStreamWaitEvent", "cuEventSynchronize", "cuEventElapsedTime", "cuStreamSynchronize",
    "launch",
]  # fmt: skip
# What a stream does, which fails only with its device.
WORK = ["copy in", "kernel", "copy out"]


@pytest.mark.parametrize(("call", "lose_device"), [*product(CALLS, [False, True]), *product(WORK, [True])])
def test_every_failure_of_every_call_is_an_error_and_leaves_nothing(
    fake_cuda: FakeCuda, call: str, lose_device: bool
) -> None:
    """The first call fails, then the second ..., until a whole render gets by with fewer."""
    source = make_source()

    def render() -> tuple[Array, list[int]]:
        with new_pipeline(fake_cuda.device(), 2) as pipeline:
            return run_pass(fake_cuda, pipeline, source, 2, TILES[:3])

    expected, _ = render()
    errors: list[str] = []
    while True:
        fake_cuda.reset()
        fake_cuda.fail(call, len(errors), lose_device=lose_device)
        try:
            picture, damaged = render()
            break
        except EngineError as error:
            errors.append(str(error))
        gc.collect()
        assert fake_cuda.live() == {}
    assert all(re.search(r"failed with CUDA_ERROR_LAUNCH_FAILED|launch failed", error) for error in errors)
    # The waits that end a render are for freeing alone: what they say is known by then, or of no consequence.
    assert errors or call == "cuStreamSynchronize"
    assert damaged == []
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("call", ["cuMemAlloc", "cuMemHostAlloc"])
def test_a_lack_of_memory_is_an_error_of_its_own(fake_cuda: FakeCuda, call: str) -> None:
    device = fake_cuda.device()
    for successes in range(9):
        fake_cuda.reset()
        fake_cuda.fail(call, successes, OUT_OF_MEMORY)
        with pytest.raises(
            EngineMemoryError, match=rf"{call}\w* failed with CUDA_ERROR_OUT_OF_MEMORY"
        ) as caught:
            new_pipeline(device)
        assert isinstance(caught.value, MemoryError)
        assert fake_cuda.live() == {"contexts": 1, "streams": 1}


def test_memory_of_the_device(fake_cuda: FakeCuda) -> None:
    fake_cuda.set_memory(1000)
    device = fake_cuda.device()
    first, second = device.allocate(600), device.allocate(300)
    assert (first.bytes, second.bytes) == (600, 300)
    assert first.address != second.address
    assert device.free_memory() == 100
    with pytest.raises(EngineMemoryError, match="CUDA_ERROR_OUT_OF_MEMORY"):
        device.allocate(101)
    with pytest.raises(ValueError, match="bytes must be positive, got 0"):
        device.allocate(0)
    first.release()
    first.release()
    assert (first.address, device.free_memory()) == (0, 700)
    del device  # what is left keeps the context
    assert fake_cuda.live() == {"contexts": 1, "device memory": 1}
    del first, second
    assert fake_cuda.live() == {}


def test_what_is_known_of_a_device(fake_cuda: FakeCuda) -> None:
    fake_cuda.set_devices(2)
    device = fake_cuda.device(1)
    assert CudaDevice.count(fake_cuda.path) == 2
    assert (device.ordinal, device.name, device.compute_capability) == (1, "Fake GPU", (8, 6))
    assert (device.total_memory, device.driver_version) == (8 << 30, 13010)
    assert repr(device) == "CudaDevice(1, name='Fake GPU')"


@pytest.mark.parametrize("ordinal", [-1, 2])
def test_there_is_no_such_device(fake_cuda: FakeCuda, ordinal: int) -> None:
    fake_cuda.set_devices(2)
    with pytest.raises(EngineError, match=f"no CUDA device {ordinal}: the driver finds 2, counted from 0"):
        fake_cuda.device(ordinal)


def test_there_is_no_device_at_all(fake_cuda: FakeCuda) -> None:
    fake_cuda.set_devices(0)
    assert CudaDevice.count(fake_cuda.path) == 0
    with pytest.raises(EngineError, match="cuInit failed with CUDA_ERROR_NO_DEVICE"):
        fake_cuda.device()


def test_there_is_no_driver(tmp_path: Path) -> None:
    missing = str(tmp_path / "libcuda.so.1")
    assert CudaDevice.count(missing) == 0
    with pytest.raises(
        EngineError, match=r"driver cannot be loaded .*: install NVIDIA's driver, or use an engine"
    ):
        CudaDevice(0, missing)


def test_another_library_is_no_driver() -> None:
    assert CudaDevice.count("libm.so.6") == 0
    with pytest.raises(EngineError, match=r"libm\.so\.6 lacks cuGetErrorName: install a newer one"):
        CudaDevice(0, "libm.so.6")


@pytest.mark.parametrize("context", [None, 1234])
def test_the_current_context_stays_as_it_was(fake_cuda: FakeCuda, context: int | None) -> None:
    """An application's own context, or none, in the thread that renders, also when something fails."""
    fake_cuda.set_current_context(context)
    device = fake_cuda.device()
    with new_pipeline(device) as pipeline:
        run_pass(fake_cuda, pipeline, make_source(), 3)
        assert fake_cuda.current_context() == context
        fake_cuda.fail("cuMemAlloc", 0, OUT_OF_MEMORY)
        with pytest.raises(EngineMemoryError):
            device.allocate(1)
        fake_cuda.fail("cuEventRecord", 0)
        slot = pipeline.pack(make_source(), TILES[0].window)
        with pytest.raises(EngineError):
            pipeline.packed(slot)
    device.free_memory()
    assert fake_cuda.current_context() == context
    with device:
        assert fake_cuda.current_context() not in (None, context)
    assert fake_cuda.current_context() == context
    fake_cuda.set_current_context(None)


def test_two_devices_and_pipelines_live_beside_each_other(fake_cuda: FakeCuda) -> None:
    fake_cuda.set_devices(2)
    fake_cuda.set_jitter(1)
    source = make_source()
    expected = render_serially(source, "float16", "uint8")
    pictures: list[Array] = []

    def render(ordinal: int) -> None:
        with new_pipeline(fake_cuda.device(ordinal)) as pipeline:
            pictures.append(run_pass(fake_cuda, pipeline, source, 3)[0])

    renderers = [threading.Thread(target=render, args=(ordinal,)) for ordinal in (0, 0, 1)]
    for renderer in renderers:
        renderer.start()
    for renderer in renderers:
        renderer.join()
    assert len(pictures) == 3
    for picture in pictures:
        np.testing.assert_array_equal(picture, expected)
