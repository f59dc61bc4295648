"""ONNX Runtime on a GPU: on a stand-in for its CUDA provider, whose kernel the driver's stand-in runs."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_cuda import FakeCuda

from ourgan_sdk import Bundle, EngineError, RenderStats, Synthesizer
from ourgan_sdk.engines import Options, devices, onnxruntime_cuda
from ourgan_sdk.engines.onnxruntime_cuda import OnnxRuntimeCudaEngine
from ourgan_sdk.errors import EngineMemoryError, EngineUnavailableError

SIZE = (700, 500)
LIMIT = 8 << 20
UINT8 = np.dtype(np.uint8)


class StandIn:
    """As much of the onnxruntime module as the engine uses; every network repeats pixels 4 x 4 times."""

    __version__ = "1.31.1"

    def __init__(self, fake: FakeCuda) -> None:
        self.fake = fake
        self.sessions: list[Session] = []
        self.providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        self.has_libraries = True
        self.slow = "0"
        """The setting of prefer_nhwc that takes longer."""
        self.error = ""

    def get_available_providers(self) -> list[str]:
        return self.providers

    SessionOptions = SimpleNamespace

    class RunOptions:
        def __init__(self) -> None:
            self.entries: dict[str, str] = {}

        def add_run_config_entry(self, key: str, value: str) -> None:
            self.entries[key] = value

    def InferenceSession(self, network: bytes, options: Any, providers: list[Any]) -> "Session":  # noqa: N802
        assert network.startswith(b"\x08")
        assert options.log_severity_level == 4
        if self.error:
            raise RuntimeError(self.error)
        session = Session(self, dict(providers[0][1]))
        self.sessions.append(session)
        return session


class Session:
    def __init__(self, ort: StandIn, settings: dict[str, str]) -> None:
        self.ort, self.settings = ort, settings

    def get_providers(self) -> list[str]:
        return self.ort.providers if self.ort.has_libraries else ["CPUExecutionProvider"]

    def io_binding(self) -> "Binding":
        return Binding()

    def run_with_iobinding(self, binding: "Binding", options: StandIn.RunOptions) -> None:
        if self.ort.error:
            raise RuntimeError(self.ort.error)
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
    renderer = synthesizer(bundle_path)
    renderer.render(*SIZE)
    for engine in set(renderer._networks.opened.engines.values()):
        if engine._is_tuned:  # type: ignore[attr-defined]
            assert engine._session.settings["prefer_nhwc"] != slow  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attribute", "value", "error", "words"),
    [
        ("providers", ["CPUExecutionProvider"], EngineUnavailableError, "one for the CPU"),
        ("has_libraries", False, EngineUnavailableError, "no CUDA libraries that fit"),
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
    devices._open.cache_clear()
    assert devices.open_device(1) is devices.open_device(1)
    with pytest.raises(EngineError, match="expected a GPU from cuda:0 to cuda:1, got cuda:2"):
        devices.open_device(2)
    monkeypatch.setattr(Gpus, "count", staticmethod(lambda: 0))
    with pytest.raises(EngineUnavailableError, match="no NVIDIA GPU here"):
        devices.open_device(0)
    devices._open.cache_clear()
