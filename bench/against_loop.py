"""One x4 pass over a picture: this runtime beside the usual PyTorch tile loop, same weights, same precision.

The loop (`bench/one_pass.py`) runs with tiles of 256 and a padding of 10, and again with the padding that
makes it seamless for the network at hand. What seams amount to is told by each program itself, run again with
64 pixels around every tile. Every contender runs in a process of its own.

python -m bench.against_loop                       the sample's upscaler, 2048 x 1080 -> 8192 x 4320
python -m bench.against_loop --network rrdb-23     RRDB-23/64 with random weights, 448 x 320 -> 1792 x 1280
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.one_pass import SIZES, USUAL_PADDING, Picture, load_network, prepare, run_engine, run_loop
from bench.processes import measure, report
from ourgan_sdk.bundle import Upscaler
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine

WIDE = 64
"""Pixels around a tile that hold all that any of the networks can be seen to heed."""
BORDER = 64
"""Input pixels at the picture's border that are not compared: what differs there is padding, no seam."""


def main() -> None:
    """Measure the contenders one after the other, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=SIZES, default="sample")
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, folder = options.one
        run(contender, Path(folder))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upscaler = prepare(options.network, folder)
        usual, seamless = f"loop, padding {USUAL_PADDING}", f"loop, padding {upscaler.halo}"
        ours = f"this runtime, halo {upscaler.halo}"
        contenders = list(dict.fromkeys([usual, seamless, ours]))
        references = [f"loop, padding {WIDE}", f"this runtime, halo {WIDE}"]
        results = {
            one: measure("bench.against_loop", "--one", one, folder) for one in [*contenders, *references]
        }
        width, height = SIZES[options.network]
        print(f"{options.network}: {width} x {height} -> {4 * width} x {4 * height}, halo {upscaler.halo}")
        print("| | seconds | recomputed | largest difference, levels | values that differ | memory, GB |")
        print("|---|---|---|---|---|---|")
        for one in contenders:
            wide = references[one == ours]
            largest, share = differences(*(np.load(folder / f"{name}.npy", "r") for name in (one, wide)))
            result = results[one]
            print(
                f"| {one} | {result['seconds']:.1f} | {100 * result['recomputed']:.1f} % | {largest} | "
                f"{100 * share:.4f} % | {result['peak'] - result['idle']:.2f} |"
            )
        ratio = results[usual]["seconds"] / results[ours]["seconds"]
        print(f"speed against the usual loop: {ratio:.2f} x")


def run(contender: str, folder: Path) -> None:
    """One contender, in a process of its own: from the picture in memory to uint8 pixels in a file."""
    picture = np.load(folder / "picture.npy")
    output = folder / f"{contender}.npy"
    around = int(contender.rsplit(maxsplit=1)[-1])
    if contender.startswith("this runtime"):
        upscaler = Upscaler.model_validate_json((folder / "upscaler.json").read_text())
        upscaler = upscaler.model_copy(update={"halo": around})
        engine = OnnxRuntimeEngine((folder / "upscaler.onnx").read_bytes())
        report(lambda: run_engine(engine, upscaler, picture, output))
    else:
        network = load_network(folder / "upscaler.onnx")
        report(lambda: run_loop(network, around, picture, output))


def differences(picture: Picture, expected: Picture) -> tuple[int, float]:
    """The largest difference, in levels, and the share of values that differ, away from the border."""
    largest, different, count = 0, 0, 0
    for rows in row_blocks(4 * BORDER, len(picture) - 4 * BORDER):
        inner = (rows, slice(4 * BORDER, picture.shape[1] - 4 * BORDER))
        difference = np.abs(picture[inner].astype(np.int16) - expected[inner])
        largest = max(largest, int(difference.max()))
        different += int(np.count_nonzero(difference))
        count += difference.size
    return largest, different / count


def row_blocks(first: int, last: int) -> Iterator[slice]:
    """Slices of 256 rows."""
    for y in range(first, last, 256):
        yield slice(y, min(y + 256, last))


if __name__ == "__main__":
    main()
