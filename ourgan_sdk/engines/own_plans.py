"""Whose TensorRT plans may be loaded: plans are programs, bundles are files that people pass around."""

import hashlib
import logging
import os
import stat
from pathlib import Path

from ..errors import EngineError

__all__ = ["ALLOW_PLANS", "check_allowed", "remember_plan"]

ALLOW_PLANS = "OURGAN_ALLOW_PLANS"
"""Environment variable: 1 where all plans may be loaded, whoever has built them."""

_log = logging.getLogger(__name__)


def remember_plan(plan: bytes, cache: Path) -> None:
    """Note in the user's folder `cache` that this user has built `plan`, so that it may be loaded.

    Where that cannot be noted there is a log line; `allow_plans` is asked for then.
    """
    note = _note(plan, cache)
    try:
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        note.touch(mode=0o600)
    except OSError as error:
        _log.warning("it cannot be noted that this plan is your own: %s", error)


def check_allowed(file: str, plan: bytes, cache: Path, *, allow: bool) -> None:
    """Raise EngineError unless `plan`, of member `file`, may be run in this process.

    That takes `allow`, the environment variable, or a note by `remember_plan` that belongs to this user and
    that nobody else can have written.
    """
    if allow or os.environ.get(ALLOW_PLANS) == "1" or _is_own(_note(plan, cache)):
        return
    raise EngineError(
        f"{file} was not built here, and TensorRT plans are programs: if you trust whoever made this bundle, "
        f"use allow_plans=True (--allow-plans, or {ALLOW_PLANS}=1), else build your own with export/to_trt.py"
    )


def _note(plan: bytes, cache: Path) -> Path:
    return cache / "own-plans" / hashlib.sha256(plan).hexdigest()


def _is_own(note: Path) -> bool:
    try:
        return all(map(_is_mine_alone, (note, note.parent)))
    except OSError:
        return False


def _is_mine_alone(path: Path) -> bool:
    """Whether it belongs to this user, who alone can write it; Windows keeps others out of the folder."""
    if os.name == "nt":
        return path.exists()
    status = path.lstat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
