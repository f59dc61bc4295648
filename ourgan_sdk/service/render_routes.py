"""Renders over HTTP: ask for one, watch it, fetch its file, end it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from .answers import answering
from .canvases import Canvases
from .errors import NotFoundError, RefusedError
from .orders import LARGEST_BODY, parse_order
from .renders import Render, Renders
from .settings import Settings
from .zipped import zipped

__all__ = ["RenderRoutes"]

_PATH = "/api/renders"
_BETWEEN = 0.25
"""Seconds between two events of a render."""
_BODY_SECONDS = 10.0
"""In which a body has to be there: others wait for the room that a connection takes."""
_KEEPALIVE = 15.0
"""Seconds after which one says that it is still there, lest a proxy gives up."""
_FOLDERS = ("dzi", "zarr")
_MEDIA_TYPES = {
    "png": "image/png",
    "tif": "image/tiff",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "npy": "application/octet-stream",
}


class TooSlowError(RefusedError):
    """The body does not come."""

    status = 408


class TooLargeError(RefusedError):
    """The body is."""

    status = 413


class MediaTypeError(RefusedError):
    """The body is of another type."""

    status = 415


class RenderRoutes:
    """Answers requests for renders; `renders` gives those of the running service."""

    def __init__(self, settings: Settings, canvases: Canvases, renders: Callable[[], Renders]) -> None:
        self._settings = settings
        self._canvases = canvases
        self._renders = renders

    @property
    def routes(self) -> list[BaseRoute]:
        """Of this API."""
        one = f"{_PATH}/{{render}}"
        return [
            Route(_PATH, answering(self._list), methods=["GET"]),
            Route(_PATH, answering(self._add, reads_body=True), methods=["POST"]),
            Route(one, answering(self._show), methods=["GET"]),
            Route(one, answering(self._remove), methods=["DELETE"]),
            Route(f"{one}/events", answering(self._events), methods=["GET"]),
            Route(f"{one}/file", answering(self._file), methods=["GET"]),
        ]

    async def _list(self, _request: Request) -> Response:
        renders = self._renders()
        return JSONResponse({"renders": [_show(renders, one, self._settings.prefix) for one in renders]})

    async def _add(self, request: Request) -> Response:
        try:
            body = await asyncio.wait_for(_read_body(request), _BODY_SECONDS)
        except asyncio.TimeoutError:
            raise TooSlowError(f"the body was not there within {_BODY_SECONDS:g} seconds") from None
        order = parse_order(body, self._settings)
        await asyncio.wait_for(self._canvases.open(order.identifier), self._settings.deadline)
        if await request.is_disconnected():  # nobody would know of it
            raise ClientDisconnect
        renders = self._renders()
        render = renders.add(order)
        return JSONResponse(
            _show(renders, render, self._settings.prefix),
            201,
            {"Location": f"{self._settings.prefix}{_PATH}/{render.id}"},
        )

    async def _show(self, request: Request) -> Response:
        renders, render = self._named(request)
        return JSONResponse(_show(renders, render, self._settings.prefix))

    async def _remove(self, request: Request) -> Response:
        renders, render = self._named(request)
        await asyncio.shield(renders.remove(render))  # of which nothing stays half-done
        return Response(status_code=204)

    async def _events(self, request: Request) -> Response:
        renders, render = self._named(request)
        # Proxies that collect answers until they are whole would keep events back.
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(
            _events(renders, render, self._settings.prefix), headers=headers, media_type="text/event-stream"
        )

    async def _file(self, request: Request) -> Response:
        _, render = self._named(request)
        if render.state != "done":
            raise NotFoundError(f"the render has no file: it is {render.state}")
        name = render.order.name
        if render.order.format not in _FOLDERS:
            media_type = _MEDIA_TYPES[render.order.format]
            return FileResponse(render.file, filename=name, media_type=media_type)
        headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
        return StreamingResponse(zipped(render.folder), headers=headers, media_type="application/zip")

    def _named(self, request: Request) -> tuple[Renders, Render]:
        renders = self._renders()
        return renders, renders.get(request.path_params["render"])


def _show(renders: Renders, render: Render, prefix: str) -> dict[str, Any]:
    """A render as clients see it; `prefix` is that of paths."""
    left = render.left
    return {
        "id": render.id,
        "canvas": str(render.order.identifier),
        "state": render.state,
        "position": renders.position(render),
        "done": render.done,
        "total": render.total,
        "seconds": round(render.seconds, 2),
        "left": None if left is None else round(left, 1),
        "error": render.error,
        "name": render.order.name,
        "bytes": render.bytes,
        "file": f"{prefix}{_PATH}/{render.id}/file" if render.state == "done" else None,
    }


async def _events(renders: Renders, render: Render, prefix: str) -> AsyncIterator[str]:
    """Server-sent events: the render at once, then whenever it has changed, until it is over."""
    told, silent = None, 0.0
    while True:
        is_over, now = render.is_over, _show(renders, render, prefix)
        changed = {key: value for key, value in now.items() if key != "seconds"}
        if changed != told:
            told, silent = changed, 0.0
            yield f"event: render\ndata: {json.dumps(now)}\n\n"
        elif silent >= _KEEPALIVE:
            silent = 0.0
            yield ": waiting\n\n"
        if is_over:
            return
        await asyncio.sleep(_BETWEEN)
        silent += _BETWEEN


async def _read_body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # which other sites' pages cannot send without asking first
        raise MediaTypeError("expected a body of application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise TooLargeError(f"expected at most {LARGEST_BODY} bytes of JSON")
    return bytes(body)
