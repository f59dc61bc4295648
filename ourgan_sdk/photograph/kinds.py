"""What kind of picture a file is, by its first bytes."""

import re
from collections.abc import Callable

from . import heif, jpeg, png, tiff
from .opening import Opening, Refusal

__all__ = ["HEAD", "SUFFIXES", "cannot_read", "open_kind", "unreadable"]

HEAD = 1024
"""Bytes that tell the kind."""
SUFFIXES = frozenset(
    f".{kind}"
    for kinds in ("jpg jpeg jpe jfif png apng tif tiff webp gif avif", "heic heif jxl jp2 bmp ppm")
    for kind in kinds.split()
)
"""Of files that are taken for photographs; the last ones for being named as not readable."""
_READ: list[tuple[bytes, Callable[[bytes], Opening]]] = [
    (rb"\xff\xd8\xff", jpeg.opening),
    (rb"\x89PNG\r\n\x1a\n", png.opening),
    (rb"RIFF....WEBP", lambda data: Opening("WebP", "webpload", data)),
    (rb"GIF8[79]a", lambda data: Opening("GIF", "gifload", data, orientation=1)),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", tiff.opening),
    (rb"....ftyp(?!crx |qt  |isom|mp4|jp2 |jxl )", heif.opening),
]
_NAMED = [
    (rb"\xff\x0a|\0\0\0\x0cJXL |....ftypjxl ", "a JPEG XL"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000"),
    (rb"II\xbc", "a JPEG XR"),
    (rb"BM.{4}\0\0\0\0", "a BMP"),
    (rb"P[1-7Ff][\s#]", "a PNM"),
    (rb"8BPS", "a Photoshop"),
    (rb"gimp xcf", "a GIMP"),
    (rb"v/1\x01", "an OpenEXR"),
    (rb"#\?R(ADIANCE|GBE)", "a Radiance HDR"),
    (rb"DDS ", "a DDS"),
    (rb"qoif", "a QOI"),
    (rb"\0\0\x01\0", "a Windows icon"),
    (rb"SIMPLE  =", "a FITS"),
    (rb".{128}DICM", "a DICOM"),
    (rb"FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|....ftypcrx |II\*\0.{4}CR\x02", "a camera raw"),
    (rb"%PDF", "a PDF"),
    (rb"\s*(<\?xml.*)?<svg", "an SVG"),
    (rb"....ftyp(qt  |isom|mp4)", "a video"),
]


def open_kind(data: bytes) -> Opening:
    """How the file is opened. Raises Refusal if it is no picture, or one that is not read."""
    reason = unreadable(data[:HEAD])
    if reason:
        raise Refusal(reason)
    return next(opening for pattern, opening in _READ if re.match(pattern, data, re.DOTALL))(data)


def unreadable(head: bytes) -> str:
    """Why a file that begins so is no photograph that can be read; empty if it may be one."""
    for pattern, name in _NAMED:
        if re.match(pattern, head, re.DOTALL):
            return f"is {name} picture, which is not read: convert it to JPEG, PNG or TIFF"
    if any(re.match(pattern, head, re.DOTALL) for pattern, _ in _READ):
        return ""
    return "is not a picture that can be read (expected JPEG, PNG, TIFF, WebP, ...)"


def cannot_read(name: str) -> str:
    """The reason for which a picture of this kind, "a HEIC" say, is refused where libvips has no decoder."""
    return (
        f"is {name} picture; this build of libvips cannot read it: convert it to JPEG, PNG or TIFF, or "
        "install the system's libvips, with a decoder for it, and pyvips without [binary]"
    )
