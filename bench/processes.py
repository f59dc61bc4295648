"""Measurements in processes of their own, so that none sees the memory of another."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["measure", "peak_memory", "report"]


def measure(module: str, *arguments: object) -> dict[str, Any]:
    """Run `python -m module arguments...`, which ends in `report`, and return what it reported."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(work: Callable[[], dict[str, Any]], prepare: Callable[[], object] = lambda: None) -> None:
    """Print what `work` returns, with the seconds it took and the gigabytes it needed, as a line of JSON.

    `idle` is what the process had before, `peak` what it had at most. `prepare` does what takes time once in
    a process's life; its memory counts, its time does not.
    """
    idle = peak_memory()
    prepare()
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "idle": idle, "peak": peak_memory()} | result))


def peak_memory() -> float:
    """Gigabytes that this process has had in memory at most. Linux alone."""
    # Not getrusage, whose maximum a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e9
