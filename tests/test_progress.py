"""What a person sees of a bar, on a terminal and in a log."""

import contextlib
import fcntl
import io
import os
import re
import struct
import sys
import termios
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ourgan_sdk.progress import progress_bar, reporting

LINE = re.compile(
    r"steps: +(\d+)%, (\d+)/100, (\d\d:\d\d) elapsed, (\d\d:\d\d|\?) left,  ?[\d.]+(s/step|step/s)"
)


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def work(clock: Clock, seconds: float = 0.5, steps: int = 100) -> None:
    with progress_bar(100, "steps", unit="step") as bar:
        for _ in range(steps):
            clock.now += seconds
            bar.update()


def on_terminal(
    monkeypatch: pytest.MonkeyPatch,
    show: Callable[[], None],
    encoding: str = "utf-8",
    size: tuple[int, int] = (40, 100),
) -> str:
    """What `show` writes to stderr where that is a terminal; a `size` of zeros is one that is not known."""
    controller, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
    with ThreadPoolExecutor(1) as thread, io.FileIO(controller) as screen:
        written = thread.submit(read_to_the_end, screen)  # while it is written: a terminal holds only so much
        with os.fdopen(terminal, "w", encoding=encoding) as stderr, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stderr)
            show()
        return written.result().decode(encoding)


def read_to_the_end(screen: io.FileIO) -> bytes:
    written = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody has the terminal open any more
        while part := screen.read(1 << 12):
            written += part
    return written


def test_a_log_gets_whole_lines_every_few_seconds(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    work(clock)
    text = capsys.readouterr().err
    assert "\r" not in text
    assert text.endswith("\n")
    lines = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(lines)
    assert [line[1] for line in lines if line] == [str(share) for share in range(10, 101, 10)]
    assert text.splitlines()[3] == "steps:  40%, 40/100, 00:20 elapsed, 00:30 left,  2.00step/s"
    assert text.splitlines()[-1] == "steps: 100%, 100/100, 00:50 elapsed, 00:00 left,  2.00step/s"


def test_slow_steps_get_a_line_each(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, 20.0, 3)
    assert [line.split(",")[1] for line in capsys.readouterr().err.splitlines()] == [
        " 1/100",
        " 2/100",
        " 3/100",
    ]


def test_a_log_gets_one_line_about_short_work(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, 1 / 64)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("steps: 100%, 100/100, 00:01 elapsed")


def test_a_log_tells_how_far_work_came_that_failed(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with progress_bar(100, "steps", unit="step", done=20) as bar:
            bar.update(17)
            clock.now += 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("steps:  37%, 37/100, 00:01 elapsed")


def test_what_is_added_to_a_bar_makes_no_lines_of_its_own(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(100, "steps", unit="step") as bar:
        for step in range(100):
            clock.now += 1 / 8
            bar.set_postfix(loss=step / 2)
            bar.refresh()
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(", ")[-1] for line in lines] == ["loss=19.5", "loss=39.5", "loss=49.5"]


def test_a_render_in_a_log(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(True, 4) as advance:
        for _ in range(4):
            clock.now += 4
            advance(1)
    assert capsys.readouterr().err == (
        "render:  50%, 00:08 elapsed, 00:08 left\n"
        "render: 100%, 00:16 elapsed, 00:00 left\n"
    )  # fmt: skip


@pytest.mark.parametrize(("seconds", "lines"), [(1.0, 0), (3.0, 1)])
def test_a_bar_that_waits_says_nothing_before(
    clock: Clock, capsys: pytest.CaptureFixture[str], seconds: float, lines: int
) -> None:
    with reporting(True, 2, delay=2.0) as advance:
        clock.now += seconds
        advance(2)
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_silence(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(1, "steps", unit="step", silent=True) as bar:
        clock.now += 10
        bar.update()
        bar.set_postfix(loss=1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("size", [(40, 100), (0, 0), (0, 100), (40, 0)])
def test_a_terminal_is_drawn_again(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    counted = on_terminal(monkeypatch, lambda: work(clock), size=size)
    assert counted.count("\r") > 50
    assert counted.count("\n") == 1
    assert "| 40/100 [00:20<00:30" in counted

    def render() -> None:
        with reporting(True, 2) as advance:
            clock.now += 1
            advance(2)

    assert "render 100% |" in on_terminal(monkeypatch, render)


def test_characters_that_a_stream_does_not_know(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def show() -> None:
        with progress_bar(1, "Höhe 7 · 5 \udcff", unit="step") as bar:
            clock.now += 1
            bar.update()

    assert "H?he 7 ? 5 ?: 100%" in on_terminal(monkeypatch, show, "ascii")
    for encoding, expected in (("ascii", "H?he 7 ? 5 ?"), ("utf-8", "Höhe 7 · 5 ?")):
        path = tmp_path / encoding
        with path.open("w", encoding=encoding) as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            show()
        assert path.read_text(encoding).startswith(f"{expected}: 100%, 1/1, ")


def test_without_a_stream(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        work(clock)


def test_a_stream_that_is_closed_meanwhile(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress_bar(2, "steps", unit="step") as bar:
        clock.now += 10
        bar.update()
        assert log.getvalue().startswith("steps:  50%")
        log.close()
        clock.now += 10
        bar.update()


def test_a_stream_that_can_do_nothing_but_write(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Stream:
        def write(self, text: str) -> None:
            written.append(text)

    monkeypatch.setattr(sys, "stderr", Stream())
    work(clock, 4.0, 2)
    assert "".join(written) == "steps:   2%, 2/100, 00:08 elapsed, 06:32 left,  4.00s/step\n"
