"""Bundle -> the same bundle with TensorRT engines in it.

python export/to_trt.py photo.ourgan     writes them into photo.ourgan
python export/to_trt.py                  into the newest bundle of trainers.fit here, or a copy of the sample
python export/to_trt.py photo.ourgan --precision bf16 --memory 6GiB --gpu sm86,sm89

Every upscaler becomes two engines, for pictures of 8 bits and of 16 bits, each for windows of any size up to
the largest with which a render stays within the memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if __package__ in (None, ""):  # run as a script: the checkout's root is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.plans import BuiltPlan, PlanBuilder, check_gpu, pick_capabilities
from ourgan_sdk import Bundle, BundleError, EngineError, OurganError, OutputError, SizeError
from ourgan_sdk.bundle import EngineRecord, Manifest, Window, add_engines
from ourgan_sdk.bundle.replacing import FORCE_HELP, check_replaceable_bundle
from ourgan_sdk.engines.gpu_memory import (
    bytes_per_pixel,
    memory_of_render,
    resized,
    slot_bytes,
    smallest_window,
)
from ourgan_sdk.engines.graphs.precision import convert_upscaler, float_type
from ourgan_sdk.engines.own_plans import remember_plan
from ourgan_sdk.engines.protocol import PRECISIONS, Precision
from ourgan_sdk.engines.tensorrt import RUNTIMES, Runtime
from ourgan_sdk.errors import EngineUnavailableError
from ourgan_sdk.progress import reporting
from ourgan_sdk.sizes import check_bytes, parse_size
from ourgan_sdk.synthesizer import sample_bundle
from ourgan_sdk.system.cache import cache_folder
from ourgan_sdk.system.memory import LARGEST_MEMORY_LIMIT
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.signals import Terminated, ended_by_signals, ignore_signals
from ourgan_sdk.system.streams import say, steady_streams, warn

MEMORY = 3 << 30  # bytes, what a card of 4 GB has to spare
RESERVE = 1 << 30  # of a card's memory, for its desktop and for CUDA itself
CARDS = (4, 6, 8, 12)  # GB
STEP = 32  # pixels; the sides of the largest windows are multiples of it
LARGEST = 2048  # pixels; longer sides spare hardly anything: two halos are a few percent of them
TRIAL = 256  # pixels

Engines = list[tuple[EngineRecord, BuiltPlan]]


@dataclass(frozen=True)
class Job:
    """What to build, into which bundle. ``window`` is the only one that engines are for, None for many."""

    bundle: Bundle
    builder: PlanBuilder
    precision: Precision
    window: Window | None
    memory: int

    @property
    def manifest(self) -> Manifest:
        """The bundle's."""
        return self.bundle.manifest

    @property
    def files(self) -> list[str]:
        """The upscalers' networks."""
        return list(dict.fromkeys(upscaler.file for upscaler in self.manifest.upscalers))

    @property
    def outputs(self) -> list[str]:
        """The types of pixels that each needs an engine for."""
        return ["uint8", float_type(self.precision).name]

    @property
    def smallest_side(self) -> int:
        """Below this, the largest windows would not hold all upscalers' halos."""
        return max(smallest_window(upscaler).height for upscaler in self.manifest.upscalers)

    def build(self, largest: Window, outputs: Sequence[str], advance: Callable[[int], object]) -> Engines:
        """All upscalers' engines, for windows of up to that size; ``advance`` is called after each."""
        engines = []
        for file in self.files:
            network = self.bundle.network(file).data
            smallest = self.window or self._smallest_window(file)
            size = (self.window.height, self.window.width) if self.window else None
            for output in outputs:
                typed = convert_upscaler(network, self.precision, np.dtype(output), size)
                plan = self.builder.build(typed, smallest, largest)
                engines.append((self._record(file, output, plan, smallest, largest), plan))
                advance(1)
        return engines

    def _smallest_window(self, file: str) -> Window:
        windows = [smallest_window(upscaler) for upscaler in self.manifest.upscalers if upscaler.file == file]
        return min(windows, key=lambda window: window.height)

    def _record(
        self, file: str, output: str, plan: BuiltPlan, smallest: Window, largest: Window
    ) -> EngineRecord:
        """What the bundle says of a plan."""
        runtime = self.builder.runtime
        return EngineRecord.model_validate(
            {
                "file": f"engines/{runtime.name}/{file.removesuffix('.onnx')}-{self.precision}-{output}.plan",
                "network": file,
                "network_sha256": self.manifest.files[file].sha256,
                "runtime": runtime.name,
                "version": runtime.version(),
                "precision": self.precision,
                "output": output,
                "compute_capabilities": self.builder.capabilities,
                "smallest_window": smallest,
                "window": largest,
                "activation_bytes": plan.activation_bytes,
            }
        )


def build_engines(job: Job, advance: Callable[[int], object]) -> Engines:
    """All engines.

    Where no window is asked for, the memory that small engines take says how large windows may be; less is
    tried if those that were built take more.
    """
    if job.window is not None:
        return job.build(job.window, job.outputs, advance)
    side = max(TRIAL, job.smallest_side)
    trial = job.build(Window(height=side, width=side), job.outputs[1:], advance)
    budget = job.memory
    while True:
        engines = job.build(largest_window(job, trial, budget), job.outputs, advance)
        used = memory_of_render(job.manifest, [record for record, _ in engines], weights(engines))
        if used <= job.memory:
            return engines
        budget = budget * job.memory // used


def largest_window(job: Job, trial: Engines, budget: int) -> Window:
    """The largest square window with which a render takes ``budget`` bytes of the GPU's memory at most.

    ``trial`` holds one engine of each upscaler, of two that there will be.

    Raises:
        EngineError: There is none that holds all halos.
    """
    first = -(-job.smallest_side // STEP) * STEP
    for side in range(max(LARGEST, first), first - 1, -STEP):
        window = Window(height=side, width=side)
        records = [resized(record, window) for record, _ in trial]
        if memory_of_render(job.manifest, records, 2 * weights(trial)) <= budget:
            return window
    raise EngineError(
        "engines of this bundle do not fit into so little of the GPU's memory: allow more, or choose a small "
        "window"
    )


def weights(engines: Engines) -> int:
    """Bytes of the GPU's memory that the engines take by themselves."""
    return sum(len(plan.data) for _, plan in engines)


def write_engines(job: Job, engines: Engines, target: Path) -> Bundle:
    """Writes the plans into the bundle, or into a copy of it as ``target``; this user may load them."""
    for _, plan in engines:
        remember_plan(plan.data, cache_folder())
    return add_engines(job.bundle, [(record, plan.data) for record, plan in engines], target)


def table(engines: Engines) -> str:
    """What was built, and the largest square window that each engine could have on cards of several sizes."""
    header = ["engine", "windows", "size", "built in", "activations", *(f"{card} GB card" for card in CARDS)]
    rows = [header]
    for record, plan in engines:
        pixel = bytes_per_pixel(record) + slot_bytes(record)
        free = [(card << 30) - RESERVE - len(plan.data) for card in CARDS]
        rows.append(
            [
                f"{record.network.removesuffix('.onnx')} {record.precision} {record.output}",
                f"{'' if record.smallest_window == record.window else 'to '}"
                f"{record.window.width}x{record.window.height}",
                f"{len(plan.data) / 1e6:.1f} MB",
                f"{plan.seconds:.1f} s",
                f"{plan.activation_bytes / (1 << 20):.0f} MiB",
                *(_largest_square(memory // pixel) for memory in free),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _largest_square(pixels: int) -> str:
    side = math.isqrt(pixels) // STEP * STEP
    return f"{side}x{side}" if side else "none"


def pick_bundle(given: Path | None, output: Path | None) -> tuple[Bundle, Path]:
    """The bundle to build for, and the path to write it to: its own one, except for the sample's.

    Raises:
        BundleError: There is none, or it is damaged.
        OutputError: A copy of the sample would take the place of another bundle.
    """
    source = given or newest_fitted() or sample_bundle()
    bundle = Bundle.open(source)
    if output is not None or not _is_sample(source):
        return bundle, output or source
    target = Path(source.name)
    if target.exists():
        copy = Bundle.open(target)
        if any(copy.manifest.files.get(name) != entry for name, entry in bundle.manifest.files.items()):
            raise OutputError(f"cannot write {target}: it is another bundle; choose a name with --output")
        bundle = copy
    return bundle, target


def newest_fitted(runs: Path = Path("runs")) -> Path | None:
    """The bundle of the newest run of trainers.fit in this folder that made one."""
    configs = sorted(runs.glob("*/config.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for config in configs:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not a run's
            bundle = Path(json.loads(config.read_text())["output"])
            if bundle.is_file():
                return bundle
    return None


def _is_sample(path: Path) -> bool:
    with contextlib.suppress(BundleError):  # which an installation may lack
        return path.samefile(sample_bundle())
    return False


def pick_runtime(name: str, gpu: str) -> Runtime:
    """The runtime called ``name``; "auto" is the first that is installed.

    It builds for the GPU here, if there is one and none are asked for by name: ``gpu`` is "all".

    Raises:
        EngineUnavailableError: It is not installed, or none is.
    """
    reasons = []
    for runtime in RUNTIMES.values() if name == "auto" else [RUNTIMES[name]]:
        try:
            runtime.load()
            if (name, gpu) == ("auto", "all"):
                check_gpu(runtime)
        except EngineUnavailableError as e:  # noqa: PERF203 - there are two
            reasons.append(str(e))
        else:
            return runtime
    raise EngineUnavailableError("; ".join(reasons))


def _check_window(manifest: Manifest, window: Window) -> None:
    smallest = 2 * max(upscaler.halo for upscaler in manifest.upscalers) + 1
    if min(window.height, window.width) < smallest:
        raise SizeError(
            f"expected a window of at least {smallest}x{smallest}, two halos and a pixel; "
            f"got {window.width}x{window.height}"
        )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description="Build TensorRT engines into a bundle.")
    parser.add_argument(
        "bundle",
        nargs="?",
        type=Path,
        help="default: the newest that trainers.fit made here, else a copy of the sample",
    )
    parser.add_argument("-o", "--output", type=Path, help="write a copy instead of into the bundle itself")
    parser.add_argument("--runtime", default="auto", choices=["auto", *RUNTIMES], help="default: auto")
    parser.add_argument("--precision", default="fp16", choices=PRECISIONS, help="default: fp16")
    parser.add_argument(
        "--window",
        type=_window,
        metavar="WIDTHxHEIGHT",
        help="the only one of all engines (default: auto, all sizes that the memory allows)",
    )
    parser.add_argument(
        "--memory",
        type=_memory,
        metavar="BYTES",
        help="of the GPU that a render may take, for --window auto (default: 3GiB, for a card of 4 GB)",
    )
    parser.add_argument(
        "--gpu",
        default="all",
        metavar="SM",
        help="such as sm86,sm89,sm120 (default: all that the runtime knows)",
    )
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    if options.window and options.memory:
        parser.error("--memory is what --window auto goes by: give one of the two")
    return options


def _window(text: str) -> Window | None:
    if text == "auto":
        return None
    try:
        width, height = parse_size(text)
    except SizeError as e:
        raise argparse.ArgumentTypeError(f"{e}, or auto") from e
    return Window(height=height, width=width)


def _memory(text: str) -> int:
    try:
        return check_bytes("the memory", text, LARGEST_MEMORY_LIMIT)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def run(options: argparse.Namespace) -> None:
    """Builds, writes and reports."""
    bundle, target = pick_bundle(options.bundle, options.output)
    if not bundle.manifest.upscalers:
        raise OurganError(f"{bundle.path}: has no upscaler to build an engine of: it is of coordinates")
    if options.output is not None:
        trained = bundle.manifest.training is not None
        check_replaceable_bundle(target, bundle.manifest.learned, trained=trained, force=options.force)
    if options.window:
        _check_window(bundle.manifest, options.window)
    runtime = pick_runtime(options.runtime, options.gpu)
    capabilities = pick_capabilities(runtime, options.gpu, options.precision)
    say(f"bundle: {bundle.path}")
    say(f"{runtime.title} {runtime.version()}, {options.precision}, for GPUs of {', '.join(capabilities)}")
    builder = PlanBuilder(runtime, capabilities)
    job = Job(bundle, builder, options.precision, options.window, options.memory or MEMORY)
    total = len(job.files) * (2 if options.window else 3)
    with reporting(not options.quiet, total, description="build") as advance:
        engines = build_engines(job, advance)
    write_engines(job, engines, target)
    say(table(engines))
    say(f"written: {target} ({target.stat().st_size / 1e6:.1f} MB)")


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 1 after an error, 130 after Ctrl-C, 143 after SIGTERM."""
    options = parse(arguments)
    with ended_by_signals():
        try:
            run(options)
        except (OurganError, OSError) as e:
            warn(f"error: {e}")
            return 1
        except (KeyboardInterrupt, Terminated) as stop:
            ignore_signals()
            warn("stopped; nothing was written")
            return 143 if isinstance(stop, Terminated) else 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
