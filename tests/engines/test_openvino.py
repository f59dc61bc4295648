"""The OpenVINO engine: equal to ONNX Runtime, the same every time, within its bounds, and silent."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch

from ourgan_sdk import Bundle, EngineError
from ourgan_sdk.bundle import Upscaler
from ourgan_sdk.calibration.halo import cut_windows, seam_error
from ourgan_sdk.engines import Options, openvino, runtimes
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.engines.openvino import OpenVinoEngine
from ourgan_sdk.engines.protocol import Precision
from ourgan_sdk.errors import EngineMemoryError, EngineUnavailableError
from ourgan_sdk.synthesizer import sample_bundle
from ourgan_sdk.system.forks import PerProcess
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import RRDBNet

try:
    BF16 = "BF16" in openvino._capabilities()
except EngineUnavailableError as error:
    pytest.skip(f"OpenVINO cannot be imported: {error.__cause__}", allow_module_level=True)

needs_bf16 = pytest.mark.skipif(not BF16, reason="this processor has no instructions for bf16")
UINT8 = np.dtype(np.uint8)
PRECISIONS: list[Precision] = ["fp32", "bf16"] if BF16 else ["fp32"]


@pytest.fixture(scope="module")
def sample() -> Bundle:
    return Bundle.open(sample_bundle())


@pytest.fixture(scope="module")
def upscaler(sample: Bundle) -> bytes:
    """A residual network."""
    return sample.read(sample.manifest.upscalers[0].file)


@pytest.fixture(scope="module")
def rrdb() -> bytes:
    """An RRDB of random weights, its end in strips."""
    torch.manual_seed(0)
    network = RRDBNet(16, 2, 8)
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) * 0.02
    return export_upscaler(network)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, height, width), dtype=np.float32)


@pytest.mark.parametrize("size", [(32, 48), (33, 71), (3, 5), (1, 1)])
def test_fp32_equals_onnx_runtime(
    upscaler: bytes, rrdb: bytes, networks: dict[str, bytes], size: tuple[int, int]
) -> None:
    for network in (upscaler, rrdb, networks["upscaler.onnx"]):
        expected = OnnxRuntimeEngine(network).enlarge(picture(*size))
        np.testing.assert_allclose(OpenVinoEngine(network).enlarge(picture(*size)), expected, atol=2e-5)


@needs_bf16
def test_bf16_is_close_to_fp32(sample: Bundle) -> None:
    """On clean input about as close as bfloat16 could hold a picture: its steps next to 1 are a level.

    What makes detail out of noise amplifies what it rounds, too: pass 1's and pass 2's are farther off.
    """
    bounds = ((4.0, 0.3), (3.0, 0.2), (1.5, 0.1))
    for upscaler, (largest, mean) in zip(sample.manifest.upscalers, bounds, strict=True):
        example, network = openvino._example(sample, upscaler), sample.read(upscaler.file)
        one, other = (OpenVinoEngine(network, precision).enlarge(example) for precision in PRECISIONS)
        levels = 255 * np.abs(np.clip(one, 0, 1) - np.clip(other, 0, 1))
        assert 0 < levels.max() < largest
        assert levels.mean() < mean
        assert np.mean(levels.max(axis=1) <= 1) >= 0.98


@needs_bf16
@pytest.mark.parametrize("kind", ["upscaler", "rrdb"])
def test_bf16_leaves_alone_what_carries_the_picture(kind: str, request: pytest.FixtureRequest) -> None:
    """A slow gradient keeps its values in between: whole levels are what bf16 alone would have there."""
    network = request.getfixturevalue(kind)
    ramp = np.linspace(0.7, 0.75, 32, dtype=np.float32)
    picture = np.ascontiguousarray(np.broadcast_to(ramp, (1, 3, 24, 32)))
    exact, rounded = (OpenVinoEngine(network, one).enlarge(picture) for one in PRECISIONS)
    inner = (0, 1, 48, slice(32, -32))
    assert 0 < np.abs(exact - rounded)[inner].max() * 255 < 0.3
    assert len(np.unique(rounded[inner])) > 0.9 * len(rounded[inner])


@needs_bf16
def test_bf16_of_a_network_without_a_body(networks: dict[str, bytes]) -> None:
    network = networks["upscaler.onnx"]
    expected = OpenVinoEngine(network).enlarge(picture(20, 30))
    got = OpenVinoEngine(network, "bf16").enlarge(picture(20, 30))
    assert not np.array_equal(got, expected)
    np.testing.assert_allclose(got, expected, atol=0.03)


@needs_bf16
def test_no_seams_in_bf16(sample: Bundle) -> None:
    """At the halo that was calibrated in fp32, tiles meet within half a level in bf16 as well."""
    upscaler = sample.manifest.upscalers[0]
    engine = OpenVinoEngine(sample.read(upscaler.file), "bf16")
    structure = openvino._example(sample, upscaler)[0]
    windows = cut_windows([structure], 64, 0.0, np.random.default_rng(0), 2)
    wholes = [engine.enlarge(window) for window in windows]
    assert seam_error(engine.enlarge, windows, wholes, upscaler.halo).maximum <= 0.5


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_same_every_time_and_for_any_number_of_threads(upscaler: bytes, precision: Precision) -> None:
    expected = OpenVinoEngine(upscaler, precision, threads=1).enlarge(picture(48, 65))
    for threads in (1, 2, 3, None):
        engine = OpenVinoEngine(upscaler, precision, threads=threads)
        for _ in range(2):
            np.testing.assert_array_equal(engine.enlarge(picture(48, 65)), expected)


def test_several_threads_at_once(networks: dict[str, bytes]) -> None:
    """On windows of the same size and of others, more of them than are kept."""
    engine = OpenVinoEngine(networks["upscaler.onnx"])
    inputs = [picture(50 + 2 * (seed % 6), 60, seed) for seed in range(60)]
    expected = [engine.enlarge(one) for one in inputs]
    with ThreadPoolExecutor(6) as executor:
        for got, one in zip(executor.map(engine.enlarge, inputs), expected, strict=True):
            np.testing.assert_array_equal(got, one)


def test_bound_runs_read_and_write_the_arrays_in_place(networks: dict[str, bytes]) -> None:
    engine = OpenVinoEngine(networks["upscaler.onnx"])
    tile, result = picture(8, 9), np.full((1, 3, 32, 36), np.nan, np.float32)
    run = engine.bind_arrays(tile, result)
    for seed in range(3):
        tile[:] = picture(8, 9, seed)
        run()
        np.testing.assert_array_equal(result, engine.enlarge(picture(8, 9, seed)))


def test_bound_runs_outlive_the_engine_and_what_it_keeps(networks: dict[str, bytes]) -> None:
    engine = OpenVinoEngine(networks["upscaler.onnx"])
    result = np.empty((1, 3, 32, 36), np.float32)
    run = engine.bind_arrays(picture(8, 9), result)
    for width in range(10, 20):
        engine.enlarge(picture(8, width))
    assert len(engine._compiled) == openvino._MOST_WINDOWS
    expected = engine.enlarge(picture(8, 9))
    del engine
    run()
    np.testing.assert_array_equal(result, expected)


MEASURED = """
import json, sys
import numpy as np, psutil
from ourgan_sdk.engines.openvino import OpenVinoEngine

def arrays(height, width):
    return [np.ones((1, 3, scale * height, scale * width), np.float32) for scale in (1, 4)]

engine = OpenVinoEngine(open(sys.argv[1], "rb").read(), sys.argv[2])
engine.enlarge(arrays(8, 8)[0])  # what any run takes
sizes = [0]
for height, width in ((320, 320), (160, 640)):
    run = engine.bind_arrays(*arrays(height, width))  # which gives back what the one before took
    before = psutil.Process().memory_info().rss
    run()
    sizes += [before, psutil.Process().memory_info().rss]
_, before, square, released, wide = (size / 320**2 for size in sizes)
print(json.dumps([square - before, square - released, wide - released]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures what a process holds in memory")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_activations_take_at_most_what_the_bundle_says(
    sample: Bundle, upscaler: bytes, tmp_path: Path, precision: str
) -> None:
    """And those of a window size that is no longer run go when another one comes."""
    path = tmp_path / "upscaler.onnx"
    path.write_bytes(upscaler)
    command = [sys.executable, "-c", MEASURED, str(path), precision]
    measured = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    square, released, wide = measured
    allowed = sample.manifest.upscalers[0].bytes_per_pixel
    assert 0.3 * allowed < square <= allowed
    assert 0.3 * allowed < wide <= allowed
    assert released > 0.3 * allowed


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to a thread")
def test_interrupt_ends_a_running_network(upscaler: bytes) -> None:
    """Ctrl-C in the middle of a tile that would take seconds; the engine can be used again."""
    engine = OpenVinoEngine(upscaler, threads=1)
    run = engine.bind_arrays(picture(480, 480), np.ones((1, 3, 1920, 1920), np.float32))
    started = time.perf_counter()
    threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run()
    assert time.perf_counter() - started < 1.5
    expected = OpenVinoEngine(upscaler).enlarge(picture(8, 9))
    np.testing.assert_array_equal(engine.enlarge(picture(8, 9)), expected)


STARVED = """
import resource, sys
import numpy as np
from ourgan_sdk.engines.openvino import OpenVinoEngine
engine = OpenVinoEngine(open(sys.argv[1], "rb").read())
engine.enlarge(np.zeros((1, 3, 8, 8), np.float32))
tile, result = (np.zeros((1, 3, scale * 600, scale * 600), np.float32) for scale in (1, 4))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20), -1))
try:
    engine.bind_arrays(tile, result)()
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process's address space")
@pytest.mark.parametrize("megabytes", [8, 80, 300])
def test_out_of_memory_says_so(upscaler: bytes, tmp_path: Path, megabytes: int) -> None:
    """While it compiles as while it takes room for activations."""
    path = tmp_path / "upscaler.onnx"
    path.write_bytes(upscaler)
    command = [sys.executable, "-c", STARVED, str(path), str(megabytes)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == EngineMemoryError.__name__, result.stderr


def test_refuses_what_is_no_upscaler(networks: dict[str, bytes]) -> None:
    with pytest.raises(EngineError, match=r"^OpenVINO cannot load the network: \w"):
        OpenVinoEngine(b"nothing of the kind")
    with pytest.raises(EngineError, match="expected a network of one input and one output, got 3 and 1"):
        OpenVinoEngine(networks["structure.onnx"])
    with pytest.raises(EngineError, match=r"^OpenVINO cannot compile the network: \w"):
        OpenVinoEngine(networks["upscaler.onnx"]).bind_arrays(picture(8, 9), picture(32, 35))
    with pytest.raises(EngineError, match=r"^OpenVINO cannot compile the network: \w"):
        OpenVinoEngine(networks["upscaler.onnx"]).enlarge(np.zeros((1, 5, 8, 8), np.float32))


def test_precisions(sample: Bundle, upscaler: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    later = sample.manifest.upscalers[-1]
    for precision in PRECISIONS:
        assert OpenVinoEngine.open(sample, later, UINT8, Options(precision=precision)).precision == precision
    with pytest.raises(EngineUnavailableError, match="computes in fp32 or bf16, not in fp16"):
        OpenVinoEngine.open(sample, later, UINT8, Options(precision="fp16"))
    monkeypatch.setattr(openvino, "_capabilities", lambda: ["FP32", "INT8"])
    with pytest.raises(EngineUnavailableError, match="the processor has no instructions for bf16"):
        OpenVinoEngine(upscaler, "bf16")
    assert OpenVinoEngine.open(sample, later, UINT8, Options()).precision == "fp32"


@needs_bf16
@pytest.mark.parametrize(("asked", "precision"), [(0.98, "bf16"), (1.1, "fp32")])
def test_bf16_is_chosen_where_it_looks_the_same(
    sample: Bundle,
    asked: float,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(openvino, "SHARE_WITHIN_A_LEVEL", asked)
    caplog.set_level(logging.INFO)
    for upscaler in sample.manifest.upscalers:
        assert OpenVinoEngine.open(sample, upscaler, UINT8, Options()).precision == precision
        (record,) = caplog.records
        assert re.fullmatch(
            rf"{upscaler.file} in {precision}: bf16 keeps \d+\.\d+ % of the pixels within one 8-bit level .*",
            record.getMessage(),
        )
        caplog.clear()


@needs_bf16
def test_bf16_is_not_chosen_where_it_does_not_look_the_same(
    sample: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All of the network in bf16, the picture included, is too much for one pixel in a thousand or more."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda app: tmp_path / app)
    monkeypatch.setattr(openvino, "convert_body", lambda _: False)
    monkeypatch.setattr(openvino, "SHARE_WITHIN_A_LEVEL", 0.99999)
    assert OpenVinoEngine.open(sample, sample.manifest.upscalers[0], UINT8, Options()).precision == "fp32"


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of upscalers that bf16 was tried on, in their order, with a cache of their own."""
    files: list[str] = []

    def measure(_engine: OpenVinoEngine, _bundle: Bundle, upscaler: Upscaler) -> float:
        files.append(upscaler.file)
        return 0.99995

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda app: tmp_path / app)
    monkeypatch.setattr(openvino, "_capabilities", lambda: ["FP32", "BF16"])
    monkeypatch.setattr(OpenVinoEngine, "_share_within_a_level", measure)
    return files


def share_of(bundle: Bundle, number: int = 0) -> float:
    upscaler = bundle.manifest.upscalers[number]
    engine = OpenVinoEngine(bundle.read(upscaler.file))
    return openvino._kept_share(bundle, upscaler, lambda: engine._share_within_a_level(bundle, upscaler))


def test_what_bf16_keeps_is_measured_once(
    bundle_path: Path, sample: Bundle, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a bundle, an upscaler, a processor and the software."""
    tiny = Bundle.open(bundle_path)
    for _ in range(3):
        assert share_of(tiny) == 0.99995
    assert measured == ["upscaler.onnx"]
    share_of(tiny, 1)
    share_of(sample)
    assert len(measured) == 3
    monkeypatch.setattr(OpenVinoEngine, "version", lambda: "1999.0")
    share_of(tiny)
    assert len(measured) == 4
    monkeypatch.setattr(openvino, "_capabilities", lambda: ["BF16"])
    share_of(tiny)
    assert len(measured) == 5


@pytest.mark.parametrize("content", [b"", b"nan", b"1.5", b"-1", b"0.9 ; rm", b"\xff\xfe", b"1" * 10_000_000])
def test_nothing_but_a_share_is_read(
    bundle_path: Path, tmp_path: Path, measured: list[str], content: bytes
) -> None:
    tiny = Bundle.open(bundle_path)
    share_of(tiny)
    (file,) = tmp_path.rglob("*.cache")
    file.write_bytes(content)
    assert share_of(tiny) == 0.99995
    assert len(measured) == 2
    assert share_of(tiny) == 0.99995  # written anew
    assert len(measured) == 2


@pytest.mark.parametrize("obstacle", ["file", "folder"])
def test_a_cache_that_cannot_be_used_is_no_error(
    bundle_path: Path, tmp_path: Path, measured: list[str], obstacle: str
) -> None:
    tiny = Bundle.open(bundle_path)
    if obstacle == "file":
        (tmp_path / "ourgan_sdk").write_text("in the folder's place")
    else:
        share_of(tiny)
        (file,) = tmp_path.rglob("*.cache")
        file.unlink()
        file.mkdir()
    before = len(measured)
    for _ in range(2):
        assert share_of(tiny) == 0.99995
    assert len(measured) == before + 2


def test_old_files_of_the_cache_go(bundle_path: Path, tmp_path: Path, measured: list[str]) -> None:
    folder = tmp_path / "ourgan_sdk" / "bf16"
    folder.mkdir(parents=True)
    for number in range(400):
        (folder / f"{number}.cache").write_text("0.5")
        os.utime(folder / f"{number}.cache", (number, number))
    share_of(Bundle.open(bundle_path))
    left = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
    assert len(left) == 256
    assert left[0].name == "145.cache"
    assert len(measured) == 1


def test_not_installed(upscaler: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    runtimes.import_openvino.cache_clear()
    monkeypatch.setattr(openvino, "_core", PerProcess(openvino._core._make))
    monkeypatch.setitem(sys.modules, "openvino", None)
    for attempt in (OpenVinoEngine.version, lambda: OpenVinoEngine(upscaler)):
        with pytest.raises(EngineUnavailableError, match=r'pip install "ourgan-sdk\[openvino\]"'):
            attempt()


IMPORTED = """
import sys
events = []
sys.addaudithook(lambda event, _: events.append(event) if event.startswith("socket.") else None)
import numpy as np
from ourgan_sdk.engines.openvino import OpenVinoEngine
OpenVinoEngine(open(sys.argv[1], "rb").read()).enlarge(np.zeros((1, 3, 8, 8), np.float32))
assert not any(name.startswith("openvino_telemetry") for name in sys.modules)
assert not events, events
"""


def test_sends_nothing_and_writes_nothing(networks: dict[str, bytes], tmp_path: Path) -> None:
    """As its import would, left alone."""
    home, path = tmp_path / "home", tmp_path / "upscaler.onnx"
    home.mkdir()
    path.write_bytes(networks["upscaler.onnx"])
    subprocess.run([sys.executable, "-c", IMPORTED, str(path)], check=True, cwd=home, env={"HOME": str(home)})
    assert not list(home.iterdir())


def test_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", OpenVinoEngine.version())


SIGNALS = """
import ctypes, faulthandler, gc, os, signal, sys
import numpy as np
from ourgan_sdk.engines.openvino import OpenVinoEngine

class Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

faulthandler.enable()
network, libc, stacks = open(sys.argv[1], "rb").read(), ctypes.CDLL(None), set()
signal.signal(signal.SIGINT, signal.default_int_handler)
engines = [OpenVinoEngine(network, "fp32")]
for _ in range(4):  # the one before goes after the next one has come
    engines.append(OpenVinoEngine(network, "fp32"))
    engines[-1].enlarge(np.zeros((1, 3, 16, 16), np.float32))
    del engines[0]
    gc.collect()
    stack = Stack()
    libc.sigaltstack(None, ctypes.byref(stack))
    stacks.add(stack.start)
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("interrupted", len(stacks))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the stack of signal handlers")
def test_signals_have_a_stack_however_engines_come_and_go(upscaler: bytes, tmp_path: Path) -> None:
    path = tmp_path / "upscaler.onnx"
    path.write_bytes(upscaler)
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS, path], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "interrupted 1\n"), done.stderr
