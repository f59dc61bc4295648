"""Why a request is refused."""

from collections.abc import Mapping

from ..errors import OurganError

__all__ = ["BadRequestError", "BusyError", "NotFoundError", "RefusedError", "UnprocessableError"]


class RefusedError(OurganError):
    """What the client is told: a status, a sentence, headers."""

    status = 400

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})


class BadRequestError(RefusedError):
    """It cannot be understood, or asks for more than is allowed."""


class NotFoundError(RefusedError):
    """There is nothing of that name."""

    status = 404


class UnprocessableError(RefusedError):
    """It is understood, and what it asks for cannot be done."""

    status = 422


class BusyError(RefusedError):
    """There is no room now; `seconds` from now there may be."""

    status = 503

    def __init__(self, message: str, seconds: int, status: int = 503) -> None:
        super().__init__(message, {"Retry-After": str(seconds)})
        self.status = status
