"""Writing bundles, new ones and existing ones with more engines."""

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .._atomic import atomic_file
from ..errors import BundleError, OutputError
from .archive import Bundle
from .manifest import (
    LARGEST_MANIFEST,
    MANIFEST,
    EngineRecord,
    Manifest,
    check_networks,
    first_problem,
)

__all__ = ["add_engines", "write_bundle"]


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
        version = manifest.lowest_version
        manifest = Manifest.model_validate(
            manifest.model_dump() | {"files": files, "schema_version": version}
        )
    except ValidationError as error:
        raise BundleError(f"{path}: cannot be written: {first_problem(error)}") from error
    check_networks(path, manifest)
    # What a version does not know is left out, so that releases that read it accept the bundle.
    unknown: dict[str, Any] = {} if manifest.engines else {"engines": True}
    if version < 3:
        unknown["photo"] = {"file"}
    text = manifest.model_dump_json(indent=2, exclude=unknown).encode()
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
