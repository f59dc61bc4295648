"""The wheel in an environment of its own: without torch, without a compiler, without the checkout."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

RENDER = """
import importlib.util, sys
from ourgan_sdk import Synthesizer
for name in ("torch", "onnx", "trainers", "export"):
    assert importlib.util.find_spec(name) is None, name
picture = Synthesizer(sys.argv[1]).render(300, 200, seed=3)
assert picture.shape == (200, 300, 3)
print("mean", picture.mean())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--quiet", "-C", f"build-dir={folder / 'build'}"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, ROOT], check=True, timeout=600
    )
    (path,) = folder.glob("*.whl")
    return path


def test_holds_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names}
    assert folders == {"ourgan_sdk", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}
    for wanted in ("ourgan_sdk/py.typed", "ourgan_sdk/_core.pyi", "ourgan_sdk/samples/canyon.ourgan"):
        assert wanted in names


def test_renders_without_torch_and_compiler(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = {**os.environ, "CC": "/bin/false", "CXX": "/bin/false"}  # pyvips, pure Python, has no wheel
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, f"{wheel}[cpu]"], check=True, timeout=600, env=environment)
    bundle = ROOT / "ourgan_sdk" / "samples" / "canyon.ourgan"
    result = subprocess.run(
        [python, "-c", RENDER, bundle],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("mean")
