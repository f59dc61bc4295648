"""What is learned from half of a photograph, against the whole."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import from_half
from bench.from_half import SCALES, Scale, Source, Subject, crops_of, main, read, render_one, save_sheet
from bench.quality import Results
from tests.tiny import write_photo

Run = Callable[[], dict[str, list[str]]]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png", 128, 160)


@pytest.fixture(scope="module")
def folder(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("from-half")
    Subject(photo, folder, None)
    return folder


@pytest.fixture
def run(
    photo: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The table's cells by the names of its rows."""

    def run() -> dict[str, list[str]]:
        monkeypatch.setattr(
            sys, "argv", ["x", str(photo), "--folder", str(folder), "--wide", "0", "--seeds", "1"]
        )
        main()
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| hills")]
        return {cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in lines)}

    return run


def test_the_half_lacks_what_the_whole_has(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run()
    assert list(rows) == [
        "hills, as the half, detail",
        "hills, as the whole, detail",
        "hills, as the whole, the half enlarged bicubic",
        "hills, as the whole, the half enlarged by a pass",
    ]
    finest = {name: float(cells[0].split(" / ")[1]) for name, cells in rows.items()}
    bicubic = finest["hills, as the whole, the half enlarged bicubic"]
    assert bicubic < 0.5 < finest["hills, as the half, detail"]
    assert finest["hills, as the whole, the half enlarged by a pass"] > bicubic
    # What is known is neither rendered nor measured again.
    monkeypatch.setattr(from_half, "FullResolution", None)
    assert run() == rows


def test_a_bundle_has_to_be_of_the_half(photo: Path, folder: Path, tmp_path: Path, bundle_path: Path) -> None:
    assert [source.name for source in Subject(photo, folder, tmp_path).sources] == ["detail"]
    (tmp_path / "hills.ourgan").write_bytes(bundle_path.read_bytes())  # of 180 x 120
    with pytest.raises(ValueError, match="expected a bundle fitted to the photograph at half its size"):
        Subject(photo, folder, tmp_path)


def test_halves_of_other_photographs_of_a_name_are_refused(
    photo: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_photo(tmp_path / photo.name, 128, 162)
    before = (folder / "hills-half.png").read_bytes()
    monkeypatch.setattr(sys, "argv", ["x", str(other), "--folder", str(folder), "--wide", "0"])
    with pytest.raises(SystemExit, match=r"hills-half.png is not the half of .*: .* give another --folder"):
        main()
    assert (folder / "hills-half.png").read_bytes() == before


@pytest.mark.parametrize("odd", [["--seeds", "0"], ["--wide", "-7"]])
def test_odd_numbers_are_refused(photo: Path, odd: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", str(photo), *odd])
    with pytest.raises(SystemExit, match="2"):
        main()


def test_sizes(photo: Path, folder: Path, tmp_path: Path) -> None:
    subject = Subject(photo, folder, None)
    with Image.open(subject.half) as half:
        assert half.size == (80, 64)
    assert subject.wide(800) == ((800, 640), 5.0)
    scale = Scale(subject, "as the half", SCALES["as the half"], Results(tmp_path / "numbers.jsonl"))
    assert (scale.width, scale.height) == (80, 64)
    assert max(scale.compare.photograph.shape) == 80


def test_wide_pictures_and_their_crops(
    photo: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = Subject(photo, folder, None)
    size, extent = subject.wide(640)
    file = tmp_path / "wide.tif"
    render_one(Source("detail", subject.half, "photograph"), size, extent, file)
    assert '"peak"' in capsys.readouterr().out
    picture = read(file)
    assert picture.shape == (512, 640, 3)
    save_sheet(tmp_path / "crops.png", [crops_of(picture), crops_of(picture)])
    with Image.open(tmp_path / "crops.png") as image:
        sheet = np.asarray(image)
    assert sheet.shape == (1032, 1032, 3)
    np.testing.assert_array_equal(sheet[:512, :512], crops_of(picture)[0])
