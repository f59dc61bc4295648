"""Views: parts of a canvas at any size, which join where they lie on the grid of a power of two."""

import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ourgan_sdk import Box, Canvas, Layout, RenderCancelledError, RenderStats, SizeError, Synthesizer
from ourgan_sdk._core import resample
from ourgan_sdk.viewing import plan_view

WIDTH, HEIGHT = 1203, 797


def make_canvas(path: Path, kind: str) -> Canvas:
    """Of detail alone, of networks alone, of both, of a picture with a mask, mirrored, or of 16 bits."""
    size = WIDTH, HEIGHT
    synthesizer = Synthesizer(path, detail="network" if kind == "network" else "photograph")
    if kind == "mask":
        start = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        mask = np.zeros((40, 60), bool)
        mask[10:20, 10:30] = True
        synthesizer = Synthesizer(path, structure="patches")
        return synthesizer.canvas(*size, 7, extent=1, start=start, start_scale=2, mask=mask)
    if kind == "mirrored":
        return synthesizer.canvas(*size, 7, layout=Layout(symmetric="both"))
    extent = {"detail": 1, "both": 0.35}.get(kind)
    return synthesizer.canvas(*size, 7, extent=extent, dtype=np.uint16 if kind == "16 bits" else np.uint8)


KINDS = ("detail", "network", "both", "mask", "mirrored", "16 bits")


@pytest.fixture(scope="module")
def canvases(photograph_path: Path) -> dict[str, Canvas]:
    return {kind: make_canvas(photograph_path, kind) for kind in KINDS}


def test_the_kinds_are_of_several_levels(canvases: dict[str, Canvas]) -> None:
    steps = {kind: [level.downsample for level in canvas.levels] for kind, canvas in canvases.items()}
    assert steps == {
        "detail": [1, 2],
        "network": [1, 4, 16, 64],
        "both": [1, 4, 8],
        "mask": [1, 2],
        "mirrored": [1, 2],
        "16 bits": [1, 2],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_level_it_is_the_level(canvases: dict[str, Canvas], kind: str) -> None:
    canvas = canvases[kind]
    for level in canvas.levels:
        height, width, _ = level.shape
        view = canvas.view(Box(0, 0, HEIGHT, WIDTH), width, height)
        np.testing.assert_array_equal(view, level[:])
        step = level.downsample
        part = canvas.view(Box(step, 3 * step, HEIGHT, 5 * step), 2, height - 1)
        np.testing.assert_array_equal(part, level[1:, 3:5])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("power", [2, 8, 32, 64])
def test_tiles_join(canvases: dict[str, Canvas], kind: str, power: int) -> None:
    """Whether there is a level of that size or not."""
    canvas = canvases[kind]
    height, width = -(-HEIGHT // power), -(-WIDTH // power)
    whole = canvas.view(Box(0, 0, HEIGHT, WIDTH), width, height)
    assert whole.shape == (height, width, 3)
    assert whole.dtype == canvas.dtype
    side = max(3, width // 3)
    tiles = []
    for y in range(0, height, side):
        row = []
        for x in range(0, width, side):
            box = Box(
                *(y * power, x * power, min((y + side) * power, HEIGHT), min((x + side) * power, WIDTH))
            )
            row.append(canvas.view(box, min(side, width - x), min(side, height - y)))
        tiles.append(np.hstack(row))
    np.testing.assert_array_equal(np.vstack(tiles), whole)


@pytest.mark.parametrize("kind", ["detail", "network", "16 bits"])
@pytest.mark.parametrize("size", [(801, 530), (640, 424), (100, 66), (37, 50), (1203, 100)])
def test_other_sizes_are_the_whole_resized(
    canvases: dict[str, Canvas], kind: str, size: tuple[int, int]
) -> None:
    """Of the canvas itself as in fixed point, but for rounding; of a coarser level alike."""
    canvas, (width, height) = canvases[kind], size
    view = canvas.view(Box(0, 0, HEIGHT, WIDTH), width, height)
    step = min(WIDTH / width, HEIGHT / height)
    level = max((one for one in canvas.levels if one.downsample <= step), key=lambda one: one.downsample)
    expected = resample(level[:], height, width)
    if level.downsample == 1:
        unit = 257 if canvas.dtype == np.uint16 else 1
        assert np.abs(view.astype(int) - expected).max() <= unit
    else:
        assert np.corrcoef(view.ravel(), expected.ravel())[0, 1] > 0.99


def test_enlarged(canvases: dict[str, Canvas]) -> None:
    canvas = canvases["detail"]
    view = canvas.view(Box(0, 0, HEIGHT, WIDTH), 2 * WIDTH, 2 * HEIGHT)
    expected = resample(canvas.read(), 2 * HEIGHT, 2 * WIDTH)
    assert np.abs(view.astype(int) - expected).max() <= 1
    part = canvas.view(Box(100, 200, 150, 260), 120, 100)
    np.testing.assert_array_equal(part, view[200:300, 400:520])
    assert canvas.view(Box(5, 6, 6, 7), 30, 20).shape == (20, 30, 3)


@st.composite
def views(draw: st.DrawFn) -> tuple[Box, int, int]:
    y0, x0 = draw(st.integers(0, HEIGHT - 1)), draw(st.integers(0, WIDTH - 1))
    box = Box(y0, x0, draw(st.integers(y0 + 1, HEIGHT)), draw(st.integers(x0 + 1, WIDTH)))
    scale = draw(st.floats(1 / 90, 90))
    width, height = (
        min(90, max(1, round(side / scale * draw(st.floats(0.5, 2))))) for side in (box.width, box.height)
    )
    return box, width, height


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["detail", "mirrored", "16 bits"]), views())
def test_any_view_is_near_to_what_it_shows(
    canvases: dict[str, Canvas], kind: str, view: tuple[Box, int, int]
) -> None:
    """Its mean is that of its box, but for what the cubic sees beyond it."""
    canvas, (box, width, height) = canvases[kind], view
    picture = canvas.view(box, width, height)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == canvas.dtype
    seen = canvas.read(box).astype(float) / np.iinfo(canvas.dtype).max
    shown = picture.astype(float) / np.iinfo(canvas.dtype).max
    assert np.abs(shown.mean((0, 1)) - seen.mean((0, 1))).max() < 0.15
    assert seen.min() - 0.3 < shown.min()
    assert shown.max() < seen.max() + 0.3


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["detail", "mask", "mirrored"]), st.integers(0, 6), st.data())
def test_any_part_on_a_grid_is_the_slice(
    canvases: dict[str, Canvas], kind: str, halvings: int, data: st.DataObject
) -> None:
    canvas, power = canvases[kind], 1 << halvings
    height, width = -(-HEIGHT // power), -(-WIDTH // power)
    y0, x0 = data.draw(st.integers(0, height - 2)), data.draw(st.integers(0, width - 2))
    y1, x1 = data.draw(st.integers(y0 + 2, height)), data.draw(st.integers(x0 + 1, width))
    whole = canvas.view(Box(0, 0, HEIGHT, WIDTH), width, height)
    box = Box(y0 * power, x0 * power, min(y1 * power, HEIGHT), min(x1 * power, WIDTH))
    np.testing.assert_array_equal(canvas.view(box, x1 - x0, y1 - y0), whole[y0:y1, x0:x1])


def test_it_costs_the_level_that_it_takes(canvases: dict[str, Canvas]) -> None:
    calls: list[int] = []
    canvas = canvases["network"]
    canvas.view(Box(0, 0, HEIGHT, WIDTH), 19, 13, progress=lambda _done, total: calls.append(total))
    assert set(calls) == {19 * 13}
    stats = RenderStats()
    canvas.view(Box(0, 0, HEIGHT, WIDTH), 10, 6, stats=stats)
    assert stats.passes == stats.tiles == 0
    assert stats.seconds > 0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((Box(0, 0, 5, 5), 0, 5), SizeError, "width to be from 1"),
        ((Box(0, 0, 5, 5), 5, 1 << 31), SizeError, "height to be from 1"),
        ((Box(0, 0, 5, 5), 5, 2.5), SizeError, "height to be an integer"),
        ((Box(0, 0, 5, 5), (1 << 31) - 1, (1 << 31) - 1), SizeError, "does not fit into memory"),
        ((Box(0, 0, 5, WIDTH + 1), 5, 5), IndexError, "a region within 797 x 1203"),
        ((Box(3, 0, 3, 5), 5, 5), IndexError, "a region within"),
        (((0, 0, 5, 5), 5, 5), TypeError, r"expected an ourgan_sdk\.Box"),
    ],
)
def test_what_cannot_be_seen(
    canvases: dict[str, Canvas], arguments: tuple[Box, int, int], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        canvases["detail"].view(*arguments)


BOXES = [Box(0, 0, HEIGHT, WIDTH), Box(3, 5, 4, 1200), Box(3, 5, 790, 6), Box(1, 1, 8, 1200), Box(0, 0, 1, 1)]


@pytest.mark.parametrize("box", BOXES)
def test_a_box_is_seen_at_its_own_proportions_whatever_they_are(
    canvases: dict[str, Canvas], box: Box
) -> None:
    """Rounded in any way: of a long and narrow one nothing but one pixel's width is left."""
    for scale in (0.5, 0.9, 1, 1.7, 3, 7.9, 8, 40, 800, 5000):
        for rounded in (math.ceil, math.floor, round):
            width, height = (max(1, rounded(side / scale)) for side in (box.width, box.height))
            assert canvases["detail"].view(box, width, height).shape == (height, width, 3)


@pytest.mark.parametrize(("width", "height"), [(WIDTH, 1), (1, HEIGHT), (WIDTH, 99), (200, 12), (17, 1)])
def test_what_is_too_distorted_is_refused_at_once(
    photograph_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    canvas = make_canvas(photograph_path, "detail")
    monkeypatch.setattr(canvas._renderer, "render", lambda *_, **__: pytest.fail("it was rendered"))
    words = (
        r"of 1203 x 797 pixels at \d+ x \d+ .* more than 8 times as much .* own proportions, and resize that"
    )
    with pytest.raises(ValueError, match=words):
        canvas.view(Box(0, 0, HEIGHT, WIDTH), width, height)


@given(st.integers(1, 1 << 31), st.integers(1, 1 << 31), st.data())
def test_no_view_reads_much_more_than_it_shows(box_height: int, box_width: int, data: st.DataObject) -> None:
    """Of a picture with all levels, whatever is allowed: 16 of a level's pixels per side for one."""
    height = data.draw(st.integers(1, min(box_height, 1 << 20)))
    width = data.draw(st.integers(1, min(box_width, 1 << 20)))
    powers = [1 << n for n in range(32)]
    shapes = [(-(-box_height // power) + 3, -(-box_width // power) + 3) for power in powers]
    box = Box(1, 2, box_height + 1, box_width + 2)
    try:
        view = plan_view(shapes, powers, box, (height, width))
    except ValueError:
        ratio = max(box_height / height, box_width / width) / min(box_height / height, box_width / width)
        assert ratio > 8
        return
    assert max(view.scale) <= 16


def test_it_is_cancelled_as_a_read(canvases: dict[str, Canvas]) -> None:
    cancel = threading.Event()

    def stop(_done: int, _total: int) -> None:
        cancel.set()

    view: Callable[..., np.ndarray] = canvases["detail"].view
    with pytest.raises(RenderCancelledError):
        view(Box(0, 0, HEIGHT, WIDTH), 700, 500, progress=stop, cancel=cancel)
    with pytest.raises(TimeoutError):
        view(Box(0, 0, HEIGHT, WIDTH), 700, 500, timeout=0)
