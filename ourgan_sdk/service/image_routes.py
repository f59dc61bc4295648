"""The IIIF Image API over HTTP."""

import asyncio
import functools
import hashlib
import re

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from .._core import Box, resample
from . import iiif
from .admission import Workers
from .answers import answering
from .canvases import Canvases, Opened
from .effort import check_work, limits_of
from .errors import BadRequestError, BusyError
from .identifiers import Identifier, parse_identifier, source_of
from .pictures import encode
from .settings import Settings
from .tiles import Tiles

__all__ = ["Images", "base_url"]

_PATH = "/iiif/3/{identifier}"
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?", re.ASCII)
_FOR_EVER = "max-age=31536000, immutable"
_FOR_NOW = "max-age=60"
_THUMBNAIL = 640
"""Pixels of the long side up to which a whole picture is a thumbnail."""


class Images:
    """Answers requests for pictures and what there is to know about them."""

    def __init__(self, settings: Settings, canvases: Canvases, tiles: Tiles, workers: Workers) -> None:
        self._settings = settings
        self._canvases = canvases
        self._tiles = tiles
        self._workers = workers
        self._limits = iiif.Limits(settings.max_area)

    @property
    def routes(self) -> list[BaseRoute]:
        """Of this API."""
        return [
            Route(_PATH, answering(self._base)),
            Route(f"{_PATH}/info.json", answering(self._info)),
            Route(f"{_PATH}/{{region}}/{{size}}/{{rotation}}/{{file}}", answering(self._image)),
        ]

    async def _base(self, request: Request) -> Response:
        return RedirectResponse(f"{self._url(request, self._identifier(request))}/info.json", 303)

    async def _info(self, request: Request) -> Response:
        identifier = self._identifier(request)
        if request.path_params["identifier"] != str(identifier):
            return RedirectResponse(f"{self._url(request, identifier)}/info.json", 303)
        opened = await asyncio.wait_for(self._canvases.prepare(identifier), self._settings.deadline)
        whole = Box(0, 0, identifier.height, identifier.width)
        limits = limits_of(opened, whole, self._settings)
        url = self._url(request, identifier)
        content = iiif.info(url, (identifier.width, identifier.height), limits)
        headers = {
            "Link": f'<{iiif.PROFILE}>;rel="profile"',
            "Cache-Control": self._shared(_FOR_NOW),
            "Vary": "Accept",
        }
        response = JSONResponse(content, headers=headers)
        if "application/ld+json" in request.headers.get("accept", ""):
            response.headers["Content-Type"] = f'application/ld+json;profile="{content["@context"]}"'
        return response

    async def _image(self, request: Request) -> Response:
        identifier = self._identifier(request)
        names = ("region", "size", "rotation", "file")
        parameters = tuple(request.path_params[name] for name in names)
        size = identifier.width, identifier.height
        first = iiif.parse_request(parameters, size, self._limits)  # what is none does not open a canvas

        async def answer() -> Response:
            asked, opened = first, await self._canvases.open(identifier)
            if parameters[1] in ("max", "^max"):  # which is what can be had
                limits = limits_of(opened, asked.region, self._settings)
                asked = iiif.parse_request(parameters, size, limits)
            if not _is_thumbnail(opened, asked):
                check_work(opened, asked, self._settings)
            return await self._picture(request, identifier, opened, asked)

        try:
            return await asyncio.wait_for(answer(), self._settings.deadline)
        except asyncio.TimeoutError:
            raise self._late(identifier) from None

    def _late(self, identifier: Identifier) -> BusyError:
        """What to do about a picture that was not there in time."""
        seconds = f"not ready within {self._settings.deadline:g} seconds"
        if not self._canvases.is_found(identifier):
            return BusyError(f"{seconds}: the canvas's field is being found, which goes on, so try again", 2)
        return BusyError(
            f"{seconds}, and given up: ask for smaller pieces, for a render (POST /api/renders), or later", 30
        )

    async def _picture(
        self, request: Request, identifier: Identifier, opened: Opened, asked: iiif.Request
    ) -> Response:
        is_thumbnail = _is_thumbnail(opened, asked)
        name = f"{identifier}/{asked.canonical}"
        tag = _tag(name, opened.version, "thumbnail" if is_thumbnail else "")
        headers = {
            "ETag": tag,
            # What stands for the picture until more is known of it is not the picture.
            "Cache-Control": self._shared(_FOR_NOW if is_thumbnail else _FOR_EVER),
            "Link": f'<{self._url(request, identifier)}/{asked.canonical}>;rel="canonical", '
            f'<{iiif.PROFILE}>;rel="profile"',
        }
        if _is_known(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        if is_thumbnail:
            make = functools.partial(self._thumbnail, opened, identifier, asked)
        else:
            make = functools.partial(self._view, opened, asked)
        data = await self._tiles.get(tag, make)
        return Response(data, headers=headers, media_type=iiif.FORMATS[asked.format])

    def _shared(self, cache_control: str) -> str:
        """Who may keep it: where a token is needed, nobody's proxy."""
        return f"{'public' if self._settings.token is None else 'private'}, {cache_control}"

    async def _view(self, opened: Opened, asked: iiif.Request) -> bytes:
        await self._canvases.find(opened)

        def make() -> bytes:
            return encode(opened.canvas.view(asked.region, asked.width, asked.height), asked)

        return await self._workers.run(make)

    async def _thumbnail(self, opened: Opened, identifier: Identifier, asked: iiif.Request) -> bytes:
        picture = await self._canvases.thumbnail(opened, identifier, max(asked.width, asked.height))

        def make() -> bytes:
            return encode(resample(picture, asked.height, asked.width, threads=1), asked)

        return await self._workers.run(make)

    def _identifier(self, request: Request) -> Identifier:
        text = request.path_params["identifier"]
        # What is of no source is not found, however it is written.
        self._canvases.sources.get(source_of(text))
        return parse_identifier(text)

    def _url(self, request: Request, identifier: Identifier) -> str:
        """Under which a client knows a canvas."""
        return f"{base_url(request, self._settings)}/iiif/3/{identifier}"


def base_url(request: Request, settings: Settings) -> str:
    """Under which a client knows the service; raises BadRequestError."""
    if settings.url is not None:
        return settings.url.rstrip("/")
    host = request.headers.get("host", "")
    if _HOST.fullmatch(host) is None:
        raise BadRequestError("expected a Host header that names this service")
    return f"{request.url.scheme}://{host}"


def _is_thumbnail(opened: Opened, asked: iiif.Request) -> bool:
    """Whether a canvas is not worth its field: whole, small, and nobody has looked at it closely.

    Who shows twelve seeds to choose from wants twelve small pictures of the right layouts, each made in a
    fraction of the time that the field of a large canvas takes.
    """
    long = max(asked.width, asked.height)
    is_small = long <= _THUMBNAIL and long <= max(opened.canvas.width, opened.canvas.height)
    return asked.is_whole and is_small and not opened.is_found and opened.synthesizer.takes_detail


def _tag(*parts: str) -> str:
    """A strong entity tag of what a picture depends on."""
    return f'"{hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]}"'


def _is_known(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in header.split(",")]
