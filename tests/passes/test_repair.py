"""Tiles that overflow in half precision: rendered again in float32, counted and logged, never written."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import Box, NonFiniteError, RenderStats, Synthesizer
from ourgan_sdk.arrays import Tensor
from ourgan_sdk.engines import selection
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from tests.conftest import upscaler_network

SIZE = (1200, 900)


class OverflowingEngine(OnnxRuntimeEngine):
    """Pretends to compute in half precision, and every third tile is not finite somewhere."""

    NAME = "overflowing"
    precision = "fp16"
    tiles = 0

    def bind_arrays(self, tile: Tensor, result: Tensor) -> Callable[[], None]:
        run = super().bind_arrays(tile, result)

        def overflow() -> None:
            run()
            OverflowingEngine.tiles += 1
            if OverflowingEngine.tiles % 3 == 0:
                middle = tuple(side // 2 for side in result.shape[2:])
                result[(0, 1, *middle)] = (np.nan, np.inf)[OverflowingEngine.tiles % 2]

        return overflow


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OverflowingEngine, "tiles", 0)
    monkeypatch.setattr(selection, "ENGINES", [OverflowingEngine, OnnxRuntimeEngine])


def level(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(np.int64) - other).max())


def test_damaged_tiles_are_rendered_again(
    bundle_path: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    limit = 8 << 20  # for many tiles
    expected = Synthesizer(bundle_path, engine="onnxruntime", memory_limit=limit).render(*SIZE)
    synthesizer = Synthesizer(bundle_path, engine="overflowing", memory_limit=limit)
    for out in (None, tmp_path / "picture.npy"):  # by way of the cache, and without
        caplog.clear()
        stats = RenderStats()
        picture = synthesizer.render(*SIZE, out=out, stats=stats)
        picture = picture if out is None else np.load(out)
        assert stats.tiles > 20
        assert abs(stats.repaired_tiles - stats.tiles // 3) <= 1
        assert level(picture, expected) <= 1
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 3
        for record, number in zip(warnings, (1, 4, 16), strict=True):
            words = rf"is not finite in fp16: rendered again in fp32, as the {number}\. of this render"
            assert re.search(words, record.getMessage())


def test_regions_are_repaired_as_well(bundle_path: Path) -> None:
    expected = Synthesizer(bundle_path, engine="onnxruntime").canvas(*SIZE)
    canvas = Synthesizer(bundle_path, engine="overflowing").canvas(*SIZE)
    for box in (Box(77, 101, 703, 1003), Box(0, 0, 900, 1200), Box(500, 300, 501, 301)):
        assert level(canvas.read(box), expected.read(box)) <= 1


def test_a_network_that_overflows_in_float32_too_is_an_error(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_bundle(upscaler=upscaler_network(damaged=True))
    with pytest.raises(NonFiniteError, match=r"tile of upscaler.onnx at \(0, 0\) .* in fp32 as well"):
        Synthesizer(path, engine="overflowing").render(*SIZE, out=tmp_path / "picture.png")
    with pytest.raises(NonFiniteError, match=r"tile of upscaler.onnx at \(0, 0\) .* has values"):
        Synthesizer(path, engine="onnxruntime").render(*SIZE, out=tmp_path / "picture.png")
    assert not list(tmp_path.glob("picture*"))
