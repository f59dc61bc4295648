"""Files and arrays hold exactly the pixels that were written, or do not exist."""

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from ourgan_sdk import OutputError, SizeError, open_writer
from ourgan_sdk.writers import ArrayWriter, _FileWriter

SHAPES = [(1, 1), (300, 200), (64, 1), (65, 3), (1, 500), (129, 40)]


def noise(height: int, width: int, dtype: type) -> np.ndarray:
    random = np.random.default_rng(height * width)
    return random.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


def write(path: Path, picture: np.ndarray, band: int = 37, **options: object) -> None:
    height, width, _ = picture.shape
    with open_writer(path, width, height, dtype=picture.dtype, **options) as writer:
        for y in range(0, height, band):
            writer.write(picture[y : y + band])


def read(path: Path) -> np.ndarray:
    """The pixels in a file, by a reader other than libvips, except for 16-bit PNG, which Pillow halves."""
    if path.suffix == ".tif":
        return tifffile.imread(path)
    with Image.open(path) as image:
        if path.suffix == ".jpg" or image.tile[0].args != "RGB;16B":
            return np.asarray(image)
    return pyvips.Image.new_from_file(str(path), revalidate=True).numpy()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_lossless_files(tmp_path: Path, shape: tuple[int, int], dtype: type, suffix: str) -> None:
    picture, path = noise(*shape, dtype), tmp_path / f"picture{suffix}"
    write(path, picture)
    result = read(path)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, picture)
    assert list(tmp_path.iterdir()) == [path]


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


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 200 * 300 * 3).reshape(200, 300, 3).astype(np.uint8)
    fine, coarse = tmp_path / "fine.jpg", tmp_path / "coarse.JPEG"
    write(fine, smooth)
    write(coarse, smooth, quality=10)
    assert np.abs(read(fine).astype(int) - smooth).max() <= 4
    assert coarse.stat().st_size < fine.stat().st_size


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_metadata(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write(path, noise(20, 30, np.uint8), description="seed 7, größe")
    with Image.open(path) as image:
        texts = [image.info.get("Description"), image.getexif().get(270)]
        assert image.info["icc_profile"]
    assert any("seed 7" in str(text) for text in texts)


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
        ("a.jpg", 65501, 1, np.uint8, "JPEG ends at 65500 pixels per side.* PNG and TIFF can hold it"),
        ("a.png", 1, 100_000_001, np.uint8, "PNG ends at 100000000 .* so does every other"),
        ("a.jpg", 1, 1, np.uint16, "JPEG holds 8 bits per channel; PNG and TIFF hold 16"),
        ("a.gif", 1, 1, np.uint8, r"none of \.png, \.tif, \.tiff, \.jpg, \.jpeg"),
        ("absent/a.png", 1, 1, np.uint8, "No such file or directory"),
        (".", 1, 1, np.uint8, "suffix"),
    ],
)
def test_refused_before_anything_is_done(
    tmp_path: Path, name: str, width: int, height: int, dtype: type, words: str
) -> None:
    with pytest.raises(OutputError, match=words), open_writer(tmp_path / name, width, height, dtype=dtype):
        pytest.fail("the block ran")
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_folder_and_other_types(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match="it is a folder"), open_writer(tmp_path / "a.png", 1, 1):
        pytest.fail("the block ran")
    with (
        pytest.raises(ValueError, match="uint8 or uint16, not as float32"),
        open_writer(tmp_path / "b.png", 1, 1, dtype=np.float32),
    ):
        pytest.fail("the block ran")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"), open_writer(tmp_path / "a.png", 1, 1):
        pytest.fail("the block ran")


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("rows", [0, 40, 120])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
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


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_full_disk(small_disk: Path, suffix: str) -> None:
    picture = noise(2000, 2000, np.uint8)
    with pytest.raises(OutputError, match=f"picture{suffix}: {os.strerror(errno.ENOSPC)}$"):
        write(small_disk / f"picture{suffix}", picture)
    assert list(small_disk.iterdir()) == []


def test_writing_waits_for_the_encoder(tmp_path: Path) -> None:
    """A writer that took everything at once would hold the whole picture."""
    bands, may_encode, written = 5, threading.Event(), []

    def encode(next_band: Callable[[], np.ndarray | None]) -> None:
        may_encode.wait()
        for _ in range(bands):
            next_band()

    writer = _FileWriter(tmp_path / "a.png", (bands, 4, 3), np.dtype(np.uint8), encode)

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
