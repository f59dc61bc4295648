"""Who gets in: tokens, cookies, other sites' pages, and what every answer bears."""

import socket

import httpx
import pytest

from ourgan_sdk.service import server
from ourgan_sdk.service.security import cookie_name
from tests.service.conftest import Start
from tests.service.test_renders import until

TOKEN = "a-token-of-some-length"
PATHS = [
    "/",
    "/view/",
    "/api/sources",
    "/api/renders",
    "/metrics",
    "/iiif/3/hills~64x64~0/info.json",
    "/nothing",
]


@pytest.fixture
def guarded(start: Start) -> httpx.Client:
    return start(token=TOKEN, viewer=True)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_without_the_token(guarded: httpx.Client, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer other"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer \xff\xfe"},
        {"Cookie": f"{cookie_name(guarded.base_url.port or 0)}={TOKEN}"},
        {"Cookie": "\x00=;;"},
    ):
        raw = {name: value.encode("latin-1") for name, value in headers.items() if "\x00" not in value}
        response = guarded.get(path, headers=raw)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
    for method in ("POST", "DELETE", "PUT", "OPTIONS"):
        if not (method == "OPTIONS" and path.startswith("/iiif/")):
            assert guarded.request(method, path).status_code == 401


def test_everything_with_it(guarded: httpx.Client) -> None:
    guarded.headers["Authorization"] = f"Bearer {TOKEN}"
    assert guarded.get("/api/sources").status_code == 200
    assert guarded.get("/metrics").status_code == 200
    assert guarded.get("/iiif/3/hills~64x64~0/info.json").status_code == 200


def test_what_a_load_balancer_asks_for(guarded: httpx.Client) -> None:
    assert guarded.get("/health").json() == {"status": "ok"}
    assert guarded.get("/ready").json() == {"status": "ready"}


def test_a_link_becomes_a_cookie(guarded: httpx.Client) -> None:
    response = guarded.get(f"/view/?seed=3&token={TOKEN}")
    assert (response.status_code, response.headers["location"]) == (303, "/view/?seed=3")
    cookie = response.headers["set-cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert guarded.get("/api/sources").status_code == 200  # the client keeps it
    name, value = next(iter(guarded.cookies.items()))
    assert name == f"ourgan_token_{guarded.base_url.port}"  # that of a service on another port is another
    guarded.cookies.clear()
    for others in ("odd@=[x]; ", "a; ", '="; '):
        answer = guarded.get("/api/sources", headers={"Cookie": f"{others}{name}={value}; more=1"})
        assert answer.status_code == 200, others
    guarded.cookies.clear()
    assert guarded.get("/view/?token=another-one-of-some-length").status_code == 401
    assert guarded.get(f"/api/sources?token={TOKEN}").status_code == 401


def test_preflight_needs_no_token(guarded: httpx.Client) -> None:
    response = guarded.options("/iiif/3/hills~64x64~0/info.json")
    assert response.status_code == 204
    assert "Authorization" in response.headers["access-control-allow-headers"]


def test_names_that_lead_here_by_trickery(client: httpx.Client) -> None:
    for host in ("evil.example", "evil.example:8182", "127.0.0.1.evil.example", "", "[::1", "localhost.evil"):
        assert client.get("/api/sources", headers={"Host": host}).status_code == 403, host
    for host in ("localhost:1234", "127.0.0.1", "[::1]:80"):
        assert client.get("/api/sources", headers={"Host": host}).status_code == 200, host


def test_pages_of_other_sites_change_nothing(client: httpx.Client) -> None:
    order = {"canvas": "hills~64x64~0"}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://[::1"):
        assert client.post("/api/renders", json=order, headers={"Origin": origin}).status_code == 403
        assert client.delete("/api/renders/x", headers={"Origin": origin}).status_code == 403
    own = str(client.base_url).rstrip("/")
    assert client.delete("/api/renders/x", headers={"Origin": own}).status_code == 404


def test_behind_a_proxy(start: Start) -> None:
    client = start(url="https://pictures.example/garden/", viewer=True)
    assert client.get("/").headers["location"] == "/garden/view/"
    assert client.get("/view").headers["location"] == "/garden/view/"
    order = {"canvas": "hills~64x64~0"}
    for origin, status in (("https://pictures.example", 201), ("http://pictures.example", 403)):
        response = client.post("/api/renders", json=order, headers={"Origin": origin})
        assert response.status_code == status, origin
        if status == 201:
            path = response.headers["location"]
            assert path == f"/garden/api/renders/{response.json()['id']}"
    until(client, path.removeprefix("/garden"), "done")
    assert client.get(path.removeprefix("/garden")).json()["file"] == f"{path}/file"


def test_pictures_behind_a_token_are_nobodys_proxys(guarded: httpx.Client) -> None:
    guarded.headers["Authorization"] = f"Bearer {TOKEN}"
    for part in ("info.json", "full/max/0/default.jpg", "0,0,32,32/max/0/default.jpg"):
        response = guarded.get(f"/iiif/3/hills~64x64~0/{part}")
        assert response.headers["cache-control"].startswith("private, max-age=")


def test_a_connection_brings_its_next_request_in_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SILENCE", 0.5)
    url = start().base_url
    with socket.create_connection((url.host, url.port)) as connection:
        connection.settimeout(20)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b'{"status":"ok"}'):
            answer += connection.recv(4096)
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        assert connection.recv(4096) == b""


def test_a_form_of_another_site_is_no_order(client: httpx.Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = client.post(
            "/api/renders", content='{"canvas": "hills~64x64~0"}', headers={"Content-Type": kind}
        )
        assert response.status_code == 415


def test_what_every_answer_bears(client: httpx.Client) -> None:
    for path in ("/api/sources", "/nothing", "/iiif/3/hills~64x64~0/info.json", "/health"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
    headers = client.get("/api/sources").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
