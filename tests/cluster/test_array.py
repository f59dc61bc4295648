"""Canvases as Dask arrays: lazy, the same bytes as slices of the canvas, whatever computes them."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import pytest

from ourgan_sdk import Canvas, ClosedError, ClusterError, EngineError, Synthesizer
from ourgan_sdk.cluster import worker
from ourgan_sdk.cluster.array import chunk_sides, find_base
from ourgan_sdk.cluster.reference import CanvasReference, refer_to
from ourgan_sdk.cluster.worker import MOST_CANVASES


def slices(canvas: Canvas, level: int, count: int) -> list[tuple[slice, slice]]:
    """Random regions of a level."""
    random = np.random.default_rng(level)
    height, width, _ = canvas.levels[level].shape
    ys, xs = (np.sort(random.choice(side + 1, (count, 2)), axis=1) for side in (height, width))
    return [(slice(y0, y1), slice(x0, x1)) for (y0, y1), (x0, x1) in zip(ys, xs, strict=True)]


@pytest.mark.parametrize(
    ("name", "level", "scheduler"),
    [("photographed", 0, "threads"), ("photographed", 1, "synchronous"), ("enlarged", 0, "threads")],
)
def test_the_same_bytes(name: str, level: int, scheduler: str, request: pytest.FixtureRequest) -> None:
    canvas = request.getfixturevalue(name)
    array = canvas.to_dask(level, chunks=(190, 270))
    assert array.shape == canvas.levels[level].shape
    assert array.dtype == np.uint8
    for region in slices(canvas, level, 4):
        np.testing.assert_array_equal(
            array[region].compute(scheduler=scheduler), canvas.levels[level][region]
        )


@pytest.mark.parametrize("name", ["photographed", "enlarged", "of_coordinates"])
def test_the_same_bytes_on_a_cluster(name: str, request: pytest.FixtureRequest, client: Any) -> None:
    canvas = request.getfixturevalue(name)
    array = canvas.to_dask(chunks=256)
    np.testing.assert_array_equal(client.compute(array).result(), canvas[:])
    assert client.compute(array[..., 1].max()).result() == canvas[:][..., 1].max()


def test_a_photograph_that_was_not_saved_goes_as_its_bytes(tmp_path: Path, client: Any) -> None:
    from tests.tiny import write_photo  # noqa: PLC0415 - which needs torch

    photo = write_photo(tmp_path / "hills.png", 300, 400)
    canvas = Synthesizer(photo).canvas(300, 200, seed=1)
    photo.unlink()
    np.testing.assert_array_equal(client.compute(canvas.to_dask()).result(), canvas[:])


def test_other_types_and_operations(photograph_path: Path) -> None:
    canvas = Synthesizer(photograph_path).canvas(300, 200, seed=1, dtype=np.uint16)
    array = canvas.to_dask(chunks=(128, 100, 3))
    assert array.chunks == ((128, 72), (100, 100, 100), (3,))
    assert array.dtype == np.uint16
    whole = canvas[:]
    coarse = dask.array.coarsen(np.mean, array, {0: 4, 1: 4})
    np.testing.assert_allclose(coarse.compute(), whole.reshape(50, 4, 75, 4, 3).mean((1, 3)))
    np.testing.assert_array_equal(array.rechunk(150)[::-2].compute(), whole[::-2])


def test_canvases_made_of_others(photograph_path: Path, starting_path: Path) -> None:
    start = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    made = {
        "resized": Synthesizer(photograph_path).canvas(300, 200, seed=1).resized(211, 140),
        "enlarged": Synthesizer(photograph_path).super_resolution(1.5),
        "started": Synthesizer(starting_path).canvas(
            120, 80, start=start, start_scale=2, mask=start[..., 0] > 99
        ),
    }
    for name, canvas in made.items():
        np.testing.assert_array_equal(
            canvas.to_dask(chunks=100)[:130, :170].compute(), canvas[:130, :170], name
        )


def test_nothing_is_found_when_it_is_made(photograph_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canvas = Synthesizer(photograph_path).canvas(300, 200, seed=8)
    with monkeypatch.context() as patch:
        patch.setattr(Canvas, "find_base", lambda _canvas: pytest.fail("the field is searched"))
        patch.setattr(CanvasReference, "open", lambda *_: pytest.fail("the canvas is opened"))
        array = canvas.to_dask(chunks=100)[20:120].astype(float).mean()
    found = []
    original = Canvas.find_base
    monkeypatch.setattr(Canvas, "find_base", lambda canvas: found.append(canvas) or original(canvas))
    assert array.compute(scheduler="threads") == pytest.approx(canvas[20:120].mean())
    assert len(found) == 1, "the field is found once, whatever the chunks"


def test_the_same_canvas_has_the_same_keys(photograph_path: Path) -> None:
    def named(seed: int = 1, **options: object) -> str:
        synthesizer = Synthesizer(photograph_path, threads=1 + len(options))
        return str(synthesizer.canvas(300, 200, seed, **options).to_dask().name)

    assert named() == named() == named(), "whatever opened it"
    assert len({named(), named(2), named(extent=2.0), named(dtype=np.uint16)}) == 4
    canvas = Synthesizer(photograph_path).canvas(1000, 700)
    assert len({canvas.to_dask().name, canvas.to_dask(1).name, canvas.to_dask(chunks=99).name}) == 3


def test_chunks_end_where_tiles_do(photograph_path: Path, enlarged: Canvas) -> None:
    large = Synthesizer(photograph_path, detail="photograph").canvas(10_000, 5000, extent=16)
    assert chunk_sides(large, 0) == ((4096, 904), (4096, 4096, 1808))
    grid = enlarged.plan.grids[-1]
    assert grid.rows * grid.columns > 1
    assert chunk_sides(enlarged, 0) == ((500,), (800,)), "grouped"
    wide = Synthesizer(enlarged.networks.bundle, memory_limit="64MiB").canvas(9000, 6000)
    grid = wide.plan.grids[-1]
    borders = {4 * grid.tile(0, column).core.x1 for column in range(grid.columns)} | {9000}
    ends = np.cumsum(chunk_sides(wide, 0)[1])
    assert ends[-1] == 9000
    assert borders >= set(ends.tolist())
    assert len(ends) < grid.columns


@pytest.mark.parametrize(
    ("level", "chunks", "error", "message"),
    [
        (9, None, IndexError, "expected a level from 0 to"),
        (-1, None, IndexError, "expected a level from 0 to"),
        ("a", None, TypeError, "integer"),
        (0, (10, 10, 1), ValueError, "all three channels"),
        (0, (10, 10, 3, 3), ValueError, "."),
        (0, 0, ValueError, "at least one pixel"),
        (0, (0, 5), ValueError, "at least one pixel"),
        (0, True, TypeError, "expected numbers"),
        (True, None, TypeError, "expected numbers"),
    ],
)
def test_refused(photographed: Canvas, level: Any, chunks: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        photographed.to_dask(level, chunks)


def test_closed(photograph_path: Path) -> None:
    with Synthesizer(photograph_path) as synthesizer:
        canvas = synthesizer.canvas(300, 200)
    with pytest.raises(ClosedError):
        canvas.to_dask()


def test_a_process_opens_few_canvases_and_each_once(photograph_path: Path) -> None:
    synthesizer = Synthesizer(photograph_path)
    found = [find_base(refer_to(synthesizer.canvas(64, 64, seed))) for seed in range(MOST_CANVASES + 1)]
    opened = []

    def canvas_of(index: int) -> Canvas:
        reference = found[index].reference

        def known() -> CanvasReference:
            opened.append(index)
            return reference

        return worker.canvas_of(reference.token, known, lambda: found[index].base)

    first = canvas_of(0)
    assert canvas_of(0) is first
    for index in range(MOST_CANVASES + 1):
        canvas_of(index)
    assert opened == list(range(MOST_CANVASES + 1))
    assert canvas_of(0) is not first, "the one that was not asked for the longest has gone"


def test_another_version_engine_or_tiling_is_refused(enlarged: Canvas) -> None:
    reference = refer_to(enlarged)
    assert reference.engine is not None
    assert reference.engine.startswith("onnxruntime")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reference)).open(1)[:50], enlarged[:50])
    for changed, error, message in (
        ({"version": "0.0.1"}, ClusterError, r"has ourgan-sdk .*, the one that asks for pixels 0\.0\.1"),
        ({"engine": "onnxruntime 0.1 cpu fp32"}, EngineError, "the same runtime"),
        ({"windows": ((8, 8),)}, EngineError, "renders tiles of"),
    ):
        with pytest.raises(error, match=message):
            replace(reference, **changed).open(1)


def test_dask_is_imported_by_those_who_ask_for_it(photograph_path: Path) -> None:
    program = f"""
import sys
from ourgan_sdk import ClusterError, Synthesizer
import ourgan_sdk.cli
assert not {{"dask", "distributed", "ourgan_sdk.cluster"}} & set(sys.modules)
sys.modules["dask"] = None
canvas = Synthesizer({str(photograph_path)!r}).canvas(30, 20)
try:
    canvas.to_dask()
except ClusterError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == 'Dask is not installed: pip install "ourgan-sdk[dask]"\n'
