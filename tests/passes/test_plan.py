"""Plans: within the memory limit, with little recomputed, and smaller where memory runs out."""

import gc
import logging
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ourgan_sdk import Box, BudgetError, EngineError, RenderStats, Synthesizer
from ourgan_sdk.engines import TileFormat, WindowRules
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.errors import EngineMemoryError
from ourgan_sdk.passes.cache import TileCache
from ourgan_sdk.passes.plan import Plan, from_structure, make_plan
from ourgan_sdk.system import memory
from ourgan_sdk.system.memory import LARGEST_DEFAULT, available_memory, default_memory_limit

SIZE = (421, 293)


def sample_plan(width: int, height: int, limit: int = LARGEST_DEFAULT, **rules: object) -> Plan:
    one = WindowRules(**rules)
    chain = from_structure(Synthesizer().bundle.manifest, height, width)
    return make_plan(chain, limit, lambda _upscaler, _is_last: one)


@pytest.mark.parametrize("size", [(7680, 4320), (8192, 4320), (15360, 8640), (16384, 10912)])
def test_large_passes_recompute_at_most_a_tenth(size: tuple[int, int]) -> None:
    plan = sample_plan(*size)
    assert plan.grids[-1].recomputation <= 0.1
    windows = sum((1 + grid.recomputation) * grid.height * grid.width for grid in plan.grids)
    assert windows / sum(grid.height * grid.width for grid in plan.grids) - 1 <= 0.1


@given(st.integers(1, 200_000), st.integers(1, 200_000), st.integers(28, 34))
def test_tiles_and_bands_fit_the_limit(width: int, height: int, power: int) -> None:
    plan = sample_plan(width, height, limit := 1 << power)
    slots = 2 * 4 * 3 * (1 + 16)
    taken = 0
    for grid, upscaler in zip(plan.grids, plan.upscalers, strict=True):
        taken += grid.window_height * grid.window_width * (upscaler.bytes_per_pixel + slots)
        taken += grid.window_height * grid.width * 4 * 4 * 3 * 4  # four bands of 8 bits
    assert taken <= limit


def test_rules_of_engines() -> None:
    aligned = sample_plan(8192, 4320, alignment=64)
    assert all(side % 64 == 0 for window in aligned.windows for side in window)
    assert set(sample_plan(8192, 4320, window=(256, 320)).windows) == {(256, 320)}
    limited = sample_plan(8192, 4320, largest_tensor=1 << 20)
    for (height, width), upscaler in zip(limited.windows, limited.upscalers, strict=True):
        assert height * width * upscaler.bytes_per_pixel // 4 <= 1 << 20


def test_too_small_a_limit() -> None:
    for limit, width in ((1000, 8192), (1 << 26, 400_000), (768 << 20, 1 << 31)):
        with pytest.raises(
            BudgetError, match=f"memory_limit is {limit} bytes, too little for .*{width} x "
        ) as info:
            sample_plan(width, 4320, limit)
        enough = int(str(info.value).rpartition(" ")[2])
        assert sample_plan(width, 4320, enough).memory_limit == enough
        with pytest.raises(BudgetError):
            sample_plan(width, 4320, enough * 31 // 32 - 2)


def test_default_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < available_memory() <= psutil.virtual_memory().total
    monkeypatch.setattr(memory, "available_memory", lambda: 10 << 30)
    assert default_memory_limit() == LARGEST_DEFAULT
    monkeypatch.setattr(memory, "available_memory", lambda: 1 << 30)
    assert default_memory_limit() == 256 << 20


class Starving:
    """Makes an engine run out of memory for windows of more than `pixels`, from the given call on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pixels: int, first: int = 0) -> None:
        self.calls = self.refused = 0
        bind = OnnxRuntimeEngine.bind_arrays

        def starved(engine: OnnxRuntimeEngine, tile: np.ndarray, result: np.ndarray) -> object:
            run = bind(engine, tile, result)

            def call() -> None:
                self.calls += 1
                if self.calls > first and tile.shape[2] * tile.shape[3] > pixels:
                    self.refused += 1
                    raise EngineMemoryError("no memory")
                run()

            return call

        monkeypatch.setattr(OnnxRuntimeEngine, "bind_arrays", starved)


@pytest.mark.parametrize("first", [0, 2, 4])
def test_goes_on_with_smaller_windows(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, first: int
) -> None:
    limit = 8_000_000
    expected = Synthesizer(bundle_path, memory_limit=limit).render(*SIZE, seed=3)
    starving = Starving(monkeypatch, pixels=400, first=first)
    canvas = Synthesizer(bundle_path, memory_limit=limit).canvas(*SIZE, seed=3)
    calls: list[tuple[int, int]] = []
    with caplog.at_level(logging.WARNING):
        picture = canvas.read(progress=lambda *call: calls.append(call))
    assert starving.refused >= 1
    assert len(caplog.records) == 1
    assert "going on with a memory limit of" in caplog.text
    assert np.abs(picture.astype(int) - expected).max() <= 1
    assert calls[-1][0] == calls[-1][1] == calls[0][1]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    caplog.clear()
    np.testing.assert_array_equal(canvas[:], canvas.read())  # by the smaller plan from the start
    assert not caplog.records


def test_two_threads_that_run_out_of_memory(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 8_000_000
    expected = Synthesizer(bundle_path, memory_limit=limit).canvas(*SIZE)[10:200, 10:300]
    canvas = Synthesizer(bundle_path, memory_limit=limit).canvas(*SIZE)
    bind = OnnxRuntimeEngine.bind_arrays

    def starved(engine: OnnxRuntimeEngine, tile: np.ndarray, result: np.ndarray) -> object:
        run = bind(engine, tile, result)

        def call() -> None:
            if tile.shape[2] * tile.shape[3] > 400:
                monkeypatch.setattr(OnnxRuntimeEngine, "bind_arrays", bind)
                canvas._renderer.lower_memory_limit(limit // 8)  # as the other thread does, which then has
                canvas[10:200, 10:300]  # rendered all that is wanted here
                raise EngineMemoryError("no memory")
            run()

        return call

    monkeypatch.setattr(OnnxRuntimeEngine, "bind_arrays", starved)
    assert np.abs(canvas[10:200, 10:300].astype(int) - expected).max() <= 1


def test_a_callback_may_raise_memory_errors(bundle_path: Path) -> None:
    def cancel(_done: int, _total: int) -> None:
        raise MemoryError("mine")

    canvas = Synthesizer(bundle_path).canvas(*SIZE)
    windows = canvas._renderer.plan.windows
    with pytest.raises(MemoryError, match="mine"):
        canvas.read(progress=cancel)
    assert canvas._renderer.plan.windows == windows


def test_smaller_tiles_do_not_help_the_structure(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def starved(*_: object) -> None:
        raise EngineMemoryError("no memory")

    monkeypatch.setattr(OnnxRuntimeEngine, "run", starved)
    with pytest.raises(EngineError, match="a structure of 27 x 19 does not fit into memory: no memory"):
        Synthesizer(bundle_path).render(*SIZE)
    assert not caplog.records


def test_without_any_memory_it_fails(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Starving(monkeypatch, pixels=0)
    with pytest.raises(EngineMemoryError, match="no memory"):
        Synthesizer(bundle_path).render(*SIZE)


STARVED = """
import resource, sys
import numpy as np
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
engine = OnnxRuntimeEngine(open(sys.argv[1], "rb").read(), threads=1)
engine.run({"picture": np.zeros((1, 3, 8, 8), np.float32)})
large = np.zeros((1, 3, 1500, 1500), np.float32)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (60 << 20), -1))
try:
    engine.run({"picture": large})
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process's address space")
def test_an_engine_out_of_memory_says_so(tmp_path: Path, networks: dict[str, bytes]) -> None:
    path = tmp_path / "upscaler.onnx"
    path.write_bytes(networks["upscaler.onnx"])
    result = subprocess.run(
        [sys.executable, "-c", STARVED, str(path)], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == EngineMemoryError.__name__, result.stderr
    assert issubclass(EngineMemoryError, EngineError)
    assert issubclass(EngineMemoryError, MemoryError)


def test_cache_is_bounded_and_drops_the_oldest() -> None:
    cache = TileCache(100)
    pictures = {key: np.zeros((1, 10, 3), np.uint8) for key in "abcd"}
    for key in "abc":
        cache.put(key, pictures[key])
    assert cache.get("a") is pictures["a"]
    cache.put("d", pictures["d"])
    assert cache.size == 90
    assert cache.get("b") is None
    assert cache.get("a") is pictures["a"]
    cache.put("large", np.zeros((10, 10, 3), np.uint8))
    assert cache.get("large") is None
    gone = weakref.ref(pictures["b"])
    del pictures
    gc.collect()
    assert gone() is None


def test_regions_are_kept_within_a_quarter_of_the_limit(bundle_path: Path) -> None:
    canvas = Synthesizer(bundle_path, memory_limit=2_000_000).canvas(*SIZE)
    cache = canvas._renderer.plan.cache
    for y in range(0, 280, 20):
        canvas[y : y + 30, : SIZE[0] - 1]
        assert cache.size <= 500_000
    first, again = RenderStats(), RenderStats()
    small = Synthesizer(bundle_path, memory_limit=8_000_000).canvas(*SIZE)
    np.testing.assert_array_equal(
        small.levels[0][5:50, 10:90],
        small.read(Box(5, 10, 50, 90), stats=first),
    )
    small.read(Box(5, 10, 50, 90), stats=again)
    assert first.tiles == again.tiles == again.engine_seconds == 0


def test_a_device_gets_windows_where_the_host_has_room_for_larger_ones() -> None:
    """On a device a window takes more than on the host: the shares of earlier passes heed that as well."""
    tile_format = TileFormat("float16", "uint8", interleaved=True)
    for limit in (24 << 20, 64 << 20, 768 << 20):
        plan = sample_plan(8192, 4320, limit, on_device=True, slots=3, alignment=16, format=tile_format)
        taken = 0
        for grid, upscaler in zip(plan.grids, plan.upscalers, strict=True):
            assert grid.window_height % 16 == grid.window_width % 16 == 0
            slots = 3 * 3 * (2 + 16)
            taken += grid.window_height * grid.window_width * (upscaler.bytes_per_pixel + slots)
        assert limit / 4 < taken <= limit


@pytest.mark.parametrize(("size", "rows"), [((8192, 4320), 4), ((3840, 2160), 2), ((640, 360), 1)])
def test_what_is_rendered_last_is_a_small_part(size: tuple[int, int], rows: int) -> None:
    """Where memory would allow fewer bands; as long as these are many halos high."""
    plan = sample_plan(*size, 1 << 36)
    assert plan.grids[-1].rows == rows
    assert all(grid.rows == 1 for grid in plan.grids[:-1])
