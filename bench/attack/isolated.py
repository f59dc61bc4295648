"""Trials in a process of their own, which may die of them, hang or take too much memory."""

import contextlib
import multiprocessing
import os
import resource
import shutil
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

from .counts import Counts, Outcome

__all__ = ["Trial", "run_trials"]

Trial: TypeAlias = "Callable[[int, int, Path], tuple[Outcome, str]]"
"""Injects fault `index` of those that `seed` draws, in an empty folder: what came of it, and which it was."""

SECONDS = 90.0
"""That a trial may take: the machine may be busy."""

MEMORY = 8 << 30
"""Bytes of address space."""


def run_trials(kind: str, trial: Trial, count: int, seed: int, folder: Path) -> Counts:
    """What came of faults 0 to `count` - 1."""
    counts = Counts(kind)
    index = 0
    context = multiprocessing.get_context("spawn")
    while index < count:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(trial, range(index, count), seed, folder, theirs))
        process.start()
        theirs.close()
        with contextlib.suppress(EOFError):
            while index < count and ours.poll(SECONDS):
                counts.add(*ours.recv())
                index += 1
        if index < count:
            counts.add("hung" if process.is_alive() else "crashed", f"fault {index} of seed {seed}")
            index += 1
        process.kill()
        process.join()
        ours.close()
    return counts


def _work(trial: Trial, indices: range, seed: int, folder: Path, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for as long as the process lives
    for index in indices:
        place = folder / f"{index}"
        place.mkdir()
        pipe.send(trial(index, seed, place))
        shutil.rmtree(place, ignore_errors=True)
