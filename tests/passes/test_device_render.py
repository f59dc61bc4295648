"""Whole renders through an engine on a device: same pixels whatever its timing, clean ends whatever fails."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ourgan_sdk import Box, EngineError, RenderStats, Synthesizer
from ourgan_sdk.engines import selection
from tests.fake_cuda import OUT_OF_MEMORY, FakeCuda
from tests.fake_cuda.repeating import CpuEngine, DeviceEngine

SIZE = (1200, 900)
LIMIT = 8 << 20  # for many tiles


@pytest.fixture(autouse=True)
def _engines(monkeypatch: pytest.MonkeyPatch, fake_cuda: FakeCuda) -> None:
    monkeypatch.setattr(DeviceEngine, "fake", fake_cuda, raising=False)
    monkeypatch.setattr(selection, "ENGINES", [DeviceEngine, CpuEngine])


def synthesizer(path: Path, device: str = "cuda", limit: int = LIMIT) -> Synthesizer:
    return Synthesizer(path, engine="repeating", device=device, memory_limit=limit)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_do_not_depend_on_timing(bundle_path: Path, fake_cuda: FakeCuda, dtype: Any) -> None:
    expected = synthesizer(bundle_path, "cpu").render(*SIZE, 5, dtype=dtype)
    for jitter in (0, 0.3, 1):
        fake_cuda.set_jitter(jitter)
        stats = RenderStats()
        picture = synthesizer(bundle_path).render(*SIZE, 5, dtype=dtype, stats=stats)
        np.testing.assert_array_equal(picture, expected)
        assert stats.tiles > 30
        assert stats.repaired_tiles == 0


def test_regions_equal_the_whole(bundle_path: Path, fake_cuda: FakeCuda) -> None:
    fake_cuda.set_jitter(0.2)
    whole = synthesizer(bundle_path).render(*SIZE)
    canvas = synthesizer(bundle_path).canvas(*SIZE)
    for box in (Box(77, 101, 703, 1003), Box(0, 0, 900, 1200), Box(500, 300, 501, 301)):
        np.testing.assert_array_equal(canvas.read(box), whole[box.y0 : box.y1, box.x0 : box.x1])


def test_a_device_with_little_memory_gets_smaller_windows(bundle_path: Path, fake_cuda: FakeCuda) -> None:
    expected = synthesizer(bundle_path, "cpu").render(*SIZE)
    fake_cuda.set_memory(2 << 20)
    np.testing.assert_array_equal(synthesizer(bundle_path).render(*SIZE), expected)


@pytest.mark.parametrize("call", ["cuMemAlloc", "cuMemHostAlloc", "copy in", "copy out", "launch", "kernel"])
@pytest.mark.parametrize("successes", [0, 7])
def test_a_failing_device_ends_the_render(
    bundle_path: Path, fake_cuda: FakeCuda, tmp_path: Path, call: str, successes: int
) -> None:
    renderer = synthesizer(bundle_path)
    renderer.canvas(*SIZE)  # opens the engines
    fake_cuda.fail(call, successes, lose_device=True)
    with pytest.raises(EngineError):
        renderer.render(*SIZE, out=tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


def test_a_render_goes_on_where_one_allocation_fails(bundle_path: Path, fake_cuda: FakeCuda) -> None:
    expected = synthesizer(bundle_path, "cpu").render(*SIZE)
    renderer = synthesizer(bundle_path)
    renderer.canvas(*SIZE)
    fake_cuda.fail("cuMemAlloc", 5, OUT_OF_MEMORY)
    np.testing.assert_array_equal(renderer.render(*SIZE), expected)
