"""`ourgan doctor`: what could render here, what would, and why not the rest."""

import argparse
import os
import platform
import time
from dataclasses import dataclass

import numpy as np
import psutil

from .._core import Box, CudaDevice, Grid
from .._version import __version__
from ..arrays import Picture
from ..bundle import Bundle, Upscaler
from ..engines import ENGINES, Engine, HostEngine, Options, candidates, open_first
from ..errors import EngineError, OurganError
from ..learning import open_source
from ..passes.networks import Networks
from ..passes.one_pass import Bands, Pass
from ..passes.tile_loop import run_pass
from ..progress import RenderStats
from ..synthesizer import Synthesizer
from ..system.memory import available_memory
from ..system.processors import available_processors, engine_threads
from ..system.streams import show
from .options import Commands, add_command, add_engine_options

__all__ = ["Diagnosis", "add_to", "diagnose", "run"]

_SIDE = 96
"""Pixels of the picture that the self-test enlarges, where windows may be so small."""

_CLOSE = 0.99
"""Share of values within one 8-bit level of float32 that an engine must reach."""


@dataclass(frozen=True)
class Diagnosis:
    """What one engine did when it was asked to render a tile."""

    kind: type[Engine]
    name: str
    """With version, device and precision, as far as it came."""
    problem: str | None = None
    window: tuple[int, int] = (0, 0)
    """(height, width)."""
    seconds: float = 0.0
    """For a tile, packing and unpacking included, once the engine is warm."""
    close: float = 0.0
    """Share of values within one 8-bit level of ONNX Runtime's in float32 on the CPU."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "doctor", run, "say which engines can render here, and why others cannot")
    add_engine_options(parser)


def run(options: argparse.Namespace) -> None:
    """Print what is here and how each engine fared; raises OurganError if none can render."""
    bundle = open_source(options.bundle)
    if not bundle.manifest.upscalers:
        raise OurganError(
            f"{bundle.path}: has no upscaler to try engines with: its structure is of coordinates, which "
            "ONNX Runtime renders on the CPU"
        )
    threads = engine_threads(options.threads)
    asked = Options(options.device, options.precision, threads, allow_plans=options.allow_plans)
    _print_machine()
    show(f"{'bundle':<12} {bundle.path}")
    usable = []
    for kind in ENGINES:
        diagnosis = diagnose(bundle, kind, asked)
        show(_describe(diagnosis))
        if diagnosis.problem is None:
            usable.append(kind)
    kinds = [kind for kind in candidates(options.engine, asked) if kind in usable]
    if not kinds:
        raise OurganError("no engine can render this bundle here")
    show(f"{'chosen':<12} {kinds[0].NAME} on {kinds[0].DEVICE}: {_reason(options.engine)}")


def diagnose(bundle: Bundle, kind: type[Engine], options: Options) -> Diagnosis:
    """Open the bundle's last upscaler on an engine, and enlarge a picture with it in one tile."""
    name = f"{kind.NAME} on {kind.DEVICE}"
    try:
        name = f"{kind.NAME} {kind.version()} on {kind.DEVICE}"
        opened = open_first(bundle, [kind], options)
        upscaler = bundle.manifest.upscalers[-1]
        engine = opened.engine(upscaler, np.dtype(np.uint8))
        name += f", {engine.precision}"
        networks = Networks(bundle, "onnxruntime", Options("cpu", threads=options.threads))
        return _test(networks, upscaler, engine, name)
    except (OurganError, ArithmeticError) as error:
        return Diagnosis(kind, name, " ".join(str(error).split()))


def _test(networks: Networks, upscaler: Upscaler, engine: Engine, name: str) -> Diagnosis:
    longest = [*(engine.rules.window or ()), engine.rules.max_side or _SIDE + 2 * upscaler.halo]
    side = min(_SIDE, *(length - 2 * upscaler.halo for length in longest))
    structure = Synthesizer(networks.bundle, engine="onnxruntime", device="cpu").preview(
        width=side, height=side
    )
    picture = structure * np.uint16(257)
    reference = networks.on_cpu(upscaler.file)
    expected, _ = _enlarge(picture, upscaler, reference, reference)
    _enlarge(picture, upscaler, engine, reference)  # engines and processors have to get warm
    result, seconds = _enlarge(picture, upscaler, engine, reference)
    difference = np.abs(result.astype(np.int16) - expected)
    close = float(np.mean(difference <= 1))
    problem = None if close >= _CLOSE else f"differs from fp32: only {close:.2%} of values are within a level"
    grid = _grid(side, upscaler, engine)
    window = grid.window_height, grid.window_width
    return Diagnosis(type(engine), name, problem, window, seconds, close)


def _enlarge(
    picture: Picture, upscaler: Upscaler, engine: Engine, reference: HostEngine
) -> tuple[Picture, float]:
    """The picture four times as large, rendered in one tile, and the seconds that took."""
    side = len(picture)
    target = Box(0, 0, upscaler.scale * side, upscaler.scale * side)
    one = Pass(
        index=1,
        file=upscaler.file,
        engine=engine,
        reference=lambda: reference,
        grid=_grid(side, upscaler, engine),
        scale=upscaler.scale,
        deviation=0.0,
        target=target,
        dtype=np.dtype(np.uint8),
    )
    stats = RenderStats()
    started = time.perf_counter()
    (band,) = run_pass(one, _as_band(picture), 0, stats, lambda _work: None)
    seconds = time.perf_counter() - started
    if stats.repaired_tiles:
        raise EngineError(f"overflows in {engine.precision}: build or choose another precision")
    return band, seconds


def _grid(side: int, upscaler: Upscaler, engine: Engine) -> Grid:
    """One tile, in the smallest window that the engine takes."""
    step = engine.rules.alignment
    aligned = -(-(side + 2 * upscaler.halo) // step) * step
    return Grid(side, side, upscaler.halo, 1, 1, *(engine.rules.window or (aligned, aligned)))


def _as_band(picture: Picture) -> Bands:
    yield picture


def _print_machine() -> None:
    total = psutil.virtual_memory().total
    show(f"{'ourgan_sdk':<12} {__version__}, Python {platform.python_version()}, {platform.platform()}")
    show(
        f"{'processor':<12} {platform.processor() or platform.machine()}, {available_processors()} of "
        f"{os.cpu_count()} threads; {available_memory() / 2**30:.1f} of {total / 2**30:.1f} GiB of memory "
        "available"
    )
    gpus = [CudaDevice(ordinal) for ordinal in range(CudaDevice.count())]
    for gpu in gpus:
        major, minor = gpu.compute_capability
        show(
            f"{f'cuda:{gpu.ordinal}':<12} {gpu.name}, compute capability {major}.{minor}, "
            f"{gpu.free_memory() / 2**30:.1f} of {gpu.total_memory / 2**30:.1f} GiB free, driver for CUDA "
            f"{gpu.driver_version // 1000}.{gpu.driver_version % 1000 // 10}"
        )
    if not gpus:
        show(f"{'GPU':<12} none, or no driver for it")


def _describe(diagnosis: Diagnosis) -> str:
    if diagnosis.problem is not None:
        return f"{'no':<12} {diagnosis.name}: {diagnosis.problem}"
    height, width = diagnosis.window
    return (
        f"{'yes':<12} {diagnosis.name}: {1e3 * diagnosis.seconds:.0f} ms for a tile of {width} x {height}, "
        f"{diagnosis.close:.3%} of values within a level of fp32"
    )


def _reason(engine: str) -> str:
    if engine != "auto":
        return "the only one asked for that can render"
    asked = os.environ.get("OURGAN_ENGINE")
    return f"OURGAN_ENGINE is {asked}" if asked else "the first of those that can render"
