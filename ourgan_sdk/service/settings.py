"""What a service is told by whoever runs it."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ..engines.protocol import Precision
from ..errors import OurganError
from ..sizes import LARGEST_SIDE
from ..system.memory import LARGEST_MEMORY_LIMIT, available_memory
from ..system.processors import available_processors

__all__ = ["DEFAULT_PORT", "SOURCE_NAME", "Settings", "is_loopback"]

DEFAULT_PORT = 8182

SOURCE_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
"""What sources may be called: nothing of it has to be escaped in URLs."""

_URL = re.compile(r"[!-~]+")

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
"""Tokens, which travel in headers; shorter ones could be guessed."""


@dataclass(frozen=True)
class Settings:
    """Checked when made: raises OurganError for what does not go together, ValueError for no such number."""

    sources: Mapping[str, Path] = field(default_factory=dict)
    """Photographs and bundles by name."""
    folder: Path | None = None
    """Whose photographs and bundles are sources too, by their stems."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 is any that is free."""
    token: str | None = field(default=None, repr=False)
    """What clients have to know; without one, none but those on this machine get in."""
    url: str | None = None
    """Under which clients see the service, where a proxy stands before it, which passes on what follows:
    https://pictures.example, or https://pictures.example/garden."""
    cors: str | None = "*"
    """The origin whose pages may read pictures; None: no other than the service's own."""
    viewer: bool = True
    warm: tuple[str, ...] = ()
    """Identifiers of canvases that are made ready at once."""

    memory: int | None = None
    """Bytes for renders, canvases that are kept, and encoded tiles; by default half of what is available."""
    tile_cache: int = 64 << 20
    """Bytes of encoded tiles that are kept; part of `memory`."""
    threads: int | None = None
    """Pictures that are made at once; by default as many as there are processors."""
    queue: int = 64
    """Pictures that wait to be made; more are refused."""
    in_flight: int = 64
    """Requests of one client that are answered at once; more are refused."""
    deadline: float = 30.0
    """Seconds in which a picture has to be made."""

    max_side: int = 1 << 20
    """Pixels per side of a canvas."""
    max_field: int = 1 << 24
    """Pixels of a canvas that are searched whole, or of its structure: what its first tile takes."""
    max_area: int = 1 << 24
    """Pixels of a picture that is answered at once."""
    max_work: int = 1 << 29
    """Pixels that it takes: its own, those it is made of, and 16 fold those that networks make for it."""
    max_pixels: int = 4_000_000_000
    """Pixels of a render."""
    renders: int = 1
    """Renders at work at once."""
    render_queue: int = 16
    """Renders that wait; more are refused."""
    render_deadline: float = 3600.0
    """Seconds that a render may take, once it has begun."""
    render_ttl: float = 3600.0
    """Seconds for which a finished render can be fetched."""
    disk: int = 32 << 30
    """Bytes of all renders' files."""
    work: Path | None = None
    """The folder in which renders' files lie; by default the system's for temporary files."""

    engine: str = "auto"
    device: str = "auto"
    precision: Precision | Literal["auto"] = "auto"
    engine_threads: int | None = None
    allow_plans: bool = False

    def __post_init__(self) -> None:
        if self.memory is None:  # once: what is available changes
            object.__setattr__(self, "memory", available_memory() // 2)
        for name, least, most in (
            ("port", 0, 65535),
            ("tile_cache", 0, LARGEST_MEMORY_LIMIT),
            ("queue", 0, 10_000),
            ("in_flight", 1, 10_000),
            ("max_side", 1, LARGEST_SIDE),
            ("max_field", 1, 1 << 31),
            ("max_area", 1 << 18, 1 << 28),
            ("max_work", 1 << 26, 1 << 62),
            ("max_pixels", 1, 1 << 62),
            ("renders", 1, 64),
            ("render_queue", 0, 10_000),
            ("disk", 0, 1 << 62),
            ("deadline", 0, 3600),
            ("render_deadline", 0, 1e9),
            ("render_ttl", 0, 1e9),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"expected {name} to be from {least:g} to {most:g}, got {value!r}")
        for name in self.sources:
            if SOURCE_NAME.fullmatch(name) is None:
                raise OurganError(
                    f"a source cannot be called {name!r}: letters, digits, '.', '_' and '-' are allowed; "
                    "rename the file"
                )
        if self.memory_for_renders < _LEAST_MEMORY:
            raise OurganError(
                f"{self.memory_in_all} bytes of memory are too few beside {self.tile_cache} for tiles: "
                f"give {_LEAST_MEMORY * 2 + self.tile_cache} or more (--memory)"
            )
        if self.url is not None:
            _check_url(self.url)
        if self.token is not None and _TOKEN.fullmatch(self.token) is None:
            raise OurganError("expected a token of 16 to 512 letters, digits and ._~+/=-: make another one")
        if self.token is None and not is_loopback(self.host):
            raise OurganError(
                f"a service on {self.host} is seen by other machines and needs a token: give --token-file or "
                "OURGAN_TOKEN, or leave it on 127.0.0.1"
            )

    @property
    def prefix(self) -> str:
        """Of paths, as clients see them: what `url` has behind its host, without a last slash."""
        return "" if self.url is None else urlsplit(self.url).path.rstrip("/")

    @property
    def memory_in_all(self) -> int:
        """Bytes, decided."""
        return self.memory or 0

    @property
    def memory_for_canvases(self) -> int:
        """Bytes of fields that are kept for the next request."""
        return (self.memory_in_all - self.tile_cache) // 2

    @property
    def memory_for_renders(self) -> int:
        """Bytes of everything that is at work."""
        return self.memory_in_all - self.tile_cache - self.memory_for_canvases

    @property
    def workers(self) -> int:
        """Threads, decided."""
        return self.threads or available_processors()


_LEAST_MEMORY = 64 << 20


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - which may raise
        is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        is_sound = is_sound and not parts.query and not parts.fragment and _URL.fullmatch(url) is not None
    except ValueError:
        is_sound = False
    if not is_sound:
        raise OurganError(
            f"expected a url such as https://pictures.example or .../pictures (--url), got {url!r}"
        )


def is_loopback(host: str) -> bool:
    """Whether no other machine reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
