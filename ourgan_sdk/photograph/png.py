"""PNG files: the chunks that tell what the colours are, and those that nobody needs."""

import struct
from collections.abc import Iterator

from .opening import Opening, Refusal

__all__ = ["opening"]

_SIGNATURE = 8
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_SRGB_GAMMA, _SRGB_CHROMATICITIES = 45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_SRGB_CODE_POINTS = (1, 13, 0, 1)  # cICP: primaries, transfer, matrix, full range
_TOLERANCE = 1000  # of 100000


def opening(data: bytes) -> Opening:
    """How libvips is to read it: without its texts, for libpng and libspng refuse large ones.

    Raises Refusal if its colours are others than sRGB and no profile tells which.
    """
    found: dict[bytes, bytes] = {}
    kept, end = [data[:_SIGNATURE]], _SIGNATURE
    for name, start, end in chunks(data):
        if name not in _TEXTS:
            kept.append(data[start:end])
        if name != b"IDAT":
            found.setdefault(name, data[start + 8 : end - 4])
    check_colors(found)
    note = "it is animated; the first picture is taken" if b"acTL" in found else None
    return Opening("PNG", "pngload", b"".join([*kept, data[end:]]), note=note)


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of the whole chunks, in order."""
    position = _SIGNATURE
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            return
        yield name, position, end
        position = end


def check_colors(found: dict[bytes, bytes]) -> None:
    """Raises Refusal for colours that are not sRGB: programs differ in which of these chunks they heed."""
    cicp = found.get(b"cICP")
    if cicp is not None and tuple(cicp) != _SRGB_CODE_POINTS:
        raise Refusal(f"has unusual colours (cICP {tuple(cicp)}), as of HDR: convert it to sRGB")
    if cicp is not None or b"iCCP" in found or b"sRGB" in found:
        return
    gamma = found.get(b"gAMA", b"")
    if len(gamma) == 4 and abs(struct.unpack(">I", gamma)[0] - _SRGB_GAMMA) > _TOLERANCE:
        value = struct.unpack(">I", gamma)[0] / 100000
        raise Refusal(
            f"has an unusual gamma (gAMA {value:g}), which some programs heed and some do not: "
            "convert it to sRGB"
        )
    primaries = found.get(b"cHRM", b"")
    if len(primaries) == 32:
        values = struct.unpack(">8I", primaries)
        if any(abs(a - b) > _TOLERANCE for a, b in zip(values, _SRGB_CHROMATICITIES, strict=True)):
            raise Refusal(
                "has unusual primaries (cHRM), which some programs heed and some do not: convert it to sRGB"
            )
