"""Reading a photograph: from a file's bytes to upright 8-bit sRGB."""

import hashlib
import logging
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PhotographError
from ..system.vips import import_vips, with_vips
from .colors import COLORS, lab_from_bytes, over_white, to_srgb
from .kinds import HEAD, cannot_read, open_kind, unreadable
from .opening import MAX_PIXELS, Opening, Refusal, check_size
from .tiff import TiffBrokenError, first_directory

__all__ = ["MAX_PIXELS", "Photograph", "decode_photograph", "read_photograph"]

log = logging.getLogger(__name__)

MAX_BYTES = 9 * MAX_PIXELS
"""Of a file: uncompressed 16-bit RGBA, and something."""
KEPT_BYTES = 16 << 20
"""Files up to this size are kept beside their pixels, for a bundle to hold."""
SMALLEST_RANGE = 3
"""Levels that some channel has to span; there is nothing to learn from less."""
_NOT_BUILT = "not configured|not supported|Unsupported (feature|codec|JPEG process)|not been built in"
"""In libvips' messages of sound files."""
_SPACES = {
    "b-w": "grey",
    "grey16": "grey",
    "srgb": "rgb",
    "rgb16": "rgb",
    "cmyk": "cmyk",
    "labs": "lab",
}
_UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


@dataclass(frozen=True)
class Photograph:
    """A photograph, upright, as 8-bit sRGB."""

    pixels: NDArray[np.uint8]  # (H, W, 3), read-only
    sha256: str  # of the file
    height: int
    width: int
    data: bytes | None  # the file; None if it has more than 16 MiB
    kind: str  # "JPEG", "PNG", "TIFF", "WebP", "GIF", "AVIF", "HEIC"


def read_photograph(
    path: str | os.PathLike[str],
    *,
    most_pixels: int = MAX_PIXELS,
    may_be_flat: bool = False,
    may_be_transparent: bool = True,
) -> Photograph:
    """Read a photograph as other programs show it.

    Orientation is applied, colour profiles are converted to sRGB, alpha is laid over white; grey, palettes
    and 16 bits become 8-bit RGB; of several pages or frames the first is taken. One of more than
    `most_pixels` is reduced to about as many, as it is read. `may_be_flat`: of a picture that is not to be
    learned, such as a mask; `may_be_transparent`: else transparency is refused in place of laid over white.

    Raises PhotographError if the file is missing, no picture, broken, cut short, too large, flat, or of a
    kind that programs show differently; the message says which, and what to do.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            data = file.read(HEAD)
            if not unreadable(data) and size <= MAX_BYTES:
                data += file.read()
    except OSError as error:
        raise PhotographError(f"cannot read the photograph {path}: {error.strerror or error}") from error
    if size > MAX_BYTES and not unreadable(data):
        raise PhotographError(f"{path} has {size} bytes; at most {MAX_BYTES} are accepted: reduce it first")
    return decode_photograph(
        data,
        str(path),
        most_pixels=most_pixels,
        may_be_flat=may_be_flat,
        may_be_transparent=may_be_transparent,
    )


@with_vips
def decode_photograph(
    data: bytes,
    name: str,
    *,
    most_pixels: int = MAX_PIXELS,
    may_be_flat: bool = False,
    may_be_transparent: bool = True,
) -> Photograph:
    """The photograph in a file's bytes, which messages call `name`; otherwise as `read_photograph`."""
    pyvips = import_vips()
    try:
        opened = open_kind(data)
        with _forgetting():
            pixels, is_whole = _decode(opened, name, most_pixels, may_be_transparent=may_be_transparent)
            if not may_be_flat and _is_flat(pixels):
                raise Refusal("is flat: it shows one colour, from which nothing can be learned")
    except Refusal as refusal:
        raise PhotographError(f"{name} {refusal}") from refusal
    except MemoryError as error:
        raise PhotographError(f"{name} takes more memory than there is: reduce it first") from error
    except pyvips.Error as error:
        raise PhotographError(f"{name} {_reason(error, opened.kind)}") from error
    pixels.flags.writeable = False
    height, width, _ = pixels.shape
    kept = data if is_whole and len(data) <= KEPT_BYTES else None
    return Photograph(pixels, hashlib.sha256(data).hexdigest(), height, width, kept, opened.kind)


def _decode(
    opened: Opening, name: str, most_pixels: int, *, may_be_transparent: bool
) -> tuple[NDArray[np.uint8], bool]:
    """(H, W, 3), upright, and whether it was not reduced. Raises Refusal and pyvips.Error."""
    image = _load(opened)
    check_size(image.width, image.height)
    if not may_be_transparent and image.hasalpha() and _is_transparent(opened):
        raise Refusal("has transparency, of which nothing says what it means here: save it without")
    factor = min(1.0, math.sqrt(most_pixels / (image.width * image.height)))
    note = _note(image) if opened.note is None else opened.note
    if note:
        log.warning("%s: %s", name, note)
    try:
        pixels = _pixels(image, opened, name, factor)
    except import_vips().Error as error:
        if not any(harmless in str(error) for harmless in opened.harmless):
            raise
        opened.options["fail_on"] = "error"
        pixels = _pixels(_load(opened), opened, name, factor)
    orientation = _orientation(image) if opened.orientation is None else opened.orientation
    if orientation in _UPRIGHT:
        pixels = np.ascontiguousarray(_UPRIGHT[orientation](pixels))
    if factor < 1:
        log.warning("%s: it is reduced to %d x %d pixels", name, pixels.shape[1], pixels.shape[0])
    return pixels, factor == 1


def _load(opened: Opening) -> Any:
    """The picture as libvips has it, not yet decoded."""
    pyvips = import_vips()
    if not pyvips.type_find("VipsOperation", opened.loader):
        raise Refusal(cannot_read(_with_article(opened.kind)))
    # libjpeg only warns of damaged data; where nothing but warnings are harmless, they are errors
    options = {"access": "sequential", "fail_on": "warning" if opened.harmless else "error"} | opened.options
    load = getattr(pyvips.Image, f"{opened.loader}_buffer")
    image = load(opened.data, **options)
    if opened.loader == "heifload" and image.get_typeof("heif-primary") and image.get("heif-primary"):
        image = load(opened.data, page=image.get("heif-primary"), **options)
    return image


def _pixels(image: Any, opened: Opening, name: str, factor: float) -> NDArray[np.uint8]:
    """(H, W, 3), as it lies in the file, reduced by `factor`."""
    space = "lab" if opened.lab else _SPACES.get(image.interpretation)
    if space is None or image.format not in ("uchar", "ushort", "short"):
        raise Refusal(
            f"has unusual samples ({image.interpretation}, {image.format}): convert it to 8- or 16-bit RGB"
        )
    count = COLORS[space]
    if image.bands not in (count, count + 1):
        raise Refusal(f"has {image.bands} channels, which is unusual: remove all but the colours")
    alpha = image[count] if image.bands > count else None
    if alpha is not None or opened.lab or space == "lab":
        image = image.copy_memory()  # the file is read once, from front to back, and these take two readings
        alpha = image[count] if alpha is not None else None
    colors = image[:count] if alpha is not None else image
    if opened.lab:
        colors = lab_from_bytes(colors)
    elif space == "lab":
        colors = colors.colourspace("lab")
    profile = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else b""
    result = to_srgb(colors, space, profile, name)
    if alpha is not None:
        result = _without_alpha(result, alpha, opened.unspecified, name)
    if result.bands == 1:
        result = result.bandjoin([result, result])
    if factor < 1:
        result = result.resize(factor)  # streamed: the whole never lies in memory
    array: NDArray[np.uint8] = np.asarray(result.numpy())
    return array


def _without_alpha(colors: Any, alpha: Any, unspecified: bool, name: str) -> Any:
    """`colors` over white; raises Refusal if nothing says that `alpha` is alpha, and it is not full."""
    if alpha.min() == (255 if alpha.format == "uchar" else 65535):
        return colors
    if unspecified:
        raise Refusal(
            "has a further channel, which may be alpha or not; programs show it differently: "
            "remove it, or save it as alpha"
        )
    log.warning("%s: it has transparency; it is laid over white", name)
    return over_white(colors, alpha)


def _is_transparent(opened: Opening) -> bool:
    """Whether a picture with alpha is not opaque all over."""
    image = _load(opened)
    alpha = image[image.bands - 1]
    return bool(alpha.min() < (255 if alpha.format == "uchar" else 65535))


def _note(image: Any) -> str:
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    return f"it has {pages} pages or frames; the first is taken" if pages > 1 else ""


def _orientation(image: Any) -> int:
    """EXIF's orientation; 1 if there is none. Read here, for libexif gives up at the first odd tag."""
    if not image.get_typeof("exif-data"):
        return 1
    exif = bytes(image.get("exif-data")).removeprefix(b"Exif\0\0")
    try:
        return first_directory(exif).get(274, 1)
    except TiffBrokenError:
        return 1


def _is_flat(pixels: NDArray[np.uint8]) -> bool:
    """Whether no channel spans as many levels as there have to be; most pictures show it by a few pixels."""
    for step in (97, 1):
        part = pixels.reshape(-1, 3)[::step]
        if any(int(channel.max()) - int(channel.min()) >= SMALLEST_RANGE for channel in part.T):
            return False
    return True


@contextmanager
def _forgetting() -> Iterator[None]:
    """Empty libvips' cache of operations at the end: it would keep files that nobody asks for again."""
    pyvips = import_vips()
    try:
        yield
    finally:
        size = pyvips.cache_get_max()
        pyvips.cache_set_max(0)
        pyvips.cache_set_max(size)


def _reason(error: Exception, kind: str) -> str:
    """What libvips' message says for the user."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if len(lines) > 1 else "no reason is given"  # the first says which function has failed
    if re.search(_NOT_BUILT, str(error)):
        if kind in ("HEIC", "AVIF"):
            return cannot_read(_with_article(kind))
        return (
            f"is of a kind that this build of libvips cannot read: convert it to JPEG, PNG or TIFF ({text})"
        )
    return f"is broken or cut short: {text}"


def _with_article(kind: str) -> str:
    return f"{'an' if kind == 'AVIF' else 'a'} {kind}"
