"""Renders as jobs: files that are the canvas, progress, events, cancelling, limits, nothing left behind."""

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Box, Synthesizer
from ourgan_sdk.errors import OutputError
from ourgan_sdk.service import Settings
from ourgan_sdk.service.errors import BadRequestError, UnprocessableError
from ourgan_sdk.service.orders import parse_order
from ourgan_sdk.stopping import check_stop
from tests.service.conftest import Start, running
from tests.service.stand_in import Squares, StandIn, a_file

CANVAS = "hills~600x400~5"


def until(client: httpx.Client, path: str, *states: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (render := client.get(path).json())["state"] not in states:
        assert time.monotonic() < deadline, render
        time.sleep(0.02)
    return render


def rendered(client: httpx.Client, **order: object) -> httpx.Response:
    """The file of a render that was asked for."""
    answer = client.post("/api/renders", json={"canvas": CANVAS, **order})
    assert answer.status_code == 201, answer.text
    render = until(client, answer.headers["location"], "done", "failed")
    assert render["error"] is None
    file = client.get(render["file"])
    assert file.status_code == 200
    return file


@pytest.fixture(scope="module")
def known(folder: Path) -> Iterator[np.ndarray]:
    with Synthesizer(folder / "hills.ourgan") as synthesizer:
        yield synthesizer.canvas(600, 400, 5)[:, :]


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    work = tmp_path_factory.mktemp("work")
    with running(Settings(folder=folder, port=0, viewer=False, work=work)) as client:
        yield client
        assert len(list(work.iterdir())) == 1
    assert list(work.iterdir()) == []


def test_a_part_as_a_file(server: httpx.Client, known: np.ndarray) -> None:
    file = rendered(server, region=[100, 50, 300, 200])
    assert file.headers["content-type"] == "image/png"
    assert file.headers["content-disposition"] == 'attachment; filename="hills-5-300x200-at-100-50.png"'
    assert file.headers["cache-control"] == "no-store"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file.content))), known[50:250, 100:400])


def test_the_whole_in_16_bits(server: httpx.Client, known: np.ndarray) -> None:
    file = rendered(server, format="npy", bits=16)
    picture = np.load(io.BytesIO(file.content))
    assert (picture.shape, picture.dtype) == ((400, 600, 3), np.uint16)
    assert np.abs(picture / 257 - known).max() <= 1


def test_other_sizes(server: httpx.Client, folder: Path) -> None:
    with Synthesizer(folder / "hills.ourgan") as synthesizer:
        canvas = synthesizer.canvas(600, 400, 5).resized(1200, 800)
        large = rendered(server, width=1200, dpi=300, format="tif", pyramid=True)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(large.content))), canvas[:, :])
        part = rendered(server, region=[150, 100, 300, 200], height=400)
        expected = canvas.read(Box(200, 300, 600, 900))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(part.content))), expected)


def test_folders_come_as_archives(server: httpx.Client) -> None:
    file = rendered(server, format="dzi", region=[0, 0, 600, 400])
    assert file.headers["content-type"] == "application/zip"
    assert file.headers["content-disposition"] == 'attachment; filename="hills-5-600x400.dzi.zip"'
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert "hills-5-600x400.dzi" in names
        tiles = [name for name in names if "_files/" in name and name.endswith(".jpg")]
        assert len(tiles) > 10
        assert Image.open(io.BytesIO(archive.read(tiles[-1]))).format == "JPEG"


def test_parts_of_files(server: httpx.Client) -> None:
    answer = server.post("/api/renders", json={"canvas": CANVAS, "format": "npy", "region": [0, 0, 64, 64]})
    render = until(server, answer.headers["location"], "done")
    part = server.get(render["file"], headers={"Range": "bytes=0-5"})
    assert (part.status_code, part.content) == (206, b"\x93NUMPY")
    assert render["bytes"] == int(server.head(render["file"]).headers["content-length"])


@pytest.mark.parametrize(
    ("order", "status", "reason"),
    [
        ({"canvas": "absent~64x64~0"}, 404, "no source"),
        ({"canvas": "hills"}, 400, "SOURCE~WIDTHxHEIGHT~SEED"),
        ({}, 422, "canvas"),
        ({"canvas": CANVAS, "format": "gif"}, 422, "format"),
        ({"canvas": CANVAS, "region": [0, 0, 601, 10]}, 422, "region"),
        ({"canvas": CANVAS, "region": [0, 0, 10]}, 422, "region"),
        ({"canvas": CANVAS, "width": 100, "height": 100}, 422, "shape of the region"),
        ({"canvas": CANVAS, "width": "100"}, 422, "width"),
        ({"canvas": CANVAS, "width": 100_000}, 422, "at most 1000000 pixels"),
        ({"canvas": CANVAS, "bits": 16, "format": "jpg"}, 422, "8 bits per channel"),
        ({"canvas": CANVAS, "bits": 12}, 422, "bits"),
        ({"canvas": CANVAS, "quality": 0}, 422, "quality"),
        ({"canvas": CANVAS, "dpi": 0.1}, 422, "dpi"),
        ({"canvas": CANVAS, "path": "/etc/passwd"}, 422, "path"),
        ([], 422, "object"),
    ],
)
def test_orders_that_are_refused(start: Start, order: object, status: int, reason: str) -> None:
    client = start(max_pixels=1_000_000)
    answer = client.post("/api/renders", json=order)
    assert (answer.status_code, reason in answer.json()["error"]) == (status, True), answer.text
    assert client.get("/api/renders").json() == {"renders": []}


def test_bodies_that_are_none(server: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    for content, status in ((b"{", 400), (b"", 400), (b"\xff", 400), (b'"' + b"x" * 70_000 + b'"', 413)):
        answer = server.post("/api/renders", content=content, headers=headers)
        assert (answer.status_code, set(answer.json())) == (status, {"error"}), answer.text


def order(**asked: object) -> tuple[tuple[int, int], Box]:
    body = json.dumps({"canvas": "a~1000x600~0", **asked}).encode()
    parsed = parse_order(body, Settings(max_pixels=1 << 40, disk=1 << 50))
    return parsed.size, parsed.box


def test_where_a_part_is_in_another_size() -> None:
    assert order() == ((1000, 600), Box(0, 0, 600, 1000))
    assert order(region=[10, 20, 30, 40]) == ((1000, 600), Box(20, 10, 60, 40))
    assert order(width=500) == ((500, 300), Box(0, 0, 300, 500))
    assert order(height=1200) == ((2000, 1200), Box(0, 0, 1200, 2000))
    assert order(region=[10, 20, 30, 40], height=400) == ((10000, 6000), Box(200, 100, 600, 400))
    assert order(region=[970, 560, 30, 40], width=7, height=10) == ((250, 150), Box(140, 243, 150, 250))
    size, box = order(region=[0, 0, 999, 1], width=333, height=1)
    assert size[0] in (333, 334)
    assert (box.width, box.height) == (333, 1)
    with pytest.raises(UnprocessableError, match="2147483647"):
        order(region=[0, 0, 1, 1], width=1 << 30)
    with pytest.raises(BadRequestError, match="JSON"):
        parse_order(b"[" * 30_000, Settings())


class Saving(Squares):
    """Which writes its file in steps that it is told to make."""

    def __init__(self, go: threading.Event, work: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._go, self._work = go, work

    def save(self, path: Path, *, progress: Callable[[int, int], object], **_options: object) -> None:
        part = path.with_suffix(".part")
        part.write_bytes(b"x" * 1000)
        try:
            progress(250, 1000)
            while not self._go.wait(0.01):
                check_stop()
            self._work()
            progress(1000, 1000)
            path.write_bytes(b"file")
        finally:
            part.unlink()


@pytest.fixture
def slow(tmp_path: Path) -> SimpleNamespace:
    """A service whose renders end when `go` is set, or fail by what `fails` raises."""
    made = SimpleNamespace(go=threading.Event(), fails=lambda: None, work=tmp_path / "work")
    made.work.mkdir()

    def make() -> Saving:
        return Saving(made.go, lambda: made.fails())  # noqa: PLW0108 - which may be another one by then

    def begin(**changes: Any) -> Any:
        settings = {
            "sources": {"a": a_file(tmp_path)},
            "port": 0,
            "viewer": False,
            "work": made.work,
        } | changes
        return running(Settings(**settings), lambda *_: StandIn(make))

    made.running = begin
    return made


def ask(client: httpx.Client, seed: int = 0, **more: object) -> httpx.Response:
    return client.post("/api/renders", json={"canvas": f"a~1000x1000~{seed}", **more})


def files(slow: SimpleNamespace) -> list[str]:
    return sorted(path.name for path in slow.work.rglob("*") if path.is_file() and path.name != "lock")


def events(client: httpx.Client, path: str) -> Iterator[dict[str, Any]]:
    with client.stream("GET", f"{path}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        for line in lines:
            assert line == "event: render"
            data = next(lines)
            assert data.startswith("data: ")
            yield json.loads(data[6:])
            assert next(lines) == ""


def test_renders_wait_for_their_turn(slow: SimpleNamespace) -> None:
    with slow.running(render_queue=2) as client:
        paths = [ask(client, seed).headers["location"] for seed in range(3)]
        until(client, paths[0], "rendering")
        shown = [client.get(path).json() for path in paths]
        assert [one["state"] for one in shown] == ["rendering", "queued", "queued"]
        assert [one["position"] for one in shown] == [None, 1, 2]
        listed = client.get("/api/renders").json()["renders"]
        assert [f"/api/renders/{one['id']}" for one in listed] == paths
        refused = ask(client, 3)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert client.delete(paths[1]).status_code == 204
        assert client.get(paths[2]).json()["position"] == 1
        assert ask(client, 3).status_code == 201
        slow.go.set()
        for path in (paths[0], paths[2]):
            assert until(client, path, "done")["file"] == f"{path}/file"
        text = client.get("/metrics").text
        assert 'ourgan_renders{state="done"} ' in text
    assert files(slow) == []


def test_events(slow: SimpleNamespace) -> None:
    with slow.running() as client:
        path = ask(client).headers["location"]
        stream = events(client, path)
        seen = [next(stream)]
        while not seen[-1]["done"]:
            seen.append(next(stream))
        assert (seen[-1]["state"], seen[-1]["done"], seen[-1]["total"]) == ("rendering", 250, 1000)
        time.sleep(1.0)  # until one can tell how long it takes
        rendering = next(stream)
        assert rendering["left"] == pytest.approx(3 * rendering["seconds"], rel=0.2)
        slow.go.set()
        last = list(stream)[-1]  # which ends by itself
        assert (last["state"], last["left"], last["bytes"]) == ("done", None, 4)
        assert list(events(client, path))[-1]["state"] == "done"
        assert client.get(last["file"]).content == b"file"


def test_cancelling(slow: SimpleNamespace) -> None:
    with slow.running() as client:
        path = ask(client).headers["location"]
        until(client, path, "rendering")
        stream = events(client, path)
        next(stream)
        while not files(slow):
            time.sleep(0.01)
        assert client.get(f"{path}/file").status_code == 404
        assert client.delete(path).status_code == 204
        assert files(slow) == []
        assert list(stream)[-1]["state"] == "cancelled"
        for method, what in (("GET", ""), ("GET", "/events"), ("GET", "/file"), ("DELETE", "")):
            assert client.request(method, f"{path}{what}").status_code == 404
        slow.go.set()
        done = ask(client).headers["location"]
        until(client, done, "done")
        assert client.delete(done).status_code == 204
        assert files(slow) == []


def test_failures(slow: SimpleNamespace) -> None:
    slow.go.set()
    with slow.running() as client:
        for error, told in (
            (OutputError(f"cannot write {slow.work}: the disk is full"), "the disk is full"),
            (RuntimeError("/some/path/of/the/machine"), "the service failed; its log says why"),
            (MemoryError(), "out of memory"),
        ):
            slow.fails = lambda error=error: (_ for _ in ()).throw(error)
            render = until(client, ask(client).headers["location"], "failed", "done")
            assert render["state"] == "failed"
            assert told in render["error"]
            assert files(slow) == []


def test_a_deadline(slow: SimpleNamespace) -> None:
    with slow.running(render_deadline=100) as client:
        render = until(client, ask(client, timeout=0.3).headers["location"], "failed")
        assert render["error"] == "not done within 0.3 seconds"
        assert files(slow) == []
        slow.go.set()
        assert until(client, ask(client).headers["location"], "done", "failed")["state"] == "done"


def test_files_have_a_share_of_the_disk(slow: SimpleNamespace) -> None:
    slow.go.set()
    with slow.running(disk=5_000_000) as client:
        assert ask(client, format="png").status_code == 201  # 3 MB of pixels, and what a file has besides
        assert ask(client, bits=16, format="npy").status_code == 422
        first = client.get("/api/renders").json()["renders"][0]
        until(client, f"/api/renders/{first['id']}", "done")
        assert ask(client).status_code == 201  # a file is as large as it has become
        slow.go.clear()


def test_a_disk_that_is_full_of_renders(slow: SimpleNamespace) -> None:
    with slow.running(disk=7_000_000) as client:
        assert ask(client).status_code == 201
        refused = ask(client, 1)
        assert (refused.status_code, "fill the disk" in refused.json()["error"]) == (503, True)


def test_files_go_after_their_time(slow: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ourgan_sdk.service.app._EXPIRY_SECONDS", 0.05)
    slow.go.set()
    with slow.running(render_ttl=0.5) as client:
        path = ask(client).headers["location"]
        until(client, path, "done")
        deadline = time.monotonic() + 20
        while client.get(path).status_code != 404 or files(slow):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_service_that_ends_takes_its_renders_along(slow: SimpleNamespace) -> None:
    with slow.running() as client:
        path = ask(client).headers["location"]
        until(client, path, "rendering")
        ask(client, 1)
        told: list[dict[str, Any]] = []
        watching = threading.Thread(target=lambda: told.extend(_watch(f"{client.base_url}{path}")))
        watching.start()
        while not told and watching.is_alive():
            time.sleep(0.01)
    watching.join(10)
    assert told[-1]["state"] == "cancelled"
    assert list(slow.work.iterdir()) == []


def _watch(url: str) -> Iterator[dict[str, Any]]:
    with httpx.Client(timeout=30) as client:
        yield from events(client, url)
