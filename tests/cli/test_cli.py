"""The `ourgan` command: what it writes, prints and returns."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ourgan_sdk import Bundle, Layout, Synthesizer, __version__
from ourgan_sdk.bundle import EngineRecord, Window, add_engines
from ourgan_sdk.cli import main, preview
from ourgan_sdk.resume import Finished
from tests.tiny import write_photo


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line on stderr."""
    output, errors = capsys.readouterr()
    assert output == ""
    (line,) = errors.splitlines()
    return line


def test_render(bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "picture.png"
    assert main(["render", str(bundle_path), "90x70", "-o", str(path), "--seed", "5", "--memory", "3M"]) == 0
    output, errors = capsys.readouterr()
    assert output.startswith(f"{path}: 90 x 70, seed 5, in ")
    assert "100%" in errors
    with Image.open(path) as image:
        expected = Synthesizer(bundle_path, memory_limit=3 << 20).render(90, 70, seed=5)
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_render_sixteen_bits(bundle_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "picture.tif"
    options = ["--bits", "16", "--threads", "1", "--engine", "onnxruntime"]
    assert main(["render", str(bundle_path), "90x70", "-o", str(path), *options]) == 0
    with Image.open(path) as image:
        assert image.size == (90, 70)


def test_render_options_of_files(bundle_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "picture.tif"
    command = ["render", str(bundle_path), "600x500", "-o", str(path), "--pyramid", "--dpi", "300"]
    assert main(command) == 0
    with tifffile.TiffFile(path) as file:
        assert len(file.series[0].levels) > 1
        assert file.pages[0].get_resolution("inch") == (300, 300)
    sizes = []
    for quality in ("20", "90"):
        path = tmp_path / f"{quality}.jpg"
        assert main(["render", str(bundle_path), "90x70", "-o", str(path), "--quality", quality]) == 0
        sizes.append(path.stat().st_size)
    assert sizes[0] < sizes[1]


def test_resume(bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    command = ["render", str(bundle_path), "421x293", "-o", str(path), "--memory", "2M", "--resume"]
    appended = Finished.append

    def stop(self: Finished, band: np.ndarray, memory_limit: int) -> None:
        appended(self, band, memory_limit)
        if self.rows > 100:
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(Finished, "append", stop)
        assert main(command) == 130
    assert [left.name for left in tmp_path.iterdir()] == ["picture.png.partial"]
    assert main(command) == 0
    assert [left.name for left in tmp_path.iterdir()] == ["picture.png"]
    with Image.open(path) as image:
        expected = Synthesizer(bundle_path, memory_limit=2 << 20).render(421, 293)
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_preview(bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sheet.png"
    options = ["--first", "3", "--count", "5", "--columns", "3"]
    assert main(["preview", str(bundle_path), "-o", str(path), *options]) == 0
    assert capsys.readouterr().out == f"{path}: seeds 3 to 7, 3 in a row\n"
    with Image.open(path) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (4 + 2 * 16, 4 + 3 * 22, 3)
    fifth = Synthesizer(bundle_path).preview(7)
    np.testing.assert_array_equal(sheet[20:32, 26:44], fifth)
    assert (sheet[20:, 48:] == 255).all()


def test_preview_shows_its_progress_when_it_takes_long(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["preview", str(bundle_path), "-o", str(tmp_path / "sheet.png"), "--count", "3"]
    assert main(command) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(preview, "_PATIENCE", 0.0)
    assert main(command) == 0
    assert "100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "first", "words"),
    [
        ("a.gif", 0, "suffix is none of"),
        ("absent/a.png", 0, "No such file"),
        ("a.png", 2**64 - 1, r"seeds up to 2\^64 - 1, got 18446744073709551615 to 18446744073709551638"),
    ],
)
def test_preview_refuses_before_it_renders(
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    first: int,
    words: str,
) -> None:
    monkeypatch.setattr(Synthesizer, "preview", lambda *_: pytest.fail("rendered"))
    assert main(["preview", str(bundle_path), "-o", str(tmp_path / output), "--first", str(first)]) == 1
    assert re.search(words, error_line(capsys))
    assert list(tmp_path.iterdir()) == []


def test_info(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(bundle_path)]) == 0
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["sha256"].strip() == Bundle.open(bundle_path).sha256
    assert lines["structure"].strip() == "a network of 3 scales from 6 x 4 to 18 x 12"
    assert "halo 3" in lines["upscaler.onnx"]
    assert f"ourgan_sdk {__version__}" in lines["bundle"]


def test_info_says_whether_the_photograph_is_in_the_bundle(
    bundle_path: Path, photograph_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, schema, words in (
        (bundle_path, 1, "by networks: the bundle does not hold the photograph"),
        (photograph_path, 3, "from the photograph, member photograph.jpg: pictures contain its pixels"),
    ):
        assert main(["info", str(path)]) == 0
        lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
        assert lines["detail"].strip().startswith(words)
        assert f"(schema {schema}, by" in lines["bundle"]
        assert ("member photograph.jpg" in lines) == (schema == 3)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ([], {}),
        (["--detail", "photograph", "--extent", "0.5"], {"extent": 0.5}),
        (["--detail", "network", "--extent", "2"], {"detail": "network", "extent": 2}),
        (["--threads", "1", "--extent", "1.25"], {"extent": 1.25}),
    ],
)
def test_render_detail(
    photograph_path: Path, tmp_path: Path, options: list[str], arguments: dict[str, object]
) -> None:
    path = tmp_path / "picture.png"
    assert main(["render", str(photograph_path), "90x70", "-o", str(path), "--seed", "5", *options]) == 0
    detail = arguments.pop("detail", "auto")
    expected = Synthesizer(photograph_path, detail=detail).render(90, 70, seed=5, **arguments)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_render_detail_of_a_photograph_that_is_not_there(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["render", str(bundle_path), "90x70", "-o", str(tmp_path / "a.png"), "--detail", "photograph"]
    assert main(command) == 1
    assert "holds no photograph to take detail from" in error_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_info_of_engines(bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle.open(bundle_path)
    record = EngineRecord(
        file="engines/later.plan",
        network="upscaler_later.onnx",
        network_sha256=bundle.manifest.files["upscaler_later.onnx"].sha256,
        runtime="tensorrt-rtx",
        version="1.7.1.116",
        precision="fp16",
        output="uint8",
        compute_capabilities=["8.6", "12.0"],
        smallest_window=Window(height=640, width=1088),
        window=Window(height=640, width=1088),
        activation_bytes=123456,
    )
    change = {
        "file": "engines/free.plan",
        "smallest_window": Window(height=64, width=32),
        "output": "float16",
    }
    records = [record, record.model_copy(update=change)]
    path = add_engines(bundle, [(one, b"plan") for one in records], tmp_path / "with.ourgan").path
    assert main(["info", str(path)]) == 0
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["engines/later.plan"].strip() == (
        "upscaler_later.onnx for tensorrt-rtx 1.7.1.116, fp16 to uint8, windows of 1088 x 640, "
        "123456 bytes of activations, compute capability 8.6, 12.0"
    )
    assert "fp16 to float16, windows of 32 x 64 to 1088 x 640, 123456 bytes" in lines["engines/free.plan"]


def test_verbose(bundle_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ourgan_sdk.cli", "-v", "render", str(bundle_path), "90x70"]
    result = subprocess.run(
        [*command, "-o", str(tmp_path / "a.png")], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "ourgan_sdk.rendering: rendering 90 x 70 at (0, 0) of level 0 of 90 x 70, seed 0" in result.stderr


@pytest.mark.parametrize(
    ("size", "output", "options", "words"),
    [
        ("90x70", "absent/a.png", [], "cannot write .*a.png: No such file or directory"),
        ("90x70", "a.gif", [], "suffix is none of"),
        ("70000x2", "a.jpg", [], "JPEG ends at 65500"),
        ("90x70", "a.jpg", ["--bits", "16"], "PNG, TIFF, Zarr, NumPy"),
        ("90x70", "a.png", ["--memory", "1K"], "memory_limit is 1024 bytes"),
    ],
)
def test_errors(
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    size: str,
    output: str,
    options: list[str],
    words: str,
) -> None:
    assert main(["render", str(bundle_path), size, "-o", str(tmp_path / output), *options]) == 1
    line = error_line(capsys)
    assert re.match(f"ourgan: error: .*{words}", line)


@pytest.mark.parametrize("command", ["render", "preview", "info"])
def test_bundle_errors(
    command: str, bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.ourgan"
    cut.write_bytes(bundle_path.read_bytes()[:5000])
    output = [] if command == "info" else ["-o", str(tmp_path / "a.png")]
    size = ["4k"] if command == "render" else []
    assert main([command, str(cut), *size, *output]) == 1
    assert f"{cut}: is cut short" in error_line(capsys)
    assert main([command, str(tmp_path / "absent.ourgan"), *size, *output]) == 1
    assert "No such file" in error_line(capsys)
    assert list(tmp_path.iterdir()) == [cut]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["render", "-o", "a.png"], "SIZE"),
        (["render", "4k"], "-o"),
        (["render", "0x5", "-o", "a.png"], "expected width to be from 1 to 2147483647, got 0"),
        (["render", "5x2147483648", "-o", "a.png"], "expected height to be"),
        (["render", "five", "-o", "a.png"], "expected a size as WIDTHxHEIGHT or one of 4k, 8k, 16k"),
        (["render", "4k", "-o", "a.png", "--seed", "-1"], "expected a seed from 0"),
        (["render", "4k", "-o", "a.png", "--memory", "lots"], "such as 512MiB"),
        (["render", "4k", "-o", "a.png", "--memory", "0"], "expected the memory to be from 1"),
        (["render", "4k", "-o", "a.png", "--memory", "99999999T"], "expected the memory to be from 1"),
        (["render", "4k", "-o", "a.png", "--threads", "1025"], "threads to be from 1 to 1024, got 1025"),
        (["render", "4k", "-o", "a.png", "--quality", "0"], "expected a quality from 1 to 100, got '0'"),
        (["render", "4k", "-o", "a.png", "--dpi", "-3"], "expected 1 to 65535 pixels per inch"),
        (["render", "4k", "-o", "a.png", "--detail", "none"], "invalid choice: 'none'"),
        (
            ["render", "4k", "-o", "a.png", "--extent", "0.2"],
            "expected an extent from 0.25 to 1024, got '0.2'",
        ),
        (["render", "4k", "-o", "a.png", "--extent", "1025"], "expected an extent from 0.25 to 1024"),
        (["render", "4k", "-o", "a.png", "--extent", "nan"], "expected an extent from 0.25 to 1024"),
        (["render", "4k", "-o", "a.png", "--extent", "wide"], "expected an extent from 0.25 to 1024"),
        (["preview", "-o", "a.png", "--threads", "-1"], "expected"),
        (["preview", "-o", "a.png", "--threads", "many"], "expected a number from 1 to 1024, got 'many'"),
        (["preview", "-o", "a.png", "--count", "0"], "expected a number from 1"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signals(bundle_path: Path, tmp_path: Path, number: signal.Signals, code: int, word: str) -> None:
    command = [sys.executable, "-m", "ourgan_sdk.cli", "render", str(bundle_path), "16k"]
    process = subprocess.Popen(
        [*command, "-o", "picture.png"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert errors.splitlines()[-1] == f"ourgan: {word}"
    assert "Traceback" not in errors
    assert output == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise there")
def test_nobody_reads(bundle_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ourgan_sdk.cli", "info", str(bundle_path)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_kill(bundle_path: Path, tmp_path: Path) -> None:
    """Even then no unfinished picture lies under the name that was given."""
    command = [sys.executable, "-m", "ourgan_sdk.cli", "render", str(bundle_path), "16k"]
    process = subprocess.Popen([*command, "-o", "picture.png"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not list(tmp_path.iterdir()):
        time.sleep(0.02)
    time.sleep(0.3)
    process.kill()
    process.wait()
    assert not (tmp_path / "picture.png").exists()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png", 480, 720)


def test_a_photograph_renders_at_once(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wall.png"
    assert main(["render", str(photo), "600x400", "-o", str(path), "--seed", "3"]) == 0
    words = r"600 x 400, seed 3, in [\d.]+ s; its largest piece of the photograph is \d+% of the layout\n"
    assert re.fullmatch(f"{re.escape(str(path))}: {words}", capsys.readouterr().out)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), Synthesizer(photo).render(600, 400, 3))
        about = json.loads(image.info["Description"])
    assert (about["structure"], about["detail"], about["seed"]) == ("patches", "photograph", 3)


def test_layouts_are_asked_for_by_options(photo: Path, tmp_path: Path) -> None:
    asked = {
        "--variety 1 --vertical 0.5": Layout(variety=1.0, vertical=0.5),
        "--tileable both": Layout(tileable="both"),
        "--symmetric x": Layout(symmetric="x"),
        "--retarget": Layout(retarget=True),
    }
    for number, (options, layout) in enumerate(asked.items()):
        path = tmp_path / f"{number}.png"
        assert main(["render", str(photo), "512x256", "-o", str(path), *options.split()]) == 0
        with Image.open(path) as image:
            np.testing.assert_array_equal(
                np.asarray(image), Synthesizer(photo).render(512, 256, layout=layout)
            )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--variety 2", "expected a variety from 0 to 1, got '2'"),
        ("--variety nan", "expected a variety from 0 to 1, got 'nan'"),
        ("--vertical -1", "expected a number from 0 to 4, got '-1'"),
        ("--extent 0.1", "expected an extent from 0.25 to 1024, got '0.1'"),
        ("--tileable z", "invalid choice: 'z'"),
    ],
)
def test_options_out_of_range(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, words: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["render", str(photo), "512x256", "-o", str(tmp_path / "a.png"), *options.split()])
    assert exit_.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--retarget --tileable x", "give no tileable with it"),
        ("--tileable x --detail network", "tileable: networks that make detail"),
        ("--structure network", "has no structure network"),
    ],
)
def test_options_that_do_not_go_together(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, words: str
) -> None:
    assert main(["render", str(photo), "512x256", "-o", str(tmp_path / "a.png"), *options.split()]) == 1
    assert words in error_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_learn(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hills.ourgan"
    assert main(["learn", str(photo), "-o", str(path)]) == 0
    words = r"learned 720 x 480 pixels in [\d.]+ s; next: ourgan render"
    assert re.match(f"{re.escape(str(path))}: {words}", capsys.readouterr().out)
    assert main(["info", str(path)]) == 0
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["training"].strip() == "none: the photograph alone was learned"
    assert lines["structure"].strip() == "of the photograph's patches, 127 x 85"
    assert re.search(r"\d+% of the photograph in one piece on average, \d+% at most", lines["copied"])
    assert main(["learn", str(tmp_path / "absent.jpg"), "-o", str(tmp_path / "b.ourgan")]) == 1
    assert "No such file" in error_line(capsys)
    assert main(["learn", str(photo), "-o", str(tmp_path / "b.jpg")]) == 1
    assert "expected a name that ends in .ourgan" in error_line(capsys)


def test_commands_take_photographs(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(photo)]) == 0
    assert "structures of patches have" in capsys.readouterr().out
    assert main(["doctor", str(photo), "--engine", "onnxruntime"]) == 0
    assert "chosen" in capsys.readouterr().out
    before = photo.read_bytes()
    for command in (["preview", str(photo), "--count", "1"], ["render", str(photo), "90x60"]):
        assert main([*command, "-o", str(photo)]) == 1
        assert "it is what the output is made from" in capsys.readouterr().err
    assert main(["calibrate", str(photo), "--write"]) == 1
    assert "is a photograph, no bundle to write into" in error_line(capsys)
    assert photo.read_bytes() == before


def test_previews_of_a_photograph_have_detail(photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    options = ["--count", "3", "--columns", "2", "--cell", "200", "--size", "1600x800"]
    assert main(["preview", str(photo), "-o", str(path), *options]) == 0
    with Image.open(path) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (4 + 2 * 104, 4 + 2 * 204, 3)
    second = Synthesizer(photo).thumbnail(1, width=1600, height=800, size=200)
    np.testing.assert_array_equal(sheet[4:104, 208:408], second)
