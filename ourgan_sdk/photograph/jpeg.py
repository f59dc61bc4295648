"""JPEG files: their segments, and what of them is private."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .opening import Opening, Refusal

__all__ = ["color_profile", "opening", "without_private_data"]

_START = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: with Huffman codes, and not lossless
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APPLICATION, _COMMENT = range(0xE0, 0xF0), 0xFE
_SCAN, _END = 0xDA, 0xD9
_JFIF, _ICC, _ADOBE = b"JFIF\0", b"ICC_PROFILE\0", b"Adobe"
_NEEDED = {0xE2: _ICC, 0xEE: _ADOBE}
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # within a scan; ff 00 and restarts belong to it

HARMLESS = (
    "extraneous bytes before marker 0xd9",
    "Invalid SOS parameters",
    "Unknown Adobe color transform",
    "unknown JFIF revision",
)
"""Parts of libjpeg's warnings after which the pixels are whole; cameras are to blame for them."""


class Segment(NamedTuple):
    """A marker, and everything up to the next one."""

    marker: int
    payload: bytes  # without marker and length
    scan: bytes  # entropy-coded data behind it


def opening(data: bytes) -> Opening:
    """How libvips is to read it. Raises Refusal for samples of other than 8 bits."""
    for segment in segments(data):
        if segment.marker in _FRAMES and segment.payload:
            if segment.marker not in _START | {0xC9, 0xCA}:
                raise Refusal(
                    "is a lossless or hierarchical JPEG, which few programs read: convert it to PNG"
                )
            if segment.payload[0] != 8:
                raise Refusal(
                    f"is a JPEG of {segment.payload[0]} bits, which few programs read: convert it to PNG"
                )
            break
    return Opening("JPEG", "jpegload", data, harmless=HARMLESS)


def segments(data: bytes) -> Iterator[Segment]:
    """The segments between the start and the end of the first picture; fewer if the file is broken."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == _END:
            return
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        payload = data[position + 4 : end]
        following = _MARKER.search(data, end) if marker == _SCAN else None
        behind = following.start() if following else end
        yield Segment(marker, payload, data[end:behind])
        position = behind


def without_private_data(data: bytes) -> bytes | None:
    """The same picture without EXIF, XMP, IPTC, comments, thumbnails and what follows its end.

    What decides the pixels stays as it is: JFIF, Adobe and ICC segments and everything that is no metadata.
    None if it is no 8-bit baseline or progressive JPEG of three components.
    """
    kept = [b"\xff\xd8"]
    for marker, payload, scan in segments(data):
        if marker in _FRAMES and not (
            marker in _START and payload[:1] == b"\x08" and payload[5:6] == b"\x03"
        ):
            return None
        if marker == 0xE0 and payload.startswith(_JFIF):
            payload = payload[:12] + b"\0\0"  # noqa: PLW2901 - without its thumbnail
        elif marker == _COMMENT or (marker in _APPLICATION and not is_needed(marker, payload)):
            continue
        kept += [struct.pack(">BBH", 0xFF, marker, len(payload) + 2), payload, scan]
    return b"".join([*kept, b"\xff\xd9"])


def is_needed(marker: int, payload: bytes) -> bool:
    """Whether an application's segment decides the colours."""
    return marker in _NEEDED and payload.startswith(_NEEDED[marker])


def color_profile(data: bytes) -> bytes:
    """The embedded ICC profile; empty if there is none."""
    parts = [
        s.payload[len(_ICC) :] for s in segments(data) if s.marker == 0xE2 and s.payload.startswith(_ICC)
    ]
    return b"".join(part[2:] for part in sorted(parts))  # number, count, bytes
