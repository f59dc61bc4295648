"""Training that is killed right after a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trainers.runs import run

__all__ = ["interrupted_after"]


@contextmanager
def interrupted_after(count: int, *, every_step: bool = True) -> Iterator[None]:
    """Within, what saves a run's checkpoint for the ``count``-th time is interrupted as by Ctrl-C.

    ``every_step``: a checkpoint is due after each one.
    """
    save, saves = run.Run.save_checkpoint, 0

    def interrupting_save(self: run.Run, name: str, state: Any) -> None:
        nonlocal saves
        save(self, name, state)
        saves += 1
        if saves == count:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        if every_step:
            patch.setattr(run, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(run.Run, "save_checkpoint", interrupting_save)
        yield
