"""The service on small bundles: what it offers, that its tiles are the canvas's own, and how it refuses."""

import io
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Box, Layout, Synthesizer
from ourgan_sdk.errors import BudgetError
from ourgan_sdk.service import Settings
from ourgan_sdk.service.canvases import Opened
from ourgan_sdk.service.effort import check_work, limits_of
from ourgan_sdk.service.iiif import Limits, parse_request
from ourgan_sdk.stopping import check_stop
from tests.service.conftest import Start, running
from tests.service.stand_in import Squares, StandIn, a_file


def pixels(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def number(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(name)))


def test_what_there_is(client: httpx.Client) -> None:
    answer = client.get("/api/sources").json()
    assert answer["sources"] == [
        {
            "name": "hills",
            "kind": "bundle",
            "width": 1000,
            "height": 640,
            "detail": ["photograph", "network"],
            "structures": ["patches", "network"],
            "default": {"width": 1000, "height": 640},
        },
        {
            "name": "networks",
            "kind": "bundle",
            "width": 180,
            "height": 120,
            "detail": ["network"],
            "structures": ["network"],
            "default": {"width": 180, "height": 120},
        },
    ]
    assert answer["limits"] | {"side": 1 << 20, "pixels": 4_000_000_000, "tile": 512} == answer["limits"]
    assert {"png", "tif", "jpg", "webp", "dzi", "npy"} <= set(answer["formats"])
    assert answer["canvas"]["variety"] == [0, 1]


@pytest.mark.parametrize(
    ("name", "asked", "modes"),
    [
        ("hills~1500x900~3", {}, {}),
        (
            "hills~1500x900~3~structure=patches~variety=0.2~symmetric=x",
            {"variety": 0.2, "symmetric": "x"},
            {"structure": "patches"},
        ),
        ("hills~1500x900~3~detail=network", {}, {"detail": "network"}),
        ("networks~700x500~9", {}, {}),
    ],
)
def test_tiles_are_the_canvas(
    client: httpx.Client, folder: Path, name: str, asked: dict, modes: dict
) -> None:
    source, size, seed = name.split("~")[:3]
    width, height = map(int, size.split("x"))
    with Synthesizer(folder / f"{source}.ourgan", **modes) as synthesizer:
        canvas = synthesizer.canvas(width, height, int(seed), layout=Layout(**asked))
        tile = pixels(client.get(f"/iiif/3/{name}/512,0,100,300/max/0/default.png"))
        assert np.array_equal(tile, canvas.read(Box(0, 512, 300, 612)))
        small = pixels(client.get(f"/iiif/3/{name}/0,0,512,480/128,120/0/default.png"))
        assert np.array_equal(small, canvas.view(Box(0, 0, 480, 512), 128, 120))


def test_a_whole_canvas_that_nobody_has_looked_at_is_a_thumbnail(start: Start, folder: Path) -> None:
    client, path = start(), "/iiif/3/hills~4000x2560~5/full/!400,400/0/default.png"
    first = client.get(path)
    assert first.headers["cache-control"] == "public, max-age=60"
    with Synthesizer(folder / "hills.ourgan") as synthesizer:
        expected = synthesizer.thumbnail(5, width=4000, height=2560, size=400)
    assert np.array_equal(pixels(first), expected)
    small = number(client, "ourgan_canvas_bytes")  # the photograph
    assert number(client, "ourgan_queue_length") == 0  # no field is being found for it
    client.get("/iiif/3/hills~4000x2560~5/0,0,64,64/max/0/default.png").raise_for_status()
    known = client.get(path)
    assert "immutable" in known.headers["cache-control"]
    assert known.headers["etag"] != first.headers["etag"]
    assert number(client, "ourgan_canvas_bytes") > small


def test_what_was_asked_for_before_comes_from_the_cache(start: Start) -> None:
    client = start()
    path = "/iiif/3/hills~1500x900~3/0,0,512,512/max/0/default.jpg"
    assert client.get(path).content == client.get(path).content
    assert number(client, "ourgan_tile_cache_hits") == 1
    assert number(client, "ourgan_tile_cache_misses") == 1
    assert number(client, 'ourgan_requests_total{route="image",status="200"}') == 2
    assert number(client, "ourgan_memory_bytes") > 1 << 20
    assert number(client, 'ourgan_queue_length{work="pictures"}') == 0


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("absent~64x64~0", 404, "no source 'absent'"),
        ("hills", 400, "SOURCE~WIDTHxHEIGHT~SEED"),
        ("hills~2000000x10~0", 400, "at most 1048576 pixels per side"),
        ("hills~60000x60000~0~extent=900", 400, "smaller extent"),
        ("networks~64x64~0~detail=photograph", 400, "networks has detail by network alone"),
        ("networks~64x64~0~structure=patches", 400, "networks has structure by network alone"),
        ("hills~64x64~0~variety=0.3~structure=network", 400, "a structure network cannot do that"),
        ("hills~64x64~0~start-scale=200", 400, "start_scale"),
    ],
)
def test_canvases_that_there_are_not(client: httpx.Client, name: str, status: int, reason: str) -> None:
    for path in ("info.json", "full/max/0/default.jpg"):
        response = client.get(f"/iiif/3/{name}/{path}")
        assert response.status_code == status
        assert reason in response.json()["error"]
        assert "/" not in response.json()["error"].replace("/api/sources", "")  # nor a path of this machine


def test_methods_and_paths_that_there_are_not(client: httpx.Client) -> None:
    for method, path, status in (
        ("POST", "/api/sources", 405),
        ("DELETE", "/iiif/3/hills~64x64~0/info.json", 405),
        ("PUT", "/api/renders", 405),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/view/../app.py", 404),
        ("GET", "/iiif/2/hills~64x64~0/info.json", 404),
    ):
        response = client.request(method, path)
        assert response.status_code == status, path
        assert response.json()["error"]


def test_a_damaged_source_is_left_out(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "broken.ourgan").write_bytes(b"PK\3\4" + bytes(100))
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    (tmp_path / "hills.ourgan").write_bytes((folder / "hills.ourgan").read_bytes())
    with running(Settings(folder=tmp_path, port=0, viewer=False)) as client:
        assert [one["name"] for one in client.get("/api/sources").json()["sources"]] == ["hills"]
        response = client.get("/iiif/3/broken~64x64~0/info.json")
        assert response.status_code == 404
        assert "cannot be read" in response.json()["error"]


def test_a_source_that_goes_bad_after_it_was_described(tmp_path: Path, photograph: bytes) -> None:
    for name in ("good", "gone", "junk"):
        (tmp_path / f"{name}.png").write_bytes(photograph)
    with running(Settings(folder=tmp_path, port=0, viewer=False)) as client:
        assert len(client.get("/api/sources").json()["sources"]) == 3
        (tmp_path / "gone.png").unlink()
        (tmp_path / "junk.png").write_bytes(b"no picture")
        for name in ("gone", "junk"):  # of the same synthesizer's, which is open, and of one that is not
            for more in ("~detail=network", "~structure=patches"):
                response = client.get(f"/iiif/3/{name}~64x64~0{more}/0,0,9,9/max/0/default.png")
                assert response.status_code == 404, response.text
                assert "cannot be read" in response.json()["error"]
        assert [one["name"] for one in client.get("/api/sources").json()["sources"]] == ["good"]


def test_a_canvas_of_more_memory_than_renders_have(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path, port=0, viewer=False, memory=128 << 20, tile_cache=0)
    with running(settings, lambda *_: StandIn(_too_large)) as client:
        a_file(tmp_path)
        client.get("/api/sources")
        refused = client.get("/iiif/3/squares~64x64~0/info.json")
        assert refused.status_code == 400
        assert "--memory" in refused.json()["error"]
        assert "memory_limit" not in refused.json()["error"]


def _too_large() -> Squares:
    raise BudgetError("memory_limit is 1 bytes: allow at least 2")


def test_a_file_that_takes_the_place_of_another(tmp_path: Path, folder: Path) -> None:
    place, path = tmp_path / "one.ourgan", "/iiif/3/one~300x200~0/full/100,/0/default.png"
    place.write_bytes((folder / "hills.ourgan").read_bytes())
    with running(Settings(folder=tmp_path, port=0, viewer=False)) as client:
        before = client.get(path)
        place.write_bytes((folder / "networks.ourgan").read_bytes())
        client.get("/api/sources")
        after = client.get(path)
    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]


def test_the_canvases_that_are_kept_have_a_bound(tmp_path: Path) -> None:
    settings = Settings(sources={"a": a_file(tmp_path)}, port=0, viewer=False, memory=128 << 20, tile_cache=0)

    def opener(*_: object) -> StandIn:
        return StandIn(make=lambda: Squares(bytes_=25 << 20))

    with running(settings, opener) as client:
        for seed in range(5):
            client.get(f"/iiif/3/a~1000x1000~{seed}/0,0,32,32/max/0/default.png").raise_for_status()
            assert 0 < number(client, "ourgan_canvas_bytes") <= 64 << 20
        assert number(client, "ourgan_canvases") == 2


def test_photographs_of_canvases_without_a_field_are_counted(tmp_path: Path) -> None:
    opened: list[weakref.ref[StandIn]] = []

    def opener(*_: object) -> StandIn:
        opened.append(weakref.ref(one := StandIn(bytes_=25 << 20)))
        return one

    sources = {f"s{number}": a_file(tmp_path) for number in range(6)}
    settings = Settings(sources=sources, port=0, viewer=False, memory=128 << 20, tile_cache=0)
    with running(settings, opener) as client:
        for name in sources:
            client.get(f"/iiif/3/{name}~1000x1000~0/0,0,32,32/max/0/default.png").raise_for_status()
            assert 0 < number(client, "ourgan_canvas_bytes") <= 64 << 20
        assert number(client, "ourgan_canvases") == 2
        assert sum(one() is not None for one in opened) == 2  # the others are garbage


def test_thumbnails_of_many_photographs_stay_within_the_memory(tmp_path: Path, photograph: bytes) -> None:
    for number_ in range(12):
        (tmp_path / f"s{number_}.png").write_bytes(photograph)
    settings = Settings(folder=tmp_path, port=0, viewer=False, memory=128 << 20, tile_cache=0)
    object.__setattr__(settings, "memory", 48 << 20)  # half of it for canvases: a few of these photographs
    with running(settings) as client:
        client.get("/api/sources").raise_for_status()
        for number_ in range(12):
            client.get(f"/iiif/3/s{number_}~4000x2560~0/full/!400,400/0/default.png").raise_for_status()
            deadline = time.monotonic() + 10
            while not 1 << 20 < number(client, "ourgan_canvas_bytes") <= 24 << 20:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert 1 < number(client, "ourgan_canvases") < 12


def test_a_picture_that_takes_too_much_work_is_refused_before_it_begins(start: Start) -> None:
    client = start()
    for name in ("hills~100000x64000~7", "networks~60000x40000~7"):
        path = f"/iiif/3/{name}"
        info = client.get(f"{path}/info.json").json()
        for part in ("full/8192,1", "0,0,40000,40000/4000,4000"):
            refused = client.get(f"{path}/{part}/0/default.jpg")
            assert refused.status_code == 400, part
        assert "render" in refused.json()["error"]
        for size in info["sizes"]:  # what is offered is not refused
            assert size["width"] * size["height"] <= info["maxArea"]


def test_limits_of_work() -> None:
    settings = Settings()
    with Synthesizer() as synthesizer:
        for size in ((100_000, 60_000), (16_384, 12_000), (9000, 6000), (600, 400)):
            opened = Opened(synthesizer.canvas(*size), synthesizer, "")
            for name in ("full/max", "square/max", "7,7,5000,5000/max", "0,0,512,512/max", "full/512,"):
                parameters = (*name.split("/"), "0", "default.jpg")
                asked = parse_request(parameters, size, Limits(settings.max_area))
                limits = limits_of(opened, asked.region, settings)
                assert limits.area >= 1 << 20
                check_work(opened, parse_request(parameters, size, limits), settings)


def test_a_canvas_that_is_too_large_for_the_memory(start: Start) -> None:
    client = start(memory=128 << 20, tile_cache=0)
    refused = client.get("/iiif/3/hills~9000x6000~0~extent=9/info.json")
    assert refused.status_code == 400
    assert "more --memory" in refused.json()["error"]


def test_warm_canvases_are_ready(start: Start) -> None:
    client = start(warm=("hills~1500x900~3", "absent~10x10~0"))
    deadline = time.monotonic() + 30
    while not number(client, "ourgan_canvas_bytes"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Slow(Squares):
    """Whose views, and whose field, wait to be let go."""

    def __init__(self) -> None:
        super().__init__()
        self.slow_field = False
        self.begun, self.go = threading.Event(), threading.Event()
        self.ended = threading.Event()

    def read(self, box: Box, level: int) -> np.ndarray:
        if self.slow_field and box.width == 1:
            self._wait()
        return super().read(box, level)

    def view(self, box: Box, width: int, height: int) -> np.ndarray:
        if not self.slow_field:
            self._wait()
        return super().view(box, width, height)

    def _wait(self) -> None:
        self.begun.set()
        try:
            while not self.go.wait(0.01):
                check_stop()
        finally:
            self.ended.set()


@pytest.fixture
def two(tmp_path: Path):
    """Settings of two sources, `slow` and `fast`, and what opens them."""
    slow = Slow()
    source = a_file(tmp_path)
    settings = {"sources": {"slow": source, "fast": source}, "port": 0, "viewer": False}
    return (
        slow,
        settings,
        lambda _s, source, _i: StandIn(lambda: slow if source.name == "slow" else Squares()),
    )


def path_of(name: str, x: int = 0) -> str:
    return f"/iiif/3/{name}~1000x1000~0/{x},0,64,64/max/0/default.jpg"


def test_a_field_that_takes_long_does_not_hold_up_others(two) -> None:
    slow, settings, opener = two
    slow.slow_field = True
    settings["sources"]["ready"] = settings["sources"]["fast"]
    with running(Settings(**settings, threads=1), opener) as client, ThreadPoolExecutor(8) as pool:
        assert client.get(path_of("ready")).status_code == 200
        waiting = [pool.submit(client.get, path_of("slow", x)) for x in range(6)]
        assert slow.begun.wait(10)
        assert client.get(path_of("ready", 100)).status_code == 200
        slow.go.set()
        assert [one.result().status_code for one in waiting] == [200] * 6


def test_too_much_is_refused_at_once(two) -> None:
    slow, settings, opener = two
    with running(Settings(**settings, threads=1, queue=2), opener) as client, ThreadPoolExecutor(8) as pool:
        client.get(path_of("fast")).raise_for_status()
        waiting = [pool.submit(client.get, path_of("slow", x)) for x in range(3)]
        while number(client, 'ourgan_queue_length{work="pictures"}') < 2:
            time.sleep(0.01)
        refused = client.get(path_of("fast", 7))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get(path_of("fast")).status_code == 200  # from the cache
        assert client.get("/health").status_code == 200
        slow.go.set()
        assert [one.result().status_code for one in waiting] == [200] * 3
        assert client.get(path_of("fast", 7)).status_code == 200


def test_one_client_has_a_share(two) -> None:
    slow, settings, opener = two
    with running(Settings(**settings, in_flight=2), opener) as client, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(client.get, path_of("slow", x)) for x in range(2)]
        assert slow.begun.wait(10)
        deadline = time.monotonic() + 10
        while (refused := client.get(path_of("fast"))).status_code != 429:
            assert time.monotonic() < deadline
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/health").status_code == 200
        slow.go.set()
        assert [one.result().status_code for one in waiting] == [200] * 2


def test_equal_requests_are_made_once(two) -> None:
    slow, settings, opener = two
    calls = []
    view = slow.view
    slow.view = lambda *asked: (calls.append(1), view(*asked))[1]
    with running(Settings(**settings), opener) as client, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(client.get, path_of("slow")) for _ in range(8)]
        assert slow.begun.wait(10)
        while number(client, "ourgan_tile_cache_misses") < 8:
            time.sleep(0.01)
        slow.go.set()
        assert len({one.result().content for one in waiting}) == 1
    assert calls == [1]


def test_a_client_that_leaves_ends_the_work(two) -> None:
    slow, settings, opener = two
    with running(Settings(**settings, threads=1), opener) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.get(path_of("slow"), timeout=0.3)
        assert slow.begun.is_set()
        assert slow.ended.wait(10)
        assert client.get(path_of("fast")).status_code == 200  # by the same thread
        assert number(client, 'ourgan_requests_total{route="image",status="499"}') == 1


def test_a_deadline(two) -> None:
    slow, settings, opener = two
    with running(Settings(**settings, threads=1, deadline=0.2), opener) as client:
        late = client.get(path_of("slow"))
        assert late.status_code == 503
        assert late.headers["retry-after"]
        assert "given up: ask for smaller pieces" in late.json()["error"]
        assert slow.ended.wait(10)
        assert client.get(path_of("fast")).status_code == 200


def test_a_field_that_nobody_waits_for_goes_on_for_a_while(two) -> None:
    slow, settings, opener = two
    slow.slow_field = True
    with running(Settings(**settings, deadline=0.2), opener) as client:
        late = client.get(path_of("slow"))
        assert late.status_code == 503
        assert "field is being found, which goes on" in late.json()["error"]
        assert not slow.ended.is_set()
        slow.go.set()
        assert slow.ended.wait(10)
        assert client.get(path_of("slow")).status_code == 200


def test_what_is_under_way_when_the_service_ends(two) -> None:
    slow, settings, opener = two
    with ThreadPoolExecutor(1) as pool, running(Settings(**settings), opener) as client:
        waiting = pool.submit(httpx.get, f"{client.base_url}{path_of('slow')}")
        assert slow.begun.wait(10)
    assert slow.ended.is_set()
    response = waiting.result()
    assert response.status_code == 503
    assert "shut down" in response.json()["error"]
