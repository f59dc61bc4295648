"""Importing the package: its exports, what it leaves alone, and what it says without its core."""

import ast
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ourgan_sdk

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "ourgan_sdk"

MAY_NOT_IMPORT = {
    "ourgan_sdk": ["torch", "trainers", "export", "bench", "tests", "ourgan_sdk.service"],
    "ourgan_sdk/service": ["ourgan_sdk.cli", "ourgan_sdk.cluster"],
    "ourgan_sdk/bundle": [
        f"ourgan_sdk.{name}"
        for name in ("calibration", "canvas", "cli", "engines", "passes", "rendering", "structure", "writers")
    ],
    "ourgan_sdk/writers": [
        f"ourgan_sdk.{name}"
        for name in ("bundle", "canvas", "cli", "engines", "passes", "rendering", "structure", "synthesizer")
    ],
    "ourgan_sdk/engines": [
        f"ourgan_sdk.{name}" for name in ("canvas", "cli", "passes", "rendering", "structure", "writers")
    ],
    "ourgan_sdk/engines/graphs": ["ourgan_sdk.bundle"],
    "ourgan_sdk/system": [
        f"ourgan_sdk.{path.stem}"
        for path in SOURCE.iterdir()
        if path.stem not in ("__init__", "_version", "errors", "system")
    ],
    "trainers": ["export", "bench", "tests"],
    "export": ["bench", "tests"],
    "bench": ["tests"],
}
"""What the modules in a folder may not import, wherever in them they do it."""

EXCEPT = {
    "bench/attack": ["tests"],
    "ourgan_sdk/service": ["ourgan_sdk.service"],
    "ourgan_sdk/cli/serve.py": ["ourgan_sdk.service"],
    "ourgan_sdk/cli/view.py": ["ourgan_sdk.service"],
}
"""Faults are injected into the tests' small networks and stand-ins; commands start the service."""


def imported(path: Path) -> Iterator[str]:
    """The absolute names that a module's imports ask for; for `from a import b` that is `a.b`."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def import_in(folder: Path) -> str:
    """The last line that `import ourgan_sdk` prints without any installed package."""
    command = [sys.executable, "-S", "-c", "import ourgan_sdk"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    return result.stderr.splitlines()[-1]


def copy_without_core(folder: Path) -> None:
    shutil.copytree(SOURCE, folder / "ourgan_sdk", ignore=shutil.ignore_patterns("*.so", "*.pyd", "samples"))


def test_exports() -> None:
    assert sorted(ourgan_sdk.__all__) == ourgan_sdk.__all__
    assert all(hasattr(ourgan_sdk, name) for name in ourgan_sdk.__all__)


def test_version() -> None:
    assert ourgan_sdk.__version__ == importlib.metadata.version("ourgan-sdk")


def test_imports_nothing_heavy() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "pyvips", "zarr", "trainers", "export", "tqdm", "PIL")
    code = f"import ourgan_sdk, sys; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def banned_in(folder: str, path: Path) -> list[str]:
    allowed = [name for room, names in EXCEPT.items() if path.is_relative_to(ROOT / room) for name in names]
    return [name for name in MAY_NOT_IMPORT[folder] if name not in allowed]


@pytest.mark.parametrize("folder", MAY_NOT_IMPORT)
def test_rooms_import_only_what_lies_below_them(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in imported(path)
        if any(f"{name}.".startswith(f"{banned}.") for banned in banned_in(folder, path))
    ]
    assert wrong == []


def test_bars_are_made_in_one_place() -> None:
    folders = ("ourgan_sdk", "trainers", "export", "bench")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    with_tqdm = [path for path in paths if any(name.split(".")[0] == "tqdm" for name in imported(path))]
    assert with_tqdm == [SOURCE / "system" / "bar.py"]


def test_imports_are_read_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "a" / "b" / "c.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import x.y, z\nfrom . import d\ndef f():\n    from ..e import g\n    from h import i as j"
    )
    assert sorted(imported(path)) == ["a.b.d", "a.e.g", "h.i", "x.y", "z"]


def test_source_folder_that_shadows_the_installed_package(tmp_path: Path) -> None:
    copy_without_core(tmp_path)
    (tmp_path / "csrc").mkdir()
    message = import_in(tmp_path)
    assert message.startswith(
        f"ImportError: the source folder {tmp_path / 'ourgan_sdk'} has no compiled core"
    )
    assert "shadows" in message
    assert message.endswith(f"pip install -e {tmp_path}")


def test_installation_without_core(tmp_path: Path) -> None:
    copy_without_core(tmp_path)
    assert "pip install --force-reinstall ourgan-sdk" in import_in(tmp_path)


def test_core_that_does_not_load_is_another_error(tmp_path: Path) -> None:
    copy_without_core(tmp_path)
    (tmp_path / "ourgan_sdk" / "_core.py").write_text("import absent_library")
    assert import_in(tmp_path) == "ModuleNotFoundError: No module named 'absent_library'"
