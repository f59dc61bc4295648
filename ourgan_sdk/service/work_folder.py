"""The folder in which a service's renders lie, until it ends however that may be."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError

if sys.platform != "win32":
    import fcntl

__all__ = ["work_folder"]

_PREFIX = "ourgan-serve-"
_LOCK = "lock"
_ATTEMPTS = 10


@contextlib.contextmanager
def work_folder(parent: Path | None) -> Iterator[Path]:
    """A new folder in `parent`, which nobody else may read, removed at the end with all that is in it.

    What a killed service of the same user has left there is removed as well (not on Windows). Raises
    OutputError if there is no place for it.
    """
    root = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_abandoned(root)
    try:
        made = next(filter(None, (_make(root) for _ in range(_ATTEMPTS))), None)
    except OSError as error:
        raise OutputError(f"cannot keep renders in {root}: {error.strerror or error}") from error
    if made is None:
        raise OutputError(f"cannot keep renders in {root}: its files cannot be locked; give another folder")
    folder, lock = made
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(root: Path) -> tuple[Path, int] | None:
    """A folder and its lock; None if another service has taken it for abandoned before it was locked."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    if sys.platform == "win32" or (_try_lock(lock) and os.fstat(lock).st_nlink):
        return folder, lock
    os.close(lock)
    return None


def _try_lock(descriptor: int) -> bool:
    """Hold it as long as the process lives; whether nobody else does."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_abandoned(root: Path) -> None:
    """Folders of services that no longer run; others', and what is no such folder, stay."""
    with contextlib.suppress(OSError):
        for folder in root.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
                try:
                    if _try_lock(lock):
                        shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(lock)
