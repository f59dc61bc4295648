"""Engines on the CPU: one x4 pass of an RRDB-23/64 by each, beside the usual PyTorch tile loop in fp32.

Same weights (random ones) and picture; engines through this runtime's own pass, at the halo that makes it
seamless, the loop with its usual tiles of 256 and padding of 10. Every run has a process of its own, which
loads the network before the clock starts and compiles it for its windows after; contenders take turns.

python -m bench.engines [--repetitions 3]
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.one_pass import SIZES, USUAL_PADDING, load_network, prepare, run_engine, run_loop
from bench.processes import measure, report
from ourgan_sdk.bundle import Upscaler
from ourgan_sdk.engines import HostEngine
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.engines.openvino import OpenVinoEngine

LOOP = "PyTorch loop fp32"
ENGINES: dict[str, Callable[[bytes], HostEngine]] = {
    "ONNX Runtime fp32": OnnxRuntimeEngine,
    "OpenVINO fp32": OpenVinoEngine,
    "OpenVINO bf16": lambda network: OpenVinoEngine(network, "bf16"),
}
GOALS = {"ONNX Runtime fp32": 1.2, "OpenVINO bf16": 2.5}
"""Times as fast as the loop."""

NETWORK = "rrdb-23"


def main() -> None:
    """Measure the contenders in turns, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, folder = options.one
        run(contender, Path(folder))
        return
    results: dict[str, list[dict[str, Any]]] = {one: [] for one in (LOOP, *ENGINES)}
    with tempfile.TemporaryDirectory() as name:
        upscaler = prepare(NETWORK, Path(name))
        for _ in range(options.repetitions):
            for contender, runs in results.items():
                runs.append(measure("bench.engines", "--one", contender, name))
    width, height = SIZES[NETWORK]
    print(f"{NETWORK}: {width} x {height} -> {4 * width} x {4 * height}, halo {upscaler.halo}")
    print("| | seconds, median | from | to | as fast as the loop | goal | memory, GB |")
    print("|---|---|---|---|---|---|---|")
    for contender, runs in results.items():
        seconds = [one["seconds"] for one in runs]
        ratio = statistics.median(one["seconds"] for one in results[LOOP]) / statistics.median(seconds)
        memory = statistics.median(one["peak"] - one["idle"] for one in runs)
        print(
            f"| {contender} | {statistics.median(seconds):.1f} | {min(seconds):.1f} | {max(seconds):.1f} | "
            f"{ratio:.2f} x | {GOALS.get(contender, '')} | {memory:.2f} |"
        )


def run(contender: str, folder: Path) -> None:
    """One contender, in a process of its own."""
    picture, output = np.load(folder / "picture.npy"), folder / "output.npy"
    if contender == LOOP:
        network = load_network(folder / "upscaler.onnx")
        report(lambda: run_loop(network, USUAL_PADDING, picture, output))
    else:
        upscaler = Upscaler.model_validate_json((folder / "upscaler.json").read_text())
        engine = ENGINES[contender]((folder / "upscaler.onnx").read_bytes())
        report(lambda: run_engine(engine, upscaler, picture, output))


if __name__ == "__main__":
    main()
