"""`ourgan serve` as a program: what it says, how signals end it, and what it refuses to start with."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ourgan_sdk.cli import main
from tests.service.test_renders import until

TOKEN = "a-token-of-some-length"


@contextmanager
def program(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command, and the URL that it has printed."""
    command = [sys.executable, "-m", "ourgan_sdk.cli", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.match(r"serving at (http://\S+)", line)
            assert match, (line, process.stderr.read() if process.stderr and process.poll() else "")
            yield process, match[1]
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_well(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    with program(folder, "--work", tmp_path, "--no-viewer") as (process, url):
        with httpx.Client(base_url=url, timeout=30) as client:
            order = {"canvas": "hills~30000x20000~0", "format": "tif"}
            path = client.post("/api/renders", json=order).headers["location"]
            until(client, path, "rendering")
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_token_from_a_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with program(folder, "--token-file", file, "--host", "0.0.0.0", "--work", tmp_path) as (_, url):
        assert httpx.get(f"{url}/api/sources").status_code == 401
        answer = httpx.get(f"{url}/api/sources", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["serve", *map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_what_it_does_not_start_with(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OURGAN_TOKEN", raising=False)
    (tmp_path / "a photo.jpg").touch()
    (tmp_path / "empty").touch()
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "a.jpg").touch()
    (tmp_path / "two" / "a.jpg").touch()
    assert "needs a token" in refusal(capsys, "--host", "0.0.0.0")
    assert "no file" in refusal(capsys, tmp_path / "absent.jpg")
    assert "cannot be called 'a photo'" in refusal(capsys, tmp_path / "a photo.jpg")
    assert "one folder at most" in refusal(capsys, tmp_path / "one", tmp_path / "two")
    assert "would be called a" in refusal(capsys, tmp_path / "one" / "a.jpg", tmp_path / "two" / "a.jpg")
    assert "cannot read a token" in refusal(capsys, "--token-file", tmp_path / "absent")
    assert "expected a token in its first line" in refusal(capsys, "--token-file", tmp_path / "empty")
    assert "expected port to be from 0" in refusal(capsys, "--port", "70000")
    assert "few" in refusal(capsys, "--memory", "70MiB")
    monkeypatch.setenv("OURGAN_TOKEN", "short")
    assert "token of 16 to 512" in refusal(capsys)


def test_other_commands_take_none_of_its_libraries() -> None:
    libraries = ("starlette", "uvicorn", "prometheus_client", "pyvips")
    code = f"import ourgan_sdk.cli, sys; print([name for name in {libraries} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(("seconds", "signals"), [(0.3, 1), (1000, 2)])
def test_work_that_does_not_end_keeps_nothing(tmp_path: Path, seconds: float, signals: int) -> None:
    command = [sys.executable, "-m", "tests.service.stuck", str(tmp_path), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            url = process.stdout.readline().strip()
            path = "/iiif/3/a~1000x1000~0"
            httpx.get(f"{url}{path}/info.json").raise_for_status()
            assert process.stdout.readline() == "stuck\n"
            for number in range(signals):
                process.send_signal(signal.SIGTERM)
                if number == 0 and signals > 1:
                    response = httpx.get(f"{url}{path}/0,0,64,64/max/0/default.jpg")
                    assert response.status_code == 503
                    assert "shut down" in response.json()["error"]
                    assert response.headers["retry-after"]
            assert process.wait(20) == 1
            assert "1 canvases" in process.stderr.read()
        finally:
            if process.poll() is None:
                process.kill()
    assert list((tmp_path / "work").iterdir()) == []
