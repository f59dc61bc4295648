"""Synthesizers are closed, pickled, copied and handed to other processes; folders change meanwhile."""

import copy
import gc
import multiprocessing
import os
import pickle
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import (
    Bundle,
    BundleError,
    Canvas,
    ClosedError,
    Layout,
    OurganError,
    OutputError,
    Synthesizer,
    learn,
    open_writer,
    save_bundle,
)

SIZE = (150, 110)


@pytest.fixture(params=["trained", "photographic"])
def source(request: pytest.FixtureRequest, bundle_path: Path, photograph_path: Path) -> Path:
    return bundle_path if request.param == "trained" else photograph_path


def calls(canvas: Canvas, folder: Path) -> Iterator[Callable[[], object]]:
    """What a canvas that is closed cannot do."""
    yield canvas.read
    yield lambda: canvas[:10]
    yield lambda: np.asarray(canvas)
    yield lambda: canvas.levels[-1][:]
    yield canvas.thumbnail
    yield lambda: canvas.save(folder / "a.png")
    yield lambda: canvas.save(folder / "a.png", resume=True)
    yield lambda: pickle.dumps(canvas)


@pytest.mark.parametrize("has_rendered", [False, True])
def test_nothing_renders_after_close(source: Path, tmp_path: Path, has_rendered: bool) -> None:
    with Synthesizer(source) as synthesizer:
        assert isinstance(synthesizer, Synthesizer)
        canvases = [synthesizer.canvas(*SIZE), synthesizer.canvas(*SIZE, layout=Layout(symmetric="x"))]
        if has_rendered:
            for canvas in canvases:
                canvas.read()
    synthesizer.close()  # twice
    words = f"the synthesizer of {source} is closed: open another one"
    for canvas in canvases:
        for call in calls(canvas, tmp_path):
            with pytest.raises(ClosedError, match=words):
                call()
    for call in (
        lambda: synthesizer.canvas(*SIZE),
        lambda: synthesizer.render(*SIZE),
        lambda: synthesizer.render(*SIZE, out=tmp_path / "a.png"),
        synthesizer.preview,
        synthesizer.thumbnail,
        lambda: copy.copy(synthesizer),
        lambda: pickle.dumps(synthesizer),
    ):
        with pytest.raises(ClosedError, match=words):
            call()
    assert list(tmp_path.iterdir()) == []
    assert synthesizer.bundle.path == source
    assert canvases[0].shape == (SIZE[1], SIZE[0], 3)


def test_close_frees_what_canvases_keep(source: Path) -> None:
    """Even of canvases that somebody holds."""
    synthesizer = Synthesizer(source)
    canvas = synthesizer.canvas(*SIZE, layout=Layout(symmetric="y"))
    canvas.read()
    renderer, networks, photograph = canvas._renderer, synthesizer._networks, synthesizer._photograph
    assert renderer.plan.cache.size > 0 or synthesizer.takes_detail
    gone = [weakref.ref(engine) for engine in networks._on_cpu().values()]
    synthesizer.close()
    gc.collect()
    assert [one() for one in gone] == [None] * len(gone)
    assert renderer.plan.cache.size == 0
    assert getattr(renderer.first, "_detail", None) is None
    assert getattr(renderer.first, "_kept", None) is None
    assert photograph._decoded is photograph._kept is photograph._reduced is None


def test_a_render_at_work_comes_to_an_end(source: Path) -> None:
    """Either to the picture or to the error, and the process goes on."""
    expected = Synthesizer(source).render(*SIZE, 5)
    for moment in range(4):
        synthesizer = Synthesizer(source, memory_limit=2_000_000)
        results: list[object] = []
        begun = threading.Event()

        def watch(_done: int, _total: int, begun: threading.Event = begun) -> None:
            begun.set()

        def render(
            synthesizer: Synthesizer = synthesizer,
            results: list[object] = results,
            watch: Callable[[int, int], None] = watch,
        ) -> None:
            try:
                results.append(synthesizer.render(*SIZE, 5, progress=watch))
            except OurganError as error:
                results.append(error)

        thread = threading.Thread(target=render)
        thread.start()
        begun.wait(0.02 * moment)
        synthesizer.close()
        thread.join(60)
        assert not thread.is_alive()
        (result,) = results
        if isinstance(result, np.ndarray):
            assert np.abs(result.astype(int) - expected).max() <= 1
        else:
            assert isinstance(result, ClosedError)


def remade(value: object) -> list[object]:
    return [pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)]


def test_pickles_and_copies_render_the_same(source: Path) -> None:
    synthesizer = Synthesizer(source, memory_limit=3_000_000, threads=1, detail="network")
    expected = synthesizer.render(*SIZE, 3)
    for other in remade(synthesizer):
        assert isinstance(other, Synthesizer)
        assert other is not synthesizer
        assert (other._memory_limit, other._threads, other.takes_detail) == (3_000_000, 1, False)
        np.testing.assert_array_equal(other.render(*SIZE, 3), expected)
        other.close()
    np.testing.assert_array_equal(synthesizer.render(*SIZE, 3), expected)


def test_canvases_as_well(photograph_path: Path) -> None:
    """As dask hands them to its workers."""
    canvas = Synthesizer(photograph_path).canvas(
        *SIZE, 4, dtype=np.uint16, extent=1.5, layout=Layout(symmetric="x")
    )
    for other in remade(canvas):
        assert isinstance(other, Canvas)
        assert (other.seed, other.dtype, other.extent) == (canvas.seed, canvas.dtype, canvas.extent)
        np.testing.assert_array_equal(other[20:50, 30:140], canvas[20:50, 30:140])


def test_a_photograph_that_was_learned_goes_with_the_pickle(photograph: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hills.jpg"
    path.write_bytes(photograph)
    synthesizer = Synthesizer(path)
    expected = synthesizer.render(*SIZE)
    pickled = pickle.dumps(synthesizer)
    path.unlink()
    np.testing.assert_array_equal(pickle.loads(pickled).render(*SIZE), expected)
    assert pickle.loads(pickled).bundle == synthesizer.bundle


def test_a_bundle_goes_by_its_path(bundle_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.ourgan"
    shutil.copy(bundle_path, path)
    pickled = pickle.dumps(Synthesizer(path))
    assert len(pickled) < 20_000
    path.unlink()
    with pytest.raises(BundleError, match=r"tiny\.ourgan: cannot be read: No such file"):
        pickle.loads(pickled).render(*SIZE)


def render_in(synthesizer: Synthesizer, seed: int) -> np.ndarray:
    return synthesizer.render(*SIZE, seed)


def test_processes_that_are_spawned(source: Path) -> None:
    synthesizer = Synthesizer(source)
    expected = [synthesizer.render(*SIZE, seed) for seed in (1, 2)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        for picture, other in zip(processes.map(render_in, [synthesizer] * 2, (1, 2)), expected, strict=True):
            np.testing.assert_array_equal(picture, other)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder to go to, from `tmp_path`, in which the test begins."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", ["bundle", "photograph", "opened", "written", "in memory"])
def test_relative_paths_are_those_of_the_moment(
    photograph_path: Path, photograph: bytes, elsewhere: Path, kind: str
) -> None:
    shutil.copy(photograph_path, "a.ourgan")
    Path("a.jpg").write_bytes(photograph)
    source: object = {
        "bundle": lambda: "a.ourgan",
        "photograph": lambda: Path("a.jpg"),
        "opened": lambda: Bundle.open("a.ourgan"),
        "written": lambda: save_bundle(Bundle.open("a.ourgan"), "b.ourgan"),
        "in memory": lambda: learn("a.jpg"),
    }[kind]()
    synthesizer = Synthesizer(source)  # type: ignore[arg-type]
    os.chdir(elsewhere)
    assert synthesizer.bundle.path.parent == elsewhere.parent
    assert synthesizer.render(*SIZE).shape == (SIZE[1], SIZE[0], 3)
    assert pickle.loads(pickle.dumps(synthesizer)).render(30, 20).shape == (20, 30, 3)
    with pytest.raises(OutputError, match="it is what the output is made from"):
        synthesizer.render(*SIZE, out=synthesizer.bundle.path)


@pytest.mark.parametrize("name", ["a.png", "a.dzi", "a.npy"])
@pytest.mark.parametrize("resume", [False, True])
def test_outputs_lie_where_they_were_asked_for(
    bundle_path: Path, elsewhere: Path, name: str, resume: bool
) -> None:
    def go(_done: int, _total: int) -> None:
        os.chdir(elsewhere)

    synthesizer = Synthesizer(bundle_path, memory_limit=2_000_000)
    path = synthesizer.render(300, 200, out=name, resume=resume, progress=go)
    assert path == elsewhere.parent / name
    assert path.exists()
    assert list(elsewhere.iterdir()) == []
    with open_writer("b.npy", 4, 2) as writer:
        os.chdir(elsewhere.parent)
        writer.write(np.zeros((2, 4, 3), np.uint8))
    assert [path.name for path in elsewhere.iterdir()] == ["b.npy"]


def test_a_folder_that_is_gone(bundle_path: Path, elsewhere: Path) -> None:
    os.chdir(elsewhere)
    elsewhere.rmdir()
    with pytest.raises(OutputError, match=r"cannot write a\.png: No such file"):
        Synthesizer(bundle_path).render(*SIZE, out="a.png")
    with pytest.raises(BundleError):
        Synthesizer("a.ourgan")
