"""What computing an upscaler's end in strips saves of memory and costs in time.

An RRDB-4/32/16 with its initial weights; see trainers/bundling/strips.py.

python -m bench.strips
"""

import statistics
import time

import numpy as np

from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from trainers.bundling.activation_memory import measure_bytes_per_pixel
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import RRDBNet

STRIPS = (1, 4, 8)
SIDES = (256, 512)
REPETITIONS = 5


def main() -> None:
    """Measure, and print the table."""
    print("| strips | bytes per input pixel |", " | ".join(f"seconds at {n} x {n}" for n in SIDES), "|")
    print("|---|---|" + "---|" * len(SIDES))
    for strips in STRIPS:
        network = export_upscaler(RRDBNet(32, 4, 16), strips=strips)
        times = " | ".join(f"{seconds(network, side):.2f}" for side in SIDES)
        print(f"| {strips} | {measure_bytes_per_pixel(network)} | {times} |", flush=True)


def seconds(network: bytes, side: int) -> float:
    """The median time of a run on a window of side x side, after one to warm up."""
    tile = np.ones((1, 3, side, side), np.float32)
    run = OnnxRuntimeEngine(network).bind_arrays(tile, np.empty((1, 3, 4 * side, 4 * side), np.float32))
    run()
    times = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
