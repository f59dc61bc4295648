"""Processes forked from one that renders: they render the same, also where other threads were at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import EngineError, OurganError, OutputError, open_writer
from ourgan_sdk._core import Box, Pipeline
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.resume import open_finished
from ourgan_sdk.system import atomic
from ourgan_sdk.system.apart import call_apart
from ourgan_sdk.system.forks import PerProcess, lock, undisturbed
from ourgan_sdk.system.threads import Call

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),  # since 3.12, of threads and forks
]

LONGEST = 120
"""Seconds, after which what is waited for hangs: this machine may be busy."""


def in_child(work: Callable[[], object]) -> int:
    """The exit code of a forked child that does `work`, as os._exit has it: 0, or 1 after an exception."""
    child = os.fork()
    if child == 0:
        signal.alarm(LONGEST)
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:  # noqa: BLE001
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


RENDER = """
import hashlib, os, signal, sys, threading
from ourgan_sdk import Synthesizer
bundle, folder, engine, detail = sys.argv[1:]
options = dict(engine=engine, device="cpu", memory_limit=4 << 20)
synthesizer = Synthesizer(bundle, detail=detail, **options)
canvas = synthesizer.canvas(300, 200, 1)

def digest(pixels):
    return hashlib.sha256(pixels.tobytes()).hexdigest()

def render(name):
    return [
        digest(synthesizer.render(300, 200, 1)),
        digest(canvas[:100, :70]),
        digest(canvas.thumbnail(50)),
        digest(synthesizer.preview(1)),
        hashlib.sha256(synthesizer.render(300, 200, 1, out=f"{folder}/{name}.png").read_bytes()).hexdigest(),
    ]

expected = render("parent")
over = threading.Event()

def keep_busy():
    others = [synthesizer, Synthesizer(bundle, detail=detail, **options)]
    seed = 0
    while not over.is_set():
        seed += 1
        for one in others:
            one.render(300, 200, seed, out=f"{folder}/{threading.get_ident()}.png")
            others[1] = Synthesizer(bundle, detail=detail, **options)

threads = [threading.Thread(target=keep_busy) for _ in range(2)]
for thread in threads:
    thread.start()
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        code = 1
        try:
            code = 0 if render(f"child-{number}") == expected else 3
        finally:
            os._exit(code)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
over.set()
"""


@pytest.mark.parametrize("detail", ["network", "photograph"])
def test_a_synthesizer_that_was_used_works_in_forked_children(
    photograph_path: Path, tmp_path: Path, detail: str
) -> None:
    """Forked while two threads open, render and write without a pause."""
    command = [sys.executable, "-W", "ignore", "-c", RENDER, str(photograph_path), str(tmp_path)]
    done = subprocess.run(
        [*command, "onnxruntime", detail], capture_output=True, text=True, timeout=2 * LONGEST, check=False
    )
    assert (done.stdout, done.returncode) == ("[0, 0, 0, 0]\n", 0), done.stderr


OPENVINO = """
import os, signal, sys
from ourgan_sdk import EngineError, Synthesizer

def attempt(**options):
    try:
        one = options.pop("opened", None) or Synthesizer(sys.argv[1], detail="network", **options)
        return one.render(300, 200).shape
    except EngineError as error:
        return str(error)

os.environ["OURGAN_ENGINE"] = "auto"
one = Synthesizer(sys.argv[1], detail="network", device="cpu")
if sys.argv[2] == "used":
    one.render(300, 200)
    Synthesizer(sys.argv[1], detail="network", engine="openvino").render(200, 300)
child = os.fork()
if child == 0:
    signal.alarm(100)
    print(attempt(opened=one))
    print(attempt(engine="openvino"))
    print(attempt(device="cpu"))
    sys.exit()
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("state", ["used", "new"])
def test_openvino_is_refused_in_children_of_those_that_used_it(bundle_path: Path, state: str) -> None:
    """It keeps threads, and would wait for them. A picture's engine is never another one without a word."""
    pytest.importorskip("openvino")
    command = [sys.executable, "-W", "ignore", "-c", OPENVINO, str(bundle_path), state]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * LONGEST, check=True)
    lines = done.stdout.splitlines()
    picture = "(200, 300, 3)"
    if state == "new":
        assert lines == [picture] * 3
        return
    refusal = (
        "OpenVINO was in use before this process was forked, and cannot be used in it: use it after forks "
        "alone, another engine in forked processes, or start them by spawn"
    )
    assert lines == [refusal, refusal, picture]
    assert f"going on without openvino on cpu: {refusal}" in done.stderr


POOL = """
import hashlib, multiprocessing, sys
from ourgan_sdk import Synthesizer

synthesizer = Synthesizer(sys.argv[1], detail=sys.argv[2], memory_limit=4 << 20)

def digest(seed):
    return hashlib.sha256(synthesizer.render(300, 200, seed).tobytes()).hexdigest()

if __name__ == "__main__":
    expected = list(map(digest, range(12)))
    with multiprocessing.get_context("fork").Pool(4) as pool:
        print(pool.map(digest, range(12)) == expected)
"""


def test_a_pool_of_forked_processes(photograph_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", POOL, str(photograph_path), "network"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_a_child_may_end_as_any_process_does(photograph_path: Path) -> None:
    """Nothing that it has inherited is destroyed when its interpreter ends: that would wait for ever."""
    code = (
        "import os, signal, sys; from ourgan_sdk import Synthesizer\n"
        "one = Synthesizer(sys.argv[1], detail='network'); one.render(300, 200)\n"
        "if os.fork() == 0:\n    signal.alarm(100); one.render(300, 200); sys.exit(5)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(photograph_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_locks_are_free_in_a_child() -> None:
    one, held, over = lock(), threading.Event(), threading.Event()

    def hold() -> None:
        with one:
            held.set()
            over.wait()

    holder = Call(hold, "holder")
    held.wait()
    assert in_child(one.acquire) == 0
    assert one.locked()
    over.set()
    holder.wait()


def test_a_fork_waits_for_what_must_not_be_disturbed() -> None:
    state, inside = ["whole"], threading.Event()

    def disturb() -> None:
        with undisturbed():
            state[0] = "half"
            inside.set()
            threading.Event().wait(0.3)
            state[0] = "whole"

    def check() -> None:
        assert state == ["whole"]
        with undisturbed():
            pass

    call = Call(disturb, "disturbing")
    inside.wait()
    assert in_child(check) == 0
    call.wait()


def test_every_process_makes_its_own() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(os.getpid())
        return os.getpid()

    value = PerProcess(make)
    assert value() == value() == os.getpid()
    assert made == [os.getpid()]

    def check() -> None:
        assert value() == os.getpid()

    assert in_child(check) == 0


def test_an_engine_says_that_it_is_the_parents(networks: dict[str, bytes]) -> None:
    engine = OnnxRuntimeEngine(networks["upscaler.onnx"])
    picture = np.zeros((1, 3, 8, 8), np.float32)
    engine.enlarge(picture)

    def use() -> None:
        with pytest.raises(EngineError, match="this engine was in use before this process was forked"):
            engine.enlarge(picture)

    assert in_child(use) == 0


def test_a_pipeline_says_that_it_is_the_parents() -> None:
    pipeline = Pipeline(3, 8, 8, 2)
    values = pipeline.input(0)
    slot = pipeline.pack(np.zeros((8, 8, 3), np.uint8), Box(0, 0, 8, 8))
    pipeline.packed(slot)

    def use() -> None:
        nonlocal pipeline
        with pytest.raises(RuntimeError, match="the pipeline is the parent's"):
            pipeline.unpack(slot, Box(0, 0, 16, 16), np.zeros((16, 16, 3), np.uint8), 0, 0)
        pipeline.close()
        assert values.shape == (1, 3, 8, 8)
        del pipeline

    assert in_child(use) == 0
    pipeline.close()


@pytest.mark.parametrize("leaving", ["finishing", "failing"])
def test_a_child_neither_finishes_nor_removes_what_its_parent_writes(tmp_path: Path, leaving: str) -> None:
    """Should it come to leave its parent's block, which it inherits as well."""
    path = tmp_path / "picture.npy"
    band = np.ones((10, 4, 3), np.uint8)
    child = -1
    try:
        with open_writer(path, 4, 20) as writer:
            writer.write(band)
            child = os.fork()
            if child == 0:
                signal.alarm(LONGEST)
                if leaving == "failing":
                    raise ZeroDivisionError
            else:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            writer.write(band)
    except (OurganError, ZeroDivisionError):
        if child == 0:
            os._exit(7)
        raise
    finally:
        if child == 0:
            os._exit(8)
    assert np.load(path).shape == (20, 4, 3)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["result", "error", "gone"])
def test_calls_in_a_new_process(kind: str) -> None:
    if kind == "result":
        assert call_apart(total, iter([1, 2, 3]), start=4) == 10
    elif kind == "error":
        with pytest.raises(OutputError, match="cannot write it"):
            call_apart(refuse, "cannot write it")
    else:
        with pytest.raises(OurganError, match="ended with 3"):
            call_apart(vanish)


def total(numbers: object, start: int) -> int:
    sys.stdout.write("what is printed disturbs nobody")
    return sum(numbers, start)  # type: ignore[call-overload, no-any-return]


def refuse(reason: str) -> None:
    raise OutputError(reason)


def vanish() -> None:
    os._exit(3)


def test_locks_of_files_are_not_held_by_children(tmp_path: Path) -> None:
    """A child that lives on, as those of servers do, would keep others from going on with a render."""
    picture, shape, dtype = {"size": 1}, (4, 4, 3), np.dtype(np.uint8)
    (over, is_over), (begun, has_begun) = os.pipe(), os.pipe()
    lock = atomic._lock(tmp_path, wait=True)
    with open_finished(tmp_path / "a.npy", picture, shape, dtype, 1 << 20):
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST)
            os.close(is_over)
            os.write(has_begun, b"1")
            os.read(over, 1)
            os._exit(0)
    atomic._unlock(lock)
    os.read(begun, 1)
    try:
        with open_finished(tmp_path / "a.npy", picture, shape, dtype, 1 << 20):
            pass
        atomic._unlock(atomic._lock(tmp_path, wait=False))
    finally:
        for end in (is_over, begun, has_begun):
            os.close(end)
        assert os.waitpid(child, 0) == (child, 0)
