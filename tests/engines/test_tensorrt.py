"""Engines of TensorRT, on stand-ins for its run time and for the driver; and the real one, without a GPU."""

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import platformdirs
import pytest

from ourgan_sdk import Bundle, EngineError, RenderStats, Synthesizer
from ourgan_sdk.bundle import EngineRecord, Window, add_engines
from ourgan_sdk.engines import Options, selection
from ourgan_sdk.engines.gpu_memory import memory_of_render, smallest_window
from ourgan_sdk.engines.graphs.even_strips import ALIGNMENT
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.engines.own_plans import ALLOW_PLANS, remember_plan
from ourgan_sdk.engines.tensorrt import TensorRtEngine, TensorRtRtxEngine
from ourgan_sdk.errors import EngineMemoryError, EngineUnavailableError
from ourgan_sdk.system.cache import cache_folder
from tests.fake_cuda import FakeCuda

SIZE = (700, 500)
SMALLEST, LARGEST = Window(height=16, width=16), Window(height=48, width=48)
FIXED = Window(height=40, width=56)
PER_PIXEL = 40
VERSION = "1.7.1.116"
UINT8, UINT16 = np.dtype(np.uint8), np.dtype(np.uint16)


class StandIn(ModuleType):
    """As much of TensorRT's module as runs engines; plans are JSON, and repeat every pixel 4 x 4 times."""

    def __init__(self, name: str, fake: FakeCuda) -> None:
        super().__init__(name)
        self.__version__ = VERSION
        self.fake = fake
        self.contexts: list[Context] = []
        self.compiled = 0
        self.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")
        self.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")

    class ILogger:
        VERBOSE, ERROR, INTERNAL_ERROR = "verbose", "error", "internal error"

    def Runtime(self, logger: Any) -> SimpleNamespace:  # noqa: N802 - as it is called
        def deserialize_cuda_engine(plan: bytes) -> "CudaEngine | None":
            assert self.fake.current_context() is not None
            try:
                return CudaEngine(self, logger, json.loads(plan))
            except ValueError:
                logger.log("info", "Loaded engine size: 0 MiB")
                logger.log("error", "Serialization assertion header.magicTag failed")
                return None

        return SimpleNamespace(deserialize_cuda_engine=deserialize_cuda_engine)


class CudaEngine:
    def __init__(self, trt: StandIn, logger: Any, plan: dict[str, Any]) -> None:
        self.trt, self.logger, self.plan = trt, logger, plan
        self.device_memory_size_v2 = PER_PIXEL * LARGEST.height * LARGEST.width
        self.cache = RuntimeCache()

    def create_runtime_config(self) -> "RuntimeConfig":
        return RuntimeConfig()

    def create_execution_context(self, settings: Any) -> "Context | None":
        if self.plan.get("fails"):
            self.logger.log("error", self.plan["fails"])
            return None
        if isinstance(settings, RuntimeConfig):
            assert settings.strategy == "user managed"
            assert settings.dynamic_shapes_kernel_specialization_strategy == "eager"
            self.cache = settings.cache
            self.compile(b"kernels")
        else:
            assert settings == "user managed"
        return Context(self)

    def compile(self, kernels: bytes) -> None:
        if kernels not in self.cache.content:
            self.trt.compiled += 1
            self.cache.content += kernels


class RuntimeConfig:
    def __init__(self) -> None:
        self.cache = RuntimeCache()

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> "RuntimeCache":
        return RuntimeCache()

    def set_runtime_cache(self, cache: "RuntimeCache") -> None:
        self.cache = cache


class RuntimeCache:
    content: bytes = b""

    def deserialize(self, content: bytes) -> bool:
        if not content.startswith(b"kernels"):
            return False
        self.content = content
        return True

    def serialize(self) -> memoryview | None:
        return memoryview(self.content) if self.content else None


class Context:
    def __init__(self, engine: CudaEngine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.memory = (0, 0)
        self.profile: int | None = None
        self.shape: tuple[int, ...] = ()
        engine.trt.contexts.append(self)

    def set_optimization_profile_async(self, index: int, _stream: int) -> bool:
        self.profile = index
        return index == 0

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert (name, self.profile) == ("pixels", 0)
        self.shape = shape
        smallest, largest = self.engine.plan["windows"]
        if all(a <= b <= c for a, b, c in zip(smallest, shape[1:3], largest, strict=True)):
            return True
        self.engine.logger.log("error", f"not within the profile: {shape}")
        return False

    def update_device_memory_size_for_shapes(self) -> int:
        _, height, width, _ = self.shape
        return PER_PIXEL * height * width

    def set_device_memory(self, address: int, size: int) -> None:
        self.memory = (address, size)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return name in ("pixels", "upscaled", "check")

    def execute_async_v3(self, stream: int) -> bool:
        trt, plan = self.engine.trt, self.engine.plan
        assert trt.fake.current_context() is not None
        assert self.memory[0]
        assert self.memory[1] >= PER_PIXEL * self.shape[1] * self.shape[2]
        if trt.__name__ == "tensorrt_rtx":
            self.engine.compile(b" for %d x %d" % self.shape[1:3])
        try:
            trt.fake.launch_upscale(
                stream,
                *(self.addresses[name] for name in ("pixels", "upscaled", "check")),
                self.shape[1:],
                4,
                plan["input"],
                plan["output"],
            )
        except EngineError as error:
            self.engine.logger.log("error", f"Cuda Runtime ({error})")
            return False
        return True


@pytest.fixture(params=["tensorrt-rtx", "tensorrt"])
def name(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def trt(name: str, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    stand_in = StandIn(name.replace("-", "_"), fake_cuda)
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setattr("ourgan_sdk.engines.tensorrt.open_device", fake_cuda.device)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda app: tmp_path / "cache" / app)
    monkeypatch.setattr(selection, "ENGINES", [TensorRtRtxEngine, TensorRtEngine, OnnxRuntimeEngine])
    monkeypatch.setenv(ALLOW_PLANS, "1")
    return stand_in


def capability(fake: FakeCuda) -> str:
    return ".".join(map(str, fake.device().compute_capability))


def with_engines(
    path: Path, name: str, target: Path, capabilities: list[str], plan: dict[str, Any] | bytes | None = None,
    **changes: Any,
) -> Path:  # fmt: skip
    """The bundle with stand-in engines for all its upscalers and both outputs."""
    bundle = Bundle.open(path)
    engines = []
    for network in ("upscaler.onnx", "upscaler_later.onnx"):
        for output in ("uint8", "float16"):
            record = EngineRecord.model_validate(
                {
                    "file": f"engines/{network}-{output}.plan",
                    "network": network,
                    "network_sha256": bundle.manifest.files[network].sha256,
                    "runtime": name,
                    "version": VERSION,
                    "precision": "fp16",
                    "output": output,
                    "compute_capabilities": capabilities,
                    "smallest_window": SMALLEST,
                    "window": LARGEST,
                    "activation_bytes": PER_PIXEL * LARGEST.height * LARGEST.width,
                }
                | changes
            )
            content: dict[str, Any] = {"network": network, "input": "float16", "output": output}
            content["windows"] = [
                (window.height, window.width) for window in (record.smallest_window, record.window)
            ]
            data = plan if isinstance(plan, bytes) else json.dumps(content | (plan or {})).encode()
            engines.append((record, data))
    return add_engines(bundle, engines, target).path


@pytest.fixture
def make(bundle_path: Path, name: str, trt: StandIn, tmp_path: Path) -> Callable[..., Path]:
    """Writes the bundle with engines that fit the stand-ins, but for what is given."""

    def write(plan: dict[str, Any] | bytes | None = None, **changes: Any) -> Path:
        target = tmp_path / "engines.ourgan"
        return with_engines(bundle_path, name, target, [capability(trt.fake)], plan, **changes)

    return write


def synthesizer(path: Path, name: str, **options: Any) -> Synthesizer:
    return Synthesizer(path, engine=name, device="cuda", **options)


def open_engine(
    path: Path, name: str, precision: Any = "auto", dtype: np.dtype[Any] = UINT8, upscaler: Any = None
) -> Any:
    bundle = Bundle.open(path)
    upscaler = upscaler or bundle.manifest.upscalers[0]
    kind = {"tensorrt-rtx": TensorRtRtxEngine, "tensorrt": TensorRtEngine}[name]
    return kind.open(bundle, upscaler, dtype, Options(precision=precision))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_renders(make: Callable[..., Path], name: str, trt: StandIn, dtype: Any) -> None:
    path = make()
    stats = RenderStats()
    renderer = synthesizer(path, name)
    picture = renderer.render(*SIZE, 3, dtype=dtype, stats=stats)
    assert stats.tiles > 10
    # Every pixel of the base is repeated; noise differs from pixel to pixel of the first pass alone.
    blocks = picture[: SIZE[1] // 4 * 4, : SIZE[0] // 4 * 4].reshape(SIZE[1] // 4, 4, SIZE[0] // 4, 4, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert len(np.unique(blocks[:, 0, :, 0])) > 100
    trt.fake.set_jitter(0.5)
    np.testing.assert_array_equal(renderer.render(*SIZE, 3, dtype=dtype), picture)


def test_slots_have_contexts_of_their_own_and_share_scratch(
    make: Callable[..., Path], name: str, trt: StandIn
) -> None:
    renderer = synthesizer(make(), name)
    renderer.render(*SIZE)
    by_engine: dict[int, list[Context]] = {}
    for context in trt.contexts:
        by_engine.setdefault(id(context.engine), []).append(context)
    used = [contexts for contexts in by_engine.values() if len(contexts) > 1]
    assert used
    for contexts in used:
        assert len(contexts) == len({context.addresses["pixels"] for context in contexts})
        assert len({context.memory for context in contexts}) == 1
    assert max(map(len, used)) == 3
    count = len(trt.contexts)
    renderer.render(*SIZE)
    assert len(trt.contexts) == count  # the contexts serve again


def test_windows_and_types_are_the_records(make: Callable[..., Path], name: str) -> None:
    engine = open_engine(make(), name, dtype=UINT16)
    assert engine.precision == "fp16"
    assert (engine.rules.window, engine.rules.max_side, engine.rules.alignment) == (None, 48, ALIGNMENT)
    assert (engine.rules.format.input_type, engine.rules.format.output_type) == ("float16", "float16")
    assert engine.rules.bytes_per_pixel == PER_PIXEL
    engine = open_engine(make(smallest_window=FIXED, window=FIXED, activation_bytes=100_000), name)
    assert (engine.rules.window, engine.rules.max_side) == ((40, 56), None)
    assert engine.rules.bytes_per_pixel == -(-100_000 // (40 * 56))


def test_windows_are_within_the_profile(make: Callable[..., Path], name: str, trt: StandIn) -> None:
    """Pictures of any size: windows of two halos and a pixel at least, which the profile begins with."""
    path = make()
    for upscaler in Bundle.open(path).manifest.upscalers:
        assert smallest_window(upscaler) == SMALLEST
    renderer = synthesizer(path, name)
    for size in ((1, 1), (16, 500), (90, 3), (900, 700)):
        renderer.render(*size)
    shapes = {context.shape[1:3] for context in trt.contexts}
    assert len(shapes) > 1
    assert all(16 <= side <= 48 and side % ALIGNMENT == 0 for shape in shapes for side in shape)


def test_scratch_is_as_large_as_the_window_asks_for(
    make: Callable[..., Path], name: str, trt: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesizer(make(), name).render(100, 80)
    smaller = max(context.memory[1] for context in trt.contexts)
    assert smaller < PER_PIXEL * 48 * 48
    monkeypatch.delattr(Context, "update_device_memory_size_for_shapes")
    synthesizer(make(), name).render(100, 80)
    assert max(context.memory[1] for context in trt.contexts) == PER_PIXEL * 48 * 48


def test_fixed_windows(make: Callable[..., Path], name: str, trt: StandIn) -> None:
    free = synthesizer(make(), name).render(*SIZE)
    trt.contexts.clear()
    fixed = synthesizer(make(smallest_window=FIXED, window=FIXED), name).render(*SIZE)
    assert {context.shape[1:3] for context in trt.contexts} == {(40, 56), ()}  # and one that only opened
    np.testing.assert_array_equal(fixed, free)


def test_half_precision_is_preferred(make: Callable[..., Path], name: str) -> None:
    path = make()
    bundle = Bundle.open(path)
    single = {"uint8": "uint8", "float16": "float32"}
    changes = [
        {"precision": "fp32", "output": single[record.output], "file": f"engines/{index}"}
        for index, record in enumerate(bundle.manifest.engines)
    ]
    records = [
        record.model_copy(update=change)
        for record, change in zip(bundle.manifest.engines, changes, strict=True)
    ]
    add_engines(bundle, [(record, b"{}") for record in records])
    assert open_engine(path, name).precision == "fp16"
    assert open_engine(path, name, "fp32").precision == "fp32"
    assert open_engine(path, name, "fp32", UINT16).rules.format.output_type == "float32"
    with pytest.raises(EngineUnavailableError, match=r"no bf16 engine of upscaler\.onnx .*--precision bf16"):
        open_engine(path, name, "bf16")


def test_what_cannot_be_used_hides_no_other_precision(make: Callable[..., Path], name: str) -> None:
    path = make(version="1.6")
    bundle = Bundle.open(path)
    single = [
        record.model_copy(update={"precision": "fp32", "version": version, "file": f"engines/{version}"})
        for record, version in zip(bundle.manifest.engines[::2], ("1.5", VERSION), strict=True)
    ]
    add_engines(bundle, [(record, b"{}") for record in single])
    later = bundle.manifest.upscalers[1]
    with pytest.raises(EngineError, match=r"engines/upscaler\.onnx-uint8\.plan was built by .* 1\.6"):
        open_engine(path, name)
    assert open_engine(path, name, upscaler=later).precision == "fp32"
    with pytest.raises(EngineError, match=r"engines/.*later.*-uint8\.plan was built by .* 1\.6"):
        open_engine(path, name, "fp16", upscaler=later)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"version": "1.6"},
            rf"built by TensorRT.* 1\.6, {VERSION} is installed: build it again with python",
        ),
        ({"compute_capabilities": ["5.0"]}, r"for GPUs of compute capability 5\.0; Fake GPU has 8\.6: build"),
        ({"network_sha256": "0" * 64}, r"built from another upscaler\.onnx than the bundle's"),
        ({"plan": b"no plan"}, r"refuses engines/upscaler\.onnx-uint8\.plan: Serialization assertion"),
    ],
)
def test_refused_by_name(make: Callable[..., Path], name: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        open_engine(make(**changes), name)
    if "again" in str(caught.value):
        assert str(caught.value).endswith(f"--runtime {name} --precision fp16")


def test_a_limit_lower_than_its_memory(make: Callable[..., Path], name: str) -> None:
    """Of fixed windows: those of all passes count. Of others: the smallest ones."""
    path = make(smallest_window=FIXED, window=FIXED, activation_bytes=1 << 20)
    bundle = Bundle.open(path)
    needed = memory_of_render(bundle.manifest, bundle.manifest.engines, weights=1000)
    slots = 3 * 3 * (2 + 16 * 2) * 40 * 56
    passes = 5  # 16K, from a base of 12 x 18
    assert passes * ((1 << 20) + slots) <= needed - 1000 < passes * ((1 << 20) + 40 * 56 + slots)
    words = r"fp16 engines for TensorRT.* take \d+ bytes of the GPU's memory, memory_limit is 7000000: allow"
    with pytest.raises(EngineError, match=words):
        Synthesizer(path, engine=name, memory_limit=7_000_000).canvas(*SIZE)
    Synthesizer(path, engine=name, memory_limit=1 << 30).canvas(*SIZE)
    Synthesizer(make(activation_bytes=1 << 20), engine=name, memory_limit=7_000_000).canvas(*SIZE)


def test_not_there(
    bundle_path: Path, make: Callable[..., Path], name: str, trt: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = r"holds no engine of upscaler\.onnx for TensorRT.*: python export/to_trt\.py .* --runtime"
    with pytest.raises(EngineUnavailableError, match=words):
        open_engine(bundle_path, name)
    path = make()
    monkeypatch.setitem(sys.modules, trt.__name__, None)
    with pytest.raises(EngineUnavailableError, match=rf"is not installed: .*ourgan-sdk\[{name}\]"):
        open_engine(path, name)


def test_damaged_plan(make: Callable[..., Path], name: str) -> None:
    path = make()
    data = bytearray(path.read_bytes())
    data[data.index(b'{"network"') + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(EngineError, match="is damaged"):
        open_engine(path, name)


class TestPlansOfOthers:
    """A plan is a program: one that came with a bundle runs only if somebody has said so."""

    WORDS = r"engines\.ourgan: engines/upscaler\.onnx-uint8\.plan was not built here, .* use allow_plans=True"

    @pytest.fixture(autouse=True)
    def _nobody_allows(self, trt: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG002 - allows
        monkeypatch.delenv(ALLOW_PLANS)
        monkeypatch.delenv("OURGAN_ENGINE", raising=False)

    def remember(self, path: Path) -> None:
        bundle = Bundle.open(path)
        for record in bundle.manifest.engines:
            remember_plan(bundle.read(record.file), cache_folder())

    def test_are_never_given_to_the_runtime(
        self, make: Callable[..., Path], name: str, trt: StandIn, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = make()
        with pytest.raises(EngineError, match=self.WORDS):
            synthesizer(path, name).render(*SIZE)
        Synthesizer(path).render(100, 80)
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert [line for line in lines if "was not built here" in line]
        assert not trt.contexts

    @pytest.mark.parametrize("value", ["", "0", "true"])
    def test_no_other_value_allows_them(
        self, make: Callable[..., Path], name: str, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv(ALLOW_PLANS, value)
        with pytest.raises(EngineError, match=self.WORDS):
            open_engine(make(), name)

    def test_run_where_they_are_allowed(
        self, make: Callable[..., Path], trt: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = make()
        allowed = Synthesizer(path, allow_plans=True).render(*SIZE)
        contexts = len(trt.contexts)
        assert contexts
        monkeypatch.setenv(ALLOW_PLANS, "1")
        np.testing.assert_array_equal(Synthesizer(path).render(*SIZE), allowed)
        assert len(trt.contexts) == 2 * contexts

    def test_ones_own_are_no_others(self, make: Callable[..., Path], name: str, trt: StandIn) -> None:
        self.remember(make())
        Synthesizer(make()).render(100, 80)
        assert trt.contexts
        with pytest.raises(EngineError, match=self.WORDS):
            open_engine(make({"windows": [(16, 16), (47, 48)]}), name)

    @pytest.mark.skipif(sys.platform == "win32", reason="folders have other permissions there")
    @pytest.mark.parametrize("writable", ["own-plans", "own-plans/*"])
    def test_what_others_can_write_vouches_for_nothing(
        self, make: Callable[..., Path], name: str, writable: str
    ) -> None:
        path = make()
        self.remember(path)
        open_engine(path, name)
        for place in cache_folder().glob(writable):
            place.chmod(0o777)
        with pytest.raises(EngineError, match=self.WORDS):
            open_engine(path, name)

    def test_no_folder_for_notes(
        self, make: Callable[..., Path], name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "cache").write_text("a file in the folder's place")
        self.remember(make())
        assert "cannot be noted" in caplog.text
        with pytest.raises(EngineError, match=self.WORDS):
            open_engine(make(), name)


def test_what_cannot_be_used_is_passed_over(
    make: Callable[..., Path], name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OURGAN_ENGINE")
    path = make(version="1.6")
    Synthesizer(path).render(100, 80)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith(f"going on without {name} on cuda: ")
    assert "1.6" in line


def test_failures_while_it_runs(make: Callable[..., Path], name: str, trt: StandIn) -> None:
    outside = make({"windows": [(16, 16), (32, 32)]})
    with pytest.raises(EngineError, match=r"takes no tiles of \(1, .*: not within the profile"):
        synthesizer(outside, name).render(*SIZE)
    trt.fake.fail("launch", 5)
    with pytest.raises(EngineError, match=r"TensorRT.* failed: Cuda Runtime \(launch failed with 719\)"):
        synthesizer(make(), name).render(*SIZE)


def test_failures_while_it_is_opened(
    make: Callable[..., Path], name: str, trt: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineMemoryError, match="cannot prepare the engine: Error Code 2: OutOfMemory"):
        open_engine(make({"fails": "Error Code 2: OutOfMemory (Requested size was 5)"}), name)
    with pytest.raises(EngineError, match="cannot prepare the engine: other reasons"):
        open_engine(make({"fails": "other reasons"}), name)
    monkeypatch.delattr(trt, "ExecutionContextAllocationStrategy")  # as in other versions
    with pytest.raises(EngineError, match=rf"{VERSION} cannot be used: .*ExecutionContextAllocationStrategy"):
        open_engine(make(), name)


def test_old_messages_are_no_reasons(
    make: Callable[..., Path], name: str, trt: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speaking(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(context: Context, *arguments: Any) -> Any:
            result = method(context, *arguments)
            context.engine.logger.log("error", "an old one")
            return result

        return call

    monkeypatch.setattr(Context, "set_device_memory", speaking(Context.set_device_memory))
    renderer = synthesizer(make(), name)
    trt.fake.fail("launch", 5)
    with pytest.raises(EngineError, match=r"failed: Cuda Runtime \(launch failed with 719\)$"):
        renderer.render(*SIZE)
    profiles = speaking(Context.set_optimization_profile_async)
    monkeypatch.setattr(Context, "set_optimization_profile_async", profiles)
    with pytest.raises(EngineError, match=r"takes no tiles of \(.*\): not within the profile: \(.*\)$"):
        synthesizer(make({"windows": [(16, 16), (32, 32)]}), name).render(*SIZE)


def cached(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").rglob("*.cache"))


@pytest.mark.parametrize("name", ["tensorrt-rtx"])
class TestCompiledKernels:
    def test_are_kept_and_used_again(
        self, make: Callable[..., Path], name: str, trt: StandIn, tmp_path: Path
    ) -> None:
        path = make()
        first = synthesizer(path, name).render(*SIZE)
        compiled = trt.compiled
        gc.collect()
        contents = [file.read_bytes() for file in cached(tmp_path)]
        assert sum(content.count(b" for ") + 1 for content in contents) == compiled > len(contents) > 0
        np.testing.assert_array_equal(synthesizer(path, name).render(*SIZE), first)
        assert trt.compiled == compiled
        trt.__version__ = "1.8"
        synthesizer(make(version="1.8"), name).render(*SIZE)
        assert trt.compiled == 2 * compiled
        assert len(cached(tmp_path)) == 2 * len(contents)

    def test_are_made_anew_where_they_are_damaged(
        self, make: Callable[..., Path], name: str, trt: StandIn, tmp_path: Path
    ) -> None:
        path = make()
        synthesizer(path, name).render(*SIZE)
        compiled = trt.compiled
        for file in cached(tmp_path):
            file.write_bytes(b"kern")
        synthesizer(path, name).render(*SIZE)
        assert trt.compiled == 2 * compiled
        assert all(file.read_bytes().startswith(b"kernels") for file in cached(tmp_path))

    def test_are_not_kept_where_there_is_nothing_to_keep(
        self, make: Callable[..., Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RuntimeCache, "serialize", lambda _self: None)
        synthesizer(make(), name).render(*SIZE)
        assert not cached(tmp_path)

    def test_need_no_folder(self, make: Callable[..., Path], name: str, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file in the folder's place")
        synthesizer(make(), name).render(*SIZE)


def test_the_real_one_without_a_gpu(bundle_path: Path, tmp_path: Path) -> None:
    """No plan of this kind ends the process, and none is taken."""
    tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    from ourgan_sdk._core import CudaDevice  # noqa: PLC0415

    if CudaDevice.count():
        pytest.skip("there is a GPU")
    path = with_engines(
        bundle_path,
        "tensorrt-rtx",
        tmp_path / "a.ourgan",
        ["8.6"],
        b"x" * 5000,
        version=tensorrt_rtx.__version__,
    )
    code = """
import sys, tensorrt_rtx
from ourgan_sdk import Bundle, EngineError
from ourgan_sdk.engines import Options, tensorrt
from types import SimpleNamespace
import contextlib, numpy as np
bundle = Bundle.open(sys.argv[1])
arguments = bundle, bundle.manifest.upscalers[0], np.dtype(np.uint8), Options(allow_plans=True)
class Device(contextlib.nullcontext):
    name, compute_capability, driver_version = "pretended", (8, 6), 13000
def attempt():
    try:
        tensorrt.TensorRtRtxEngine.open(*arguments)
    except EngineError as error:
        print(type(error).__name__, error)
attempt()
tensorrt.open_device = lambda ordinal: Device()
attempt()
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("EngineUnavailableError there is no NVIDIA GPU here, no driver for it, or ")
    assert second.startswith("EngineError TensorRT for RTX refuses engines/upscaler.onnx-uint8.plan: ")
