"""One x4 pass over a picture, to 8-bit pixels in a file: by this runtime, and by the usual PyTorch tile loop.

The loop is the one that common upscalers use: square tiles with some pixels of padding that are cut off
afterwards, the result collected in one float tensor.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from ourgan_sdk import Box, RenderStats, Synthesizer, open_writer
from ourgan_sdk.bundle import Upscaler
from ourgan_sdk.calibration.halo import calibrate
from ourgan_sdk.engines import HostEngine
from ourgan_sdk.passes.one_pass import Bands, Pass
from ourgan_sdk.passes.plan import Tiling
from ourgan_sdk.passes.tile_loop import run_pass
from ourgan_sdk.system.memory import LARGEST_DEFAULT
from trainers.bundling.activation_memory import measure_bytes_per_pixel
from trainers.bundling.assemble import as_function
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import RRDBNet
from trainers.networks import Upscaler as TorchUpscaler
from trainers.upscalers.esrgan import read_upscaler

__all__ = ["SIZES", "USUAL_PADDING", "Picture", "load_network", "prepare", "run_engine", "run_loop"]

TILE = 256
USUAL_PADDING = 10

SIZES = {"sample": (2048, 1080), "rrdb-23": (448, 320)}
"""Widths and heights of the pictures, by network: the sample's, and an RRDB-23/64 with random weights."""

Picture = npt.NDArray[np.uint8]


def prepare(network: str, folder: Path) -> Upscaler:
    """Put a picture, a network out of SIZES and its description into `folder`."""
    width, height = SIZES[network]
    synthesizer = Synthesizer(engine="onnxruntime", detail="network")
    # What the last pass to a picture of 4 x this size enlarges.
    picture = synthesizer.canvas(4 * width, 4 * height, seed=1).read(level=1)
    np.save(folder / "picture.npy", picture)
    if network == "sample":
        upscaler = synthesizer.bundle.manifest.upscalers[-1]
        data = synthesizer.bundle.network(upscaler.file).data
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


def run_engine(engine: HostEngine, upscaler: Upscaler, picture: Picture, output: Path) -> dict[str, Any]:
    """Enlarge `picture` by this runtime into `output`; returns the share of pixels computed again."""
    grid = Tiling(len(picture), picture.shape[1], upscaler, engine.rules).plan(LARGEST_DEFAULT)
    target = Box(0, 0, 4 * grid.height, 4 * grid.width)
    one = Pass(1, upscaler.file, engine, lambda: engine, grid, 4, 0.0, target, np.dtype(np.uint8))
    with open_writer(output, target.width, target.height) as writer:
        for band in run_pass(one, one_band(picture), 0, RenderStats(), lambda _work: None):
            writer.write(band)
    return {"recomputed": grid.recomputation}


def run_loop(network: TorchUpscaler, padding: int, picture: Picture, output: Path) -> dict[str, Any]:
    """Enlarge `picture` by the usual loop into `output`; returns the share of pixels computed again."""
    result, read = tile_loop(network, picture, padding)
    np.save(output, result)
    return {"recomputed": read / (picture.shape[0] * picture.shape[1]) - 1}


def one_band(picture: Picture) -> Bands:
    """The whole picture as a band."""
    yield picture


def tile_loop(network: TorchUpscaler, picture: Picture, padding: int) -> tuple[Picture, int]:
    """The usual loop: the enlarged picture, and how many input pixels went through the network."""
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0))[None]).float() / 255
    result, read = enlarge_in_tiles(network, x, padding)
    pixels = result.squeeze(0).clamp_(0, 1).numpy()
    return (np.transpose(pixels, (1, 2, 0)) * 255).round().astype(np.uint8), read


def enlarge_in_tiles(network: TorchUpscaler, x: Tensor, padding: int) -> tuple[Tensor, int]:
    """The loop itself, (1, 3, h, w) -> (1, 3, 4h, 4w) of the same type on the same device."""
    _, _, height, width = x.shape
    result = x.new_zeros(1, 3, 4 * height, 4 * width)
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
    return result, read


def load_network(path: Path) -> TorchUpscaler:
    """The PyTorch network of an exported upscaler, with its weights."""
    weights = {
        weight.name.removesuffix("_half"): torch.from_numpy(numpy_helper.to_array(weight).astype(np.float32))
        for weight in onnx.load(path).graph.initializer
        if weight.name.startswith(("conv_", "body."))
    }
    return read_upscaler(weights).eval()
