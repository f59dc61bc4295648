"""Bundles that are not replaced by mistake: two cameras' IMG_0001.jpg would share the name of theirs."""

from pathlib import Path

from ..errors import BundleError, OutputError
from . import Bundle, Manifest

__all__ = ["FORCE_HELP", "check_replaceable_bundle", "reason_to_keep"]

FORCE_HELP = "replace a bundle of another photograph, or a trained one by one that is not"


def check_replaceable_bundle(path: Path, sha256: str, *, trained: bool, force: bool = False) -> None:
    """Raise OutputError if the bundle of a photograph of that SHA-256, trained or not, is not to be `path`.

    What lies there may be the only bundle of another photograph, or have taken hours of training; with
    `force` it is replaced all the same.
    """
    reason = reason_to_keep(path, sha256, trained=trained)
    if reason and not force:
        raise OutputError(
            f"cannot write {path}: it {reason}; give another name with --output, or replace it with --force"
        )


def reason_to_keep(path: Path, sha256: str, *, trained: bool) -> str:
    """Why what is called `path` is not to be replaced by such a bundle; empty if it may be."""
    try:
        if not path.is_file():
            return ""
        manifest: Manifest = Bundle.open(path).manifest
    except (BundleError, OSError):
        return "is there, and no bundle that can be read"
    if manifest.learned != sha256:
        return f"is the bundle of {'other pictures' if manifest.photo is None else 'another photograph'}"
    if manifest.training is not None and not trained:
        return "is a bundle that was trained, and this one is not"
    return ""
