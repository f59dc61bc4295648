"""From a photograph to a bundle without training: the photograph, and networks for what lies beyond it."""

import os
from pathlib import Path

from .bundle import Bundle, Manifest, Photo, bundle_in_memory
from .errors import BundleError, PhotographError
from .photograph import SUFFIXES, photograph_member, read_photograph

__all__ = ["MOST_PIXELS", "SMALLEST_SIDE", "is_photograph", "learn", "open_source", "sample_bundle"]

SMALLEST_SIDE = 64
"""Pixels of a photograph's sides, at least: with fewer there are hardly two patches to choose from."""

MOST_PIXELS = 1 << 26
"""Pixels that a bundle holds of a photograph, about; larger ones are reduced, which bounds memory."""

_MOST_ELONGATED = 12


def learn(path: str | os.PathLike[str]) -> Bundle:
    """The bundle of the photograph `path`, in memory: `Synthesizer` renders from it, `save_bundle` keeps it.

    Takes about as long as reading the file. Structures are made of the photograph's patches and detail is the
    photograph's own, so pictures contain its pixels; the sample bundle's upscalers serve for what lies beyond
    its resolution. A photograph of more than 67 megapixels is reduced to that many.

    Raises PhotographError if it cannot be read, is flat, too small or too elongated.
    """
    path = Path(path)
    photograph = read_photograph(path, most_pixels=MOST_PIXELS)
    _check_size(path, photograph.height, photograph.width)
    file, data = photograph_member(photograph)
    general = Bundle.open(sample_bundle())
    upscalers = general.manifest.upscalers
    members = {one.file: general.read(one.file) for one in upscalers} | {file: data}
    photo = Photo(width=photograph.width, height=photograph.height, sha256=photograph.sha256, file=file)
    return bundle_in_memory(path, Manifest(schema_version=4, photo=photo, upscalers=upscalers), members)


def open_source(source: str | os.PathLike[str] | Bundle | None) -> Bundle:
    """A bundle from whatever it is asked for by: a bundle, its file, a photograph, or None for the sample.

    Raises TypeError for anything else, BundleError and PhotographError.
    """
    if isinstance(source, Bundle):
        return source
    if source is None:
        return Bundle.open(sample_bundle())
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"expected the path of a photograph or a bundle, or a Bundle, got {source!r}")
    return learn(source) if is_photograph(Path(source)) else Bundle.open(source)


def is_photograph(path: Path) -> bool:
    """Whether a file is to be read as one: neither called nor beginning as bundles are."""
    if path.suffix.lower() == ".ourgan":
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) != b"PK\x03\x04"
    except OSError:
        return path.suffix.lower() in SUFFIXES  # whose error tells of photographs


def sample_bundle() -> Path:
    """The bundle that comes with the package; raises BundleError if there is none."""
    samples = sorted((Path(__file__).parent / "samples").glob("*.ourgan"))
    if not samples:
        raise BundleError("this installation has no sample bundle: give the path of one")
    return samples[0]


def _check_size(path: Path, height: int, width: int) -> None:
    if min(height, width) < SMALLEST_SIDE:
        raise PhotographError(
            f"{path} has {width} x {height} pixels; at least {SMALLEST_SIDE} are needed on each side, and "
            "some thousands are better: use a larger photograph"
        )
    if max(height, width) > _MOST_ELONGATED * min(height, width):
        raise PhotographError(
            f"{path} has {width} x {height} pixels: too elongated to learn from; "
            f"crop it to at most {_MOST_ELONGATED} : 1"
        )
