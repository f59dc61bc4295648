"""What one process has found of a canvas serves another: the same bytes, and nothing is searched there."""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import (
    BundleError,
    Canvas,
    ClosedError,
    Layout,
    RenderCancelledError,
    RenderStats,
    RenderTimeoutError,
    Synthesizer,
)
from ourgan_sdk import detail as detail_package
from ourgan_sdk.structure import NetworkSource, PatchesSource

Base = dict[str, np.ndarray]

HALF = np.zeros((20, 30), bool)
HALF[:, 12:] = True


def patches(path: Path, **changes: object) -> Canvas:
    given = {"width": 420, "height": 290, "seed": 7, "extent": 0.5} | changes
    return Synthesizer(path, structure="patches").canvas(**given)


def trained(path: Path) -> Canvas:
    return Synthesizer(path, structure="network").canvas(420, 290, 7, extent=0.5)


def passed(path: Path) -> Canvas:
    return Synthesizer(path).canvas(421, 293, 7, extent=0.25)


def networks(path: Path, dtype: type = np.uint8) -> Canvas:
    return Synthesizer(path, detail="network").canvas(180, 120, 7, dtype=dtype)


def symmetric(path: Path) -> Canvas:
    return patches(path, layout=Layout(symmetric="both"))


def tileable(path: Path) -> Canvas:
    return patches(path, width=384, height=256, layout=Layout(tileable="both"))


def vertical(path: Path) -> Canvas:
    return patches(path, layout=Layout(vertical=0.3), dtype=np.uint16)


def masked(path: Path, dtype: type = np.uint8) -> Canvas:
    start = np.random.default_rng(3).integers(0, 255, (58, 84, 3), np.uint8)
    return patches(path, start=start, start_scale=3, mask=HALF, dtype=dtype)


def structure_alone(path: Path, dtype: type = np.uint16) -> Canvas:
    """No pass behind it: the structure is of the canvas's own type."""
    return Synthesizer(path, detail="network").canvas(18, 12, 7, dtype=dtype)


def enlarged(path: Path) -> Canvas:
    return Synthesizer(path).super_resolution(1.001, 7)


MADE = (
    *(patches, trained, passed, networks, symmetric, tileable, vertical, masked),
    *(structure_alone, enlarged),
)


OF_PATCHES = (patches, symmetric, tileable, vertical, masked)

_found: dict[Callable[[Path], Canvas], Base] = {}


def base_of(make: Callable[[Path], Canvas], path: Path) -> Base:
    """Found once for all tests."""
    if make not in _found:
        _found[make] = make(path).find_base()
    return _found[make]


def render_with(make: Callable[[Path], Canvas], path: Path, base: Base) -> tuple[np.ndarray, RenderStats]:
    canvas, stats = make(path), RenderStats()
    canvas.use_base(base)
    return canvas.read(stats=stats), stats


@pytest.mark.parametrize("make", MADE)
def test_another_synthesizer_makes_the_same_bytes_and_searches_nothing(
    photograph_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Canvas]
) -> None:
    first, stats = make(photograph_path), RenderStats()
    base, expected = first.find_base(), first.read(stats=stats)
    assert (stats.field_seconds, stats.structure_seconds) == (0, 0)  # it was found before

    def never(*_: object, **__: object) -> None:
        pytest.fail("it was found once")

    for source in (NetworkSource, PatchesSource):
        monkeypatch.setattr(source, "picture", never)
        monkeypatch.setattr(source, "start", never)
    picture, other = render_with(make, photograph_path, base)
    np.testing.assert_array_equal(picture, expected)
    assert (other.field_seconds, other.structure_seconds) == (0, 0)
    assert other.copied_share == stats.copied_share
    assert (stats.copied_share is not None) == (make in OF_PATCHES)
    fresh = make(photograph_path)
    fresh.use_base(base)
    for name, array in fresh.find_base().items():  # which hands on what it was given
        np.testing.assert_array_equal(array, base[name])
        assert array.dtype == base[name].dtype


def test_other_processes_make_the_same_bytes(photograph_path: Path) -> None:
    """Begun anew, as workers on other machines are: all goes there pickled."""
    canvases = {make: make(photograph_path) for make in (patches, trained, networks, symmetric, masked)}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        futures = {
            make: processes.submit(render_with, make, photograph_path, canvas.find_base())
            for make, canvas in canvases.items()
        }
        for make, canvas in canvases.items():
            picture, stats = futures[make].result()
            np.testing.assert_array_equal(picture, canvas.read())
            assert (stats.field_seconds, stats.structure_seconds) == (0, 0)


@pytest.mark.parametrize("make", [trained, networks])
def test_regions_alone_need_the_base_alone(photograph_path: Path, make: Callable[[Path], Canvas]) -> None:
    """A canvas that finds by itself has the same base, whatever was read of it before."""
    canvas = make(photograph_path)
    canvas[:5, :5]
    other = make(photograph_path)
    other.use_base(canvas.find_base())
    np.testing.assert_array_equal(other[3:9, 2:11], canvas[3:9, 2:11])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 8}, "seed 7 in place of 8"),
        ({"width": 421}, "width 420 in place of 421"),
        ({"extent": 0.25}, r"extent 0\.\d+ in place of 0\.25"),
        ({"layout": Layout(variety=0.1)}, r"variety null in place of 0\.1"),
        ({"layout": Layout(symmetric="x")}, 'symmetric null in place of "x"'),
    ],
)
def test_the_base_of_another_canvas_is_refused(
    photograph_path: Path, change: dict[str, object], words: str
) -> None:
    base = base_of(patches, photograph_path)
    with pytest.raises(ValueError, match=f"the base of another canvas: .*{words}"):
        patches(photograph_path, **change).use_base(base)


@pytest.mark.parametrize(
    ("make", "size"), [(patches, (420, 290)), (masked, (420, 290)), (networks, (180, 120))]
)
def test_a_canvas_of_16_bits_takes_what_one_of_8_has_found(
    photograph_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Canvas], size: tuple[int, int]
) -> None:
    """Detail is found alike, and so is a structure that a pass takes."""
    expected, base = make(photograph_path, dtype=np.uint16), base_of(make, photograph_path)
    for name, array in expected.find_base().items():
        assert array.tobytes() == base[name].tobytes(), name
    canvas = make(photograph_path, dtype=np.uint16)
    for source in (NetworkSource, PatchesSource):
        monkeypatch.setattr(source, "picture", lambda *_, **__: pytest.fail("it was found once"))
        monkeypatch.setattr(source, "start", lambda *_, **__: pytest.fail("it was found once"))
    canvas.use_base(base)
    stats = RenderStats()
    picture = canvas.read(stats=stats)
    monkeypatch.undo()
    assert picture.shape == (*size[::-1], 3)
    assert (stats.field_seconds, stats.structure_seconds) == (0, 0)
    np.testing.assert_array_equal(picture, expected.read())
    assert (picture % 257).any()


def test_a_structure_is_of_its_type(photograph_path: Path) -> None:
    """Where no pass follows it is the picture itself."""
    base = base_of(structure_alone, photograph_path)
    with pytest.raises(ValueError, match='the base of another canvas: dtype "uint16" in place of "uint8"'):
        structure_alone(photograph_path, dtype=np.uint8).use_base(base)


def test_the_base_of_another_bundle_and_of_networks_is_refused(
    photograph_path: Path, starting_path: Path
) -> None:
    base = base_of(patches, photograph_path)
    with pytest.raises(ValueError, match=r'another canvas: bundle "[0-9a-f]+\.\.\." in place of|bundle'):
        patches(starting_path).use_base(base)
    with pytest.raises(ValueError, match='detail "photograph" in place of "network"'):
        networks(photograph_path).use_base(base)


def replaced(name: str, array: object) -> Callable[[Base], object]:
    return lambda base: base | {name: array}


@pytest.mark.parametrize("make", [patches, networks, enlarged])
@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda _base: None, TypeError, "expected what find_base returns, got NoneType"),
        (lambda base: list(base.values()), TypeError, "got list"),
        (lambda _base: {}, ValueError, "which canvas it is of is missing"),
        (replaced("canvas", "patches"), ValueError, "which canvas it is of is missing"),
        (replaced("canvas", np.zeros(1 << 17, np.uint8)), ValueError, "is missing"),
        (replaced("canvas", np.frombuffer(b"[" * 60_000, np.uint8)), ValueError, "it does not say of which"),
        (replaced("canvas", np.frombuffer(b"\xff{}", np.uint8)), ValueError, "it does not say of which"),
        (replaced("canvas", np.frombuffer(b"[3]", np.uint8)), ValueError, "it does not say of which"),
        (replaced("other", np.zeros(3)), ValueError, "expected .*, got .*other"),
        (replaced("copied", np.array([np.nan])), ValueError, "expected .*copied|expected nothing"),
        (replaced("copied", np.array([2.0])), ValueError, "expected .*copied|expected nothing"),
        (replaced("copied", [0.5]), ValueError, "expected arrays|expected nothing"),
    ],
)
def test_what_is_no_base_is_refused_and_the_canvas_works_on(
    photograph_path: Path,
    make: Callable[[Path], Canvas],
    damage: Callable[[Base], object],
    error: type[Exception],
    words: str,
) -> None:
    canvas = make(photograph_path)
    with pytest.raises(error, match=words):
        canvas.use_base(damage(base_of(make, photograph_path)))
    assert canvas._renderer.first.copied_share is None
    canvas.use_base(base_of(make, photograph_path))
    assert canvas[:2, :2].shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("field", np.zeros((3, 3, 2), np.int32), "expected field to be"),
        ("picture", np.full((3, 3, 3), np.nan), "expected picture to be"),
        ("tone", np.zeros((3, 3, 3), np.int16), "expected tone to be"),
    ],
)
def test_detail_that_is_none(photograph_path: Path, name: str, array: np.ndarray, words: str) -> None:
    canvas = patches(photograph_path)
    base = base_of(patches, photograph_path)
    with pytest.raises(ValueError, match=words):
        canvas.use_base(base | {name: array})


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 3, 3), np.float32), "expected a structure"),
        (np.zeros((8, 12, 3), np.float64), "expected a structure"),
        (np.full((8, 12, 3), np.nan, np.float32), "from 0 to 1"),
        (np.full((8, 12, 3), 1.5, np.float32), "from 0 to 1"),
        (np.zeros((8, 12, 3), object), "expected a structure"),
    ],
)
def test_a_structure_that_is_none(photograph_path: Path, array: np.ndarray, words: str) -> None:
    base = base_of(networks, photograph_path)
    assert base["structure"].shape == (8, 12, 3)
    with pytest.raises(ValueError, match=words):
        networks(photograph_path).use_base(base | {"structure": array})


def test_progress_and_what_ends_it(photograph_path: Path) -> None:
    for make in (patches, trained, networks, enlarged):
        calls: list[tuple[int, int]] = []
        canvas = make(photograph_path)
        canvas.find_base(progress=lambda *call, calls=calls: calls.append(call))
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
        assert all(done <= total for done, total in calls)
        assert not calls or calls[-1][0] == calls[-1][1]
        assert bool(calls) == (make is not enlarged)
    canvas, cancel = patches(photograph_path), threading.Event()

    def end(_done: int, _total: int) -> None:
        cancel.set()

    with pytest.raises(RenderCancelledError):
        canvas.find_base(progress=end, cancel=cancel)
    with pytest.raises(RenderTimeoutError):
        canvas.find_base(timeout=0)
    with pytest.raises(ZeroDivisionError):
        canvas.find_base(progress=lambda _done, _total: 1 / 0)
    assert canvas.find_base()["picture"].std() > 0


def test_a_base_outlives_its_canvas_and_closed_synthesizers_have_none(photograph_path: Path) -> None:
    synthesizer = Synthesizer(photograph_path, structure="patches")
    canvas = synthesizer.canvas(420, 290, 7, extent=0.5)
    base = canvas.find_base()
    synthesizer.close()
    with pytest.raises(ClosedError):
        canvas.find_base()
    with pytest.raises(ClosedError):
        canvas.use_base(base)
    expected, _ = render_with(patches, photograph_path, base_of(patches, photograph_path))
    picture, _ = render_with(patches, photograph_path, base)
    np.testing.assert_array_equal(picture, expected)


def test_a_base_that_is_known_is_kept(photograph_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canvas, base = patches(photograph_path), base_of(patches, photograph_path)
    canvas.use_base(base)
    made = canvas._renderer.first._detail
    canvas.use_base(base)
    assert canvas._renderer.first._detail is made
    monkeypatch.setattr(detail_package.PhotographSource, "levels", lambda *_: 1 / 0)
    canvas.use_base(base)


def test_a_damaged_photograph_is_what_it_is(photograph_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of(patches, photograph_path)

    def damaged(*_: object) -> None:
        raise BundleError("member 'photograph.jpg' is damaged")

    monkeypatch.setattr(detail_package.PhotographSource, "levels", damaged)
    with pytest.raises(BundleError, match="is damaged"):
        patches(photograph_path).use_base(base)
