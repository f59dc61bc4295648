"""Renders: the same pixels whatever the tiling, threads, order and output; nothing left after a failure."""

import functools
import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ourgan_sdk import (
    BudgetError,
    BundleError,
    EngineError,
    NonFiniteError,
    OutputError,
    RenderStats,
    SizeError,
    Synthesizer,
)
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.sizes import parse_bytes, parse_size, picture_sizes
from tests.conftest import HALO, endless_network, structure_network, upscaler_network

SIZE = (421, 293)
"""Two passes from 27 x 19, cut off within a tile's pixels."""

SMALL = 2_000_000
"""A memory limit that makes many tiles of SIZE."""


@pytest.fixture(scope="module")
def synthesizer(bundle_path: Path) -> Synthesizer:
    return Synthesizer(bundle_path)


@pytest.fixture(scope="module")
def picture(synthesizer: Synthesizer) -> np.ndarray:
    return synthesizer.render(*SIZE, seed=7)


def tiles(synthesizer: Synthesizer) -> int:
    stats = RenderStats()
    synthesizer.render(*SIZE, stats=stats)
    return stats.tiles


def test_picture_is_varied_and_of_the_size_asked_for(picture: np.ndarray) -> None:
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    assert picture.dtype == np.uint8
    assert picture.std((0, 1)).min() > 30


def test_tiled_equals_whole(bundle_path: Path, synthesizer: Synthesizer, picture: np.ndarray) -> None:
    tiled = Synthesizer(bundle_path, memory_limit=SMALL)
    assert tiles(synthesizer) == 2
    assert tiles(tiled) > 20
    difference = np.abs(tiled.render(*SIZE, seed=7).astype(int) - picture)
    assert difference.max() <= 1


def test_tiled_with_too_small_a_halo_differs(
    bundle_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above could fail: this shows what it would see."""
    tiled = Synthesizer(bundle_path, memory_limit=SMALL)
    upscalers = [
        upscaler.model_copy(update={"halo": HALO - 2}) for upscaler in tiled.bundle.manifest.upscalers
    ]
    manifest = tiled.bundle.manifest.model_copy(update={"upscalers": upscalers})
    monkeypatch.setattr(
        tiled._networks, "bundle", type(tiled.bundle)(bundle_path, manifest, tiled.bundle.sha256)
    )
    assert np.abs(tiled.render(*SIZE, seed=7).astype(int) - picture).max() > 10


@pytest.mark.parametrize("memory_limit", [SMALL, 8_000_000, None])
def test_repeats_and_threads(bundle_path: Path, memory_limit: int | None) -> None:
    first, *others = (
        Synthesizer(bundle_path, memory_limit=memory_limit, threads=threads).render(*SIZE, seed=7)
        for threads in (None, 1, 2, 3)
    )
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_seeds_differ(synthesizer: Synthesizer, picture: np.ndarray) -> None:
    for seed in (8, 7 + (1 << 32), (1 << 64) - 1):
        assert (synthesizer.render(*SIZE, seed) != picture).mean() > 0.5


def test_sixteen_bits(synthesizer: Synthesizer, picture: np.ndarray) -> None:
    deep = synthesizer.render(*SIZE, seed=7, dtype=np.uint16)
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(np.rint(deep / 257).astype(np.uint8), picture)


@pytest.mark.parametrize("memory_limit", [SMALL, None])
def test_files_equal_the_array(bundle_path: Path, tmp_path: Path, memory_limit: int | None) -> None:
    render = functools.partial(Synthesizer(bundle_path, memory_limit=memory_limit).render, *SIZE, seed=7)
    png = render(out=tmp_path / "picture.png")
    tiff = render(out=str(tmp_path / "picture.tif"), dtype=np.uint16)
    assert (png, tiff) == (tmp_path / "picture.png", tmp_path / "picture.tif")
    with Image.open(png) as image:
        np.testing.assert_array_equal(np.asarray(image), render())
        assert json.loads(image.info["Description"])["seed"] == 7
    np.testing.assert_array_equal(tifffile.imread(tiff), render(dtype=np.uint16))


@pytest.mark.parametrize("size", [(1, 1), (18, 12), (17, 13), (3000, 3), (1, 700), (70, 45)])
def test_odd_sizes(bundle_path: Path, size: tuple[int, int]) -> None:
    whole = Synthesizer(bundle_path).render(*size, seed=1)
    assert whole.shape == (size[1], size[0], 3)
    tiled = Synthesizer(bundle_path, memory_limit=3_000_000).render(*size, seed=1)
    assert np.abs(tiled.astype(int) - whole).max() <= 1


def test_tiles_that_are_cut_off_whole(bundle_path: Path) -> None:
    """Three passes leave up to 63 surplus rows, in small tiles more than the last row of them."""
    synthesizer = Synthesizer(bundle_path, memory_limit=1_500_000)
    calls: list[tuple[int, int]] = []
    picture = synthesizer.render(64 * 17 + 1, 64 * 11 + 1, progress=lambda *call: calls.append(call))
    assert picture.shape == (64 * 11 + 1, 64 * 17 + 1, 3)
    assert picture[-1].std() > 0
    assert calls[-1][0] == calls[-1][1]


def test_preview_is_the_structure(synthesizer: Synthesizer) -> None:
    preview = synthesizer.preview(3)
    assert preview.shape == (12, 18, 3)
    np.testing.assert_array_equal(preview, synthesizer.render(18, 12, seed=3))
    assert synthesizer.preview(3, width=40, height=30).shape == (30, 40, 3)
    assert (synthesizer.preview(4) != preview).any()


def test_two_renders_at_once(bundle_path: Path) -> None:
    synthesizer = Synthesizer(bundle_path, memory_limit=SMALL)
    with ThreadPoolExecutor(4) as threads:
        pictures = list(threads.map(lambda seed: synthesizer.render(*SIZE, seed), [1, 2, 1, 2]))
    for seed, picture in zip([1, 2, 1, 2], pictures, strict=True):
        np.testing.assert_array_equal(
            picture, Synthesizer(bundle_path, memory_limit=SMALL).render(*SIZE, seed)
        )


def test_progress_counts_all_the_work(bundle_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    stats = RenderStats()
    synthesizer = Synthesizer(bundle_path, memory_limit=SMALL)
    synthesizer.render(*SIZE, progress=lambda done, total: calls.append((done, total)), stats=stats)
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(set(done))
    assert set(totals) == {done[-1]}
    assert len(calls) == stats.tiles + 1
    assert stats.passes == 2
    assert 0 < stats.engine_seconds < stats.seconds


def test_progress_bar(synthesizer: Synthesizer, capsys: pytest.CaptureFixture[str]) -> None:
    synthesizer.render(*SIZE, progress=True)
    assert "100%" in capsys.readouterr().err
    synthesizer.render(*SIZE)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("call", [1, 2, 10, 25])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_cancelled_by_the_callback(
    bundle_path: Path, tmp_path: Path, call: int, failure: type[BaseException]
) -> None:
    calls = 0

    def cancel(_done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise failure("enough")

    synthesizer = Synthesizer(bundle_path, memory_limit=SMALL)
    with pytest.raises(failure, match="enough"):
        synthesizer.render(*SIZE, out=tmp_path / "picture.png", progress=cancel)
    assert calls == call
    assert list(tmp_path.iterdir()) == []
    assert synthesizer.render(*SIZE).shape == (SIZE[1], SIZE[0], 3)


def test_intermediate_pictures_are_never_whole(bundle_path: Path) -> None:
    """A pass asks its source for no more rows than it needs, so tiles of the two passes alternate."""
    done = [0]
    synthesizer = Synthesizer(bundle_path, memory_limit=1_500_000)
    synthesizer.render(*SIZE, progress=lambda work, _total: done.append(work))
    _, first, *_, last = work = np.diff(done).tolist()  # of the structure, and of a tile of either pass
    assert first != last
    assert work.index(last) < work.index(first, work.index(last))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (5, 1 << 31), (1.5, 5), ("5", 5), (None, 5)])
def test_sizes_that_are_none(synthesizer: Synthesizer, size: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(SizeError, match=r"expected (width|height) to be"):
        synthesizer.render(*size, out=tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_other_bad_arguments(synthesizer: Synthesizer, bundle_path: Path, tmp_path: Path) -> None:
    for seed in (-1, 1 << 64):
        with pytest.raises(ValueError, match=r"a seed from 0 to 2\^64 - 1, got"):
            synthesizer.render(8, 8, seed)
    with pytest.raises(ValueError, match="uint8 or uint16, got float32"):
        synthesizer.render(8, 8, dtype=np.float32)
    with pytest.raises(SizeError, match="does not fit into memory"):
        Synthesizer(bundle_path, memory_limit=1 << 40).render(2_000_000, 2_000_000)
    with pytest.raises(OutputError, match="No such file or directory"):
        synthesizer.render(8, 8, out=tmp_path / "absent" / "a.png")
    for seed in (1.0, "1", None):
        with pytest.raises(TypeError, match="the seed to be an integer, got"):
            synthesizer.render(8, 8, seed)
    with pytest.raises(TypeError, match="progress to be True, False, None or a function, got 1"):
        synthesizer.render(8, 8, out=tmp_path / "a.png", progress=1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BudgetError, match="memory_limit is 10000 bytes, too little for"):
        Synthesizer(bundle_path, memory_limit=10_000).render(*SIZE)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"engine": "abacus"},
            EngineError,
            "an engine of auto, tensorrt-rtx, tensorrt, onnxruntime, openvino; got 'abacus'",
        ),
        (
            {"engine": None},
            EngineError,
            "an engine of auto, tensorrt-rtx, tensorrt, onnxruntime, openvino; got None",
        ),
        ({"threads": 1.5}, TypeError, "threads to be an integer, got 1.5"),
        ({"threads": "2"}, TypeError, "threads to be an integer, got '2'"),
        ({"threads": True}, TypeError, "threads to be an integer, got True"),
        ({"threads": 0}, ValueError, "threads to be from 1 to 1024, got 0"),
        ({"threads": -1}, ValueError, "threads to be from 1 to 1024, got -1"),
        ({"threads": 10_000}, ValueError, "threads to be from 1 to 1024, got 10000"),
        ({"memory_limit": [1]}, TypeError, "memory_limit to be an integer, got"),
        ({"memory_limit": 1e9}, TypeError, "memory_limit to be an integer, got 1000000000.0"),
        ({"memory_limit": -5}, ValueError, "memory_limit to be from 1 to 4611686018427387904, got -5"),
        ({"memory_limit": 10**30}, ValueError, "memory_limit to be from 1 to 4611686018427387904, got 10"),
    ],
)
def test_refused_when_opened(
    bundle_path: Path, arguments: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"expected {words}"):
        Synthesizer(bundle_path, **arguments)


def test_numpy_integers(bundle_path: Path) -> None:
    synthesizer = Synthesizer(bundle_path, memory_limit=np.int64(SMALL), threads=np.uint8(1))
    picture = synthesizer.render(np.int32(30), np.uint16(20), np.uint64(2**64 - 1))
    np.testing.assert_array_equal(picture, synthesizer.render(30, 20, 2**64 - 1))


def test_damaged_networks(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    path = make_bundle(structure=b"no network")
    with pytest.raises(BundleError, match=r"'structure\.onnx': is no ONNX file: it cannot be parsed"):
        Synthesizer(path).preview()
    path = make_bundle(structure=upscaler_network())
    with pytest.raises(BundleError, match=r"expected inputs of \[4, 3, 3\] channels, found \[3\]"):
        Synthesizer(path).preview()
    path = make_bundle(upscaler=structure_network())
    with pytest.raises(BundleError, match=r"expected inputs of \[3\] channels, found \[4, 3, 3\]"):
        Synthesizer(path).render(*SIZE, out=tmp_path / "a.png")
    path = make_bundle(upscaler_later=upscaler_network(damaged=True))
    with pytest.raises(NonFiniteError):
        Synthesizer(path).render(*SIZE, out=tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == [path]


def test_bundle_replaced_meanwhile(make_bundle: Callable[..., Path], networks: dict[str, bytes]) -> None:
    synthesizer = Synthesizer(make_bundle())
    make_bundle(structure=networks["upscaler.onnx"])
    with pytest.raises(BundleError, match=r"structure\.onnx"):
        synthesizer.preview()


def test_missing_engine(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineError, match=r'pip install "ourgan-sdk\[cpu\]"'):
        Synthesizer(bundle_path).preview()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to a thread")
def test_interrupt_ends_a_running_network() -> None:
    """Ctrl-C in the middle of a run that would go on for minutes."""
    engine = OnnxRuntimeEngine(endless_network())
    threading.Timer(0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        engine.run({"picture": np.zeros((1, 3, 1, 1), np.float32)})
    assert time.perf_counter() - started < 10


@given(st.integers(1, (1 << 31) - 1), st.integers(1, (1 << 31) - 1), st.integers(1, 300), st.integers(1, 300))
def test_picture_sizes(height: int, width: int, trained_height: int, trained_width: int) -> None:
    sizes = picture_sizes(height, width, trained_height, trained_width)
    passes = len(sizes) - 1

    def ratio(k: int) -> float:
        area = -(-height // 4**k) * -(-width // 4**k)
        return max(area / (trained_height * trained_width), trained_height * trained_width / area)

    assert ratio(passes) <= min(ratio(k) for k in range(18)) * (1 + 1e-12)
    for (h, w), (next_h, next_w) in itertools.pairwise(sizes):
        assert (next_h, next_w) == (4 * h, 4 * w)
    last_height, last_width = sizes[-1]
    assert 0 <= last_height - height < 4**passes
    assert 0 <= last_width - width < 4**passes


def test_picture_sizes_examples() -> None:
    assert picture_sizes(4320, 8192, 107, 160)[0] == (68, 128)
    assert len(picture_sizes(32, 32, 16, 16)) == 1  # 32 x 32 and 8 x 8 are equally far from 16 x 16


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("7680x4320", (7680, 4320)),
        ("4k", (3840, 2160)),
        ("8K", (7680, 4320)),
        ("16k", (15360, 8640)),
        (" 3X5 ", (3, 5)),
    ],
)
def test_parse_size(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "5", "x", "5x", "0x5", "5x-1", "1.5x2", "2147483648x1", "5k", "9" * 30 + "x1"]
)
def test_parse_no_size(text: str) -> None:
    with pytest.raises(SizeError, match="expected"):
        parse_size(text)


def test_parse_bytes() -> None:
    assert [parse_bytes(text) for text in ("7", "1K", "1.5GiB", "512MiB", "2 gb")] == [
        7,
        1024,
        3 << 29,
        512 << 20,
        2 << 30,
    ]
    with pytest.raises(ValueError, match="an amount of memory such as 512MiB or 2G, got '-1'"):
        parse_bytes("-1")
