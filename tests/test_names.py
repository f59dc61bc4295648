"""Files and folders whose names are bytes that are no UTF-8, as those of old disks and archives are."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Bundle, OutputError, Synthesizer, learn, save_bundle
from ourgan_sdk.bundle import Manifest, write_bundle
from ourgan_sdk.engines import Options, candidates
from ourgan_sdk.photograph import read_photograph
from ourgan_sdk.resume import SUFFIX
from ourgan_sdk.writers import SUFFIXES, vips
from ourgan_sdk.writers.base import Properties
from tests.tiny import write_photo

NAME = os.fsdecode(b"H\xf6he \xff\xfe")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    try:
        path.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_outputs(bundle_path: Path, folder: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    canvas = Synthesizer(bundle_path, threads=1).canvas(90, 70)
    canvas.save(folder / f"{NAME}{suffix}", resume=True)
    canvas.save(tmp_path / f"plain{suffix}")
    ours, theirs = (
        [path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file() and path.suffix != ".xml"]
        for place in (folder, tmp_path)
    )
    assert len(ours) > 0
    assert all(one in theirs for one in ours)
    assert len(theirs) == 2 * len(ours)


def test_resume_photographs_and_bundles(folder: Path) -> None:
    photo = write_photo(folder / f"{NAME}.png", 240, 360)
    assert read_photograph(photo).width == 360
    bundle = save_bundle(learn(photo), folder / f"{NAME}.ourgan")
    canvas = Synthesizer(bundle.path, threads=1).canvas(64, 700)
    output = folder / f"{NAME}.png"

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        canvas.save(output.with_suffix(".tif"), resume=True, progress=stop)
    assert output.with_suffix(f".tif{SUFFIX}").exists()
    canvas.save(output.with_suffix(".tif"), resume=True)
    with Image.open(output.with_suffix(".tif")) as image:
        np.testing.assert_array_equal(np.asarray(image), canvas.read())
    with pytest.raises(OutputError, match="No such file"):
        canvas.save(folder / "none" / NAME / "a.png")


def test_programs_of_such_names(folder: Path, bundle_path: Path) -> None:
    """libvips is told the program's name."""
    program = folder / f"{NAME}.py"
    program.write_text(
        "import sys; from ourgan_sdk import Synthesizer\n"
        "Synthesizer(sys.argv[1]).render(9, 8, out=sys.argv[2])\n"
    )
    output = folder / "a.png"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, program, bundle_path, output], check=True, env=environment, timeout=120)
    assert output.exists()


def test_an_empty_variable_asks_for_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OURGAN_ENGINE")
    expected = candidates("auto", Options())
    monkeypatch.setenv("OURGAN_ENGINE", "")
    assert candidates("auto", Options()) == expected


def test_formats_that_libvips_was_built_without(tmp_path: Path) -> None:
    """pyvips knows no such operation then, here one that there is nowhere."""

    def lacking(image: object, output: Path, _properties: Properties) -> None:
        image.nowheresave(str(output))  # type: ignore[attr-defined]

    properties = Properties(3, 2, np.dtype(np.uint8), 95, False, None, "")
    bands = iter([np.ones((2, 3, 3), np.uint8)])
    with pytest.raises(OutputError, match="this build of libvips cannot write such files: choose another"):
        vips.encode_image(lacking, bands, tmp_path / "a.png", properties)


def test_manifests_do_not_tell_paths(folder: Path, manifest: Manifest, networks: dict[str, bytes]) -> None:
    """What is not text could not be in them."""
    path = folder / f"{NAME}.ourgan"
    write_bundle(path, manifest, networks)
    assert Bundle.open(path).manifest.photo == manifest.photo
