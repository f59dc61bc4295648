"""What all renders of a process may take together: they wait for their turn, in order, and never for ever."""

import contextlib
import functools
import itertools
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from ourgan_sdk import (
    Box,
    Layout,
    RenderCancelledError,
    RenderTimeoutError,
    Synthesizer,
    limits,
    set_limits,
)
from ourgan_sdk.limits import Need, memory_for_all, turn
from ourgan_sdk.passes.cache import TileCache
from ourgan_sdk.stopping import stoppable

PATIENCE = 60.0
MEMORY = 8 << 20


@pytest.fixture(autouse=True)
def no_limits() -> Iterator[None]:
    yield
    set_limits()


class Render(threading.Thread):
    """A render of some need, which is at work until it is told to end."""

    def __init__(self, own: int, **options: object) -> None:
        super().__init__()
        self.need = Need(own, **options)  # type: ignore[arg-type]
        self.at_work, self.end = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with turn(self.need):
            self.at_work.set()
            self.end.wait(PATIENCE)

    def finish(self) -> None:
        self.end.set()
        self.join(PATIENCE)
        assert not self.is_alive()


def is_waiting(render: Render) -> bool:
    return not render.at_work.wait(0.15)


def test_as_many_at_once_as_are_allowed() -> None:
    set_limits(renders=2)
    one, two, three = Render(0), Render(0), Render(0)
    assert one.at_work.wait(PATIENCE)
    assert two.at_work.wait(PATIENCE)
    assert is_waiting(three)
    one.finish()
    assert three.at_work.wait(PATIENCE)
    two.finish()
    three.finish()


def test_as_much_at_once_as_is_allowed() -> None:
    set_limits(memory=100)
    one = Render(60)
    assert one.at_work.wait(PATIENCE)
    two = Render(41)
    assert is_waiting(two)
    set_limits(memory=101)
    assert two.at_work.wait(PATIENCE)
    one.finish()
    two.finish()


def test_nobody_overtakes() -> None:
    """A large one that waits would else wait for ever where small ones keep coming."""
    set_limits(memory=100)
    first = Render(60)
    assert first.at_work.wait(PATIENCE)
    large = Render(90)
    assert is_waiting(large)
    small = Render(10)
    assert is_waiting(small)
    first.finish()
    assert large.at_work.wait(PATIENCE)
    assert small.at_work.wait(PATIENCE)
    large.finish()
    small.finish()


def test_what_is_larger_than_the_limit_renders_alone() -> None:
    set_limits(memory=100)
    huge = Render(1000)
    assert huge.at_work.wait(PATIENCE)
    other = Render(1)
    assert is_waiting(other)
    huge.finish()
    assert other.at_work.wait(PATIENCE)
    huge = Render(1000)
    assert is_waiting(huge)
    other.finish()
    assert huge.at_work.wait(PATIENCE)
    huge.finish()


def test_parts_that_renders_share_count_once() -> None:
    set_limits(memory=100)
    one, two = (Render(10, shared={"photograph": 70}) for _ in range(2))
    assert one.at_work.wait(PATIENCE)
    assert two.at_work.wait(PATIENCE)
    three = Render(10, shared={"another": 70})
    assert is_waiting(three)
    one.finish()
    two.finish()
    assert three.at_work.wait(PATIENCE)
    three.finish()


def test_kept_tiles_make_room_the_oldest_first() -> None:
    set_limits(memory=1000)
    caches = [TileCache(400), TileCache(400)]
    for cache in caches:
        with turn(Need(100, cache=cache)):
            cache.put("tile", np.zeros((10, 10, 3), np.uint8))
    with turn(Need(400)):
        assert [cache.size for cache in caches] == [300, 300]
    with turn(Need(600)):
        assert [cache.size for cache in caches] == [0, 300]
    with turn(Need(100, cache=caches[1])):  # as large as it may become
        other = Render(600)
        assert is_waiting(other)
    assert other.at_work.wait(PATIENCE)
    assert caches[1].size == 300
    other.finish()


def test_waiting_ends() -> None:
    set_limits(renders=1)
    first = Render(0)
    assert first.at_work.wait(PATIENCE)
    with stoppable(None, 0.2), pytest.raises(RenderTimeoutError), turn(Need(0)):
        pass
    event = threading.Event()
    threading.Timer(0.2, event.set).start()
    with stoppable(event, PATIENCE), pytest.raises(RenderCancelledError), turn(Need(0)):
        pass
    first.finish()
    with turn(Need(0)):  # those who gave up are not waited for
        pass


def test_who_watches_a_render_may_render(bundle_path: Path, photograph_path: Path) -> None:
    """The inner one does not wait for the outer one, which waits for it."""
    set_limits(renders=1, memory=1)
    other = Synthesizer(photograph_path)
    seen: list[np.ndarray] = []

    def render(_done: int, _total: int) -> None:
        if not seen:
            seen.append(other.preview(1))
            seen.append(other.render(90, 60))

    set_limits(renders=1)
    Synthesizer(bundle_path).render(200, 150, progress=render)
    np.testing.assert_array_equal(seen[1], other.render(90, 60))


def test_regions_are_read_while_the_whole_is_saved(photograph_path: Path, tmp_path: Path) -> None:
    """One by one, by several threads; each gets its turn, and the right pixels."""
    set_limits(renders=1)
    canvas = Synthesizer(photograph_path).canvas(400, 300)
    whole = canvas.read()
    boxes = [Box(y, x, y + 60, x + 90) for y in range(0, 240, 80) for x in range(0, 300, 100)]
    tiles: dict[Box, np.ndarray] = {}

    def read(box: Box) -> None:
        tiles[box] = canvas.read(box, timeout=PATIENCE)

    threads = [threading.Thread(target=read, args=(box,)) for box in boxes]
    threads.append(threading.Thread(target=canvas.save, args=(tmp_path / "a.npy",)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for box in boxes:
        np.testing.assert_array_equal(tiles[box], whole[box.y0 : box.y1, box.x0 : box.x1])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), whole)


@pytest.mark.parametrize("kind", ["networks", "photograph", "mirrored"])
def test_renders_at_once_stay_within_the_limit(
    bundle_path: Path, photograph_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """As they tell it; `bench/flat.py` measures it."""
    set_limits(memory=MEMORY)
    at_once: list[int] = []
    admit = limits._Gate._admit

    def watched(self: limits._Gate, place: limits._Place, **options: bool) -> bool:
        admitted = admit(self, place, **options)
        if admitted:
            at_once.append(limits._bytes_of([one.need for one in limits._held(self._running)]))
        return admitted

    monkeypatch.setattr(limits._Gate, "_admit", watched)
    synthesizer = Synthesizer(bundle_path if kind == "networks" else photograph_path)
    layout = Layout(symmetric="both") if kind == "mirrored" else None
    render = functools.partial(synthesizer.render, 421, 293, layout=layout)
    threads = [threading.Thread(target=render, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(at_once) == 4
    alone = limits._bytes_of([synthesizer.canvas(421, 293, layout=layout)._renderer.need(keep=True)])
    assert 0 < max(at_once) <= max(MEMORY, alone)


def test_a_synthesizer_takes_no_more_than_all_may(bundle_path: Path) -> None:
    set_limits(memory=MEMORY)
    assert Synthesizer(bundle_path)._memory_limit == MEMORY
    assert Synthesizer(bundle_path, memory_limit=1 << 30)._memory_limit == MEMORY
    assert Synthesizer(bundle_path, memory_limit=MEMORY // 2)._memory_limit == MEMORY // 2
    set_limits()
    assert Synthesizer(bundle_path, memory_limit=1 << 30)._memory_limit == 1 << 30


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"memory": 1.5}, TypeError, r"expected memory to be an integer, got 1\.5"),
        ({"memory": "much"}, ValueError, "expected an amount of memory such as 512MiB"),
        ({"memory": 0}, ValueError, "expected memory to be from 1 to"),
        ({"renders": 0}, ValueError, "expected renders to be from 1 to"),
        ({"renders": True}, TypeError, "expected renders to be an integer, got True"),
    ],
)
def test_limits_that_are_none(options: dict[str, object], error: type[Exception], words: str) -> None:
    set_limits(memory=77, renders=1)
    with pytest.raises(error, match=words):
        set_limits(**options)  # type: ignore[arg-type]
    assert memory_for_all() == 77


def in_process(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return result.stdout.strip()


def test_the_environment_sets_limits() -> None:
    told = "from ourgan_sdk import limits; print(limits._gate._known())"
    assert in_process(told, OURGAN_TOTAL_MEMORY="2GiB", OURGAN_MOST_RENDERS="3") == f"({2 << 30}, 3)"
    assert in_process(told, OURGAN_TOTAL_MEMORY=" ") == in_process(told)
    for name, value in (("OURGAN_TOTAL_MEMORY", "much"), ("OURGAN_MOST_RENDERS", "0")):
        refused = (
            "import ourgan_sdk\ntry: ourgan_sdk.Synthesizer()\nexcept ourgan_sdk.OurganError as e: print(e)"
        )
        assert in_process(refused, **{name: value}).startswith(
            f"the environment variable {name}, {value!r}: "
        )


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked")
def test_what_a_parent_renders_holds_up_no_forked_child() -> None:
    set_limits(renders=1)
    first = Render(0)
    assert first.at_work.wait(PATIENCE)
    process = multiprocessing.get_context("fork").Process(target=_take_a_turn)
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    first.finish()


def _take_a_turn() -> None:
    with stoppable(None, PATIENCE / 2), turn(Need(0)):
        pass


def test_ctrl_c_anywhere_in_the_queue_holds_up_nobody() -> None:
    """Whoever catches it goes on, in Jupyter say: nothing stays locked, and no place taken.

    Python looks for signals when functions begin, and when those in C have ended.
    """
    set_limits(renders=1)
    for step in itertools.count(1):
        left = step

        def interrupt(frame: FrameType, event: str, _argument: object) -> None:
            nonlocal left
            if frame.f_code.co_filename == limits.__file__ and event in ("call", "c_return"):
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            sys.setprofile(interrupt)
            try:
                with turn(Need(0)):
                    pass
            finally:
                sys.setprofile(None)
        other = threading.Thread(target=pass_through)
        other.start()
        other.join(PATIENCE)
        assert not other.is_alive(), step
        if left > 0:
            assert step > 20
            return


def pass_through() -> None:
    with turn(Need(0)):
        pass
