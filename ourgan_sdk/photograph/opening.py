"""How a file is to be opened: what its own parser tells libvips, and what libvips does not tell."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAX_PIXELS", "Opening", "Refusal", "check_size"]

MAX_PIXELS = 2**29
"""536 megapixels: 1.6 GB of RGB, more than any camera gives."""


class Refusal(Exception):  # noqa: N818 - it never leaves the package
    """Why a photograph is refused: a sentence without its beginning, the photograph's name."""


@dataclass
class Opening:
    """What to load, how, and what the pixels mean."""

    kind: str  # "JPEG"
    loader: str  # of libvips, without "_buffer"
    data: bytes  # the file, or what is left of it for libvips
    options: dict[str, Any] = field(default_factory=dict)  # of the loader
    orientation: int | None = None  # EXIF's number; None: as the file's EXIF says
    lab: bool = False  # three 8-bit samples are CIELab
    unspecified: bool = False  # what the fourth sample means is not said
    harmless: tuple[str, ...] = ()  # what libvips may complain of although the pixels are whole
    note: str | None = None  # what to say of it in the log; None: how many pages libvips finds


def check_size(width: int, height: int) -> None:
    """Raises Refusal if there are more pixels than are read."""
    if width * height > MAX_PIXELS:
        raise Refusal(f"has {width} x {height} pixels; at most {MAX_PIXELS} are accepted: reduce it first")
