"""Colours to 8-bit sRGB, by the embedded profile."""

import logging
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..system.vips import import_vips
from .opening import Refusal

__all__ = ["COLORS", "is_srgb", "lab_from_bytes", "over_white", "to_srgb"]

log = logging.getLogger(__name__)

COLORS = {"grey": 1, "rgb": 3, "cmyk": 4, "lab": 3}
_PROFILE_SPACES = {b"GRAY": "grey", b"RGB ": "rgb", b"CMYK": "cmyk"}
_INTERPRETATIONS = {"grey": ("b-w", "grey16"), "rgb": ("srgb", "rgb16"), "cmyk": ("cmyk", "cmyk")}
_INTENT = "perceptual"  # a profile's own first choice for photographs, and what most programs take
_PROBE_LEVELS = 9  # per channel


def to_srgb(colors: Any, space: str, profile: bytes, name: str) -> Any:
    """`colors`, a libvips image without alpha, 8 or 16 bits or Lab, as 8-bit grey or RGB in sRGB's encoding.

    Raises Refusal for CMYK without a usable profile.
    """
    if space == "lab":
        return colors.icc_export(output_profile="srgb", pcs="lab", intent=_INTENT, depth=8)
    if profile and not _usable(profile, space):
        log.warning("%s: the colour profile is not usable; it is ignored", name)
        profile = b""
    if space == "cmyk" and not profile:
        raise Refusal(
            "has CMYK colours without a usable profile, which programs show differently: convert it to RGB"
        )
    if profile and not is_srgb(profile, space):
        return _convert(colors, space, profile)
    return colors if colors.format == "uchar" else colors.linear(1 / 257, 0.5, uchar=True)


def is_srgb(profile: bytes, space: str) -> bool:
    """Whether a profile is sRGB, so that converting by it would change no colour by more than a level."""
    return space in ("grey", "rgb") and _usable(profile, space) and _probe(profile, space) <= 1


def lab_from_bytes(samples: Any) -> Any:
    """8-bit CIELab of TIFF, taken for three unsigned samples, as libvips' Lab (L 0 to 100; a, b signed)."""
    chroma = samples[1:3]
    signed = (chroma > 127).ifthenelse(chroma - 256, chroma)
    return (samples[0] * (100 / 255)).bandjoin(signed).cast("float").copy(interpretation="lab")


def over_white(colors: Any, alpha: Any) -> Any:
    """8-bit `colors` of `alpha` (8 or 16 bits, not multiplied into them) laid over white; 8-bit."""
    share = alpha.linear(1 / (255 if alpha.format == "uchar" else 65535), 0)
    return ((colors - 255) * share + 255).rint().cast("uchar")


@lru_cache(maxsize=16)
def _usable(profile: bytes, space: str) -> bool:
    """Whether the profile is about this space and can be converted by; others are ignored, as by browsers."""
    if len(profile) < 128 or _PROFILE_SPACES.get(profile[16:20]) != space:
        return False
    pyvips = import_vips()
    try:
        converted = _converted_probe(profile, space)
        built_in = bytes(pyvips.Image.profile_load("cmyk")) if space == "cmyk" else b""
        if space != "cmyk" or profile == built_in:
            return True
        # In the place of one that it cannot read, libvips silently takes its own.
        return not np.array_equal(converted, _converted_probe(built_in, space))
    except pyvips.Error:
        return False


@lru_cache(maxsize=16)
def _probe(profile: bytes, space: str) -> int:
    """By how many levels at most the conversion changes a colour, over colours of the whole space."""
    changes = _converted_probe(profile, space).astype(int) - _probe_colors(space)
    return int(np.abs(changes).max())


def _converted_probe(profile: bytes, space: str) -> NDArray[np.uint8]:
    image = import_vips().Image.new_from_array(_probe_colors(space))
    return np.asarray(_convert(image, space, profile).numpy())


def _probe_colors(space: str) -> NDArray[np.uint8]:
    """(1, N, C): all greys, or colours all over the space."""
    levels = np.linspace(0, 255, 256 if space == "grey" else _PROBE_LEVELS).round().astype(np.uint8)
    return np.stack(np.meshgrid(*[levels] * COLORS[space]), -1).reshape(1, -1, COLORS[space])


def _convert(colors: Any, space: str, profile: bytes) -> Any:
    """8-bit sRGB with three channels."""
    pyvips = import_vips()
    image = colors.copy(interpretation=_INTERPRETATIONS[space][colors.format == "ushort"])
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image.icc_transform("srgb", embedded=True, intent=_INTENT, depth=8)
