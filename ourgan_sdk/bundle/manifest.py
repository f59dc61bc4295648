"""Reading, checking and writing `.ourgan` bundles.

A bundle is a ZIP archive whose members are stored, not compressed: `manifest.json`, the ONNX networks, a
preview and, where some were built, engines. The manifest names every other member with its size and SHA-256.
Opening a bundle runs no code, extracts nothing to disk, and compares every size with what was declared before
it reads a byte of it.
"""

import hashlib
import json
import os
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .._atomic import atomic_file
from .._version import __version__
from ..errors import BundleError, OutputError
from ..sizes import LARGEST_SIDE

__all__ = [
    "Bundle",
    "Checkpoint",
    "EngineRecord",
    "Erf",
    "FileEntry",
    "Manifest",
    "Photo",
    "Scale",
    "SeamError",
    "Structure",
    "Training",
    "Upscaler",
    "Window",
    "add_engines",
    "write_bundle",
]

SCHEMA_VERSION = 2
"""Of bundles that hold engines; those that do not are of version 1, which earlier releases read as well."""
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 1 << 20
LARGEST_MEMBER = 1 << 31  # ONNX, being protobuf, ends there as well
MOST_MEMBERS = 256
MOST_SCALES = 255  # each draws its noise from a stream of its own; those from 256 on belong to the passes
MOST_NOISE = 1 << 28  # a gigabyte of float32

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
# The signature and the lengths of what follows: name and extra fields here, the archive's comment there.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_END_RECORD = struct.Struct("<4s16xH")
_MEMBER_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Deviation = Annotated[float, Field(ge=0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Photo(_Record):
    """The photograph that a bundle learned."""

    width: Side
    height: Side
    sha256: Sha256


class Checkpoint(_Record):
    """A file of pre-trained weights."""

    file: str
    sha256: Sha256


class Training(_Record):
    """How the networks were trained; for people to read, no render depends on it."""

    preset: str
    seed: Annotated[int, Field(ge=0, lt=1 << 64)]
    structure_steps: list[Count]
    upscaler_steps: Count  # of all upscalers together
    seconds: NonNegative
    perceptual: str | None
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of the photograph's width, at its right
    init: Checkpoint | None = None  # what the upscaler of later passes was started from
    init_first: Checkpoint | None = None  # and that of pass 1, where it is not the trained later one


class Scale(_Record):
    """One level of the structure pyramid: its size in training and the noise it takes."""

    height: Side
    width: Side
    channels: Annotated[int, Field(ge=1, le=4096)]
    noise_deviation: Deviation


class Structure(_Record):
    """The network that makes a base picture from noise maps, coarsest scale first."""

    file: str
    scales: Annotated[list[Scale], Field(min_length=1, max_length=MOST_SCALES)]
    dtype: Literal["float32"] = "float32"

    @model_validator(mode="after")
    def _check_sizes(self) -> "Structure":
        """A render's noise has about as many values as the training's, so these bound its memory."""
        for one, following in pairwise(self.scales):
            if one.height > following.height or one.width > following.width:
                raise ValueError("scales: expected each to be at least as large as the one before")
        values = sum(scale.channels * scale.height * scale.width for scale in self.scales)
        if values > MOST_NOISE:
            raise ValueError(f"scales: expected noise of at most {MOST_NOISE} values, got {values}")
        return self


class SeamError(_Record):
    """Tiled against whole output at the stored halo, in 8-bit levels.

    `share_different` is the share of values that are not the same level once both are rounded to 8 bits.
    """

    maximum: NonNegative
    p9999: NonNegative
    share_different: Annotated[float, Field(ge=0, le=1)]


class Erf(_Record):
    """A network's receptive field: radii in input pixels, as of halos.

    `radius_9545` and `radius_999` belong to the squares that hold 95.45 % and 99.9 % of the effective one's
    energy; `theoretical` is how far an input can lie and still matter, None where that is not known.
    """

    radius_9545: Count
    radius_999: Count
    theoretical: Count | None = None


class Upscaler(_Record):
    """A x4 network. `halo` is in input pixels, `bytes_per_pixel` peak activation memory per input pixel.

    Tiling depends on the halo alone; `seam_error` and `erf` say why it is what it is.
    """

    file: str
    scale: Literal[4] = 4
    dtype: Literal["float32"] = "float32"
    halo: Annotated[int, Field(ge=0, le=4096)]
    noise_deviation: Deviation
    bytes_per_pixel: Annotated[int, Field(ge=1, le=1 << 30)]
    seam_error: SeamError
    erf: Erf | None = None


class Window(_Record):
    """The size of an engine's input."""

    height: Side
    width: Side


class EngineRecord(_Record):
    """An upscaler built for a runtime, of the tiles that `ourgan_sdk.precision` describes.

    It belongs to the member `network` as long as that has the hash `network_sha256`, runs on the runtime's
    `version` alone, and on GPUs of the `compute_capabilities`, such as "8.6". `output` is the type of its
    pixels. It takes windows from `smallest_window` to `window`, which may be the same, and for the largest
    one `activation_bytes` of the GPU's memory for activations.
    """

    file: str
    network: str
    network_sha256: Sha256
    runtime: Literal["tensorrt", "tensorrt-rtx"]
    version: Annotated[str, Field(min_length=1)]
    precision: Literal["fp32", "fp16", "bf16"]
    output: Literal["uint8", "float16", "float32"]
    compute_capabilities: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]$")]], Field(min_length=1)
    ]
    smallest_window: Window
    window: Window
    activation_bytes: Count

    @model_validator(mode="after")
    def _check_windows(self) -> "EngineRecord":
        small, large = self.smallest_window, self.window
        if small.height > large.height or small.width > large.width:
            raise ValueError("smallest_window: expected it not to be larger than window")
        return self

    @property
    def replaces(self) -> tuple[str, str, str, str]:
        """What a bundle holds one engine of."""
        return self.runtime, self.network, self.precision, self.output


class FileEntry(_Record):
    """Size in bytes and hash of one member."""

    size: Annotated[int, Field(ge=0, le=LARGEST_MEMBER)]
    sha256: Sha256


class Manifest(_Record):
    """What a bundle says about itself; `files` covers every member but the manifest, by `write_bundle`."""

    schema_version: Literal[1, 2] = 1
    created_by: str = f"ourgan_sdk {__version__}"
    photo: Photo
    training: Training
    structure: Structure
    upscalers: Annotated[list[Upscaler], Field(min_length=1)]
    engines: list[EngineRecord] = []
    files: Annotated[dict[str, FileEntry], Field(max_length=MOST_MEMBERS)] = {}

    @model_validator(mode="after")
    def _check_engines(self) -> "Manifest":
        if self.schema_version == 1 and self.engines:
            raise ValueError(f"engines: expected none in schema version 1, found {len(self.engines)}")
        named = [engine.file for engine in self.engines] + self.networks()
        if len(set(named)) < len(named):
            raise ValueError("engines: expected each in a member of its own")
        return self

    @model_validator(mode="after")
    def _check_names(self) -> "Manifest":
        for name in self.files:
            if not _MEMBER_NAME.fullmatch(name) or name == MANIFEST:
                raise ValueError(f"{name!r} is not a name that a member may have")
        return self

    def networks(self) -> list[str]:
        """The members that hold networks, structure first."""
        return list(dict.fromkeys([self.structure.file, *(upscaler.file for upscaler in self.upscalers)]))

    def upscaler(self, index: int) -> Upscaler:
        """The upscaler of pass `index`, counted from 0; the last one serves all passes beyond it."""
        return self.upscalers[min(index, len(self.upscalers) - 1)]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose directory and manifest were checked; members are checked when they are read.

    `sha256` identifies the content: it is the hash of the manifest, which holds the hashes of all members.
    No file stays open in between, so a bundle can be used from several threads.
    """

    path: Path
    manifest: Manifest
    sha256: str

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Bundle":
        """Open `path`; raises BundleError when it is missing, damaged, foreign or of a future version."""
        path = Path(path)
        with _open_archive(path) as (file, archive):
            sizes = _check_directory(path, file, archive)
            text = _read_member(path, archive, MANIFEST, sizes[MANIFEST])
        manifest = _parse_manifest(path, text)
        _check_members(path, manifest, sizes)
        return cls(path, manifest, hashlib.sha256(text).hexdigest())

    def read(self, name: str) -> bytes:
        """The content of member `name`; raises BundleError if it is missing or not as declared."""
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(f"{self.path}: has no member {name!r}; it has {', '.join(self.manifest.files)}")
        with _open_archive(self.path) as (file, archive):
            # The file may have been replaced since it was opened.
            size = _check_directory(self.path, file, archive).get(name)
            if size != entry.size:
                raise BundleError(f"{self.path}: member {name!r} has {size} bytes, expected {entry.size}")
            data = _read_member(self.path, archive, name, entry.size)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{self.path}: member {name!r} is damaged: its SHA-256 is not the manifest's")
        return data


def write_bundle(path: str | os.PathLike[str], manifest: Manifest, members: Mapping[str, bytes]) -> Bundle:
    """Write a bundle with `members` and return it opened; equal arguments give equal bytes.

    The manifest's `files` and `schema_version` are ignored and made anew. The file appears under its name
    only when it is whole. Raises BundleError if the manifest names a network or an engine that `members`
    lacks or a name or size is not allowed, and OutputError if the file cannot be written.
    """
    path = Path(path)
    files = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    }
    try:
        version = SCHEMA_VERSION if manifest.engines else 1
        manifest = Manifest.model_validate(
            manifest.model_dump() | {"files": files, "schema_version": version}
        )
    except ValidationError as error:
        raise BundleError(f"{path}: cannot be written: {_first_problem(error)}") from error
    _check_networks(path, manifest)
    text = manifest.model_dump_json(indent=2, exclude=None if manifest.engines else {"engines"}).encode()
    if len(text) > LARGEST_MANIFEST:
        raise BundleError(
            f"{path}: cannot be written: its manifest has {len(text)} bytes, more than {LARGEST_MANIFEST}"
        )
    with atomic_file(path) as temporary:
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
                for name, data in {MANIFEST: text, **members}.items():
                    archive.writestr(zipfile.ZipInfo(name), data)  # a ZipInfo made so has a constant date
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return Bundle.open(path)


def add_engines(
    bundle: Bundle, engines: Sequence[tuple[EngineRecord, bytes]], path: str | os.PathLike[str] | None = None
) -> Bundle:
    """Write `bundle` with more engines, in its place or as `path`, and return it opened.

    They replace those of the same runtime, network, precision and output; the other members stay as they are,
    byte for byte. Raises BundleError if the bundle is damaged or an engine cannot be in it, and OutputError
    if the file cannot be written.
    """
    path = bundle.path if path is None else Path(path)
    records = [record for record, _ in engines]
    replacing = {record.replaces for record in records}
    kept = [record for record in bundle.manifest.engines if record.replaces not in replacing]
    gone = {record.file for record in bundle.manifest.engines} - {record.file for record in kept}
    members = {name: bundle.read(name) for name in bundle.manifest.files if name not in gone}
    for record, plan in engines:
        if record.file in members:
            raise BundleError(f"{path}: cannot be written: it has two members {record.file!r}")
        members[record.file] = plan
    return write_bundle(path, bundle.manifest.model_copy(update={"engines": [*kept, *records]}), members)


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
        if not _MEMBER_NAME.fullmatch(entry.filename):
            raise BundleError(f"{where}: its name is not a plain relative path")
        if entry.filename in sizes:
            raise BundleError(f"{where}: appears twice")
        if entry.flag_bits & 0x1:
            raise BundleError(f"{where}: is encrypted")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise BundleError(f"{where}: is compressed; a bundle's members are stored as they are")
        limit = LARGEST_MANIFEST if entry.filename == MANIFEST else LARGEST_MEMBER
        if entry.file_size > limit:
            raise BundleError(f"{where}: declares {entry.file_size} bytes, more than the {limit} allowed")
        sizes[entry.filename] = entry.file_size
    total, available = sum(sizes.values()), file.seek(0, os.SEEK_END)
    if total > available:
        raise BundleError(f"{path}: is damaged: its members declare {total} bytes, the file has {available}")
    if MANIFEST not in sizes:
        raise BundleError(f"{path}: is not a bundle: it has no member {MANIFEST!r}")
    _check_layout(path, file, archive)
    return sizes


def _check_layout(path: Path, file: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Check that the file is the archive alone, so that no other reader finds something else in it.

    From the first byte on, one member follows the other, then the directory (which `zipfile` places right
    before its end record), then the end record, without a comment, up to the last byte.
    """
    position = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset != position:
            break
        file.seek(position)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if signature != b"PK\x03\x04":
            break
        position += _LOCAL_HEADER.size + name_length + extra_length + entry.compress_size
    else:
        file.seek(-_END_RECORD.size, os.SEEK_END)
        if position == archive.start_dir and _END_RECORD.unpack(file.read()) == (b"PK\x05\x06", 0):
            return
    raise BundleError(f"{path}: is not a bundle: it holds bytes that belong to no member, from {position} on")


def _read_member(path: Path, archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    data = archive.read(name)  # checks the CRC-32
    if len(data) != size:
        raise BundleError(f"{path}: member {name!r} ends after {len(data)} of {size} bytes")
    return data


def _parse_manifest(path: Path, text: bytes) -> Manifest:
    where = f"{path}: {MANIFEST}"
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: is not JSON: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    # Asked before anything else, since a future version may differ in any other way.
    if type(version) is int and version > SCHEMA_VERSION:
        raise BundleError(
            f"{where}: has schema version {version}, by {content.get('created_by', 'a later release')!r}; "
            f"ourgan_sdk {__version__} reads 1 to {SCHEMA_VERSION}: upgrade ourgan-sdk"
        )
    if type(version) is not int or version < 1:
        raise BundleError(f"{where}: expected schema_version 1 to {SCHEMA_VERSION}, found {version!r}")
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{where}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'manifest'}: {problem['msg']}"


def _check_members(path: Path, manifest: Manifest, sizes: Mapping[str, int]) -> None:
    declared = {name: entry.size for name, entry in manifest.files.items()}
    found = {name: size for name, size in sizes.items() if name != MANIFEST}
    for name in sorted(declared.keys() | found.keys()):
        if declared.get(name) != found.get(name):
            raise BundleError(
                f"{path}: member {name!r}: the manifest declares {_bytes(declared.get(name))}, "
                f"the archive holds {_bytes(found.get(name))}"
            )
    _check_networks(path, manifest)


def _check_networks(path: Path, manifest: Manifest) -> None:
    named = [("network", name) for name in manifest.networks()]
    for kind, name in (*named, *(("engine", engine.file) for engine in manifest.engines)):
        if name not in manifest.files:
            raise BundleError(f"{path}: the manifest names {kind} {name!r}, which is not among the members")


def _bytes(size: int | None) -> str:
    return "none" if size is None else f"{size} bytes"
