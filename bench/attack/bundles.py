"""Damaged bundle files: refused, or rendered as ever.

Bytes that are flipped, cut off or moved, and fields of the ZIP format, must not change a picture. Values of
the manifest may, as another manifest is another bundle: what comes of them must be a picture or an error.
"""

import json
import struct
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ourgan_sdk import Synthesizer

from .counts import Counts, Outcome
from .sandbox import growth_of, serve, try_all
from .tiny import exported_bundle

__all__ = ["attack", "attack_file"]

Generator: TypeAlias = np.random.Generator

LIMIT = 64 << 20
SIZE = (72, 48)
ENGINE = "onnxruntime"

_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 7, 255, 4095, 1 << 30, 1 << 31, 1 << 62, 10**400),
    *(0.5, -1e300, 1e6, "", "x", "structure.onnx", "manifest.json", "../up", "0" * 64, [], {}, [[]]),
)


def attack(count: int, seed: int, folder: Path) -> Counts:
    """Try so many damaged files."""
    return attack_file(count, seed, folder, exported_bundle(folder / "tiny.ourgan"))


def attack_file(count: int, seed: int, folder: Path, path: Path) -> Counts:
    """Try so many damages to the bundle `path`, in a process that may die of one."""
    arguments = [str(seed), str(path.resolve())]
    return try_all("bundles", "bench.attack.bundles", arguments, count, folder)


class Attempts:
    """Tries damages to a bundle, one by one; each is drawn from the seed and its number."""

    def __init__(self, seed: int, path: Path) -> None:
        self._seed = seed
        self._file = path.read_bytes()
        self._expected = _render(path)

    def __call__(self, index: int) -> tuple[Outcome, str]:
        """What comes of damage number `index`, and which it is."""
        generator = np.random.default_rng([self._seed, index])
        kind = _KINDS[int(generator.integers(len(_KINDS)))]
        name = kind.__name__.strip("_")
        path = Path("damaged.ourgan")
        path.write_bytes(kind(self._file, generator))
        pictures: list[Any] = []
        grown, error = growth_of(lambda: pictures.append(_render(path)))
        if grown > 2 * LIMIT:
            return "bloated", f"{name}: {grown >> 20} MiB"
        if error is not None:
            raise error
        is_same = kind is _change_manifest or np.array_equal(pictures[0], self._expected)
        return "harmless" if is_same else "silent", name


def _render(path: Path) -> Any:
    synthesizer = Synthesizer(path, engine=ENGINE, device="cpu", memory_limit=LIMIT, threads=1)
    return synthesizer.render(*SIZE, seed=1)


def _flip(file: bytes, generator: Generator) -> bytes:
    data = bytearray(file)
    for _ in range(int(generator.integers(1, 9))):
        data[generator.integers(len(data))] = generator.integers(256)
    return bytes(data)


def _flip_structure(file: bytes, generator: Generator) -> bytes:
    """In headers, directory and manifest, which are few of the bytes."""
    data, places = bytearray(file), _headers(file)
    for _ in range(int(generator.integers(1, 4))):
        place = places[generator.integers(len(places))] + int(generator.integers(50))
        data[place % len(data)] ^= 1 << int(generator.integers(8))
    return bytes(data)


def _change_field(file: bytes, generator: Generator) -> bytes:
    """Two or four bytes of a header become a number with a meaning."""
    data, places = bytearray(file), _headers(file)
    place = places[generator.integers(len(places))] + int(generator.integers(4, 46))
    numbers = (0, 1, 3, 8, 9, 0x800, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(file), place)
    number = numbers[generator.integers(len(numbers))]
    width = 2 if number <= 0xFFFF and generator.random() < 0.5 else 4
    data[place : place + width] = (number & (256**width - 1)).to_bytes(width, "little")
    return bytes(data)


def _headers(file: bytes) -> list[int]:
    """Where those of the ZIP format begin."""
    found = []
    for signature in (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"):
        place = file.find(signature)
        while place >= 0:
            found.append(place)
            place = file.find(signature, place + 1)
    return found


def _cut_short(file: bytes, generator: Generator) -> bytes:
    return file[: generator.integers(len(file))]


def _cut_out(file: bytes, generator: Generator) -> bytes:
    one, other = sorted(generator.integers(len(file), size=2))
    return file[:one] + file[other:]


def _move(file: bytes, generator: Generator) -> bytes:
    """A piece lies over another place, as after a write of old blocks."""
    data, length = bytearray(file), int(generator.choice([16, 512, 4096]))
    one, other = (int(generator.integers(max(1, len(file) - length))) for _ in range(2))
    data[one : one + length] = file[other : other + length]
    return bytes(data)


def _blank(file: bytes, generator: Generator) -> bytes:
    """Blocks of zeros, as after a crash."""
    data, length = bytearray(file), int(generator.choice([1, 512, 4096]))
    place = int(generator.integers(max(1, len(file) - length)))
    data[place : place + length] = bytes(length)
    return bytes(data)


def _append(file: bytes, generator: Generator) -> bytes:
    more = (file, b"\0", generator.bytes(100), file[-22:])
    return file + more[generator.integers(len(more))]


def _write_anew(file: bytes, generator: Generator) -> bytes:
    """By another program: compressed, with a comment, a member more or less, or in another order."""
    kind, written = generator.integers(6), BytesIO()
    with zipfile.ZipFile(BytesIO(file)) as source, zipfile.ZipFile(written, "w") as target:
        entries = source.infolist()
        if kind == 0:
            generator.shuffle(entries)
        for entry in entries[1 if kind == 1 else 0 :]:
            how = zipfile.ZIP_DEFLATED if kind == 2 else zipfile.ZIP_STORED
            target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry), how)
        if kind == 3:
            target.comment = b"a comment"
        if kind == 4:
            target.writestr("more.bin", b"more")
    return written.getvalue()


def _change_manifest(file: bytes, generator: Generator) -> bytes:
    """A value becomes another, and the checksum that of what there is then."""
    with zipfile.ZipFile(BytesIO(file)) as source:
        manifest = json.loads(source.read("manifest.json"))
        members = {entry.filename: source.read(entry) for entry in source.infolist()}
    places = list(_places(manifest))
    for _ in range(int(generator.integers(1, 3))):
        container, key = places[generator.integers(len(places))]
        value = _VALUES[generator.integers(len(_VALUES))]
        if generator.random() < 0.1 and isinstance(container, dict):
            container.pop(key, None)
        elif generator.random() < 0.1 and isinstance(container, dict):
            container["unknown"] = value
        else:
            container[key] = value
    members["manifest.json"] = json.dumps(manifest).encode()
    written = BytesIO()
    with zipfile.ZipFile(written, "w") as target:
        for name, data in members.items():
            target.writestr(zipfile.ZipInfo(name), data)
    return written.getvalue()


def _places(value: Any) -> Any:
    """Every container in a JSON value with every key of it."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _swap_members(file: bytes, generator: Generator) -> bytes:
    """Two of the directory's entries each lead to the other's bytes."""
    data = bytearray(file)
    places = [place for place in _headers(file) if file[place : place + 4] == b"PK\x01\x02"]
    one, other = (places[generator.integers(len(places))] + 42 for _ in range(2))
    offsets = [struct.unpack_from("<I", data, place) for place in (one, other)]
    struct.pack_into("<I", data, one, *offsets[1])
    struct.pack_into("<I", data, other, *offsets[0])
    return bytes(data)


_KINDS: tuple[Callable[[bytes, Generator], bytes], ...] = (
    _flip,
    _flip_structure,
    _flip_structure,
    _change_field,
    _change_field,
    _cut_short,
    _cut_out,
    _move,
    _blank,
    _append,
    _write_anew,
    _change_manifest,
    _change_manifest,
    _change_manifest,
    _swap_members,
)


def _work(seed: str, path: str) -> None:
    serve(Attempts(int(seed), Path(path)))


if __name__ == "__main__":
    _work(*sys.argv[1:])
