"""The wheel in an environment of its own: without torch, without a compiler, without the checkout."""

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import write_photo

ROOT = Path(__file__).parents[1]

RENDER = """
import importlib.util, sys
from ourgan_sdk import Synthesizer
for name in ("torch", "trainers", "export"):
    assert importlib.util.find_spec(name) is None, name
picture = Synthesizer(sys.argv[1]).render(300, 200, seed=3)
assert picture.shape == (200, 300, 3)
print("mean", picture.mean())
"""

PHOTOGRAPH = """
import sys
from ourgan_sdk import Layout, Synthesizer
picture = Synthesizer(sys.argv[1]).render(512, 256, layout=Layout(tileable="x", symmetric="y"))
assert picture.shape == (256, 512, 3)
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


def test_holds_the_viewer(wheel: Path) -> None:
    """What comes from npm, with its license, and is no part of the repository, included."""
    viewer = ROOT / "ourgan_sdk" / "service" / "viewer"
    library = viewer / "openseadragon" / "openseadragon.min.js"
    if not library.is_file():
        pytest.skip("the viewer needs OpenSeadragon: make viewer")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        held = archive.read(library.relative_to(ROOT).as_posix())
    assert held == library.read_bytes()
    files = [path.relative_to(ROOT).as_posix() for path in viewer.rglob("*") if path.is_file()]
    assert {"index.html", "viewer.js", "viewer.css", "LICENSE.txt"} <= {Path(name).name for name in files}
    assert set(files) <= names


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a program of an environment that holds the wheel alone, in its own folder; gives its output."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    # Pyvips, pure Python, has no wheel; with libvips' development files in sight it would want a compiler.
    environment = os.environ | {"CC": "/bin/false", "CXX": "/bin/false", "PKG_CONFIG_LIBDIR": os.devnull}
    install = [programs / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, f"{wheel}[cpu,animate]"], check=True, timeout=600, env=environment)

    def run(program: str, *arguments: object) -> str:
        result = subprocess.run(
            [programs / program, *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def test_renders_without_torch_and_compiler(run: Callable[..., str]) -> None:
    bundle = ROOT / "ourgan_sdk" / "samples" / "canyon.ourgan"
    assert run("python", "-c", RENDER, bundle).startswith("mean")


def test_a_photograph_is_all_it_takes(run: Callable[..., str], tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "hills.png", 480, 720)
    picture, bundle, sheet = (tmp_path / name for name in ("wall.png", "hills.ourgan", "sheet.jpg"))
    assert "largest piece of the photograph" in run("ourgan", "render", photo, "1000x600", "-o", picture)
    assert "learned 720 x 480" in run("ourgan", "learn", photo, "-o", bundle)
    again = tmp_path / "again.png"
    run("ourgan", "render", bundle, "1000x600", "-o", again)
    assert again.read_bytes() == picture.read_bytes()
    assert "seeds 0 to 3, 2 in a row" in run(
        *("ourgan", "preview", photo, "-o", sheet, "--count", 4, "--columns", 2, "--cell", 200)
    )
    assert "structures of patches have" in run("ourgan", "info", bundle)
    run("python", "-c", PHOTOGRAPH, photo)


def test_every_use_of_a_start(run: Callable[..., str], tmp_path: Path) -> None:
    """Of a photograph (structures of patches) and of the sample (a network)."""
    photo = write_photo(tmp_path / "hills.png", 240, 360)
    art = write_photo(tmp_path / "art.png", 120, 180)
    mask = tmp_path / "mask.png"
    pixels = np.zeros((120, 180), np.uint8)
    pixels[40:80, 60:120] = 255
    Image.fromarray(pixels).save(mask)
    for source in (photo, ROOT / "ourgan_sdk" / "samples" / "canyon.ourgan"):
        for name, *arguments in (
            ("render", source, "360x240", "--start-scale", 1),
            ("paint", source, art, "--colors", 5),
            ("harmonize", source, art, "--mask", mask),
            ("edit", source, art, "--mask", mask),
            ("superres", source, "--preview"),
        ):
            out = tmp_path / f"{name}.png"
            assert str(out) in run("ourgan", name, *arguments, "-o", out)
            assert out.stat().st_size > 1000
        films = ("film.mp4", "film.gif", "film.webp", "frames") if source == photo else ("film.mp4",)
        for film in films:
            run("ourgan", "animate", source, "-o", tmp_path / film, "--frames", 3, "--size", "96x64")
            assert (tmp_path / film).exists()
