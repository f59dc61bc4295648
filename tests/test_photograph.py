"""Photographs of all kinds against the pixels that were written, by NumPy or another reader; and refusals."""

import contextlib
import hashlib
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin, features

import ourgan_sdk
from ourgan_sdk.photograph import (
    Photograph,
    PhotographError,
    decode_photograph,
    photograph_member,
    read_photograph,
    reader,
)
from tests.odd_pictures import (
    SRGB_COLUMNS,
    Tags,
    cmyk_profile,
    exif,
    grey_profile,
    heic,
    png,
    png_chunk,
    png_profile,
    profile,
    rgb_profile,
    tiff_of,
)

GAMMA = 1.25
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
HEIGHT, WIDTH = 12, 17


def values(channels: int, bits: int = 8) -> np.ndarray:
    """(H, W, C): all kinds of values, the smallest and the largest included."""
    random = np.random.default_rng(channels * 100 + bits)
    result = random.integers(0, 2**bits, (HEIGHT, WIDTH, channels), dtype=np.uint32)
    result[0, 0], result[0, 1] = 0, 2**bits - 1
    return result


def smooth(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    channels = rows * 255 // height, columns * 255 // width, (rows + columns) * 255 // (height + width)
    return np.stack(channels, -1).astype(np.uint8)


def encode(linear: np.ndarray) -> np.ndarray:
    """sRGB's transfer function."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def expected(colors: np.ndarray, alpha: np.ndarray | None, gamma: float | None) -> np.ndarray:
    """(H, W, 3) in [0, 255]: what is to be shown of `colors` and `alpha` in [0, 1]."""
    if gamma:
        colors = encode(colors**gamma)
    if alpha is not None:
        colors = colors * alpha + 1 - alpha
    return np.broadcast_to(colors * 255, (*colors.shape[:2], 3))


def assert_shows(data: bytes, wanted: np.ndarray, tolerance: float) -> Photograph:
    photograph = decode_photograph(data, "test")
    assert photograph.pixels.shape == wanted.shape
    assert np.abs(photograph.pixels - wanted.astype(np.float64)).max() <= tolerance
    return photograph


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


# -------------------------------------------------------------------------------------------------- TIFF

TIFF_TABLE = [
    (bits, photometric, planar, alpha, shape)
    for bits, (photometric, planar), alpha, shape in product(
        (8, 16),
        [("minisblack", "contig"), ("miniswhite", "contig"), ("rgb", "contig"), ("rgb", "separate")],
        (None, "unassalpha", "assocalpha"),
        (None, "srgb", "gamma"),
    )
    if not (photometric == "miniswhite" and alpha)
]
STORAGE: list[dict[str, object]] = [
    {"byteorder": "<"},
    {"byteorder": ">"},
    {"rowsperstrip": 7, "byteorder": ">", "compression": "zlib"},
    {"tile": (16, 16)},
    {"bigtiff": True, "compression": "zlib", "predictor": True, "rowsperstrip": 5},
]


@pytest.mark.parametrize(("bits", "photometric", "planar", "alpha", "colors"), TIFF_TABLE)
def test_tiff(bits: int, photometric: str, planar: str, alpha: str | None, colors: str | None) -> None:
    """All byte orders and ways of storing; tifffile writes."""
    count = 3 if photometric == "rgb" else 1
    samples = values(count + bool(alpha), bits).astype(f"u{bits // 8}")
    if alpha == "assocalpha":
        samples[..., :-1] = np.minimum(samples[..., :-1], samples[..., -1:])
    share = samples / (2**bits - 1)
    opacity = share[..., -1:] if alpha else None
    shown = share[..., :count]
    if alpha == "assocalpha":
        shown = np.divide(shown, opacity, where=opacity > 0, out=np.zeros_like(shown))
    if photometric == "miniswhite":
        shown = 1 - shown
    wanted = expected(shown, opacity, GAMMA if colors == "gamma" else None)
    made = {
        "srgb": SRGB if count == 3 else None,
        "gamma": rgb_profile(GAMMA) if count == 3 else grey_profile(GAMMA),
    }
    tolerance = (1.0 if bits == 8 else 0.51) + (alpha is not None) + 1.8 * (colors == "gamma")
    for storage in STORAGE:
        if planar == "separate" and "tile" in storage:
            continue  # refused, by name
        file = io.BytesIO()
        tifffile.imwrite(
            file,
            np.moveaxis(samples, -1, 0) if planar == "separate" else samples.squeeze(),
            photometric=photometric,
            planarconfig=planar if samples.shape[-1] > 1 else None,
            extrasamples=[alpha] if alpha else None,
            iccprofile=made.get(colors or ""),
            **storage,
        )
        assert_shows(file.getvalue(), wanted, tolerance)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_tiff_of_few_bits(bits: int, photometric: int, order: str) -> None:
    samples = values(1, bits)
    share = samples / (2**bits - 1)
    wanted = expected(share if photometric else 1 - share, None, None)
    assert_shows(tiff_of(samples, bits, photometric, order=order), wanted, 0.51)


@pytest.mark.parametrize("gamma", [None, GAMMA])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_tiff(bits: int, gamma: float | None) -> None:
    samples = values(1, bits)
    table = np.random.default_rng(0).integers(0, 256, (3, 2**bits))
    table[:, :2] = [[10, 255], [250, 20], [120, 60]]
    tags: Tags = {320: (3, (table * 257).ravel().tolist())}
    if gamma:
        tags[34675] = (7, list(rgb_profile(gamma)))
    wanted = expected(table[:, samples[..., 0]].transpose(1, 2, 0) / 255, None, gamma)
    assert_shows(tiff_of(samples, bits, 3, tags), wanted, 1 if gamma else 0)


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """By the definitions of both, in floating point; not clipped."""
    f = (lab[..., :1] + 16) / 116 + lab[..., 1:2] / 500 * [1, 0, 0] - lab[..., 2:] / 200 * [0, 0, 1]
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    linear = xyz @ np.linalg.inv(np.array(SRGB_COLUMNS))
    return encode(np.maximum(linear, 0)) * 255


@pytest.mark.parametrize("bits", [8, 16])
def test_lab_tiff(bits: int) -> None:
    """Where colours are within sRGB: L is D50's, as in ICC profiles."""
    lab = np.zeros((HEIGHT, WIDTH, 3), np.int64)
    random = np.random.default_rng(1)
    lab[..., 0] = random.integers(60, 200, (HEIGHT, WIDTH))
    lab[..., 1:] = random.integers(-25, 25, (HEIGHT, WIDTH, 2))
    wanted = lab_to_srgb(lab * [100 / 255, 1, 1])
    lab[((wanted < 20) | (wanted > 250)).any(-1), 1:] = 0
    wanted = lab_to_srgb(lab * [100 / 255, 1, 1])
    stored = lab % 256 if bits == 8 else np.concatenate([lab[..., :1] * 257, lab[..., 1:] * 256 % 65536], -1)
    assert_shows(tiff_of(stored, bits, 8), wanted, 1)


@pytest.mark.parametrize("form", ["TIFF", "JPEG", "TIFF16"])
def test_cmyk_by_its_profile(form: str) -> None:
    """Against littleCMS through Pillow; Adobe's inverted JPEG included."""
    samples = np.concatenate([smooth(16, 24), smooth(16, 24)[..., :1] // 3], -1)
    image = Image.frombytes("CMYK", (24, 16), samples.tobytes())
    if form == "TIFF16":
        tags: Tags = {34675: (7, list(cmyk_profile()))}
        data = tiff_of(samples.astype(np.uint32) * 257, 16, 5, tags)
    else:
        options = {"quality": 98, "subsampling": 0} if form == "JPEG" else {}
        data = saved(image, form, icc_profile=cmyk_profile(), **options)
    decoded = Image.open(io.BytesIO(data)) if form == "JPEG" else image
    wanted = ImageCms.profileToProfile(
        decoded,
        ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile())),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    assert_shows(data, np.asarray(wanted), 2)


@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "packbits", "tiff_adobe_deflate", "group4"])
def test_compressed_tiff(compression: str) -> None:
    image = Image.fromarray(smooth(64, 80))
    image = image.convert("1") if compression == "group4" else image
    data = saved(image, "TIFF", compression=compression)
    decoded = Image.open(io.BytesIO(data)).convert("RGB")
    assert_shows(data, np.asarray(decoded), 2 if compression == "jpeg" else 0)


def test_pages_and_pyramids(caplog: pytest.LogCaptureFixture) -> None:
    """The first page, unless it is marked as a reduction; other pages are mentioned."""
    full, small = smooth(40, 60), smooth(20, 30)
    for pages, mentioned in (
        ([(full, 0), (small, 1)], False),
        ([(small, 1), (full, 0)], False),
        ([(full, 0), (small, 0)], True),
    ):
        caplog.clear()
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            for page, kind in pages:
                writer.write(page, subfiletype=kind, photometric="rgb")
        assert_shows(file.getvalue(), full, 0)
        assert ("2 pages" in caplog.text) == mentioned


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("form", ["TIFF", "JPEG", "PNG", "WEBP", "AVIF"])
def test_orientation(form: str, orientation: int) -> None:
    """0 and 9 do not exist, and are taken for 1."""
    picture = np.kron(smooth(4, 6), np.ones((8, 8, 1), np.uint8))
    upright = {
        2: picture[:, ::-1],
        3: np.rot90(picture, 2),
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, -1),
        7: np.rot90(picture.transpose(1, 0, 2), 2),
        8: np.rot90(picture, 1),
    }
    if form == "AVIF" and (not features.check("avif") or orientation in (0, 9)):
        pytest.skip("Pillow writes none")
    options: dict[str, object] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(
        form, {}
    )
    if form == "TIFF":
        data = tiff_of(picture, 8, 2, {274: (3, [orientation])})
    else:
        data = saved(Image.fromarray(picture), form, exif=b"Exif\0\0" + exif(orientation), **options)
    assert_shows(data, upright.get(orientation, picture), {"JPEG": 6, "AVIF": 30}.get(form, 0))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "odd",
    [
        {0x0110: (99, [1])},  # a type that does not exist
        {0x011A: (5, [1 << 31])},  # far beyond the end
        {0x8769: (2, [77, 77, 77, 77, 77])},  # a directory that is a text
        {0x0100: (2, [65, 66, 0]), 0x0111: (2, [65] * 9)},
        {0x9003: (4, [1]), 0xA005: (3, [9])},
        {0x8825: (4, [0xFFFFFFF0])},  # GPS nowhere
    ],
)
def test_odd_exif_beside_the_orientation(odd: Tags, form: str, order: str) -> None:
    picture = np.kron(smooth(4, 6), np.ones((8, 8, 1), np.uint8))
    data = saved(Image.fromarray(picture), form, exif=b"Exif\0\0" + exif(6, odd, order))
    assert decode_photograph(data, "test").pixels.shape == (48, 32, 3)


# --------------------------------------------------------------------------------------------------- PNG

PNG_TABLE = [
    (color_type, bits, gamma)
    for color_type, all_bits in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (4, (8, 16)), (6, (8, 16)))
    for bits in all_bits
    for gamma in (None, GAMMA)
]


@pytest.mark.parametrize(("color_type", "bits", "gamma"), PNG_TABLE)
def test_png(color_type: int, bits: int, gamma: float | None) -> None:
    alpha, count = color_type in (4, 6), 3 if color_type in (2, 6) else 1
    samples = values(count + alpha, bits)
    share = samples / (2**bits - 1)
    made = rgb_profile(GAMMA) if count == 3 else grey_profile(GAMMA)
    data = png(samples, bits, color_type, *([png_profile(made)] if gamma else []))
    wanted = expected(share[..., :count], share[..., -1:] if alpha else None, gamma)
    assert_shows(data, wanted, 0.51 + 1.8 * bool(gamma) + alpha)


@pytest.mark.parametrize("gamma", [None, GAMMA])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_png(bits: int, transparent: bool, gamma: float | None) -> None:
    samples = values(1, bits)
    table = np.random.default_rng(0).integers(0, 256, (2**bits, 4))
    table[:2, :3] = [[10, 250, 120], [255, 20, 60]]
    chunks = [png_profile(rgb_profile(gamma))] if gamma else []
    chunks.append((b"PLTE", table[:, :3].astype(np.uint8).tobytes()))
    if transparent:
        chunks.append((b"tRNS", table[:, 3].astype(np.uint8).tobytes()))
    share = table[samples[..., 0]] / 255
    wanted = expected(share[..., :3], share[..., 3:] if transparent else None, gamma)
    assert_shows(png(samples, bits, 3, *chunks), wanted, 0.51 + 1.5 * bool(gamma) + transparent)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("color_type", [0, 2])
def test_png_with_one_transparent_color(color_type: int, bits: int) -> None:
    samples = values(3 if color_type else 1, bits)
    clear = samples[3, 4]
    data = png(samples, bits, color_type, (b"tRNS", clear.astype(">u2").tobytes()))
    alpha = (samples != clear).any(-1, keepdims=True)
    assert_shows(data, expected(samples / (2**bits - 1), alpha, None), 0.51)


def test_large_texts_in_a_png() -> None:
    texts = PngImagePlugin.PngInfo()
    for i in range(3):
        texts.add_text(f"a{i}", "x" * 30_000_000, zip=True)
        texts.add_itxt(f"b{i}", "x" * 3_000_000, zip=True)
    data = saved(Image.fromarray(smooth()), "PNG", pnginfo=texts)
    assert_shows(data, smooth(), 0)


def test_animated_pictures_are_read_by_their_first_frame(caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.fromarray(smooth()), Image.fromarray(smooth()[::-1])]
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {})):
        caplog.clear()
        data = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
        wanted = Image.open(io.BytesIO(data)).convert("RGB")
        assert_shows(data, np.asarray(wanted), 0)
        assert "first" in caplog.text


@pytest.mark.parametrize(
    ("form", "tolerance"), [("PNG", 0), ("WEBP", 0), ("GIF", 0), ("JPEG", 1), ("AVIF", 4)]
)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_as_pillow_reads_them(mode: str, form: str, tolerance: int) -> None:
    if (form, mode) in (("JPEG", "P"), ("AVIF", "1")) or (form == "AVIF" and not features.check("avif")):
        pytest.skip("Pillow writes none")
    image = Image.fromarray(smooth(40, 56)).convert(mode)
    options = {"WEBP": {"lossless": True}, "AVIF": {"subsampling": "4:4:4"}}.get(form, {})
    data = saved(image, form, **options)
    assert_shows(data, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), tolerance)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF", "GIF"])
def test_alpha_is_laid_over_white(form: str, caplog: pytest.LogCaptureFixture) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow writes none")
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[..., :3], picture[:20, :, 3] = (200, 30, 40), 255
    pixels = decode_photograph(saved(Image.fromarray(picture), form, quality=100), "test").pixels.astype(int)
    assert np.abs(pixels[5, 5] - (200, 30, 40)).max() <= 6
    assert tuple(pixels[30, 5]) == (255, 255, 255)
    assert "laid over white" in caplog.text


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_other_primaries(form: str) -> None:
    """Red and blue are exchanged by the profile."""
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow writes none")
    options: dict[str, object] = {
        "WEBP": {"lossless": True},
        "AVIF": {"subsampling": "4:4:4"},
    }.get(form, {})
    made = rgb_profile(GAMMA, SRGB_COLUMNS[::-1])
    picture = np.kron(smooth(4, 6), np.ones((16, 16, 1), np.uint8))
    data = saved(Image.fromarray(picture), form, icc_profile=made, **options)
    raw = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert_shows(data, expected(raw[..., ::-1] / 255, None, GAMMA), 4)


def test_srgb_profiles_leave_the_pixels_alone() -> None:
    for made in (SRGB, None):
        assert_shows(saved(Image.fromarray(smooth()), "PNG", icc_profile=made), smooth(), 0)


@pytest.mark.parametrize("made", [b"nonsense", grey_profile(GAMMA), cmyk_profile()])
def test_profiles_that_cannot_be_used_are_ignored(made: bytes, caplog: pytest.LogCaptureFixture) -> None:
    data = saved(Image.fromarray(smooth()), "TIFF", icc_profile=made)
    assert_shows(data, smooth(), 0)
    assert "not usable" in caplog.text
    for broken in (rgb_profile(GAMMA)[:200], profile(b"RGB ", {})):
        assert_shows(saved(Image.fromarray(smooth()), "TIFF", icc_profile=broken), smooth(), 0)


# ---------------------------------------------------------------------------------------------- refusals


def avif(**options: object) -> bytes:
    return saved(Image.fromarray(smooth(32, 32)), "AVIF", **options)


def hdr_avif() -> bytes:
    data = bytearray(avif())
    place = data.index(b"nclx") + 4
    data[place : place + 4] = struct.pack(">HH", 9, 16)
    return bytes(data)


def tiff_samples(dtype: str, channels: int = 1, **options: object) -> bytes:
    file = io.BytesIO()
    samples = (values(channels) / 255 * 100).astype(dtype).squeeze()
    samples = np.moveaxis(samples, -1, 0) if options.get("planarconfig") == "separate" else samples
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


def tagged(photometric: int, channels: int = 3, bits: int = 8, more: Tags | None = None) -> bytes:
    return tiff_of(values(channels, bits), bits, photometric, more)


def jpeg_of_precision(bits: int) -> bytes:
    data = bytearray(saved(Image.fromarray(smooth()), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = bits
    return bytes(data)


REFUSALS: dict[str, tuple[Callable[[], bytes], str]] = {
    "float grey": (lambda: tiff_samples("f4"), "floating-point samples.*convert it to 8 or 16 bits"),
    "half float": (lambda: tiff_samples("f2"), "floating-point"),
    "double": (lambda: tiff_samples("f8"), "floating-point"),
    "float RGB": (lambda: tiff_samples("f4", 3, photometric="rgb"), "floating-point"),
    "complex": (lambda: tiff_samples("c8"), "complex samples"),
    "signed 8": (lambda: tiff_samples("i1"), "signed samples"),
    "signed 16": (lambda: tiff_samples("i2"), "signed samples"),
    "signed 16 RGB": (lambda: tiff_samples("i2", 3, photometric="rgb"), "signed samples"),
    "32-bit grey": (lambda: tiff_samples("u4"), "samples of 32 bits"),
    "32-bit RGB": (lambda: tiff_samples("u4", 3, photometric="rgb"), "samples of 32 bits"),
    "64-bit grey": (lambda: tiff_samples("u8"), "samples of 64 bits"),
    "10-bit RGB": (lambda: tiff_of(values(3), 8, 2, {258: (3, [10] * 3)}), "samples of 10 bits"),
    "mixed bits": (lambda: tiff_of(values(3), 8, 2, {258: (3, [8, 8, 16])}), "samples of 8, 16 bits"),
    "16-bit palette": (lambda: tagged(3, 1, 16, {320: (3, [0] * 99)}), "samples of 16 bits"),
    "5 channels": (lambda: tiff_samples("u1", 5, photometric="rgb"), "5 channels, 2 more"),
    "grey and 2": (
        lambda: tiff_samples("u1", 3, photometric="minisblack", planarconfig="contig"),
        "3 channels",
    ),
    "unspecified": (lambda: tagged(2, 4), "a further channel, which may be alpha or not"),
    "CMYK": (lambda: tagged(5, 4), "CMYK colours without a usable profile.*convert it to RGB"),
    "CMYK and a broken profile": (
        lambda: tagged(5, 4, more={34675: (7, list(cmyk_profile()[:300]))}),
        "CMYK colours without a usable profile",
    ),
    "CMYK and an RGB profile": (lambda: tagged(5, 4, more={34675: (7, list(SRGB))}), "CMYK colours without"),
    "separate tiles": (
        lambda: tiff_samples("u1", 3, photometric="rgb", planarconfig="separate", tile=(16, 16)),
        "each channel in tiles of its own",
    ),
    "CMYK JPEG": (lambda: saved(Image.new("CMYK", (9, 9)), "JPEG"), "CMYK colours without a usable profile"),
    "CMYK and alpha": (lambda: tagged(5, 5, more={338: (3, [2])}), "5 channels"),
    "inks": (lambda: tagged(5, 4, more={332: (3, [2])}), "inks other than"),
    "ICCLab": (lambda: tagged(9), "ICCLab colours"),
    "ITULab": (lambda: tagged(10), "ITULab colours"),
    "LogL": (lambda: tagged(32844, 1, 16), "LogL"),
    "LogLuv": (lambda: tagged(32845, 3, 16), "LogLuv"),
    "mask": (lambda: tagged(4, 1, 1), "transparency mask"),
    "raw": (lambda: tagged(32803, 1, 16), "camera raw"),
    "raw thumbnail": (lambda: tagged(2, 3, more={254: (4, [1])}), "no full-size picture"),
    "DNG": (lambda: tagged(2, 3, more={50706: (1, [1, 4, 0, 0])}), "develop it"),
    "YCbCr": (lambda: tagged(6, 3, more={530: (3, [1, 1])}), "YCbCr colours without JPEG"),
    "old JPEG": (lambda: tagged(6, 3, more={259: (3, [6])}), "old-style JPEG"),
    "unknown colours": (lambda: tagged(777), "unknown kind .photometric 777"),
    "bomb": (lambda: tagged(2, more={322: (4, [1 << 16]), 323: (4, [1 << 16])}), "tiles are larger"),
    "gigantic": (lambda: tagged(2, more={256: (4, [1 << 31])}), "2147483648 x 12 pixels; at most 536870912"),
    "zstd": (lambda: saved(Image.fromarray(smooth()), "TIFF", compression="zstd"), "build of libvips cannot"),
    "gamma": (lambda: png(values(3), 8, 2, (b"gAMA", struct.pack(">I", 100000))), "unusual gamma .gAMA 1."),
    "primaries": (lambda: png(values(3), 8, 2, (b"cHRM", struct.pack(">8I", *[30000] * 8))), "primaries"),
    "HDR PNG": (lambda: png(values(3), 8, 2, (b"cICP", bytes([9, 16, 0, 1]))), "cICP .9, 16, 0, 1."),
    "HDR AVIF": (hdr_avif, "primaries 9, transfer 16"),
    "HEIC": (
        heic,
        "is a HEIC picture; this build of libvips cannot read it: convert it to JPEG, PNG or TIFF",
    ),
    "JPEG XL": (lambda: b"\xff\x0a" + bytes(99), "is a JPEG XL picture"),
    "JPEG 2000": (lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "is a JPEG 2000 picture"),
    "BMP": (lambda: saved(Image.fromarray(smooth()), "BMP"), "is a BMP picture"),
    "PPM": (lambda: saved(Image.fromarray(smooth()), "PPM"), "is a PNM picture"),
    "Photoshop": (lambda: b"8BPS" + bytes(99), "is a Photoshop picture"),
    "SVG": (lambda: b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG picture"),
    "CR3": (lambda: b"\0\0\0\x18ftypcrx " + bytes(99), "is a camera raw picture"),
    "12-bit JPEG": (lambda: jpeg_of_precision(12), "JPEG of 12 bits"),
    "text": (lambda: b"not a picture", "is not a picture that can be read"),
    "nothing": (lambda: b"", "is not a picture that can be read"),
    "flat": (lambda: saved(Image.new("RGB", (50, 40), (200, 30, 40)), "PNG"), "is flat"),
    "nearly flat": (lambda: png(values(3, 1) + 100, 8, 2), "is flat"),
    "transparent": (lambda: saved(Image.new("RGBA", (50, 40)), "PNG"), "is flat"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_refusals_name_what_is_unusual(kind: str) -> None:
    if kind == "HDR AVIF" and not features.check("avif"):
        pytest.skip("Pillow writes none")
    make, words = REFUSALS[kind]
    with pytest.raises(PhotographError, match=words) as raised:
        decode_photograph(make(), "some.file")
    message = str(raised.value)
    assert message.startswith("some.file ")
    assert "\n" not in message
    assert not any(word in message for word in ("unable to", "_buffer", "VipsJpeg"))


def test_a_further_channel_that_is_full_everywhere_changes_nothing() -> None:
    samples = values(4)
    samples[..., 3] = 255
    assert_shows(tiff_of(samples, 8, 2), samples[..., :3], 0)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(PhotographError, match=r"cannot read the photograph .*No such file"):
        read_photograph(tmp_path / "none.jpg")
    with pytest.raises(PhotographError, match="cannot read the photograph"):
        read_photograph(tmp_path)


def test_too_many_pixels_or_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    header = struct.pack(">IIBBBBB", 40_000, 30_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(bytes(100)))
        + png_chunk(b"IEND", b"")
    )
    with pytest.raises(
        PhotographError, match=r"has 40000 x 30000 pixels; at most 536870912 .*reduce it first"
    ):
        read_photograph(path)
    monkeypatch.setattr(reader, "MAX_BYTES", 50)
    with pytest.raises(PhotographError, match="bytes; at most 50 are accepted"):
        read_photograph(path)


def test_errors_are_exported_and_value_errors() -> None:
    assert ourgan_sdk.PhotographError is PhotographError
    assert issubclass(PhotographError, ValueError)
    assert issubclass(PhotographError, ourgan_sdk.OurganError)


# ------------------------------------------------------------------------------------------ broken files


def small_files() -> dict[str, bytes]:
    image = Image.fromarray(smooth(40, 56))
    tiff_file = io.BytesIO()
    tifffile.imwrite(tiff_file, smooth(40, 56), photometric="rgb", compression="zlib", rowsperstrip=8)
    files = {
        "jpeg": saved(image, "JPEG", exif=b"Exif\0\0" + exif(6), icc_profile=rgb_profile(GAMMA)),
        "progressive": saved(image, "JPEG", progressive=True),
        "png": saved(image, "PNG", icc_profile=rgb_profile(GAMMA)),
        "webp": saved(image, "WEBP"),
        "gif": saved(image, "GIF"),
        "tiff": tiff_file.getvalue(),
        "strip": saved(image, "TIFF", icc_profile=rgb_profile(GAMMA)),
    }
    return files | ({"avif": saved(image, "AVIF")} if features.check("avif") else {})


@pytest.mark.parametrize("kind", small_files())
def test_broken_files_are_refused_and_nothing_else_happens(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """25 truncations, none of which may pass for whole, and 25 files with damaged bytes, which may."""
    whole = small_files()[kind]
    assert isinstance(decode_photograph(whole, "test"), Photograph)
    random = np.random.default_rng(len(kind))
    for share in np.linspace(0, 0.97, 25):
        with pytest.raises(PhotographError):
            decode_photograph(whole[: int(share * len(whole))], "test")
    for i in range(25):
        data = bytearray(whole)
        head = min(len(data), 200) if i % 2 else len(data)
        for place in random.integers(4, head, 1 + i % 4):
            data[place] = random.integers(256)
        with contextlib.suppress(PhotographError):
            assert isinstance(decode_photograph(bytes(data), "test"), Photograph)
    assert capfd.readouterr() == ("", "")


def test_damage_in_the_middle_of_a_jpeg_is_seen() -> None:
    """libjpeg only warns of it, and fills the rest with grey."""
    data = bytearray(saved(Image.effect_noise((200, 200), 60).convert("RGB"), "JPEG"))
    data[len(data) // 2 : len(data) // 2 + 400] = np.random.default_rng(0).bytes(400)
    with pytest.raises(PhotographError, match="broken or cut short"):
        decode_photograph(bytes(data), "test")


def test_bytes_that_cameras_leave_before_the_end_are_no_damage() -> None:
    data = saved(Image.fromarray(smooth(64, 64)), "JPEG")
    whole = decode_photograph(data, "test").pixels
    longer = decode_photograph(data[:-2] + bytes(40) + data[-2:] + b"appended", "test").pixels
    assert np.array_equal(longer, whole)


def test_libvips_prints_nothing() -> None:
    """Not even for a file with tags that libtiff does not know, and where logging is set up."""
    code = (
        "import sys, logging; logging.basicConfig()\n"
        "from ourgan_sdk.photograph import decode_photograph\n"
        "print(decode_photograph(sys.stdin.buffer.read(), 'x').pixels.shape)"
    )
    data = tiff_of(values(3), 8, 2, {60000: (4, [3]), 270: (3, [1, 2, 3])})
    result = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert result.stdout.decode().strip() == f"({HEIGHT}, {WIDTH}, 3)"
    assert result.stderr == b""


def test_pixels_do_not_depend_on_threads(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture = np.random.default_rng(0).integers(0, 256, (500, 700, 4), dtype=np.uint8)
    Image.fromarray(picture).save(path, icc_profile=rgb_profile(GAMMA))
    code = (
        "import sys, hashlib; from ourgan_sdk.photograph import read_photograph\n"
        "print(hashlib.sha256(read_photograph(sys.argv[1]).pixels.tobytes()).hexdigest())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code, path],
            env=os.environ | {"VIPS_CONCURRENCY": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "5")
    }
    assert len(hashes) == 1


# ---------------------------------------------------------------------------------------- photograph, member


def test_a_photograph(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(smooth()).save(path)
    photograph = read_photograph(path)
    assert (photograph.height, photograph.width, photograph.kind) == (HEIGHT, WIDTH, "PNG")
    assert photograph.data == path.read_bytes()
    assert photograph.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert photograph.pixels.dtype == np.uint8
    assert photograph.pixels.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        photograph.pixels[0] = 0


def private_jpeg(**options: object) -> bytes:
    """A JPEG with EXIF, XMP, IPTC, a comment, a JFIF thumbnail and an appended secret."""
    data = saved(
        Image.fromarray(smooth(64, 90)),
        "JPEG",
        exif=b"Exif\0\0" + exif(1, {270: (2, list(b"secret\0"))}),
        **options,
    )

    def segment(marker: int, payload: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload

    jfif = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\4" + b"secret......")
    more = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0secret") + segment(0xED, b"Photoshop 3.0\0secret")
    more += segment(0xE2, b"FPXR\0secret") + segment(0xFE, b"secret") + segment(0xEF, b"secret")
    end = 4 + struct.unpack_from(">H", data, 4)[0]
    return data[:2] + jfif + more + data[end:] + b"secret"


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"icc_profile": SRGB}, {"restart_marker_rows": 1}],
)
def test_member_is_the_original_without_private_data(options: dict[str, object]) -> None:
    data = private_jpeg(**options)
    photograph = decode_photograph(data, "test")
    name, member = photograph_member(photograph)
    assert name == "photograph.jpg"
    assert b"secret" in data
    assert b"secret" not in member
    assert b"Exif" not in member
    assert 0 < len(data) - len(member) < 500
    assert (b"ICC_PROFILE" in member) == ("icc_profile" in options)
    assert np.array_equal(decode_photograph(member, name).pixels, photograph.pixels)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(member))), np.asarray(Image.open(io.BytesIO(data)))
    )


@pytest.mark.parametrize("kind", ["png", "grey", "turned", "profile", "large"])
def test_member_is_encoded_where_the_original_does_not_do(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(smooth(64, 90))
    data = {
        "png": lambda: saved(image, "PNG"),
        "grey": lambda: saved(image.convert("L"), "JPEG"),
        "turned": lambda: saved(image, "JPEG", exif=b"Exif\0\0" + exif(6)),
        "profile": lambda: saved(image, "JPEG", icc_profile=rgb_profile(GAMMA)),
        "large": lambda: saved(image, "JPEG", quality=100),
    }[kind]()
    if kind == "large":
        monkeypatch.setattr(reader, "KEPT_BYTES", 100)
    photograph = decode_photograph(data, "test")
    _, member = photograph_member(photograph)
    decoded = decode_photograph(member, "member")
    assert (photograph.data is None) == (kind == "large")
    assert np.abs(decoded.pixels.astype(int) - photograph.pixels).max() <= 8
    with Image.open(io.BytesIO(member)) as opened:
        assert opened.mode == "RGB"
        assert not opened.getexif()
        assert "icc_profile" not in opened.info
        assert opened.layer[0][1:3] == opened.layer[1][1:3]  # not subsampled


def test_member_of_a_picture_wider_than_a_jpeg() -> None:
    photograph = decode_photograph(saved(Image.fromarray(smooth(4, 70_000)), "PNG"), "test")
    with pytest.raises(PhotographError, match="70000 x 4 pixels does not fit in a JPEG"):
        photograph_member(photograph)
