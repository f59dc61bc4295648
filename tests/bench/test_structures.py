"""The table of structures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.structures import COLUMNS, LAYOUTS, main
from ourgan_sdk.bundle import Manifest, write_bundle
from tests.tiny import write_photo
from trainers.photo import load_photo

pytestmark = pytest.mark.usefixtures("one_thread")

Run = Callable[..., list[list[str]]]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png")


@pytest.fixture
def bundle(tmp_path: Path, photo: Path, manifest: Manifest, networks: dict[str, bytes]) -> Path:
    """One that says to have learned the photograph."""
    learned = manifest.photo.model_copy(update={"sha256": load_photo(photo).sha256})
    return write_bundle(
        tmp_path / "one.ourgan", manifest.model_copy(update={"photo": learned}), networks
    ).path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The table's cells, without the lines above them."""

    def run(*arguments: object) -> list[list[str]]:
        monkeypatch.setattr("sys.argv", ["structures", *map(str, arguments), "--long-side", "32"])
        main()
        header, _, *lines = capsys.readouterr().out.splitlines()
        assert header == f"| {' | '.join(COLUMNS)} |"
        return [line.strip("| ").split(" | ") for line in lines]

    return run


def test_every_row_has_every_column(run: Run, photo: Path, bundle: Path) -> None:
    rows = run(photo, "--bundles", bundle.parent, "--seeds", 3, "--gpnn-seeds", 2)
    assert [row[:3] for row in rows] == [
        ["hills", "mirror", "-"],
        ["hills", "gpnn", "2"],
        ["hills", "gpnn, from noise alone", "2"],
        *(["hills", label, "3"] for label in LAYOUTS),
        ["hills", "network, draft", "3"],
    ]
    assert all(len(row) == len(COLUMNS) for row in rows)
    cells = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    assert cells[0]["layout drift"] == "0.0"
    for row in cells[1:]:
        assert "-" not in row.values()
        mean, deviation = map(float, row["sliced Wasserstein x 1000"].split(" ± "))
        assert mean > 0
        assert deviation >= 0
        assert 0 < float(row["copied, mean"]) <= float(row["copied, most"]) <= 1
        assert float(row["diversity"]) >= 0


def test_bundles_of_other_photographs_are_left_out(run: Run, photo: Path, bundle_path: Path) -> None:
    assert len(run(photo, "--bundles", bundle_path, "--ways", "mirror", "network")) == 1


def test_rows_that_are_asked_for(run: Run, photo: Path) -> None:
    assert [row[1] for row in run(photo, photo, "--ways", "mirror")] == ["mirror", "mirror"]
    assert [row[1] for row in run(photo, "--ways", "patches", "--seeds", 2)] == list(LAYOUTS)


def test_one_seed_and_small_photographs_are_refused(run: Run, photo: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run(photo, "--seeds", 1)
    with pytest.raises(ValueError, match="smaller than 32"):
        run(write_photo(tmp_path / "small.png", 20, 30))
