"""A thousand requests that no well-meaning client sends: refused, and no failure of the service."""

import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from bench.malformed import malformed_requests
from tests.service.conftest import Start


def send(port: int, request: bytes) -> int:
    """The status; 0 where the connection ends without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        answer = b""
        try:
            connection.sendall(request)
            while part := connection.recv(1 << 16):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match[1]) if match else 0


def test_no_request_is_a_failure(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ourgan_sdk.service.render_routes._BODY_SECONDS", 0.3)
    client: httpx.Client = start(viewer=True)
    port = client.base_url.port
    assert port is not None
    requests = list(malformed_requests("hills", 1000))
    assert len(set(requests)) > 700
    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(lambda request: send(port, request), requests))
    assert not [status for status in statuses if status >= 500 and status != 503], statuses
    assert set(statuses) <= {
        0,
        100,
        200,
        201,
        204,
        303,
        304,
        400,
        401,
        403,
        404,
        405,
        408,
        413,
        415,
        422,
        429,
        431,
        503,
    }
    assert statuses[400] + statuses[404] + statuses[422] > 500, statuses
    assert client.get("/health").status_code == 200
    for render in client.get("/api/renders").json()["renders"]:  # those that were well-formed after all
        assert client.delete(f"/api/renders/{render['id']}").status_code == 204
    assert client.get("/iiif/3/hills~64x48~0/0,0,32,32/max/0/default.jpg").status_code == 200
