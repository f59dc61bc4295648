"""Films: frame after frame into MP4, GIF or WebP, or each into a file of its own.

MP4 is encoded by PyAV (FFmpeg), GIF and WebP by Pillow; both come with the extra `animate`.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Picture
from ..errors import OutputError
from ..system.atomic import absolute, atomic_file, atomic_outputs, check_replaceable, follow
from ..system.optional import import_optional
from . import open_writer

__all__ = ["FILM_SUFFIXES", "Film", "check_film", "save_film"]

_INSTALL = '"ourgan-sdk[animate]"'
_MARK = "frame-00001.png"
"""By which a folder is known that earlier frames lie in."""


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
    kind.prepare()
    return kind


def _as_generator(frames: Iterable[Picture]) -> Generator[Picture, None, None]:
    yield from frames


def _import_av() -> Any:
    return import_optional("av", "PyAV, which encodes MP4,", _INSTALL, OutputError)


def _import_pillow() -> Any:
    return import_optional("PIL.Image", "Pillow, which encodes GIF and WebP,", _INSTALL, OutputError)


def _encode_mp4(frames: Iterator[Picture], output: Path, film: Film) -> None:
    """H.264 that every browser and phone plays; at quality 100 nearly without loss."""
    av = _import_av()
    try:
        with av.open(os.fspath(output), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(film.rate).limit_denominator(1000))
            stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
            stream.options = {"crf": str(round(12 + (100 - film.quality) * 0.35)), "preset": "medium"}
            for picture in frames:
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    except av.FFmpegError as error:
        raise OutputError(f"cannot write the film: {error}") from error


def _encode_by_pillow(name: str, frames: Iterator[Picture], output: Path, film: Film) -> None:
    """Frame by frame: Pillow asks for the next one when the last one is written."""
    pillow = _import_pillow()
    images = (pillow.fromarray(picture) for picture in frames)
    options: dict[str, Any] = {"duration": round(1000 / film.rate)}
    if name == "WEBP":
        options |= {"quality": film.quality, "method": 2}
    # GIF plays once where nothing is said of loops; WebP says so by 1.
    loop = {"loop": 0} if film.is_loop else {"loop": 1} if name == "WEBP" else {}
    try:
        with output.open("wb") as file:  # which Pillow would leave open where a frame fails
            next(images).save(file, name, save_all=True, append_images=images, **options, **loop)
    except OSError as error:
        raise OutputError(f"cannot write the film: {error}") from error


def _encode_frames(frames: Iterator[Picture], output: Path, film: Film) -> None:
    """Each a PNG file."""
    output.mkdir()
    for index, picture in enumerate(frames, 1):
        with open_writer(output / f"frame-{index:05}.png", film.width, film.height) as writer:
            writer.write(np.ascontiguousarray(picture))


@contextlib.contextmanager
def _atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a name for a new folder of frames, which takes the name `path` when the block ends well."""
    target = follow(path)
    if target.is_file():
        raise OutputError(f"cannot write {path}: it is a file")
    check_replaceable(path, target, (_MARK,))
    with atomic_outputs(path, {"frames": target}) as folder:
        yield folder / "frames"


@dataclass(frozen=True)
class _Format:
    name: str
    suffix: str
    longest_side: int
    multiple: int
    encode: Callable[[Iterator[Picture], Path, Film], None]
    prepare: Callable[[], object]
    """Imports what `encode` takes; raises OutputError if it is missing."""
    atomic: Callable[[Path], AbstractContextManager[Path]] = atomic_file


_FORMATS = (
    _Format("MP4", ".mp4", 8192, 2, _encode_mp4, _import_av),
    _Format("GIF", ".gif", 65_535, 1, functools.partial(_encode_by_pillow, "GIF"), _import_pillow),
    _Format("WebP", ".webp", 16_383, 1, functools.partial(_encode_by_pillow, "WEBP"), _import_pillow),
    _Format("PNG", "", 100_000_000, 1, _encode_frames, lambda: None, _atomic_folder),
)
FILM_SUFFIXES = tuple(kind.suffix for kind in _FORMATS if kind.suffix)
"""Of films in one file."""
