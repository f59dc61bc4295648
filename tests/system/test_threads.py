"""Calls in threads of their own: results, errors, Ctrl-C, and the end of the main thread."""

from __future__ import annotations

import functools
import gc
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from ourgan_sdk import Synthesizer
from ourgan_sdk.system import threads
from ourgan_sdk.system.imports import import_module
from ourgan_sdk.system.threads import Call, call_for_each

LONGEST = 120
"""Seconds, after which what is waited for hangs: this machine may be busy."""

RENDER = """
import sys, threading, time
from ourgan_sdk import Synthesizer
bundle, output, daemon = sys.argv[1:]
begun = threading.Event()
def render():
    def tell(done, total):
        begun.set()
        time.sleep(0.05)
    Synthesizer(bundle, detail="network", memory_limit=6 << 20).render(700, 500, out=output, progress=tell)
threading.Thread(target=render, daemon=daemon == "daemon").start()
begun.wait()
"""


@pytest.mark.parametrize("kind", ["daemon", "ordinary"])
@pytest.mark.parametrize("suffix", [".png", ".dzi", ".npy", ".zarr"])
def test_a_render_in_a_thread_outlives_the_main_one(
    bundle_path: Path, tmp_path: Path, suffix: str, kind: str
) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    output = tmp_path / f"picture{suffix}"
    command = [sys.executable, "-c", RENDER, str(bundle_path), str(output), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    expected = tmp_path / "expected"
    expected.mkdir()
    picture = Synthesizer(bundle_path, detail="network", memory_limit=6 << 20).render(
        700, 500, out=expected / output.name
    )
    assert content(output) == content(picture)
    assert sorted(path.name for path in tmp_path.iterdir() if path != expected) == sorted(
        path.name for path in expected.iterdir()
    )


DAEMON = """
import sys, threading
from ourgan_sdk import Synthesizer
bundle, detail, engine = sys.argv[1:]
begun = threading.Event()
synthesizer = Synthesizer(
    bundle, detail=detail, engine=engine, device="cpu", precision="fp32", memory_limit=6 << 20
)
def render():
    while True:
        synthesizer.render(1200, 900, progress=lambda done, total: begun.set())
threading.Thread(target=render, daemon=True).start()
begun.wait()
"""


@pytest.mark.parametrize(("detail", "engine"), [("network", "openvino"), ("photograph", "onnxruntime")])
def test_the_process_ends_while_a_daemon_thread_renders_an_array(
    photograph_path: Path, detail: str, engine: str
) -> None:
    """It was aborted."""
    if engine == "openvino":
        pytest.importorskip("openvino")
    command = [sys.executable, "-c", DAEMON, str(photograph_path), detail, engine]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def content(path: Path) -> dict[str, bytes]:
    """Of a file and what belongs to it."""
    roots = [path, path.with_name(f"{path.stem}_files")]
    files = [
        file for root in roots for file in (root.rglob("*") if root.is_dir() else [root]) if file.is_file()
    ]
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files}


def test_results_and_errors() -> None:
    assert Call(lambda: 5, "five").result() == 5
    call = Call(lambda: 1 // 0, "none")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            call.result()
    assert call.has_ended
    assert isinstance(call.failure, ZeroDivisionError)


def test_errors_hold_no_circle() -> None:
    """What a failed call held goes with its error, and not when the garbage collector comes."""

    class Thing:
        pass

    def fail(things: list[Thing]) -> None:
        things[1]

    gc.disable()
    try:
        thing = Thing()
        alive = weakref.ref(thing)
        call = Call(functools.partial(fail, [thing]), "failing")
        del thing
        with pytest.raises(IndexError):
            call.result()
        del call
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to a thread")
def test_ctrl_c_ends_a_wait_and_not_the_call() -> None:
    may_end = threading.Event()
    call = Call(lambda: may_end.wait(LONGEST), "waiting")
    threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        call.wait()
    assert not call.has_ended
    may_end.set()
    assert call.result()


def test_calls_for_each_item() -> None:
    seen: list[int] = []
    call_for_each(seen.append, range(100), threads=8)
    assert sorted(seen) == list(range(100))
    with pytest.raises(ZeroDivisionError):
        call_for_each(lambda number: 1 // number, [3, 0, 1], threads=2)
    call_for_each(seen.append, [], threads=8)


def test_without_threads_the_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    seen: list[int] = []
    call_for_each(seen.append, [1, 2], threads=8)
    assert seen == [1, 2]


def test_what_starts_when_the_interpreter_ends_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl-C in the middle of a start; in compiled code it would abort the process."""
    start, seen = threading.Thread.start, []

    def start_late(thread: threading.Thread) -> None:
        monkeypatch.setattr(threads, "_is_ending", True)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_late)
    call = Call(lambda: seen.append(1), "late")
    call.wait()
    assert isinstance(call.failure, SystemExit)
    assert seen == []
    Call(lambda: seen.append(2), "of something that is done at the very end").result()
    assert seen == [2]


def test_no_executors() -> None:
    """They take no more work once the main thread has ended, while other threads still render."""
    folder = Path(__file__).parents[2] / "ourgan_sdk"
    assert [path for path in folder.rglob("*.py") if "import ThreadPoolExecutor" in path.read_text()] == []


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to a thread")
def test_ctrl_c_does_not_break_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled library that it reaches while it loads says that it cannot be loaded, and stays so."""
    (tmp_path / "slow_library.py").write_text("import time\ntime.sleep(1)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        import_module("slow_library")
    assert import_module("slow_library").whole
    with pytest.raises(ModuleNotFoundError):
        import_module("no_library")
