"""Pictures with a mask, read by several threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import Canvas, Synthesizer
from ourgan_sdk.blending import BlendedRenderer


def make_canvas(path: Path) -> Canvas:
    """Of two levels, each of which takes a smaller picture than the one given."""
    start = np.random.default_rng(3).integers(0, 256, (500, 750, 3), np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[10:20, 10:30] = True
    synthesizer = Synthesizer(path, structure="patches")
    return synthesizer.canvas(600, 400, extent=0.5, start=start, start_scale=2, mask=mask)


def test_threads_that_read_different_levels(photograph_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both keep what they have reduced before either of them uses it."""
    whole = make_canvas(photograph_path)
    both_have_kept = threading.Barrier(2)
    kept: dict[int, object] = {}

    def keep(renderer: BlendedRenderer, reduced: object) -> None:
        kept[id(renderer)] = reduced
        if reduced:
            both_have_kept.wait(20)

    canvas = make_canvas(photograph_path)
    with monkeypatch.context() as patch:
        stand_in = property(lambda renderer: kept.get(id(renderer), {}), keep)
        patch.setattr(BlendedRenderer, "_reduced", stand_in, raising=False)
        with ThreadPoolExecutor(2) as threads:
            pictures = list(threads.map(lambda level: canvas.read(level=level), (0, 1)))
    for level, picture in zip((0, 1), pictures, strict=True):
        np.testing.assert_array_equal(picture, whole.read(level=level))
