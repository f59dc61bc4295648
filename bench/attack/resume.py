"""Resume files that are damaged, shuffled, of another picture, or written by nobody in his right mind.

After each fault the same render is asked for again: it makes the right picture, or says what is wrong.
"""

import contextlib
import functools
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ourgan_sdk import Canvas, OurganError, Synthesizer, learn, open_writer, save_bundle
from ourgan_sdk.system import memory

from .counts import Counts, Outcome
from .sandbox import serve_trials, try_all
from .tiny import tiny_bundle

__all__ = ["attack"]

HEAD = struct.Struct("<4sIQQ")  # mark, checksum, rows, memory limit
LIMIT = 2_000_000
SIZES = {"network": (421, 293), "photograph": (120, 1400)}  # (width, height), of several bands each

Line = bytes
Records = list[bytes]
Random = np.random.Generator
Scene = tuple[Path, str]  # where its files lie, and a key of SIZES


def attack(count: int, seed: int, folder: Path) -> Counts:
    """Injects so many faults, drawn from a seed, working in a folder of its own."""
    return try_all("resume", "bench.attack.resume", [f"{seed}"], count, folder, memory=8 << 30)


def trial(seed: int, index: int, folder: Path) -> tuple[Outcome, str]:
    """One fault."""
    random = np.random.default_rng([seed, index])
    kind = list(SIZES)[index % 2]
    is_default = bool(random.integers(2))  # whether the caller leaves the memory limit to the package
    name = list(FAULTS)[index // 2 % len(FAULTS)]
    output = folder / "picture.npy"
    partial = folder / "picture.npy.partial"
    scene = folder.parent, kind
    line, records = left_over(scene, 7)
    partial.write_bytes(FAULTS[name](random, line, records, left_over(scene, 8)))
    what = f"{name}, {kind}, {'default' if is_default else 'given'} limit, fault {index} of seed {seed}"
    try:
        canvas(scene, 7, None if is_default else LIMIT).save(output, resume=True)
    except OurganError:
        left = {path.name for path in folder.iterdir()}
        return ("refused" if left <= {partial.name} else "leftover"), what
    except Exception as error:  # noqa: BLE001 - what must not come out
        return "crashed", f"{what}: {error!r}"
    if [path.name for path in folder.iterdir()] != [output.name]:
        return "leftover", what
    difference = np.abs(np.load(output).astype(int) - expected(scene)).max()
    # Of smaller tiles, as a forged record may ask for, values differ by a level.
    return ("harmless" if difference <= (name == "forged limit") else "silent"), what


def canvas(scene: Scene, seed: int, limit: int | None) -> Canvas:
    """The picture that is attacked, or, of another seed, another one."""
    return synthesizer(scene, limit).canvas(*SIZES[scene[1]], seed)


@functools.cache
def synthesizer(scene: Scene, limit: int | None) -> Synthesizer:
    """Of small networks, or of a photograph; on a machine whose default limit is this one."""
    memory.available_memory = lambda: 4 * LIMIT
    folder, kind = scene
    source = folder / f"{kind}-{os.getpid()}.ourgan"
    if kind == "network":
        tiny_bundle(source)
    else:
        picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
        picture[:100] //= 3
        path = source.with_suffix(".png")
        with open_writer(path, 300, 200) as writer:
            writer.write(picture)
        save_bundle(learn(path), source)
    return Synthesizer(source, engine="onnxruntime", memory_limit=limit, threads=1)


@functools.cache
def expected(scene: Scene) -> np.ndarray[Any, Any]:
    """The right picture."""
    return canvas(scene, 7, LIMIT).read()


@functools.cache
def left_over(scene: Scene, seed: int) -> tuple[Line, Records]:
    """The line and the records of a render that was stopped before its last band."""
    folder, kind = scene
    path = folder / f"{kind}-{seed}-{os.getpid()}.npy"

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        canvas(scene, seed, LIMIT).save(path, resume=True, progress=stop)
    content = path.with_name(f"{path.name}.partial").read_bytes()
    end = content.index(b"\n") + 1
    line, records, width = content[:end], [], SIZES[kind][0]
    while end < len(content):
        rows = HEAD.unpack_from(content, end)[2]
        start, end = end, end + HEAD.size + rows * width * 3
        records.append(content[start:end])
    return line, records


def chained(line: Line, records: Records) -> bytes:
    """A file in which all checksums are right."""
    parts, checksum = [line], zlib.crc32(line)
    for record in records:
        checksum = zlib.crc32(record[8:], checksum)
        parts.append(record[:4] + struct.pack("<I", checksum) + record[8:])
    return b"".join(parts)


def flip(random: Random, data: bytes, count: int) -> bytes:
    """`data` with some bits turned over."""
    changed = bytearray(data)
    for place in random.integers(0, 8 * len(changed), count):
        changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def flips(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Anywhere."""
    return flip(random, line + b"".join(records), int(random.integers(1, 9)))


def flips_of_line(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """In what says which picture it is."""
    return flip(random, line, int(random.integers(1, 4))) + b"".join(records)


def flips_of_head(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """In what stands before a band's pixels."""
    which = random.integers(len(records))
    record = records[which]
    changed = flip(random, record[: HEAD.size], int(random.integers(1, 4))) + record[HEAD.size :]
    return line + b"".join([*records[:which], changed, *records[which + 1 :]])


def cut(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """At any byte."""
    data = line + b"".join(records)
    return data[: random.integers(len(data))]


def reorder(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """The bands."""
    return line + b"".join(records[i] for i in random.permutation(len(records)))


def drop(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Some of the bands."""
    return line + b"".join(record for record in records if random.integers(2))


def double(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Some of the bands."""
    return line + b"".join(record * int(random.integers(1, 4)) for record in records)


def bands_of_another(random: Random, line: Line, records: Records, other: tuple[Line, Records]) -> bytes:
    """In the place of some."""
    pairs = zip(records, other[1], strict=False)
    return line + b"".join(theirs if random.integers(2) else ours for ours, theirs in pairs)


def all_of_another(random: Random, line: Line, _records: Records, other: tuple[Line, Records]) -> bytes:
    """With this picture's line, or with its own."""
    return (line if random.integers(2) else other[0]) + b"".join(other[1])


ODD: list[Any] = [None, True, 0, -1, 2**63, 10**400, 1e308, "", "a" * 10_000, [], {}, [[]] * 50, "\ud800"]


def odd_lines(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Well-formed, with other values, and more of them, or fewer."""
    said = json.loads(line)
    for _ in range(random.integers(1, 4)):
        name = list(said)[random.integers(len(said))] if said else "a"
        if random.integers(3):
            said[name] = ODD[random.integers(len(ODD))]
        else:
            said.pop(name, None)
    return json.dumps(said).encode() + b"\n" + b"".join(records)


def lines_of_nobody(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Deep, endless, of other types, no text, without an end."""
    deep = int(random.integers(10, 300_000))
    made = [
        b"[" * deep + b"\n",
        b'{"a":' * deep + b"1" + b"}" * deep + b"\n",
        line[:-2] + b', "memory_limit": ' + b"9" * deep + b"}\n",
        random.bytes(int(random.integers(1, 5000))),
        b"\n",
        line[:-1],
        b"null\n",
        b"[1, 2]\n",
        line.replace(b'"', b"'"),
        line.decode().encode("utf-16"),
        b"\0" * deep,
    ]
    return made[random.integers(len(made))] + b"".join(records)


def forged_heads(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Rows and limits without sense, under checksums that are right."""
    forged = list(records)
    which = random.integers(len(forged))
    _, _, rows, limit = HEAD.unpack_from(forged[which])
    odd = [0, 1, rows + 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1]
    if random.integers(2):
        rows = odd[random.integers(len(odd))]
    else:
        limit = [0, limit + 1, 2**62, 2**62 + 1, 2**63, 2**64 - 1][random.integers(6)]
    forged[which] = HEAD.pack(b"band", 0, rows, limit) + forged[which][HEAD.size :]
    return chained(line, forged)


def forged_limit(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Less than there was, under checksums that are right: so it may be after memory ran out."""
    last = records[-1]
    _, _, rows, limit = HEAD.unpack_from(last)
    lower = [1, 1000, limit // 4, limit // 2, limit - 1][random.integers(5)]
    return chained(line, [*records[:-1], HEAD.pack(b"band", 0, rows, lower) + last[HEAD.size :]])


def garbage(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Behind, between, or in place of something; noise, or zeros, as a disk leaves them."""
    data = bytearray(line + b"".join(records))
    size = int(random.integers(1, 20_000))
    noise = random.bytes(size) if random.integers(2) else bytes(size)
    place = [len(data), int(random.integers(len(line), len(data)))][random.integers(2)]
    data[place : place + (size if random.integers(2) else 0)] = noise
    return bytes(data)


def splice(random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Bytes taken out somewhere."""
    data = line + b"".join(records)
    start = int(random.integers(len(data)))
    return data[:start] + data[start + int(random.integers(1, 5000)) :]


def first_format(_random: Random, line: Line, records: Records, _other: Any) -> bytes:
    """Files of the version before: a checksum of each band alone, and no number of the format."""
    said = json.loads(line)
    del said["format"], said["memory_limit"]
    old = [record[:4] + struct.pack("<I", zlib.crc32(record[8:])) + record[8:] for record in records]
    return json.dumps(said).encode() + b"\n" + b"".join(old)


FAULTS: dict[str, Callable[[Random, Line, Records, Any], bytes]] = {
    one.__name__.replace("_", " "): one
    for one in (
        *(flips, flips_of_line, flips_of_head, cut, reorder, drop, double, bands_of_another, all_of_another),
        *(odd_lines, lines_of_nobody, forged_heads, forged_limit, garbage, splice, first_format),
    )
}

if __name__ == "__main__":
    serve_trials(functools.partial(trial, int(sys.argv[1])))
