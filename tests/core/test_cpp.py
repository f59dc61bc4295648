"""The C++ tests of the core and of libourgan, plain and under sanitizers.

In one file, as one process then makes each build, and none waits for it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.building import built, call, run, why_no_c
from tests.fake_cuda import WAITS

CONCURRENT = ["thread", "pipeline_test", "parallel_test"]
"""In the names of tests, or of their files."""

CASES = 40
"""Of the fuzz, here; bench/capi.py runs as many as are asked for."""

LIBOURGAN = Path("..") / "libourgan" / "tests"
"""Where its programs are, from the core's."""

with_c = pytest.mark.skipif(bool(why_no_c()), reason=why_no_c())


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


@with_c
@pytest.mark.parametrize("programs", ["address,undefined", "thread"], indirect=True)
def test_libourgan(programs: Path, request: pytest.FixtureRequest) -> None:
    """Errors, nulls, limits, and threads that read, wait and are cancelled; for races those of threads."""
    words = ["thread"] if request.node.callspec.params["programs"] == "thread" else []
    # What GLib and libvips do among themselves would be misunderstood: they are built without it.
    run(
        programs / LIBOURGAN / "capi_test",
        *words,
        TSAN_OPTIONS="halt_on_error=1:ignore_noninstrumented_modules=1",
    )


@with_c
@pytest.mark.parametrize("programs", ["address,undefined"], indirect=True)
def test_libourgan_on_damaged_files(programs: Path) -> None:
    """Damaged bundles and photographs, odd arguments: a status each time, and no bad access."""
    told = dict(
        line.split() for line in run(programs / LIBOURGAN / "capi_fuzz", "1", str(CASES)).splitlines()
    )
    assert {"OK", "BundleError", "PhotographError"} <= told.keys()
    assert "InternalError" not in told
