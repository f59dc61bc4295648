"""Reading a bundle: its archive is checked before any member is read, a member when it is read."""

import hashlib
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..errors import BundleError
from .manifest import (
    LARGEST_MANIFEST,
    LARGEST_MEMBER,
    MANIFEST,
    MEMBER_NAME,
    MOST_MEMBERS,
    Manifest,
    Photo,
    check_networks,
    parse_manifest,
)
from .networks import LARGEST_NETWORK, Network, check_network

__all__ = ["Bundle"]

# What `zipfile` raises on damaged archives, beside its own BadZipFile: flags and versions that it does not
# know, names in a wrong encoding, offsets beyond the file.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    OverflowError,
    struct.error,
)
_FLAGS = {0x1: "is encrypted", 0x8: "has a data descriptor; its sizes belong before it"}
# The signature, then what the directory says as well: flags, method, CRC-32, both sizes; then the lengths of
# name and extra fields. Version and time are left out.
_LOCAL_HEADER = struct.Struct("<4s2xHH4xIIIHH")
# The signature and the length of the archive's comment.
_END_RECORD = struct.Struct("<4s16xH")


@dataclass(frozen=True)
class Bundle:
    """A bundle whose directory and manifest were checked; members are checked when they are read.

    `sha256` identifies the content: it is the hash of the manifest, which holds the hashes of all members.
    No file stays open in between, so a bundle can be used from several threads. One that was learned from a
    photograph and not yet saved lies in memory.
    """

    path: Path
    manifest: Manifest
    sha256: str
    _members: Mapping[str, bytes] | None = field(default=None, repr=False, compare=False)  # without a file
    _networks: dict[str, Network] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Bundle":
        """Open `path`; raises BundleError when it is missing, damaged, foreign or of a future version."""
        path = Path(path)
        with _open_archive(path) as (file, archive):
            sizes = _check_directory(path, file, archive)
            text = _read_member(path, archive, MANIFEST, sizes[MANIFEST])
        manifest = parse_manifest(path, text)
        _check_members(path, manifest, sizes)
        return cls(path.absolute(), manifest, hashlib.sha256(text).hexdigest())

    @property
    def is_in_memory(self) -> bool:
        """Whether it was not saved; `path` is then what it was made from."""
        return self._members is not None

    @property
    def photo(self) -> Photo:
        """The photograph that was learned; raises BundleError where it was a folder of pictures."""
        photo = self.manifest.photo
        if photo is None:
            raise BundleError(
                f"{self.path}: its structure is of coordinates, learned from many pictures: there is no one "
                "photograph to go by"
            )
        return photo

    def network(self, name: str) -> Network:
        """The network in member `name` for a runtime: checked, which is done once, and written anew.

        Raises BundleError if it is missing, damaged, not what a structure or an upscaler may be or not as the
        manifest says, and EngineUnavailableError where the package is missing that it is parsed with.
        """
        if name not in self._networks:
            self._networks[name] = self._check_network(name)
        return self._networks[name]

    def _check_network(self, name: str) -> Network:
        where, entry = f"{self.path}: member {name!r}", self.manifest.files.get(name)
        structure, coordinates = self.manifest.structure, self.manifest.coordinates
        if entry is not None and entry.size > LARGEST_NETWORK:
            raise BundleError(
                f"{where}: has {entry.size} bytes, more than the {LARGEST_NETWORK} of a network"
            )
        return check_network(
            where,
            self.read(name),
            structure if structure is not None and structure.file == name else None,
            [upscaler for upscaler in self.manifest.upscalers if upscaler.file == name],
            coordinates if coordinates is not None and coordinates.file == name else None,
        )

    def read(self, name: str) -> bytes:
        """The content of member `name`; raises BundleError if it is missing or not as declared."""
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(f"{self.path}: has no member {name!r}; it has {', '.join(self.manifest.files)}")
        if self._members is not None:
            if name not in self._members:
                raise BundleError(f"{self.path}: member {name!r} is missing")
            return self._members[name]
        with _open_archive(self.path) as (file, archive):
            # The file may have been replaced since it was opened.
            size = _check_directory(self.path, file, archive).get(name)
            if size != entry.size:
                raise BundleError(f"{self.path}: member {name!r} has {size} bytes, expected {entry.size}")
            data = _read_member(self.path, archive, name, entry.size)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{self.path}: member {name!r} is damaged: its SHA-256 is not the manifest's")
        return data


@contextmanager
def _open_archive(path: Path) -> Iterator[tuple[BinaryIO, zipfile.ZipFile]]:
    """The file `path` and the archive in it; whatever goes wrong in either becomes a BundleError."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise BundleError(f"{path}: is not a bundle: it does not begin as a ZIP file does")
            try:
                archive = zipfile.ZipFile(file)
            except _ZIP_ERRORS as error:
                size = file.seek(0, os.SEEK_END)
                raise BundleError(
                    f"{path}: is cut short or damaged: no sound ZIP directory at its end, byte {size} "
                    f"({str(error) or type(error).__name__})"
                ) from error
            try:
                with archive:
                    yield file, archive
            except _ZIP_ERRORS as error:
                raise BundleError(f"{path}: is damaged: {str(error) or type(error).__name__}") from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror or error}") from error


def _check_directory(path: Path, file: BinaryIO, archive: zipfile.ZipFile) -> dict[str, int]:
    """Check the ZIP directory and return its members' sizes, without reading any member."""
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS + 1:
        raise BundleError(
            f"{path}: is not a bundle: it has {len(entries)} members, more than {MOST_MEMBERS + 1}"
        )
    sizes: dict[str, int] = {}
    for entry in entries:
        where = f"{path}: member {entry.filename!r}"
        if entry.filename in sizes:
            raise BundleError(f"{where}: appears twice")
        _check_entry(where, entry)
        sizes[entry.filename] = entry.file_size
    total, available = sum(sizes.values()), file.seek(0, os.SEEK_END)
    if total > available:
        raise BundleError(f"{path}: is damaged: its members declare {total} bytes, the file has {available}")
    if MANIFEST not in sizes:
        raise BundleError(f"{path}: is not a bundle: it has no member {MANIFEST!r}")
    _check_layout(path, file, archive)
    return sizes


def _check_entry(where: str, entry: zipfile.ZipInfo) -> None:
    """Check what the directory says of a member; `where` begins the error."""
    if not MEMBER_NAME.fullmatch(entry.filename):
        raise BundleError(f"{where}: its name is not a plain relative path")
    for bit, what in _FLAGS.items():
        if entry.flag_bits & bit:
            raise BundleError(f"{where}: {what}")
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise BundleError(f"{where}: is compressed; a bundle's members are stored as they are")
    limit = LARGEST_MANIFEST if entry.filename == MANIFEST else LARGEST_MEMBER
    if entry.file_size > limit:
        raise BundleError(f"{where}: declares {entry.file_size} bytes, more than the {limit} allowed")


def _check_layout(path: Path, file: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Check that the file is the archive alone, so that no other reader finds something else in it.

    From the first byte on, one member follows the other, then the directory (which `zipfile` places right
    before its end record), then the end record, without a comment, up to the last byte. What stands before a
    member says the same of it as the directory.
    """
    position = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset != position:
            break
        file.seek(position)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            break
        _, *told, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        _check_header(path, entry, told, file.read(name_length))
        position += _LOCAL_HEADER.size + name_length + extra_length + entry.compress_size
    else:
        file.seek(-_END_RECORD.size, os.SEEK_END)
        if position == archive.start_dir and _END_RECORD.unpack(file.read()) == (b"PK\x05\x06", 0):
            return
    raise BundleError(f"{path}: is not a bundle: it holds bytes that belong to no member, from {position} on")


def _check_header(path: Path, entry: zipfile.ZipInfo, told: list[int], name: bytes) -> None:
    """Check that a member's own header agrees with the directory: readers go by the one or the other."""
    names = ("flags", "method", "CRC-32", "stored size", "size")
    listed = (entry.flag_bits, entry.compress_type, entry.CRC, entry.compress_size, entry.file_size)
    pairs = [*zip(names, told, listed, strict=True), ("name", name, entry.filename.encode())]
    for what, here, there in pairs:
        if here != there:
            raise BundleError(
                f"{path}: member {entry.filename!r}: is damaged: its header says {what} {here!r}, the ZIP "
                f"directory {there!r}"
            )


def _read_member(path: Path, archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    data = archive.read(name)  # checks the CRC-32
    if len(data) != size:
        raise BundleError(f"{path}: member {name!r} ends after {len(data)} of {size} bytes")
    return data


def _check_members(path: Path, manifest: Manifest, sizes: Mapping[str, int]) -> None:
    declared = {name: entry.size for name, entry in manifest.files.items()}
    found = {name: size for name, size in sizes.items() if name != MANIFEST}
    for name in sorted(declared.keys() | found.keys()):
        if declared.get(name) != found.get(name):
            raise BundleError(
                f"{path}: member {name!r}: the manifest declares {_bytes(declared.get(name))}, "
                f"the archive holds {_bytes(found.get(name))}"
            )
    check_networks(path, manifest)


def _bytes(size: int | None) -> str:
    return "none" if size is None else f"{size} bytes"
