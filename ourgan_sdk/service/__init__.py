"""Canvases over HTTP: the IIIF Image API, renders as jobs, and a viewer. Takes the extra `serve`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import OurganError
from ..system.optional import import_optional
from .settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Settings", "create_app", "serve"]


def create_app(settings: Settings) -> "Starlette":
    """The service as an ASGI application, for servers of one process, with a lifespan.

    It sets what all renders of the process may take (`ourgan_sdk.set_limits`). Raises OurganError where a
    library that it takes is missing.
    """
    _import_libraries()
    from .app import create_app as create  # noqa: PLC0415 - takes libraries that not everybody has

    return create(settings)


def serve(settings: Settings, *, ready: Callable[[str], None] | None = None) -> bool:
    """Answer requests until SIGINT or SIGTERM; then end what is at work, and leave no file behind.

    Returns whether all of it has ended: what does not within ten seconds, or before a second signal, is left
    behind in its thread, which keeps the process.

    `ready` is told the service's URL once it answers. Raises OurganError where the address is taken or a
    library is missing.
    """
    _import_libraries()
    from .server import serve as run  # noqa: PLC0415

    return run(settings, ready=ready)


def _import_libraries() -> None:
    for module, title in (
        ("starlette", "Starlette"),
        ("uvicorn", "uvicorn"),
        ("prometheus_client", "prometheus-client"),
    ):
        import_optional(module, title, '"ourgan-sdk[serve]"', OurganError)
