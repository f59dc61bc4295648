"""Canvases of a bundle whose structure is of coordinates."""

import functools
import json
import logging
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import (
    Box,
    BudgetError,
    Bundle,
    BundleError,
    EngineError,
    Layout,
    NonFiniteError,
    RenderCancelledError,
    RenderStats,
    Synthesizer,
)
from ourgan_sdk._core import Grid
from ourgan_sdk.coordinates import CoordinatesPicture, place
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.errors import EngineMemoryError
from tests.coordinates.tiny import (
    HALO,
    LARGEST,
    PATCH,
    coordinates_network,
    coordinates_record,
    write_coordinates,
)

SIZE = (301, 203)
"""Odd, so that the last cells leave the picture."""
LITTLE = "1200KiB"
"""Of memory: for a picture of 301 x 203, several tiles."""


@pytest.fixture(scope="module")
def little(coordinates_path: Path) -> Synthesizer:
    return Synthesizer(coordinates_path, memory_limit=LITTLE)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean, in levels."""
    return float(np.abs(one.astype(float) - other).mean())


def test_a_region_is_the_slice_of_the_whole(little: Synthesizer) -> None:
    whole = little.render(*SIZE, 5)
    assert whole.shape == (203, 301, 3)
    canvas = little.canvas(*SIZE, 5)
    assert canvas.plan.first_grids[0].rows * canvas.plan.first_grids[0].columns > 4
    for y0, y1, x0, x1 in ((0, 203, 0, 301), (17, 18, 200, 201), (3, 150, 40, 299), (202, 203, 0, 301)):
        for _ in range(2):  # rendered, and kept
            assert (canvas[y0:y1, x0:x1] == whole[y0:y1, x0:x1]).all()
    assert canvas.plan.cache.size


def test_a_region_renders_its_own_tiles_alone(little: Synthesizer) -> None:
    canvas, asked = little.canvas(*SIZE, 5), []
    canvas.read(Box(0, 0, 9, 9), progress=lambda _done, total: asked.append(total))
    grid = canvas.plan.first_grids[0]
    assert asked[-1] == grid.window_height * grid.window_width * 4


def in_one_window(synthesizer: Synthesizer, dtype: type) -> np.ndarray:
    """The picture of `SIZE` as its network makes it whole, far from where the window ends."""
    placement = place(coordinates_record(), SIZE[::-1], None)
    engine = functools.partial(synthesizer.canvas(*SIZE).networks.on_cpu, "coordinates.onnx")
    grid = Grid(*placement.levels[0].cells, 4 * HALO, 1, 1)
    whole = CoordinatesPicture(placement, engine, 5).planned([grid], None)
    box = Box(0, 0, SIZE[1], SIZE[0])
    (band,) = whole.bands(0, box, np.dtype(dtype), RenderStats(), lambda _work: None)
    return band


def test_tiles_join_and_do_not_without_their_halo(little: Synthesizer, tmp_path: Path) -> None:
    """Against one window, by rounding alone; without halo by more than half a level."""
    without = write_coordinates(tmp_path / "without.ourgan", halo=0)
    whole = in_one_window(little, np.uint16).astype(np.int64)
    levels = []
    for synthesizer in (little, Synthesizer(without, memory_limit=LITTLE)):
        canvas = synthesizer.canvas(*SIZE, 5, dtype=np.uint16)
        grid = canvas.plan.first_grids[0]
        assert grid.rows * grid.columns > 4
        levels.append(np.abs(canvas[:] - whole).max() / 257)
    assert levels[0] <= 0.02  # the halo is the radius
    assert levels[1] > 0.5


def test_threads_and_memory_change_a_level_at_most(coordinates_path: Path) -> None:
    whole = Synthesizer(coordinates_path).render(*SIZE, 5).astype(int)
    for arguments in ({"threads": 1}, {"threads": 2, "memory_limit": LITTLE}, {"memory_limit": "3MiB"}):
        assert np.abs(Synthesizer(coordinates_path, **arguments).render(*SIZE, 5) - whole).max() <= 1


def test_levels_are_the_same_picture(synthesizer: Synthesizer) -> None:
    canvas = synthesizer.canvas(700, 520, 5)
    assert [level.shape[:2] for level in canvas.levels] == [
        (520, 700),
        (260, 350),
        (130, 175),
        (65, 88),
        (33, 44),
    ]
    assert [level.downsample for level in canvas.levels] == [1, 2, 4, 8, 16]
    other = synthesizer.canvas(700, 520, 6)
    for level, another in zip(canvas.levels[1:4], other.levels[1:4], strict=True):
        height, width, _ = level.shape
        reduced = np.asarray(Image.fromarray(canvas[:]).resize((width, height), Image.Resampling.BOX))
        assert difference(level[:], reduced) < 0.4 * difference(another[:], reduced)
        assert (level[3:9, 2:31] == level[:][3:9, 2:31]).all()


def test_seeds_and_types(synthesizer: Synthesizer) -> None:
    one = synthesizer.render(64, 48, 1)
    assert (synthesizer.render(64, 48, 1) == one).all()
    assert difference(synthesizer.render(64, 48, 2), one) > 5
    deep = synthesizer.render(64, 48, 1, dtype=np.uint16)
    assert np.abs(deep / 257 - one).max() <= 0.51
    assert one.std() > 20


def test_scales_are_the_same_picture(synthesizer: Synthesizer) -> None:
    """Also beyond the largest that was learned, and below the smallest; `resized` is one of them."""
    canvas = synthesizer.canvas(96, 64, 5)
    for width, height in ((12, 8), (48, 32), (192, 128), (960, 640)):
        picture = canvas.resized(width, height)
        assert (picture.width, picture.height) == (width, height)
        small, large = sorted([picture[:], canvas[:]], key=len)
        reduced = Image.fromarray(large).resize(small.shape[1::-1], Image.Resampling.BOX)
        assert difference(small, np.asarray(reduced)) < 12
    with pytest.raises(ValueError, match="expected a size in the ratio of 96 x 64"):
        canvas.resized(50, 50)


@pytest.mark.parametrize("asked", [{"device": "cuda:1"}, {"engine": "openvino"}, {"precision": "bf16"}])
def test_other_engines_are_warned_of(
    coordinates_path: Path,
    synthesizer: Synthesizer,
    asked: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Synthesizer(coordinates_path, **asked)
    assert "going on in ONNX Runtime on the CPU, in fp32" in caplog.text
    assert (other.render(40, 40, 3) == synthesizer.render(40, 40, 3)).all()
    caplog.clear()
    monkeypatch.setenv("OURGAN_ENGINE", "openvino")
    Synthesizer(coordinates_path)
    assert "going on in ONNX Runtime on the CPU, in fp32" in caplog.text
    caplog.clear()  # as the variable decides in the place of "auto" alone
    Synthesizer(coordinates_path, device="cpu", engine="onnxruntime", precision="fp32")
    assert caplog.text == ""


def test_larger_scales_than_learned_are_told(
    synthesizer: Synthesizer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        synthesizer.canvas(LARGEST, LARGEST)
        assert "has seen up to" not in caplog.text
        synthesizer.canvas(LARGEST + 1, LARGEST + 1)
    assert "a scale of 257 pixels, where the network has seen up to 256" in caplog.text


def test_extents_show_more_of_the_plane(synthesizer: Synthesizer) -> None:
    """An extent of 2 at twice the size has the picture in its middle, pixel by pixel."""
    one, two = synthesizer.canvas(64, 64, 5), synthesizer.canvas(128, 128, 5, extent=2)
    assert (one.extent, two.extent) == (1, 2)
    assert np.abs(two[32:96, 32:96].astype(int) - one[:]).max() <= 1


def test_previews_and_thumbnails(synthesizer: Synthesizer) -> None:
    assert (synthesizer.preview(5) == synthesizer.render(PATCH, PATCH, 5)).all()
    assert (synthesizer.preview(5, width=50, height=40) == synthesizer.render(50, 40, 5)).all()
    assert synthesizer.thumbnail(5).shape == (LARGEST, LARGEST, 3)
    thumbnail = synthesizer.thumbnail(5, width=3000, height=2000, size=90)
    assert (thumbnail == synthesizer.render(90, 60, 5)).all()
    assert synthesizer.thumbnail(5, size=7).shape == (7, 7, 3)
    assert synthesizer.canvas(300, 200, 5).thumbnail(100).shape == (67, 100, 3)
    assert synthesizer._repr_png_()
    assert repr(synthesizer) == "Synthesizer('folder.ourgan', 60 pictures, of coordinates)"


@pytest.mark.parametrize(("size", "long"), [((3000, 70), 64), ((1000, 66), 40), ((700, 20), 50)])
def test_thumbnails_show_what_the_canvas_shows(
    synthesizer: Synthesizer, size: tuple[int, int], long: int
) -> None:
    """Where their shorter side is rounded, too: as near to the canvas's reduction as its own level is."""
    canvas = synthesizer.canvas(*size, 5)
    thumbnail = synthesizer.thumbnail(5, width=size[0], height=size[1], size=long)
    reduced = Image.fromarray(canvas[:]).resize(thumbnail.shape[1::-1], Image.Resampling.BOX)
    other = synthesizer.thumbnail(6, width=size[0], height=size[1], size=long)
    assert difference(thumbnail, np.asarray(reduced)) < 0.4 * difference(other, np.asarray(reduced))
    shown = canvas.resized(*thumbnail.shape[1::-1])
    assert (shown[:] == thumbnail).all()
    assert json.loads(shown.description)["extent"] == 1.0


def test_views_join(synthesizer: Synthesizer) -> None:
    canvas = synthesizer.canvas(256, 192, 5)
    whole = canvas.view(Box(0, 0, 192, 256), 64, 48)
    assert (whole == canvas.levels[2][:]).all()
    assert (canvas.view(Box(64, 128, 192, 256), 32, 32) == whole[16:, 32:]).all()
    read, made = canvas.view_work(Box(64, 128, 192, 256), 32, 32)
    assert read == 32 * 32
    assert made >= read


def test_files_and_what_they_say(little: Synthesizer, tmp_path: Path) -> None:
    whole = little.render(*SIZE, 5)
    for suffix in ("png", "tif", "npy", "dzi"):
        path = little.render(*SIZE, 5, out=tmp_path / f"a.{suffix}")
        if suffix == "npy":
            assert (np.load(path) == whole).all()
        elif suffix in ("png", "tif"):
            assert (np.asarray(Image.open(path)) == whole).all()
    told = json.loads(little.canvas(*SIZE, 5).description)
    assert told["structure"] == "coordinates"
    assert told["detail"] == "network"
    assert (told["width"], told["height"], told["seed"], told["extent"]) == (301, 203, 5, 1.0)


def test_resumed_as_if_nothing_had_happened(little: Synthesizer, tmp_path: Path) -> None:
    path, stop = tmp_path / "a.png", threading.Event()

    def progress(done: int, total: int) -> None:
        if done > total / 2:
            stop.set()

    canvas = little.canvas(*SIZE, 5)
    with pytest.raises(RenderCancelledError):
        canvas.save(path, resume=True, progress=progress, cancel=stop)
    assert not path.exists()
    assert list(tmp_path.iterdir())
    done = []
    canvas.save(path, resume=True, progress=lambda _done, total: done.append(total))
    assert done[-1] < canvas.width * canvas.height
    assert (np.asarray(Image.open(path)) == little.render(*SIZE, 5)).all()
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]


def test_threads_share_a_canvas(little: Synthesizer) -> None:
    """Each reads other parts first; what one has rendered others find."""
    whole, canvas = little.render(*SIZE, 5), little.canvas(*SIZE, 5)
    places = [(y, x) for y in range(0, 200, 50) for x in range(0, 300, 75)]

    def read(first: int) -> list[bool]:
        turned = places[first:] + places[:first]
        parts = ((slice(y, y + 60), slice(x, x + 90)) for y, x in turned)
        return [bool((canvas[part] == whole[part]).all()) for part in parts]

    with ThreadPoolExecutor(4) as pool:
        assert all(all(same) for same in pool.map(read, (0, 4, 9, 13)))


def test_statistics_and_the_memory_that_is_needed(little: Synthesizer) -> None:
    stats = RenderStats()
    little.render(*SIZE, 5, stats=stats)
    assert stats.seconds >= stats.engine_seconds > 0
    assert stats.copied_share is None
    plan = little.canvas(*SIZE).plan
    grid = plan.first_grids[0]
    assert stats.tiles == grid.rows * grid.columns
    assert stats.window_pixels == stats.tiles * grid.window_height * grid.window_width * 4
    assert 0 < plan.bytes <= plan.memory_limit == 1200 * 1024


def test_too_little_memory_is_told(coordinates_path: Path) -> None:
    with pytest.raises(BudgetError, match="allow at least"):
        Synthesizer(coordinates_path, memory_limit="1KiB").canvas(*SIZE)


def test_smaller_windows_where_memory_runs_out(
    coordinates_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    synthesizer = Synthesizer(coordinates_path)
    whole, run = synthesizer.render(*SIZE, 5), OnnxRuntimeEngine.run

    def scarce(self: OnnxRuntimeEngine, feeds: dict[str, np.ndarray]) -> np.ndarray:
        if feeds["coordinates"].size > 12_000:
            raise EngineMemoryError("no more of it")
        return run(self, feeds)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", scarce)
    assert np.abs(synthesizer.render(*SIZE, 5).astype(int) - whole).max() <= 1
    assert "going on with a memory limit of" in caplog.text


def test_damaged_networks_are_named(tmp_path: Path) -> None:
    path = write_coordinates(tmp_path / "a.ourgan", coordinates_network(damaged=True))
    with pytest.raises(NonFiniteError, match=r"coordinates\.onnx gave \d+ values that are not finite"):
        Synthesizer(path).render(64, 64)


def test_wrong_shapes_are_named(coordinates_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OnnxRuntimeEngine.run
    monkeypatch.setattr(OnnxRuntimeEngine, "run", lambda self, feeds: run(self, feeds)[:, :, 1:])
    with pytest.raises(EngineError, match=r"expected coordinates\.onnx to give \(1, 3, 76, 76\), got"):
        Synthesizer(coordinates_path).render(64, 64)


def test_what_takes_one_photograph_is_refused(synthesizer: Synthesizer, coordinates_path: Path) -> None:
    words = "structure is of coordinates, learned from many pictures"
    picture = np.zeros((8, 8, 3), np.uint8)
    for error, call in (
        (ValueError, lambda: synthesizer.canvas(64, 64, layout=Layout(variety=0.3))),
        (ValueError, lambda: synthesizer.canvas(64, 64, layout=Layout(symmetric="x"))),
        (ValueError, lambda: synthesizer.canvas(64, 64, start=picture, start_scale=1)),
        (ValueError, lambda: synthesizer.canvas(64, 64, mask=np.ones((64, 64), bool))),
        (ValueError, lambda: synthesizer.preview(layout=Layout(variety=0.3))),
        (BundleError, synthesizer.super_resolution),
        (BundleError, lambda: synthesizer.animation(64, 64)),
        (BundleError, lambda: synthesizer.recolored(picture)),
        (BundleError, lambda: synthesizer.start_scales),
        (BundleError, lambda: synthesizer.default_start_scale("paint")),
    ):
        with pytest.raises(error, match=words):
            call()
    with pytest.raises(ValueError, match="are a network's, and have no place in the photograph"):
        synthesizer.canvas(64, 64).sources()
    for arguments in ({"detail": "photograph"}, {"structure": "patches"}):
        with pytest.raises(BundleError, match="holds no photograph"):
            Synthesizer(coordinates_path, **arguments)
    one = Synthesizer(coordinates_path, detail="network", structure="network").render(40, 40)
    assert (one == synthesizer.render(40, 40)).all()


def test_pickles_and_bases(synthesizer: Synthesizer) -> None:
    canvas = synthesizer.canvas(96, 64, 5)
    other = pickle.loads(pickle.dumps(canvas))
    assert (other[:] == canvas[:]).all()
    base = canvas.find_base()
    other.use_base(base)
    with pytest.raises(ValueError, match="expected nothing that is found of coordinates"):
        other.use_base({**base, "more": np.zeros(1)})
    reduced = canvas.resized(12, 8)
    assert (pickle.loads(pickle.dumps(reduced))[:] == reduced[:]).all()


def test_closed(coordinates_path: Path) -> None:
    with Synthesizer(coordinates_path) as synthesizer:
        canvas = synthesizer.canvas(64, 64)
        canvas[:9, :9]
    with pytest.raises(Exception, match="is closed"):
        canvas[:9, :9]
    assert Bundle.open(coordinates_path).manifest.coordinates is not None
