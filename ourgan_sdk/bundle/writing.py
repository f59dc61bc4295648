"""Writing bundles, new ones and existing ones with more engines."""

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import BundleError, OutputError
from ..system.atomic import atomic_file, check_is_not
from .archive import Bundle
from .manifest import (
    LARGEST_MANIFEST,
    MANIFEST,
    NEW_IN,
    PHOTOGRAPH_VERSION,
    EngineRecord,
    Manifest,
    check_networks,
    first_problem,
)

__all__ = ["add_engines", "bundle_in_memory", "save_bundle", "write_bundle"]


def write_bundle(path: str | os.PathLike[str], manifest: Manifest, members: Mapping[str, bytes]) -> Bundle:
    """Write a bundle with `members` and return it opened; equal arguments give equal bytes.

    The manifest's `files` and `schema_version` are ignored and made anew. The file appears under its name
    only when it is whole. Raises BundleError if the manifest names a network or an engine that `members`
    lacks or a name or size is not allowed, and OutputError if the file cannot be written.
    """
    path = Path(path)
    _, text = _finished(path, manifest, members)
    with atomic_file(path) as temporary:
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
                for name, data in {MANIFEST: text, **members}.items():
                    archive.writestr(zipfile.ZipInfo(name), data)  # a ZipInfo made so has a constant date
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return Bundle.open(path)


def bundle_in_memory(
    path: str | os.PathLike[str], manifest: Manifest, members: Mapping[str, bytes]
) -> Bundle:
    """The bundle that `write_bundle` would write, without a file; messages call it `path`.

    Raises BundleError as `write_bundle` does.
    """
    path = Path(path).absolute()
    manifest, text = _finished(path, manifest, members)
    return Bundle(path, manifest, hashlib.sha256(text).hexdigest(), dict(members))


def _finished(path: Path, manifest: Manifest, members: Mapping[str, bytes]) -> tuple[Manifest, bytes]:
    """The manifest with what it says of its members, and as JSON."""
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
    if manifest.coordinates is None:
        unknown["coordinates"] = True
    if version < PHOTOGRAPH_VERSION:
        unknown["photo"] = {"file"}
    for first, (record, names) in NEW_IN.items():
        if version < first and getattr(manifest, record) is not None:
            unknown[record] = set(names)
    text = manifest.model_dump_json(indent=2, exclude=unknown).encode()
    if len(text) > LARGEST_MANIFEST:
        raise BundleError(
            f"{path}: cannot be written: its manifest has {len(text)} bytes, more than {LARGEST_MANIFEST}"
        )
    return manifest, text


def save_bundle(bundle: Bundle, path: str | os.PathLike[str]) -> Bundle:
    """Write a copy of `bundle`, which may lie in memory, and return it opened.

    Raises BundleError if the bundle is damaged, and OutputError if the file cannot be written.
    """
    manifest = bundle.manifest
    if bundle.is_in_memory:
        check_is_not(Path(path), bundle.path)  # the photograph
    return write_bundle(path, manifest, {name: bundle.read(name) for name in manifest.files})


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
