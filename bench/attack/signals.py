"""Ctrl-C and SIGTERM, one or two of them, at any moment of a command that writes.

A command that is stopped ends at once and leaves nothing but the bands of a `--resume`, with which the same
command, begun again, makes the same picture. What lies under the final name is whole.
"""

import contextlib
import hashlib
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ourgan_sdk import Bundle
from ourgan_sdk.learning import sample_bundle

from .counts import Counts, Outcome

__all__ = ["COMMANDS", "attack"]

SECONDS = 60
"""After which a process that was told to stop hangs; it then tells where."""

NETWORK = ["render", "640x400", "--detail", "network", "--engine", "onnxruntime", "--memory", "24MiB", "-o"]
DETAIL = ["render", "2400x1600", "-o"]
COMMANDS = [
    [*NETWORK, "a.png"],
    [*NETWORK, "a.tif", "--pyramid"],
    [*NETWORK, "a.dzi"],
    [*NETWORK, "a.zarr"],
    [*NETWORK, "a.png", "--resume"],
    [*NETWORK, "a.tif", "--resume"],
    [*DETAIL, "a.png"],
    [*DETAIL, "a.zarr", "--bits", "16"],
    [*DETAIL, "a.dzi", "--resume"],
    [*DETAIL, "a.png", "--structure", "patches"],
    [*DETAIL, "a.tif", "--structure", "patches", "--resume"],
    ["preview", "--count", "6", "--cell", "300", "-o", "a.png"],
    ["learn", "photograph.jpg", "-o", "a.ourgan"],
]
SIGNALS = [
    [signal.SIGINT],
    [signal.SIGINT, signal.SIGINT],
    [signal.SIGINT, signal.SIGTERM],
    [signal.SIGTERM, signal.SIGINT],
]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def attack(count: int, seed: int, folder: Path) -> Counts:
    """Each in a folder and a process of its own; moments are drawn from as long as the command takes."""
    # Programs started in the background are told to ignore Ctrl-C, and pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    counts, random = Counts("signals"), np.random.default_rng(seed)
    whole = [_Whole.made_by(command, folder / f"whole-{i}") for i, command in enumerate(COMMANDS)]
    for number in range(count):
        one = whole[number % len(whole)]
        signals = SIGNALS[int(random.choice(len(SIGNALS), p=(0.4, 0.4, 0.1, 0.1)))]
        moments = [random.uniform(0, 1.1 * one.seconds), *random.uniform(0.001, 0.2, len(signals) - 1)]
        told = ", ".join(f"{s.name} after {m:.3f} s" for s, m in zip(signals, moments, strict=True))
        place = folder / f"fault-{number}"
        outcome, end = _outcome(one, signals, moments, place)
        counts.add(outcome, f"ourgan {' '.join(one.command)}: {told}: {end}")
        shutil.rmtree(place)
    return counts


@dataclass(frozen=True)
class _Whole:
    """A command that was let be."""

    command: list[str]
    seconds: float
    digest: str

    @classmethod
    def made_by(cls, command: list[str], folder: Path) -> "_Whole":
        started = time.perf_counter()
        process = _begin(command, folder)
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"ourgan {' '.join(command)}: {errors}")
        return cls(command, time.perf_counter() - started, _digest(folder))


def _outcome(
    one: _Whole, signals: list[signal.Signals], moments: list[float], folder: Path
) -> tuple[Outcome, str]:
    """What came of it, and how the process ended."""
    process = _begin(one.command, folder)
    for number, moment in zip(signals, moments, strict=True):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return "hung", f"where: {process.communicate()[1]}"
    lines = errors.splitlines()
    # Before it runs anything, Python ends with the code of any error.
    code = -signals[0] if lines[-1:] == ["KeyboardInterrupt"] else process.returncode
    return _judged(one, signals, code, folder), f"exit code {process.returncode}, {lines[-1:]}"


def _judged(one: _Whole, signals: list[signal.Signals], code: int, folder: Path) -> Outcome:
    left = {path.name for path in folder.iterdir()} - {"photograph.jpg"}
    if code == 0:
        return "harmless" if _digest(folder) == one.digest else "silent"
    # By the system, before the command handles signals. Of two that come at once any may be first.
    if code not in (CODES[number] for number in signals) and -code not in signals:
        return "crashed"
    if resumed := {name for name in left if name.endswith(".partial")}:
        return _resumed(one, folder) if left == resumed and "--resume" in one.command else "leftover"
    if not left:
        return "refused"
    return "harmless" if _digest(folder) == one.digest else "leftover"  # it was whole a moment before


def _resumed(one: _Whole, folder: Path) -> Outcome:
    """What becomes of the picture when the command is given again."""
    process = _begin(one.command, folder)
    process.communicate()
    if process.returncode:
        return "crashed"
    return "refused" if _digest(folder) == one.digest else "silent"


def _begin(command: list[str], folder: Path) -> "subprocess.Popen[str]":
    folder.mkdir(exist_ok=True)
    if "photograph.jpg" in command:
        bundle = Bundle.open(sample_bundle())
        (folder / "photograph.jpg").write_bytes(bundle.read(bundle.manifest.photograph or ""))
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "ourgan_sdk.cli", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _digest(folder: Path) -> str:
    """Of the names and contents of all that was made, but for the moment that libvips notes."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "photograph.jpg":
            data = re.sub(rb' date="[^"]*"', b"", path.read_bytes())
            digest.update(f"{path.relative_to(folder)} {len(data)} ".encode() + data)
    return digest.hexdigest()
