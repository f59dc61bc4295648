"""A stand-in for NVIDIA's driver, made of threads and host memory: fake_cuda.h says what it can do."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from pathlib import Path

from ourgan_sdk._core import CudaDevice, Pipeline
from ourgan_sdk.errors import EngineError

__all__ = ["FakeCuda", "build"]

SOURCE = Path(__file__).with_name("fake_cuda.c")
KINDS = ["contexts", "device memory", "pinned memory", "streams", "events"]
WAITS = {"copied_in": 1, "computed": 2, "copied_out": 4}
BYTES = {"uint8": 1, "float16": 2, "float32": 4}
LAUNCH_FAILED, OUT_OF_MEMORY = 719, 2


def build(folder: Path) -> Path:
    """Compile the library; CC names the compiler."""
    library = folder / "libfake_cuda.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    options = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread"]
    subprocess.run([*compiler, *options, SOURCE, "-o", library, "-lm"], check=True)
    return library


class FakeCuda:
    """The library's controls; times are in milliseconds."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._library = ctypes.CDLL(self.path)
        self.reset()

    def reset(self) -> None:
        self._library.fake_reset()

    def device(self, ordinal: int = 0) -> CudaDevice:
        return CudaDevice(ordinal, self.path)

    def set_devices(self, count: int) -> None:
        self._library.fake_set_devices(count)

    def set_memory(self, size: int) -> None:
        self._library.fake_set_memory(ctypes.c_int64(size))

    def set_durations(self, copy_in: float = 0, copy_out: float = 0, kernel: float = 0) -> None:
        times = (ctypes.c_int64(round(1e6 * time)) for time in (copy_in, copy_out, kernel))
        self._library.fake_set_durations(*times)

    def set_jitter(self, longest: float, seed: int = 0) -> None:
        self._library.fake_set_jitter(ctypes.c_int64(round(1e6 * longest)), ctypes.c_uint64(seed))

    def fail(
        self, call: str, successes: int = 0, result: int = LAUNCH_FAILED, *, lose_device: bool = False
    ) -> None:
        """Make a function of the driver, "launch", "copy in", "copy out" or "kernel" fail."""
        self._library.fake_fail(call.encode(), successes, result, lose_device)

    def ignore(self, wait: str) -> None:
        """Leave out one of the pipeline's waits, named as in WAITS, by the event that is waited for."""
        self._library.fake_ignore(WAITS[wait])

    def live(self) -> dict[str, int]:
        """What has been made and not yet freed; nothing of zero."""
        counts = {kind: self._library.fake_live(number) for number, kind in enumerate(KINDS)}
        return {kind: count for kind, count in counts.items() if count}

    def current_context(self) -> int | None:
        """The calling thread's."""
        context = ctypes.c_void_p()
        self._library.cuCtxGetCurrent(ctypes.byref(context))
        return context.value

    def set_current_context(self, context: int | None) -> None:
        self._library.cuCtxSetCurrent(ctypes.c_void_p(context))

    def launch_upscale(
        self, stream: int, pixels: int, upscaled: int, check: int, shape: tuple[int, int, int], scale: int,
        input_type: str, output_type: str,
    ) -> None:  # fmt: skip
        """Queue the kernel that repeats every pixel of a tile (h, w, C); the addresses are on the device."""
        addresses = (ctypes.c_uint64(address) for address in (stream, pixels, upscaled, check))
        sizes = (ctypes.c_int64(size) for size in (*shape, scale))
        result = self._library.fake_launch_upscale(*addresses, *sizes, BYTES[input_type], BYTES[output_type])
        if result != 0:
            raise EngineError(f"launch failed with {result}")

    def upscale(self, pipeline: Pipeline, slot: int) -> None:
        """Queue that kernel on a slot of an interleaved pipeline."""
        pixels, upscaled = pipeline.input(slot), pipeline.output(slot)
        _, height, width, channels = pixels.shape
        self.launch_upscale(
            pipeline.stream,
            pipeline.device_input(slot),
            pipeline.device_output(slot),
            pipeline.device_check(slot),
            (height, width, channels),
            upscaled.shape[1] // height,
            pixels.dtype.name,
            upscaled.dtype.name,
        )
