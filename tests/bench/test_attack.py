"""A fixed part of the faults that `python -m bench.attack` injects."""

import importlib
from pathlib import Path

import pytest

from bench.attack.__main__ import KINDS, main

SHARES = {"driver": 0.03}
"""Of the faults of a kind, as many as take seconds; kinds that are not here have tests of their own."""


@pytest.mark.parametrize("kind", SHARES)
def test_nothing_that_must_not_be(kind: str, tmp_path: Path) -> None:
    attack = importlib.import_module(f"bench.attack.{kind}").attack
    counts = attack(round(SHARES[kind] * KINDS[kind]), 1, tmp_path)
    assert counts.tried == round(SHARES[kind] * KINDS[kind])
    assert counts.refused
    assert counts.bad == 0, counts.examples


def test_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What must not be is told, with how to see it again, by the exit code too."""
    from bench.attack import driver  # noqa: PLC0415
    from bench.attack.counts import Counts  # noqa: PLC0415

    counts = Counts("driver", refused=2)
    monkeypatch.setattr(driver, "attack", lambda *_arguments: counts)
    assert main(["driver"]) == 0
    counts.add("hung", "this way")
    assert main(["driver"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].split()[:7] == ["driver", "3", "2", "0", "0", "0", "1"]
    assert lines[-2] == "   hung: this way"
    assert lines[-1].split()[:2] == ["all", "3"]
