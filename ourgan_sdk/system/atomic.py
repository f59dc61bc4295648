"""Files and folders that appear under their names only when they are whole.

What is written lies in a temporary folder beside its target until it is whole. The folder's name says which
target it is for, and its writer holds a lock on it, which ends with the process however that ends: a folder
that can be locked has lost its writer, and the next writer of the same target removes it.
"""

import atexit
import contextlib
import errno
import hashlib
import logging
import os
import secrets
import shutil
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from ..errors import OutputError
from .forks import in_child
from .streams import occupy_closed_streams
from .threads import call_for_each, keeping_the_process

if sys.platform != "win32":
    import fcntl

__all__ = [
    "absolute",
    "atomic_file",
    "atomic_outputs",
    "check_is_not",
    "check_no_folder",
    "check_replaceable",
    "follow",
    "is_unsupported",
]

_log = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EBADF}
_UNSUPPORTED |= {errno.ENOTTY, errno.EISDIR}
"""How file systems (network shares, containers' mounts) say that they cannot lock, or flush a folder."""

_TRIES = 100


def is_unsupported(error: OSError) -> bool:
    """Whether a file system says that it does not do such a thing, rather than that it failed."""
    return error.errno in _UNSUPPORTED


def absolute(path: str | os.PathLike[str]) -> Path:
    """The output `path`, whatever the working directory becomes; raises OutputError if there is none."""
    with _naming(Path(path)):
        return Path(path).absolute()


def check_is_not(path: Path, source: Path) -> None:
    """Raise OutputError if an output would replace what it is made from, or lie inside of it.

    A folder that replaces another one takes along all that lies in that.
    """
    with contextlib.suppress(OSError):  # one of them is not there
        if path.samefile(source):
            raise OutputError(f"cannot write {path}: it is what the output is made from; give another name")
    output, origin = Path(os.path.realpath(path)), Path(os.path.realpath(source))
    if origin in output.parents:
        raise OutputError(f"cannot write {path}: it is inside of what the output is made from, {source}")
    if output in origin.parents:
        raise OutputError(f"cannot write {path}: what the output is made from is inside of it, {source}")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a name for a new file, which takes the name `path` when the block ends well.

    When the block raises anything, KeyboardInterrupt included, the new file is removed and whatever lay under
    `path` stays as it was. Where `path` is a symbolic link, the file that it leads to is meant. What writers
    of the same file have left that were killed is removed (not on Windows). Raises OutputError, before the
    block runs, if the folder cannot be written to, and after it if the disk did not take the file.
    """
    target = follow(path)
    check_no_folder(path, target)
    with atomic_outputs(path, {"file": target}) as folder:
        yield folder / "file"


@contextlib.contextmanager
def atomic_outputs(path: Path, outputs: dict[str, Path]) -> Iterator[Path]:
    """Yield an empty folder, from which each name in `outputs` moves to its target when the block ends well.

    The outputs, files or folders, are siblings and move together or not at all, in their order; what lay
    under their names is removed then. Otherwise as `atomic_file`; errors name `path`.
    """
    target = next(iter(outputs.values()))
    occupy_closed_streams()
    with keeping_the_process():
        with _naming(path):
            _remove_abandoned(target)
            folder, lock = _make_temporary(target)
        try:
            yield folder
            if folder not in _unfinished:
                raise OutputError(f"cannot write {path}: the process that this one was forked from writes it")
            with _naming(path):
                _flush_to_disk(folder)
                _publish(folder, outputs)
        finally:
            if folder in _unfinished:
                _remove(folder)
                _unfinished.discard(folder)
            _unlock(lock)


_unfinished: set[Path] = set()
"""Temporary folders of this process. What Ctrl-C, between any two steps, leaves of them goes at its end."""

_locks: set[int] = set()
"""Descriptors that hold a lock; a child's would hold it, too, until the last child ends."""


@in_child
def _forget_unfinished() -> None:
    _unfinished.clear()
    for lock in list(_locks):
        _unlock(lock)


@atexit.register
def _remove_unfinished() -> None:
    while _unfinished:
        _remove(_unfinished.pop())


def _remove(folder: Path) -> None:
    """Remove a folder, to which threads of a failed writer may still be adding files."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # of a disk that does not say what there is
            if not folder.exists():
                return
        time.sleep(0.02)


def follow(path: Path) -> Path:
    """What `path` leads to, which need not exist; raises OutputError if nothing can."""
    with _naming(path):
        try:
            target = path.resolve()
            with contextlib.suppress(FileNotFoundError):
                target.stat()  # names that are too long or lead in a circle
        except RuntimeError as error:  # until Python 3.12, for links that lead in a circle
            raise OutputError(f"cannot write {path}: {error}") from error
    return target


def check_no_folder(path: Path, target: Path) -> None:
    """Raise OutputError about `path` if `target` is a folder."""
    with _naming(path):
        is_folder = target.is_dir()
    if is_folder:
        raise OutputError(f"cannot write {path}: it is a folder")


def check_replaceable(path: Path, folder: Path, marks: Collection[str]) -> None:
    """Raise OutputError about `path` unless `folder` is absent, empty, or holds an entry named in `marks`."""
    with _naming(path):
        try:
            names = {entry.name for entry in folder.iterdir()}
        except FileNotFoundError:
            return
    if names and names.isdisjoint(marks):
        raise OutputError(
            f"cannot write {path}: the folder {folder.name} holds something else; "
            "remove it or choose another name"
        )


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn the system's errors into OutputErrors about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _publish(folder: Path, outputs: dict[str, Path]) -> None:
    """Move the outputs out of `folder`, and into it what lay under their names; undo it all if one fails."""
    moves: list[tuple[Path, Path]] = []

    def move(source: Path, destination: Path) -> None:
        moves.append((source, destination))
        source.replace(destination)

    try:
        for name, target in reversed(outputs.items()):
            # A single file replaces another in one step. Of several outputs all old ones go before a new one
            # comes: a process killed in between leaves none rather than two that do not belong together.
            if target.exists() and (target.is_dir() or len(outputs) > 1):
                move(target, folder / f"old {name}")
        for name, target in outputs.items():
            move(folder / name, target)
    except BaseException:
        for source, destination in reversed(moves):
            if not source.exists() and destination.exists():
                destination.replace(source)
        raise


def _temporary_prefix(target: Path) -> str:
    # Not the name itself: that may be as long as names can be.
    return f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"


def _make_temporary(target: Path) -> tuple[Path, int | None]:
    """A new folder beside `target`, and the lock on it."""
    for _ in range(_TRIES):
        folder = target.with_name(f"{_temporary_prefix(target)}{secrets.token_hex(8)}.part")
        _unfinished.add(folder)
        try:
            folder.mkdir()
        except OSError:
            _unfinished.discard(folder)
            raise
        try:
            lock = _lock(folder, wait=True)
        except FileNotFoundError:
            lock = None  # another writer took the folder for abandoned before it could be locked
        except OSError as error:
            if is_unsupported(error):
                _log.info("%s cannot be locked (%s)", folder, error.strerror)
                return folder, None  # nobody can take it for abandoned either
            _remove(folder)
            _unfinished.discard(folder)
            raise
        if folder.exists():
            return folder, lock
        _unfinished.discard(folder)
        _unlock(lock)
    raise FileNotFoundError(errno.ENOENT, "its temporary folders go as soon as they are made")


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary folders of writers of `target` that are no more."""
    for folder in target.parent.glob(f"{_temporary_prefix(target)}*.part"):
        with contextlib.suppress(OSError):
            lock = _lock(folder, wait=False)
            if lock is not None:
                _remove(folder)
                _unlock(lock)


def _lock(folder: Path, *, wait: bool) -> int | None:
    """A descriptor that holds the lock on `folder`; None on Windows, where folders cannot be locked.

    Raises OSError if the lock cannot be had; with `wait`, not because somebody else has it.
    """
    if sys.platform == "win32":
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(descriptor)
        raise
    _locks.add(descriptor)
    return descriptor


def _unlock(lock: int | None) -> None:
    if lock in _locks:
        _locks.discard(lock)
        os.close(lock)


def _flush_to_disk(folder: Path) -> None:
    """Flush everything in `folder`."""
    # Some disks report that they are full only now; and a rename must never outlive the data it names.
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        files += [Path(root, name) for name in names]
        if os.name != "nt":  # where folders cannot be opened
            files += [Path(root, name) for name in folders]
    call_for_each(_flush, files, threads=8)  # file systems commit what is asked for at the same time at once


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_unsupported(error):
            raise
        _log.info("%s cannot be flushed (%s)", path, error.strerror)
    finally:
        os.close(descriptor)
