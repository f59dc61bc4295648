"""AVIF and HEIC files: what their boxes tell of the colours."""

import struct
from collections.abc import Iterator

from .opening import Opening, Refusal

__all__ = ["opening"]

_PRIMARIES = {1, 2}  # BT.709, unspecified
_INSIDE = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iref": 4}  # boxes of boxes: bytes before the first one
_TRANSFERS = {1, 2, 6, 13, 14, 15}  # BT.709 and its likes, unspecified, sRGB


def opening(data: bytes) -> Opening:
    """How libvips is to read it. Raises Refusal for HDR, premultiplied alpha, other primaries than sRGB's."""
    (size,) = struct.unpack_from(">I", data)
    brands = data[8 : max(size, 12)]
    avif = b"avif" in brands or b"avis" in brands
    found = list(boxes(data, 0, len(data)))
    check_colors([payload for name, payload in found if name == b"colr"])
    if any(name == b"prem" for name, _ in found):
        raise Refusal("has premultiplied alpha, which is unusual: convert it to PNG")
    return Opening("AVIF" if avif else "HEIC", "heifload", data, orientation=1)  # libheif turns it


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of the boxes that describe the pictures, from the outermost ones inwards."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = end if size == 0 else start + size
        if not start + head <= stop <= end:
            return
        if name in _INSIDE:
            yield from boxes(data, start + head + _INSIDE[name], stop)
        elif name != b"mdat":
            yield name, data[start + head : stop]
        start = stop


def check_colors(colors: list[bytes]) -> None:
    """Raises Refusal if the colours are not sRGB and no ICC profile tells which."""
    if any(color[:4] in (b"prof", b"rICC") for color in colors):
        return
    for color in colors:
        if color[:4] == b"nclx" and len(color) >= 8:
            primaries, transfer = struct.unpack(">HH", color[4:8])
            if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
                raise Refusal(
                    f"has unusual colours (primaries {primaries}, transfer {transfer}), as of HDR: "
                    "convert it to sRGB"
                )
