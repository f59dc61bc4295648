"""`ourgan convert`: OME-Zarr into other formats as if saved in them, and whatever else a folder may hold."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Synthesizer, ZarrError, ome_zarr, open_writer
from ourgan_sdk.cli import main
from ourgan_sdk.ome_zarr import open_zarr
from tests.writers.test_writers import contents, halved, names_of, noise

zarr = pytest.importorskip("zarr")

DESCRIPTION = json.dumps({"software": "ourgan_sdk", "seed": 7})


def write(path: Path, picture: np.ndarray, **options: object) -> Path:
    height, width, _ = picture.shape
    with open_writer(path, width, height, dtype=picture.dtype, description=DESCRIPTION, **options) as writer:
        writer.write(picture)
    return path


def convert(source: Path, output: Path, *options: str) -> int:
    return main(["convert", str(source), "-o", str(output), *options])


def files(path: Path) -> list[dict[str, bytes]]:
    return [contents(one) for one in names_of(path)]


@pytest.mark.parametrize("dpi", [None, 300, 49])
@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        *((suffix, np.uint8) for suffix in (".png", ".tif", ".npy", ".zarr", ".jpg", ".webp", ".dzi")),
        *((suffix, np.uint16) for suffix in (".png", ".tif", ".npy", ".zarr")),
    ],
)
def test_converting_is_saving(tmp_path: Path, suffix: str, dtype: type, dpi: int | None) -> None:
    picture = noise(530, 700, dtype)
    source = write(tmp_path / "a.zarr", picture, dpi=dpi)
    (tmp_path / "saved").mkdir()
    (tmp_path / "converted").mkdir()
    expected = write(tmp_path / "saved" / f"b{suffix}", picture, dpi=None if dpi is None else float(dpi))
    path = tmp_path / "converted" / f"b{suffix}"
    assert convert(source, path) == 0
    assert files(path) == files(expected)


def test_a_canvas_converted_is_the_canvas_saved(photograph_path: Path, tmp_path: Path) -> None:
    canvas = Synthesizer(photograph_path).canvas(1000, 640, 3)
    canvas.save(tmp_path / "a.zarr", dpi=72.5)
    for name in ("a.png", "a.tif"):
        canvas.save(tmp_path / f"saved-{name}", dpi=72.5)
        assert convert(tmp_path / "a.zarr", tmp_path / name) == 0
        assert (tmp_path / name).read_bytes() == (tmp_path / f"saved-{name}").read_bytes()


def test_options_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = np.linspace(0, 255, 530 * 700 * 3).reshape(530, 700, 3).astype(np.uint8)
    source = write(tmp_path / "a.zarr", picture, dpi=300)
    for name, options in {
        "a.jpg": {"quality": 30},
        "a.tif": {"pyramid": True},
        "b.tif": {"dpi": 96.0},
    }.items():
        words = [f"--{key}" if value is True else f"--{key}={value}" for key, value in options.items()]
        assert convert(source, tmp_path / name, *words) == 0
        expected = write(tmp_path / f"saved-{name}", picture, **{"dpi": 300, **options})
        assert (tmp_path / name).read_bytes() == expected.read_bytes()
    output, errors = capsys.readouterr()
    assert output.startswith(f"{tmp_path / 'a.jpg'}: 700 x 530, in ")
    assert "convert" in errors
    assert "100%" in errors


def test_coarser_levels(tmp_path: Path) -> None:
    picture = noise(1030, 700, np.uint8)
    source = write(tmp_path / "a.zarr", picture, dpi=300)
    for level in range(3):
        assert convert(source, tmp_path / "a.png", "--level", str(level)) == 0
        with Image.open(tmp_path / "a.png") as image:
            np.testing.assert_array_equal(np.asarray(image), picture)
            assert image.info["dpi"] == pytest.approx((300 / 2**level,) * 2, abs=0.1)
        picture = halved(np.pad(picture, [(0, side % 2) for side in picture.shape[:2]] + [(0, 0)], "edge"))
    assert convert(source, tmp_path / "b.png", "--level", "3") == 1
    assert not (tmp_path / "b.png").exists()


def foreign(path: Path, planes: np.ndarray, **options: object) -> Path:
    """What another program has written: no inches, no description, another level's name, other chunks."""
    group = zarr.create_group(path)
    axes = [{"name": name, "type": "space"} for name in "cyx"]
    datasets = [
        {"path": "deep/full", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5, 0.5]}]}
    ]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group.create_array("deep/full", data=planes, **options)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (1, 7, 9)},
        {"chunks": (3, 64, 48)},
        {"chunks": (2, 1, 48), "compressors": None},
        {"chunks": (1, 16, 16), "shards": (3, 32, 48)},
    ],
)
@pytest.mark.parametrize("dtype", ["<u1", "<u2", ">u2"])
def test_chunks_of_any_shape(tmp_path: Path, options: dict[str, object], dtype: str) -> None:
    planes = noise(64, 48, np.dtype(dtype).newbyteorder("=").type).transpose(2, 0, 1)
    source = foreign(tmp_path / "a.zarr", planes.astype(dtype), **options)
    assert convert(source, tmp_path / "a.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), planes.transpose(1, 2, 0))
    assert (open_zarr(source).dpi, open_zarr(source).description) == (None, "")


def test_missing_chunks_are_what_the_file_says_of_them(tmp_path: Path) -> None:
    planes = noise(64, 48, np.uint8).transpose(2, 0, 1)
    source = foreign(tmp_path / "a.zarr", planes, chunks=(3, 16, 48), fill_value=9)
    (source / "deep" / "full" / "c" / "0" / "2" / "0").unlink()
    assert convert(source, tmp_path / "a.npy") == 0
    expected = planes.transpose(1, 2, 0).copy()
    expected[32:48] = 9
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)


def change(file: str, edit: Callable[[dict], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        content = json.loads((path / file).read_text())
        edit(content)
        (path / file).write_text(json.dumps(content))

    return damage


def multiscale(content: dict) -> dict:
    return content["attributes"]["ome"]["multiscales"][0]


def damage_shard(path: Path) -> None:
    """One bit of compressed pixels."""
    shard = path / "0" / "c" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)


def damage_pixels(path: Path) -> None:
    """One bit of a chunk of noise, which Zstandard stores as it is: it decompresses as well as before."""
    (shard,) = (path / "0" / "c").rglob("0/0/0")
    content = bytearray(shard.read_bytes())
    content[100_000] ^= 1
    shard.write_bytes(content)


def damage_index(path: Path) -> None:
    shard = path / "0" / "c" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[-9] ^= 64
    shard.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path / "0" / "c" / "0" / "0" / "0", 100)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shutil.rmtree, "a folder with a zarr.json, which is not there"),
        (lambda path: (path / "zarr.json").unlink(), "a folder with a zarr.json"),
        (lambda path: (path / "zarr.json").write_text("{"), "damaged"),
        (lambda path: (path / "zarr.json").write_bytes(b"\xff"), "damaged"),
        (change("zarr.json", lambda content: content.update(node_type="array")), "damaged"),
        (change("zarr.json", lambda content: content.update(attributes={})), "no OME-Zarr 0.5"),
        (change("zarr.json", lambda content: content["attributes"].update(ome=[3])), "no OME-Zarr 0.5"),
        (change("zarr.json", lambda content: multiscale(content).update(datasets=3)), "no OME-Zarr 0.5"),
        (change("zarr.json", lambda content: multiscale(content).update(datasets=[])), "has 0 levels"),
        (change("zarr.json", lambda content: multiscale(content).update(datasets=[3])), "does not say where"),
        (change("zarr.json", lambda content: multiscale(content)["axes"].pop()), "axes c, y, x, got c, y"),
        (change("zarr.json", lambda content: multiscale(content)["axes"].reverse()), "got x, y, c"),
        (change("zarr.json", lambda content: multiscale(content)["datasets"][0].update(path="5")), "damaged"),
        (change("zarr.json", lambda c: multiscale(c)["datasets"][0].update(path="../../x")), "damaged"),
        (change("zarr.json", lambda content: multiscale(content)["datasets"][0].update(path="")), "no array"),
        (change("0/zarr.json", lambda content: content.update(shape=[4, 530, 700])), r"got \(4, 530, 700\)"),
        (change("0/zarr.json", lambda content: content.update(shape=[3, 0, 700])), "sides from 1"),
        (change("0/zarr.json", lambda content: content.update(shape=[3, 1 << 60, 700])), "sides from 1 to"),
        (change("0/zarr.json", lambda content: content.update(data_type="float32")), "float32"),
        (change("0/zarr.json", lambda content: content.update(data_type="uint64")), "uint64"),
        (change("0/zarr.json", lambda content: content.update(codecs=[])), "damaged"),
        (
            change(
                "0/zarr.json",
                lambda content: content.update(
                    codecs=[{"name": "bytes"}],
                    chunk_grid={"name": "regular", "configuration": {"chunk_shape": [3, 1 << 20, 1 << 20]}},
                ),
            ),
            "more than 536870912: store it in smaller ones",
        ),
        (damage_shard, "damaged"),
        (damage_pixels, "damaged"),
        (damage_index, "damaged"),
        (cut, "damaged"),
    ],
)
def test_what_is_no_picture(
    tmp_path: Path, damage: Callable[[Path], object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "a.zarr", noise(530, 700, np.uint8))
    damage(source)
    output = tmp_path / "a.png"
    output.write_bytes(b"older")
    assert convert(source, output) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"ourgan: error: cannot read {source}: ")
    with pytest.raises(ZarrError, match=words):
        list(open_zarr(source).bands())
    assert output.read_bytes() == b"older"
    assert {path.name for path in tmp_path.iterdir()} - {"a.zarr"} == {"a.png"}


def test_sizes_that_nobody_can_write_are_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All chunks of such pictures may be missing, which is allowed."""
    source = write(tmp_path / "a.zarr", noise(5, 7, np.uint8))
    change("0/zarr.json", lambda content: content.update(shape=[3, 2, (1 << 31) - 1]))(source)
    for name, words in {
        "a.png": "PNG ends at",
        "a.jpg": "JPEG ends at",
        "a.x": "its suffix is none of",
    }.items():
        assert convert(source, tmp_path / name) == 1
        assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_output_that_is_the_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "a.zarr", noise(5, 7, np.uint8))
    assert convert(source, source) == 1
    assert "it is what the output is made from" in capsys.readouterr().err


def test_output_inside_of_the_source_and_around_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is replaced would take along the source that lies in it."""
    outer = write(tmp_path / "outer.zarr", noise(5, 7, np.uint8))
    source = write(outer / "inner.zarr", noise(9, 7, np.uint8))
    (tmp_path / "link").symlink_to(source / "0")
    before = {path: path.read_bytes() for path in outer.rglob("*") if path.is_file()}
    monkeypatch.chdir(source)
    for output, words in {
        source / "x.png": "it is inside of what the output is made from",
        source / "0" / "c" / "x.png": "it is inside of what",
        tmp_path / "link" / "x.png": "it is inside of what",
        Path("x.png"): "it is inside of what",
        outer: "what the output is made from is inside of it",
    }.items():
        assert convert(source, output) == 1
        assert f"cannot write {output}: {words}" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in outer.rglob("*") if path.is_file()} == before
    assert convert(source, outer / "x.png") == 0


def test_a_level_in_place_of_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "a.zarr", noise(530, 700, np.uint8))
    assert convert(source / "1", tmp_path / "b.png") == 1
    assert f"{source / '1'}: it is one level: give {source} and --level 1" in capsys.readouterr().err
    shutil.move(source / "1", tmp_path / "alone")
    assert convert(tmp_path / "alone", tmp_path / "b.png") == 1
    assert "alone: it is an array, expected the folder of an OME-Zarr" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("level", ["-1", "x", "32", "1.5"])
def test_levels_that_are_none(tmp_path: Path, level: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        convert(tmp_path / "a.zarr", tmp_path / "a.png", f"--level={level}")
    assert f"expected a level from 0 to 31, got '{level}'" in capsys.readouterr().err


def test_library_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "a.zarr", noise(5, 7, np.uint8))
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ZarrError, match=r'a\.zarr: Zarr is not installed: pip install "ourgan-sdk\[zarr\]"'):
        open_zarr(source)


def test_few_rows_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of 20 rows of chunks takes hardly more memory than one of 4; chunks may be high, too."""
    peaks = []
    for height in (2048, 2048, 10240):
        source = write(tmp_path / f"{height}.zarr", np.full((height, 700, 3), 7, np.uint8))
        tracemalloc.start()
        for band in open_zarr(source).bands():
            assert band.shape[1:] == (700, 3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 512 * 700 * 3
    monkeypatch.setattr(ome_zarr, "_LARGEST_ROW", 700 * 3 * 100)
    bands = list(open_zarr(tmp_path / "2048.zarr").bands())
    assert {len(band) for band in bands} == {100, 48}
    assert sum(map(len, bands)) == 2048
    assert all((band == 7).all() for band in bands)


def test_chunks_are_decompressed_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many lie in a row: each may take half a gibibyte."""
    planes = noise(8, 640, np.uint8).transpose(2, 0, 1)
    options = {"chunks": (3, 8, 32)}, {"chunks": (3, 4, 32), "shards": (3, 8, 320)}
    sources = [foreign(tmp_path / f"{i}.zarr", planes, **one) for i, one in enumerate(options)]
    at_work, most = [0], [0]
    decode = zarr.codecs.ZstdCodec._decode_single

    async def counted(*arguments: object) -> object:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        try:
            return await decode(*arguments)
        finally:
            at_work[0] -= 1

    monkeypatch.setattr(zarr.codecs.ZstdCodec, "_decode_single", counted)
    before = zarr.config.get("async.concurrency")
    for source in sources:
        picture = np.concatenate(list(open_zarr(source).bands()))
        np.testing.assert_array_equal(picture, planes.transpose(1, 2, 0))
    assert most == [1]
    assert zarr.config.get("async.concurrency") == before


def test_bands_of_wide_pictures_are_of_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = noise(100, 70, np.uint16)
    source = open_zarr(write(tmp_path / "a.zarr", picture))
    monkeypatch.setattr(ome_zarr, "_LARGEST_BAND", 70 * 3 * 2 * 30)
    bands = list(source.bands())
    assert [len(band) for band in bands] == [30, 30, 30, 10]
    np.testing.assert_array_equal(np.concatenate(bands), picture)
    monkeypatch.setattr(ome_zarr, "_LARGEST_BAND", 1)
    assert {len(band) for band in source.bands()} == {1}


def test_interrupting_leaves_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "a.zarr", np.tile(noise(512, 1024, np.uint8), (8, 4, 1)))
    output = tmp_path / "a.webp"
    command = [
        sys.executable,
        "-m",
        "ourgan_sdk.cli",
        "convert",
        str(source),
        "-o",
        str(output),
        "--quality",
        "100",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while len(list(tmp_path.iterdir())) == 1 and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    # Zarr's event loop may add that a task of its was left behind.
    assert process.returncode == 130
    assert "ourgan: interrupted" in errors.splitlines()
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == [source]
