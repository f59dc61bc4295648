"""Requests that no well-meaning client sends: broken paths, bodies, headers; for a seed, always the same."""

import json
import random
from collections.abc import Iterator
from urllib.parse import quote

__all__ = ["malformed_requests"]

_LETTERS = "0123456789,.~=!^:%/\\?#&;<>\"'[]{}()*+-_@ \t\0\x7fabcxyzNaN\u00e9\u0661\u202e\ufffd"
_PICTURES = (
    "full/max/0/default.jpg",
    "0,0,64,48/32,24/90/gray.png",
    "pct:10,10,50,50/!20,20/!180/bitonal.tif",
)
_KEYS = (
    "extent",
    "variety",
    "vertical",
    "tileable",
    "symmetric",
    "retarget",
    "start-scale",
    "structure",
    "detail",
)
_VALUES = (
    "1",
    "0",
    "-1",
    "1e9",
    "nan",
    "inf",
    "",
    "x",
    "0x10",
    "1" * 400,
    "..",
    "%00",
    "999999999999",
    "0.0000001",
)
_PATHS = (
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/view/..%2f..%2fapp.py",
    "/view/%2fetc%2fpasswd",
    "//evil.example/%2f..",
    "/iiif/3//info.json",
    "/iiif/3/%00/info.json",
    "/iiif/3/%ff%fe/info.json",
    "/api/renders/../sources",
    "/api/renders/%2e%2e/file",
    "/api/renders/" + "x" * 5000,
    "/file:///etc/passwd",
    "/iiif/3/http:%2f%2fevil.example~64x48~0/info.json",
)
_ORDER = {"canvas": "SOURCE~64x48~0", "region": [0, 0, 32, 24], "width": 16, "format": "png", "quality": 90}
_ODD: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    1 << 70,
    1e308,
    "",
    "x" * 3000,
    [],
    [[]],
    {},
    {"a": 1},
    "\ud800",
    "../../x",
    "\0",
    0.5,
)


def malformed_requests(source: str, count: int, seed: int = 0) -> Iterator[bytes]:
    """So many requests, each as the bytes of a connection of its own; `source` is one that there is."""
    random_ = random.Random(seed)
    kinds = (_identifier, _parameters, _path, _query, _body, _headers, _garbage)
    for index in range(count):
        yield kinds[index % len(kinds)](source, random_)


def _request(method: str, path: str, *headers: str, body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def _mutated(text: str, random_: random.Random) -> str:
    """With a few letters more, fewer, or other ones."""
    letters = list(text)
    for _ in range(random_.randint(1, 4)):
        place = random_.randrange(len(letters) + 1)
        letters[place : place + random_.randint(0, 2)] = random_.choices(_LETTERS, k=random_.randint(0, 3))
    return "".join(letters)


def _identifier(source: str, random_: random.Random) -> bytes:
    parts = "".join(
        f"~{random_.choice(_KEYS)}={random_.choice(_VALUES)}" for _ in range(random_.randint(0, 5))
    )
    size = random_.choice(("64x48", "0x0", "99999999999x1", "64", "x", "-1x5", "2147483648x2147483648"))
    text = random_.choice((f"{source}~64x48~0", f"{source}~{size}~{random_.choice(_VALUES)}")) + parts
    text = text if random_.random() < 0.5 else _mutated(text, random_)
    tail = random_.choice(("info.json", "", *_PICTURES))
    return _request("GET", f"/iiif/3/{quote(text, safe='~=,.!:^')}/{tail}")


def _parameters(source: str, random_: random.Random) -> bytes:
    parameters = _mutated(random_.choice(_PICTURES), random_)
    return _request("GET", f"/iiif/3/{source}~64x48~0/{quote(parameters, safe='/,!^:.')}")


def _path(source: str, random_: random.Random) -> bytes:
    path = random_.choice((*_PATHS, f"/iiif/3/{source}/full/max", "/api/sources"))
    if random_.random() < 0.6:
        path = "/" + quote(_mutated(path, random_), safe="/%.:~")
    method = random_.choice(
        ("GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "FOO")
    )
    return _request(method, path)


def _query(source: str, random_: random.Random) -> bytes:
    text = "&".join(quote(_mutated("token=a&url=http://evil.example", random_)) for _ in range(3))
    path = random_.choice(("/view/", "/api/sources", "/metrics", f"/iiif/3/{source}~64x48~0/info.json"))
    return _request("GET", f"{path}?{text}")


def _body(source: str, random_: random.Random) -> bytes:
    order: dict[str, object] = dict(_ORDER, canvas=f"{source}~64x48~0")
    for _ in range(random_.randint(1, 3)):
        key = random_.choice((*order, "dpi", "bits", "pyramid", "timeout", "height", "path", "url"))
        order[key] = random_.choice(_ODD)
    text = json.dumps(order).encode()
    body = random_.choice(
        (
            text,
            text,
            text[: random_.randrange(len(text))],
            _mutated(text.decode(), random_).encode(),
            b"[" * 20_000,
            b'{"canvas": NaN}',
            b"\xff\xfe\x00",
            b"null",
            b"{}" * 3,
            b'"' + b"x" * 70_000 + b'"',
        )
    )
    kind = random_.choice(("application/json", "application/json; charset=utf-7", "text/plain", "x"))
    return _request("POST", "/api/renders", f"Content-Type: {kind}", body=body)


def _headers(source: str, random_: random.Random) -> bytes:
    name = random_.choice(
        (
            "If-None-Match",
            "Accept",
            "Authorization",
            "Cookie",
            "Range",
            "Origin",
            "X-Forwarded-For",
            "Host",
            "Expect",
        )
    )
    value = random_.choice(
        (_mutated('W/"abc", *;q=0.1', random_), "x" * 9000, "", "bytes=9-1,-,5-", "Bearer \xff")
    )
    value = "".join(letter for letter in value if letter >= " ")
    host = random_.choice(("127.0.0.1", "127.0.0.1", "evil.example", "[::1", "127.0.0.1:99999999", "a b", ""))
    path = random_.choice(("/", "/api/sources", f"/iiif/3/{source}~64x48~0/{random_.choice(_PICTURES)}"))
    return _request(random_.choice(("GET", "DELETE", "OPTIONS")), path, f"{name}: {value}", host=host)


def _garbage(_source: str, random_: random.Random) -> bytes:
    """What is no HTTP, or lies about its length."""
    whole = _request("POST", "/api/renders", "Content-Type: application/json", body=b"{}")
    return random_.choice(
        (
            random_.randbytes(random_.randint(1, 300)) + b"\r\n\r\n",
            whole.replace(b"Content-Length: 2", b"Content-Length: -2"),
            whole.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"),
            whole.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
            whole.replace(b"HTTP/1.1", b"HTTP/9.9"),
            b"GET /api/sources\r\n\r\n",
            b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        )
    )
