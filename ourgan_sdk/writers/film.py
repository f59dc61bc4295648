"""Films: frame after frame into MP4, GIF or WebP, or each into a file of its own.

MP4 and WebP are encoded by PyAV (FFmpeg), the frames of GIF by Pillow; both come with the extra `animate`.
"""

import contextlib
import os
import re
import struct
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Picture
from ..errors import OutputError
from ..system.atomic import absolute, atomic_file, atomic_outputs, follow
from ..system.optional import import_optional
from . import open_writer

__all__ = ["FILM_SUFFIXES", "Film", "check_film", "save_film"]

_INSTALL = '"ourgan-sdk[animate]"'
_FRAME = re.compile(r"frame-\d{7}\.png")
"""What is in a folder of earlier frames, which new ones may replace."""

_BT709, _SRGB, _LIMITED = 1, 13, 1
"""FFmpeg's numbers of the colours that HD video has, of sRGB's curve, and of levels from 16 to 235."""


@dataclass(frozen=True)
class Film:
    """What a file of frames needs to know: sizes in pixels, `rate` in frames per second.

    `is_loop`: whether viewers begin again. `quality`: from 1 to 100.
    """

    width: int
    height: int
    rate: float
    is_loop: bool
    quality: int
    description: str = ""
    """For the file's metadata: ASCII. WebP's encoder takes none."""


def save_film(path: str | os.PathLike[str], frames: Iterable[Picture], film: Film) -> Path:
    """Write `frames`, uint8 (height, width, 3), as they come, and return the path, made absolute.

    The suffix chooses the format: .mp4, .gif, .webp, and none for a folder of PNG files. The output appears
    under its name when it is whole. Raises OutputError if it cannot be written or a library is missing, and
    whatever `frames` raises.
    """
    path = absolute(path)
    kind = check_film(path, film)
    with kind.atomic(path) as output, contextlib.closing(_as_generator(frames)) as pictures:
        kind.encode(pictures, output, film)
    return path


def check_film(path: Path, film: Film) -> "_Format":
    """The format that `path` asks for; raises OutputError if it is none or cannot hold the film."""
    kind = next((kind for kind in _FORMATS if path.suffix.lower() == kind.suffix), None)
    if kind is None:
        names = ", ".join(FILM_SUFFIXES)
        raise OutputError(f"cannot write {path}: its suffix is none of {names}, nor is it a folder's name")
    for side, name in ((film.width, "width"), (film.height, "height")):
        if side > kind.longest_side:
            raise OutputError(
                f"cannot write {path}: {kind.name} ends at {kind.longest_side} pixels per side, the {name} "
                f"is {side}: write frames into a folder, or make it smaller"
            )
        if side % kind.multiple:
            raise OutputError(
                f"cannot write {path}: {kind.name} takes even sides, the {name} is {side}: give {side + 1}"
            )
    if film.rate > kind.most_rate:
        raise OutputError(
            f"cannot write {path}: {kind.name} shows at most {kind.most_rate:g} frames per second, asked for "
            f"are {film.rate:g}"
        )
    kind.prepare()
    return kind


def _as_generator(frames: Iterable[Picture]) -> Generator[Picture, None, None]:
    yield from frames


def _import_av() -> Any:
    return import_optional("av", "PyAV, which encodes MP4 and WebP,", _INSTALL, OutputError)


def _import_pillow() -> Any:
    return import_optional("PIL.Image", "Pillow, which encodes GIF,", _INSTALL, OutputError)


def _encode_mp4(frames: Iterator[Picture], output: Path, film: Film) -> None:
    """H.264 that every browser and phone plays; at quality 100 nearly without loss."""
    quality = str(round(12 + (100 - film.quality) * 0.35))
    options = {"crf": quality, "preset": "medium"}
    _encode_by_av(frames, output, film, _Codec("mp4", {"movflags": "+faststart"}, "libx264", options))


def _encode_webp(frames: Iterator[Picture], output: Path, film: Film) -> None:
    """Animated WebP; libwebp keeps the compressed frames until the end."""
    loop = {"loop": "0" if film.is_loop else "1"}
    codec = _Codec("webp", loop, "libwebp_anim", {"quality": str(film.quality)})
    _encode_by_av(frames, output, film, codec)


@dataclass(frozen=True)
class _Codec:
    container: str
    container_options: dict[str, str]
    name: str
    options: dict[str, str]


def _encode_by_av(frames: Iterator[Picture], output: Path, film: Film, codec: _Codec) -> None:
    av = _import_av()
    try:
        with av.open(
            os.fspath(output), "w", format=codec.container, options=codec.container_options
        ) as container:
            if film.description:
                container.metadata["comment"] = film.description
            stream = container.add_stream(codec.name, rate=Fraction(film.rate).limit_denominator(1000))
            stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
            stream.options = codec.options
            if (
                codec.container == "mp4"
            ):  # says what it holds: players take what says nothing for one thing or another
                context = stream.codec_context
                context.colorspace, context.color_primaries, context.color_trc = _BT709, _BT709, _SRGB
                context.color_range = _LIMITED
            for picture in frames:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                if codec.container == "mp4":
                    frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709)
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    except av.FFmpegError as error:
        raise OutputError(f"cannot write the film: {error}") from error


def _encode_gif(frames: Iterator[Picture], output: Path, film: Film) -> None:
    """Frame by frame, each with colours of its own: Pillow's `save` would hold them all.

    Delays are hundredths of a second: they vary, so that the mean is right.
    """
    pillow, gif = _import_pillow(), import_optional("PIL.GifImagePlugin", "Pillow", _INSTALL, OutputError)
    try:
        with output.open("wb") as file:
            file.write(b"GIF89a" + struct.pack("<HHBBB", film.width, film.height, 0, 0, 0))
            if film.is_loop:
                file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
            if film.description:
                file.write(b"!\xfe" + _in_blocks(film.description.encode("ascii")))
            shown = 0
            for index, picture in enumerate(frames, 1):
                until = round(100 * index / film.rate)
                image = pillow.fromarray(picture).quantize(256)
                for part in gif.getdata(image, duration=10 * (until - shown), include_color_table=True):
                    file.write(part)
                shown = until
            file.write(b";")
    except OSError as error:
        raise OutputError(f"cannot write the film: {error}") from error


def _in_blocks(data: bytes) -> bytes:
    """As GIF holds text: blocks of at most 255 bytes behind their lengths."""
    parts = [data[first : first + 255] for first in range(0, len(data), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _encode_frames(frames: Iterator[Picture], output: Path, film: Film) -> None:
    """Each a PNG file."""
    output.mkdir()
    for index, picture in enumerate(frames, 1):
        name = output / f"frame-{index:07}.png"
        with open_writer(name, film.width, film.height, description=film.description) as writer:
            writer.write(np.ascontiguousarray(picture))


@contextlib.contextmanager
def _atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a name for a new folder of frames, which takes the name `path` when the block ends well."""
    target = follow(path)
    if target.exists() and not target.is_dir():
        raise OutputError(f"cannot write {path}: it is a file")
    if target.is_dir():
        others = [entry.name for entry in target.iterdir() if not _FRAME.fullmatch(entry.name)]
        if others:
            raise OutputError(
                f"cannot write {path}: the folder holds something else than frames, {others[0]!r}; remove it "
                "or choose another name"
            )
    with atomic_outputs(path, {"frames": target}) as folder:
        yield folder / "frames"


@dataclass(frozen=True)
class _Format:
    name: str
    suffix: str
    longest_side: int
    multiple: int
    most_rate: float
    encode: Callable[[Iterator[Picture], Path, Film], None]
    prepare: Callable[[], object]
    """Imports what `encode` takes; raises OutputError if it is missing."""
    atomic: Callable[[Path], AbstractContextManager[Path]] = atomic_file


_FORMATS = (
    _Format("MP4", ".mp4", 8192, 2, 240, _encode_mp4, _import_av),
    # Viewers show what is due in a hundredth of a second after a tenth.
    _Format("GIF", ".gif", 65_535, 1, 50, _encode_gif, _import_pillow),
    _Format("WebP", ".webp", 16_383, 1, 240, _encode_webp, _import_av),
    _Format("PNG", "", 100_000_000, 1, 240, _encode_frames, lambda: None, _atomic_folder),
)
FILM_SUFFIXES = tuple(kind.suffix for kind in _FORMATS if kind.suffix)
"""Of films in one file."""
