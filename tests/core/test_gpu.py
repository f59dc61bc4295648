"""The pipeline on a real GPU, in one process with PyTorch, whose operations play the engine."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ourgan_sdk._core import Box, CudaDevice, Grid, Pipeline, Tile, gather, scatter
from ourgan_sdk.errors import EngineMemoryError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.gpu

Array = npt.NDArray[Any]
SCALE, SLOTS, SEED, STREAM, DEVIATION = 4, 3, 5, 256, 0.1
GRID = Grid(300, 410, 8, 4, 5)
TILES = [GRID.tile(row, column) for row in range(GRID.rows) for column in range(GRID.columns)]


@pytest.fixture(scope="module")
def device() -> CudaDevice:
    if not torch.cuda.is_available():
        pytest.skip("this build of PyTorch has no CUDA")
    torch.cuda.init()
    return CudaDevice(torch.cuda.current_device())


@pytest.fixture(scope="module")
def source() -> Array:
    return np.random.default_rng(0).integers(0, 65536, (300, 410, 3), dtype=np.uint16)


class Memory:
    """Memory of the device at an address, for torch.as_tensor; somebody else owns it."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.__cuda_array_interface__ = {
            "data": (address, False), "shape": shape, "typestr": dtype.str, "strides": None, "version": 3
        }  # fmt: skip


def on_device(address: int, like: Array) -> Any:
    return torch.as_tensor(Memory(address, like.shape, like.dtype), device="cuda")


def enlarge(pixels: Any, upscaled: Any, check: Any) -> None:
    """The engine: every pixel SCALE x SCALE times. Each step is exact or rounds as NumPy does."""
    values = pixels.float().repeat_interleave(SCALE, dim=1).repeat_interleave(SCALE, dim=2)
    check.copy_(values.abs().sum().reshape(1))
    unit = values.clamp(0, 1)
    upscaled.copy_((unit * 255).round() if upscaled.dtype == torch.uint8 else unit)


def crop(tile: Tile) -> Box:
    y, x = tile.window.y0, tile.window.x0
    core = tile.core
    return Box(SCALE * (core.y0 - y), SCALE * (core.x0 - x), SCALE * (core.y1 - y), SCALE * (core.x1 - x))


def render_serially(source: Array, input_type: str, output_type: str) -> Array:
    """What the pipeline must give, on the host."""
    target = np.zeros((SCALE * GRID.height, SCALE * GRID.width, 3), np.uint8)
    for tile in TILES:
        values = gather(source, tile.window, (0, 0), None, SEED, STREAM, DEVIATION)
        values = values.astype(input_type).astype(np.float32).clip(0, 1)
        upscaled = values.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
        if output_type == "float16":
            upscaled = upscaled.astype(np.float16).astype(np.float32)
        scatter(upscaled, crop(tile), target, SCALE * tile.core.y0, SCALE * tile.core.x0)
    return target


def render(device: CudaDevice, source: Array, input_type: str, output_type: str) -> tuple[Array, list[int]]:
    target = np.zeros((SCALE * GRID.height, SCALE * GRID.width, 3), np.uint8)
    with Pipeline(
        3, GRID.window_height, GRID.window_width, SCALE, SLOTS,
        device=device, input_type=input_type, output_type=output_type, interleaved=True,
    ) as pipeline:  # fmt: skip
        stream = torch.cuda.ExternalStream(pipeline.stream)
        tensors = [
            (
                on_device(pipeline.device_input(slot), pipeline.input(slot)),
                on_device(pipeline.device_output(slot), pipeline.output(slot)),
                on_device(pipeline.device_check(slot), np.empty(1, np.float32)),
            )
            for slot in range(SLOTS)
        ]
        ticket = -1
        noise = SEED, STREAM, DEVIATION
        ahead = pipeline.pack(source, TILES[0].window, (0, 0), None, *noise)
        for index, tile in enumerate(TILES):
            slot = ahead
            if index + 1 < len(TILES):
                ahead = pipeline.pack(source, TILES[index + 1].window, (0, 0), None, *noise)
            pipeline.packed(slot)
            with torch.cuda.stream(stream):
                enlarge(*tensors[slot])
            ticket = pipeline.unpack(slot, crop(tile), target, SCALE * tile.core.y0, SCALE * tile.core.x0)
        damaged = pipeline.wait(ticket)
        assert pipeline.engine_seconds > 0
    return target, damaged


@pytest.mark.parametrize("output_type", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("input_type", ["float16", "float32"])
def test_equals_serial_work(device: CudaDevice, source: Array, input_type: str, output_type: str) -> None:
    expected = render_serially(source, input_type, output_type)
    for _ in range(3):
        picture, damaged = render(device, source, input_type, output_type)
        assert damaged == []
        np.testing.assert_array_equal(picture, expected)


def test_non_finite_tiles_are_told(device: CudaDevice, source: Array) -> None:
    damaged_source = source / np.float32(65535)
    core = TILES[7].core
    damaged_source[(core.y0 + core.y1) // 2, (core.x0 + core.x1) // 2] = np.nan
    assert render(device, damaged_source.astype(np.float32), "float16", "uint8")[1] == [7]


def test_torch_goes_on_in_the_same_context(device: CudaDevice, source: Array) -> None:
    """Tensors made before a render are usable during and after it, on torch's own stream."""
    before = torch.arange(1000, device="cuda", dtype=torch.float32)
    render(device, source, "float16", "uint8")
    assert float(before.sum()) == 499500
    assert float((before @ before).cpu()) == pytest.approx(332833500)
    torch.cuda.synchronize()


def test_a_thread_without_a_context_may_use_the_device(device: CudaDevice, source: Array) -> None:
    pictures: list[Array] = []

    def work() -> None:
        pictures.append(render(device, source, "float16", "uint8")[0])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_everything_is_freed(device: CudaDevice, source: Array) -> None:
    render(device, source, "float16", "uint8")  # what torch and the driver keep for good
    torch.cuda.empty_cache()
    before = device.free_memory()
    for _ in range(5):
        render(device, source, "float16", "uint8")
    memory = device.allocate(256 << 20)
    assert device.free_memory() <= before - (255 << 20)
    memory.release()
    gc.collect()
    torch.cuda.empty_cache()
    assert device.free_memory() >= before - (4 << 20)


def test_too_much_memory_is_an_error(device: CudaDevice) -> None:
    with pytest.raises(EngineMemoryError, match=r"cuMemAlloc.*CUDA_ERROR_OUT_OF_MEMORY"):
        device.allocate(2 * device.total_memory)
    assert device.allocate(1 << 20).address != 0


def test_what_is_known_of_the_device(device: CudaDevice) -> None:
    properties = torch.cuda.get_device_properties(device.ordinal)
    assert device.name == properties.name
    assert device.compute_capability == (properties.major, properties.minor)
    assert 0 < device.free_memory() <= device.total_memory
    assert device.total_memory == properties.total_memory
    assert device.driver_version >= 11000
    assert CudaDevice.count() >= 1
