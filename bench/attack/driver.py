"""A GPU's driver that fails: any of its calls, at any moment, by any result, lost devices included.

The driver is the tests' stand-in (tests/fake_cuda), so no GPU is needed, and a C compiler is.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ourgan_sdk import OurganError, Synthesizer
from ourgan_sdk.engines import selection
from tests.fake_cuda import LAUNCH_FAILED, OUT_OF_MEMORY, FakeCuda, build
from tests.fake_cuda.repeating import CpuEngine, DeviceEngine

from .counts import Counts, Outcome
from .sandbox import serve_trials, try_all
from .tiny import tiny_bundle

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


def attack(count: int, seed: int, folder: Path) -> Counts:
    """Let so many calls fail, each in a render of its own."""
    arguments = [f"{seed}", f"{build(folder)}", f"{tiny_bundle(folder / 'tiny.ourgan').path}"]
    return try_all("driver", "bench.attack.driver", arguments, count, folder)


def draw(random: np.random.Generator) -> dict[str, Any]:
    """What fails, after how many calls that do not, and how."""
    call = str(random.choice(CALLS + ASYNCHRONOUS))
    return {
        "call": call,
        "successes": int(random.geometric(random.choice([0.05, 0.2, 1]))) - 1,
        "result": int(random.choice(RESULTS)),
        "lose_device": call in ASYNCHRONOUS or bool(random.random() < 0.3),
    }


class Trial:
    """Renders with a driver that fails, again and again; the faults are drawn from the seed, in order."""

    def __init__(self, seed: int, library: Path, bundle: Path) -> None:
        DeviceEngine.fake = self._fake = FakeCuda(library)
        selection.ENGINES[:] = [DeviceEngine, CpuEngine]
        self._bundle = bundle
        self._expected = self._open("cpu").render(*SIZE)
        self._random, self._faults = np.random.default_rng(seed), list[dict[str, Any]]()

    def __call__(self, index: int, folder: Path) -> tuple[Outcome, str]:
        """What comes of fault number `index`, and which it is."""
        while len(self._faults) <= index:
            self._faults.append(draw(self._random))
        fault = self._faults[index]
        return self._render(fault, folder / "picture.npy"), f"{fault}"

    def _open(self, device: str) -> Synthesizer:
        return Synthesizer(self._bundle, engine="repeating", device=device, memory_limit=LIMIT)

    def _render(self, fault: dict[str, Any], output: Path) -> Outcome:
        self._fake.reset()
        self._fake.set_jitter(0.05)
        synthesizer = self._open("cuda")
        self._fake.fail(**fault)
        try:
            synthesizer.render(*SIZE, out=output)
        except OurganError:
            outcome: Outcome = "leftover" if output.exists() else "refused"
        except BaseException:  # noqa: BLE001 - that is what is counted
            outcome = "crashed"
        else:
            outcome = "harmless" if np.array_equal(np.load(output), self._expected) else "silent"
        output.unlink(missing_ok=True)
        del synthesizer
        return "leftover" if any(output.parent.iterdir()) else outcome


def _work(seed: str, library: str, bundle: str) -> None:
    serve_trials(Trial(int(seed), Path(library), Path(bundle)))


if __name__ == "__main__":
    _work(*sys.argv[1:])
