"""OME-Zarr in shards: what the `zarr` library reads, what is in a shard, and shards written by region."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import open_writer
from ourgan_sdk.writers import ome_zarr
from ourgan_sdk.writers.base import Properties
from ourgan_sdk.writers.ome_zarr import encoded_shard, halved, write_metadata, zarr_layout

zarr = pytest.importorskip("zarr")

CHUNK, SHARD = 4, 16
"""In place of 512 and 4096: pictures of many shards are small then."""
NOWHERE = (1 << 64) - 1


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ome_zarr, "CHUNK", CHUNK)
    monkeypatch.setattr(ome_zarr, "SHARD", SHARD)
    monkeypatch.setattr(ome_zarr, "_CHUNKS", SHARD // CHUNK)


def noise(height: int, width: int, dtype: type = np.uint8) -> np.ndarray:
    random = np.random.default_rng(height * width)
    return random.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


def write(path: Path, picture: np.ndarray, band: int = 7) -> Path:
    height, width, _ = picture.shape
    with open_writer(path, width, height, dtype=picture.dtype, description="of a test", dpi=300) as writer:
        for y in range(0, height, band):
            writer.write(picture[y : y + band])
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


SIZES = [(1, 1), (4, 4), (16, 16), (17, 1), (3, 33), (50, 71), (64, 32), (5, 16), (31, 129)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", SIZES)
def test_the_library_reads_all_levels(tmp_path: Path, size: tuple[int, int], dtype: type) -> None:
    expected = noise(*size, dtype)
    group = zarr.open_group(write(tmp_path / "a.zarr", expected), mode="r")
    levels = zarr_layout(*size)
    assert sorted(group.array_keys()) == sorted(str(level.index) for level in levels)
    for level in levels:
        array = group[str(level.index)]
        assert (array.chunks, array.shards) == ((3, CHUNK, CHUNK), (3, SHARD, SHARD))
        assert array.shape == (3, level.height, level.width)
        np.testing.assert_array_equal(array[:].transpose(1, 2, 0), expected)
        np.testing.assert_array_equal(array[1, level.height // 2 :, :2], expected[level.height // 2 :, :2, 1])
        expected = halved(expected)
    assert max(levels[-1].height, levels[-1].width) <= CHUNK


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", SIZES)
def test_shards_written_by_region_are_those_of_the_stream(
    tmp_path: Path, size: tuple[int, int], dtype: type
) -> None:
    """In any order, with nothing known but a shard's own pixels."""
    picture, folder = noise(*size, dtype), tmp_path / "regions.zarr"
    properties = Properties(size[1], size[0], np.dtype(dtype), 95, False, 300, "of a test")
    write_metadata(folder, properties)
    pixels = picture
    for level in zarr_layout(*size):
        rows, columns = level.shards
        for row, column in reversed([(y, x) for y in range(rows) for x in range(columns)]):
            y, x = row * SHARD, column * SHARD
            file = folder / level.file(row, column)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded_shard(pixels[y : y + SHARD, x : x + SHARD]))
        pixels = halved(pixels)
    assert files(folder) == files(write(tmp_path / "streamed.zarr", picture))


def test_what_is_in_a_shard(tmp_path: Path) -> None:
    """Compressed chunks row by row without gaps, then where each begins and its length, then a checksum.

    So Zarr's specification of sharding has it; chunks beyond the border have all bits set for both numbers.
    """
    path = write(tmp_path / "a.zarr", noise(22, 39))
    assert sorted(file.name for file in (path / "0" / "c" / "0" / "1").iterdir()) == ["0", "1", "2"]
    codecs = json.loads((path / "0" / "zarr.json").read_text())["codecs"]
    assert [codec["name"] for codec in codecs] == ["sharding_indexed"]
    assert [codec["name"] for codec in codecs[0]["configuration"]["index_codecs"]] == ["bytes", "crc32c"]
    shard = (path / "0" / "c" / "0" / "1" / "2").read_bytes()  # 6 x 7 pixels: of chunks 2 x 2
    (checksum,) = struct.unpack("<I", shard[-4:])
    assert checksum == crc32c(shard[-4 - 256 : -4])
    index = np.frombuffer(shard[-4 - 256 : -4], "<u8").reshape(4, 4, 2)
    ends = 0
    for row in range(4):
        for column in range(4):
            start, size = (int(number) for number in index[row, column])
            if row < 2 and column < 2:
                assert (start, size > 0) == (ends, True)
                ends += size
            else:
                assert (start, size) == (NOWHERE, NOWHERE)
    assert ends == len(shard) - 4 - 256


def test_a_damaged_chunk_is_noticed_by_the_library(tmp_path: Path) -> None:
    """Any bit of it: Zstandard's frames have a checksum, and the metadata say so."""
    path = write(tmp_path / "a.zarr", noise(4, 4))
    (sharding,) = json.loads((path / "0" / "zarr.json").read_text())["codecs"]
    zstd = sharding["configuration"]["codecs"][1]
    assert zstd == {"name": "zstd", "configuration": {"level": 0, "checksum": True}}
    shard = path / "0" / "c" / "0" / "0" / "0"
    content = shard.read_bytes()
    for place in range(len(content) - 4 - 256):
        changed = bytearray(content)
        changed[place] ^= 1
        shard.write_bytes(changed)
        with pytest.raises(RuntimeError):
            zarr.open_array(path / "0", mode="r")[:]
    shard.write_bytes(content)
    assert zarr.open_array(path / "0", mode="r")[:].shape == (3, 4, 4)


def crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_a_shard_of_the_librarys_own_holds_the_same_pixels(tmp_path: Path) -> None:
    """Written by `zarr` with the metadata that are written here."""
    picture = noise(22, 39)
    write_metadata(tmp_path / "a.zarr", Properties(39, 22, np.dtype(np.uint8), 95, False, None, ""))
    array = zarr.open_group(tmp_path / "a.zarr", mode="r+")["0"]
    array[:] = picture.transpose(2, 0, 1)
    ours = zarr.open_group(write(tmp_path / "b.zarr", picture), mode="r")["0"]
    np.testing.assert_array_equal(ours[:], array[:])


@pytest.mark.parametrize(("height", "width", "count"), [(1, 1, 1), (512, 513, 2), (8192, 16384, 6)])
def test_layouts(monkeypatch: pytest.MonkeyPatch, height: int, width: int, count: int) -> None:
    monkeypatch.undo()
    levels = zarr_layout(height, width)
    assert len(levels) == count
    assert levels[0].shards == (-(-height // 4096), -(-width // 4096))
    assert [level.file(1, 2) for level in levels] == [f"{index}/c/0/1/2" for index in range(count)]
