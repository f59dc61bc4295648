"""A part of the attacks on resume files and disks; all of them: `python -m bench.attack resume disks`."""

import importlib
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="limits what processes take")


@pytest.mark.parametrize(("kind", "count"), [("resume", 32), ("disks", 84)])
def test_no_fault_does_harm(tmp_path: Path, kind: str, count: int) -> None:
    counts = importlib.import_module(f"bench.attack.{kind}").attack(count, 5, tmp_path)
    assert counts.examples == []
    assert (counts.tried, counts.bad) == (count, 0)
    assert min(counts.refused, counts.harmless) > count // 8
