"""The C++ unit tests of the core, plain and under sanitizers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.building import built, call, run
from tests.fake_cuda import WAITS

CONCURRENT = ["thread", "pipeline_test", "parallel_test"]
"""In the names of tests, or of their files."""


@pytest.fixture(scope="module", params=["", "address,undefined", "thread"])
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the test programs, built with the sanitizers that the parameter names."""
    if sys.platform == "win32":
        pytest.skip("the sanitizers are those of GCC and Clang")
    return built(tmp_path_factory, request.param) / "csrc" / "tests"


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
