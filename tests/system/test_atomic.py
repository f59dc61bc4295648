"""Writers that are killed, that fail while they publish, and that share a target."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import OutputError, open_writer
from ourgan_sdk.system import atomic
from ourgan_sdk.system.atomic import atomic_file, atomic_outputs

posix = pytest.mark.skipif(os.name == "nt", reason="temporary folders are not locked")

HALF_A_PICTURE = """
import sys
import numpy as np
from ourgan_sdk import open_writer
with open_writer(sys.argv[1], 60, 600) as writer:
    for _ in range(3):
        writer.write(np.zeros((100, 60, 3), np.uint8))
    print("half", flush=True)
    sys.stdin.read()
"""


@contextmanager
def half_written(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has written half a picture to `path`, and goes no further."""
    command = [sys.executable, "-c", HALF_A_PICTURE, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
            yield process
        finally:
            process.kill()


def write(path: Path) -> list[str]:
    """Write a small picture, and return the names that are its own."""
    with open_writer(path, 3, 2) as writer:
        writer.write(np.ones((2, 3, 3), np.uint8))
    return [path.name, f"{path.stem}_files"] if path.suffix == ".dzi" else [path.name]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@posix
@pytest.mark.parametrize("suffix", [".png", ".tif", ".dzi", ".zarr", ".npy"])
def test_leftovers_of_a_killed_process_go_and_those_of_a_living_one_stay(tmp_path: Path, suffix: str) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    path = tmp_path / f"picture{suffix}"
    (tmp_path / ".0123456789abcdef-other.part").mkdir()  # of another target
    with half_written(path) as process:
        (leftover,) = set(names(tmp_path)) - {".0123456789abcdef-other.part"}
        own = write(path)
        assert set(names(tmp_path)) == {".0123456789abcdef-other.part", leftover, *own}
        process.kill()
        process.wait()
    assert leftover in names(tmp_path)
    write(tmp_path / f"other{suffix}")
    assert leftover in names(tmp_path)
    write(path)
    assert leftover not in names(tmp_path)


def test_writers_of_one_target_in_one_process(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_file(path) as outer:
        outer.write_text("outer")
        with atomic_file(path) as inner:
            inner.write_text("inner")
        assert path.read_text() == "inner"
    assert path.read_text() == "outer"
    assert names(tmp_path) == ["a.txt"]


def test_many_writers_of_one_target(tmp_path: Path) -> None:
    """Each looks for leftovers while others begin and end."""
    path = tmp_path / "a.txt"

    def work(i: int) -> None:
        for _ in range(50):
            with atomic_file(path) as temporary:
                temporary.write_text(f"{i}")

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(work, range(8)))
    assert path.read_text() in "01234567"
    assert names(tmp_path) == ["a.txt"]


@posix
@pytest.mark.parametrize("after", [False, True], ids=["before the folder is open", "before it is locked"])
def test_temporary_folder_that_is_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Between its making and its lock another writer may remove it; then there is another."""
    lock, removed = atomic._lock, []

    def remove_first(folder: Path, *, wait: bool) -> int | None:
        descriptor = lock(folder, wait=wait) if after and not removed else None
        if not removed:
            removed.append(folder)
            shutil.rmtree(folder)
        return descriptor if descriptor is not None else lock(folder, wait=wait)

    monkeypatch.setattr(atomic, "_lock", remove_first)
    with atomic_file(tmp_path / "a.txt") as temporary:
        assert temporary.parent not in removed
        temporary.write_text("whole")
    assert names(tmp_path) == ["a.txt"]


def test_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_folder: Path, *, wait: bool) -> int | None:  # noqa: ARG001
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic, "_lock", fail)
    for _ in range(2):
        with atomic_file(tmp_path / "a.txt") as outer:
            outer.write_text("outer")
            with atomic_file(tmp_path / "a.txt") as inner:
                inner.write_text("inner")
    assert names(tmp_path) == ["a.txt"]


def failing(number: int) -> Callable[..., None]:
    def fail(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


UNSUPPORTED = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF]
FAILURES = [errno.EIO, errno.ENOSPC, errno.EDQUOT]


@posix
@pytest.mark.parametrize("number", UNSUPPORTED)
@pytest.mark.parametrize("suffix", [".png", ".dzi"])
def test_what_a_file_system_does_not_do_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, suffix: str
) -> None:
    """It cannot lock, nor flush folders, nor files; the picture is there all the same."""
    monkeypatch.setattr(atomic.fcntl, "flock", failing(number))
    monkeypatch.setattr(os, "fsync", failing(number))
    for _ in range(2):
        assert names(tmp_path) == [] or (tmp_path / f"a{suffix}").exists()
        own = write(tmp_path / f"a{suffix}")
        assert set(names(tmp_path)) == set(own)


@posix
@pytest.mark.parametrize("number", FAILURES)
@pytest.mark.parametrize(("module", "function"), [("fcntl", "flock"), ("os", "fsync"), ("os", "replace")])
def test_what_fails_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, module: str, function: str
) -> None:
    (tmp_path / "a.png").write_text("old")
    monkeypatch.setattr(getattr(atomic, module), function, failing(number))
    with pytest.raises(OutputError, match=rf"a\.png: {os.strerror(number)}"):
        write(tmp_path / "a.png")
    assert texts(tmp_path) == {"a.png": "old"}
    assert names(tmp_path) == ["a.png"]


@posix
@pytest.mark.parametrize("suffix", [".png", ".dzi"])
def test_a_disk_that_does_not_say_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """At whichever question: an error of this package, or a whole output."""
    stat, left = os.stat, 0

    def fail(*arguments: object, **options: object) -> os.stat_result:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return stat(*arguments, **options)  # type: ignore[arg-type]

    path, outcomes = tmp_path / f"a{suffix}", set()
    for count in range(1, 40):
        left = count
        monkeypatch.setattr(os, "stat", fail)
        try:
            write(path)
        except OutputError as error:
            outcomes.add(str(error))
        else:
            outcomes.add("")
        monkeypatch.undo()
    assert outcomes == {"", f"cannot write {path}: Input/output error"}
    assert path.exists()


def fill(folder: Path, text: str) -> None:
    """A folder "a_files" of two files and a file "a.dzi", as `atomic_outputs` is to move them."""
    (folder / "a_files" / "0").mkdir(parents=True)
    (folder / "a_files" / "0" / "0_0.png").write_text(text)
    (folder / "a.dzi").write_text(text)


def texts(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", range(4))
def test_failure_while_outputs_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: BaseException, exists: bool
) -> None:
    """Whichever move fails, all outputs are the old ones; a first save has two moves, another one four."""
    if exists:
        fill(tmp_path, "old")
    before = texts(tmp_path)
    outputs = {"a_files": tmp_path / "a_files", "a.dzi": tmp_path / "a.dzi"}
    replace, calls = Path.replace, 0

    def fail(source: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing + 1:
            raise error
        return replace(source, target)

    def save() -> None:
        with atomic_outputs(tmp_path / "a.dzi", outputs) as folder:
            fill(folder, "new")
            monkeypatch.setattr(Path, "replace", fail)

    if failing < (4 if exists else 2):
        with pytest.raises((OutputError, KeyboardInterrupt)):
            save()
        assert texts(tmp_path) == before
    else:
        save()
        assert set(texts(tmp_path).values()) == {"new"}
    assert names(tmp_path) == (["a.dzi", "a_files"] if texts(tmp_path) else [])


def test_nothing_is_lost_when_the_disk_does_not_take_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "old")
    flushed, fsync = [], os.fsync

    def fail(descriptor: int) -> None:
        flushed.append(fsync(descriptor))
        if len(flushed) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    outputs = {"a_files": tmp_path / "a_files", "a.dzi": tmp_path / "a.dzi"}

    def save() -> None:
        with atomic_outputs(tmp_path / "a.dzi", outputs) as folder:
            fill(folder, "new")

    with pytest.raises(OutputError, match=r"a\.dzi: No space left on device"):
        save()
    assert set(texts(tmp_path).values()) == {"old"}
    assert names(tmp_path) == ["a.dzi", "a_files"]


@pytest.mark.parametrize("suffix", [".dzi", ".zarr"])
def test_folders_are_replaced_whole(tmp_path: Path, suffix: str) -> None:
    """Nothing of a larger picture stays when a smaller one takes its name; nothing goes if that fails."""
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    path = tmp_path / f"picture{suffix}"
    write(path)
    small = [file.relative_to(tmp_path) for file in sorted(tmp_path.rglob("*"))]
    with open_writer(path, 1300, 20) as writer:
        writer.write(np.ones((20, 1300, 3), np.uint8))
    large = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert len(large) > sum((tmp_path / file).is_file() for file in small)

    def fail() -> None:
        with open_writer(path, 3, 2) as writer:
            writer.write(np.ones((2, 3, 3), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == large
    write(path)
    assert [file.relative_to(tmp_path) for file in sorted(tmp_path.rglob("*"))] == small
