"""Importing the package: its exports, what it leaves alone, and what it says without its core."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import ourgan_sdk

SOURCE = Path(__file__).parent.parent / "ourgan_sdk"


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
