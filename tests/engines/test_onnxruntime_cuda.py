"""ONNX Runtime on a GPU: on a stand-in for its CUDA provider, whose kernel the driver's stand-in runs."""

import logging
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import numpy as np
import onnxruntime
import pytest
from onnx import load_model_from_string, parser

from ourgan_sdk import Bundle, EngineError, RenderStats, Synthesizer
from ourgan_sdk.engines import Options, devices, onnxruntime_cuda
from ourgan_sdk.engines.graphs.precision import convert_upscaler, float_type
from ourgan_sdk.engines.onnxruntime_cuda import OnnxRuntimeCudaEngine
from ourgan_sdk.errors import EngineMemoryError, EngineUnavailableError
from tests.fake_cuda import FakeCuda

SIZE = (700, 500)
LIMIT = 8 << 20
UINT8 = np.dtype(np.uint8)


class StandIn:
    """As much of the onnxruntime module as the engine uses; every network repeats pixels 4 x 4 times."""

    __version__ = "1.31.1"
    cuda_version = "13.0"

    def __init__(self, fake: FakeCuda) -> None:
        self.fake = fake
        self.sessions: WeakSet[Session] = WeakSet()
        self.providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        self.has_libraries = True
        self.slow = "0"
        """The setting of prefer_nhwc that takes longer."""
        self.error = ""
        self.error_with_nhwc = ""
        self.on_cpu = ["Shape", "Slice", "Mul"]
        """What the nodes are that get no CUDA kernel."""
        self.preloads = 0

    def get_available_providers(self) -> list[str]:
        return self.providers

    def preload_dlls(self) -> None:
        self.preloads += 1
        sys.stdout.write("Failed to load libcufft.so.12\n")

    class SessionOptions(SimpleNamespace):
        def add_session_config_entry(self, key: str, value: str) -> None:
            assert (key, value) == ("session.record_ep_graph_assignment_info", "1")

    class RunOptions:
        def __init__(self) -> None:
            self.entries: dict[str, str] = {}

        def add_run_config_entry(self, key: str, value: str) -> None:
            self.entries[key] = value

    def InferenceSession(self, network: bytes, options: Any, providers: list[Any]) -> "Session":  # noqa: N802
        assert self.preloads > 0
        assert load_model_from_string(network).opset_import[0].version == 18
        assert options.log_severity_level == 4
        if self.error:
            raise RuntimeError(self.error)
        assert all(other.network != network for other in self.sessions)  # each holds memory of the GPU
        session = Session(self, network, dict(providers[0][1]))
        self.sessions.add(session)
        return session


class Session:
    def __init__(self, ort: StandIn, network: bytes, settings: dict[str, str]) -> None:
        self.ort, self.network, self.settings = ort, network, settings

    def get_providers(self) -> list[str]:
        return self.ort.providers if self.ort.has_libraries else ["CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self) -> list[SimpleNamespace]:
        placed = [
            ("CUDAExecutionProvider", "Conv"),
            *(("CPUExecutionProvider", kind) for kind in self.ort.on_cpu),
        ]
        return [
            SimpleNamespace(ep_name=name, get_nodes=partial(list, [SimpleNamespace(op_type=kind)]))
            for name, kind in placed
        ]

    def io_binding(self) -> "Binding":
        return Binding()

    def run_with_iobinding(self, binding: "Binding", options: StandIn.RunOptions) -> None:
        if self.ort.error:
            raise RuntimeError(self.ort.error)
        if self.settings["prefer_nhwc"] == "1" and self.ort.error_with_nhwc:
            raise RuntimeError(self.ort.error_with_nhwc)
        waits = not options.entries
        if waits and self.settings["prefer_nhwc"] == self.ort.slow:
            time.sleep(0.02)
        (pixels, shape, wide), (upscaled, _, narrow) = binding.bound["pixels"], binding.bound["upscaled"]
        check = binding.bound["check"][0]
        stream = int(self.settings["user_compute_stream"])
        self.ort.fake.launch_upscale(stream, pixels, upscaled, check, shape[1:], 4, wide, narrow)


class Binding:
    def __init__(self) -> None:
        self.bound: dict[str, tuple[int, Any, str]] = {}

    def bind_input(
        self, name: str, device: str, ordinal: int, dtype: np.dtype[Any], shape: Any, address: int
    ) -> None:
        assert (device, ordinal) == ("cuda", 0)
        self.bound[name] = address, shape, dtype.name

    bind_output = bind_input


@pytest.fixture
def ort(fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:  # freed in this order
    stand_in, device = StandIn(fake_cuda), fake_cuda.device()
    monkeypatch.setattr(onnxruntime_cuda, "import_onnxruntime", lambda: stand_in)
    monkeypatch.setattr(onnxruntime_cuda, "open_device", lambda _ordinal: device)
    yield stand_in
    stand_in.sessions.clear()


def synthesizer(path: Path, **options: Any) -> Synthesizer:
    return Synthesizer(path, engine="onnxruntime", device="cuda", memory_limit=LIMIT, **options)


def open_engine(path: Path, **options: Any) -> OnnxRuntimeCudaEngine:
    bundle = Bundle.open(path)
    return OnnxRuntimeCudaEngine.open(bundle, bundle.manifest.upscalers[0], UINT8, Options(**options))


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_renders(bundle_path: Path, ort: StandIn, precision: Any, dtype: Any) -> None:
    ort.fake.set_jitter(0.2)
    stats = RenderStats()
    renderer = synthesizer(bundle_path, precision=precision)
    picture = renderer.render(*SIZE, dtype=dtype, stats=stats)
    ort.fake.set_jitter(0)
    # What has been repeated 4 x 4 times three times over.
    assert stats.tiles > 10
    assert stats.repaired_tiles == 0
    blocks = picture[: 500 // 4 * 4, : 700 // 4 * 4].reshape(125, 4, 175, 4, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert len(np.unique(picture)) > 50


def test_work_is_queued_on_the_devices_stream(bundle_path: Path, ort: StandIn) -> None:
    engine = open_engine(bundle_path)
    for session in ort.sessions:
        assert session.settings["user_compute_stream"] == str(engine.device.stream)
        assert session.settings["cudnn_conv_algo_search"] == "EXHAUSTIVE"


@pytest.mark.parametrize("slow", ["0", "1"])
def test_the_faster_layout_is_kept(bundle_path: Path, ort: StandIn, slow: str) -> None:
    ort.slow = slow
    assert layouts_after_a_render(bundle_path) == {"1" if slow == "0" else "0"}


@pytest.mark.parametrize("error", ["CUDNN_STATUS_NOT_SUPPORTED", "CUDA failure 2: out of memory"])
def test_a_layout_that_does_not_work_is_left_alone(bundle_path: Path, ort: StandIn, error: str) -> None:
    ort.error_with_nhwc = error
    assert layouts_after_a_render(bundle_path) == {"0"}


@pytest.mark.usefixtures("ort")
def test_fp32_keeps_the_layout_that_computes_in_fp32(bundle_path: Path) -> None:
    assert layouts_after_a_render(bundle_path, precision="fp32") == {"0"}


def layouts_after_a_render(path: Path, **options: Any) -> set[str]:
    """The settings of prefer_nhwc that the engines which have rendered are left with."""
    renderer = synthesizer(path, **options)
    renderer.render(*SIZE)
    engines: set[Any] = set(renderer._networks.opened.engines.values())
    return {engine._session.settings["prefer_nhwc"] for engine in engines if engine._is_tuned}


def test_what_is_said_of_libraries_goes_to_the_log(
    bundle_path: Path, ort: StandIn, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        open_engine(bundle_path)
    assert ort.preloads == 1
    assert "Failed to load libcufft" in caplog.text
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("output", [np.uint8, None])
def test_the_lower_opset_computes_the_same(networks: dict[str, bytes], precision: Any, output: Any) -> None:
    output = output or float_type(precision)
    network = convert_upscaler(networks["upscaler.onnx"], precision, np.dtype(output))
    pixels = np.random.default_rng(0).random((1, 24, 40, 3)).astype(float_type(precision))
    expected, got = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"pixels": pixels})
        for model in (network, onnxruntime_cuda._lower(network))
    )
    for values, other in zip(expected, got, strict=True):
        np.testing.assert_array_equal(values, other)


def test_a_network_that_the_lower_opset_has_not() -> None:
    network = parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]> gelu (float[n] x) => (float[n] y) { y = Gelu(x) }'
    )
    with pytest.raises(EngineError, match=r"cannot be had in opset 18: .*Gelu"):
        onnxruntime_cuda._lower(network.SerializeToString())


@pytest.mark.parametrize(
    ("attribute", "value", "error", "words"),
    [
        ("providers", ["CPUExecutionProvider"], EngineUnavailableError, "one for the CPU"),
        (
            "has_libraries",
            False,
            EngineUnavailableError,
            "cannot load its CUDA provider, built for CUDA 13.0",
        ),
        (
            "on_cpu",
            ["Resize", "Shape", "Conv"],
            EngineError,
            "no CUDA kernels for the network's Conv, Resize",
        ),
        ("error", "bad node", EngineError, "cannot load the network on the GPU: bad"),
        ("error", "CUDA failure 2: out of memory", EngineMemoryError, "out of memory"),
    ],
)
def test_what_keeps_it_from_opening(
    bundle_path: Path, ort: StandIn, attribute: str, value: Any, error: type[Exception], words: str
) -> None:
    setattr(ort, attribute, value)
    with pytest.raises(error, match=words):
        open_engine(bundle_path)


def test_devices_have_plain_numbers() -> None:
    assert Options(device="cuda:12").ordinal == 12
    for device in ("cuda:\N{ARABIC-INDIC DIGIT ONE}", "cuda:", "cuda:-1", "cpu:0"):
        with pytest.raises(EngineError, match="expected a device of auto"):
            Options(device=device)


@pytest.mark.usefixtures("ort")
def test_it_does_not_compute_in_bf16(bundle_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="computes in fp32 or fp16, not in bf16"):
        open_engine(bundle_path, precision="bf16")


def test_an_error_in_a_run_ends_the_render(bundle_path: Path, ort: StandIn, tmp_path: Path) -> None:
    renderer = synthesizer(bundle_path)
    renderer.canvas(*SIZE)  # opens the engines
    ort.error = "CUDA error: an illegal memory access was encountered"
    with pytest.raises(EngineError, match="on the GPU: CUDA error: an illegal"):
        renderer.render(*SIZE, out=tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


def test_gpus_that_are_not_there(monkeypatch: pytest.MonkeyPatch, fake_cuda: FakeCuda) -> None:
    fake_cuda.set_devices(2)

    class Gpus:
        def __new__(cls, ordinal: int) -> Any:
            return fake_cuda.device(ordinal)

        @staticmethod
        def count() -> int:
            return 2

    monkeypatch.setattr(devices, "CudaDevice", Gpus)
    devices._opened.let_go()
    assert devices.open_device(1) is devices.open_device(1)
    with pytest.raises(EngineError, match="expected a GPU from cuda:0 to cuda:1, got cuda:2"):
        devices.open_device(2)
    monkeypatch.setattr(Gpus, "count", staticmethod(lambda: 0))
    with pytest.raises(EngineUnavailableError, match="no NVIDIA GPU here"):
        devices.open_device(0)
    devices._opened.let_go()
