"""How much memory a network's activations take: measured, by running it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.engines.runtimes import import_onnxruntime

__all__ = ["measure_bytes_per_pixel", "measure_coordinates"]

SHAPES = ((256, 256), (160, 352))
"""Heights and widths of the example inputs: activations of a convolutional network grow with the area, but
an allocator's waste depends on the single sizes."""

SCALE = 4


def measure_bytes_per_pixel(network: bytes, shapes: Sequence[tuple[int, int]] = SHAPES) -> int:
    """Bytes that the runtime takes for activations, per input pixel; the largest of several input sizes.

    ``network`` is an ONNX upscaler, (1, 3, h, w) -> (1, 3, 4h, 4w). What the runtime holds beside the input
    and the output is the growth of a fresh process in two runs: ONNX Runtime keeps what it has once had.

    Raises:
        RuntimeError: The network cannot be run.
    """
    return max(_measure(network, height, width) for height, width in shapes)


def measure_coordinates(network: bytes, latent: int, stride: int) -> int:
    """The same per output pixel, for a network of coordinates whose cells have ``stride`` pixels per side.

    Raises:
        RuntimeError: The network cannot be run.
    """
    sizes = [(height // stride, width // stride) for height, width in SHAPES]
    return max(_measure(network, *cells, latent, stride) for cells in sizes)


def _measure(network: bytes, *numbers: int) -> int:
    """What a process of its own prints: the growth for these arguments of its."""
    command = [sys.executable, "-m", "trainers.bundling.activation_memory", *map(str, numbers)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, input=network, capture_output=True, cwd=root, check=False)  # noqa: S603
    if done.returncode:
        reason = done.stderr.decode()[-500:] or f"the process ended with status {done.returncode}"
        raise RuntimeError(f"memory of activations cannot be measured: {reason}")
    return int(done.stdout)


def _growth(network: bytes, height: int, width: int) -> int:
    """Bytes per input pixel by which this process grows."""
    import psutil  # noqa: PLC0415 - only in the process that measures

    engine = OnnxRuntimeEngine(network)
    small = np.zeros((1, 3, 8, 8), np.float32)
    engine.bind_arrays(small, np.zeros((1, 3, 8 * SCALE, 8 * SCALE), np.float32))()  # what any run takes
    # Ones, since memory that holds zeros may not be there before it is written to.
    run = engine.bind_arrays(
        np.ones((1, 3, height, width), np.float32),
        np.ones((1, 3, SCALE * height, SCALE * width), np.float32),
    )
    process = psutil.Process()
    before = process.memory_info().rss
    run()
    run()
    return math.ceil((process.memory_info().rss - before) / (height * width))


def _growth_of_coordinates(network: bytes, height: int, width: int, latent: int, stride: int) -> int:
    """Bytes per output pixel by which this process grows for ``height`` x ``width`` cells."""
    import psutil  # noqa: PLC0415 - only in the process that measures

    session = import_onnxruntime().InferenceSession(network, providers=["CPUExecutionProvider"])
    feeds = {"scale": np.ones(1, np.float32), "latent": np.ones((1, latent), np.float32)}
    session.run(None, {"coordinates": np.zeros((1, 2, 4, 4), np.float32), **feeds})
    feeds["coordinates"] = np.ones((1, 2, height, width), np.float32)
    process = psutil.Process()
    before = process.memory_info().rss
    session.run(None, feeds)
    session.run(None, feeds)
    return math.ceil((process.memory_info().rss - before) / (height * width * stride**2))


if __name__ == "__main__":
    _measured = _growth if len(sys.argv) == 3 else _growth_of_coordinates
    sys.stdout.write(f"{_measured(sys.stdin.buffer.read(), *map(int, sys.argv[1:]))}\n")
