"""One x4 pass over a picture: this runtime beside the usual PyTorch tile loop, same weights, same precision.

The loop is the one that common upscalers use: square tiles with some pixels of padding that are cut off
afterwards, the result collected in one float tensor. It runs with tiles of 256 and a padding of 10, and again
with the padding that makes it seamless for the network at hand. What seams amount to is told by each program
itself, run again with 64 pixels around every tile. Every contender runs in a process of its own.

python -m bench.against_loop                       the sample's upscaler, 2048 x 1080 -> 8192 x 4320
python -m bench.against_loop --network rrdb-23     RRDB-23/64 with random weights, 448 x 320 -> 1792 x 1280
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper

from bench.processes import measure, report
from export.memory import measure_bytes_per_pixel
from export.to_onnx import export_upscaler
from ourgan_sdk import Box, RenderStats, Synthesizer, open_writer
from ourgan_sdk.bundle import Upscaler
from ourgan_sdk.calibration.halo import calibrate
from ourgan_sdk.engines import WindowRules
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.memory import LARGEST_DEFAULT
from ourgan_sdk.passes import Bands, Pass
from ourgan_sdk.plan import Tiling
from trainers.assemble import as_function
from trainers.networks import RRDBNet

TILE = 256
USUAL_PADDING = 10
WIDE = 64
"""Pixels around a tile that hold all that any of the networks can be seen to heed."""
BORDER = 64
"""Input pixels at the picture's border that are not compared: what differs there is padding, no seam."""

SIZES = {"sample": (2048, 1080), "rrdb-23": (448, 320)}

Picture = npt.NDArray[np.uint8]


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


def prepare(network: str, folder: Path) -> Upscaler:
    """Put the picture, the network and its description into `folder`."""
    width, height = SIZES[network]
    synthesizer = Synthesizer()
    # What the last pass to a picture of 4 x this size enlarges.
    picture = synthesizer.canvas(4 * width, 4 * height, seed=1).read(level=1)
    np.save(folder / "picture.npy", picture)
    if network == "sample":
        upscaler = synthesizer.bundle.manifest.upscalers[-1]
        data = synthesizer.bundle.read(upscaler.file)
    else:
        torch.manual_seed(0)
        data = export_upscaler(random_network())
        tensor = np.moveaxis(picture, 2, 0)[None].astype(np.float32) / np.float32(255)
        calibration = calibrate("upscaler.onnx", as_function(data), lambda side: [tensor[..., :side, :side]])
        upscaler = Upscaler(
            file="upscaler.onnx",
            halo=calibration.halo,
            noise_deviation=0.0,
            bytes_per_pixel=measure_bytes_per_pixel(data, [(192, 192)]),
            seam_error=calibration.error,
        )
    (folder / "upscaler.onnx").write_bytes(data)
    (folder / "upscaler.json").write_text(upscaler.model_dump_json())
    return upscaler


def random_network() -> RRDBNet:
    """RRDB-23/64 with the weights that PyTorch's layers start with."""
    network = RRDBNet(64, 23, 32)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.reset_parameters()
    return network


def run(contender: str, folder: Path) -> None:
    """One contender, in a process of its own: from the picture in memory to uint8 pixels in a file."""
    picture = np.load(folder / "picture.npy")
    output = folder / f"{contender}.npy"
    around = int(contender.rsplit(maxsplit=1)[-1])
    if contender.startswith("this runtime"):
        upscaler = Upscaler.model_validate_json((folder / "upscaler.json").read_text())
        upscaler = upscaler.model_copy(update={"halo": around})
        engine = OnnxRuntimeEngine((folder / "upscaler.onnx").read_bytes())
        grid = Tiling(len(picture), picture.shape[1], upscaler, WindowRules()).plan(LARGEST_DEFAULT)
        target = Box(0, 0, 4 * grid.height, 4 * grid.width)
        one = Pass(1, upscaler.file, engine, lambda: engine, grid, 4, 0.0, target, np.dtype(np.uint8))

        def work() -> dict[str, Any]:
            with open_writer(output, target.width, target.height) as writer:
                for band in one.bands(one_band(picture), 0, RenderStats(), lambda _work: None):
                    writer.write(band)
            return {"recomputed": grid.recomputation}
    else:
        network = load_network(folder / "upscaler.onnx")

        def work() -> dict[str, Any]:
            result, read = tile_loop(network, picture, around)
            np.save(output, result)
            return {"recomputed": read / (picture.shape[0] * picture.shape[1]) - 1}

    report(work)


def one_band(picture: Picture) -> Bands:
    """The whole picture as a band."""
    yield picture


def tile_loop(network: RRDBNet, picture: Picture, padding: int) -> tuple[Picture, int]:
    """The usual loop: the enlarged picture, and how many input pixels went through the network."""
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0))[None]).float() / 255
    _, _, height, width = x.shape
    result = torch.zeros(1, 3, 4 * height, 4 * width)
    read = 0
    with torch.inference_mode():
        for y0, x0 in itertools.product(range(0, height, TILE), range(0, width, TILE)):
            y1, x1 = min(y0 + TILE, height), min(x0 + TILE, width)
            top, left = max(y0 - padding, 0), max(x0 - padding, 0)
            tile = x[:, :, top : min(y1 + padding, height), left : min(x1 + padding, width)]
            read += tile.shape[2] * tile.shape[3]
            result[:, :, 4 * y0 : 4 * y1, 4 * x0 : 4 * x1] = network(tile)[
                :, :, 4 * (y0 - top) : 4 * (y1 - top), 4 * (x0 - left) : 4 * (x1 - left)
            ]
    pixels = result.squeeze(0).clamp_(0, 1).numpy()
    return (np.transpose(pixels, (1, 2, 0)) * 255).round().astype(np.uint8), read


def load_network(path: Path) -> RRDBNet:
    """The PyTorch network of an exported upscaler, with its weights."""
    weights = {
        weight.name.removesuffix("_half"): torch.from_numpy(numpy_helper.to_array(weight).astype(np.float32))
        for weight in onnx.load(path).graph.initializer
        if weight.name.startswith(("conv_", "body."))
    }
    blocks = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("body."))
    features, growth = len(weights["conv_first.weight"]), len(weights["body.0.rdb1.conv1.weight"])
    network = RRDBNet(features, blocks, growth)
    network.load_state_dict(weights)
    return network.eval()


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
