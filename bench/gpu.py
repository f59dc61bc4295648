"""An NVIDIA GPU: this runtime's engines beside the usual PyTorch fp16 tile loop, same weights, same picture.

RRDB-23/64 with random weights makes 8192 x 4320 of 2048 x 1080, from an array of pixels to an array of
pixels: conversion on the host counts. Then the whole way to 16384 x 10912, with the best engine. Every
contender runs in a process of its own; its number is the median of three runs after one that does not count.
Engines of TensorRT are built where a runtime is installed. "PyTorch in this pipeline" is no engine of the
package: it tells what the pipeline alone brings, where nothing else is installed.

python -m bench.gpu
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.one_pass import USUAL_PADDING, enlarge_in_tiles, load_network, one_band, random_network
from bench.processes import measure, report
from export.to_trt import main as build_engines
from ourgan_sdk import Box, Bundle, EngineError, RenderStats, Synthesizer, write_bundle
from ourgan_sdk._core import CudaDevice, Pipeline
from ourgan_sdk.arrays import Picture
from ourgan_sdk.bundle import Upscaler
from ourgan_sdk.engines import ENGINES, Engine, Options, TileFormat, WindowRules, candidates, open_first
from ourgan_sdk.engines.devices import open_device
from ourgan_sdk.engines.rules import DEVICE_SLOTS
from ourgan_sdk.passes.one_pass import Pass
from ourgan_sdk.passes.plan import Tiling
from ourgan_sdk.passes.tile_loop import run_pass
from ourgan_sdk.system.memory import LARGEST_DEFAULT
from trainers.bundling.activation_memory import measure_bytes_per_pixel
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import Upscaler as TorchUpscaler

WIDTH, HEIGHT = 2048, 1080
WHOLE = (16384, 10912)
RUNS = 3
LOOP, IN_PIPELINE = "PyTorch tile loop", "PyTorch in this pipeline"
ACTIVATIONS = 8192
"""Bytes per input pixel that PyTorch's allocator holds for RRDB-23/64 in half precision, and more."""


def main() -> None:
    """Measure the contenders one after the other, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "WHAT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, what, folder = options.one
        report(lambda: {"pass": run_one_pass, "whole": run_whole}[what](contender, Path(folder)))
        return
    if not CudaDevice.count():
        raise SystemExit("bench.gpu needs an NVIDIA GPU and its driver")
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name))


def compare(folder: Path) -> None:
    """Run everything on what is prepared in `folder`."""
    contenders = [LOOP, IN_PIPELINE, *prepare(folder)]
    gpu = CudaDevice()
    print(f"{gpu.name}, RRDB-23/64 in fp16, {WIDTH} x {HEIGHT} -> {4 * WIDTH} x {4 * HEIGHT}")
    print("| | seconds | against the loop | in the engine | GPU memory, GB | within a level of the loop |")
    print("|---|---|---|---|---|---|")
    results: dict[str, dict[str, Any]] = {}
    for one in contenders:
        results[one] = result = measure("bench.gpu", "--one", one, "pass", folder)
        speed = results[LOOP]["median"] / result["median"]
        busy = f"{result['busy']:.1%}" if "busy" in result else ""
        print(
            f"| {one} | {result['median']:.2f} | {speed:.2f} x | {busy} | {result['memory'] / 1e9:.2f} | "
            f"{agreement(folder, one):.3%} |",
            flush=True,
        )
    best = min(contenders[1:], key=lambda one: float(results[one]["median"]))
    result = measure("bench.gpu", "--one", best, "whole", folder)
    memory = f"{result['memory'] / 1e9:.2f} GB of the GPU's memory"
    print(f"{WHOLE[0]} x {WHOLE[1]} by {best}: {result['median']:.1f} s, {memory}")


def prepare(folder: Path) -> list[str]:
    """A bundle whose upscaler is RRDB-23/64, with engines, and a picture; returns the engines that open."""
    sample = Synthesizer(detail="network")
    np.save(
        folder / "picture.npy", sample.canvas(4 * WIDTH, 4 * HEIGHT, seed=1, dtype=np.uint16).read(level=1)
    )
    torch.manual_seed(0)
    network = export_upscaler(random_network())
    (folder / "upscaler.onnx").write_bytes(network)
    upscaler = sample.bundle.manifest.upscalers[-1].model_copy(
        update={"file": "upscaler.onnx", "bytes_per_pixel": measure_bytes_per_pixel(network, [(128, 128)])}
    )
    manifest = sample.bundle.manifest.without_photograph().model_copy(update={"upscalers": [upscaler]})
    assert manifest.structure is not None
    structure = manifest.structure.file
    path = folder / "rrdb.ourgan"
    write_bundle(path, manifest, {structure: sample.bundle.read(structure), "upscaler.onnx": network})
    for runtime in ("tensorrt-rtx", "tensorrt"):
        build_engines([str(path), "--runtime", runtime, "--quiet"])
    usable = []
    for kind in ENGINES:
        if kind.DEVICE == "cuda":
            try:
                open_first(Bundle.open(path), [kind], Options("cuda"))
            except EngineError as error:
                print(f"without {kind.NAME}: {error}")
            else:
                usable.append(kind.NAME)
    return usable


def agreement(folder: Path, contender: str) -> float:
    """Share of values within one level of the loop's result."""
    one, other = (np.load(folder / f"{name}.npy", "r") for name in (contender, LOOP))
    return float(np.mean(np.abs(one.astype(np.int16) - other) <= 1))


def run_one_pass(contender: str, folder: Path) -> dict[str, Any]:
    """Enlarge the picture a few times; saves the result."""
    picture = np.load(folder / "picture.npy")
    with least_free_memory() as used:
        enlarge = loop(folder) if contender == LOOP else one_pass(contender, folder)
        enlarge(picture)
        numbers = [enlarge(picture) for _ in range(RUNS)]
    np.save(folder / f"{contender}.npy", numbers[-1][0])
    seconds = statistics.median(number[1] for number in numbers)
    busy = {} if contender == LOOP else {"busy": statistics.median(number[2] for number in numbers) / seconds}
    return {"median": seconds, "memory": used()} | busy


def run_whole(contender: str, folder: Path) -> dict[str, Any]:
    """Render a picture from its structure on."""
    if contender == IN_PIPELINE:
        ENGINES.insert(0, TorchEngine)
    name = TorchEngine.NAME if contender == IN_PIPELINE else contender
    stats = RenderStats()
    with least_free_memory() as used:
        synthesizer = Synthesizer(folder / "rrdb.ourgan", engine=name, device="cuda")
        synthesizer.render(*WHOLE, out=folder / "whole.npy", stats=stats)
    return {"median": stats.seconds, "memory": used()}


@contextmanager
def least_free_memory() -> Iterator[Callable[[], int]]:
    """Yield what tells, in the end, by how many bytes the GPU's free memory has shrunk at most."""
    device = CudaDevice()
    before = least = device.free_memory()
    done = threading.Event()

    def watch() -> None:
        nonlocal least
        while not done.wait(0.005):
            least = min(least, device.free_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: before - least
    finally:
        done.set()
        watcher.join()


Enlarge = Callable[[Picture], tuple[Picture, float, float]]
"""The result, uint8, the seconds it took, and those between the events around the engine's work."""


def one_pass(contender: str, folder: Path) -> Enlarge:
    """A pass of this package on an engine."""
    bundle = Bundle.open(folder / "rrdb.ourgan")
    upscaler = bundle.manifest.upscalers[-1]
    options = Options("cuda")
    kinds = [TorchEngine] if contender == IN_PIPELINE else candidates(contender, options)
    engine = open_first(bundle, kinds, options).engine(upscaler, np.dtype(np.uint8))
    grid = Tiling(HEIGHT, WIDTH, upscaler, engine.rules).plan(LARGEST_DEFAULT)

    def enlarge(picture: Picture) -> tuple[Picture, float, float]:
        target, stats = Box(0, 0, 4 * HEIGHT, 4 * WIDTH), RenderStats()
        result = np.empty((target.height, target.width, 3), np.uint8)
        started, y = time.perf_counter(), 0
        one = Pass(1, upscaler.file, engine, _no_reference, grid, 4, 0.0, target, np.dtype(np.uint8))
        for band in run_pass(one, one_band(picture), 0, stats, lambda _work: None):
            result[y : y + len(band)] = band
            y += len(band)
        return result, time.perf_counter() - started, stats.engine_seconds

    return enlarge


def _no_reference() -> Any:
    raise SystemExit("a tile overflowed in half precision")


def loop(folder: Path) -> Enlarge:
    """The usual loop on a GPU: tiles of 256 and a padding of 10, the result collected on the device."""
    network = on_gpu(load_network(folder / "upscaler.onnx"))

    @torch.inference_mode()
    def enlarge(picture: Picture) -> tuple[Picture, float, float]:
        started = time.perf_counter()
        scaled = picture.astype(np.float32) / 65535
        x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(scaled, 2, 0))[None]).cuda().half()
        result, _ = enlarge_in_tiles(network, x, USUAL_PADDING)
        pixels = result.squeeze(0).float().cpu().clamp_(0, 1).numpy()
        levels = (np.transpose(pixels, (1, 2, 0)) * 255).round().astype(np.uint8)
        return levels, time.perf_counter() - started, 0.0

    return enlarge


def on_gpu(network: TorchUpscaler) -> TorchUpscaler:
    """The network in half precision, in the layout that convolutions on GPUs are fastest with."""
    network = network.half().cuda()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    return network


class _OnDevice:
    """Memory on the GPU, as PyTorch understands it."""

    def __init__(self, address: int, like: Picture) -> None:
        self.__cuda_array_interface__ = {
            "data": (address, False),
            "shape": like.shape,
            "typestr": like.dtype.str,
            "version": 3,
        }


class TorchEngine(Engine):
    """The loop's network and library, fed by this package's pipeline."""

    NAME, DEVICE, GIVES_PIXELS, precision = "torch", "cuda", True, "fp16"

    def __init__(self, network: TorchUpscaler, device: CudaDevice, rules: WindowRules) -> None:
        self.device = device
        self.rules = rules
        self._network = on_gpu(network)

    @staticmethod
    def version() -> str:
        """PyTorch's."""
        return str(torch.__version__)

    @classmethod
    def open(
        cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options
    ) -> "TorchEngine":
        """The engine of `upscaler`."""
        tile = TileFormat("float16", "uint8" if dtype == np.uint8 else "float16", interleaved=True)
        rules = WindowRules(bytes_per_pixel=ACTIVATIONS, on_device=True, slots=DEVICE_SLOTS, format=tile)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "upscaler.onnx"
            path.write_bytes(bundle.network(upscaler.file).data)
            return cls(load_network(path), open_device(options.ordinal), rules)

    def bind(self, pipeline: Pipeline, slot: int) -> Callable[[], None]:
        """A function that queues the network's work on the tile in `slot`."""
        pixels = torch.as_tensor(_OnDevice(pipeline.device_input(slot), pipeline.input(slot)), device="cuda")
        output = pipeline.output(slot)
        upscaled = torch.as_tensor(_OnDevice(pipeline.device_output(slot), output), device="cuda")
        number = _OnDevice(pipeline.device_check(slot), np.empty(1, np.float32))
        check = torch.as_tensor(number, device="cuda")
        stream = torch.cuda.ExternalStream(pipeline.stream)  # type: ignore[no-untyped-call]

        @torch.inference_mode()
        def run() -> None:
            with torch.cuda.stream(stream):
                result = self._network(pixels.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
                check.copy_(result.float().abs().sum().reshape(1))
                result = result.clamp(0, 1)
                upscaled.copy_((result.float() * 255).round_() if output.dtype == np.uint8 else result)

        return run


if __name__ == "__main__":
    main()
