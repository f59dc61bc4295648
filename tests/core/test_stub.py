"""The stub of the compiled core is the one that its generator makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STUB = Path(__file__).parents[2] / "ourgan_sdk" / "_core.pyi"


def test_stub_is_current(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pybind11_stubgen", "ourgan_sdk._core", "-o"]
    subprocess.run([*command, str(tmp_path)], check=True, capture_output=True)
    generated = (tmp_path / "ourgan_sdk" / "_core.pyi").read_text()
    assert STUB.read_text() == generated, f"_core.pyi is stale, run: {' '.join(command[1:])} ."
