"""How commands read their arguments, and what they do not replace."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export import to_trt
from ourgan_sdk import Bundle, Synthesizer
from ourgan_sdk.bundle import Manifest, write_bundle
from ourgan_sdk.cli import main
from ourgan_sdk.sizes import check_bytes, parse_size
from ourgan_sdk.system.parser import Parser
from tests.tiny import write_photo
from trainers import evaluate, fit


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on stderr."""
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        "render BUNDLE -o OUT 90x70",
        "render -o OUT BUNDLE 90x70",
        "render BUNDLE 90x70 -o OUT -v",
        "render BUNDLE --seed 5 90x70 -o OUT",
        "-v render BUNDLE -v -o OUT --seed 5 90x70",
        "render -o OUT -- BUNDLE 90x70",
        "render BUNDLE --seed 5 -o OUT -- 90x70",
        "preview --count 1 BUNDLE -o OUT -v",
        "info -v BUNDLE",
        "info BUNDLE -v",
    ],
)
def test_options_stand_anywhere(bundle_path: Path, tmp_path: Path, words: str) -> None:
    names = {"BUNDLE": str(bundle_path), "OUT": str(tmp_path / "a.png")}
    assert main([names.get(word, word) for word in words.split()]) == 0
    if words.startswith(("render", "-v")):
        seed = 5 if "--seed" in words else 0
        with Image.open(tmp_path / "a.png") as image:
            np.testing.assert_array_equal(np.asarray(image), Synthesizer(bundle_path).render(90, 70, seed))


def test_what_is_behind_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    """And options before them still stand anywhere."""
    parser = Parser(prog="p")
    parser.add_argument("source", nargs="?")
    parser.add_argument("size", type=parse_size)
    parser.add_argument("--seed", type=int)
    for words in (
        ["a", "--seed", "5", "--", "64x48"],
        ["--seed", "5", "a", "--", "64x48"],
        ["--seed", "5", "--", "a", "64x48"],
        ["a", "64x48", "--seed", "5", "--"],
    ):
        assert vars(parser.parse_args(words)) == {"source": "a", "size": (64, 48), "seed": 5}
    assert parser.parse_args(["--seed", "5", "--", "-a", "64x48"]).source == "-a"
    assert parser.parse_args(["--", "--", "64x48"]).source == "--"
    for words in (["--", "a", "64x48", "--seed"], ["a", "--", "-64"]):
        with pytest.raises(SystemExit):
            parser.parse_args(words)
        assert words[-1] in capsys.readouterr().err.splitlines()[-1]


def test_verbose_behind_the_command(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[int] = []
    monkeypatch.setattr("ourgan_sdk.cli.log_to_stderr", lambda level, _layout: levels.append(level))
    for words in (["info"], ["-v", "info"], ["info", "-v"], ["-v", "info", "--verbose"]):
        assert main([*words, str(bundle_path)]) == 0
    assert levels == [30, 20, 20, 20]


def test_one_word_is_the_size(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["render", "-o", "a.png"], ["render", "-o", "a.png", "a", "b", "c"]):
        with pytest.raises(SystemExit):
            main(words)
    assert "SIZE" in capsys.readouterr().err


def test_options_of_trainers_stand_anywhere() -> None:
    options = fit.parse(["--preset", "draft", "photo.jpg", "--seed", "3"])
    assert (options.image, options.seed) == (Path("photo.jpg"), 3)
    options = fit.parse(["--quiet", "photo.jpg"])
    assert options.image == Path("photo.jpg")
    options = evaluate.parse(["--quiet", "a.ourgan", "-p", "1", "photo.jpg"])
    assert (options.bundle, options.photo, options.passes) == (Path("a.ourgan"), Path("photo.jpg"), 1)
    options = to_trt.parse(["--quiet", "a.ourgan"])
    assert options.bundle == Path("a.ourgan")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1.5G", 3 << 29), ("700 kb", 700 << 10), ("4096", 4096)],
)
def test_memory_limits_as_texts(bundle_path: Path, text: str, expected: int) -> None:
    assert check_bytes("memory_limit", text, 1 << 62) == expected
    assert to_trt.parse(["a.ourgan", "--memory", text]).memory == expected
    assert Synthesizer(bundle_path, memory_limit=text)._memory_limit == expected


@pytest.mark.parametrize("text", ["0", "lots", "-1", "1e9", "", "8EiB", "99999999T"])
def test_memory_limits_that_are_none(
    bundle_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        Synthesizer(bundle_path, memory_limit=text)
    with pytest.raises(SystemExit):
        to_trt.parse(["a.ourgan", f"--memory={text}"])
    assert "expected" in capsys.readouterr().err


@pytest.fixture
def cameras(tmp_path: Path) -> list[Path]:
    """Two photographs of one name."""
    paths = []
    for i in range(2):
        (tmp_path / f"{i}").mkdir()
        paths.append(write_photo(tmp_path / f"{i}" / "IMG_0001.png", 200 + i, 300))
    return paths


def test_learn_replaces_no_other_photograph(
    cameras: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "IMG_0001.ourgan"
    assert main(["learn", str(cameras[0]), "-o", str(output)]) == 0
    assert main(["learn", str(cameras[0]), "-o", str(output)]) == 0  # of the same it may
    before = output.read_bytes()
    assert main(["learn", str(cameras[1]), "-o", str(output)]) == 1
    words = r"cannot write .*IMG_0001.ourgan: it is the bundle of another photograph; .* --force"
    assert re.search(words, error_line(capsys))
    assert output.read_bytes() == before
    assert main(["learn", str(cameras[1]), "-o", str(output), "--force"]) == 0
    assert Bundle.open(output).manifest.photo.height == 201
    output.write_bytes(before[:1000])
    assert main(["learn", str(cameras[0]), "-o", str(output)]) == 1
    assert "is there, and no bundle that can be read" in error_line(capsys)


def test_learn_replaces_no_training(
    cameras: list[Path],
    tmp_path: Path,
    manifest: Manifest,
    networks: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """trainers.fit gives a photograph's bundle the name that one would give to `ourgan learn`."""
    sha256 = hashlib.sha256(cameras[0].read_bytes()).hexdigest()
    photo = manifest.photo.model_copy(update={"sha256": sha256})
    output = tmp_path / "IMG_0001.ourgan"
    write_bundle(output, manifest.model_copy(update={"photo": photo}), networks)
    assert main(["learn", str(cameras[0]), "-o", str(output)]) == 1
    assert "is a bundle that was trained, and this one is not" in error_line(capsys)


def test_fit_replaces_no_other_photograph(
    cameras: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its default name, before it has trained for hours."""
    monkeypatch.chdir(tmp_path)
    assert main(["learn", str(cameras[0]), "-o", "IMG_0001.ourgan"]) == 0
    assert fit.main([str(cameras[1]), "--preset", "draft", "--quiet"]) == 1
    assert "it is the bundle of another photograph" in error_line(capsys)
    assert not (tmp_path / "runs").exists()


def test_copies_of_calibrated_bundles_and_engines_replace_no_other_photograph(
    cameras: list[Path],
    tmp_path: Path,
    make_bundle: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "IMG_0001.ourgan"
    assert main(["learn", str(cameras[0]), "-o", str(output)]) == 0
    bundle = make_bundle()
    for command in (main, to_trt.main):
        name = ["calibrate"] if command is main else []
        assert command([*name, str(bundle), "-o", str(output)]) == 1
        assert "it is the bundle of another photograph" in error_line(capsys)
