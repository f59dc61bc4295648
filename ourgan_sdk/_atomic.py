"""Files that appear under their name only when they are whole."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from .errors import OutputError

__all__ = ["atomic_file"]


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the name of an empty file beside `path`, which takes the name `path` when the block ends well.

    When the block raises anything, KeyboardInterrupt included, the temporary file is removed and whatever
    lay under `path` stays as it was. Where `path` is a symbolic link, the file that it leads to is meant.
    Raises OutputError, before the block runs, if the folder cannot be written to, and after it if the disk
    did not take the file.
    """
    target = _follow(path)
    # Not made of the name: that may be as long as names can be.
    temporary = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        # Not tempfile.mkstemp: its files are readable by the owner alone, and so would the result be.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield temporary
        try:
            _flush_to_disk(temporary)
            temporary.replace(target)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _follow(path: Path) -> Path:
    """The file that `path` leads to, which need not exist; raises OutputError if it cannot be one."""
    try:
        target = path.resolve()
        if stat.S_ISDIR(target.stat().st_mode):
            raise OutputError(f"cannot write {path}: it is a folder")
    except FileNotFoundError:
        return target
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    except RuntimeError as error:  # until Python 3.12, for links that lead in a circle
        raise OutputError(f"cannot write {path}: {error}") from error
    return target


def _flush_to_disk(path: Path) -> None:
    # Some disks report that they are full only now; and a rename must never outlive the data it names.
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
