"""Faults on purpose: damaged bundles, networks and resume files, signals, disks and drivers that fail.

python -m bench.attack                        all kinds, 10,000 faults and more
python -m bench.attack networks --share 0.1   one kind, a tenth of its faults

Each kind is a module of this package, whose `attack` injects so many faults, drawn from a seed.
"""

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .counts import Counts, Outcome

KINDS: dict[str, int] = {
    "networks": 10_000,
    "signals": 300,
    "threads": 2000,
    "bundles": 1500,
    "resume": 1500,
    "disks": 600,
    "driver": 1000,
}
"""And how many faults of each."""

COLUMNS: tuple[Outcome, ...] = ("refused", "harmless", "silent", "crashed", "hung", "leftover", "bloated")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 1 if anything happened that must not."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.attack", description="Inject faults, and count what comes of them."
    )
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help=f"(default: all: {', '.join(KINDS)})")
    parser.add_argument("--share", type=float, default=1.0, help="of the faults (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(f"{'kind':16} {'tried':>7}", *(f"{name:>9}" for name in COLUMNS), f"{'seconds':>8}")
    all_counts = []
    for kind in options.kinds or KINDS:
        attack = importlib.import_module(f"{__package__}.{kind}").attack
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="attack-") as folder:
            counts = attack(max(1, round(options.share * KINDS[kind])), options.seed, Path(folder))
        print(row(counts), f"{time.perf_counter() - started:8.0f}", flush=True)
        for example in counts.examples:
            print("  ", example)
        all_counts.append(counts)
    total = Counts("all", **{name: sum(getattr(one, name) for one in all_counts) for name in COLUMNS})
    print(row(total))
    return 1 if total.bad else 0


def row(counts: Counts) -> str:
    """A line of the table."""
    numbers = (f"{getattr(counts, name):9}" for name in COLUMNS)
    return " ".join([f"{counts.kind:16}", f"{counts.tried:7}", *numbers])


if __name__ == "__main__":
    sys.exit(main())
