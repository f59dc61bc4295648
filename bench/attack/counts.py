"""What came of faults of one kind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["Attack", "Counts", "Outcome"]

Outcome = Literal["refused", "harmless", "silent", "crashed", "hung", "leftover", "bloated"]

_EXAMPLES = 5


@dataclass
class Counts:
    """How many faults of a kind were injected, and what came of them.

    `refused`: an error of this package's own said what is wrong; `harmless`: the right result all the same.
    The others must not be: `silent`: a wrong result and no error; `crashed`: the process died, or an error
    came out that is not this package's; `hung`: no end in time; `leftover`: something half-written under a
    final name, or something temporary left behind; `bloated`: more than twice the memory that was allowed.
    """

    kind: str
    refused: int = 0
    harmless: int = 0
    silent: int = 0
    crashed: int = 0
    hung: int = 0
    leftover: int = 0
    bloated: int = 0
    examples: list[str] = field(default_factory=list)
    """Of what must not be: how to see it again."""

    @property
    def tried(self) -> int:
        """All of them."""
        return self.refused + self.harmless + self.bad

    @property
    def bad(self) -> int:
        """Of what must not be."""
        return self.silent + self.crashed + self.hung + self.leftover + self.bloated

    def add(self, outcome: Outcome, fault: str) -> None:
        """One more; `fault` says which it was."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome not in ("refused", "harmless") and len(self.examples) < _EXAMPLES:
            self.examples.append(f"{outcome}: {fault}")


Attack = Callable[[int, int, Path], Counts]
"""Injects so many faults, drawn from a seed, working in a folder of its own."""
