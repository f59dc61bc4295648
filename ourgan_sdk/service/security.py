"""Who gets in: tokens, and what browsers are made to do by pages of others."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from .errors import RefusedError
from .settings import Settings, is_loopback

__all__ = ["ForbiddenError", "Guard", "UnauthorizedError", "cookie_name", "security_headers"]


_OPEN = ("/health", "/ready")
"""Paths that tell nothing, which a load balancer asks for."""

_CSP = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class UnauthorizedError(RefusedError):
    """The token is missing, or another one."""

    status = 401

    def __init__(self) -> None:
        super().__init__(
            "a token is needed: send it as 'Authorization: Bearer TOKEN', or open /view/?token=TOKEN",
            {"WWW-Authenticate": "Bearer"},
        )


class ForbiddenError(RefusedError):
    """Another site's page asks for it."""

    status = 403


class Guard:
    """Checks the headers of requests, by lower-case names."""

    def __init__(self, settings: Settings) -> None:
        self._token = None if settings.token is None else settings.token.encode()
        self._hosts = {"localhost", settings.host} if self._token is None else None
        self._origin = None if settings.url is None else _origin(settings.url)
        if settings.url is not None and self._hosts is not None:
            self._hosts.add(urlsplit(settings.url).hostname or "")

    def check(self, method: str, path: str, headers: Mapping[str, str], port: int) -> None:
        """Raises UnauthorizedError or ForbiddenError where a request is not to be answered.

        `port`: the service's own.
        """
        self._check_host(headers.get("host", ""))
        if method not in ("GET", "HEAD", "OPTIONS"):
            self._check_origin(headers)
        is_preflight = method == "OPTIONS" and path.startswith("/iiif/")
        if self._token is None or path in _OPEN or is_preflight or self._is_known(headers, port):
            return
        raise UnauthorizedError

    def is_token(self, text: str) -> bool:
        """Whether it is the token that there is, in constant time."""
        return self._token is not None and hmac.compare_digest(text.encode(), self._token)

    @property
    def needs_token(self) -> bool:
        """Whether there is one."""
        return self._token is not None

    @property
    def cookie(self) -> str:
        """What browsers keep in the token's place: it lets in, and does not tell the token."""
        return hashlib.sha256(b"ourgan cookie " + (self._token or b"")).hexdigest()

    def _is_known(self, headers: Mapping[str, str], port: int) -> bool:
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(text.strip()):
            return True
        for pair in headers.get("cookie", "").split(";"):  # others' may be anything
            name, _, value = pair.strip().partition("=")
            if name == cookie_name(port) and hmac.compare_digest(value.encode(), self.cookie.encode()):
                return True
        return False

    def _check_host(self, host: str) -> None:
        """Without a token: a name of another site that was made to lead here (DNS rebinding) is refused."""
        if self._hosts is None:
            return
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if name not in self._hosts and not is_loopback(name):
            raise ForbiddenError("this service is asked by another name than its own")

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        """A browser says whose page wants to change something."""
        origin = headers.get("origin")
        if origin is None:
            return
        try:
            own = urlsplit(origin).netloc == headers.get("host") or _origin(origin) == self._origin
        except ValueError:
            own = False
        if not own:
            raise ForbiddenError("pages of other sites may not change anything here")


def cookie_name(port: int) -> str:
    """What browsers keep in a token's place is called; they do not tell the ports of a host apart."""
    return f"ourgan_token_{port}"


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port


def security_headers(path: str) -> dict[str, str]:
    """What every answer bears."""
    headers = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    if path.startswith("/iiif/"):
        return headers | {"Cross-Origin-Resource-Policy": "cross-origin"}
    return headers | {
        "Content-Security-Policy": _CSP,
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
