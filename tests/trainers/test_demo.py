"""The demo: what it leaves and what it says, with a bundle that nothing was trained for."""

import re
from pathlib import Path

import pytest

from ourgan_sdk import Bundle, learn, save_bundle
from tests.tiny import write_photo
from trainers import demo


@pytest.fixture(autouse=True)
def fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In place of the trainers; everything is written into an empty folder."""

    def learned(arguments: list[str]) -> int:
        image, *options, output = arguments
        assert options == ["--preset", "draft", "-o"]
        save_bundle(learn(image), Path(output))
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo.fit, "main", learned)


def test_learns_the_samples_photograph_and_renders(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--size", "160x96"]) == 0
    files = sorted(str(path) for path in Path("output").iterdir())
    assert files == ["output/sample-160x96.png", "output/sample.jpg", "output/sample.ourgan"]
    printed = capsys.readouterr().out
    assert "trained:          output/sample-160x96.png\nbundle:           output/sample.ourgan\n" in printed
    assert "without training" not in printed


def test_photographs_of_one_name_keep_their_results(tmp_path: Path) -> None:
    for folder, height in (("a", 200), ("b", 202)):
        (tmp_path / folder).mkdir()
        write_photo(tmp_path / folder / "IMG_0001.png", height, 300)
    for folder in ("a", "b", "a", "b"):
        assert demo.main([f"{folder}/IMG_0001.png", "--size", "64x48"]) == 0
    assert sorted(path.name for path in Path("output").iterdir()) == [
        "IMG_0001-2-64x48.png",
        "IMG_0001-2.ourgan",
        "IMG_0001-64x48.png",
        "IMG_0001.ourgan",
    ]
    assert Bundle.open("output/IMG_0001-2.ourgan").manifest.photo.height == 202


def test_table_holds_the_steps_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.time, "time", lambda: 1200.0)
    moments = ["1000", "1040", "1043", "1070"]
    assert demo.main(["--size", "160x96", "--first", "output/first.png", "--moments", *moments]) == 0
    printed = capsys.readouterr().out
    rows = re.findall(r"^(\w.*?) {2,}(\d+:\d\d:\d\d)$", printed, re.MULTILINE)
    assert [name for name, _ in rows] == [
        *demo.STEPS_BEFORE,
        "fit a draft bundle",
        "render from the bundle",
        "all, with starting up",
    ]
    times = [time for _, time in rows]
    assert [*times[:3], times[-1]] == ["0:00:40", "0:00:03", "0:00:27", "0:03:20"]
    assert "without training: output/first.png\n" in printed


@pytest.mark.parametrize("arguments", [["missing.jpg"], ["--size", "huge"]])
def test_says_what_is_wrong(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_arguments: list[str]) -> int:
        return 1

    monkeypatch.setattr(demo.fit, "main", failing)
    assert demo.main(arguments) == 1
    assert "trained" not in capsys.readouterr().out
