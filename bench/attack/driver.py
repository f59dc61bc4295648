"""A GPU's driver that fails: any of its calls, at any moment, by any result, lost devices included.

The driver is the tests' stand-in (tests/fake_cuda), so no GPU is needed, and a C compiler is.
"""

import logging
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np

from ourgan_sdk import OurganError, Synthesizer
from ourgan_sdk.arrays import Picture
from ourgan_sdk.bundle import write_bundle
from ourgan_sdk.engines import selection
from tests.conftest import make_manifest, structure_network, upscaler_network
from tests.fake_cuda import LAUNCH_FAILED, OUT_OF_MEMORY, FakeCuda, build
from tests.fake_cuda.repeating import CpuEngine, DeviceEngine

from .counts import Counts, Outcome

__all__ = ["attack"]

CALLS = [
    "cuMemAlloc",
    "cuMemFree",
    "cuMemGetInfo",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuCtxPushCurrent",
    "cuStreamCreate",
    "cuStreamSynchronize",
    "cuStreamDestroy",
    "cuStreamWaitEvent",
    "cuEventCreate",
    "cuEventDestroy",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuMemcpyHtoDAsync",
    "cuMemcpyDtoHAsync",
    "launch",
]
ASYNCHRONOUS = ["copy in", "copy out", "kernel"]
"""What streams do by themselves: once that fails, a device is lost to the process."""
RESULTS = [LAUNCH_FAILED, OUT_OF_MEMORY, 1, 700, 999]
SIZE = (500, 400)
LIMIT = 8 << 20  # bytes: for many tiles
SECONDS = 60


def attack(count: int, seed: int, folder: Path) -> Counts:
    """In processes of their own, each with so many faults that one that hangs costs little."""
    counts, random = Counts("driver"), np.random.default_rng(seed)
    library, bundle = build(folder), folder / "tiny.ourgan"
    members = {
        "structure.onnx": structure_network(),
        "upscaler.onnx": upscaler_network(2),
        "upscaler_later.onnx": upscaler_network(3),
        "preview.png": b"\x89PNG",
    }
    write_bundle(bundle, make_manifest(), members)
    faults = [draw(random) for _ in range(count)]
    while faults:
        faults = faults[_run(counts, faults, library, bundle, folder) :]
    return counts


def draw(random: np.random.Generator) -> dict[str, Any]:
    """What fails, after how many calls that do not, and how."""
    call = str(random.choice(CALLS + ASYNCHRONOUS))
    return {
        "call": call,
        "successes": int(random.geometric(random.choice([0.05, 0.2, 1]))) - 1,
        "result": int(random.choice(RESULTS)),
        "lose_device": call in ASYNCHRONOUS or bool(random.random() < 0.3),
    }


def _run(counts: Counts, faults: list[dict[str, Any]], library: Path, bundle: Path, folder: Path) -> int:
    """Add what came of the faults until one hangs or ends the process; returns how many those are."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_render_all, args=(there, faults, library, bundle, folder))
    process.start()
    there.close()
    for done, fault in enumerate(faults):
        try:
            outcome: Outcome = here.recv() if here.poll(SECONDS) else "hung"
        except EOFError:
            outcome = "crashed"
        counts.add(outcome, str(fault))
        if (not process.is_alive() and outcome == "crashed") or outcome == "hung":
            process.kill()
            process.join()
            return done + 1
    process.join()
    return len(faults)


def _render_all(
    results: Any, faults: list[dict[str, Any]], library: Path, bundle: Path, folder: Path
) -> None:
    logging.disable()  # of what is passed over or tried again
    DeviceEngine.fake = fake = FakeCuda(library)
    selection.ENGINES[:] = [DeviceEngine, CpuEngine]
    expected = Synthesizer(bundle, engine="repeating", device="cpu", memory_limit=LIMIT).render(*SIZE)
    for fault in faults:
        results.send(_render(fake, fault, bundle, folder / "picture.npy", expected))


def _render(fake: FakeCuda, fault: dict[str, Any], bundle: Path, output: Path, expected: Picture) -> Outcome:
    fake.reset()
    fake.set_jitter(0.05)
    synthesizer = Synthesizer(bundle, engine="repeating", device="cuda", memory_limit=LIMIT)
    fake.fail(**fault)
    try:
        synthesizer.render(*SIZE, out=output)
    except OurganError:
        outcome: Outcome = "leftover" if output.exists() else "refused"
    except BaseException:  # noqa: BLE001 - that is what is counted
        outcome = "crashed"
    else:
        outcome = "harmless" if np.array_equal(np.load(output), expected) else "silent"
    output.unlink(missing_ok=True)
    del synthesizer
    others = {path.name for path in output.parent.iterdir()} - {"tiny.ourgan", "libfake_cuda.so"}
    return "leftover" if others else outcome
