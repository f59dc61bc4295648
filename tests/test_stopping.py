"""`cancel` and `timeout`: they end a render wherever it works or waits, and nothing of it is left."""

import asyncio
import functools
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import ourgan_sdk
from ourgan_sdk import (
    Canvas,
    Layout,
    OurganError,
    RenderCancelledError,
    RenderTimeoutError,
    Synthesizer,
    cli,
)
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.stopping import check_stop, stoppable
from ourgan_sdk.writers.base import EncodingWriter, Properties
from tests.conftest import endless_network

SMALL = 2_000_000
"""A memory limit that makes many tiles."""

LONG = 2000, 200_000
"""(width, height) of a picture that takes minutes."""

SOON = 20.0
"""Seconds: much longer than it takes on a busy machine, much shorter than what is ended."""


class Countdown:
    """Is set when it is looked at for the `looks`-th time."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def is_set(self) -> bool:
        self.left -= 1
        return self.left <= 0


@pytest.fixture(scope="module")
def trained(bundle_path: Path) -> Synthesizer:
    return Synthesizer(bundle_path, memory_limit=SMALL)


@pytest.fixture(scope="module")
def photographic(photograph_path: Path) -> Synthesizer:
    return Synthesizer(photograph_path, structure="patches")


@pytest.fixture(params=["trained", "photographic"])
def synthesizer(request: pytest.FixtureRequest) -> Synthesizer:
    return request.getfixturevalue(request.param)


@pytest.fixture
def set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def calls(synthesizer: Synthesizer, folder: Path) -> Iterator[Callable[..., object]]:
    """Whatever may take long."""
    canvas = synthesizer.canvas(421, 293, 7)
    yield functools.partial(synthesizer.render, 421, 293, 7)
    yield functools.partial(synthesizer.render, 421, 293, 7, out=folder / "a.png")
    yield functools.partial(synthesizer.preview, 7)
    yield functools.partial(synthesizer.thumbnail, 7)
    yield canvas.read
    yield functools.partial(canvas.read, level=len(canvas.levels) - 1)
    yield functools.partial(canvas.save, folder / "b.tif")
    yield functools.partial(canvas.thumbnail, 100)
    if synthesizer.takes_detail:
        yield canvas.sources
        mirrored = synthesizer.canvas(421, 293, 7, layout=Layout(symmetric="both"))
        yield mirrored.read
        yield mirrored.sources


def test_a_progress_that_raises_stop_iteration_is_told(synthesizer: Synthesizer, tmp_path: Path) -> None:
    """As `next` of an iterator that has come to its end does: generators would make another error of it."""
    nothing: Iterator[object] = iter(())
    canvas = synthesizer.canvas(421, 293, 7)
    mirrored = synthesizer.canvas(421, 293, 7, layout=Layout(symmetric="both"))
    watched: list[Callable[..., object]] = [
        functools.partial(synthesizer.render, 421, 293, 7),
        functools.partial(synthesizer.render, 421, 293, 7, out=tmp_path / "a.png"),
        canvas.read,
        functools.partial(canvas.save, tmp_path / "b.tif"),
        mirrored.read,
    ]
    if synthesizer.takes_detail:
        watched += [canvas.sources, mirrored.sources]
    for call in watched:
        with pytest.raises(ValueError, match="expected progress to raise anything but StopIteration"):
            call(progress=lambda *_: next(nothing))
    assert list(tmp_path.iterdir()) == []


def test_what_was_cancelled_before_does_not_begin(
    synthesizer: Synthesizer, tmp_path: Path, set_event: threading.Event
) -> None:
    for call in calls(synthesizer, tmp_path):
        with pytest.raises(RenderCancelledError, match="the render was cancelled"):
            call(cancel=set_event)
        with pytest.raises(RenderTimeoutError, match="the render has not ended within 0 s"):
            call(timeout=0)
    assert list(tmp_path.iterdir()) == []


def test_whatever_does_not_end_it_changes_nothing(trained: Synthesizer, tmp_path: Path) -> None:
    for call in calls(trained, tmp_path):
        np.testing.assert_array_equal(
            call(cancel=threading.Event(), timeout=1000), call(timeout=float("inf"))
        )


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        *(("trained", suffix) for suffix in (".png", ".dzi", ".npy")),
        ("photographic", ".tif"),
        ("mirrored", ".npy"),
        ("both", ".png"),
    ],
)
def test_cancelled_at_every_look(
    photograph_path: Path, bundle_path: Path, tmp_path: Path, kind: str, suffix: str
) -> None:
    """First at the first, then at the second, ...: nothing is left, until it comes to its end."""
    source, options = {
        "trained": (bundle_path, {}),
        "photographic": (photograph_path, {"structure": "patches"}),
        "mirrored": (photograph_path, {"structure": "patches"}),
        "both": (photograph_path, {"structure": "patches", "detail": "network"}),
    }[kind]
    layout = Layout(symmetric="y") if kind == "mirrored" else None
    synthesizer = Synthesizer(source, memory_limit=SMALL, **options)  # type: ignore[arg-type]
    ended = 0
    for looks in range(1, 1000):
        cancel = Countdown(1 + looks * (looks + 1) // 2)  # ever longer steps
        canvas = synthesizer.canvas(150, 110, 3, layout=layout)
        try:
            canvas.save(tmp_path / f"picture{suffix}", cancel=cancel)
        except RenderCancelledError:
            assert list(tmp_path.iterdir()) == []
            ended += 1
        else:
            break
    assert cancel.left > 0
    assert ended >= 2
    assert any(tmp_path.iterdir())


def test_a_cancelled_render_goes_on_where_it_was(trained: Synthesizer, tmp_path: Path) -> None:
    stop = threading.Event()

    def watch(done: int, total: int) -> None:
        if done > 0.8 * total:
            stop.set()

    path = tmp_path / "picture.png"
    with pytest.raises(RenderCancelledError):
        trained.render(421, 293, 7, out=path, resume=True, progress=watch, cancel=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png.partial"]
    work = []
    trained.render(421, 293, 7, out=path, resume=True, progress=lambda _done, total: work.append(total))
    whole: list[int] = []
    trained.render(421, 293, 7, progress=lambda _done, total: whole.append(total))
    assert work[0] < whole[0]
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("make", [threading.Event, asyncio.Event, multiprocessing.get_context("spawn").Event])
def test_events_of_every_kind_end_a_long_render(
    trained: Synthesizer, tmp_path: Path, make: Callable[[], threading.Event]
) -> None:
    event = make()
    timer = threading.Timer(0.3, event.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(RenderCancelledError):
        trained.render(*LONG, out=tmp_path / "picture.png", cancel=event)
    timer.join()
    assert time.monotonic() - started < SOON
    assert list(tmp_path.iterdir()) == []


def test_a_timeout_ends_a_long_render(synthesizer: Synthesizer, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"the render has not ended within 0\.5 s") as error:
        synthesizer.render(*LONG, out=tmp_path / "picture.tif", timeout=np.float32(0.5))
    assert isinstance(error.value, OurganError)
    assert 0.5 <= time.monotonic() - started < SOON
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_runs_is_ended() -> None:
    engine = OnnxRuntimeEngine(endless_network())
    started = time.monotonic()
    with stoppable(None, 0.3), pytest.raises(RenderTimeoutError):
        engine.run({"picture": np.zeros((1, 3, 1, 1), np.float32)})
    assert time.monotonic() - started < SOON


@pytest.mark.parametrize("bands", [1, 3])
def test_waiting_for_the_encoder_ends(tmp_path: Path, bands: int) -> None:
    """With three bands it is `write` that waits, with one it is `finish`."""
    go_on = threading.Event()

    def encode(pictures: Iterator[np.ndarray], _output: Path, _properties: Properties) -> None:
        next(pictures)
        go_on.wait(60)
        for _ in pictures:
            pass

    properties = Properties(4, bands, np.dtype(np.uint8), 95, False, None, "")
    writer = EncodingWriter(tmp_path / "a", properties, encode, tmp_path / "b")

    def write() -> None:
        for _ in range(bands):
            writer.write(np.zeros((1, 4, 3), np.uint8))
        writer.finish()

    writer.start()
    try:
        with stoppable(None, 0.3), pytest.raises(RenderTimeoutError):
            write()
    finally:
        go_on.set()
        writer.stop()


def test_waiting_for_what_another_thread_finds_ends(photographic: Synthesizer) -> None:
    """A canvas's field is found once, by the thread that comes first."""
    canvas = photographic.canvas(300, 200)
    waiting, go_on = threading.Event(), threading.Event()

    def hold(_done: int, _total: int) -> None:
        waiting.set()
        go_on.wait(60)

    first = threading.Thread(target=canvas.read, kwargs={"progress": hold})
    first.start()
    assert waiting.wait(60)
    with pytest.raises(RenderTimeoutError):
        canvas.read(timeout=0.3)
    go_on.set()
    first.join(60)
    assert canvas.read(timeout=60).shape == (200, 300, 3)


def test_who_watches_may_read(synthesizer: Synthesizer) -> None:
    """The same canvas, from its own callback, at any moment: even while its field is searched for."""
    canvas = synthesizer.canvas(300, 200)
    seen: list[np.ndarray] = []

    def look(_done: int, _total: int) -> None:
        if len(seen) < 3:
            seen.append(canvas.thumbnail(40))

    whole = canvas.read(progress=look)
    for one in seen:
        np.testing.assert_array_equal(one, canvas.thumbnail(40))
    np.testing.assert_array_equal(whole, canvas.read())


def test_what_ends_the_outer_render_ends_the_inner_one(trained: Synthesizer) -> None:
    stop = threading.Event()

    def render(_done: int, _total: int) -> None:
        stop.set()
        trained.render(*LONG, timeout=60, cancel=threading.Event(), progress=None)

    with pytest.raises(RenderCancelledError):
        trained.canvas(300, 200).read(progress=render, cancel=stop)
    check_stop()  # and nothing of it is left in this thread


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"cancel": True},
            TypeError,
            r"expected cancel to have is_set\(\), as a threading.Event has, got True",
        ),
        ({"cancel": object()}, TypeError, r"expected cancel to have is_set\(\)"),
        ({"timeout": "5"}, TypeError, "expected timeout to be a number of seconds, got '5'"),
        ({"timeout": True}, TypeError, "expected timeout to be a number of seconds, got True"),
        ({"timeout": -1}, ValueError, "expected a timeout from 0 to 1e\\+09 seconds, got -1"),
        ({"timeout": float("nan")}, ValueError, "expected a timeout from 0 to 1e\\+09 seconds, got nan"),
    ],
)
def test_what_is_no_cancel_and_no_timeout(
    synthesizer: Synthesizer, tmp_path: Path, options: dict[str, object], error: type[Exception], words: str
) -> None:
    for call in calls(synthesizer, tmp_path):
        with pytest.raises(error, match=words):
            call(**options)
    assert list(tmp_path.iterdir()) == []


def cpu_seconds_of(seconds: float) -> float:
    """What this process takes of its processors while this thread sleeps."""
    before = time.process_time()
    time.sleep(seconds)
    return time.process_time() - before


@pytest.mark.parametrize("kind", ["trained", "photographic"])
def test_a_cancelled_await_ends_the_render(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    canvas: Canvas = request.getfixturevalue(kind).canvas(*LONG)

    async def main() -> float:
        save = functools.partial(canvas.save, tmp_path / "picture.npy")
        task = asyncio.create_task(ourgan_sdk.to_thread(save))
        await asyncio.sleep(0.5)
        assert not task.done()
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(tmp_path.iterdir()) == []
        return time.monotonic() - started

    assert asyncio.run(main()) < SOON
    assert cpu_seconds_of(0.5) < 0.25


def test_awaited_results_and_errors(trained: Synthesizer, tmp_path: Path) -> None:
    async def main() -> None:
        pictures = await asyncio.gather(
            *(ourgan_sdk.to_thread(trained.render, 90, 60, seed=seed) for seed in (1, 2, 1))
        )
        np.testing.assert_array_equal(pictures[0], pictures[2])
        np.testing.assert_array_equal(pictures[1], trained.render(90, 60, 2))
        path = await ourgan_sdk.to_thread(trained.render, 90, 60, out=tmp_path / "a.png")
        assert path == tmp_path / "a.png"
        with pytest.raises(ourgan_sdk.SizeError):
            await ourgan_sdk.to_thread(trained.render, 0, 60)
        with pytest.raises(RenderTimeoutError):
            await ourgan_sdk.to_thread(trained.render, *LONG, out=tmp_path / "b.png", timeout=0.2)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ourgan_sdk.to_thread(trained.render, *LONG, out=tmp_path / "c.png"), 0.3)

    asyncio.run(main(), debug=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_calls_that_wait_for_a_thread_are_let_go_at_once(trained: Synthesizer) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        go_on = threading.Event()
        busy = loop.run_in_executor(None, go_on.wait, 60)
        task = asyncio.create_task(ourgan_sdk.to_thread(trained.render, 90, 60))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)
        go_on.set()
        await busy

    asyncio.run(main())


def test_the_command_in_a_thread_that_is_not_the_main_one(bundle_path: Path, tmp_path: Path) -> None:
    codes: list[int] = []
    output = tmp_path / "a.png"

    def run() -> None:
        codes.append(cli.main(["render", str(bundle_path), "64x48", "-o", str(output)]))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert codes == [0]
    assert output.exists()


def test_the_library_in_a_thread_that_is_not_the_main_one(
    synthesizer: Synthesizer, bundle_path: Path, photograph_path: Path, tmp_path: Path
) -> None:
    """Opened, used and closed there."""
    source = photograph_path if synthesizer.takes_detail else bundle_path
    pictures: list[np.ndarray] = []

    def run() -> None:
        with Synthesizer(source, memory_limit=SMALL, structure="auto") as other:
            other.render(150, 110, 3, out=tmp_path / "a.npy")
            pictures.append(other.render(150, 110, 3))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    expected = Synthesizer(source, memory_limit=SMALL).render(150, 110, 3)
    np.testing.assert_array_equal(pictures[0], expected)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
