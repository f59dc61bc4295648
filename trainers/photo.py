"""Reading the photograph, and its reductions."""

from __future__ import annotations

import hashlib
import io
import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from .presets import StructureConfig

log = logging.getLogger(__name__)

SMALLEST_SIDE = 4  # pixels of the coarsest scale
_OPENING = threading.Lock()  # Pillow's limit is the whole process's
MAX_PIXELS = 2**29  # 536 megapixels: 1.6 GB of RGB, more than any camera gives


class PhotoError(ValueError):
    """The photograph cannot be read or cannot be trained on."""


@dataclass(frozen=True)
class Photo:
    """A photograph, upright, as 8-bit sRGB."""

    pixels: Tensor  # (3, H, W) uint8
    sha256: str  # of the file

    @property
    def height(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[2])


def load_photo(path: str | Path) -> Photo:
    """Reads a photograph as upright 8-bit sRGB.

    EXIF rotation is applied, a colour profile converted to sRGB, alpha laid over white; grey and 16-bit
    pictures become 8-bit RGB.

    Raises:
        PhotoError: the file is missing, is no picture, is broken, or is too large.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        raise PhotoError(f"cannot read the photograph {path}: {e.strerror or e}") from e
    try:
        with _open(data) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PhotoError(
                    f"{path} has {image.width} x {image.height} pixels; at most {MAX_PIXELS} are accepted: "
                    "reduce it first"
                )
            rgb = _to_srgb(ImageOps.exif_transpose(image))
    except PhotoError:
        raise
    except UnidentifiedImageError as e:
        message = f"{path} is not a picture that can be read (expected JPEG, PNG, TIFF, WebP, ...)"
        raise PhotoError(message) from e
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, RuntimeError) as e:  # Pillow's ways
        raise PhotoError(f"{path} is broken or cut short: {e}") from e
    pixels = torch.from_numpy(np.array(rgb)).permute(2, 0, 1).contiguous()
    return Photo(pixels, hashlib.sha256(data).hexdigest())


def _open(data: bytes) -> Image.Image:
    """The picture, not yet decoded, whatever its size: our own limit covers it."""
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(data))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):  # 16-bit grey: Pillow clips where we scale
        grey = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode != "F" or grey.max(initial=0) > 1 else 1.0
        return Image.fromarray(np.rint(np.clip(grey / top, 0, 1) * 255).astype(np.uint8)).convert("RGB")
    profile = image.info.get("icc_profile")
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        log.warning("the photograph has transparency; it is laid over white")
        rgba = image.convert("RGBA")
        target = "L" if image.mode in ("LA", "La", "L") else "RGB"  # what the profile is about
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert(target)
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError) as e:
            log.warning("the photograph's colour profile is not usable (%s); taken as sRGB", e)
    return image.convert("RGB")


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


def scale_sizes(height: int, width: int, long_side: int, scales: int, factor: float) -> list[tuple[int, int]]:
    """(height, width) of every scale, coarsest first; the finest's long side is ``long_side``."""
    ratio = long_side / max(height, width)
    return [
        (
            max(1, round(height * ratio * factor ** (scales - 1 - m))),
            max(1, round(width * ratio * factor ** (scales - 1 - m))),
        )
        for m in range(scales)
    ]


def structure_pyramid(photo: Photo, sizes: list[tuple[int, int]]) -> list[Tensor]:
    """The photograph at every scale of the structure: [(1, 3, H_m, W_m)] float32 in [-1, 1]."""
    full = to_float(photo.pixels)[None]
    finest = reduce(full, *sizes[-1])
    return [reduce(finest, h, w) * 2 - 1 for h, w in sizes[:-1]] + [finest * 2 - 1]


def check_photo(photo: Photo, config: StructureConfig, patch: int, held_out: float = 0.0) -> None:
    """Refuses a photograph that training cannot learn from.

    ``patch`` (pixels) and ``held_out`` are the upscaler's.

    Raises:
        PhotoError: it is smaller than the structure's finest scale, has no room for one patch, or is so
            elongated that hardly anything is left of it at the coarsest scale.
    """
    long = max(photo.height, photo.width)
    beside = f", beside the {held_out:.0%} of the width that are held out" if held_out else ""
    size = f"the photograph has {photo.width} x {photo.height} pixels"
    if long < max(config.long_side, smallest_long_side(photo, patch, held_out)):
        raise PhotoError(
            f"{size}; training needs at least {config.long_side} on the long side and {patch} on the short "
            f"side{beside} (a few thousand are better): use a larger photograph"
        )
    sizes = scale_sizes(photo.height, photo.width, config.long_side, config.scales, config.factor)
    if min(sizes[0]) < SMALLEST_SIDE:
        ratio = max(sizes[0]) / SMALLEST_SIDE
        raise PhotoError(f"{size}: too elongated to learn from; crop it to at most {ratio:.1f} : 1")
