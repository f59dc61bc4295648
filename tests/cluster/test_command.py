"""`ourgan render --workers` and `--cluster`: the same files, and no process that outlives the command."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ourgan_sdk.cli import main
from ourgan_sdk.cluster import clusters
from tests.cluster.test_rendering import content


def started(*arguments: object) -> subprocess.Popen[str]:
    """The command in a session of its own, as one that a terminal's Ctrl-C would reach as a whole."""
    return subprocess.Popen(
        [sys.executable, "-m", "ourgan_sdk.cli", "render", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def left_of(session: int) -> list[str]:
    """Processes of a session that are there still, a moment after it has ended."""

    def left() -> list[str]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):  # it ends meanwhile
                if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
        return found

    deadline = time.monotonic() + 10
    while left() and time.monotonic() < deadline:
        time.sleep(0.05)
    return left()


def test_workers(photograph_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        str(photograph_path),
        "5000x1100",
        "--extent",
        "1",
        "--structure",
        "patches",
        "--seed",
        "2",
        "--dpi",
        "300",
        "-o",
    ]
    assert main(["render", *arguments, str(tmp_path / "one.zarr")]) == 0
    expected = capsys.readouterr().out
    with started(*arguments, tmp_path / "many.zarr", "--workers", 2) as process:
        out, err = process.communicate()
    assert process.returncode == 0
    assert content(tmp_path / "many.zarr") == content(tmp_path / "one.zarr")
    assert out.replace("many", "one").partition(", in ")[0] == expected.partition(", in ")[0]
    assert out.partition(" s; ")[2] == expected.partition(" s; ")[2] != "", "what was copied is told"
    assert all(line.startswith("render: ") for line in err.splitlines()), "nothing but the bar"
    assert left_of(process.pid) == []


def test_a_cluster_that_is_there(photograph_path: Path, tmp_path: Path, client: Any) -> None:
    arguments = [str(photograph_path), "700x500", "-o"]
    assert main(["render", *arguments, str(tmp_path / "one.dzi")]) == 0
    client.write_scheduler_file(str(tmp_path / "scheduler.json"))
    for scheduler in (client.scheduler.address, str(tmp_path / "scheduler.json")):
        assert main(["render", *arguments, str(tmp_path / "many.dzi"), "--cluster", scheduler]) == 0
        assert content(tmp_path / "many.dzi") == content(tmp_path / "one.dzi")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ended_by_a_signal(photograph_path: Path, tmp_path: Path, number: signal.Signals) -> None:
    arguments = [photograph_path, "30000x20000", "--extent", 1, "-o", tmp_path / "picture.zarr"]
    process = started(*arguments, "--workers", 2)
    with process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".*.part/picture/zarr.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.5)  # workers are at their first blocks
        if number is signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.kill()
        _, err = process.communicate()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGKILL: -9}[number]
    assert left_of(process.pid) == []
    if number is signal.SIGINT:
        assert err.splitlines()[-1] == "ourgan: interrupted"
        assert "Traceback" not in err
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.tif", "--workers", "2"], "ourgan convert a.zarr -o a.tif"),
        (["-o", "a.zarr", "--workers", "2", "--resume"], "--resume does not go with --workers and --cluster"),
        (["-o", "a.dzi", "--cluster", "b", "--pyramid"], "Deep Zoom and Zarr always are one"),
        (["-o", "a.dzi", "--cluster", "tcp://127.0.0.1:1"], "no scheduler answers at tcp://127.0.0.1:1"),
        (["-o", "a.dzi", "--cluster", "nowhere.json"], "no scheduler answers at nowhere.json"),
    ],
)
def test_refused(
    photograph_path: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clusters, "_CONNECT_SECONDS", 0.5)
    assert main(["render", str(photograph_path), "300x200", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--workers", "2", "--cluster", "tcp://a:1"]])
def test_refused_by_argparse(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["render", "300x200", "-o", "a.zarr", *arguments])
