"""The demo: what it leaves and what it says, with a bundle that nothing was trained for."""

import re
from pathlib import Path

import pytest

from ourgan_sdk import learn, save_bundle
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
