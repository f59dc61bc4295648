"""Commands, the service and clusters with a bundle whose structure is of coordinates."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Bundle, Synthesizer
from ourgan_sdk.cli import main, view
from ourgan_sdk.service import Settings
from tests.coordinates.tiny import HALO, LARGEST, PATCH, write_coordinates
from tests.service.conftest import running
from tests.tiny import write_photo

BEYOND = "at larger ones its coordinates grow finer, what it draws does not"


def test_info(coordinates_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(coordinates_path)]) == 0
    told = capsys.readouterr().out
    assert f"60, with shorter sides of {PATCH} to {LARGEST}, sha256 1111" in told
    assert f"of coordinates, learned at scales of {PATCH} to {LARGEST} pixels" in told
    assert BEYOND in told
    assert "cells of 2 x 2 pixels, halo 3 cells, code of 8, seam error at most 0 levels" in told
    assert "preset tiny, seed 0" in told


def test_render_and_preview(coordinates_path: Path, synthesizer: Synthesizer, tmp_path: Path) -> None:
    out = str(tmp_path / "a.png")
    assert main(["render", str(coordinates_path), "120x80", "--seed", "3", "--extent", "2", "-o", out]) == 0
    assert (np.asarray(Image.open(out)) == synthesizer.render(120, 80, 3, extent=2)).all()
    sheet = str(tmp_path / "sheet.png")
    assert main(["preview", str(coordinates_path), "--count", "2", "--cell", "50", "-o", sheet]) == 0
    with Image.open(sheet) as opened:
        assert opened.size == (2 * 50 + 3 * 4, 50 + 2 * 4)
        first = np.asarray(opened)[4:54, 4:54]
    assert (first == synthesizer.thumbnail(0, size=50)).all()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["render", "BUNDLE", "64x64", "-o", "OUT", "--variety", "0.2"], "needs a bundle of one photograph"),
        (["render", "BUNDLE", "64x64", "-o", "OUT", "--detail", "photograph"], "holds no photograph"),
        (["superres", "BUNDLE", "-o", "OUT"], "super-resolution needs a bundle of one photograph"),
        (["animate", "BUNDLE", "-o", "a.webp"], "there is no one photograph to go by"),
        (["doctor", "BUNDLE"], "has no upscaler to try engines with"),
        (["paint", "BUNDLE", "PICTURE", "-o", "OUT"], "a start needs a bundle of one photograph"),
        (["calibrate", "BUNDLE", "--photo", "PICTURE"], "sees no photograph: leave it out"),
    ],
)
def test_what_cannot_be_is_told(
    command: list[str],
    words: str,
    coordinates_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "picture.png"
    noise = np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)
    Image.fromarray(noise).save(picture)
    names = {"BUNDLE": str(coordinates_path), "OUT": "out.png", "PICTURE": str(picture)}
    assert main([names.get(one, one) for one in command]) == 1
    assert words in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["picture.png"]


def test_calibrate_finds_the_halo_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The radius of three convolutions, or where half a level is all that is left."""
    path = write_coordinates(tmp_path / "a.ourgan", halo=0)
    assert main(["calibrate", str(path), "--write"]) == 0
    told = capsys.readouterr().out
    record = Bundle.open(path).manifest.coordinates
    assert record is not None
    assert record.halo == HALO
    assert record.seam_error.maximum <= 0.5
    assert f"coordinates.onnx: halo {HALO} cells of 2 pixels (in the bundle: 0)" in told
    assert f"*{HALO} " in told


@pytest.fixture(scope="module")
def client(coordinates_path: Path) -> Iterator[httpx.Client]:
    with running(Settings(sources={"folder": coordinates_path}, port=0, viewer=False)) as client:
        yield client


def test_the_service_describes_it(client: httpx.Client) -> None:
    (source,) = client.get("/api/sources").json()["sources"]
    assert source["structures"] == ["coordinates"]
    assert source["detail"] == ["network"]
    assert (source["width"], source["height"]) == (LARGEST, LARGEST)
    views = [
        client.get(f"/iiif/3/folder~600x400~3{option}/0,0,64,64/64,/0/default.png")
        for option in ("", "~structure=coordinates", "~detail=network")
    ]
    assert [one.status_code for one in views] == [200] * 3, views[1].text
    assert views[0].content == views[1].content == views[2].content


def test_the_service_renders_it(client: httpx.Client, synthesizer: Synthesizer, tmp_path: Path) -> None:
    canvas = synthesizer.canvas(600, 400, 3)
    for region, size, expected in (
        ("100,50,64,32", "max", canvas[50:82, 100:164]),
        ("0,0,512,256", "256,", canvas.levels[1][:128, :256]),
    ):
        answer = client.get(f"/iiif/3/folder~600x400~3/{region}/{size}/0/default.png")
        assert answer.status_code == 200, answer.text
        (tmp_path / "a.png").write_bytes(answer.content)
        assert (np.asarray(Image.open(tmp_path / "a.png")) == expected).all()
    info = client.get("/iiif/3/folder~600x400~3/info.json").json()
    assert (info["width"], info["height"]) == (600, 400)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("structure=network", "folder has structure by coordinates alone, not network"),
        ("structure=patches", "folder has structure by coordinates alone, not patches"),
        ("detail=photograph", "folder has detail by network alone, not photograph"),
        ("variety=0.3", "needs a bundle of one photograph"),
        ("symmetric=x", "needs a bundle of one photograph"),
    ],
)
def test_the_service_refuses_what_cannot_be(
    client: httpx.Client, options: str, words: str, coordinates_path: Path
) -> None:
    answer = client.get(f"/iiif/3/folder~600x400~3~{options}/0,0,9,9/max/0/default.png")
    assert answer.status_code == 400
    assert words in answer.text
    assert str(coordinates_path.parent) not in answer.text


@pytest.mark.parametrize(("largest", "side"), [(LARGEST, 2 * LARGEST), ((1 << 31) - 1, 100_000)])
def test_view_shows_a_canvas_that_can_be(
    largest: int, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a bundle says that it has seen."""
    path = write_coordinates(tmp_path / "a.ourgan", largest=largest)
    served: list[Settings] = []
    monkeypatch.setattr(view, "serve_until_signal", lambda settings, _ready: served.append(settings))
    monkeypatch.setattr(view, "_LIBRARY", path)  # a file that is there
    assert main(["view", str(path), "--no-browser"]) == 0
    assert str(served[0].warm[0]) == f"a~{side}x{side}~0"
    assert max(side, side) <= served[0].max_side
    Synthesizer(path).canvas(side, side)


def test_evaluation_needs_one_photograph(
    coordinates_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = pytest.importorskip("trainers.evaluate")
    photo = write_photo(tmp_path / "photo.png", 120, 180)
    report = tmp_path / "report.json"
    assert evaluate.main([str(coordinates_path), str(photo), "--output", str(report), "--quiet"]) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: ")
    assert "learned from many pictures: there is no one photograph to go by" in told
    assert "\n" not in told
    assert not report.exists()


def test_dask(coordinates_path: Path) -> None:
    pytest.importorskip("dask")
    canvas = Synthesizer(coordinates_path, memory_limit="1200KiB").canvas(301, 203, 5)
    chunked = canvas.to_dask(chunks=(100, 150))
    assert (chunked.compute(scheduler="synchronous") == canvas[:]).all()
    assert sum(canvas.to_dask(1).chunks[0]) == 102
