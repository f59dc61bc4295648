"""The commands that start from a picture: paint, harmonize, edit; animate, superres, render --start-scale."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Layout, Synthesizer
from ourgan_sdk.cli import main
from tests.tiny import write_photo

SIZE = 240, 160


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png")


@pytest.fixture
def composite(tmp_path: Path) -> Path:
    picture = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    path = tmp_path / "composite.png"
    Image.fromarray(picture).save(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """White on black, saved with loss: near black is no white."""
    pixels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    pixels[40:80, 60:120] = 255
    path = tmp_path / "mask.jpg"
    Image.fromarray(pixels).save(path, quality=60)
    return path


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("kind", ["photograph", "network"])
def test_paint(
    photo: Path,
    starting_path: Path,
    composite: Path,
    tmp_path: Path,
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = photo if kind == "photograph" else starting_path
    out = tmp_path / "out.png"
    assert (
        main(["paint", str(source), str(composite), "-o", str(out), "--size", "360x240", "--seed", "3"]) == 0
    )
    with Synthesizer(source) as synthesizer:
        scale = synthesizer.default_start_scale("paint")
        layout = Layout(variety=None if kind == "photograph" else 0.0)
        expected = synthesizer.render(360, 240, 3, start=composite, start_scale=scale, layout=layout)
        assert f"new from scale {scale} of {synthesizer.start_scales} on" in capsys.readouterr().out
        np.testing.assert_array_equal(read(out), expected)
        options = ["--colors", "4", "--start-scale", "2", "--bits", "16"]
        assert main(["paint", str(source), str(composite), "-o", str(tmp_path / "o.tif"), *options]) == 0
        painted = synthesizer.render(*SIZE, start=synthesizer.recolored(composite, 4), start_scale=2)
        assert (painted != expected[:160, :240]).any()


@pytest.mark.parametrize("command", ["harmonize", "edit"])
def test_outside_the_mask_files_keep_every_byte(
    photo: Path, composite: Path, mask: Path, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "out.png"
    assert main([command, str(photo), str(composite), "--mask", str(mask), "-o", str(out)]) == 0
    before, after = read(composite), read(out)
    reach = {"harmonize": 7, "edit": 20}[command] + 3 * 5 * 1.5 + 3
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    away = np.hypot(np.maximum(0, np.maximum(40 - y, y - 79)), np.maximum(0, np.maximum(60 - x, x - 119)))
    np.testing.assert_array_equal(after[away > reach], before[away > reach])
    assert (after[away == 0] != before[away == 0]).mean() > 0.9
    assert (after[away == 0] != before[away == 0]).any(1).all()


@pytest.mark.parametrize("command", ["paint", "harmonize", "edit", "render", "superres"])
def test_previews_are_small(photo: Path, composite: Path, mask: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "small.png"
    arguments = {
        "render": ["3840x2560", "--start-scale", "2"],
        "superres": ["--factor", "5"],
    }.get(command, [str(composite), "--size", "3840x2560"])
    if command in ("harmonize", "edit"):
        arguments += ["--mask", str(mask)]
    assert main([command, str(photo), *arguments, "-o", str(out), "--preview"]) == 0
    assert read(out).shape == (427, 640, 3)


def test_a_preview_shows_the_render(photo: Path, composite: Path, tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    command = ["paint", str(photo), str(composite), "--size", "1200x800", "--start-scale", "2"]
    assert main([*command, "-o", str(small), "--preview"]) == 0
    assert main([*command, "-o", str(large)]) == 0
    with Image.open(large) as image:
        expected = np.asarray(image.resize((640, 427), Image.Resampling.BOX)).astype(int)
    assert np.abs(read(small) - expected).mean() < 8


def test_animate(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "film.gif"
    assert (
        main(["animate", str(photo), "-o", str(out), "--frames", "3", "--size", "96x64", "--rate", "5"]) == 0
    )
    output, errors = capsys.readouterr()
    assert "3 frames, 96 x 64" in output
    assert "100%" in errors
    with Image.open(out) as image:
        assert image.n_frames == 3
        assert image.size == (96, 64)
    preview = tmp_path / "preview"
    assert main(["animate", str(photo), "-o", str(preview), "--preview"]) == 0
    assert [read(one).shape for one in sorted(preview.iterdir())] == [(200, 300, 3)] * 5


def test_superres(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "large.png"
    assert main(["superres", str(photo), "-o", str(out), "--factor", "2"]) == 0
    with Synthesizer(photo) as synthesizer:
        np.testing.assert_array_equal(read(out), synthesizer.super_resolution(2).read())


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 1
    errors = capsys.readouterr().err.splitlines()
    return errors[-1]


def test_errors_say_what_to_do(
    photo: Path, composite: Path, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    command = ["harmonize", str(photo), str(composite), "-o", str(out), "--mask"]
    other = tmp_path / "other.png"
    Image.new("L", (100, 100), 255).save(other)
    assert "has 100 x 100 pixels" in error_of([*command, str(other)], capsys)
    assert "a mask has to have the picture's size or aspect" in error_of([*command, str(other)], capsys)
    Image.new("L", SIZE).save(other)
    assert "is nowhere white, at most 0 of 255" in error_of([*command, str(other)], capsys)
    Image.new("RGB", SIZE, (255, 0, 0)).save(other)
    assert "is nowhere white, at most 0 of 255" in error_of([*command, str(other)], capsys)
    Image.new("RGBA", SIZE, (255, 255, 255, 0)).save(other)
    assert "has transparency, of which nothing says" in error_of([*command, str(other)], capsys)
    Image.new("RGBA", SIZE, (255, 255, 255, 255)).save(other)  # opaque all over
    assert main([*command, str(other)]) == 0
    out.unlink()
    own_mask = [*command[:4], str(mask), "--mask", str(mask)]
    assert "is what the output is made from" in error_of(own_mask, capsys)
    assert "cannot read the photograph" in error_of([*command, "nothing.png"], capsys)
    refused = error_of([*command, str(mask), "--start-scale", "9"], capsys)
    assert "start_scale to be from 1 to" in refused
    own = ["paint", str(photo), str(composite), "-o", str(composite)]
    assert "is what the output is made from" in error_of(own, capsys)
    assert "holds no structure network" in error_of(
        [*own[:-1], str(out), "--structure", "network"], capsys
    ) or ("has no structure network" in error_of([*own[:-1], str(out), "--structure", "network"], capsys))
    assert "even sides" in error_of(
        ["animate", str(photo), "-o", str(tmp_path / "a.mp4"), "--size", "95x64"], capsys
    )
    superres = ["superres", str(photo), "-o", str(out), "--factor", "1"]
    assert "a factor of more than 1" in error_of(superres, capsys)
    assert not out.exists()
    for wrong in (["--start-scale", "0"], ["--colors", "1"], ["--variety", "2"], ["--size", "1"]):
        with pytest.raises(SystemExit, match="2"):
            main(["paint", str(photo), str(composite), "-o", str(out), *wrong])
