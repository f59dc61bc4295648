"""A folder as one file: a stored ZIP, made while it is sent."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

__all__ = ["zipped"]

_PIECE = 1 << 18


def zipped(folder: Path) -> Iterator[bytes]:
    """The bytes of a ZIP of all files below `folder`, which is what their names begin in."""
    sink = _Sink()
    with zipfile.ZipFile(cast(IO[bytes], sink), "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo.from_file(path, path.relative_to(folder).as_posix())
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as target:
                while piece := file.read(_PIECE):
                    target.write(piece)
                    yield from sink.taken()
            yield from sink.taken()
    yield from sink.taken()


class _Sink:
    """What an archive is written to; it cannot be gone back in."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep it until it is taken."""
        self._pieces.append(bytes(data))
        return len(data)

    def tell(self) -> int:
        """As of a pipe, which `zipfile` knows how to write to."""
        raise OSError("this is a stream")

    def flush(self) -> None:
        """There is nothing to do."""

    def taken(self) -> Iterator[bytes]:
        """What was written since."""
        pieces, self._pieces = self._pieces, []
        yield from pieces
