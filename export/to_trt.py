"""Bundle -> the same bundle with TensorRT engines in it.

python export/to_trt.py photo.ourgan     writes them into photo.ourgan
python export/to_trt.py                  into the newest bundle of trainers.fit here, or a copy of the sample
python export/to_trt.py photo.ourgan --precision bf16 --memory 6GiB --gpu sm86,sm89

Every upscaler becomes two engines, for pictures of 8 bits and of 16 bits, both for one size of window.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if __package__ in (None, ""):  # run as a script: the checkout's root is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.plans import BuiltPlan, PlanBuilder, pick_capabilities
from export.windows import ALIGNMENT, Needs, choose_windows, memory_of_render
from ourgan_sdk import Bundle, BundleError, OurganError, OutputError, SizeError
from ourgan_sdk.bundle import EngineRecord, Manifest, Window, add_engines
from ourgan_sdk.engines.protocol import PRECISIONS, Precision
from ourgan_sdk.engines.tensorrt import RUNTIMES, Runtime
from ourgan_sdk.errors import EngineUnavailableError
from ourgan_sdk.precision import convert_upscaler, float_type
from ourgan_sdk.progress import reporting
from ourgan_sdk.sizes import parse_bytes, parse_size
from ourgan_sdk.synthesizer import sample_bundle

MEMORY = 3 << 30  # bytes, what a card of 4 GB has to spare
RESERVE = 1 << 30  # of a card's memory, for its desktop and for CUDA itself
CARDS = (4, 6, 8, 12)  # GB
TRIAL = Window(height=256, width=256)

Plans = dict[tuple[str, str], BuiltPlan]
"""By an upscaler's file and the type of the output."""


@dataclass(frozen=True)
class Job:
    """What to build, into which bundle."""

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

    def build(
        self, windows: Mapping[str, Window], outputs: Sequence[str], advance: Callable[[int], object]
    ) -> Plans:
        """The plans for these windows; ``advance`` is called after each."""
        plans = {}
        for file in self.files:
            network, window = self.bundle.read(file), windows[file]
            for output in outputs:
                size = window.height, window.width
                typed = convert_upscaler(network, self.precision, np.dtype(output), size)
                plans[file, output] = self.builder.build(typed)
                advance(1)
        return plans

    def needs(self, plan: BuiltPlan, window: Window, output: str) -> Needs:
        """What one engine takes of the GPU's memory."""
        tile = 3 * (float_type(self.precision).itemsize + 16 * np.dtype(output).itemsize)
        return Needs(len(plan.data), math.ceil(plan.activation_bytes / (window.height * window.width)), tile)

    def needs_of_upscalers(self, plans: Plans, windows: Mapping[str, Window]) -> dict[str, Needs]:
        """What each upscaler's engines take: the weights of both, and the larger tiles."""
        found: dict[str, Needs] = {}
        for (file, output), plan in plans.items():
            found[file] = found.get(file, Needs(0, 0, 0)).together(self.needs(plan, windows[file], output))
        return found

    def record(self, file: str, output: str, plan: BuiltPlan, window: Window) -> EngineRecord:
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
                "window": window,
                "activation_bytes": plan.activation_bytes,
            }
        )


def build_engines(job: Job, advance: Callable[[int], object]) -> tuple[Plans, dict[str, Window]]:
    """All plans, and the windows that they are for.

    Where no window is asked for, the memory that small engines take chooses it; it is chosen again if those
    that were built take more.
    """
    if job.window is not None:
        windows = dict.fromkeys(job.files, job.window)
        return job.build(windows, job.outputs, advance), windows
    windows = dict.fromkeys(job.files, TRIAL)
    trial = job.build(windows, job.outputs[1:], advance)
    needs = job.needs_of_upscalers(trial, windows)
    needs = {file: need.together(need) for file, need in needs.items()}  # the trial has one engine of two
    budget = job.memory
    while True:
        windows = choose_windows(job.manifest, needs, budget)
        plans = job.build(windows, job.outputs, advance)
        used = memory_of_render(job.manifest, job.needs_of_upscalers(plans, windows), windows)
        if used <= job.memory:
            return plans, windows
        budget = budget * job.memory // used


def write_engines(job: Job, plans: Plans, windows: Mapping[str, Window], target: Path) -> Bundle:
    """Writes the plans into the bundle, or into a copy of it as ``target``."""
    engines = [
        (job.record(file, output, plan, windows[file]), plan.data) for (file, output), plan in plans.items()
    ]
    return add_engines(job.bundle, engines, target)


def table(job: Job, plans: Plans, windows: Mapping[str, Window]) -> str:
    """What was built, and the largest square window that each engine could have on cards of several sizes."""
    header = ["engine", "window", "size", "built in", "activations", *(f"{card} GB card" for card in CARDS)]
    rows = [header]
    for (file, output), plan in plans.items():
        window = windows[file]
        needs = job.needs(plan, window, output)
        rows.append(
            [
                f"{file.removesuffix('.onnx')} {job.precision} {output}",
                f"{window.width}x{window.height}",
                f"{len(plan.data) / 1e6:.1f} MB",
                f"{plan.seconds:.1f} s",
                f"{plan.activation_bytes / (1 << 20):.0f} MiB",
                *(_largest_square(needs, (card << 30) - RESERVE) for card in CARDS),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _largest_square(needs: Needs, memory: int) -> str:
    side = math.isqrt(needs.pixels_within(memory - needs.weights)) // ALIGNMENT * ALIGNMENT
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


def pick_runtime(name: str) -> Runtime:
    """The runtime called ``name``; "auto" is the first that is installed.

    Raises:
        EngineUnavailableError: It is not installed, or none is.
    """
    reasons = []
    for runtime in RUNTIMES.values() if name == "auto" else [RUNTIMES[name]]:
        try:
            runtime.load()
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
    parser = argparse.ArgumentParser(description="Build TensorRT engines into a bundle.")
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
        help="of all engines (default: auto, what recomputes least at 4K to 16K)",
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
        return parse_bytes(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def run(options: argparse.Namespace) -> None:
    """Builds, writes and reports."""
    bundle, target = pick_bundle(options.bundle, options.output)
    if options.window:
        _check_window(bundle.manifest, options.window)
    runtime = pick_runtime(options.runtime)
    capabilities = pick_capabilities(runtime, options.gpu, options.precision)
    print(f"bundle: {bundle.path}")
    print(f"{runtime.title} {runtime.version()}, {options.precision}, for GPUs of {', '.join(capabilities)}")
    builder = PlanBuilder(runtime, capabilities)
    job = Job(bundle, builder, options.precision, options.window, options.memory or MEMORY)
    total = len(job.files) * (2 if options.window else 3)
    with reporting(not options.quiet, total, description="build") as advance:
        plans, windows = build_engines(job, advance)
    write_engines(job, plans, windows, target)
    print(table(job, plans, windows))
    print(f"written: {target} ({target.stat().st_size / 1e6:.1f} MB)")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    try:
        run(options)
    except (OurganError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
