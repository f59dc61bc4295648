"""Every engine for GPUs on a real one: close to fp32 on the CPU, by itself and beside another render.

On a stand-in for engine and driver too, so that what stands here has been run where there is no GPU.
"""

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export import to_trt
from export.plans import pick_capabilities
from ourgan_sdk import RenderStats, Synthesizer
from ourgan_sdk._core import CudaDevice
from ourgan_sdk.engines import Engine, devices, selection
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.engines.tensorrt import RUNTIMES, Runtime
from ourgan_sdk.errors import EngineError, EngineUnavailableError
from tests.conftest import Graph
from tests.passes.test_device_render import DeviceEngine

SIZE = (1500, 1100)
LIMIT = 32 << 20  # for several tiles
WINDOW = "96x64"  # of TensorRT's engines
SLACK = 16 << 20  # bytes that a driver keeps or takes by itself

KINDS = [kind for kind in selection.ENGINES if kind.DEVICE == "cuda"]
STAND_IN = pytest.param(DeviceEngine, id="stand-in")


@dataclass(frozen=True)
class Case:
    path: Path
    kind: type[Engine]
    open_device: Callable[[], CudaDevice]

    def open(self) -> Synthesizer:
        """Skips the test where the runtime is not installed, or is none for this GPU."""
        synthesizer = Synthesizer(self.path, engine=self.kind.NAME, device="cuda", memory_limit=LIMIT)
        try:
            synthesizer.canvas(*SIZE)
        except EngineUnavailableError as error:
            pytest.skip(str(error))
        return synthesizer


@pytest.fixture(
    params=[*(pytest.param(kind, id=kind.NAME, marks=pytest.mark.gpu) for kind in KINDS), STAND_IN]
)
def case(
    request: pytest.FixtureRequest, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Case:
    kind = request.param
    if kind is DeviceEngine:
        fake = request.getfixturevalue("fake_cuda")
        monkeypatch.setattr(DeviceEngine, "fake", fake, raising=False)
        monkeypatch.setattr(selection, "ENGINES", [DeviceEngine, OnnxRuntimeEngine])
        network = repeating_network()
        return Case(make_bundle(upscaler=network, upscaler_later=network), kind, fake.device)
    try:
        kind.version()
    except EngineUnavailableError as error:
        pytest.skip(str(error))
    path, open_device = make_bundle(), partial(devices.open_device, 0)
    if kind.NAME in RUNTIMES:
        build_engines(path, RUNTIMES[kind.NAME], open_device())
    return Case(path, kind, open_device)


def build_engines(path: Path, runtime: Runtime, device: CudaDevice) -> None:
    major, minor = device.compute_capability
    gpu = f"sm{major}{minor}"
    try:
        pick_capabilities(runtime, gpu, "fp16")
    except EngineError as error:
        pytest.skip(str(error))
    arguments = ["--runtime", runtime.name, "--gpu", gpu, "--window", WINDOW, "--quiet"]
    assert to_trt.main([str(path), *arguments]) == 0


def repeating_network() -> bytes:
    """What the stand-in's kernel does."""
    graph = Graph(0)
    factors = graph.constant(np.array([1, 1, 4, 4], np.float32))
    how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    graph.add("Resize", "picture", "", factors, output="upscaled", **how)
    return graph.model({"picture": 3}, "upscaled")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_it_is_close_to_fp32_on_the_cpu(case: Case, dtype: Any) -> None:
    stats = RenderStats()
    picture = case.open().render(*SIZE, dtype=dtype, stats=stats)
    expected = Synthesizer(case.path, engine="onnxruntime", device="cpu").render(*SIZE, dtype=dtype)
    assert stats.tiles > 4
    assert stats.repaired_tiles == 0
    level = np.iinfo(dtype).max // 255
    difference = np.abs(picture.astype(np.int32) - expected)
    assert np.mean(difference <= level) >= 0.999
    assert difference.max() <= 4 * level
    assert len(np.unique(picture)) > 50


def test_renders_at_once_are_those_one_after_the_other(case: Case) -> None:
    synthesizer = case.open()

    def render(seed: int) -> Any:
        return synthesizer.render(*SIZE, seed=seed)

    expected = [render(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as executor:
        pictures = list(executor.map(render, (1, 2)))
    np.testing.assert_array_equal(pictures, expected)
    assert (expected[0] != expected[1]).any()


def test_memory_is_given_back(case: Case) -> None:
    def render(times: int) -> None:
        synthesizer = case.open()
        for _ in range(times):
            synthesizer.render(*SIZE)

    render(1)  # what the libraries keep for good
    gc.collect()
    before = case.open_device().free_memory()
    render(3)
    gc.collect()
    assert case.open_device().free_memory() >= before - SLACK
