"""Notebooks: what shows itself in them, and the example, run from its first cell to its last."""

import base64
import io
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from ourgan_sdk import Canvas, RenderTimeoutError, Synthesizer, showing

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))
SMALL = "WIDTH, HEIGHT = 1200, 800"


def opened(png: bytes | str) -> np.ndarray:
    data = base64.b64decode(png) if isinstance(png, str) else png
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a small size; every cell whose last line is a picture shows one."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source = SMALL
    folder = tmp_path / "run"
    folder.mkdir()
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    pictures = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            assert output.output_type != "error"
            if "image/png" in data:
                pictures.append(opened(data["image/png"]))
                assert data["text/plain"]
                assert max(pictures[-1].shape) <= 640
    assert len(pictures) == 9
    assert all(picture.std() > 5 for picture in pictures)
    assert {one.name for one in folder.iterdir()} == {"part.png", "whole.tif"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_that_a_run_leaves_is_stored(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)
    absolute = re.compile(r"""["'](/|~|[A-Za-z]:[\\/])""")
    assert absolute.search("open('/tmp/picture.png')"), "it finds paths"
    assert not any(absolute.search(cell.source) for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_a_canvas_shows_itself(photograph_path: Path) -> None:
    canvas = Synthesizer(photograph_path).canvas(1500, 900, 3, extent=2)
    shown = opened(canvas._repr_png_())
    assert shown.shape == (384, 640, 3)
    np.testing.assert_array_equal(shown, canvas.thumbnail(640))
    assert repr(canvas) == "Canvas(1500 x 900, seed 3, extent 2)"


def test_a_small_canvas_is_not_enlarged_and_16_bits_are_8(photograph_path: Path) -> None:
    canvas = Synthesizer(photograph_path).canvas(96, 64, 3, dtype=np.uint16)
    shown = opened(canvas._repr_png_())
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, np.rint(canvas.read() / 257))
    assert repr(canvas) == "Canvas(96 x 64, seed 3, extent 1, uint16)"


def test_a_level_shows_itself(bundle_path: Path) -> None:
    canvas = Synthesizer(bundle_path).canvas(421, 293, 3)
    level = canvas.levels[1]
    np.testing.assert_array_equal(opened(level._repr_png_()), level[:])
    assert repr(level) == "Level(106 x 74, downsample 4, of Canvas(421 x 293, seed 3, extent 1.5))"


def test_a_synthesizer_shows_its_photograph_and_seeds(photograph_path: Path, bundle_path: Path) -> None:
    synthesizer = Synthesizer(photograph_path, structure="patches")
    sheet = opened(synthesizer._repr_png_())
    assert sheet.shape == (2 * 202 + 8, 640, 3)
    with Image.fromarray(synthesizer._photograph.pixels()) as image:
        photograph = np.asarray(image.resize((316, 202), Image.Resampling.BICUBIC)).astype(float)
    assert np.abs(sheet[:202, :316] - photograph).mean() < 2
    np.testing.assert_array_equal(sheet[:202, 324:], synthesizer.thumbnail(0, size=316))
    np.testing.assert_array_equal(sheet[210:, 324:], synthesizer.thumbnail(2, size=316))
    assert repr(synthesizer) == (
        "Synthesizer('photograph.ourgan', photograph 1000 x 640, layouts of patches, "
        "detail of the photograph)"
    )
    synthesizer = Synthesizer(bundle_path)  # which holds no photograph
    sheet = opened(synthesizer._repr_png_())
    height, width, _ = synthesizer.thumbnail(0, size=316).shape
    np.testing.assert_array_equal(sheet[:height, :width], synthesizer.thumbnail(0, size=316))
    assert repr(synthesizer).endswith("layouts of a network, detail of networks)")


@pytest.mark.parametrize("owner", [Canvas.__name__, "Level", Synthesizer.__name__])
def test_what_cannot_be_rendered_has_no_picture_but_says_why(
    photograph_path: Path, caplog: pytest.LogCaptureFixture, owner: str
) -> None:
    """The plain text stays."""
    synthesizer = Synthesizer(photograph_path)
    canvas = synthesizer.canvas(96, 64, 3)
    one = {"Canvas": canvas, "Level": canvas.levels[0], "Synthesizer": synthesizer}[owner]
    synthesizer.close()
    with caplog.at_level(logging.WARNING):
        assert one._repr_png_() is None
    assert f"no picture of {one!r}: " in caplog.text
    assert "is closed" in caplog.text


def test_a_picture_that_takes_too_long_is_not_shown(
    photograph_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "_SECONDS", 0.0)
    canvas = Synthesizer(photograph_path).canvas(96, 64, 3)
    assert canvas._repr_png_() is None
    assert "has not ended within 0 s" in caplog.text
    with pytest.raises(RenderTimeoutError):
        canvas.read(timeout=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, TypeError])
def test_other_errors_come_out(error: type[BaseException]) -> None:
    """Ctrl-C ends the cell; a mistake in this package is seen as one."""

    def fail() -> np.ndarray:
        raise error

    with pytest.raises(error):
        showing.png_of("it", fail)


def test_several_are_shown_at_once(photograph_path: Path) -> None:
    canvas = Synthesizer(photograph_path).canvas(300, 200, 3)
    shown: list[bytes | None] = []
    show: Callable[[], None] = lambda: shown.append(canvas._repr_png_())  # noqa: E731
    threads = [threading.Thread(target=show) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(shown)) == 1
    assert None not in shown
