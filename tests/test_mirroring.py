"""Pictures that are mirrored: exactly symmetric, at every level and however they are read."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Box, Canvas, Layout, Synthesizer
from ourgan_sdk.mirroring import half_of

AXES = {"x": (False, True), "y": (True, False), "both": (True, True)}


def make_canvas(path: Path, axes: str, size: tuple[int, int] = (521, 394), **options: object) -> Canvas:
    layout = Layout(symmetric=axes)  # type: ignore[arg-type]
    return Synthesizer(path, **options).canvas(*size, 3, layout=layout)  # type: ignore[arg-type]


def mirrored(picture: np.ndarray, axes: str) -> np.ndarray:
    y, x = AXES[axes]
    return picture[:: -1 if y else 1, :: -1 if x else 1]


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("detail", ["photograph", "network"])
@pytest.mark.parametrize("size", [(521, 394), (300, 201), (2, 1), (1, 1)])
def test_every_level_is_exactly_symmetric(
    photograph_path: Path, axes: str, detail: str, size: tuple[int, int]
) -> None:
    canvas = make_canvas(photograph_path, axes, size, detail=detail)
    assert canvas.shape == (size[1], size[0], 3)
    for index, level in enumerate(canvas.levels):
        picture = canvas.read(level=index)
        assert picture.shape == level.shape
        np.testing.assert_array_equal(picture, mirrored(picture, axes))
        if min(size) > 200 and min(level.shape[:2]) > 20:
            assert (picture != picture[::-1, ::-1]).any() or axes == "both"


@pytest.mark.parametrize("axes", AXES)
def test_regions_are_slices_of_the_whole(photograph_path: Path, axes: str) -> None:
    canvas = make_canvas(photograph_path, axes)
    whole, sources = canvas.read(), canvas.sources()
    for _ in range(12):
        y0, x0 = random.randrange(394), random.randrange(521)
        y1, x1 = random.randrange(y0 + 1, 395), random.randrange(x0 + 1, 522)
        np.testing.assert_array_equal(canvas[y0:y1, x0:x1], whole[y0:y1, x0:x1])
        np.testing.assert_array_equal(canvas.sources(Box(y0, x0, y1, x1)), sources[y0:y1, x0:x1])


def test_the_first_half_is_of_the_whole_pictures_scale(photograph_path: Path) -> None:
    synthesizer = Synthesizer(photograph_path)
    for extent in (None, 0.5, 3.0):
        plain = synthesizer.canvas(600, 400, extent=extent)
        for axes in AXES:
            layout = Layout(symmetric=axes)  # type: ignore[arg-type]
            canvas = synthesizer.canvas(600, 400, extent=extent, layout=layout)
            assert canvas.extent == pytest.approx(plain.extent, rel=0.02)
            assert len(canvas.levels) == pytest.approx(len(plain.levels), abs=1)


def test_files_and_progress(photograph_path: Path, tmp_path: Path) -> None:
    canvas = make_canvas(photograph_path, "both")
    told: list[tuple[int, int]] = []
    path = canvas.save(tmp_path / "picture.png", progress=lambda done, total: told.append((done, total)))
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), canvas.read())
    assert told == sorted(told)
    assert told[-1] == (521 * 394, 521 * 394)


def test_a_cancelled_render_goes_on_where_it_was(photograph_path: Path, tmp_path: Path) -> None:
    canvas = make_canvas(photograph_path, "y", (200, 1200))
    path = tmp_path / "picture.png"

    def stop(done: int, total: int) -> None:
        if done > 0.8 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        canvas.save(path, resume=True, progress=stop)
    assert not path.exists()
    canvas.save(path, resume=True)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), canvas.read())


@pytest.mark.parametrize(
    ("size", "mirror", "half"),
    [((7, 8), (True, True), (4, 4)), ((7, 8), (False, True), (7, 4)), ((1, 1), (True, False), (1, 1))],
)
def test_half_of(size: tuple[int, int], mirror: tuple[bool, bool], half: tuple[int, int]) -> None:
    assert half_of(size, mirror) == half
