"""Picture files made by hand: TIFF and PNG of any kind of samples, EXIF data, ICC profiles."""

from __future__ import annotations

import struct
import zlib

import numpy as np

Tags = dict[int, tuple[int, list[int]]]
SRGB_COLUMNS = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))


def tiff(tags: Tags, data: bytes, order: str = "<") -> bytes:
    """One directory of (type, values), and its only strip in front of it."""
    tags = tags | {273: (4, [8]), 279: (4, [len(data)])}
    data += b"\0" * (len(data) % 2)
    return struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data)) + (
        data + directory(tags, 8 + len(data), order)
    )


def directory(tags: Tags, position: int, order: str) -> bytes:
    formats = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B"}
    entries, values = b"", b""
    end = position + 6 + 12 * len(tags)
    for number, (kind, content) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(content)}{formats.get(kind, 'I')}", *content)
        if len(packed) > 4:
            entries += struct.pack(order + "HHII", number, kind, len(content), end + len(values))
            values += packed + b"\0" * (len(packed) % 2)
        else:
            entries += struct.pack(order + "HHI", number, kind, len(content)) + packed.ljust(4, b"\0")
    return struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0) + values


def tiff_of(
    samples: np.ndarray, bits: int, photometric: int, more: Tags | None = None, order: str = "<"
) -> bytes:
    """(H, W, C) unsigned samples of so many bits, interleaved."""
    height, width, count = samples.shape
    tags: Tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * count),
        259: (3, [1]),
        262: (3, [photometric]),
        277: (3, [count]),
        278: (4, [height]),
    }
    return tiff(tags | (more or {}), packed(samples, bits, order), order)


def packed(samples: np.ndarray, bits: int, order: str = ">") -> bytes:
    """Rows of samples, each row filled up to a whole byte."""
    if bits >= 8:
        return samples.astype(f"{order}u{bits // 8}").tobytes()
    rows = samples.reshape(len(samples), -1, 1).astype(np.uint8)
    digits = np.unpackbits(rows, axis=-1)[..., 8 - bits :].reshape(len(samples), -1)
    return np.packbits(digits, axis=-1).tobytes()


def png(samples: np.ndarray, bits: int, color_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """(H, W, C) samples, not interlaced; `chunks` come before the pixels."""
    height, width = samples.shape[:2]
    rows = packed(samples, bits)
    size = len(rows) // height
    filtered = b"".join(b"\0" + rows[i : i + size] for i in range(0, len(rows), size))
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_profile(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"profile\0\0" + zlib.compress(profile)


def heic() -> bytes:
    """A well-formed HEIC file of 32 x 32 pixels, but for its HEVC data."""

    def box(name: bytes, *parts: bytes) -> bytes:
        return struct.pack(">I4s", 8 + sum(map(len, parts)), name) + b"".join(parts)

    full = bytes(4)  # version and flags
    configuration = bytes.fromhex("01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f 00")
    properties = box(b"ipco", box(b"hvcC", configuration), box(b"ispe", full, struct.pack(">II", 32, 32)))
    items = box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0")
    head = box(b"ftyp", b"heic", full, b"mif1heic")
    data = bytes(64)

    def meta(offset: int) -> bytes:
        return box(
            b"meta",
            full,
            box(b"hdlr", full, full, b"pict", bytes(13)),
            box(b"pitm", full, b"\0\1"),
            box(b"iloc", full, b"\x44\0", struct.pack(">HHHHII", 1, 1, 0, 1, offset, len(data))),
            box(b"iinf", full, b"\0\1", items),
            box(b"iprp", properties, box(b"ipma", full, struct.pack(">IHBBB", 1, 1, 2, 0x81, 2))),
        )

    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", data)


def exif(orientation: int, odd: Tags | None = None, order: str = "<") -> bytes:
    """EXIF data without its "Exif" in front."""
    header = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return header + directory({274: (3, [orientation])} | (odd or {}), 8, order)


def profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile of version 2."""
    tags = {b"desc": _text(b"desc"), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(0.9642, 1, 0.8249)} | tags
    table, contents = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(contents), len(content))
        contents += content + b"\0" * (-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s", start + len(contents), b"", 0x02400000, kind, space, pcs, b"acsp"
    )
    header = header.ljust(68, b"\0") + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + table + contents


def rgb_profile(gamma: float, columns: tuple[tuple[float, ...], ...] = SRGB_COLUMNS) -> bytes:
    """Of sRGB's primaries, or others, and a power curve."""
    tags = {name: _xyz(*xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


def grey_profile(gamma: float) -> bytes:
    return profile(b"GRAY", {b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """Somehow like ink: Lab at the 16 corners, and linear in between."""
    identity = bytes(range(256))
    corners = b""
    for index in range(16):
        c, m, y, k = (index >> shift & 1 for shift in (3, 2, 1, 0))
        lightness = max(0, 100 - 45 * c - 52 * m - 11 * y - 84 * k)
        a, b = (-37 * c + 74 * m - 5 * y) * (1 - k), (-50 * c - 3 * m + 93 * y) * (1 - k)
        corners += bytes([round(lightness * 2.55), a + 128, b + 128])
    unit = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + unit + identity * 4 + corners + identity * 3
    return profile(b"CMYK", {b"A2B0": lut}, b"prtr", b"Lab ")


def _text(content: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(content) + 1) + content + b"\0" * 79


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
