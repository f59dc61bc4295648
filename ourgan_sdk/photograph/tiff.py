"""TIFF files: which of their many kinds are read, told by their tags before libvips sees them.

What is not known to come out right is refused by name.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from .opening import Opening, Refusal, check_size

__all__ = ["Directory", "TiffBrokenError", "first_directory", "opening"]

_FORMATS = {
    1: "B",
    2: "B",
    3: "H",
    4: "I",
    6: "b",
    7: "B",
    8: "h",
    9: "i",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _PLANAR, _INK_SET, _TILE_WIDTH, _TILE_HEIGHT = 274, 277, 284, 332, 322, 323
_EXTRA, _FORMAT, _SUBSAMPLING, _DNG = 338, 339, 530, 50706
_MOST_VALUES, _MOST_DIRECTORIES = 1 << 16, 10_000
_REDUCED, _MASK = 1, 4  # bits of the subfile type

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_BITS_READ = {
    _WHITE_IS_ZERO: {1, 2, 4, 8, 16},
    _BLACK_IS_ZERO: {1, 2, 4, 8, 16},
    _RGB: {8, 16},
    _PALETTE: {1, 2, 4, 8},
    _CMYK: {8, 16},
    _YCBCR: {8},
    _LAB: {8, 16},
}
_UNUSUAL = {
    4: "is a transparency mask, not a photograph",
    9: "has ICCLab colours",
    10: "has ITULab colours",
    32803: "is a camera raw file: develop it",
    32844: "has LogL luminances",
    32845: "has LogLuv colours",
    34892: "is a camera raw file: develop it",
}
_SAMPLE_KINDS = {2: "signed", 3: "floating-point", 4: "untyped", 5: "complex integer", 6: "complex"}
_OLD_JPEG, _JPEG = 6, 7


class TiffBrokenError(Exception):
    """The directories cannot be followed."""


class Entry(NamedTuple):
    """A tag's values, and where its entry lies in the file."""

    values: tuple[int, ...]
    position: int


@dataclass(frozen=True)
class Directory:
    """The tags of one picture in a TIFF file."""

    tags: dict[int, Entry]
    following: int  # position of the next directory; 0: none

    def all(self, tag: int) -> tuple[int, ...]:
        """The tag's values; none if it is missing."""
        return self.tags[tag].values if tag in self.tags else ()

    def get(self, tag: int, default: int) -> int:
        """The tag's first value."""
        return next(iter(self.all(tag)), default)


def opening(data: bytes) -> Opening:
    """How libvips is to read the first full-size picture. Raises Refusal for kinds that are not read."""
    try:
        directories = all_directories(data)
    except TiffBrokenError as error:
        raise Refusal(f"is broken or cut short: {error}") from error
    full = [i for i, d in enumerate(directories) if not d.get(_SUBFILE, 0) & (_REDUCED | _MASK)]
    if not full or any(_DNG in d.tags for d in directories):
        raise Refusal("holds no full-size picture, as camera raw files do: develop it to JPEG, PNG or TIFF")
    directory = directories[full[0]]
    check(directory)
    opened = Opening("TIFF", "tiffload", data, {"page": full[0], "unlimited": True})
    opened.orientation = directory.get(_ORIENTATION, 1)
    if not 1 <= opened.orientation <= 8:  # other programs do not mind; libtiff does
        opened.data = with_short(opened.data, directory, _ORIENTATION, 1)
    opened.unspecified = unspecified(directory)
    if directory.get(_PHOTOMETRIC, -1) == _LAB and directory.all(_BITS)[0] == 8:
        opened.lab = True  # libvips fails at these; as RGB, the same bytes come unchanged
        opened.data = with_short(opened.data, directory, _PHOTOMETRIC, _RGB)
    opened.note = f"it has {len(full)} pages; the first is taken" if len(full) > 1 else ""
    return opened


def check(directory: Directory) -> None:
    """Raises Refusal unless the picture is of a kind that is read right."""
    photometric = directory.get(_PHOTOMETRIC, -1)
    if photometric not in _COLORS:
        reason = _UNUSUAL.get(photometric, f"has colours of an unknown kind (photometric {photometric})")
        raise Refusal(f"{reason}, which is unusual: convert it to 8- or 16-bit RGB")
    for kind in directory.all(_FORMAT):
        if kind in _SAMPLE_KINDS:
            raise Refusal(
                f"has {_SAMPLE_KINDS[kind]} samples, which programs show differently: "
                "convert it to 8 or 16 bits"
            )
    bits = set(directory.all(_BITS) or (1,))
    if len(bits) > 1 or not bits <= _BITS_READ[photometric]:
        told = ", ".join(map(str, sorted(bits)))
        raise Refusal(
            f"has samples of {told} bits, which is unusual for its colours: convert it to 8 or 16 bits"
        )
    check_samples(directory, photometric)
    check_storage(directory, photometric)


def check_samples(directory: Directory, photometric: int) -> None:
    """Raises Refusal unless there are as many samples as colours, or one for alpha beside grey or RGB."""
    samples = directory.get(_SAMPLES, 1)
    extra = samples - _COLORS[photometric]
    if extra < 0:
        raise Refusal(f"is broken or cut short: {samples} samples are too few for its colours")
    most = 1 if photometric in (_BLACK_IS_ZERO, _RGB) else 0
    if extra > most:
        raise Refusal(
            f"has {samples} channels, {extra} more than its colours need: remove all but the colours"
        )
    if photometric == _CMYK and directory.get(_INK_SET, 1) != 1:
        raise Refusal("has inks other than cyan, magenta, yellow and black: convert it to RGB")


def check_storage(directory: Directory, photometric: int) -> None:
    """Raises Refusal for ways of storing samples that libvips does not undo, or not within bounds."""
    compression = directory.get(_COMPRESSION, 1)
    if compression == _OLD_JPEG:
        raise Refusal("has old-style JPEG compression, which is unusual: save it anew")
    if compression == _JPEG and photometric == _CMYK:
        raise Refusal("has CMYK colours in JPEG compression, which is unusual: convert it to RGB")
    if photometric == _YCBCR and compression != _JPEG:
        raise Refusal("has YCbCr colours without JPEG compression, which is unusual: convert it to RGB")
    if directory.get(_PLANAR, 1) != 1 and _TILE_WIDTH in directory.tags:
        raise Refusal("keeps each channel in tiles of its own, which is unusual: save it anew")
    check_size(directory.get(_WIDTH, 0), directory.get(_HEIGHT, 0))  # before GLib prints that it is too much
    size = directory.get(_WIDTH, 0) * directory.get(_HEIGHT, 0)
    tile = directory.get(_TILE_WIDTH, 0) * directory.get(_TILE_HEIGHT, 0)
    if tile > max(4 * size, 1 << 24):
        raise Refusal("is broken or cut short: its tiles are larger than the picture")


def unspecified(directory: Directory) -> bool:
    """Whether there is a further sample of which nothing says that it is alpha."""
    extra = directory.get(_SAMPLES, 1) - _COLORS[directory.get(_PHOTOMETRIC, _RGB)]
    return extra == 1 and directory.get(_EXTRA, 0) not in (1, 2)


def with_short(data: bytes, directory: Directory, tag: int, value: int) -> bytes:
    """The same file with another 16-bit value of a tag that it has."""
    order, big = _byte_order(data)
    position = directory.tags[tag].position + (12 if big else 8)
    return data[:position] + struct.pack(order + "H", value) + data[position + 2 :]


def all_directories(data: bytes) -> list[Directory]:
    """All top-level directories. Raises TiffBrokenError."""
    directories = [first_directory(data)]
    seen = {0}
    while directories[-1].following not in seen and len(directories) < _MOST_DIRECTORIES:
        seen.add(directories[-1].following)
        directories.append(_directory(data, directories[-1].following))
    return directories


def first_directory(data: bytes) -> Directory:
    """The first directory, of a TIFF file or of EXIF data. Raises TiffBrokenError."""
    order, big = _byte_order(data)
    return _directory(data, *_unpack(data, order + ("Q" if big else "I"), 8 if big else 4))


def _byte_order(data: bytes) -> tuple[str, bool]:
    """Struct's letter, and whether the file is a BigTIFF."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        raise TiffBrokenError("it does not begin as a TIFF")
    return order, _unpack(data, order + "H", 2)[0] == 43


def _unpack(data: bytes, form: str, position: int) -> tuple[int, ...]:
    if not 0 <= position <= len(data) - struct.calcsize(form):
        raise TiffBrokenError("its tags lie beyond its end")
    return struct.unpack_from(form, data, position)


def _directory(data: bytes, position: int) -> Directory:
    order, big = _byte_order(data)
    (count,) = _unpack(data, order + ("Q" if big else "H"), position)
    position += 8 if big else 2
    size = 20 if big else 12
    if count > min(4096, len(data) // size):
        raise TiffBrokenError(f"a directory of {count} tags")
    tags: dict[int, Entry] = {}
    for entry in range(position, position + count * size, size):
        number, kind, length = _unpack(data, order + ("HHQ" if big else "HHI"), entry)
        tags.setdefault(number, Entry(_values(data, entry, kind, length), entry))
    (following,) = _unpack(data, order + ("Q" if big else "I"), position + count * size)
    return Directory(tags, following)


def _values(data: bytes, entry: int, kind: int, length: int) -> tuple[int, ...]:
    """The integers of an entry; none if it holds others, too many, or lies beyond the file."""
    if kind not in _FORMATS or length > _MOST_VALUES:
        return ()
    order, big = _byte_order(data)
    form = f"{order}{length}{_FORMATS[kind]}"
    position = entry + (12 if big else 8)
    try:
        if struct.calcsize(form) > (8 if big else 4):
            (position,) = _unpack(data, order + ("Q" if big else "I"), position)
        return _unpack(data, form, position)
    except TiffBrokenError:
        return ()
