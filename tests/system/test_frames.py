"""What errors hold on to that somebody keeps: no windows, bands or pictures."""

from __future__ import annotations

import traceback
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from ourgan_sdk import OutputError, Synthesizer
from ourgan_sdk.system.frames import empty_frames, holding_nothing


class StopRenderingError(Exception):
    pass


@pytest.mark.parametrize("output", ["array", "file"])
def test_kept_errors_of_cancelled_renders_are_small(bundle_path: Path, tmp_path: Path, output: str) -> None:
    """Eight of them held 740 MB."""
    synthesizer = Synthesizer(bundle_path, detail="network", memory_limit=64 << 20)

    def stop(done: int, total: int) -> None:
        if done > total // 4:
            raise StopRenderingError

    def render() -> None:
        if output == "file":
            synthesizer.render(3000, 2000, out=tmp_path / "a.npy", progress=stop)
        synthesizer.render(3000, 2000, progress=stop)

    process, errors = psutil.Process(), []
    with pytest.raises(StopRenderingError):
        render()
    before = process.memory_info().rss
    for _ in range(8):
        with pytest.raises(StopRenderingError) as caught:
            render()
        errors.append(caught)
    assert process.memory_info().rss - before < 60e6
    assert list(tmp_path.iterdir()) == []
    names = {frame.name for frame in traceback.extract_tb(errors[0].value.__traceback__)}
    assert {"stop", "render", "bands"} <= names  # where it happened is still told


def test_errors_of_an_encoder_hold_nothing(tmp_path: Path) -> None:
    from ourgan_sdk.writers.base import EncodingWriter, Properties  # noqa: PLC0415

    class Band(np.ndarray[Any, Any]):
        pass

    def fail(bands: Any, *_: object) -> None:
        next(bands)
        raise OSError(28, "No space left on device")

    writer = EncodingWriter(
        tmp_path / "a", Properties(4, 4, np.dtype(np.uint8), 95, False, None, ""), fail, tmp_path / "b"
    )
    band = np.zeros((2, 4, 3), np.uint8).view(Band)
    alive = weakref.ref(band)
    writer.start()
    writer.write(band)
    del band
    with pytest.raises(OutputError) as caught:
        writer.write(np.zeros((2, 4, 3), np.uint8)), writer.finish()
    writer.stop()
    assert caught.value.__cause__ is not None
    assert alive() is None


def test_frames_of_others_stay() -> None:
    def fail() -> None:
        mine = [1]
        raise ZeroDivisionError(mine)

    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    empty_frames(caught.value)
    assert caught.value.__traceback__ is not None
    last = list(traceback.walk_tb(caught.value.__traceback__))[-1][0]
    assert last.f_locals == {"mine": [1]}


def test_what_is_returned_and_raised_is_the_same() -> None:
    error = ZeroDivisionError("here")

    @holding_nothing()
    def work(number: int) -> int:
        """Its words."""
        if number == 0:
            raise error
        return number

    assert work(5) == 5
    assert work.__doc__ == "Its words."
    with pytest.raises(ZeroDivisionError) as caught:
        work(0)
    assert caught.value is error
