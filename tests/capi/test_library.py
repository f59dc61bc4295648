"""The library as C and Rust programs find it, and what it exports."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.building import ROOT, built, call, run, tool, why_no_c

pytestmark = pytest.mark.skipif(bool(why_no_c()), reason=why_no_c())

SIZE = "150", "101"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library, its header and its packages were installed."""
    prefix = tmp_path_factory.mktemp("installed")
    build = built(tmp_path_factory)
    run(tool("cmake"), "--install", build, "--prefix", prefix, "--component", "c")
    return prefix


@pytest.fixture(scope="module")
def picture(installed: Path, tmp_path_factory: pytest.TempPathFactory, photograph_file: Path) -> bytes:
    """What the C example renders."""
    folder = tmp_path_factory.mktemp("c")
    cmake, ninja = tool("cmake"), tool("ninja")
    run(
        cmake, "-S", ROOT / "examples" / "c", "-B", folder, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}",
        f"-DCMAKE_PREFIX_PATH={installed}", "-DCMAKE_C_FLAGS=-Wall -Wextra -pedantic -Werror",
    )  # fmt: skip
    run(cmake, "--build", folder)
    run(folder / "render", photograph_file, *SIZE, folder / "whole.ppm", "3")
    run(folder / "render", photograph_file, *SIZE, folder / "part.ppm", "3", "20", "30", "90", "131")
    whole, part = (pixels_of((folder / f"{name}.ppm").read_bytes()) for name in ("whole", "part"))
    assert part == b"".join(whole[3 * (150 * y + 30) : 3 * (150 * y + 131)] for y in range(20, 90))
    refused = call(folder / "render", photograph_file, "90000", "90000", folder / "large.ppm")
    assert refused.returncode == 1
    assert "give an extent of at least" in refused.stderr
    assert not (folder / "large.ppm").exists()
    whole_file = (folder / "whole.ppm").read_bytes()
    for words, told in (
        (["abc"], "whole number"),
        (["3x"], "whole number"),
        (["3", "0", "0", "102", "9"], "within 101 x 150"),
        (["3", "5", "0", "5", "9"], "not empty"),
    ):
        refused = call(folder / "render", photograph_file, *SIZE, folder / "whole.ppm", *words)
        assert refused.returncode == 2
        assert told in refused.stderr
    unwritten = call(folder / "render", photograph_file, *SIZE, folder / "missing" / "a.ppm")
    assert unwritten.returncode == 1
    (folder / "directory").mkdir()
    assert call(folder / "render", photograph_file, *SIZE, folder / "directory").returncode == 1
    assert (folder / "directory").is_dir()
    assert (folder / "whole.ppm").read_bytes() == whole_file
    assert not list(folder.glob("*.part"))
    return (folder / "whole.ppm").read_bytes()


@pytest.fixture(scope="module")
def photograph_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny import write_photo  # noqa: PLC0415 - which needs torch

    return write_photo(tmp_path_factory.mktemp("photograph") / "hills.png", 100, 150)


def pixels_of(ppm: bytes) -> bytes:
    return ppm.split(b"\n", 3)[3]


def test_exports_its_functions_alone(installed: Path) -> None:
    library = next(installed.rglob("libourgan.so"))
    symbols = [line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()]
    declared = {
        word.split("(")[0].lstrip("*")
        for line in (installed / "include" / "ourgan.h").read_text().splitlines()
        if line.startswith("OURGAN_API")
        for word in line.split()
        if "(" in word
    }
    assert {symbol.split("@")[0] for symbol in symbols} - {"OURGAN_1"} == declared
    assert "libourgan.so.1" in run("readelf", "-d", library)


def test_c_example(picture: bytes, photograph_file: Path) -> None:
    from ourgan_sdk import Synthesizer  # noqa: PLC0415

    with Synthesizer(photograph_file, threads=1) as synthesizer:
        expected = synthesizer.render(*map(int, SIZE), seed=3)
    assert picture == b"P6\n150 101\n255\n" + expected.tobytes()


def test_rust_example(installed: Path, picture: bytes, photograph_file: Path, tmp_path: Path) -> None:
    """By two threads that share a canvas."""
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("needs cargo")
    folder = next(installed.rglob("ourgan.pc")).parent
    shutil.copytree(
        ROOT / "examples" / "rust", tmp_path / "rust", ignore=shutil.ignore_patterns("target", "Cargo.lock")
    )
    manifest = tmp_path / "rust" / "Cargo.toml"
    run(cargo, "build", "--offline", "--quiet", "--manifest-path", manifest, PKG_CONFIG_PATH=str(folder))
    run(tmp_path / "rust" / "target" / "debug" / "render", photograph_file, *SIZE, tmp_path / "r.ppm", "3")
    assert (tmp_path / "r.ppm").read_bytes() == picture


def test_header_is_for_c_and_cpp(installed: Path, tmp_path: Path) -> None:
    for name, compiler in (("a.c", "cc"), ("a.cpp", "c++")):
        source = tmp_path / name
        source.write_text(
            "#include <ourgan.h>\nint main(void) { return ourgan_abi_version() != OURGAN_ABI_VERSION; }\n"
        )
        standard = "-std=c99" if name == "a.c" else "-std=c++11"
        flags = [standard, "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{installed / 'include'}"]
        done = subprocess.run([compiler, *flags, "-fsyntax-only", source], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
