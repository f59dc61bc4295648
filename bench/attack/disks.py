"""Disks that fail: writes, flushes, folders, renames, removals and locks; disks that fill up, at any byte.

A picture or a bundle is written over an older one, or over nothing. Either it is right, or an error says what
was wrong, the older one is as it was, and nothing temporary is left.
"""

import contextlib
import errno
import fcntl
import functools
import io
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ourgan_sdk import Bundle, Canvas, OurganError, Synthesizer, save_bundle, write_bundle

from .counts import Counts, Outcome
from .sandbox import serve_trials, try_all
from .tiny import tiny_bundle

__all__ = ["attack"]

LIMIT = 2_000_000
SIZE = (421, 293)
OUTPUTS = ("a.png", "a.tif", "a.npy", "a.dzi", "a.zarr", "a.jpg", "a.ourgan")
FAILURES = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE)
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)
OPTIONAL = ("lock", "flush")
"""What file systems may lack."""

Random = np.random.Generator


def attack(count: int, seed: int, folder: Path) -> Counts:
    """Injects so many faults, drawn from a seed, working in a folder of its own."""
    try:
        return try_all("disks", "bench.attack.disks", [f"{seed}"], count, folder, memory=8 << 30)
    finally:
        for place in folder.iterdir():  # of a trial that was ended
            if os.path.ismount(place):
                subprocess.run(["umount", "--lazy", place], check=False)


def trial(seed: int, index: int, folder: Path) -> tuple[Outcome, str]:
    """One fault."""
    random = np.random.default_rng([seed, index])
    name = OUTPUTS[index % len(OUTPUTS)]
    fault, inject = list(FAULTS.items())[index // len(OUTPUTS) % len(FAULTS)]
    resume, replaces = bool(random.integers(2)), bool(random.integers(2))
    number = int(random.choice(FAILURES if fault not in OPTIONAL or random.integers(2) else UNSUPPORTED))
    what = (
        f"{fault} ({errno.errorcode[number]}), {name}, {resume=}, {replaces=}, fault {index} of seed {seed}"
    )
    render(folder.parent)  # what it takes is opened before anything fails
    with contextlib.ExitStack() as stack:
        if fault == "full disk":
            stack.enter_context(small_disk(folder, random))
        output = folder / name
        if replaces:
            with contextlib.suppress(OurganError):  # no room even for that
                write(folder.parent, output, seed=1, resume=False)
        before = contents(folder)
        try:
            with inject(random, number) as removes:
                write(folder.parent, output, seed=7, resume=resume)
        except OurganError:
            return refused(folder, before, removes, optional=number in UNSUPPORTED), what
        except Exception as error:  # noqa: BLE001 - what must not come out
            return "crashed", f"{what}: {error!r}"
        left = {path.partition("/")[0] for path in contents(folder)}
        if removes and left - {name, "a_files"}:
            return "leftover", what
        return ("harmless" if is_right(folder.parent, output) else "silent"), what


def refused(folder: Path, before: dict[str, bytes], removes: bool, optional: bool) -> Outcome:
    """What came of an error: the older output is there, and nothing new but what was finished."""
    after = contents(folder)
    if optional:
        return "crashed"  # that was no failure
    if {name: after.get(name) for name in before} != before:
        return "silent"
    new = {name for name in after if name not in before and not name.endswith(".partial")}
    return "leftover" if new and removes else "refused"


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files below it; folders have none."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if path.name != "lost+found"
    }


def write(shared: Path, output: Path, *, seed: int, resume: bool) -> None:
    """A picture, or for .ourgan a bundle."""
    if output.suffix == ".ourgan":
        source = bundle(shared)
        save_bundle(source, output) if seed == 7 else write_bundle(
            output, source.manifest.model_copy(update={"created_by": "another"}), members(source)
        )
    else:
        canvas(shared, seed).save(output, resume=resume)


def is_right(shared: Path, output: Path) -> bool:
    """Whether it is what a sound disk gets."""
    reference = shared / f"right-{os.getpid()}" / output.name
    if not reference.exists():
        reference.parent.mkdir(exist_ok=True)
        write(shared, reference, seed=7, resume=False)
    if output.suffix not in (".dzi", ".zarr"):
        return output.read_bytes() == reference.read_bytes()
    folder = "a_files" if output.suffix == ".dzi" else "a.zarr"
    ours, theirs = (contents(path.with_name(folder)) for path in (output, reference))
    return ours == theirs


@functools.cache
def bundle(shared: Path) -> Bundle:
    """Of small networks."""
    return tiny_bundle(shared / f"source-{os.getpid()}.ourgan")


def members(source: Bundle) -> dict[str, bytes]:
    """All that it holds."""
    return {name: source.read(name) for name in source.manifest.files}


@functools.cache
def synthesizer(shared: Path) -> Synthesizer:
    """On that bundle."""
    return Synthesizer(bundle(shared), engine="onnxruntime", memory_limit=LIMIT, threads=1)


def canvas(shared: Path, seed: int) -> Canvas:
    """A picture of many bands."""
    return synthesizer(shared).canvas(*SIZE, seed)


@functools.cache
def render(shared: Path) -> None:
    """Open everything."""
    canvas(shared, 7).read()
    for name in OUTPUTS:
        is_right(shared, shared / f"right-{os.getpid()}" / name)


@contextlib.contextmanager
def small_disk(folder: Path, random: Random) -> Iterator[None]:
    """A file system of its own in `folder`, that holds from nothing to about one output."""
    size = int(random.integers(4, 900))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        yield  # not allowed: the limit of `fill` is what fails
        return
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=False, capture_output=True)


class Failing:
    """In the place of a function: fails from call `first` on, `count` times, or for ever."""

    def __init__(self, function: Callable[..., Any], first: int, count: float, number: int) -> None:
        self.function, self.first, self.count, self.number = function, first, count, number
        self.calls = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.first <= self.calls < self.first + self.count:
            raise OSError(self.number, os.strerror(self.number))
        return self.function(*arguments, **options)


def failing(module: Any, *names: str, removes: bool = True) -> Callable[[Random, int], Any]:
    """Makes functions of a module fail, at some call."""

    @contextlib.contextmanager
    def inject(random: Random, number: int) -> Iterator[bool]:
        first = int(random.integers(1, 6))
        count = [1, float("inf")][random.integers(2)]
        with contextlib.ExitStack() as stack:
            for name in names:
                function = getattr(module, name)
                stack.callback(setattr, module, name, function)
                setattr(module, name, Failing(function, first, count, number))
            yield removes

    return inject


@contextlib.contextmanager
def fill(random: Random, _number: int) -> Iterator[bool]:
    """No file may grow beyond some size."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(random.integers(0, 450_000)), hard))
    try:
        yield True
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@contextlib.contextmanager
def full(_random: Random, _number: int) -> Iterator[bool]:
    """It is: see `small_disk`."""
    yield True


@contextlib.contextmanager
def short_writes(random: Random, number: int) -> Iterator[bool]:
    """Unbuffered files take a part of what they are given, and at some time nothing more."""
    left = int(random.integers(0, 500_000))

    class Short(io.FileIO):
        def write(self, data: Any) -> int:
            nonlocal left
            if left <= 0:
                raise OSError(number, os.strerror(number))
            taken = super().write(memoryview(data)[: int(random.integers(1, 60_000))])
            left -= taken
            return taken

    def fdopen(descriptor: int, _mode: str, **_options: Any) -> io.FileIO:
        return Short(descriptor, "r+")

    original = os.fdopen
    os.fdopen = fdopen  # type: ignore[assignment]
    try:
        yield True
    finally:
        os.fdopen = original


FAULTS: dict[str, Callable[[Random, int], Any]] = {
    "file size": fill,
    "full disk": full,
    "lock": failing(fcntl, "flock"),
    "flush": failing(os, "fsync"),
    "mkdir": failing(os, "mkdir"),
    "rename": failing(os, "replace", "rename"),
    "open": failing(os, "open", removes=False),
    "short writes": short_writes,
    "unlink": failing(os, "unlink", "remove", removes=False),
    "rmdir": failing(os, "rmdir", removes=False),
    "stat": failing(os, "stat", "lstat", removes=False),
    "list": failing(os, "scandir", removes=False),
}

if __name__ == "__main__":
    serve_trials(functools.partial(trial, int(sys.argv[1])))
