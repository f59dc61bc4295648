"""Files, folders and arrays hold exactly the pixels that were written, or do not exist."""

import errno
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from ourgan_sdk import OutputError, SizeError, open_writer
from ourgan_sdk.writers import ArrayWriter
from ourgan_sdk.writers.base import EncodingWriter, Properties
from ourgan_sdk.writers.deep_zoom import begin_deep_zoom, deep_zoom_sizes, encoded_tile, tile_file

SHAPES = [(1, 1), (300, 200), (64, 1), (65, 3), (1, 500), (129, 40)]
ZARR = pytest.param(
    ".zarr", marks=pytest.mark.skipif(importlib.util.find_spec("zarr") is None, reason="zarr is missing")
)
SUFFIXES = [".png", ".tif", ".jpg", ".webp", ".dzi", ZARR, ".npy"]
USUAL = {
    ".tif": (95, 0.7, {"compression": "deflate", "predictor": "horizontal", "tile": True}),
    ".webp": (95, 0.7, {"Q": 95}),
    "lossless.webp": (100, 0.3, {"Q": 100, "lossless": True}),
}
"""Formats whose usual settings take several times as long for files hardly smaller (bench.formats):
the quality, at most what share of that time is to be taken, and those settings."""
DESCRIPTION = json.dumps({"software": "ourgan_sdk", "seed": 7, "size": [30, 20]})


def noise(height: int, width: int, dtype: type) -> np.ndarray:
    random = np.random.default_rng(height * width)
    return random.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


def write(path: Path, picture: np.ndarray, band: int = 37, **options: object) -> None:
    height, width, _ = picture.shape
    with open_writer(path, width, height, dtype=picture.dtype, **options) as writer:
        for y in range(0, height, band):
            writer.write(picture[y : y + band])


def names_of(path: Path) -> list[Path]:
    """All that is in the folder when `path` alone has been written."""
    return [path, path.with_name(f"{path.stem}_files")] if path.suffix == ".dzi" else [path]


def read(path: Path) -> np.ndarray:
    """The pixels in a file, by a reader other than libvips, except for 16-bit PNG, which Pillow halves."""
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    if path.suffix == ".zarr":
        zarr = pytest.importorskip("zarr")
        return zarr.open_group(path, mode="r")["0"][:].transpose(1, 2, 0)
    if path.suffix == ".dzi":
        return read_deep_zoom(path, levels_up=0)
    if path.suffix == ".tif":
        return tifffile.imread(path)
    with Image.open(path) as image:
        if image.format != "PNG" or image.tile[0].args != "RGB;16B":
            return np.asarray(image)
    return pyvips.Image.new_from_file(str(path), revalidate=True).numpy()


def read_deep_zoom(path: Path, levels_up: int) -> np.ndarray:
    """The tiles of one level put together; 0 is the largest."""
    image = ET.fromstring(path.read_bytes())
    size = image[0].attrib
    width, height = int(size["Width"]), int(size["Height"])
    tile, overlap = int(image.attrib["TileSize"]), int(image.attrib["Overlap"])
    levels = (max(width, height) - 1).bit_length() + 1
    folder = path.with_name(f"{path.stem}_files")
    assert sorted(int(f.name) for f in folder.iterdir() if f.is_dir()) == list(range(levels))
    width, height = -(-width >> levels_up), -(-height >> levels_up)
    picture = np.empty((height, width, 3), np.uint8)
    for name in (folder / str(levels - 1 - levels_up)).iterdir():
        column, row = (int(number) for number in name.stem.split("_"))
        x, y = max(0, column * tile - overlap), max(0, row * tile - overlap)
        with Image.open(name) as pixels:
            picture[y : y + pixels.height, x : x + pixels.width] = np.asarray(pixels)
    return picture


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ZARR, ".npy"])
def test_lossless_files(tmp_path: Path, shape: tuple[int, int], dtype: type, suffix: str) -> None:
    picture, path = noise(*shape, dtype), tmp_path / f"picture{suffix}"
    write(path, picture)
    result = read(path)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, picture)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("shape", [*SHAPES, (509, 763)])
@pytest.mark.parametrize("suffix", [".webp", ".dzi"])
def test_lossless_at_quality_100(tmp_path: Path, shape: tuple[int, int], suffix: str) -> None:
    picture, path = noise(*shape, np.uint8), tmp_path / f"picture{suffix}"
    write(path, picture, quality=100)
    np.testing.assert_array_equal(read(path), picture)
    assert sorted(tmp_path.iterdir()) == names_of(path)


@pytest.mark.parametrize(
    ("name", "width", "height", "dtype"),
    [
        ("a.png", 280_000, 80, np.uint8),
        ("a.png", 140_000, 80, np.uint16),
        ("a.png", 20_000_000, 1, np.uint8),
        ("a.tif", 280_000, 80, np.uint8),
    ],
)
def test_wide_files(tmp_path: Path, name: str, width: int, height: int, dtype: type) -> None:
    """Rows and strips beyond what libtiff allocates when it trusts nobody."""
    path = tmp_path / name
    picture = np.zeros((height, width, 3), dtype)
    picture[:, -1] = np.arange(3 * height).reshape(height, 3)
    write(path, picture)
    result = pyvips.Image.new_from_file(str(path), unlimited=True)
    assert (result.width, result.height) == (width, height)
    np.testing.assert_array_equal(result.crop(width - 9, 0, 9, height).numpy(), picture[:, -9:])


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp", ".dzi"])
def test_lossy_files(tmp_path: Path, suffix: str) -> None:
    smooth = np.linspace(0, 255, 200 * 300 * 3).reshape(200, 300, 3).astype(np.uint8)
    fine, coarse = tmp_path / f"fine{suffix}", tmp_path / f"coarse{suffix}"
    write(fine, smooth)
    write(coarse, smooth, quality=10)
    assert np.abs(read(fine).astype(int) - smooth).max() <= 8

    def size(path: Path) -> int:
        files = [path, *path.with_name(f"{path.stem}_files").rglob("*.*")]
        return sum(file.stat().st_size for file in files)

    assert size(coarse) < size(fine)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_metadata(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write(path, noise(20, 30, np.uint8), description=DESCRIPTION, dpi=300)
    with Image.open(path) as image:
        exif = image.getexif()
        text = image.info["Description"] if suffix == ".png" else exif[270]
        dpi = (exif[282], exif[283]) if suffix == ".webp" else image.info["dpi"]
        assert image.info["icc_profile"]
    assert text == DESCRIPTION
    assert dpi == pytest.approx((300, 300), abs=0.01)


def test_metadata_of_deep_zoom(tmp_path: Path) -> None:
    write(tmp_path / "picture.dzi", noise(20, 30, np.uint8), description=DESCRIPTION, dpi=300)
    properties = json.loads((tmp_path / "picture_files" / "properties.json").read_text())
    assert properties == {"description": DESCRIPTION, "dpi": 300}
    with Image.open(tmp_path / "picture_files" / "5" / "0_0.jpg") as tile:
        assert tile.info["icc_profile"]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_resolution_that_is_unknown(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write(path, noise(2, 3, np.uint8))
    with Image.open(path) as image:
        assert image.info["dpi"] == pytest.approx((72, 72), abs=0.01)


def halved(picture: np.ndarray) -> np.ndarray:
    """Rounded means of 2 x 2 pixels of a picture whose sides are even."""
    height, width, _ = picture.shape
    sums = picture.reshape(height // 2, 2, width // 2, 2, 3).sum((1, 3), dtype=np.uint32)
    return ((sums + 2) >> 2).astype(picture.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (256, 256), (700, 1301), (513, 2)])
def test_pyramidal_tiff(tmp_path: Path, shape: tuple[int, int], dtype: type) -> None:
    picture, path = noise(*shape, dtype), tmp_path / "picture.tif"
    write(path, picture, pyramid=True)
    with tifffile.TiffFile(path) as file:
        levels = [page.asarray() for page in file.pages]
    np.testing.assert_array_equal(levels[0], picture)
    for larger, level in itertools.pairwise(levels):
        height, width = (side // 2 for side in larger.shape[:2])
        assert level.dtype == dtype
        np.testing.assert_array_equal(level, halved(larger[: 2 * height, : 2 * width]))
    assert max(levels[-1].shape) <= 256 or min(levels[-1].shape[:2]) == 1


@pytest.mark.parametrize("shape", [(1, 1), (512, 512), (513, 1), (2, 1025), (1100, 1301)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_zarr_levels(tmp_path: Path, shape: tuple[int, int], dtype: type) -> None:
    zarr = pytest.importorskip("zarr")
    picture, path = noise(*shape, dtype), tmp_path / "picture.zarr"
    write(path, picture, band=333, description=DESCRIPTION, dpi=300)
    group = zarr.open_group(path, mode="r")
    ome = group.attrs["ome"]
    assert group.attrs["description"] == DESCRIPTION
    assert ome["version"] == "0.5"
    (multiscales,) = ome["multiscales"]
    axes = [(axis["name"], axis["type"], axis.get("unit")) for axis in multiscales["axes"]]
    assert axes == [("c", "channel", None), ("y", "space", "inch"), ("x", "space", "inch")]
    assert sorted(group.array_keys()) == [dataset["path"] for dataset in multiscales["datasets"]]
    expected = picture
    for i, dataset in enumerate(multiscales["datasets"]):
        level = group[dataset["path"]]
        scale, translation = dataset["coordinateTransformations"]
        assert scale["scale"] == pytest.approx([1, 2**i / 300, 2**i / 300])
        assert translation["translation"] == pytest.approx([0, *[(2**i - 1) / 600] * 2])
        assert level.metadata.dimension_names == ("c", "y", "x")
        assert level.dtype == dtype
        assert (level.chunks, level.shards) == ((3, 512, 512), (3, 4096, 4096))
        np.testing.assert_array_equal(level[:].transpose(1, 2, 0), expected)
        assert (max(expected.shape) <= 512) == (i == len(multiscales["datasets"]) - 1)
        height, width, _ = expected.shape
        expected = halved(np.pad(expected, ((0, height % 2), (0, width % 2), (0, 0)), "edge"))


@pytest.mark.parametrize("shape", [(512, 1024), (1, 1), (513, 1), (2, 1025), (1100, 1301)])
def test_deep_zoom_levels(tmp_path: Path, shape: tuple[int, int]) -> None:
    expected = noise(*shape, np.uint8)
    write(tmp_path / "picture.dzi", expected, quality=100)
    image = ET.fromstring((tmp_path / "picture.dzi").read_text())
    assert image.tag == "{http://schemas.microsoft.com/deepzoom/2008}Image"
    assert image.attrib == {"TileSize": "512", "Overlap": "0", "Format": "png"}
    for i in range((max(shape) - 1).bit_length() + 1):
        np.testing.assert_array_equal(read_deep_zoom(tmp_path / "picture.dzi", levels_up=i), expected)
        height, width, _ = expected.shape
        expected = halved(np.pad(expected, ((0, height % 2), (0, width % 2), (0, 0)), "edge"))


@pytest.mark.parametrize("quality", [90, 100])
def test_tiles_encoded_by_themselves_are_those_of_the_stream(tmp_path: Path, quality: int) -> None:
    """As those do who make a level's regions anywhere."""
    pixels = noise(1030, 700, np.uint8)
    write(tmp_path / "a.dzi", pixels, quality=quality)
    properties = Properties(700, 1030, np.dtype(np.uint8), quality, False, None, "")
    begin_deep_zoom(tmp_path / "b", properties)
    for level in range(len(deep_zoom_sizes(1030, 700))):
        for row, y in enumerate(range(0, len(pixels), 512)):
            for column, x in enumerate(range(0, pixels.shape[1], 512)):
                file = tmp_path / "b_files" / tile_file(properties, level, row, column)
                file.write_bytes(encoded_tile(pixels[y : y + 512, x : x + 512], quality))
        pixels = halved(np.pad(pixels, [(0, side % 2) for side in pixels.shape[:2]] + [(0, 0)], "edge"))
    for name in (".dzi", "_files"):
        assert contents(tmp_path / f"a{name}") == contents(tmp_path / f"b{name}")


def contents(path: Path) -> dict[str, bytes]:
    """Of a file, or of all in a folder."""
    return {
        str(file.relative_to(path)): file.read_bytes() for file in [path, *path.rglob("*")] if file.is_file()
    }


@pytest.mark.parametrize("suffix", [".dzi", ZARR])
def test_pyramids_hold_few_rows(tmp_path: Path, suffix: str) -> None:
    """A picture of 40 rows of tiles takes hardly more memory than one of 4."""
    pytest.importorskip("zarr")
    width, band = 1024, np.full((64, 1024, 3), 7, np.uint8)
    peaks = []
    for height in (2048, 2048, 20480):  # the first one loads the library
        tracemalloc.start()
        with open_writer(tmp_path / f"a{suffix}", width, height) as writer:
            for _ in range(0, height, 64):
                writer.write(band)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    row = 3 * 512 * width
    assert peaks[2] < peaks[1] + row
    assert peaks[2] < 6 * row


def test_file_takes_the_usual_permissions_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    write(path, noise(3, 3, np.uint8))
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    np.testing.assert_array_equal(read(path), noise(3, 3, np.uint8))


@pytest.mark.skipif(os.name == "nt", reason="links take privileges")
def test_links_are_followed(tmp_path: Path) -> None:
    link, target = tmp_path / "link.png", tmp_path / "folder" / "target.png"
    target.parent.mkdir()
    link.symlink_to("folder/target.png")
    for picture in (noise(3, 3, np.uint8), noise(4, 4, np.uint8)):  # a target that is absent, one that is not
        write(link, picture)
        assert link.is_symlink()
        assert not target.is_symlink()
        np.testing.assert_array_equal(read(target), picture)
    assert list(target.parent.iterdir()) == [target]
    circle = tmp_path / "circle.png"
    circle.symlink_to("circle.png")
    with pytest.raises(OutputError, match=r"cannot write .*circle\.png: "):
        write(circle, noise(3, 3, np.uint8))
    assert sorted(tmp_path.iterdir()) == [circle, target.parent, link]


def test_longest_name(tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 251}.png"
    write(path, noise(3, 3, np.uint8))
    np.testing.assert_array_equal(read(path), noise(3, 3, np.uint8))
    with pytest.raises(OutputError, match="File name too long"):
        write(tmp_path / f"{'a' * 252}.png", noise(3, 3, np.uint8))
    assert list(tmp_path.iterdir()) == [path]


def test_array_writer() -> None:
    picture = noise(10, 4, np.uint16)
    writer = ArrayWriter(4, 10, np.uint16)
    writer.write(picture[:7])
    writer.write(picture[7:])
    np.testing.assert_array_equal(writer.array, picture)
    with pytest.raises(ValueError, match="has 10 rows, got 11"):
        writer.write(picture[:1])
    with pytest.raises(SizeError, match="does not fit into memory; give a file"):
        ArrayWriter((1 << 31) - 1, (1 << 31) - 1)


@pytest.mark.parametrize(
    ("name", "width", "height", "dtype", "words"),
    [
        (
            "a.jpg",
            65501,
            1,
            np.uint8,
            "JPEG ends at 65500 pixels per side.*: PNG, TIFF, Deep Zoom, Zarr, NumPy$",
        ),
        ("a.webp", 1, 16_384, np.uint8, "WebP ends at 16383 .*: PNG, TIFF, JPEG, Deep Zoom, Zarr, NumPy$"),
        ("a.png", 1, 100_000_001, np.uint8, "PNG ends at 100000000 .*: Deep Zoom, Zarr, NumPy$"),
        ("a.dzi", 1, 1 << 31, np.uint8, "Deep Zoom ends at 2147483647 .*; no other format"),
        ("a.npy", 1, 1 << 31, np.uint8, "NumPy ends at 2147483647 .*; no other format"),
        ("a.jpg", 1, 1, np.uint16, "JPEG holds 8 bits per channel.*: PNG, TIFF, Zarr, NumPy$"),
        ("a.dzi", 1, 1, np.uint16, "Deep Zoom holds 8 bits"),
        ("a.webp", 20_000, 1, np.uint16, "WebP ends at .*: PNG, TIFF, Zarr, NumPy$"),
        (
            "a.gif",
            1,
            1,
            np.uint8,
            r"none of \.png, \.tif, \.tiff, \.jpg, \.jpeg, \.webp, \.dzi, \.zarr, \.npy",
        ),
        ("absent/a.png", 1, 1, np.uint8, "No such file or directory"),
        ("absent/a.dzi", 1, 1, np.uint8, "No such file or directory"),
        (".", 1, 1, np.uint8, "suffix"),
    ],
)
def test_refused_before_anything_is_done(
    tmp_path: Path, name: str, width: int, height: int, dtype: type, words: str
) -> None:
    with pytest.raises(OutputError, match=words), open_writer(tmp_path / name, width, height, dtype=dtype):
        pytest.fail("the block ran")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", "a.dzi"])
def test_refuses_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match="it is a folder"), open_writer(tmp_path / name, 1, 1):
        pytest.fail("the block ran")


@pytest.mark.parametrize(("suffix", "folder"), [(".dzi", "a_files"), (ZARR.values[0], "a.zarr")])
def test_refuses_to_replace_other_folders(tmp_path: Path, suffix: str, folder: str) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    other = tmp_path / folder / "style.css"
    other.parent.mkdir()
    other.touch()
    message = f"the folder {folder} holds something else"
    with pytest.raises(OutputError, match=message), open_writer(tmp_path / f"a{suffix}", 1, 1):
        pytest.fail("the block ran")
    assert list(tmp_path.iterdir()) == [other.parent]
    other.unlink()
    write(tmp_path / f"a{suffix}", noise(1, 1, np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".dzi", ".zarr", ".npy"])
def test_pyramid_is_an_option_of_tiff(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(OutputError, match="option of TIFF"), open_writer(path, 1, 1, pyramid=True):
        pytest.fail("the block ran")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": np.float32}, "uint8 or uint16, not as float32"),
        ({"quality": 0}, "quality from 1 to 100, got 0"),
        ({"quality": 101}, "got 101"),
        ({"dpi": 0}, "1 to 65535 dpi, got 0"),
        ({"dpi": float("nan")}, "got nan"),
        ({"width": 0}, "at least 1 x 1, got 0 x 1"),
    ],
)
def test_arguments_that_no_format_takes(tmp_path: Path, options: dict[str, object], words: str) -> None:
    arguments = {"width": 1, "height": 1, **options}
    with pytest.raises(ValueError, match=words), open_writer(tmp_path / "a.png", **arguments):
        pytest.fail("the block ran")


def test_library_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numcodecs.zstd", None)
    words = r'a\.zarr: Zarr is not installed: pip install "ourgan-sdk\[zarr\]"'
    with pytest.raises(OutputError, match=words), open_writer(tmp_path / "a.zarr", 1, 1):
        pytest.fail("the block ran")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"), open_writer(tmp_path / "a.png", 1, 1):
        pytest.fail("the block ran")


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("rows", [0, 40, 120])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_left_after_a_failure(
    tmp_path: Path, suffix: str, rows: int, failure: type[BaseException]
) -> None:
    path = tmp_path / f"picture{suffix}"
    picture = noise(120, 50, np.uint8)

    def fail() -> None:
        with open_writer(path, 50, 120) as writer:
            for y in range(0, rows, 20):
                writer.write(picture[y : y + 20])
            raise failure

    with pytest.raises(failure):
        fail()
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if "encoder" in thread.name]


def test_bands_that_do_not_fit(tmp_path: Path) -> None:
    path, picture = tmp_path / "picture.png", noise(10, 5, np.uint8)
    with pytest.raises(ValueError, match="expected 11 rows, got 10"), open_writer(path, 5, 11) as writer:
        writer.write(picture)
    with pytest.raises(ValueError, match="the picture has 9 rows, got 10"), open_writer(path, 5, 9) as writer:
        writer.write(picture)
    with pytest.raises(ValueError, match=r"a band of \(h, 6, 3\) uint8"), open_writer(path, 6, 10) as writer:
        writer.write(picture)
    with pytest.raises(ValueError, match=r"uint8, got .* uint16"), open_writer(path, 5, 10) as writer:
        writer.write(picture.astype(np.uint16))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk takes Linux and root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk(small_disk: Path, suffix: str) -> None:
    picture = noise(2000, 2000, np.uint8)
    with pytest.raises(OutputError, match=f"picture{suffix}: {os.strerror(errno.ENOSPC)}$"):
        write(small_disk / f"picture{suffix}", picture)
    assert list(small_disk.iterdir()) == []


def test_writing_waits_for_the_encoder(tmp_path: Path) -> None:
    """A writer that took everything at once would hold the whole picture."""
    bands, may_encode, written = 5, threading.Event(), []

    def encode(bands: Iterator[np.ndarray], _output: Path, _properties: Properties) -> None:
        may_encode.wait()
        for _ in bands:
            pass

    properties = Properties(4, bands, np.dtype(np.uint8), 95, False, None, "")
    writer = EncodingWriter(tmp_path / "a.png", properties, encode, tmp_path / "b")
    writer.start()

    def write_all() -> None:
        for i in range(bands):
            writer.write(noise(1, 4, np.uint8))
            written.append(i)

    thread = threading.Thread(target=write_all)
    thread.start()
    thread.join(0.3)
    assert len(written) == 1
    may_encode.set()
    thread.join()
    writer.finish()
    writer.stop()
    assert len(written) == bands


@pytest.mark.parametrize("name", USUAL)
def test_compression_costs_little(name: str, tmp_path: Path) -> None:
    quality, share, usual = USUAL[name]
    random = np.random.default_rng(1)
    steps = random.normal(0, 0.5, (1000, 1500, 3))
    picture = np.clip(128 + np.cumsum(steps, axis=1) + steps, 0, 255).astype(np.uint8)
    image = pyvips.Image.new_from_array(picture)
    ours, theirs = tmp_path / f"ours-{name}", tmp_path / f"theirs-{name}"
    seconds = processor_seconds(lambda: write(ours, picture, quality=quality))
    assert seconds < share * processor_seconds(lambda: image.write_to_file(str(theirs), **usual))


def processor_seconds(work: Callable[[], object]) -> float:
    """Of all threads, at best."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)
