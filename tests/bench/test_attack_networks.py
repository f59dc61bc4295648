"""A fixed part of the faults that `python -m bench.attack` injects into networks and bundles."""

from pathlib import Path

import pytest

from bench.attack.bundles import attack_file
from bench.attack.networks import ENGINES, attack_engine
from bench.attack.sandbox import try_all


@pytest.mark.parametrize("engine", ENGINES)
def test_damaged_networks(engine: str, bundle_path: Path, tmp_path: Path) -> None:
    counts = attack_engine(engine, 40, 1, tmp_path, [bundle_path])
    assert counts.tried == 40
    assert counts.bad == 0, counts.examples
    assert counts.refused > 20
    assert counts.harmless > 0


def test_damaged_bundles(bundle_path: Path, tmp_path: Path) -> None:
    counts = attack_file(60, 1, tmp_path, bundle_path)
    assert counts.tried == 60
    assert counts.bad == 0, counts.examples
    assert counts.refused > 40


def test_what_must_not_be_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes, hangs and what is printed: of a process that answers as it should not."""
    (tmp_path / "misbehaving.py").write_text(MISBEHAVING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("bench.attack.sandbox._SECONDS", 10)
    counts = try_all("a", "misbehaving", [], 6, tmp_path)
    assert (counts.harmless, counts.refused, counts.crashed, counts.hung) == (1, 1, 3, 1)


MISBEHAVING = """
import os, signal, sys, time
from bench.attack.sandbox import serve
from ourgan_sdk import BundleError

def attempt(index):
    if index == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    if index == 1:
        time.sleep(600)
    if index == 2:
        os.write(2, b"a banner")
    if index == 3:
        raise BundleError("refused")
    if index == 4:
        raise ValueError("raw")
    return "harmless", ""

serve(attempt)
"""
