"""From what a handler returns or raises to a response; and what ends it: a deadline, a client that leaves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ..errors import (
    BudgetError,
    BundleError,
    ClosedError,
    EngineUnavailableError,
    PhotographError,
    RenderCancelledError,
    RenderTimeoutError,
    SizeError,
)
from .errors import RefusedError

__all__ = ["CLIENT_LEFT", "answering", "error_response", "refusal"]

Handler = Callable[[Request], Awaitable[Response]]

CLIENT_LEFT = 499
"""The status that is counted where nobody reads it, as nginx has it."""

_log = logging.getLogger(__name__)


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error as clients get it."""
    return JSONResponse({"error": message}, status, headers)


def answering(handler: Handler, *, reads_body: bool = False) -> Handler:
    """`handler`, whose errors become responses, and which ends when its client has left.

    One that reads a body hears of that itself.
    """

    async def answer(request: Request) -> Response:
        try:
            if reads_body:
                return await handler(request)
            return await _while_connected(request, handler(request))
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)
        except Exception as error:  # noqa: BLE001 - the client is told, and the log
            return error_response(error)

    return answer


_SENTENCES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int, str, str], ...] = (
    ((asyncio.TimeoutError, RenderTimeoutError), 503, "not ready in time: try again", "2"),
    ((ClosedError, RenderCancelledError), 503, "the service is being shut down", "10"),
    ((BudgetError, MemoryError), 503, "out of memory: ask for less, or later", "10"),
    ((BundleError, PhotographError), 404, "the source cannot be read; the service's log says why", ""),
    (EngineUnavailableError, 422, "no engine is installed here that makes this: try detail=photograph", ""),
)
"""What clients are told of errors that have happened inside: status, sentence, Retry-After."""


def error_response(error: Exception) -> Response:
    """What clients are told of an error."""
    if isinstance(error, RefusedError):
        return refusal(error.status, str(error), error.headers)
    if isinstance(error, HTTPException):
        return refusal(error.status_code, error.detail, dict(error.headers or {}))
    for kinds, status, sentence, seconds in _SENTENCES:
        if isinstance(error, kinds):
            _log.log(logging.WARNING if status == 404 else logging.INFO, "%d: %s", status, error)
            return refusal(status, sentence, {"Retry-After": seconds} if seconds else None)
    if isinstance(error, SizeError):
        return refusal(400, str(error))
    _log.error("a request has failed", exc_info=error)
    return refusal(500, "the service failed; its log says why")


async def _while_connected(request: Request, work: Awaitable[Response]) -> Response:
    """What `work` returns; it is cancelled when the client leaves."""
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else Response(status_code=CLIENT_LEFT)
    finally:
        for one in (task, left):
            one.cancel()
        await asyncio.gather(task, left, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    """Until the client has left; what GET and DELETE bring as a body is passed over."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
