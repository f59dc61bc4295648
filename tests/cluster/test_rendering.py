"""Pictures rendered by the processes of a cluster: the bytes of one process, also if workers die meanwhile.

Whoever leaves, in whatever way, leaves neither tasks on the cluster nor files on the disk.
"""

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ourgan_sdk import (
    Canvas,
    ClusterError,
    Layout,
    OurganError,
    OutputError,
    RenderCancelledError,
    RenderMemoryError,
    RenderStats,
    RenderTimeoutError,
    Synthesizer,
    errors,
)
from ourgan_sdk.cluster import local_workers, rendering, save
from ourgan_sdk.cluster.jobs import Job, check_worker
from ourgan_sdk.cluster.outputs import DeepZoom
from ourgan_sdk.cluster.pyramid import Block
from tests.cluster import outputs

pytest.importorskip("zarr")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rendering.OUTPUTS, ".dzi", outputs.Small)


@pytest.fixture(scope="session")
def canvas(photograph_path: Path) -> Canvas:
    """Small, with 24 blocks of a tile at its finest level; its field is known."""
    canvas = Synthesizer(photograph_path).canvas(3000, 2000, seed=3)
    canvas.find_base()
    return canvas


@pytest.fixture(scope="session")
def large(photograph_path: Path) -> Canvas:
    """Of 2 x 3 shards, so that two levels have several."""
    return Synthesizer(photograph_path, threads=2).canvas(8600, 4300, seed=3, extent=1)


def content(path: Path) -> dict[str, str]:
    """The hash of every file of an output."""
    folders = [path] if path.is_dir() else [path, path.with_name(f"{path.stem}_files")]
    files = [one for folder in folders for one in (folder.rglob("*") if folder.is_dir() else [folder])]
    return {
        str(file.relative_to(path.parent)).replace(path.stem, "picture"): hashlib.sha256(
            file.read_bytes()
        ).hexdigest()
        for file in files
        if file.is_file()
    }


def tasks_of(client: Any) -> int:
    """How many the scheduler knows of a render, once those are gone that go."""

    def count(dask_scheduler: Any) -> int:
        return sum("ourgan" in str(key) for key in dask_scheduler.tasks)

    deadline = time.monotonic() + 10
    while (left := client.run_on_scheduler(count)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return int(left)


def killer(client: Any) -> Callable[[int, int], None]:
    """A progress that kills a worker once a third of the work is done."""
    workers = list(client.run(os.getpid).values())

    def watch(done: int, total: int) -> None:
        if workers and 3 * done > total:
            os.kill(workers[0], signal.SIGKILL)
            workers.clear()

    return watch


def test_zarr_also_if_a_worker_dies(
    large: Canvas, tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_LEAF_OF_NETWORKS", 0)
    large.save(tmp_path / "one.zarr", dpi=300)
    before = set(client.run(os.getpid).values())
    assert (
        save(large, tmp_path / "many.zarr", client, dpi=300, progress=killer(client))
        == tmp_path / "many.zarr"
    )
    expected = content(tmp_path / "one.zarr")
    assert len(expected) > 12
    assert content(tmp_path / "many.zarr") == expected
    assert {one.name for one in tmp_path.iterdir()} == {"many.zarr", "one.zarr"}
    client.wait_for_workers(2, timeout=60)
    assert before - set(client.run(os.getpid).values()), "one was killed"
    assert tasks_of(client) == 0


@pytest.mark.parametrize("quality", [90, 100])
@pytest.mark.usefixtures("small_blocks")
def test_deep_zoom_also_if_a_worker_dies(canvas: Canvas, tmp_path: Path, client: Any, quality: int) -> None:
    canvas.save(tmp_path / "one.dzi", quality=quality, dpi=200)
    client.wait_for_workers(2, timeout=60)
    save(canvas, tmp_path / "many.dzi", client, quality=quality, dpi=200, progress=killer(client))
    expected = content(tmp_path / "one.dzi")
    assert len(expected) > 30
    assert content(tmp_path / "many.dzi") == expected


def test_networks_and_sixteen_bits(bundle_path: Path, tmp_path: Path, client: Any) -> None:
    canvas = Synthesizer(bundle_path, memory_limit="8MiB").canvas(4500, 700, seed=1, dtype=np.uint16)
    canvas.save(tmp_path / "one.zarr")
    save(canvas, tmp_path / "many.zarr", client)
    assert content(tmp_path / "many.zarr") == content(tmp_path / "one.zarr")


@pytest.mark.usefixtures("small_blocks")
def test_coordinates(of_coordinates: Canvas, tmp_path: Path, client: Any) -> None:
    of_coordinates.save(tmp_path / "one.dzi")
    save(of_coordinates, tmp_path / "many.dzi", client)
    assert content(tmp_path / "many.dzi") == content(tmp_path / "one.dzi")


@pytest.mark.parametrize("layout", [Layout(symmetric="x"), Layout(retarget=True)], ids=str)
@pytest.mark.usefixtures("small_blocks")
def test_layouts(photograph_path: Path, layout: Layout, tmp_path: Path, client: Any) -> None:
    canvas = Synthesizer(photograph_path, structure="patches").canvas(1100, 600, seed=1, layout=layout)
    canvas.save(tmp_path / "one.dzi")
    stats = RenderStats()
    save(canvas, tmp_path / "many.dzi", client, stats=stats)
    assert content(tmp_path / "many.dzi") == content(tmp_path / "one.dzi")
    assert stats.seconds > stats.field_seconds > 0
    assert stats.copied_share == canvas.copied_share is not None


@pytest.mark.usefixtures("small_blocks")
def test_progress(canvas: Canvas, tmp_path: Path, client: Any) -> None:
    seen: list[tuple[int, int]] = []
    save(canvas, tmp_path / "picture.dzi", client, progress=lambda *told: seen.append(told))
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]} == {canvas.width * canvas.height}
    assert len(set(done)) >= 24
    seen.clear()
    fresh = pickle.loads(pickle.dumps(canvas))
    save(fresh, tmp_path / "picture.dzi", client, progress=lambda *told: seen.append(told))
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}
    assert done[-1] > canvas.width * canvas.height, "the field counts as well"


@pytest.mark.parametrize("way", ["cancel", "timeout", "exception", "interrupt"])
@pytest.mark.usefixtures("small_blocks")
def test_who_leaves_leaves_nothing(canvas: Canvas, tmp_path: Path, client: Any, way: str) -> None:
    stop, begun = threading.Event(), []

    def watch(done: int, total: int) -> None:
        if 3 * done > total and not begun:
            begun.append(done)
            if way == "exception":
                raise LookupError("seen enough")
            if way == "interrupt":
                raise KeyboardInterrupt
            stop.set()

    expected = {
        "cancel": RenderCancelledError,
        "timeout": RenderTimeoutError,
        "exception": LookupError,
        "interrupt": KeyboardInterrupt,
    }[way]
    ends = {"cancel": stop} if way == "cancel" else {}
    if way == "timeout":
        ends = {"timeout": 0.05}
    with pytest.raises(expected):
        save(canvas, tmp_path / "picture.dzi", client, progress=watch, **ends)
    assert tasks_of(client) == 0
    time.sleep(0.3)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_client_leaves_no_tasks_and_its_files_go_with_the_next(
    photograph_path: Path, tmp_path: Path, client: Any
) -> None:
    program = f"""
import sys
from ourgan_sdk import Synthesizer
from ourgan_sdk.cluster import connected, rendering, save
from tests.cluster.outputs import Small
rendering.OUTPUTS[".dzi"] = Small
canvas = Synthesizer({str(photograph_path)!r}).canvas(20_000, 20_000, extent=1)
def watch(done, total):
    if done > total // 50:
        print("begun", flush=True)
with connected({client.scheduler.address!r}) as other:
    save(canvas, {str(tmp_path / "picture.dzi")!r}, other, progress=watch)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.kill()
    assert tasks_of(client) == 0
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".part"
    canvas = Synthesizer(photograph_path).canvas(300, 200)
    save(canvas, tmp_path / "picture.dzi", client)
    assert {one.name for one in tmp_path.iterdir()} == {"picture.dzi", "picture_files"}


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (outputs.Hungry, RenderMemoryError, "out of memory on .*nothing left"),
        (outputs.Full, OutputError, "cannot write .*picture.dzi on .*: No space left on device"),
        (outputs.Wrong, ClusterError, "a worker failed: KeyError: 'no such thing'"),
        (
            outputs.Lacking,
            ClusterError,
            "the worker tcp://.* cannot take part: libvips is not installed; all",
        ),
    ],
)
def test_what_fails_on_workers_is_named(
    canvas: Canvas,
    tmp_path: Path,
    client: Any,
    output: type[DeepZoom],
    error: type[OurganError],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(rendering.OUTPUTS, ".dzi", output)
    with pytest.raises(error, match=message):
        save(canvas, tmp_path / "picture.dzi", client)
    assert tasks_of(client) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_come_from_workers_as_they_are(name: str, client: Any) -> None:
    kind = getattr(errors, name)

    def fail() -> None:
        raise kind("what it says")

    error = client.submit(fail, pure=False).exception()
    assert type(error) is kind
    assert str(error) == "what it says"


def test_workers_that_die_again_and_again(
    canvas: Canvas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster of its own: one of them may not come back."""

    def allow(dask_scheduler: Any) -> None:
        dask_scheduler.allowed_failures = 1

    monkeypatch.setitem(rendering.OUTPUTS, ".dzi", outputs.Deadly)
    with local_workers(2) as client:
        client.run_on_scheduler(allow)
        with pytest.raises(ClusterError, match="2 workers died over the block at row"):
            save(canvas, tmp_path / "picture.dzi", client)
    assert list(tmp_path.iterdir()) == []


def test_workers_that_do_not_come_back(
    canvas: Canvas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else brings workers of this machine, so a render does not wait for them for ever."""
    monkeypatch.setattr(rendering, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(rendering, "_MISSED_SECONDS", 0.5)
    with local_workers(1) as client:
        client.cluster.scale(0)
        deadline = time.monotonic() + 30
        while client.nthreads() and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(ClusterError, match="all workers have died, and none has come in their place"):
            save(canvas, tmp_path / "picture.dzi", client)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be frozen")
@pytest.mark.parametrize("moment", ["before", "meanwhile"])
@pytest.mark.usefixtures("small_blocks")
def test_a_frozen_worker_holds_nobody_up(canvas: Canvas, tmp_path: Path, client: Any, moment: str) -> None:
    worker = next(iter(client.run(os.getpid).values()))

    def freeze(*_: int) -> None:
        os.kill(worker, signal.SIGSTOP)

    if moment == "before":
        freeze()
    thaw = threading.Timer(60, os.kill, (worker, signal.SIGCONT))
    thaw.start()
    try:
        with pytest.raises(RenderTimeoutError):
            save(
                *(canvas, tmp_path / "picture.dzi", client),
                progress=freeze if moment == "meanwhile" else None,
                timeout=2,
            )
        assert thaw.is_alive(), "it has waited for the worker"
    finally:
        thaw.cancel()
        os.kill(worker, signal.SIGCONT)
    assert list(tmp_path.iterdir()) == []
    assert tasks_of(client) == 0


def test_a_block_whose_worker_has_just_died_is_waited_for(
    canvas: Canvas, tmp_path: Path, client: Any
) -> None:
    """Between its end and the look at it, which may take a while, its result can get lost: it comes again."""

    class Future:
        status = "lost"

    output = rendering._output(canvas, tmp_path / "picture.dzi", 95, None)
    job = Job(tmp_path / "picture.dzi", tmp_path / "absent", "picture", output, "token")
    run = rendering._Run(client, job, lambda _: None)
    block, future = Block(0, 0, 0), Future()
    run._running[block] = future
    run._take(block)
    assert run._running == {block: future}
    assert run._lost == [block]
    future.status = "cancelled"
    with pytest.raises(ClusterError, match="were cancelled by somebody else"):
        run._take(block)


def test_a_closed_client(canvas: Canvas, tmp_path: Path) -> None:
    with local_workers(1) as client:
        pass
    with pytest.raises(ClusterError, match="the client is closed"):
        save(canvas, tmp_path / "picture.dzi", client)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (-1, ValueError), ("2", TypeError)])
def test_counts_of_workers(count: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="the number of workers"), local_workers(count):
        pass


def test_workers_that_cannot_take_part(canvas: Canvas, tmp_path: Path) -> None:
    output = rendering._output(canvas, tmp_path / "picture.dzi", 95, None)
    job = Job(tmp_path / "picture.dzi", tmp_path / "absent", "picture", output, "token")
    assert str(check_worker(job, "0.0.1")).startswith("this process has ourgan-sdk ")
    told = check_worker(job, rendering.__version__)
    assert told is not None
    assert told.startswith(f"cannot write into {tmp_path}, where picture.dzi is to be (")


@pytest.mark.parametrize("name", ["picture.png", "picture.tif", "picture"])
def test_other_formats(canvas: Canvas, tmp_path: Path, client: Any, name: str) -> None:
    with pytest.raises(
        OutputError, match=rf"writes \.zarr and \.dzi; .*: ourgan convert picture\.zarr -o {name}"
    ):
        save(canvas, tmp_path / name, client)


def test_arguments(canvas: Canvas, tmp_path: Path, client: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a distributed\.Client"):
        save(canvas, tmp_path / "picture.dzi", "tcp://localhost:1")
    with pytest.raises(OutputError, match="No such file or directory"):
        save(canvas, tmp_path / "absent" / "picture.dzi", client)
    with pytest.raises(ValueError, match="expected a quality from 1 to 100"):
        save(canvas, tmp_path / "picture.dzi", client, quality=0)


def test_a_cluster_without_workers_is_waited_for(
    canvas: Canvas, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with local_workers(1) as client:
        client.cluster.scale(0)
        while client.nthreads():
            time.sleep(0.05)
        with pytest.raises(RenderTimeoutError):
            save(canvas, tmp_path / "picture.dzi", client, timeout=2)
    assert "the cluster has no workers yet" in caplog.text
    assert list(tmp_path.iterdir()) == []
