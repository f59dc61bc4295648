"""Commands and bars whose standard streams are closed, full, broken, missing, or of another encoding."""

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export import to_onnx, to_pth, to_trt
from ourgan_sdk import OutputError, Synthesizer
from ourgan_sdk.cli import main
from ourgan_sdk.progress import progress_bar, reporting
from ourgan_sdk.system import streams
from ourgan_sdk.system.parser import Parser
from tests.tiny import write_photo
from trainers import evaluate, fit, pretrain
from trainers.bundling import erf

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="redirects as shells of Unix do"),
    pytest.mark.usefixtures("one_thread"),  # which undoes what trainers set for the process
]

ROOT = Path(__file__).parents[2]
UMLAUTS = "Höhe"
UNDECODABLE = os.fsdecode(b"\xfc\xff")
STREAMS = {
    "stderr closed": "2>&-",
    "all closed": "<&- >&- 2>&-",
    "both full": ">/dev/full 2>&1",
    "nobody reads": "> >(exec true) 2>&1",
}


def run(
    command: list[str | Path], redirection: str = "", folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`command` as a shell would run it with a redirection; with a bar that has something to say."""
    return subprocess.run(
        ["bash", "-c", f'sleep 0.02; exec "$@" {redirection}', "bash", *command],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": "1"} | environment,
        timeout=120,
    )


def ourgan(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "ourgan_sdk.cli", *arguments]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / f"{UMLAUTS}.png", 240, 360)


def check(path: Path, bundle: Path) -> None:
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), Synthesizer(bundle, threads=1).render(64, 48))


@pytest.mark.parametrize("redirection", STREAMS.values(), ids=STREAMS)
def test_a_render_that_nobody_hears_is_a_render(bundle_path: Path, tmp_path: Path, redirection: str) -> None:
    path = tmp_path / f"{UMLAUTS} {UNDECODABLE}.png"
    result = run(ourgan("-v", "render", bundle_path, "64x48", "-o", path, "--threads", "1"), redirection)
    assert result.returncode == 0
    check(path, bundle_path)
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_a_stream_has_no_letters_for(bundle_path: Path, tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / f"{UMLAUTS} {UNDECODABLE}"
    folder.mkdir()
    path = folder / "日本.png"
    result = run(
        ourgan("-v", "render", bundle_path, "64x48", "-o", path, "--resume"), PYTHONIOENCODING=encoding
    )
    assert (result.returncode, "Traceback" in result.stderr) == (0, False)
    assert "64 x 48, seed 0" in result.stdout
    assert path.exists()
    command = ourgan("render", folder / "none.ourgan", "64x48", "-o", path)
    result = run(command, PYTHONIOENCODING=encoding)
    assert result.returncode == 1
    assert "No such file" in result.stderr


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_other_commands_that_nobody_hears(
    bundle_path: Path, photo: Path, tmp_path: Path, redirection: str
) -> None:
    learned, sheet = tmp_path / "a.ourgan", tmp_path / "sheet.png"
    for command in (
        ourgan("learn", photo, "-o", learned),
        ourgan("preview", bundle_path, "-o", sheet, "--count", "2"),
        ourgan("render", learned, "64x48", "-o", tmp_path / "a.png"),
    ):
        assert run(command, redirection).returncode == 0
    check(tmp_path / "a.png", learned)
    assert sheet.exists()
    result = run(ourgan("render", "nothing"), redirection)
    assert result.returncode == 2


def test_info_is_for_whoever_reads_it(bundle_path: Path, tmp_path: Path) -> None:
    """What it prints is its result."""
    command = ourgan("info", bundle_path)
    assert run(command, "2>&-").returncode == 0
    full = run(command, ">/dev/full")
    assert (full.returncode, full.stderr) == (1, "ourgan: error: cannot print: No space left on device\n")
    closed = run(command, ">&-")
    assert (closed.returncode, closed.stderr) == (
        1,
        "ourgan: error: cannot print: standard output is closed\n",
    )
    assert run(command, "> >(exec true)").returncode == 141
    other = tmp_path / f"{UMLAUTS} {UNDECODABLE}.ourgan"
    other.write_bytes(bundle_path.read_bytes())
    result = run(ourgan("info", other), PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert r"H\xf6he \udcfc\udcff.ourgan" in result.stdout


LIBRARY = """if True:
    import os, sys
    from ourgan_sdk import Synthesizer
    canvas = Synthesizer(sys.argv[1], threads=1).canvas(64, 48)
    canvas.read(progress=True)
    def noisy(*arguments, write=canvas._renderer.render, **options):
        for descriptor in 1, 2:
            try:
                os.write(descriptor, b"a library complains" * 1000)  # as those in C do, wherever it leads to
            except OSError:
                pass
        write(*arguments, **options)
    canvas._renderer.render = noisy
    canvas.save(sys.argv[2], progress=True)
"""


@pytest.mark.parametrize(
    ("redirection", "suffix"),
    [("<&- 2>&-", ".npy"), (">&- 2>&-", ".npy"), ("2>&-", ".png"), ("2>/dev/full", ".npy")],
)
def test_the_library_where_nobody_hears(
    bundle_path: Path, tmp_path: Path, redirection: str, suffix: str
) -> None:
    """Nothing that is written to a closed stderr goes into a picture that has taken its descriptor."""
    path = tmp_path / f"a{suffix}"
    run([sys.executable, "-c", LIBRARY, bundle_path, path], redirection)
    if suffix == ".png":
        check(path, bundle_path)
    else:
        np.testing.assert_array_equal(np.load(path), Synthesizer(bundle_path, threads=1).render(64, 48))
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


class Broken(io.StringIO):
    """Fails whatever is done with it."""

    def write(self, _text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error

    error: Exception = OSError(28, "No space left on device")


def failing_streams() -> Iterator[object]:
    closed = io.StringIO()
    closed.close()
    yield from (None, closed)
    for error in (OSError(28, "No space left"), BrokenPipeError(32, "Broken pipe"), BlockingIOError(11, "")):
        broken = Broken()
        broken.error = error
        yield broken


def test_streams_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in failing_streams():
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(sys, "stdout", stream)
        with progress_bar(2, "work") as bar:
            bar.update()
        with reporting(True, 3) as advance:
            advance(3)
        streams.say("something")
        streams.warn("something else")
        handler = logging.StreamHandler(streams.Tolerant(stream))
        handler.handle(logging.makeLogRecord({"msg": "a record"}))
        with pytest.raises((OutputError, BrokenPipeError)):
            streams.show("a result")
        with streams.steady_streams(), contextlib.suppress(SystemExit):
            Parser(prog="p").parse_args(["--none"])
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (evaluate.main, ["none.ourgan", "none.jpg"]),
        (fit.main, ["none.jpg"]),
        (pretrain.main, ["none"]),
        (erf.main, ["none"]),
        (to_onnx.main, ["none.pt"]),
        (to_pth.main, ["none.pt", "-o", "a.pth"]),
        (to_trt.main, ["none.ourgan"]),
        (main, ["render", "none.ourgan", "64x48", "-o", "a.png"]),
    ],
)
def test_errors_that_nobody_hears(
    command: Callable[[list[str]], int],
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    codes = set()
    for stream in failing_streams():
        with monkeypatch.context() as context:
            context.setattr(sys, "stderr", stream)
            context.setattr(sys, "stdout", stream)
            codes.add(command(arguments))
            with pytest.raises(SystemExit) as usage:
                command(["--nothing-of-the-kind"])
            codes.add(usage.value.code)
    assert codes == {1, 2}


@pytest.mark.parametrize("configured", ["", "logging.basicConfig(stream=sys.stdout, format='%(message)s');"])
def test_warnings_where_nobody_has_set_up_a_log(configured: str) -> None:
    """They are shown once, and where they cannot be, nothing else changes."""
    for closing, expected in (("", "take care"), ("sys.stderr.close();", "take care" if configured else "")):
        script = (
            f"import logging, sys, ourgan_sdk; {configured} {closing}"
            "logging.getLogger('ourgan_sdk.x').warning('take %s', 'care'); print('went on')"
        )
        result = run([sys.executable, "-c", script])
        assert (result.returncode, "went on" in result.stdout) == (0, True)
        assert (result.stdout + result.stderr).replace("went on", "").strip() == expected


def test_a_descriptor_that_is_open_is_left_alone() -> None:
    before = [os.fstat(descriptor) for descriptor in range(3)]
    opened = len([*Path("/proc/self/fd").iterdir()])
    streams.occupy_closed_streams()
    assert [os.fstat(descriptor) for descriptor in range(3)] == before
    assert len([*Path("/proc/self/fd").iterdir()]) == opened
