"""libourgan beside Python: time and peak memory of an 8K canvas, and a long fuzz of its entry points.

Each read is a process of its own, from the file to the last band of 256 rows; the example in C writes what
it reads to /dev/null, and so does Python. Memory is what the process takes at most.

python -m bench.capi                          the sample bundle, 7680 x 4320
python -m bench.capi --source photo.jpg --size 15360x8640
python -m bench.capi --fuzz 100000            so many cases under AddressSanitizer, after one seed
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from ourgan_sdk import Box, Synthesizer
from ourgan_sdk.progress import progress_bar
from ourgan_sdk.sizes import parse_size
from ourgan_sdk.synthesizer import sample_bundle

ROOT = Path(__file__).parents[1]
ROWS = 256
_LOOK = 0.005
"""Seconds."""
PART = 500
"""Cases of the fuzz between two looks at how far it is."""


def main() -> None:
    """Build what is needed below build/, and print the table, or fuzz."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, help="a bundle or a photograph (default: the sample)")
    parser.add_argument("--size", type=parse_size, default=(7680, 4320))
    parser.add_argument("--repeat", type=int, default=3, help="the fastest of so many counts (default 3)")
    parser.add_argument("--fuzz", type=int, metavar="CASES")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzz (default 1)")
    parser.add_argument("--python", nargs=3, metavar=("SOURCE", "WIDTH", "HEIGHT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.python:
        source, width, height = options.python
        read_by_python(Path(source), int(width), int(height))
    elif options.fuzz:
        fuzz(options.fuzz, options.seed)
    else:
        compare(options.source or sample_bundle(), options.size, options.repeat)


def compare(source: Path, size: tuple[int, int], repeat: int) -> None:
    """Print the table."""
    width, height = map(str, size)
    example = build_example()
    commands = {
        "libourgan (examples/c)": [example, source, width, height, "/dev/null"],
        "Python": [sys.executable, "-m", "bench.capi", "--python", source, width, height],
    }
    print("| 7680 x 4320 by | seconds | peak memory, MB |".replace("7680 x 4320", f"{width} x {height}"))
    print("|---|---|---|")
    for name, command in commands.items():
        seconds, peak = min(measured(list(map(str, command))) for _ in range(repeat))
        print(f"| {name} | {seconds:.2f} | {peak / 1e6:.0f} |", flush=True)


def measured(command: list[str]) -> tuple[float, int]:
    """Seconds and the most bytes of memory that a process takes."""
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while (
        process.poll() is None
    ):  # not getrusage, whose maximum a process inherits from the one that started it
        peak = max(peak, memory_of(process.pid))
        time.sleep(_LOOK)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, peak


def memory_of(process: int) -> int:
    """Bytes that it has had at most until now; 0 once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) << 10 if found else 0


def read_by_python(source: Path, width: int, height: int) -> None:
    """What the example in C does."""
    with Synthesizer(source, structure="patches") as synthesizer, Path(os.devnull).open("wb") as file:
        canvas = synthesizer.canvas(width, height)
        for y in range(0, height, ROWS):
            file.write(canvas.read(Box(y, 0, min(y + ROWS, height), width)).data)


def fuzz(cases: int, seed: int) -> None:
    """Raise CalledProcessError for a bad access or an internal error; print how often each status came."""
    build = build_library("address,undefined", tests=True)
    program = build / "csrc" / "libourgan" / "tests" / "capi_fuzz"
    told: dict[str, int] = {}
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=1"}
    with progress_bar(cases, "fuzzing") as bar:
        for first in range(0, cases, PART):
            count = min(PART, cases - first)
            command = [str(program), str(seed * cases + first), str(count)]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            for name, calls in (line.split() for line in done.stdout.splitlines()):
                told[name] = told.get(name, 0) + int(calls)
            bar.update(count)
    print(f"{cases} cases: " + ", ".join(f"{calls} {name}" for name, calls in sorted(told.items())))


def build_library(sanitizers: str = "", *, tests: bool = False) -> Path:
    """The folder of its build."""
    folder = ROOT / "build" / f"libourgan{'-checked' if sanitizers else ''}"
    options = [
        "-DOURGAN_PYTHON=OFF",
        "-DOURGAN_C=ON",
        f"-DOURGAN_TESTS={'ON' if tests else 'OFF'}",
        f"-DOURGAN_SANITIZE={sanitizers}",
    ]
    cmake("-S", ROOT, "-B", folder, *options)
    cmake("--build", folder, "--parallel")
    return folder


def build_example() -> Path:
    """The program of examples/c, against the library as it is installed."""
    prefix, folder = ROOT / "build" / "installed", ROOT / "build" / "example-c"
    cmake("--install", build_library(), "--prefix", prefix, "--component", "c")
    cmake("-S", ROOT / "examples" / "c", "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}")
    cmake("--build", folder)
    return folder / "render"


def cmake(*arguments: str | Path) -> None:
    """Run it quietly."""
    subprocess.run(["cmake", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
