"""The C++ unit tests of the core, plain and under sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def tool(name: str) -> str:
    """The program beside this Python, where the test requirements put it, or on the PATH."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert path is not None, f"{name} is missing: pip install {name}"
    return path


def run(*command: str | Path) -> None:
    environment = os.environ | {
        "ASAN_OPTIONS": "detect_leaks=1",
        "TSAN_OPTIONS": "halt_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"


@pytest.mark.skipif(sys.platform == "win32", reason="the sanitizers are those of GCC and Clang")
@pytest.mark.parametrize("sanitizers", ["", "address,undefined", "thread"])
def test_cpp(sanitizers: str, tmp_path: Path) -> None:
    """A race or a bad access that a sanitizer sees ends the test program with an error."""
    cmake, ninja = tool("cmake"), tool("ninja")
    run(
        cmake, "-S", ROOT, "-B", tmp_path, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}",
        "-DOURGAN_PYTHON=OFF", "-DOURGAN_TESTS=ON", "-DOURGAN_WERROR=ON", f"-DOURGAN_SANITIZE={sanitizers}",
    )  # fmt: skip
    run(cmake, "--build", tmp_path, "--parallel", "2")
    run(tmp_path / "csrc" / "tests" / "core_tests")
