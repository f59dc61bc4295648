"""Renders that go on where a killed one stopped."""

import contextlib
import errno
import fcntl
import json
import logging
import multiprocessing
import os
import random
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Box, BudgetError, Canvas, OutputError, RenderStats, Synthesizer
from ourgan_sdk.bundle import Manifest, write_bundle
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.errors import EngineMemoryError
from ourgan_sdk.resume import Finished, begun_with, open_finished
from ourgan_sdk.system import memory

SIZE = (421, 293)
SMALL = 2_000_000
"""A memory limit that makes many bands of SIZE."""

PICTURE = {"seed": 1, "bundle": "a"}
SHAPE = (7, 5, 3)
UINT8 = np.dtype(np.uint8)
LIMIT = 1000
HEAD = struct.Struct("<4sIQQ")
"""Before a band's pixels: a mark, a checksum, rows and memory limit."""
LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF]
"""How file systems say that they cannot lock."""


def make_canvas(bundle_path: Path, seed: int = 7, memory_limit: int = SMALL) -> Canvas:
    return Synthesizer(bundle_path, memory_limit=memory_limit, threads=1).canvas(*SIZE, seed=seed)


def stop_after(bands: int, output: Path) -> object:
    """A progress function that ends the render once so many bands lie beside `output`."""
    partial = output.with_name(f"{output.name}.partial")
    sizes = set()

    def progress(_done: int, _total: int) -> None:
        if partial.exists():
            sizes.add(partial.stat().st_size)
        if len(sizes) > bands + 1:  # the first line alone is one size
            raise RuntimeError("enough")

    return progress


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_goes_on_from_the_last_whole_band(
    bundle_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "picture.png"
    canvas = make_canvas(bundle_path)
    with pytest.raises(RuntimeError, match="enough"):
        canvas.save(output, resume=True, progress=stop_after(2, output))
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png.partial"]
    whole, rest = RenderStats(), RenderStats()
    with caplog.at_level(logging.INFO):
        make_canvas(bundle_path).save(output, resume=True, stats=rest)
    assert "going on from row" in caplog.text
    np.testing.assert_array_equal(read(output), canvas.read(stats=whole))
    assert rest.tiles < 0.8 * whole.tiles
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_a_part_goes_on_too(bundle_path: Path, tmp_path: Path) -> None:
    """And is the slice; what was left of it is of no other part."""
    output, box, canvas = tmp_path / "part.png", Box(20, 31, 273, 400), make_canvas(bundle_path)
    with pytest.raises(RuntimeError, match="enough"):
        canvas.save(output, box=box, resume=True, progress=stop_after(2, output))
    for other, words in (
        (None, "box is None, was"),
        (Box(20, 30, 273, 399), r"box is \[20, 30, 273, 399\], was"),
    ):
        with pytest.raises(OutputError, match=words):
            make_canvas(bundle_path).save(output, box=other, resume=True)
    whole, rest = RenderStats(), RenderStats()
    make_canvas(bundle_path).save(output, box=box, resume=True, stats=rest)
    np.testing.assert_array_equal(read(output), canvas.read(stats=whole)[20:273, 31:400])
    assert 0 < rest.tiles < whole.tiles
    assert [path.name for path in tmp_path.iterdir()] == ["part.png"]


def test_without_resume_nothing_is_kept(bundle_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "picture.png"
    with pytest.raises(ZeroDivisionError):
        make_canvas(bundle_path).save(output, progress=lambda done, total: 1 // (total - done))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seed", "size", "memory_limit", "dtype", "words"),
    [
        (8, SIZE, SMALL, np.uint8, "seed is 8, was 7"),
        (7, (420, 293), SMALL, np.uint8, "width is 420, was 421"),
        (7, SIZE, SMALL // 2, np.uint8, r"grids is \[.*\], was \["),
        (7, SIZE, SMALL, np.uint16, "dtype is 'uint16', was 'uint8'"),
    ],
)
def test_another_picture_is_refused(
    bundle_path: Path,
    tmp_path: Path,
    seed: int,
    size: tuple[int, int],
    memory_limit: int,
    dtype: type,
    words: str,
) -> None:
    output = tmp_path / "picture.png"
    with pytest.raises(RuntimeError, match="enough"):
        make_canvas(bundle_path).save(output, resume=True, progress=stop_after(2, output))
    left = output.with_name("picture.png.partial").read_bytes()
    other = Synthesizer(bundle_path, memory_limit=memory_limit).canvas(*size, seed, dtype=dtype)
    with pytest.raises(OutputError, match=f"another picture: .*{words}.*; render that one, or remove"):
        other.save(output, resume=True)
    assert output.with_name("picture.png.partial").read_bytes() == left


def test_another_bundle_is_refused(bundle_path: Path, tmp_path: Path, make_bundle: object) -> None:
    output = tmp_path / "picture.png"
    with pytest.raises(RuntimeError, match="enough"):
        make_canvas(bundle_path).save(output, resume=True, progress=stop_after(2, output))
    other = make_bundle(extra=b"anything")  # type: ignore[operator]
    with pytest.raises(OutputError, match="another picture: bundle is '"):
        make_canvas(other).save(output, resume=True)


def test_refused_formats_leave_nothing(bundle_path: Path, tmp_path: Path) -> None:
    canvas = Synthesizer(bundle_path).canvas(70_000, 2)
    with pytest.raises(OutputError, match="65500"):
        canvas.save(tmp_path / "picture.jpg", resume=True)
    assert list(tmp_path.iterdir()) == []


def bands() -> Iterator[np.ndarray]:
    generator = np.random.default_rng(0)
    for rows in (2, 1, 3):
        yield generator.integers(0, 255, (rows, *SHAPE[1:]), np.uint8)


@contextlib.contextmanager
def stopped(output: Path) -> Iterator[Finished]:
    """What was finished of `output`, which stays after the block as if a render had been stopped there."""
    with (
        contextlib.suppress(KeyboardInterrupt),
        open_finished(output, PICTURE, SHAPE, UINT8, LIMIT) as finished,
    ):
        yield finished
        raise KeyboardInterrupt


def test_a_band_cut_short_anywhere_is_no_band(tmp_path: Path) -> None:
    output = tmp_path / "p.png"
    ends = []
    with stopped(output) as finished:
        for band in bands():
            finished.append(band, 1)
            ends.append(finished.path.stat().st_size)
    path = tmp_path / "p.png.partial"
    content = path.read_bytes()
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        whole = sum(length >= end for end in ends)
        with stopped(output) as finished:
            assert finished.rows == [0, 2, 3, 6][whole]
            for found, expected in zip(finished.bands(), bands(), strict=False):
                np.testing.assert_array_equal(found, expected)
            finished.append(np.zeros((1, *SHAPE[1:]), np.uint8), 1)  # and what comes next fits on
            assert sum(map(len, finished.bands())) == finished.rows


def test_a_damaged_band_and_all_behind_it_are_dropped(tmp_path: Path) -> None:
    output = tmp_path / "p.png"
    with stopped(output) as finished:
        for band in bands():
            finished.append(band, 1)
    path = tmp_path / "p.png.partial"
    content = bytearray(path.read_bytes())
    content[-3 * 15 - 24 - 5] ^= 1  # in the second band's pixels
    path.write_bytes(content)
    with open_finished(output, PICTURE, SHAPE, UINT8, LIMIT) as finished:
        assert finished.rows == 2
    assert list(tmp_path.iterdir()) == []


def records(content: bytes) -> tuple[bytes, list[bytes]]:
    """The first line, and the bands with what stands before each."""
    start = content.index(b"\n") + 1
    line, found = content[:start], []
    while start < len(content):
        _, _, rows, _ = HEAD.unpack_from(content, start)
        end = start + HEAD.size + rows * SHAPE[1] * SHAPE[2]
        found.append(content[start:end])
        start = end
    return line, found


def leave_bands(output: Path) -> tuple[bytes, list[bytes]]:
    with stopped(output) as finished:
        for band in bands():
            finished.append(band, LIMIT)
    return records(output.with_name("p.png.partial").read_bytes())


@pytest.mark.parametrize("order", ["10", "02", "20", "12", "00", "011", "0012", "2", "210"])
def test_bands_in_another_place_are_none(tmp_path: Path, order: str) -> None:
    """Swapped, dropped, doubled: each is whole by itself, and counts only where it was written."""
    output = tmp_path / "p.png"
    line, found = leave_bands(output)
    output.with_name("p.png.partial").write_bytes(line + b"".join(found[int(i)] for i in order))
    whole = next(i for i in range(4) if order[i : i + 1] != "012"[i : i + 1] or i == 3)
    with stopped(output) as finished:
        assert finished.rows == [0, 2, 3, 6][whole]
        expected = np.concatenate([*bands()])
        np.testing.assert_array_equal(
            np.concatenate([expected[:0], *finished.bands()]), expected[: finished.rows]
        )


def test_bands_of_another_picture_are_none(tmp_path: Path) -> None:
    output = tmp_path / "p.png"
    _, found = leave_bands(output)
    path = output.with_name("p.png.partial")
    path.unlink()
    with (
        contextlib.suppress(KeyboardInterrupt),
        open_finished(output, PICTURE | {"seed": 2}, SHAPE, UINT8, LIMIT) as finished,
    ):
        finished.append(next(bands()), LIMIT)
        raise KeyboardInterrupt
    line, _ = records(path.read_bytes())
    path.write_bytes(line + b"".join(found))
    with open_finished(output, PICTURE | {"seed": 2}, SHAPE, UINT8, LIMIT) as finished:
        assert finished.rows == 0


@pytest.mark.parametrize(("limit", "rows"), [(LIMIT, 3), (1, 3), (0, 2), (LIMIT + 1, 2), (2**64 - 1, 2)])
def test_memory_limits_without_sense_are_damage(tmp_path: Path, limit: int, rows: int) -> None:
    """With a right checksum, as a program might write it: it is 0, or more than there was before."""
    output = tmp_path / "p.png"
    line, (first, second, _) = leave_bands(output)
    mark, _, count, _ = HEAD.unpack_from(second)
    _, before, _, _ = HEAD.unpack_from(first)
    rest = struct.pack("<QQ", count, limit) + second[HEAD.size :]
    output.with_name("p.png.partial").write_bytes(
        line + first + struct.pack("<4sI", mark, zlib.crc32(rest, before)) + rest
    )
    with open_finished(output, PICTURE, SHAPE, UINT8, LIMIT) as finished:
        assert finished.rows == rows


def test_a_limit_that_nothing_fits_into_ends(bundle_path: Path) -> None:
    """It is what a file may say; looking for a limit that would do began with twice as much."""
    canvas = make_canvas(bundle_path)
    with pytest.raises(BudgetError, match="memory_limit is 0 bytes"):
        canvas._renderer.lower_memory_limit(0)


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b'{"a":' * 100_000, b"[1]\n", b"7\n", b'"a"\n', b"null\n", b"\xff\xfe\n", b"\n"],
    ids=["deep list", "deep object", "list", "number", "text", "null", "no text", "empty"],
)
def test_first_lines_that_are_none(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "p.png.partial"
    path.write_bytes(line)
    with (
        pytest.raises(OutputError, match=r"p\.png\.partial: there is a file that no render has left"),
        open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT),
    ):
        pass
    assert path.read_bytes() == line
    assert begun_with(tmp_path / "p.png") is None


def test_files_of_other_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.png.partial"
    path.write_bytes(b'{"seed": 1, "bundle": "a"}\n')
    with (
        pytest.raises(OutputError, match=r"another version of ourgan_sdk has left.*or remove the file"),
        open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT),
    ):
        pass


@pytest.mark.parametrize(("before", "after"), [(SMALL, 100 * SMALL), (SMALL, SMALL // 2)])
def test_another_default_memory_limit_is_no_other_picture(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    """The same command on the same machine, with more memory free or less: tiles stay what they were."""
    output = tmp_path / "picture.png"
    expected = make_canvas(bundle_path, memory_limit=before).read()

    def canvas(available: int) -> Canvas:
        monkeypatch.setattr(memory, "available_memory", lambda: 4 * available)
        return Synthesizer(bundle_path, threads=1).canvas(*SIZE, seed=7)

    first = canvas(before)
    with pytest.raises(RuntimeError, match="enough"):
        first.save(output, resume=True, progress=stop_after(2, output))
    second = canvas(after)
    second.save(output, resume=True)
    np.testing.assert_array_equal(read(output), expected)


def test_a_limit_that_no_default_can_be_is_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "p.png.partial"
    for limit, taken in ((5, 5), (memory.LARGEST_DEFAULT, memory.LARGEST_DEFAULT), (1 << 40, None)):
        path.write_text(json.dumps({"memory_limit": limit}) + "\n")
        assert begun_with(tmp_path / "p.png") == taken
    for text in ("0", "-1", "1.5", '"5"', "true", "null"):
        path.write_text(f'{{"memory_limit": {text}}}\n')
        assert begun_with(tmp_path / "p.png") is None


@pytest.mark.parametrize("number", LOCKS)
def test_file_systems_that_cannot_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def fail(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    leave_bands(tmp_path / "p.png")
    with open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT) as finished:
        assert finished.rows == 6
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        f"{tmp_path / 'p.png.partial'} cannot be locked"
    ] * 2


def test_locks_that_fail_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail)
    with (
        pytest.raises(OutputError, match=r"p\.png\.partial: Input/output error"),
        open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT),
    ):
        pass


def test_a_file_that_cannot_be_removed_undoes_no_picture(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_path: Path, missing_ok: bool = False) -> None:  # noqa: ARG001
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    output = tmp_path / "picture.png"
    with monkeypatch.context() as context:
        context.setattr(Path, "unlink", fail)
        make_canvas(bundle_path).save(output, resume=True)
    assert "picture.png.partial, which is no longer needed: Operation not permitted" in caplog.text
    expected = make_canvas(bundle_path).read()
    np.testing.assert_array_equal(read(output), expected)
    stats = RenderStats()
    make_canvas(bundle_path).save(output, resume=True, stats=stats)  # from what is there
    assert stats.tiles == 0
    np.testing.assert_array_equal(read(output), expected)


def test_files_whose_names_tell_another_number_than_they(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on some network shares; whether another render has removed them cannot be told, and is not so."""
    monkeypatch.setattr(os.path, "samestat", lambda _one, _other: False)
    leave_bands(tmp_path / "p.png")
    with open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT) as finished:
        assert finished.rows == 6
    assert "has another number whenever it is looked at" in caplog.text


def test_files_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "p.png.partial"
    path.write_bytes(b"a novel\nwithout end")
    with (
        pytest.raises(OutputError, match="no render has left"),
        open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT),
    ):
        pass
    assert path.read_bytes() == b"a novel\nwithout end"


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_two_renders_of_one_file(tmp_path: Path) -> None:
    with open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT):
        with (
            pytest.raises(OutputError, match="another render is writing it"),
            open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT),
        ):
            pass
        assert (tmp_path / "p.png.partial").exists()


def test_goes_on_after_memory_ran_out(
    tmp_path: Path, manifest: Manifest, networks: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the smaller plan, from the row that was reached: pixel-identical, by the same canvas or another."""
    rough = [upscaler.model_copy(update={"halo": 1}) for upscaler in manifest.upscalers]  # tiles show
    bundle = tmp_path / "rough.ourgan"
    write_bundle(bundle, manifest.model_copy(update={"upscalers": rough}), networks)
    run_bound = OnnxRuntimeEngine.run_bound
    calls = 0

    def starve(first: int, last: int) -> None:
        def fail(engine: OnnxRuntimeEngine, binding: object) -> None:
            nonlocal calls
            calls += 1
            if calls == first:
                raise EngineMemoryError("no memory")
            if calls == last:
                raise RuntimeError("enough")
            run_bound(engine, binding)

        nonlocal calls
        calls = 0
        monkeypatch.setattr(OnnxRuntimeEngine, "run_bound", fail)

    starve(-1, -1)
    without = make_canvas(bundle).read()
    first = calls // 2
    starve(first, -1)
    expected = make_canvas(bundle).read()
    assert (expected != without).any()
    starve(first, first + (calls - first) // 2)
    canvas, output = make_canvas(bundle), tmp_path / "picture.png"
    with pytest.raises(RuntimeError, match="enough"):
        canvas.save(output, resume=True)
    monkeypatch.undo()
    partial = output.with_name("picture.png.partial")
    left = partial.read_bytes()
    for one in (make_canvas(bundle), canvas):
        partial.write_bytes(left)
        one.save(output, resume=True)
        np.testing.assert_array_equal(read(output), expected)


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_disk_that_is_really_full(bundle_path: Path, tmp_path: Path) -> None:
    """No file may grow beyond 200 kB: the band that does not fit is cut off in the middle."""
    output = tmp_path / "picture.png"
    script = """if True:
        import resource, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[3])
        from tests.test_resume import make_canvas
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        make_canvas(Path(sys.argv[1])).save(sys.argv[2], resume=True)
    """
    command = [sys.executable, "-c", script, str(bundle_path), str(output), str(Path(__file__).parents[1])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "OutputError: cannot write" in result.stderr
    assert "File too large" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png.partial"]
    assert (tmp_path / "picture.png.partial").stat().st_size == 200_000
    rest = RenderStats()
    make_canvas(bundle_path).save(output, resume=True, stats=rest)
    np.testing.assert_array_equal(read(output), make_canvas(bundle_path).read())


def test_the_lock_is_on_the_file_that_bears_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that its render removes between the moments when it is opened and locked is no file to use."""
    removed = []
    flock = fcntl.flock

    def remove_first(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append((tmp_path / "p.png.partial").unlink())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT):
        assert (tmp_path / "p.png.partial").exists()


def test_full_disk(bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fitted stays, and the render goes on from there when there is room again."""
    output = tmp_path / "picture.png"
    append, appended = Finished.append, 0

    def fill_up(self: Finished, band: np.ndarray, memory_limit: int) -> None:
        nonlocal appended
        appended += 1
        if appended > 3:
            raise OutputError(f"cannot write {self.path}: {os.strerror(errno.ENOSPC)}")
        append(self, band, memory_limit)

    monkeypatch.setattr(Finished, "append", fill_up)
    with pytest.raises(OutputError, match="No space left"):
        make_canvas(bundle_path).save(output, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png.partial"]
    monkeypatch.undo()
    make_canvas(bundle_path).save(output, resume=True)
    np.testing.assert_array_equal(read(output), make_canvas(bundle_path).read())


def render_slowly(bundle_path: Path, output: Path, started: object) -> None:
    canvas = make_canvas(bundle_path)
    canvas[:1, :1]  # opens the networks
    started.set()  # type: ignore[attr-defined]
    canvas.save(output, resume=True, progress=lambda *_: time.sleep(0.003))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes")
def test_killed_fifty_times(bundle_path: Path, tmp_path: Path) -> None:
    """SIGKILL at random moments; whatever the moments, the picture is that of a render in one go."""
    expected = make_canvas(bundle_path).read()
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["ourgan_sdk", "onnxruntime"])
    output = tmp_path / "picture.tif"
    moments = random.Random(0)
    kills = resumed = finished = 0
    while kills < 50:
        left = output.with_name("picture.tif.partial")
        resumed += left.exists() and left.stat().st_size > expected.nbytes // 10
        started = processes.Event()
        process = processes.Process(target=render_slowly, args=(bundle_path, output, started))
        process.start()
        assert started.wait(60)
        process.join(moments.uniform(0, 0.15))
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
            if output.exists():  # killed between the last step and its end
                left.unlink(missing_ok=True)
        else:
            assert process.exitcode == 0
        if output.exists():
            np.testing.assert_array_equal(read(output), expected)
            output.unlink()
            finished += 1
    assert finished >= 3
    assert resumed >= 10
    make_canvas(bundle_path).save(output, resume=True)
    np.testing.assert_array_equal(read(output), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """Of a pipe that nobody writes into, the first line never comes."""
    path = tmp_path / "p.png.partial"
    for make in (os.mkfifo, os.mkdir):
        make(path)
        with (
            pytest.raises(OutputError, match=r"p\.png\.partial: it is there, and no file"),
            open_finished(tmp_path / "p.png", PICTURE, SHAPE, UINT8, LIMIT),
        ):
            pass
        os.unlink(path) if make is os.mkfifo else os.rmdir(path)  # noqa: PTH106, PTH108
