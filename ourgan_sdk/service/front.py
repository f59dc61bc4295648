"""What every request passes on its way in and out: who asks, how many, how long it took, which headers."""

import time
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .admission import Clients
from .answers import error_response
from .errors import RefusedError
from .metrics import Metrics
from .security import Guard, UnauthorizedError, cookie_name, security_headers
from .settings import Settings

__all__ = ["Front", "route_of"]

_UNCOUNTED = ("/health", "/ready", "/metrics")
"""Paths that answer whatever else goes on."""

_YEAR = 31_536_000


class Front:
    """An ASGI application before another one."""

    def __init__(self, app: ASGIApp, settings: Settings, guard: Guard, clients: Clients, metrics: Metrics):
        self._app = app
        self._settings = settings
        self._guard = guard
        self._clients = clients
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, path = time.perf_counter(), scope["path"]
        is_counted = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_counted
            if message["type"] == "http.response.start":
                is_counted = True
                self._add_headers(MutableHeaders(scope=message), path)
                self._metrics.count(route_of(path), message["status"], time.perf_counter() - started)
            await send(message)

        try:
            await self._answer(scope, receive, send_with_headers)
        except Exception as error:
            if is_counted:
                raise  # in the middle of an answer there is no other
            await error_response(error)(scope, receive, send_with_headers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        path, method = scope["path"], scope["method"]
        entry = self._entry(request)
        if entry is not None:
            await entry(scope, receive, send)
            return
        self._guard.check(method, path, request.headers, _port(scope))
        if method == "OPTIONS" and path.startswith("/iiif/"):
            await self._preflight()(scope, receive, send)
        elif path in _UNCOUNTED:
            await self._app(scope, receive, send)
        else:
            with self._clients.one_more(request.client.host if request.client else ""):
                await self._app(scope, receive, send)

    def _entry(self, request: Request) -> Response | None:
        """Of a page that is opened with the token in its address, which becomes a cookie."""
        if not (self._guard.needs_token and request.url.path.startswith("/view")):
            return None
        asked = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for key, value in asked if key == "token"]
        if not tokens:
            return None
        if not self._guard.is_token(tokens[0]):
            raise UnauthorizedError
        rest = urlencode([pair for pair in asked if pair[0] != "token"])
        prefix = self._settings.prefix
        response = RedirectResponse(f"{prefix}/view/{'?' if rest else ''}{rest}", 303)
        is_safe = (self._settings.url or str(request.url)).startswith("https:")
        response.set_cookie(
            cookie_name(_port(request.scope)),
            self._guard.cookie,
            max_age=_YEAR,
            path=prefix or "/",
            httponly=True,
            samesite="lax",
            secure=is_safe,
        )
        return response

    def _preflight(self) -> Response:
        if self._settings.cors is None:
            raise RefusedError("pages of other sites may not read this")
        allowed = {
            "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, If-None-Match",
            "Access-Control-Max-Age": "86400",
        }
        return Response(status_code=204, headers=allowed)

    def _add_headers(self, headers: MutableHeaders, path: str) -> None:
        headers.update(security_headers(path))
        headers.setdefault("Cache-Control", "no-store")
        if path.startswith("/iiif/") and self._settings.cors is not None:
            headers["Access-Control-Allow-Origin"] = self._settings.cors
            headers["Access-Control-Expose-Headers"] = "ETag, Link, Retry-After"
            if self._settings.cors != "*":
                headers.add_vary_header("Origin")


def _port(scope: Scope) -> int:
    """The service's own."""
    server = scope.get("server")
    return (server[1] if server else None) or 0


def route_of(path: str) -> str:
    """One of few names for a path, for the numbers."""
    first, _, rest = path.lstrip("/").partition("/")
    if first == "iiif":
        return "info" if rest.endswith("/info.json") or rest.count("/") < 2 else "image"
    if first == "api":
        head, _, tail = rest.partition("/")
        if head == "renders":
            kind = tail.rpartition("/")[2]
            return {"events": "render events", "file": "render file"}.get(kind, "renders")
        return "sources" if head == "sources" else "other"
    return first if first in ("view", "health", "ready", "metrics") else "other"
