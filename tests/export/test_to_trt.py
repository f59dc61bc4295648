"""Building TensorRT engines into bundles, for real: TensorRT for RTX builds without a GPU."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from export import to_trt
from export.plans import PlanBuilder, pick_capabilities
from ourgan_sdk import Bundle, EngineError, Manifest, write_bundle
from ourgan_sdk._core import plan_grid
from ourgan_sdk.bundle import Window
from ourgan_sdk.engines.gpu_memory import memory_of_render, resized, smallest_window
from ourgan_sdk.engines.graphs.even_strips import ALIGNMENT
from ourgan_sdk.engines.graphs.precision import convert_upscaler
from ourgan_sdk.engines.tensorrt import RUNTIMES
from ourgan_sdk.sizes import picture_sizes
from ourgan_sdk.synthesizer import sample_bundle
from tests.conftest import Graph, upscaler_network
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import RRDBNet

RTX = RUNTIMES["tensorrt-rtx"]
UINT8 = np.dtype(np.uint8)
SMALL = Window(height=32, width=64)


@pytest.fixture
def _rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed", exc_type=ImportError)


needs_rtx = pytest.mark.usefixtures("_rtx")


@pytest.fixture
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command and returns what it prints; fails with its error."""

    def run(*arguments: object) -> str:
        status = to_trt.main([*map(str, arguments), "--quiet"])
        out, err = capsys.readouterr()
        if status:
            raise EngineError(err.removeprefix("error: ").strip())
        return out

    return run


@needs_rtx
@pytest.mark.usefixtures("_folder")
def test_sample(command: Callable[..., str]) -> None:
    """Without arguments: a copy of the sample, for all GPUs; and more engines into that copy."""
    before = sample_bundle().read_bytes()
    out = command()
    assert f"bundle: {sample_bundle()}" in out
    assert "for GPUs of 7.5, 8.0, 8.6, 8.9, 12.0, 12.1" in out
    assert "written: canyon.ourgan" in out
    assert sample_bundle().read_bytes() == before
    bundle, sample = Bundle.open("canyon.ourgan"), Bundle.open(sample_bundle())
    files = [upscaler.file for upscaler in sample.manifest.upscalers]
    assert [(e.network, e.output) for e in bundle.manifest.engines] == [
        (file, output) for file in files for output in ("uint8", "float16")
    ]
    for engine in bundle.manifest.engines:
        assert (engine.runtime, engine.version) == (RTX.name, RTX.version())
        assert engine.compute_capabilities == ["7.5", "8.0", "8.6", "8.9", "12.0", "12.1"]
        assert engine.network_sha256 == sample.manifest.files[engine.network].sha256
        assert engine.window.height == engine.window.width
        assert engine.window.height > 1200
        (upscaler,) = [one for one in sample.manifest.upscalers if one.file == engine.network]
        assert engine.smallest_window == smallest_window(upscaler)
        pixels = engine.window.height * engine.window.width
        assert 500 < engine.activation_bytes / pixels < 1200
        assert len(bundle.read(engine.file)) > 1e6
        assert f"{engine.network.removesuffix('.onnx')} fp16 {engine.output}" in out
    for name in sample.manifest.files:
        assert bundle.read(name) == sample.read(name)
    command("--precision", "bf16", "--gpu", "SM86", "--window", "64x96")
    engines = Bundle.open("canyon.ourgan").manifest.engines
    assert [engine.precision for engine in engines] == ["fp16"] * 6 + ["bf16"] * 6
    assert engines[-1].compute_capabilities == ["8.6"]
    assert engines[-1].window == engines[-1].smallest_window == Window(height=96, width=64)


@needs_rtx
def test_large_network(command: Callable[..., str], manifest: Manifest, tmp_path: Path) -> None:
    """RRDB-23/64, for all GPUs; its end in strips keeps the memory small: 4797 bytes per pixel without."""
    torch.manual_seed(0)
    upscaler = manifest.upscalers[0].model_copy(update={"bytes_per_pixel": 4797})
    one = manifest.model_copy(update={"upscalers": [upscaler]})
    members = {"structure.onnx": b"", "upscaler.onnx": export_upscaler(RRDBNet(64, 23, 32))}
    path = write_bundle(tmp_path / "large.ourgan", one, members).path
    command(path, "--memory", "512MiB")
    engines = Bundle.open(path).manifest.engines
    assert [engine.output for engine in engines] == ["uint8", "float16"]
    for engine in engines:
        assert len(engine.compute_capabilities) == 6
        assert engine.window.height >= 256
        assert 1000 < engine.activation_bytes / engine.window.height**2 < 1600


@needs_rtx
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_every_precision_builds(precision: Any) -> None:
    builder = PlanBuilder(RTX, ["8.6"])
    for window in ((32, 64), None):
        typed = convert_upscaler(upscaler_network(), precision, UINT8, window)
        assert builder.build(typed, SMALL, SMALL).activation_bytes > 0


@needs_rtx
def test_a_node_that_cannot_be_parsed_is_named() -> None:
    """None that a bundle may have is known; but releases differ in what they take."""
    graph = Graph(0)
    sizes = graph.constant(np.array([1, 1, 4, 4], np.float32))
    graph.add("Resize", "picture", "", sizes, output="upscaled", mode="linear", antialias=1, name="enlarge")
    typed = convert_upscaler(graph.model({"picture": 3}, "upscaled"), "fp16", UINT8)
    with pytest.raises(EngineError, match=r"does not take the network: node 'network/enlarge' \(Resize\): "):
        PlanBuilder(RTX, ["8.6"]).build(typed, SMALL, SMALL)


@needs_rtx
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gpu", "sm90"], r"builds fp16 engines for sm75, .*, sm121 here; got 'sm90'"),
        (["--gpu", "sm86,"], "got ''"),
        (["--gpu", "sm75", "--precision", "bf16"], "bf16 engines for sm80, sm86"),
        (["--window", "6x60"], "at least 7x7, two halos and a pixel; got 6x60"),
        (["--memory", "1MiB"], "do not fit into so little of the GPU's memory: allow more"),
        (["--runtime", "tensorrt"], r"TensorRT is not installed: .*ourgan-sdk\[tensorrt\]"),
        (
            ["--window", "20000x20000", "--gpu", "sm86"],
            r"TensorRT for RTX (cannot build|does not take) the .*: ",
        ),
    ],
)
def test_refused_with_the_reason(
    bundle_path: Path, command: Callable[..., str], arguments: list[str], words: str
) -> None:
    before = bundle_path.read_bytes()
    with pytest.raises(EngineError, match=words):
        command(bundle_path, *arguments)
    assert bundle_path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--window", "64"], "expected a size as WIDTHxHEIGHT or one of .*, or auto"),
        (["--memory", "much"], "expected an amount of memory"),
        (["--memory", "1G", "--window", "64x64"], "give one of the two"),
    ],
)
def test_arguments_that_are_none(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit):
        to_trt.main(arguments)
    assert re.search(words, capsys.readouterr().err)


STOPPED_WHILE_IT_WRITES = """
import signal, sys
from export import to_trt
from ourgan_sdk.system.atomic import atomic_file
def write_half(options):
    with atomic_file(options.bundle) as file:
        file.write_bytes(b"half")
        signal.raise_signal(int(sys.argv[2]))
to_trt.run = write_half
sys.exit(to_trt.main(sys.argv[1:2]))
"""


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(make_bundle: Callable[..., Path], number: signal.Signals, code: int) -> None:
    path = make_bundle()
    before = path.read_bytes()
    command = [sys.executable, "-c", STOPPED_WHILE_IT_WRITES, str(path), f"{int(number)}"]
    root = Path(to_trt.__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert (done.returncode, done.stderr) == (code, "stopped; nothing was written\n")
    assert [*path.parent.iterdir()] == [path]
    assert path.read_bytes() == before


def test_script_names_what_is_wrong(tmp_path: Path) -> None:
    script = Path(to_trt.__file__)
    command = [sys.executable, script, "absent.ourgan"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: absent.ourgan: cannot be read: No such file or directory\n"


@pytest.mark.usefixtures("_folder")
def test_which_bundle(bundle_path: Path, tmp_path: Path) -> None:
    """The newest that was fitted here, if there still is one; else the sample, into a copy."""
    assert to_trt.pick_bundle(None, None)[1] == Path("canyon.ourgan")
    for age, (run, content) in enumerate(
        {
            "newest-broken": "{",
            "newer-gone": json.dumps({"output": str(tmp_path / "gone.ourgan")}),
            "new": json.dumps({"output": str(bundle_path)}),
            "old": json.dumps({"output": str(sample_bundle())}),
        }.items()
    ):
        config = Path("runs") / run / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text(content)
        os.utime(config, (1e9 - age, 1e9 - age))
    bundle, target = to_trt.pick_bundle(None, None)
    assert bundle.path == target == bundle_path
    assert to_trt.pick_bundle(bundle_path, Path("copy.ourgan"))[1] == Path("copy.ourgan")
    Path("canyon.ourgan").write_bytes(bundle_path.read_bytes())
    with pytest.raises(to_trt.OutputError, match=r"canyon\.ourgan: it is another bundle"):
        to_trt.pick_bundle(sample_bundle(), None)


class Classic(ModuleType):
    """TensorRT for RTX as if it were TensorRT: built for the GPU at hand, without a choice."""

    def __getattr__(self, name: str) -> Any:
        if name == "ComputeCapability":
            raise AttributeError(name)
        return getattr(sys.modules["tensorrt_rtx"], name)


@needs_rtx
def test_tensorrt_builds_for_the_gpu_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    RTX.load()
    monkeypatch.setitem(sys.modules, "tensorrt", Classic("tensorrt"))
    monkeypatch.setattr("export.plans.CudaDevice", lambda: SimpleNamespace(compute_capability=(9, 0)))
    classic = RUNTIMES["tensorrt"]
    assert pick_capabilities(classic, "all", "bf16") == ["9.0"]
    with pytest.raises(EngineError, match=r"TensorRT builds fp16 engines for sm90 here; got 'sm86'"):
        pick_capabilities(classic, "sm86", "fp16")
    typed = convert_upscaler(upscaler_network(), "fp16", UINT8, (32, 64))
    assert PlanBuilder(classic, ["9.0"]).build(typed, SMALL, SMALL).data


def test_tensorrt_where_the_other_builds_for_no_gpu_here(monkeypatch: pytest.MonkeyPatch) -> None:
    classic, rtx = ModuleType("tensorrt"), ModuleType("tensorrt_rtx")
    rtx.ComputeCapability = SimpleNamespace(SM86=0, SM120=1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", classic)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)

    class Device(SimpleNamespace):
        name, compute_capability, present = "Fake H100", (9, 0), 1

        @classmethod
        def count(cls) -> int:
            return cls.present

    monkeypatch.setattr("export.plans.CudaDevice", Device)
    assert to_trt.pick_runtime("auto", "all").name == "tensorrt"
    assert to_trt.pick_runtime("auto", "sm86").name == "tensorrt-rtx"
    assert to_trt.pick_runtime("tensorrt-rtx", "all").name == "tensorrt-rtx"
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"of compute capability 8\.6, 12\.0, Fake H100 has 9\.0: choose"):
        to_trt.pick_runtime("auto", "all")
    for Device.compute_capability, Device.present in (((8, 6), 1), ((9, 0), 0)):
        monkeypatch.setitem(sys.modules, "tensorrt", classic)
        assert to_trt.pick_runtime("auto", "all").name == "tensorrt-rtx"


@pytest.fixture
def job() -> to_trt.Job:
    builder = SimpleNamespace(
        runtime=SimpleNamespace(name=RTX.name, version=lambda: "1"), capabilities=["8.6"]
    )
    return to_trt.Job(Bundle.open(sample_bundle()), cast("PlanBuilder", builder), "fp16", None, 3 << 30)


def pretend_to_build(job: to_trt.Job, monkeypatch: pytest.MonkeyPatch, greed: float) -> list[Window]:
    """Engines take 700 bytes per pixel, larger ones `greed` times as much; returns the windows built for."""
    built: list[Window] = []

    def build(_network: bytes, smallest: Window, largest: Window) -> to_trt.BuiltPlan:
        assert smallest in [smallest_window(upscaler) for upscaler in job.manifest.upscalers]
        built.append(largest)
        area = largest.height * largest.width
        pixel = 700 * (1 if largest.height == to_trt.TRIAL else greed)
        return to_trt.BuiltPlan(bytes(5 << 20), round(pixel * area), 0.0)

    monkeypatch.setattr(job.builder, "build", build, raising=False)
    return built


def used(job: to_trt.Job, engines: to_trt.Engines) -> int:
    return memory_of_render(job.manifest, [record for record, _ in engines], to_trt.weights(engines))


def test_windows_are_as_large_as_the_memory_allows(job: to_trt.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_to_build(job, monkeypatch, 1)
    sides = []
    for memory in (128 << 20, 512 << 20, 3 << 30):
        engines = to_trt.build_engines(replace(job, memory=memory), lambda _: None)
        assert len(engines) == 2 * len(job.manifest.networks()[1:])  # for 8 bits, and between passes
        (side,) = {record.window.height for record, _ in engines}
        assert used(job, engines) <= memory
        larger = Window(height=side + to_trt.STEP, width=side + to_trt.STEP)
        assert used(job, [(resized(record, larger), plan) for record, plan in engines]) > memory
        sides.append(side)
    assert sides[-1] > 1200
    assert sides == sorted(sides)
    with pytest.raises(EngineError, match="do not fit into so little of the GPU's memory: allow more"):
        to_trt.build_engines(replace(job, memory=21 << 20), lambda _: None)
    engines = to_trt.build_engines(replace(job, memory=1 << 40), lambda _: None)
    assert {record.window.height for record, _ in engines} == {to_trt.LARGEST}


def test_windows_are_chosen_again_where_engines_take_more(
    job: to_trt.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = pretend_to_build(job, monkeypatch, 1.5)
    engines = to_trt.build_engines(job, lambda _: None)
    assert used(job, engines) <= job.memory
    assert len(built) == 3 + 6 + 6  # tried, too large, and right


def test_windows_that_the_planner_makes_recompute_little(
    job: to_trt.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 4K and 8K, where the engines are for a card of 4 GB."""
    pretend_to_build(job, monkeypatch, 1)
    side = to_trt.build_engines(job, lambda _: None)[0][0].window.height
    trained, upscaler = job.manifest.structure.scales[-1], job.manifest.upscalers[-1]
    for width, height in ((3840, 2160), (7680, 4320), (3840, 2560)):
        picture = picture_sizes(height, width, trained.height, trained.width)[-2]
        grid = plan_grid(*picture, upscaler.halo, 1 << 60, max_side=side, alignment=ALIGNMENT)
        assert grid.recomputation < 0.13


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 300), (300, 7), (33, 40)])
def test_no_window_is_smaller_than_the_smallest(height: int, width: int) -> None:
    for upscaler in Bundle.open(sample_bundle()).manifest.upscalers:
        smallest = smallest_window(upscaler)
        grid = plan_grid(height, width, upscaler.halo, 1 << 60, max_side=128, alignment=ALIGNMENT)
        assert grid.window_height >= smallest.height
        assert grid.window_width >= smallest.width
