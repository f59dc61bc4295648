"""A cluster on this machine against one process, and on paper, how far more machines would get.

python -m bench.cluster photo.jpg                    one gigapixel into OME-Zarr: one process of two threads
                                                     and two workers of one, in turns; every file compared
python -m bench.cluster photo.jpg --kill             a worker is killed in the middle
python -m bench.cluster photo.jpg --pixels 1e8       a trial
python -m bench.cluster photo.jpg --simulate         what tasks cost, and from that tables for up to 100
                                                     gigapixels and 1,000 workers

Takes a few gigabytes in --folder.
"""

import argparse
import functools
import hashlib
import json
import math
import os
import pickle
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.processes import measure, peak_memory, report
from ourgan_sdk import Canvas, RenderStats, SizeError, Synthesizer
from ourgan_sdk.cluster import local_workers, save
from ourgan_sdk.cluster.jobs import Job
from ourgan_sdk.cluster.outputs import Zarr
from ourgan_sdk.cluster.pyramid import Pyramid
from ourgan_sdk.cluster.reference import refer_to
from ourgan_sdk.writers.base import Properties
from ourgan_sdk.writers.ome_zarr import zarr_layout

GIGAPIXEL = 46336, 23168
EXTENT = 11.31
THREADS = 2
WORKERS = (1, 10, 100, 1000)
PIXELS = (1, 3, 10, 30, 100)

NETWORK = 1.25
"""Gigabytes per second of every machine's connection, on paper: 10 Gbit/s."""

DISK = 2.0
"""Gigabytes per second that the shared disk writes, and reads, on paper."""

MACHINE = 16
"""Threads of a machine, on paper: the field is found by those of one, and each reads the base once."""

MESSAGES = 5
"""Of a task: it is handed in, sent to a worker, has ended, which is told to who asked, who lets it go."""


def main() -> None:
    """Compare, or simulate, as the options say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--pixels", type=float, default=math.prod(GIGAPIXEL))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="on a disk with room for both pictures")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--run", choices=("one", "many"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        run(options)
    elif options.simulate:
        simulate(options.photo)
    else:
        compare(options)


def canvas_of(photo: Path, pixels: float, threads: int = THREADS) -> Canvas:
    """The gigapixel, or as many pixels of the same scale."""
    share = math.sqrt(pixels / math.prod(GIGAPIXEL))
    width, height = (round(side * share) for side in GIGAPIXEL)
    return Synthesizer(photo, threads=threads).canvas(width, height, seed=1, extent=EXTENT * share)


def compare(options: argparse.Namespace) -> None:
    """Render both ways, in turns, and print what they took."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        hashes: dict[str, str] = {}
        seconds: dict[str, list[dict[str, Any]]] = {"one": [], "many": []}
        for index in range(options.rounds):
            for way in ("one", "many") if index % 2 == 0 else ("many", "one"):
                arguments = [options.photo, "--pixels", options.pixels, "--folder", name, "--run", way]
                result = measure("bench.cluster", *arguments, *(["--kill"] if options.kill else []))
                seconds[way].append(result)
                picture = Path(name, f"{way}.zarr")
                files = hashes_of(picture)
                shutil.rmtree(picture)
                hashes |= {f"{way} {index}": hashlib.sha256(json.dumps(files).encode()).hexdigest()}
                print(f"{way}: {len(files)} files, {json.dumps(result)}", flush=True)
    print("bytes equal" if len(set(hashes.values())) == 1 else f"DIFFERENT BYTES: {hashes}")
    print(
        "| | seconds | of them the field | start of workers | without field and start "
        "| seconds of processors | memory of a process, GB |"
    )
    print("|---|---|---|---|---|---|---|")
    rest = {}
    for way, results in seconds.items():
        middle = {key: statistics.median(one[key] for one in results) for key in results[0]}
        rest[way] = middle["seconds"] - middle["field"] - middle["start"]
        print(
            f"| {way} | {middle['seconds']:.1f} | {middle['field']:.1f} | {middle['start']:.1f} | "
            f"{rest[way]:.1f} | {middle['processor']:.1f} | {middle['memory']:.2f} |"
        )
    whole = [statistics.median(one["seconds"] for one in seconds[way]) for way in ("many", "one")]
    print(
        f"overhead: {100 * (whole[0] / whole[1] - 1):.0f} % in all, "
        f"{100 * (rest['many'] / rest['one'] - 1):.0f} % without field and start"
    )


def hashes_of(folder: Path) -> dict[str, str]:
    """Of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(options: argparse.Namespace) -> None:
    """One render, in a process of its own, which reports."""
    canvas = canvas_of(options.photo, options.pixels)
    path = options.folder / f"{options.run}.zarr"
    if options.run == "one":
        report(lambda: in_one_process(canvas, path))
    else:
        report(lambda: by_workers(canvas, path, kill=options.kill))


def in_one_process(canvas: Canvas, path: Path) -> dict[str, Any]:
    """By `Canvas.save`."""
    started = time.perf_counter()
    canvas.find_base()
    field = time.perf_counter() - started
    canvas.save(path)
    return {"field": field, "start": 0.0, "processor": processor(), "memory": peak_memory(), "killed": 0}


def by_workers(canvas: Canvas, path: Path, *, kill: bool) -> dict[str, Any]:
    """By workers of one thread each; `kill` one of them when half is done."""
    started, stats = time.perf_counter(), RenderStats()
    killed: list[int] = []

    def watch(done: int, total: int) -> None:
        if kill and not killed and total - done < canvas.width * canvas.height / 2:
            killed.append(worker)
            os.kill(worker, signal.SIGKILL)

    with local_workers(THREADS, THREADS) as client:
        worker = next(iter(client.run(os.getpid).values()))
        start = time.perf_counter() - started
        save(canvas, path, client, progress=watch, stats=stats)
        memory = max(client.run(peak_memory).values())
        work = processor() + sum(client.run(processor).values())
    return {
        "field": stats.field_seconds,
        "start": start,
        "processor": work,
        "memory": memory,
        "killed": len(killed),
    }


def processor() -> float:
    """Seconds that the threads of this process have worked."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True)
class Costs:
    """What was measured, in seconds of a processor, and bytes."""

    opening: float
    """A canvas, with its base."""
    block: float
    """Rendering one of the finest level, and writing it."""
    merging: float
    block_bytes: float
    """Of its file."""
    half_bytes: int
    """That one block hands on to the next level."""
    field: float
    """Per pixel of the base."""
    base_bytes: float
    """Per pixel of the base."""
    task: float
    """One that does nothing: of the scheduler and of whoever hands it in."""
    task_bytes: int


def simulate(photo: Path) -> None:
    """Measure what things cost, and print what follows."""
    costs = measured(photo)
    print(f"measured on {psutil.cpu_count()} processors: {costs}\n")
    print(
        "| gigapixels | tasks | base, GB | threads | field, s | sending the base, s | workers, s | "
        "scheduler, s | disk, s | in all, s | efficiency | messages/s | what limits it |"
    )
    print(f"|{13 * '---|'}")
    for gigapixels in PIXELS:
        for workers in WORKERS:
            print(row(photo, costs, gigapixels, workers))


def measured(photo: Path) -> Costs:
    """What one gigapixel's blocks cost here."""
    canvas = canvas_of(photo, 2e8, threads=1)
    started = time.process_time()
    base = canvas.find_base()
    field = time.process_time() - started
    height, width, _ = canvas.levels[-1].shape
    reference = refer_to(canvas)
    with tempfile.TemporaryDirectory() as name:
        output = Zarr(
            Properties(canvas.width, canvas.height, canvas.dtype, 95, False, None, canvas.description)
        )
        job = Job(Path(name, "picture.zarr"), Path(name), "picture", output, reference.token)
        job.begin(reference, base)
        opening = seconds_of(job.canvas)
        leaves = list(output.pyramid.leaves())
        halves = [half for half in map(job.render, leaves[:4]) if half is not None]
        block = statistics.median(seconds_of(functools.partial(job.render, one)) for one in leaves[:4])
        merging = seconds_of(functools.partial(job.merge, output.pyramid.made_of(leaves[0]), *halves))
        file = Path(name, "picture", "0", "c", "0", "0", "0").stat().st_size
        task_bytes = len(pickle.dumps((job, leaves[0])))
    return Costs(
        opening,
        block,
        merging,
        file,
        halves[0].nbytes,
        field / (height * width),
        sum(array.nbytes for array in base.values()) / (height * width),
        scheduling(),
        task_bytes,
    )


def seconds_of(call: Callable[[], object]) -> float:
    """Of processors, that a call takes: what else the machine does counts little."""
    started = time.process_time()
    call()
    return time.process_time() - started


def scheduling(count: int = 2000) -> float:
    """Seconds per task, of tasks that do nothing: of the process of the scheduler and of whoever asks."""
    with local_workers(1, 1) as client:
        client.submit(int, pure=False).result()
        started = time.process_time()
        client.gather([client.submit(int, index, key=("nothing", index)) for index in range(count)])
        return (time.process_time() - started) / count


def row(photo: Path, costs: Costs, gigapixels: float, workers: int) -> str:
    """A line of the table: a picture, and how many threads of workers."""
    pixels = gigapixels * math.prod(GIGAPIXEL)
    height, width = (round(side * math.sqrt(gigapixels)) for side in GIGAPIXEL[::-1])
    pyramid = Pyramid([(one.height, one.width) for one in zarr_layout(height, width)], Zarr.SIDE)
    leaves = math.prod(pyramid.grid(0))
    base = pixels / 64  # three levels below the picture
    size = base * costs.base_bytes / 1e9
    at_work = min(workers, leaves)
    sent = size * -(-at_work // MACHINE)
    before = {"field": costs.field * base / MACHINE, "base": max(sent / DISK, size / NETWORK)}
    meanwhile = {
        "workers": (leaves * costs.block + (pyramid.blocks - leaves) * costs.merging) / at_work,
        "scheduler": pyramid.blocks * costs.task,
        "disk": 4 / 3 * leaves * costs.block_bytes / 1e9 / DISK,
    }
    slowest = max(meanwhile.values())
    whole = sum(before.values()) + costs.opening + slowest
    times = before | meanwhile
    try:
        canvas_of(photo, pixels)
        structure = ""
    except SizeError:
        structure = "structure; "
    return (
        f"| {gigapixels:g} | {pyramid.blocks} | {size:.1f} | {workers} | "
        f"{' | '.join(f'{seconds:.1f}' for seconds in times.values())} | {whole:.0f} | "
        f"{100 * meanwhile['workers'] / whole:.0f} % | {MESSAGES * pyramid.blocks / slowest:.0f} | "
        f"{structure}{max(times, key=lambda name: times[name])} |"
    )


if __name__ == "__main__":
    main()
