"""Reading the photograph, and its reductions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ourgan_sdk.photograph import SUFFIXES, Photograph, PhotographError, read_photograph

from .presets import AnyStructureConfig


@dataclass(frozen=True)
class Photo:
    """A photograph, upright, as 8-bit sRGB."""

    pixels: Tensor  # (3, H, W) uint8
    sha256: str  # of the file
    original: Photograph | None = None  # as it was read

    @property
    def height(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[2])


def load_photo(path: str | Path) -> Photo:
    """Reads a photograph as other programs show it.

    Raises:
        PhotographError: it cannot be read, or is flat or unusual; the message says what to do.
    """
    photograph = read_photograph(path)
    pixels = torch.from_numpy(photograph.pixels.transpose(2, 0, 1).copy())
    return Photo(pixels, photograph.sha256, photograph)


def photographs_below(folder: Path) -> list[Path]:
    """The files in ``folder`` and all its folders whose names are those of photographs, sorted.

    Raises:
        PhotographError: it is no folder, or there are none.
    """
    if not folder.is_dir():
        raise PhotographError(f"{folder} is not a folder")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise PhotographError(f"there is no photograph (JPEG, PNG, TIFF, WebP, ...) in the folder {folder}")
    return files


def held_out_part(photo: Photo, held_out: float) -> Photo:
    """The right ``held_out`` (0 to 1) of the photograph's width: what upscalers are evaluated on."""
    return replace(photo, pixels=photo.pixels[..., photo.width - round(photo.width * held_out) :])


def smallest_long_side(photo: Photo, patch: int, held_out: float) -> float:
    """Long side of the smallest reduction in which a patch fits beside the part held out, in pixels."""
    margin = 8 if held_out else 0  # the part's border is rounded to what an upscaler enlarges, twice
    room = min(photo.height, photo.width * (1 - held_out))
    return (patch + margin) * max(photo.height, photo.width) / room


def to_float(pixels: Tensor) -> Tensor:
    """uint8 (..., H, W) -> float32 in [0, 1]."""
    return pixels.to(torch.float32) / 255


def reduce(picture: Tensor, height: int, width: int) -> Tensor:
    """``picture`` (N, 3, H, W), resized to (N, 3, height, width), bicubic with antialiasing; in [0, 1]."""
    resized = F.interpolate(
        picture, size=(height, width), mode="bicubic", antialias=True, align_corners=False
    )
    return resized.clamp(0, 1)


def structure_pyramid(photo: Photo, sizes: list[tuple[int, int]]) -> list[Tensor]:
    """The photograph at every scale of the structure: [(1, 3, H_m, W_m)] float32 in [-1, 1]."""
    full = to_float(photo.pixels)[None]
    finest = reduce(full, *sizes[-1])
    return [reduce(finest, h, w) * 2 - 1 for h, w in sizes[:-1]] + [finest * 2 - 1]


def check_photo(photo: Photo, config: AnyStructureConfig, patch: int, held_out: float = 0.0) -> None:
    """Refuses a photograph that training cannot learn from.

    ``patch`` (pixels) and ``held_out`` are the upscaler's.

    Raises:
        PhotographError: it is smaller than the structure's finest scale, has no room for one patch, or is so
            elongated that hardly anything is left of it at the coarsest scale.
    """
    long = max(photo.height, photo.width)
    beside = f", beside the {held_out:.0%} of the width that are held out" if held_out else ""
    size = f"the photograph has {photo.width} x {photo.height} pixels"
    if long < max(config.long_side, smallest_long_side(photo, patch, held_out)):
        raise PhotographError(
            f"{size}; training needs at least {config.long_side} on the long side and {patch} on the short "
            f"side{beside} (a few thousand are better): use a larger photograph"
        )
    sizes = config.sizes(photo.height, photo.width)
    if min(sizes[0]) < config.smallest_side:
        ratio = max(sizes[0]) / config.smallest_side
        raise PhotographError(f"{size}: too elongated to learn from; crop it to at most {ratio:.1f} : 1")
