"""The bytes that the C library gives, against Python's: the same."""

from __future__ import annotations

import ctypes
import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from ourgan_sdk import Layout, Synthesizer, learn, save_bundle
from ourgan_sdk.errors import BundleError, PhotographError
from ourgan_sdk.synthesizer import sample_bundle
from tests.building import ROOT, built, why_no_c
from tests.capi.client import RGB8, RGB16, RGBA8, RGBA16, CError, Library
from tests.odd_pictures import exif, png, png_profile, rgb_profile

pytestmark = pytest.mark.skipif(bool(why_no_c()), reason=why_no_c())

Case = tuple[tuple[int, int], int, float | None, dict[str, Any]]

CASES: list[Case] = [
    ((311, 205), 0, None, {}),
    ((640, 96), 2**64 - 1, 3.5, {"variety": 0.9}),
    ((77, 301), 12, 1.5, {"vertical": 0.25}),
    ((256, 128), 5, None, {"tileable": "x"}),
    ((128, 128), 6, 1.5, {"tileable": "both"}),
    ((201, 99), 7, None, {"symmetric": "both"}),
    ((160, 111), 8, 2.0, {"symmetric": "y", "tileable": "x"}),
    ((150, 120), 9, None, {"retarget": True}),
    ((150, 90), 10, 2.0, {"retarget": True, "variety": 0.3, "symmetric": "x"}),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(built(tmp_path_factory) / "csrc" / "libourgan" / "libourgan.so")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, photograph_path: Path) -> dict[str, Path]:
    """Bundles that were trained and learned, and photographs."""
    folder = tmp_path_factory.mktemp("sources")
    picture = np.asarray(scenery(140, 200, 4))
    Image.fromarray(picture).save(folder / "own.jpg", quality=88)
    Image.fromarray(picture[:, :150]).save(folder / "lossless.png")
    save_bundle(learn(folder / "lossless.png"), folder / "learned.ourgan")
    return {
        "sample": sample_bundle(),
        "trained": photograph_path,
        "learned": folder / "learned.ourgan",
        "jpeg": folder / "own.jpg",
        "png": folder / "lossless.png",
    }


def scenery(height: int, width: int, seed: int) -> Image.Image:
    """Clouds of several sizes over a slope."""
    random = np.random.default_rng(seed)
    total = np.linspace(60, 150, height)[:, None, None] * [1.0, 0.9, 0.7]
    for size in (5, 17, 60):
        noise = Image.fromarray(random.integers(0, 90, (size, size + 3, 3), np.uint8))
        total = total + np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), np.float64) / 3
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("name", ["sample", "trained", "learned", "jpeg", "png"])
def test_regions(library: Library, sources: dict[str, Path], name: str) -> None:
    """Sizes, seeds, extents and layouts; all levels; regions, of 8 and 16 bits; any row stride."""
    random = np.random.default_rng(3)
    cases = CASES if name == "learned" else CASES[:: 5 if name == "sample" else 3]
    path = sources[name]
    with Synthesizer(path, structure="patches", threads=1) as synthesizer, library.source(path) as source:
        for size, seed, extent, asked in cases:
            layout = Layout(**asked)
            wanted = synthesizer.canvas(*size, seed=seed, extent=extent, layout=layout)
            wide = synthesizer.canvas(*size, seed=seed, extent=extent, layout=layout, dtype=np.uint16)
            wide.use_base(wanted.find_base())
            with source.canvas(*size, seed, extent=extent, **asked) as canvas:
                compare(canvas, wanted, wide, random)


def compare(canvas: Any, wanted: Any, wide: Any, random: np.random.Generator) -> None:
    sizes = [level.shape[:2] for level in wanted.levels]
    assert canvas.level_sizes() == sizes
    assert canvas.number("extent", ctypes.c_double) == wanted.extent
    for level, (height, width) in enumerate(sizes):
        whole = wanted.levels[level][:]
        np.testing.assert_array_equal(canvas.read(level, (0, 0, height, width)), whole)
        y0, y1 = np.sort(random.choice(height + 1, 2, replace=False)).tolist()
        x0, x1 = np.sort(random.choice(width + 1, 2, replace=False)).tolist()
        region = y0, x0, y1, x1
        part, wide_part = whole[y0:y1, x0:x1], wide.levels[level][y0:y1, x0:x1]
        memory = np.full((y1 - y0, x1 - x0 + 5, 3), 9, np.uint8)
        canvas.read(level, region, RGB8, out=memory[::-1, : x1 - x0])
        np.testing.assert_array_equal(memory[::-1, : x1 - x0], part)
        assert (memory[:, x1 - x0 :] == 9).all()
        np.testing.assert_array_equal(canvas.read(level, region, RGB16), wide_part)
        for kind, expected, full in ((RGBA8, part, 255), (RGBA16, wide_part, 65535)):
            read = canvas.read(level, region, kind)
            np.testing.assert_array_equal(read[..., :3], expected)
            assert (read[..., 3] == full).all()
    assert canvas.number("copied_share", ctypes.c_double) == wanted.copied_share


def photographs() -> dict[str, bytes]:
    """Of every kind that the library reads."""
    color = scenery(90, 120, 8)
    samples = np.asarray(color)
    wide = samples.astype(np.uint16) * 257 + np.arange(120, dtype=np.uint16)[None, :, None] % 100
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    alpha = np.linspace(0, 255, 120).astype(np.uint8)[None, :, None].repeat(90, 0)
    files = {
        "png16": png(wide, 16, 2),
        "grey8": png(samples[..., :1], 8, 0),
        "grey16": png(wide[..., :1], 16, 0),
        "alpha8": png(np.dstack([samples, alpha]), 8, 6),
        "alpha16": png(np.dstack([wide, alpha.astype(np.uint16) * 257]), 16, 6),
        "grey_alpha": png(np.dstack([samples[..., :1], alpha]), 8, 4),
        "srgb_profile": png(samples, 8, 2, png_profile(srgb)),
        "text": png(samples, 8, 2, (b"tEXt", b"Comment\0" + b"x" * 300)),
        "palette": saved(color.quantize(50), "PNG"),
        "jpeg": saved(color, "JPEG", quality=80),
        "jpeg_420": saved(color, "JPEG", quality=90, subsampling=2, progressive=True),
        "jpeg_profile": saved(color, "JPEG", quality=85, icc_profile=srgb),
        "jpeg_grey": saved(color.convert("L"), "JPEG", quality=95),
        "jpeg_comment": saved(color, "JPEG", quality=80, comment=b"somebody"),
    }
    for number in (1, 2, 3, 5, 6, 8):
        files[f"turned_{number}"] = saved(color, "JPEG", quality=92, exif=b"Exif\0\0" + exif(number))
    return files


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("name", sorted(photographs()))
def test_photographs(library: Library, tmp_path: Path, name: str) -> None:
    """A small canvas of the photograph's own layout shows every part of it; so does another of its size."""
    data = photographs()[name]
    path = tmp_path / "photograph"
    path.write_bytes(data)
    with Synthesizer(path, threads=1) as synthesizer, library.source(data) as source:
        photo = synthesizer.bundle.photo
        assert source.size == (photo.width, photo.height)
        expected = synthesizer.render(*source.size, layout=Layout(retarget=True))
        with source.canvas(*source.size, retarget=True) as canvas:
            np.testing.assert_array_equal(canvas.read(0, (0, 0, photo.height, photo.width)), expected)


def refused() -> dict[str, tuple[bytes, str]]:
    """Files that are refused, and by which words; those that Python refuses too, for the same reason."""
    color = scenery(90, 120, 8)
    samples, jpeg = np.asarray(color), saved(color, "JPEG")
    return {
        "cut": (jpeg[: len(jpeg) // 2], "is broken or cut short"),
        "flat": (saved(Image.new("RGB", (90, 90), "red"), "PNG"), "is flat"),
        "small": (saved(color.resize((63, 100)), "PNG"), "at least 64 are needed"),
        "elongated": (saved(color.resize((1000, 70)), "PNG"), "too elongated"),
        "gamma": (png(samples, 8, 2, (b"gAMA", (100000).to_bytes(4, "big"))), "unusual gamma"),
        "hdr": (png(samples, 8, 2, (b"cICP", b"\x09\x10\0\1")), "unusual colours"),
        "text": (b"hello" * 300, "is not a picture that can be read"),
    }


@pytest.mark.parametrize("name", sorted(refused()))
def test_refused_as_by_python(library: Library, tmp_path: Path, name: str) -> None:
    data, words = refused()[name]
    path = tmp_path / "photograph.jpg"
    path.write_bytes(data)
    with pytest.raises(PhotographError, match=words):
        Synthesizer(path)
    with pytest.raises(CError, match=words) as error, library.source(path):
        pass
    assert error.value.name == "PhotographError"


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "GIF", "CMYK", "profile"])
def test_what_python_alone_reads_is_refused_by_name(library: Library, kind: str) -> None:
    color = scenery(90, 120, 8)
    if kind == "CMYK":
        data = saved(color.convert("CMYK"), "JPEG")
    elif kind == "profile":
        data = png(np.asarray(color), 8, 2, png_profile(rgb_profile(1.0)))
    else:
        data = saved(color, kind)
    with pytest.raises(CError, match="ourgan learn") as error, library.source(data):
        pass
    assert error.value.name == "PhotographError"


def test_bundles_without_a_photograph(library: Library, bundle_path: Path, sources: dict[str, Path]) -> None:
    with pytest.raises(CError, match="holds no photograph") as error, library.source(bundle_path):
        pass
    assert error.value.name == "BundleError"
    damaged = bytearray(sources["learned"].read_bytes())
    damaged[damaged.index(b"\xff\xd8\xff") + 2000] ^= 1
    path = sources["learned"].with_name("damaged.ourgan")
    path.write_bytes(damaged)
    with pytest.raises(BundleError), Synthesizer(path) as synthesizer:
        synthesizer.render(64, 64)
    with pytest.raises(CError, match=r"is damaged|CRC") as error, library.source(path):
        pass
    assert error.value.name == "BundleError"


def test_beyond_the_photograph_takes_networks(library: Library, sources: dict[str, Path]) -> None:
    """The error's advice is good."""
    with library.source(sources["png"]) as source:
        words = r"give an extent of at least 2\.23 or a smaller size"
        with pytest.raises(CError, match=words) as error, source.canvas(500, 300, extent=1.0):
            pass
        assert error.value.name == "EngineError"
        with source.canvas(500, 300, extent=2.23):
            pass


def test_advised_extents_do(library: Library) -> None:
    """Of halves, whose sides are rounded, too."""
    random = np.random.default_rng(5)
    sizes = [(415, 431, 1.37)] + [(*random.integers(200, 4000, 2).tolist(), 1.0) for _ in range(300)]
    with library.source(saved(scenery(64, 64, 2), "JPEG")) as source:
        for width, height, extent in sizes:
            for symmetric in ("x", "both"):
                with pytest.raises(CError, match="at least") as error:
                    source.canvas(width, height, extent=extent, symmetric=symmetric).__enter__()
                advised = float(str(error.value).split("at least ")[1].split()[0])
                with source.canvas(width, height, extent=advised, symmetric=symmetric) as canvas:
                    assert canvas.number("extent", ctypes.c_double) == pytest.approx(advised, rel=0.05)


def test_limits_hold(library: Library, sources: dict[str, Path]) -> None:
    """What an error asks for is enough."""
    path, words = sources["png"], "give a memory limit of at least"
    with pytest.raises(CError, match=words) as error, library.source(path, memory_limit=1000):
        pass
    assert error.value.name == "BudgetError"
    with (
        library.source(path, memory_limit=1_000_000) as source,
        pytest.raises(CError, match=words) as error,
        source.canvas(200, 150),
    ):
        pass
    assert error.value.name == "BudgetError"
    enough = int(str(error.value).split("at least ")[1].split()[0])
    with library.source(path, memory_limit=enough) as source, source.canvas(200, 150) as canvas:
        assert canvas.read(0, (0, 0, 1, 1)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("kind", "least"),
    [("upright", 6), ("progressive", 14), ("plain", 11), ("interlaced", 11), ("alpha16", 20)],
)
def test_limits_count_what_opening_takes(library: Library, kind: str, least: float) -> None:
    """Bytes per pixel beside the file; they were measured at 5 megapixels."""
    color = scenery(300, 400, 3)
    wide = np.asarray(color).astype(np.uint16) * 257
    alpha = np.linspace(0, 65535, 400).astype(np.uint16)[None, :, None].repeat(300, 0)
    data = {
        "upright": lambda: saved(color, "JPEG"),
        "progressive": lambda: saved(color, "JPEG", progressive=True),
        "plain": lambda: saved(color, "PNG"),
        "interlaced": lambda: interlaced(np.asarray(color)),
        "alpha16": lambda: png(np.dstack([wide, alpha]), 16, 6),
    }[kind]()
    limit, asked = 1, 0
    while asked != limit:  # by one step after the other
        asked = limit
        try:
            with library.source(data, memory_limit=limit):
                pass
        except CError as error:
            limit = int(str(error).split("at least ")[1].split()[0])
    assert least < (limit - len(data)) / (300 * 400) < least + 25


def interlaced(picture: npt.NDArray[np.uint8]) -> bytes:
    pyvips = pytest.importorskip("pyvips")
    image = pyvips.Image.new_from_array(picture).copy(interpretation="srgb")
    return bytes(image.write_to_buffer(".png[interlace]"))


@pytest.mark.parametrize("name", ["photo.jpg", "picture.ourgan"])
def test_large_files_are_not_read(library: Library, tmp_path: Path, name: str) -> None:
    """Of three gigabytes that are nothing, or too many, no more than the beginning is."""
    import resource  # noqa: PLC0415 - which Windows has not

    path, before = tmp_path / name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for head, limit, words in (
        (b"hello", 0, "is not a"),
        (b"\xff\xd8\xff", 1_000_000, r"takes 3000000000|not a b"),
    ):
        path.write_bytes(head)
        os.truncate(path, 3_000_000_000)  # sparse
        with pytest.raises(CError, match=words), library.source(path, memory_limit=limit):
            pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_members_are_not_read_beyond_the_limit(library: Library, sources: dict[str, Path]) -> None:
    bundle = sources["learned"]
    with zipfile.ZipFile(bundle) as archive:
        size = archive.getinfo("photograph.jpg").file_size
    with pytest.raises(CError, match=f"takes {size} bytes"), library.source(bundle, memory_limit=size - 1):
        pass


SHORT_OF_MEMORY = """
import re, resource, sys
from pathlib import Path
from tests.capi.client import CError, Library
library, picture, small = map(Path, sys.argv[1:])
with Library(library).source(small):  # all that is loaded first
    pass
taken = int(re.search(r"VmSize:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (taken + (60 << 20),) * 2)
try:
    with Library(library).source(picture):
        print("opened")
except CError as error:
    print(error)
"""


def test_want_of_memory_is_told_as_such(library: Library, tmp_path: Path) -> None:
    """75 MB of pixels where 60 are left."""
    picture = Image.linear_gradient("L").resize((5000, 5000)).convert("RGB")
    picture.save(tmp_path / "large.png", compress_level=1)
    scenery(90, 120, 8).save(tmp_path / "small.png")
    files = library.c._name, str(tmp_path / "large.png"), str(tmp_path / "small.png")
    told = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, *files], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("RenderMemoryError: out of memory")


SHORT_OF_THREADS = """
import resource, os, sys
from pathlib import Path
from tests.capi.client import CError, Library
library, picture = Library(Path(sys.argv[1])), Path(sys.argv[2]).read_bytes()
os.setuid(65534)  # the limit does not bind root
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
try:
    with library.source(picture):
        print("opened")
except CError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes another user's rights")
def test_want_of_threads_is_no_fault_of_the_photograph(library: Library, tmp_path: Path) -> None:
    scenery(90, 120, 8).save(tmp_path / "small.png")
    files = library.c._name, str(tmp_path / "small.png")
    told = subprocess.run(
        [sys.executable, "-c", SHORT_OF_THREADS, *files], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("RenderMemoryError: out of memory")


def test_damage_without_a_reason(library: Library) -> None:
    data = bytearray(saved(scenery(90, 120, 8), "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(CError, match=r"cut short: \w"), library.source(bytes(data)):
        pass


@pytest.mark.parametrize(("kind", "words"), [("JPEG", "premature end"), ("PNG", "read error")])
def test_the_reason_for_what_is_cut_short_is_told(library: Library, kind: str, words: str) -> None:
    data = saved(scenery(90, 120, 8), kind)
    with pytest.raises(CError) as error, library.source(data[: len(data) // 2]):
        pass
    assert re.search(f"cut short: .*{words}", str(error.value), re.IGNORECASE)
    assert "no reason is given" not in str(error.value)


@pytest.mark.parametrize("name", ["pipe.jpg", "pipe.ourgan"])
def test_a_pipe_is_refused_at_once(library: Library, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(CError, match="it is no regular file"), library.source(tmp_path / name):
        pass


def test_a_canvas_that_is_searched_is_prepared_as_any(library: Library, sources: dict[str, Path]) -> None:
    """Also then it tells progress, and heeds a cancellation."""
    with library.source(sources["png"]) as source, source.canvas(200, 150) as canvas:
        canvas.prepare()
        shares: list[float] = []
        canvas.prepare(progress=lambda share: shares.append(share) or 0)
        assert shares[-1] == 1
        with pytest.raises(CError) as error:
            canvas.prepare(progress=lambda _share: 1)
        assert error.value.name == "RenderCancelledError"


def test_progress_cancels(library: Library, sources: dict[str, Path]) -> None:
    shares: list[float] = []
    with library.source(sources["png"]) as source, source.canvas(200, 150) as canvas:
        with pytest.raises(CError) as error:
            canvas.read(0, (0, 0, 150, 200), progress=lambda share: int(share > 0.4))
        assert error.value.name == "RenderCancelledError"
        canvas.read(0, (0, 0, 150, 200), progress=lambda share: shares.append(share) or 0)
    assert shares == sorted(shares)
    assert shares[-1] == 1
