"""Canvases at other sizes: the same picture, with more detail or less."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ourgan_sdk import Box, Canvas, Layout, SizeError, Synthesizer
from ourgan_sdk._core import resample
from ourgan_sdk.detail import halved_size, plan_detail

WIDTH, HEIGHT = 192, 128
LARGE = (327, 218)
START = np.random.default_rng(3).integers(0, 256, (*LARGE[::-1], 3), np.uint8)
LAYOUTS = {"mirrored": Layout(symmetric="x"), "tileable": Layout(tileable="x")}
KINDS = ("detail", "network", "enlarged", "mask", "mirrored", "tileable", "16 bits")


def make_canvas(path: Path, kind: str, seed: int = 7) -> Canvas:
    """Of detail alone, of networks alone, of both, with a mask, mirrored, tileable, or of 16 bits."""
    size = WIDTH, HEIGHT
    if kind == "network":
        return Synthesizer(path, detail="network", memory_limit=2_000_000).canvas(*size, seed)
    synthesizer = Synthesizer(path, structure="patches", memory_limit=8_000_000)
    if kind == "mask":
        mask = np.zeros((40, 60), bool)
        mask[10:30, 10:40] = True
        return synthesizer.canvas(*size, seed, extent=0.3, start=START, start_scale=2, mask=mask)
    return synthesizer.canvas(
        *((2 * WIDTH, 2 * HEIGHT) if kind == "enlarged" else size),
        seed,
        extent=0.25 if kind == "enlarged" else 0.3,
        layout=LAYOUTS.get(kind),
        dtype=np.uint16 if kind == "16 bits" else np.uint8,
    )


@pytest.fixture(scope="module")
def canvases(photograph_path: Path) -> dict[str, Canvas]:
    return {kind: make_canvas(photograph_path, kind) for kind in KINDS}


def middle(canvas: Canvas) -> np.ndarray:
    """Of the picture, small; of detail alone: the tiny network adds colours of its own."""
    level = canvas.levels[canvas.plan.passes]
    return resample(level[:], 40, 60)[12:28, 12:38].astype(float)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "network"])
def test_it_is_the_same_picture(canvases: dict[str, Canvas], photograph_path: Path, kind: str) -> None:
    """Far nearer than that of another seed is, at any size; and any region of it is the slice."""
    canvas = canvases[kind]
    other = np.abs(middle(canvas) - middle(make_canvas(photograph_path, kind, 8))).mean()
    for size in ((96, 64), (130, 87), LARGE, (2 * WIDTH, 2 * HEIGHT)):
        resized = canvas.resized(*size)
        assert resized.shape == (size[1], size[0], 3)
        assert (resized.extent, resized.seed) == (pytest.approx(canvas.extent, 0.01), canvas.seed)
        assert resized.dtype == canvas.dtype
        assert np.abs(middle(canvas) - middle(resized)).mean() < 0.25 * other
        np.testing.assert_array_equal(resized[21:53, 17:80], resized.read()[21:53, 17:80])
        for level in resized.levels:
            assert level[:].shape == level.shape


def test_its_own_size_is_the_canvas(canvases: dict[str, Canvas]) -> None:
    canvas = canvases["detail"]
    assert canvas.resized(WIDTH, HEIGHT) is canvas
    there_and_back = canvas.resized(30, 20).resized(WIDTH, HEIGHT)
    np.testing.assert_array_equal(there_and_back.read(), canvas.read())


@pytest.mark.parametrize("kind", ["detail", "mirrored"])
def test_twice_as_large_it_has_the_canvas_as_a_level(canvases: dict[str, Canvas], kind: str) -> None:
    """But for the photograph, which is reduced to it from another scale."""
    canvas = canvases[kind]
    level = canvas.resized(2 * WIDTH, 2 * HEIGHT).levels[1]
    assert level.shape == canvas.shape
    difference = np.abs(level[:].astype(int) - canvas.read())
    assert np.quantile(difference, 0.9) <= 8
    assert difference.mean() < 4


def test_of_networks_it_has_it_exactly(canvases: dict[str, Canvas]) -> None:
    """But for the tiles' own rounding."""
    canvas = canvases["network"]
    large = canvas.resized(4 * WIDTH, 4 * HEIGHT)
    assert [one.downsample for one in large.levels] == [1] + [4 * one.downsample for one in canvas.levels]
    assert np.abs(large.levels[1][:].astype(int) - canvas.read()).max() <= 1
    small = canvas.resized(WIDTH // 4, HEIGHT // 4)
    assert np.abs(small.read().astype(int) - canvas.levels[1][:]).max() <= 1


def test_larger_it_has_more_detail(photograph_path: Path) -> None:
    """Not that of the canvas enlarged: what lies between its neighbours is not their mean."""
    canvas = make_canvas(photograph_path, "detail")
    large = canvas.resized(2 * WIDTH, 2 * HEIGHT).read().astype(float)
    enlarged = canvas.view(Box(0, 0, HEIGHT, WIDTH), 2 * WIDTH, 2 * HEIGHT).astype(float)
    sharpness, of_enlarged = (np.abs(2 * one[1:-1] - one[:-2] - one[2:]).mean() for one in (large, enlarged))
    assert sharpness > 2 * of_enlarged


@pytest.mark.parametrize("size", [(131, 87), (300, 200)])
def test_symmetry_is_exact(photograph_path: Path, size: tuple[int, int]) -> None:
    canvas = Synthesizer(photograph_path).canvas(193, 129, 3, layout=Layout(symmetric="both"))
    resized = canvas.resized(*size)
    for level in resized.levels:
        picture = level[:]
        np.testing.assert_array_equal(picture, picture[::-1])
        np.testing.assert_array_equal(picture, picture[:, ::-1])


@pytest.mark.parametrize("size", [(130, 87), LARGE])
def test_what_wraps_goes_on_beyond_its_borders(canvases: dict[str, Canvas], size: tuple[int, int]) -> None:
    width, height = size
    picture = canvases["tileable"].resized(width, height).read()
    source = canvases["tileable"]
    if width > WIDTH:
        source = source.resized(2 * WIDTH, 2 * HEIGHT)
    expected = resample(np.tile(source.read(), (1, 3, 1)), height, 3 * width)[:, width:-width]
    assert np.abs(picture.astype(int) - expected).max() <= 1


def test_what_a_mask_leaves_is_left(canvases: dict[str, Canvas]) -> None:
    """Byte for byte, at the size of the picture that it starts from."""
    resized = canvases["mask"].resized(*LARGE).read()
    np.testing.assert_array_equal(resized[-20:], START[-20:])
    assert (resized[80:120, 90:160] != START[80:120, 90:160]).any(-1).mean() > 0.9


def test_files_and_copies(canvases: dict[str, Canvas], tmp_path: Path) -> None:
    resized = canvases["detail"].resized(130, 87)
    with Image.open(resized.save(tmp_path / "small.png")) as image:
        np.testing.assert_array_equal(np.asarray(image), resized.read())
        assert f'"resized_from": [{WIDTH}, {HEIGHT}]' in image.info["Description"]
    copy = pickle.loads(pickle.dumps(resized))
    np.testing.assert_array_equal(copy.read(), resized.read())
    np.testing.assert_array_equal(copy.resized(300, 200)[:50], resized.resized(300, 200)[:50])


def test_the_photograph_enlarged(photograph_path: Path) -> None:
    canvas = Synthesizer(photograph_path).super_resolution(1.25)
    assert canvas.shape == (800, 1250, 3)
    np.testing.assert_array_equal(
        canvas.resized(1500, 960).view(Box(0, 0, 100, 100), 100, 100),
        Synthesizer(photograph_path).super_resolution(1.5)[:100, :100],
    )
    own = canvas.resized(1000, 640)
    np.testing.assert_array_equal(own.read(), Synthesizer(photograph_path)._photograph.pixels())
    assert canvas.resized(500, 320).read().shape == (320, 500, 3)
    with pytest.raises(SizeError, match="at most 64 times the photograph's 1000 x 640, got 65000 x 41600"):
        canvas.resized(65000, 41600)


@pytest.mark.parametrize(
    ("kind", "size", "error", "words"),
    [
        ("detail", (192, 130), ValueError, "in the ratio of 192 x 128, such as 192 x 128, got 192 x 130"),
        ("detail", (300, 199), ValueError, "such as 300 x 200, got 300 x 199"),
        ("detail", (0, 1), SizeError, "width to be from 1"),
        ("detail", (1 << 31, 3), SizeError, "width to be from 1"),
        ("detail", (2147483646, 1431655764), SizeError, "larger than 2147483647 a side"),
        ("tileable", (WIDTH * 16, HEIGHT * 16), SizeError, "cannot wrap where networks enlarge it"),
    ],
)
def test_sizes_that_do_not_fit(
    canvases: dict[str, Canvas], kind: str, size: tuple[int, int], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        canvases[kind].resized(*size)


@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    extent=st.sampled_from([None, 0.3, 0.77, 3.0]),
    halvings=st.integers(-6, 3),
)
def test_plans_at_other_sizes_begin_alike(size: tuple[int, int], extent: float | None, halvings: int) -> None:
    """With the very levels that the canvas has, as far as both go; and with passes only where they must."""
    photograph, native = (640, 1000), 1000
    plan = plan_detail(photograph, size, extent)
    assert plan.halved(size, 0, native) == plan
    if halvings > 0:
        halvings = plan.halvings[min(halvings, len(plan.halvings) - 1)]
    other = plan.halved(size, halvings, native)
    both = min(len(plan.picture), len(other.picture))
    assert other.picture[:both] == plan.picture[:both]
    assert other.photograph[:both] == plan.photograph[:both]
    assert other.extent == plan.extent
    shown = halved_size(size, halvings)
    assert other.size == tuple(-(-side // 4**other.passes) for side in shown)
    assert other.halvings[-1] == plan.halvings[-1] - halvings
    assert all(
        coarse == halved_size(fine, 1) for coarse, fine in zip(other.picture, other.picture[1:], strict=False)
    )
    finest = max(other.photograph[-1])
    assert finest <= max(1500, *plan.photograph[-1])
    if other.passes and halvings < 0:
        assert 4 * finest > 1500
