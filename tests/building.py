"""The C++ tests and libourgan, built once per set of sanitizers, by whichever test needs them first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tool(name: str) -> str:
    """The program beside this Python, where the test requirements put it, or on the PATH."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert path is not None, f"{name} is missing: pip install {name}"
    return path


def call(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "ASAN_OPTIONS": "detect_leaks=1",
        "TSAN_OPTIONS": "halt_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=False)


def run(*command: str | Path, **variables: str) -> str:
    """What the command prints; it has to succeed."""
    done = call(*command, **variables)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def why_no_c() -> str:
    """Why libourgan cannot be built here; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "libourgan's tests are for Linux"
    if shutil.which("pkg-config") is None:
        return "needs pkg-config (apt install pkg-config)"
    for module, package in (("vips >= 8.14", "libvips-dev"), ("nlohmann_json >= 3.9", "nlohmann-json3-dev")):
        if subprocess.run(["pkg-config", "--exists", module], check=False).returncode:
            return f"needs {module} (apt install {package})"
    return ""


_whole: set[Path] = set()


def built(factory: pytest.TempPathFactory, sanitizers: str = "") -> Path:
    """The folder of a build of all but the Python module, with sanitizers such as "address,undefined".

    The environment variable OURGAN_BUILDS names a folder that keeps builds from one run of tests to the next.
    """
    import fcntl  # noqa: PLC0415 - which Windows has not

    folder = _builds(factory) / f"cpp-{sanitizers.replace(',', '-') or 'plain'}"  # linkers split at commas
    folder.mkdir(parents=True, exist_ok=True)
    if folder not in _whole:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _build(folder, sanitizers)
        _whole.add(folder)
    return folder


def _builds(factory: pytest.TempPathFactory) -> Path:
    """Where all processes of this run of tests have them."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return Path(os.environ.get("OURGAN_BUILDS", shared)).absolute()


def _build(folder: Path, sanitizers: str) -> None:
    """Takes a moment where another process has done it."""
    cmake, ninja = tool("cmake"), tool("ninja")
    run(
        cmake, "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}",
        "-DOURGAN_PYTHON=OFF", "-DOURGAN_TESTS=ON", "-DOURGAN_WERROR=ON",
        f"-DOURGAN_C={'OFF' if why_no_c() else 'ON'}", f"-DOURGAN_SANITIZE={sanitizers}",
    )  # fmt: skip
    run(cmake, "--build", folder, "--parallel", "2")
