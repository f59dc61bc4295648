"""Which engine renders, what is said of those that cannot, and the doctor."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ourgan_sdk import Bundle, EngineError, Synthesizer
from ourgan_sdk.arrays import Tensor
from ourgan_sdk.bundle import Upscaler
from ourgan_sdk.cli import main
from ourgan_sdk.engines import Engine, Options, selection
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.errors import EngineMemoryError, EngineUnavailableError
from tests.conftest import upscaler_network

SIZE = (900, 600)


def engine_that(name: str, error: Exception | None = None, device: str = "cpu") -> type[Engine]:
    """An engine that fails with `error` when it is opened, and else is ONNX Runtime's."""

    class Made(OnnxRuntimeEngine):
        NAME = name
        DEVICE = device

        @classmethod
        def open(cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options) -> "Made":
            if error is not None:
                raise error
            return super().open(bundle, upscaler, dtype, options)

    return Made


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what engines there are."""
    monkeypatch.delenv("OURGAN_ENGINE")

    def use(*kinds: type[Engine]) -> None:
        monkeypatch.setattr(selection, "ENGINES", list(kinds))
        monkeypatch.setattr("ourgan_sdk.cli.doctor.ENGINES", list(kinds))

    return use


def chosen(path: Path, **options: Any) -> str:
    synthesizer = Synthesizer(path, **options)
    synthesizer.canvas(*SIZE)
    return synthesizer._networks.opened.name


def test_the_first_that_can_is_chosen_with_a_line_for_each_before_it(
    bundle_path: Path, engines: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    engines(
        engine_that("absent", EngineUnavailableError("is not installed")),
        engine_that("corrupt", EngineError("the plan is damaged"), "cuda"),
        engine_that("starved", EngineMemoryError("no room")),
        engine_that("working"),
        engine_that("never asked", AssertionError()),
    )
    with caplog.at_level(logging.INFO, "ourgan_sdk.engines"):
        assert chosen(bundle_path).startswith("working ")
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("INFO", "going on without absent on cpu: is not installed"),
        ("WARNING", "going on without corrupt on cuda: the plan is damaged"),
        ("WARNING", "going on without starved on cpu: no room"),
    ]


def test_a_forced_engine_is_not_replaced(bundle_path: Path, engines: Callable[..., None]) -> None:
    engines(engine_that("corrupt", EngineError("the plan is damaged")), engine_that("working"))
    with pytest.raises(EngineError, match=r"^the plan is damaged$"):
        chosen(bundle_path, engine="corrupt")


def test_all_reasons_are_told_if_none_can(bundle_path: Path, engines: Callable[..., None]) -> None:
    engines(
        engine_that("one", EngineUnavailableError("is not installed"), "cuda"),
        engine_that("two", EngineError("refuses")),
    )
    with pytest.raises(EngineError, match=r"one on cuda: is not installed; two on cpu: refuses"):
        chosen(bundle_path)


def test_names_and_devices(
    bundle_path: Path, engines: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines(engine_that("one", device="cuda"), engine_that("one"), engine_that("two"))
    assert chosen(bundle_path).split()[::2] == ["one", "cuda"]
    assert chosen(bundle_path, device="cpu").split()[::2] == ["one", "cpu"]
    assert chosen(bundle_path, engine="two").split()[::2] == ["two", "cpu"]
    monkeypatch.setenv("OURGAN_ENGINE", "two")
    assert chosen(bundle_path).split()[0] == "two"
    assert chosen(bundle_path, engine="one").split()[0] == "one"
    with pytest.raises(EngineError, match="two does not run on cuda"):
        Synthesizer(bundle_path, device="cuda:1")
    with pytest.raises(EngineError, match="expected an engine of auto, one, two; got 'three'"):
        Synthesizer(bundle_path, engine="three")
    for device in ("gpu", "cuda:", "cuda:x", "cuda:-1", "", "CPU"):
        with pytest.raises(EngineError, match="expected a device of auto, cpu, cuda or cuda:1"):
            Synthesizer(bundle_path, device=device)
    with pytest.raises(EngineError, match="expected a precision of auto, fp32, fp16, bf16; got 'int8'"):
        Synthesizer(bundle_path, precision="int8")  # type: ignore[arg-type]


def test_onnx_runtime_on_the_cpu_computes_in_single_precision(bundle_path: Path) -> None:
    assert chosen(bundle_path, engine="onnxruntime", device="cpu", precision="fp32").endswith(" cpu fp32")
    with pytest.raises(EngineUnavailableError, match="computes in fp32, not in fp16"):
        chosen(bundle_path, engine="onnxruntime", device="cpu", precision="fp16")


def test_there_is_no_gpu_for_onnx_runtime(bundle_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=r"one for the CPU: .*ourgan-sdk\[cuda\]"):
        chosen(bundle_path, engine="onnxruntime", device="cuda")


def test_doctor(bundle_path: Path, engines: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong(OnnxRuntimeEngine):
        NAME = "wrong"

        def bind_arrays(self, tile: Tensor, result: Tensor) -> Callable[[], None]:
            run = super().bind_arrays(tile, result)

            def spoil() -> None:
                run()
                result[:, :, ::2] += 0.02

            return spoil

    engines(
        engine_that("absent", EngineUnavailableError("is not installed")),
        Wrong,
        OnnxRuntimeEngine,
        engine_that("spare"),
    )
    assert main(["doctor", str(bundle_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    verdicts = [line.split()[:2] for line in lines if line.split()[0] in ("yes", "no")]
    assert verdicts == [["no", "absent"], ["no", "wrong"], ["yes", "onnxruntime"], ["yes", "spare"]]
    assert "fp32: differs from fp32: only" in lines[-4]
    assert "100.000% of values within a level of fp32" in lines[-3]
    assert lines[-1].endswith("onnxruntime on cpu: the first of those that can render")


def test_doctor_where_nothing_can_render(
    make_bundle: Callable[..., Path], engines: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    engines(OnnxRuntimeEngine)
    path = make_bundle(upscaler_later=upscaler_network(damaged=True))
    assert main(["doctor", str(path)]) == 1
    said = capsys.readouterr()
    assert "values that are not finite" in said.out
    assert "no engine can render this bundle here" in said.err
