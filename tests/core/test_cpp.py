"""The C++ unit tests of the core, plain and under sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_cuda import WAITS

ROOT = Path(__file__).parents[2]
CONCURRENT = ["thread", "pipeline_test", "parallel_test"]
"""In the names of tests, or of their files."""


def tool(name: str) -> str:
    """The program beside this Python, where the test requirements put it, or on the PATH."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert path is not None, f"{name} is missing: pip install {name}"
    return path


def call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "ASAN_OPTIONS": "detect_leaks=1",
        "TSAN_OPTIONS": "halt_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def run(*command: str | Path) -> None:
    done = call(*command)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module", params=["", "address,undefined", "thread"])
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the test programs, built with the sanitizers that the parameter names."""
    if sys.platform == "win32":
        pytest.skip("the sanitizers are those of GCC and Clang")
    folder = tmp_path_factory.mktemp("build")
    cmake, ninja = tool("cmake"), tool("ninja")
    run(
        cmake, "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}",
        "-DOURGAN_PYTHON=OFF", "-DOURGAN_TESTS=ON", "-DOURGAN_WERROR=ON",
        f"-DOURGAN_SANITIZE={request.param}",
    )  # fmt: skip
    run(cmake, "--build", folder, "--parallel", "2")
    return folder / "csrc" / "tests"


@pytest.mark.parametrize("program", ["core_tests", "cuda_test", "timeline_test"])
def test_cpp(programs: Path, program: str, request: pytest.FixtureRequest) -> None:
    """A race or a bad access that a sanitizer sees ends a program with an error.

    Where races are looked for, which takes ten times as long, the core's tests of one thread are left out.
    """
    sanitizer = request.node.callspec.params["programs"]
    words = CONCURRENT if (sanitizer, program) == ("thread", "core_tests") else []
    run(programs / program, *words)


@pytest.mark.parametrize("programs", ["thread"], indirect=True)
@pytest.mark.parametrize("wait", WAITS)
def test_a_missing_wait_is_a_data_race(programs: Path, wait: str) -> None:
    """The pipeline's three waits are all there is between its memory and the device's copies and kernels."""
    done = call(programs / "cuda_test", str(WAITS[wait]))
    assert done.returncode != 0
    assert "ThreadSanitizer: data race" in done.stderr
