"""The service in this process, until a signal ends it."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ..errors import OurganError
from ..stopping import Cancel
from .app import Service, create_app
from .canvases import Opener, open_source
from .settings import Settings

__all__ = ["serve"]

_MOST_CONNECTIONS = 1000
"""More get a 503 at once, from uvicorn itself."""

_GRACE = 5
"""Seconds that answers under way have to end, once a signal has come."""

_SILENCE = 10.0
"""Seconds that a connection may take to bring its next request, from its beginning or the last answer on."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    settings: Settings,
    *,
    ready: Callable[[str], None] | None = None,
    stop: Cancel | None = None,
    opener: Opener = open_source,
) -> bool:
    """See `ourgan_sdk.service.serve`; `stop` ends it as a signal does, `opener` is as for `create_app`."""
    with contextlib.closing(_bind(settings)) as listener:
        url = _url(listener)
        app = create_app(settings, opener)
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            log_level="error",  # whoever sends what is no HTTP does not fill the log
            access_log=False,  # it would note tokens
            server_header=False,
            proxy_headers=False,  # anybody could claim to be another client
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE,
            lifespan="on",
        )
        server = _Server(config, app.state.service, lambda: ready(url) if ready is not None else None, stop)
        try:
            asyncio.run(server.serve([listener]))
        except SystemExit:
            raise OurganError("the service did not start: the log says why") from None
        return server.is_over


class _Protocol(H11Protocol):
    """Lets nobody hold a connection who does not ask for anything, or does so byte by byte."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._silence = self.loop.call_later(_SILENCE, self._end_silence)

    def on_response_complete(self) -> None:
        """From now on the next request is waited for; what comes of it piece by piece changes nothing."""
        self._silence.cancel()
        self._silence = self.loop.call_later(_SILENCE, self._end_silence)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence.cancel()
        super().connection_lost(exc)

    def _end_silence(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # None until a request has come
        if cycle is None or cycle.response_complete:
            self.transport.close()


class _Server(uvicorn.Server):
    """Ends renders and event streams before it waits for connections; and returns when it has ended."""

    def __init__(
        self, config: uvicorn.Config, service: Service, on_start: Callable[[], None], stop: Cancel | None
    ) -> None:
        super().__init__(config)
        self._service = service
        self._on_start = on_start
        self._stop = stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._on_start()

    async def on_tick(self, counter: int) -> bool:
        if self._stop is not None and self._stop.is_set():
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._service.stop()
        await super().shutdown(sockets)
        if self.force_exit:  # which uvicorn takes as a reason to leave files where they are
            await self.lifespan.shutdown()

    @property
    def is_over(self) -> bool:
        """Whether nothing is at work any more."""
        return self._service.is_over

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's, but signals are not raised again at the end: they have done what they came for."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _exit(self, _number: int, _frame: FrameType | None) -> None:
        """End; at once if it is the second time."""
        if self.should_exit:
            self.force_exit = True
            self._loop.call_soon_threadsafe(self._service.hurry)  # which wakes the loop as well
        self.should_exit = True


def _bind(settings: Settings) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((settings.host, settings.port))
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise OurganError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}; "
            "give another --port, or 0 for any"
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
