"""Thousands of small renders in one process, and several at once within one limit: what memory that takes.

python -m bench.flat [--renders 4000] [--output docs]    prints numbers; writes memory.svg

Every render is of another seed and size: into arrays and files, of detail from the photograph and by
networks, read in parts, cancelled, by synthesizers that are opened and closed again.
"""

import argparse
import itertools
import multiprocessing
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from matplotlib.figure import Figure

from ourgan_sdk import RenderTimeoutError, Synthesizer, learn, set_limits

SUFFIXES = (".png", ".tif", ".jpg", ".npy")
EVERY = 20
"""Renders between two measurements."""
AT_ONCE = 4
LIMIT = 128 << 20
LARGE = (1600, 900)
"""(width, height) of what is rendered at once."""
MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.flat", description="Is memory flat?")
    parser.add_argument("photograph", nargs="?", type=Path, help="(default: one that is made up)")
    parser.add_argument("--renders", type=int, default=4000)
    parser.add_argument("--output", type=Path, help="a folder for memory.svg")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photograph = options.photograph or _make_photograph(folder / "hills.png")
        print(f"{AT_ONCE} renders of {LARGE[0]} x {LARGE[1]} at once, memory_limit {LIMIT // MIB} MiB each:")
        for limits in ({}, {"memory": LIMIT}, {"renders": 1}):
            print(f"  set_limits({limits}): {_peak_of(photograph, limits) / MIB:.0f} MiB more than before")
        numbers = list(_render_many(photograph, folder, options.renders))
    counts, memory, descriptors, threads = (np.array(column) for column in zip(*numbers, strict=True))
    half = len(counts) // 2
    slope = np.polyfit(counts[half:], memory[half:], 1)[0]
    print(
        f"{options.renders} renders: {memory[0]:.0f} MiB after the first {counts[0]}, {memory[-1]:.0f} at the"
    )
    print(f"end, {memory.max():.0f} at most; in the second half {1024 * slope:.2f} KiB more per render;")
    print(
        f"descriptors {descriptors.min()} to {descriptors.max()}, threads {threads.min()} to {threads.max()}"
    )
    if options.output:
        _plot(counts, memory, descriptors, options.output / "memory.svg")


def _make_photograph(path: Path) -> Path:
    import pyvips  # noqa: PLC0415 - only here

    random = np.random.default_rng(0)
    rows = np.linspace(0, 1, 640)[:, None, None]
    ground = random.integers(20, 90, (160, 240, 3)).repeat(4, 0).repeat(4, 1)
    sky = np.array([200, 210, 240]) * (1 - 0.4 * rows) + np.zeros((640, 960, 1))
    picture = np.where(rows < 0.55, sky, ground).astype(np.uint8)
    pyvips.Image.new_from_memory(picture, 960, 640, 3, "uchar").pngsave(str(path))
    return path


def _render_many(photograph: Path, folder: Path, renders: int) -> Iterator[tuple[int, float, int, int]]:
    """(renders so far, MiB of memory, descriptors, threads), now and then."""
    process = psutil.Process()
    bundle = learn(photograph)
    kinds = [Synthesizer(bundle, detail=detail) for detail in ("photograph", "network")]
    work = itertools.cycle((_whole, _file, _part, _cancelled, _opened_anew))
    for number in range(1, renders + 1):
        next(work)(kinds[number % len(kinds)], number, folder)
        if number % EVERY == 0:
            memory = process.memory_info().rss / MIB
            if number % (EVERY * EVERY) == 0:
                print(f"  {number} renders: {memory:.0f} MiB", flush=True)
            yield number, memory, process.num_fds(), process.num_threads()


def _size(number: int) -> tuple[int, int]:
    return 64 + 37 * number % 97, 48 + 29 * number % 61


def _whole(synthesizer: Synthesizer, number: int, _folder: Path) -> None:
    synthesizer.render(*_size(number), number)


def _file(synthesizer: Synthesizer, number: int, folder: Path) -> None:
    synthesizer.render(*_size(number), number, out=folder / f"picture{SUFFIXES[number // 5 % 4]}")


def _part(synthesizer: Synthesizer, number: int, _folder: Path) -> None:
    canvas = synthesizer.canvas(*_size(number), number)
    assert canvas[10:30, 20:40].shape == (20, 20, 3)
    canvas.thumbnail(32)


def _cancelled(synthesizer: Synthesizer, number: int, folder: Path) -> None:
    try:
        synthesizer.render(2000, 1500, number, out=folder / "cancelled.png", timeout=0.02)
    except RenderTimeoutError:
        return


def _opened_anew(synthesizer: Synthesizer, number: int, _folder: Path) -> None:
    with Synthesizer(synthesizer.bundle, detail="network" if number % 2 else "photograph") as other:
        other.render(*_size(number), number)


def _peak_of(photograph: Path, limits: dict[str, int]) -> int:
    """Bytes, beyond what the process has before, that renders by networks take in another process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_render_at_once, photograph, limits).result()


def _render_at_once(photograph: Path, limits: dict[str, int]) -> int:
    set_limits(**limits)
    synthesizer = Synthesizer(photograph, detail="network", memory_limit=LIMIT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthesizer.render(64, 48, out=folder / "warm.npy")
        process, peaks, is_over = psutil.Process(), [0], threading.Event()
        before = process.memory_info().rss

        def watch() -> None:
            while not is_over.wait(0.01):
                peaks[0] = max(peaks[0], process.memory_info().rss - before)

        watcher = threading.Thread(target=watch)
        watcher.start()
        _all_at_once(
            lambda seed: synthesizer.render(*LARGE, seed, out=folder / f"{seed}.npy"), range(AT_ONCE)
        )
        is_over.set()
        watcher.join()
    return peaks[0]


def _all_at_once(call: Callable[[int], object], seeds: range) -> None:
    threads = [threading.Thread(target=call, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _plot(counts: np.ndarray, memory: np.ndarray, descriptors: np.ndarray, path: Path) -> None:
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(counts, memory, color="tab:blue", linewidth=1)
    axes.set(xlabel="renders in one process", ylabel="memory, MiB", ylim=(0, 1.25 * memory.max()))
    other = axes.twinx()
    other.plot(counts, descriptors, color="tab:orange", linewidth=1)
    other.set(ylabel="open descriptors", ylim=(0, 4 * descriptors.max()))
    axes.yaxis.label.set_color("tab:blue")
    other.yaxis.label.set_color("tab:orange")
    figure.savefig(path, metadata={"Date": None})
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
