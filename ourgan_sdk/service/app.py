"""The service as a whole: its parts, its routes, its beginning and its end."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ..limits import set_limits
from .admission import Clients, Workers
from .answers import answering, error_response
from .canvases import Canvases, Opener, open_source
from .errors import BusyError, NotFoundError
from .front import Front
from .identifiers import parse_identifier
from .iiif import TILE
from .image_routes import Images
from .metrics import CONTENT_TYPE, Metrics
from .offers import available_formats, canvas_options
from .render_routes import RenderRoutes
from .renders import STATES, Renders
from .security import Guard
from .settings import Settings
from .tiles import Tiles
from .viewer_files import viewer_files
from .work_folder import work_folder

__all__ = ["Service", "create_app"]

_EXPIRY_SECONDS = 10.0
"""Between two looks for renders whose time is over."""

_STOP_SECONDS = 10.0
"""In which what is at work has to end when the service does."""

_SLOW_QUEUE = 64
"""Canvases and thumbnails that wait to be made."""

_log = logging.getLogger(__name__)


def create_app(settings: Settings, opener: Opener = open_source) -> Starlette:
    """See `ourgan_sdk.service.create_app`; `opener` gives what stands for a `Synthesizer` of a source."""
    service = Service(settings, opener)
    app = Starlette(
        routes=service.routes,
        middleware=[Middleware(Front, settings, service.guard, service.clients, service.metrics)],
        exception_handlers={
            404: lambda _request, _error: error_response(NotFoundError("there is nothing of that name")),
            405: lambda _request, error: error_response(error),
        },
        lifespan=service.lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


class Service:
    """All that a service consists of, for one event loop."""

    def __init__(self, settings: Settings, opener: Opener) -> None:
        self.settings = settings
        self.guard = Guard(settings)
        self.clients = Clients(settings.in_flight)
        self.metrics = Metrics()
        self._workers = Workers("pictures", settings.workers, settings.queue)
        # In threads of their own, so that tiles of canvases that are known do not wait for others' fields.
        self._slow_workers = Workers("canvases", settings.workers, _SLOW_QUEUE, retry_after=2)
        self._pools = [self._workers, self._slow_workers]
        self._canvases = Canvases(settings, self._slow_workers, opener)
        self._tiles = Tiles(settings.tile_cache)
        self._images = Images(settings, self._canvases, self._tiles, self._workers)
        self._render_routes = RenderRoutes(settings, self._canvases, self._get_renders)
        self._renders: Renders | None = None
        self._viewer = viewer_files() if settings.viewer else {}
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None
        self._hurries = asyncio.Event()
        self.is_over = False
        """Whether nothing of it is at work any more."""
        self._warming = [parse_identifier(text) for text in settings.warm]
        self._watch()

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """From the first request to the last."""
        set_limits(memory=self.settings.memory_for_renders)
        with work_folder(self.settings.work) as folder:
            self._renders = Renders(self.settings, self._canvases, folder)
            self._pools.append(self._renders.workers)
            self._tasks = [asyncio.create_task(self._expire()), asyncio.create_task(self._warm())]
            try:
                yield
            finally:
                await self.stop()

    async def stop(self) -> None:
        """End renders and all that is being made; what is asked for from now on is refused.

        What does not end in time, or before `hurry`, is left behind, and `is_over` says so.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
            asyncio.get_running_loop().call_later(_STOP_SECONDS, self.hurry)
        hurrying = asyncio.create_task(self._hurries.wait())
        await asyncio.wait({self._ending, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not self.is_over:
            at_work = [f"{one.at_work} {one.name}" for one in self._pools if one.at_work]
            _log.warning("the service ends although something is at work: %s", ", ".join(at_work) or "a task")

    def hurry(self) -> None:
        """Let `stop` wait no longer."""
        self._hurries.set()

    async def _end(self) -> None:
        renders, self._renders = self._renders, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if renders is not None:
            await renders.close()
        await self._tiles.close()
        await self._canvases.close()
        await self._workers.close()
        await self._slow_workers.close()
        self.is_over = True

    @property
    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/", answering(self._root)),
            Route("/view", answering(self._view)),
            Route("/view/{name:path}", answering(self._view)),
            Route("/api/sources", answering(self._sources)),
            Route("/health", answering(self._health)),
            Route("/ready", answering(self._ready)),
            Route("/metrics", answering(self._metrics)),
            *self._images.routes,
            *self._render_routes.routes,
        ]

    async def _root(self, _request: Request) -> Response:
        if self._viewer:
            return RedirectResponse(f"{self.settings.prefix}/view/", 303)
        return JSONResponse({"iiif": "/iiif/3/", "sources": "/api/sources", "renders": "/api/renders"})

    async def _view(self, request: Request) -> Response:
        name = request.path_params.get("name")
        if name is None:
            return RedirectResponse(f"{self.settings.prefix}/view/", 303)
        file = self._viewer.get(name or "index.html")  # looked up: no path is made of what clients send
        if file is None:
            raise NotFoundError("the viewer has no such file, or is not built: docs/service.md says how")
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    async def _sources(self, _request: Request) -> Response:
        settings = self.settings
        return JSONResponse(
            {
                "sources": await asyncio.wait_for(self._canvases.describe(), settings.deadline),
                "limits": {
                    "side": settings.max_side,
                    "pixels": settings.max_pixels,
                    "field": settings.max_field,
                    "area": settings.max_area,
                    "tile": TILE,
                },
                "formats": list(available_formats()),
                "canvas": canvas_options(),
            }
        )

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, _request: Request) -> Response:
        self._get_renders()
        return JSONResponse({"status": "ready"})

    async def _metrics(self, _request: Request) -> Response:
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)

    def _get_renders(self) -> Renders:
        if self._renders is None:
            raise BusyError("the service is being shut down", 10)
        return self._renders

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_SECONDS)
            self._get_renders().expire()

    async def _warm(self) -> None:
        """Make the canvases that the settings name ready; what fails is logged."""
        results = await asyncio.gather(*map(self._canvases.ready, self._warming), return_exceptions=True)
        for identifier, result in zip(self._warming, results, strict=True):
            if isinstance(result, Exception):
                _log.warning("%s is not made ready: %s", identifier, result)

    def _watch(self) -> None:
        """Let the numbers tell what the parts are at."""
        watch, tiles = self.metrics.watch, self._tiles
        self.metrics.watch_each(
            "ourgan_queue_length",
            "Calls that wait for a thread",
            "work",
            {one.name: functools.partial(_waiting, one) for one in (self._workers, self._slow_workers)},
        )
        watch("ourgan_tile_cache_hits", "Pictures answered from the cache", lambda: float(tiles.hits))
        watch("ourgan_tile_cache_misses", "Pictures that had to be made", lambda: float(tiles.misses))
        watch("ourgan_tile_cache_bytes", "Of encoded pictures that are kept", lambda: float(tiles.bytes))
        watch("ourgan_canvases", "That are open", lambda: float(len(self._canvases)))
        watch("ourgan_canvas_bytes", "Of what open canvases keep", lambda: float(self._canvases.bytes))
        self.metrics.watch_each(
            "ourgan_renders",
            "By state",
            "state",
            {state: functools.partial(self._count, state) for state in STATES},
        )

    def _count(self, state: Any) -> float:
        return 0.0 if self._renders is None else float(self._renders.count(state))


def _waiting(workers: Workers) -> float:
    return float(workers.waiting)
