"""Packages that may be missing or broken: which of the two is said, and why."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import EngineError, EngineUnavailableError, OurganError, OutputError, open_writer
from ourgan_sdk.engines import tensorrt
from ourgan_sdk.engines.graphs.precision import convert_upscaler
from ourgan_sdk.engines.runtimes import import_onnxruntime, import_openvino
from ourgan_sdk.progress import progress_bar
from ourgan_sdk.system.optional import import_optional
from ourgan_sdk.system.vips import import_vips

BROKEN = {
    "import absent_library": "No module named 'absent_library'",
    "import {name}.absent": "No module named '{name}.absent'",
    "raise ImportError('libabsent.so.1: cannot open shared object file')": r"libabsent\.so\.1: cannot open",
    "raise OSError('libabsent.so.1: wrong ELF class')": "wrong ELF class",
    "raise RuntimeError('built for another NumPy')": "built for another NumPy",
    "raise AttributeError('module numpy has no attribute float')": "has no attribute float",
    "raise OSError": "OSError",
}


def write_zarr() -> None:
    with open_writer("picture.zarr", 4, 4) as writer:
        writer.write(np.zeros((4, 4, 3), np.uint8))


USES: dict[str, tuple[Callable[[], object], str, type[OurganError]]] = {
    "onnxruntime": (import_onnxruntime, r'"ourgan-sdk\[cpu\]"', EngineUnavailableError),
    "openvino": (import_openvino, r'"ourgan-sdk\[openvino\]"', EngineUnavailableError),
    "tensorrt": (tensorrt.RUNTIMES["tensorrt"].load, r'"ourgan-sdk\[tensorrt\]"', EngineUnavailableError),
    "tensorrt_rtx": (
        tensorrt.RUNTIMES["tensorrt-rtx"].load,
        r'"ourgan-sdk\[tensorrt-rtx\]"',
        EngineUnavailableError,
    ),
    "onnx": (lambda: convert_upscaler(b"", "fp16", np.dtype(np.uint8)), "onnx", EngineError),
    "numcodecs": (write_zarr, r'"ourgan-sdk\[zarr\]"', OutputError),
    "pyvips": (import_vips, r'"pyvips\[binary\]"', OutputError),
    "tqdm": (lambda: progress_bar(1, "work"), "tqdm", OurganError),
}
"""What imports them, what pip is to be given, and the error."""


@pytest.fixture(params=USES)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A package that has not been imported yet; what is imported of it here is forgotten."""
    name: str = request.param
    for module in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    import_openvino.cache_clear()
    monkeypatch.chdir(tmp_path)
    return name


def test_what_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use, install, error = USES[name]
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(error, match=rf"is not installed: pip install {install}") as raised:
        use()
    assert isinstance(raised.value, OurganError)


@pytest.mark.parametrize("code", BROKEN)
def test_what_does_not_load(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    use, install, error = USES[name]
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / f"{name}.py").write_text(code.format(name=name))
    monkeypatch.syspath_prepend(folder)
    reason = BROKEN[code].format(name=name)
    with pytest.raises(
        error, match=rf"is installed, but does not load \(.*{reason}.*\): .*{install}"
    ) as raised:
        use()
    assert "is not installed" not in str(raised.value)
    assert name not in sys.modules


def test_a_module_that_loads() -> None:
    assert import_optional("json", "JSON", "json", OurganError).loads("[1]") == [1]
