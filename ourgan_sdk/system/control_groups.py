"""The control groups that this process is in: how containers and systemd's slices are given their limits."""

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

__all__ = ["groups", "processors_of_groups", "room_in_groups"]

_PROC = Path("/proc/self")


class _Mount(NamedTuple):
    """Where a hierarchy is mounted: the group that its folder shows, and that folder."""

    root: PurePosixPath
    folder: Path


def groups(controller: str) -> Iterator[Path]:
    """Folders of the groups that limit `controller` ("memory", "cpu"), from the process's own up to the root.

    Of version 1, version 2, or both; some may not exist. A container may see its own group alone, as the root
    of what is mounted, whatever its path is called outside.
    """
    for controllers, path in _memberships():
        is_second = not controllers
        if not is_second and controller not in controllers:
            continue
        mounts = list(_mounts("cgroup2" if is_second else "cgroup", "" if is_second else controller))
        within = [mount for mount in mounts if path.is_relative_to(mount.root) and ".." not in path.parts]
        for mount in within:
            parts = path.relative_to(mount.root).parts
            for length in range(len(parts), -1, -1):
                yield mount.folder.joinpath(*parts[:length])
        if not within:
            yield from (mount.folder for mount in mounts)


def room_in_groups() -> int | None:
    """Bytes that the tightest of the groups still has to give; None where there is no limit."""
    return min((room for folder in groups("memory") for room in _rooms(folder)), default=None)


def processors_of_groups() -> int | None:
    """How many processors' time the tightest of the groups has, rounded up; None where there is no limit."""
    return min((math.ceil(share) for folder in groups("cpu") for share in _shares(folder)), default=None)


def _memberships() -> Iterator[tuple[list[str], PurePosixPath]]:
    """(controllers, path) of the groups; no controllers: version 2."""
    for line in _lines("cgroup"):
        with contextlib.suppress(ValueError):
            _, controllers, path = line.split(":", 2)
            yield [name for name in controllers.split(",") if name], PurePosixPath(path)


def _mounts(kind: str, controller: str) -> Iterator[_Mount]:
    """The mounted hierarchies of a kind, those that have the controller."""
    for line in _lines("mountinfo"):
        where, _, what = line.partition(" - ")
        fields, options = where.split(" "), what.split(" ")
        if len(fields) > 4 and len(options) > 2 and options[0] == kind:
            if controller and controller not in options[2].split(","):
                continue
            yield _Mount(PurePosixPath(_plain(fields[3])), Path(_plain(fields[4])))


def _lines(name: str) -> list[str]:
    try:
        return os.fsdecode((_PROC / name).read_bytes()).splitlines()
    except OSError:  # not Linux
        return []


def _plain(text: str) -> str:
    """A path of mountinfo, in which blanks are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _rooms(folder: Path) -> Iterator[int]:
    """What a group's limits, and the one from which on it is slowed down, leave of memory."""
    for limits, usage, cached in (
        (("memory.max", "memory.high"), "memory.current", "inactive_file"),
        (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for limit in limits:
            with contextlib.suppress(OSError, ValueError):  # there is no such file, or its limit is "max"
                allowed, used = int(_read(folder / limit)), int(_read(folder / usage))
                # Files that were read count as used, and go as soon as anybody needs the memory.
                found = re.search(rf"^{cached} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
                yield max(0, allowed - used + (int(found[1]) if found else 0))


def _shares(folder: Path) -> Iterator[float]:
    """How many processors' time a group may take."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = _read(folder / "cpu.max").split()
        yield int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if int(quota) > 0:  # -1: no limit
            yield int(quota) / int(period)


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace").strip()
