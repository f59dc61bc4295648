"""A refiner as an ONNX file, compared with PyTorch."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError
from torch import Tensor, nn

from ..networks.modulated import settle
from ..networks.refiner import STRIDE, Refiner, draw_noise
from .onnx_export import compare, export

PHOTOGRAPH = "photograph_sha256"  # of the file's metadata
NAMES = ["enlarged", "noise", "factor"]
SIZES = ((40, 56), (34, 70), (2, 6))
FACTORS = (1.5, math.e, 6.0, 11.0)  # the last one is beyond what has been learned


class ForExport(nn.Module):
    """The refiner as runtimes see it: what comes out is in [0, 1]."""

    def __init__(self, network: Refiner) -> None:
        super().__init__()
        self.network = network

    def forward(self, enlarged: Tensor, noise: Tensor, factor: Tensor) -> Tensor:
        refined: Tensor = self.network(enlarged, noise, factor)
        return refined.clamp(0, 1)


def photograph_of(path: Path) -> str | None:
    """SHA-256 of the photograph that the refiner in a file was trained on; None where it is no refiner."""
    try:
        properties = onnx.load(path, load_external_data=False).metadata_props
    except (DecodeError, OSError):
        return None
    return {one.key: one.value for one in properties}.get(PHOTOGRAPH)


def export_refiner(network: Refiner, photograph: str) -> bytes:
    """A refiner as ONNX bytes, which hold the SHA-256 of the ``photograph`` that it was trained on.

    Inputs, all float32: ``enlarged`` (1, 3, H, W) in [0, 1], bicubic, H and W even; ``noise`` (1, 1, H, W),
    normal; ``factor`` (1,), how many times a side was enlarged. Output ``refined`` (1, 3, H, W) in [0, 1].

    Raises:
        ExportError: ONNX Runtime's result differs by more than 1e-4.
    """
    module = ForExport(network).eval()
    device = next(network.parameters()).device
    settled = copy.deepcopy(module)
    settle(settled)
    # That sides are even is part of what the exporter has to know, to fold 2 x 2 pixels into channels.
    rows, columns = (STRIDE * torch.export.Dim(name, min=1, max=1 << 14) for name in ("rows", "columns"))
    shapes: list[object] = [{2: rows, 3: columns}, {2: rows, 3: columns}, None]
    model = export(settled, _example(SIZES[0], FACTORS[1], device), NAMES, "refined", shapes)
    model.metadata_props.add(key=PHOTOGRAPH, value=photograph)
    data: bytes = model.SerializeToString()
    for size in SIZES:
        for factor in FACTORS:
            example = _example(size, factor, device)
            with torch.no_grad():
                expected = module(*example)
            compare("refiner", data, dict(zip(NAMES, example, strict=True)), expected)
    return data


def _example(size: tuple[int, int], factor: float, device: torch.device) -> tuple[Tensor, ...]:
    enlarged = torch.rand(1, 3, *size, device=device)
    return enlarged, draw_noise(enlarged), torch.tensor([factor], device=device)
