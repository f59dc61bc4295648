"""A photograph in, a picture out: whole commands, started anew each time, with what they take.

python -m bench.instant PHOTO [--megapixels 24] [--repetitions 3]

The photograph is resized to so many megapixels first, as a JPEG of quality 95. Times are of the whole
process, Python's start included; memory is its peak.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pyvips


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo, out = Path(folder) / "photo.jpg", Path(folder) / "out"
        size = resize(options.photo, photo, options.megapixels)
        print(f"{options.photo.name}, resized to {size}\n")
        print("| command | seconds, median (from, to) | peak memory, GB |\n|---|---|---|")
        commands: list[list[str | Path]] = [
            ["learn", photo, "-o", out.with_suffix(".ourgan")],
            ["render", photo, "8192x4320", "-o", out.with_suffix(".png")],
            ["preview", photo, "-o", out.with_suffix(".jpg")],
        ]
        for command in commands:
            print(row(command, options.repetitions), flush=True)


def resize(photo: Path, target: Path, megapixels: float) -> str:
    """Write `photo` with so many pixels to `target`; returns its size."""
    image = pyvips.Image.new_from_file(str(photo))
    image = image.resize((megapixels * 1e6 / (image.width * image.height)) ** 0.5)
    image.jpegsave(str(target), Q=95)
    return f"{image.width} x {image.height}"


def row(command: list[str | Path], repetitions: int) -> str:
    """The table's line of one `ourgan` command."""
    seconds, megabytes = [], 0.0
    for _ in range(repetitions):
        started = time.perf_counter()
        megabytes = max(megabytes, peak([sys.executable, "-m", "ourgan_sdk.cli", *map(str, command)]))
        seconds.append(time.perf_counter() - started)
    shown = " ".join(word.name if isinstance(word, Path) else word for word in command)
    return (
        f"| `ourgan {shown}` | {median(seconds):.1f} ({min(seconds):.1f}, {max(seconds):.1f}) "
        f"| {megabytes / 1000:.2f} |"
    )


def peak(command: list[str]) -> float:
    """Run a command; its peak memory in megabytes. Raises CalledProcessError if it fails."""
    # In a process between, whose children are this command alone.
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], check=True, stdout=subprocess.PIPE)
    return int(done.stdout) * 1024 / 1e6


if __name__ == "__main__":
    main()
