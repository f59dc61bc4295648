"""PyTorch -> ONNX: the structure and the upscalers with dynamic sizes, compared with ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ourgan_sdk.engines.runtimes import import_onnxruntime

from ..networks import RRDBNet, Structure, Upscaler
from ..runs.restore import restore_network
from .strips import STRIPS, run_tail_in_strips
from .weights import halve_weights, round_weights

log = logging.getLogger(__name__)
logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of every package that is not installed

OPSET = 20
TOLERANCE = 1e-4  # largest difference between ONNX Runtime and PyTorch, in [0, 1]


class ExportError(RuntimeError):
    """An exported network does not compute what the trained one does."""


class StructureForExport(nn.Module):
    """The structure as runtimes see it: picture in [0, 1].

    Its normalisation uses the sample's own statistics, as in training
    (:class:`trainers.networks.structure.SampleNorm`), so there is no other mode to mix up.
    """

    def __init__(self, network: Structure) -> None:
        super().__init__()
        self.network = network

    def forward(self, noises: Sequence[Tensor]) -> Tensor:
        picture: Tensor = self.network(noises)
        return ((picture + 1) / 2).clamp(0, 1)


def export_structure(network: Structure, sizes: Sequence[tuple[int, int]]) -> bytes:
    """The structure as ONNX bytes; rounds the network's weights to float16 (:mod:`.weights`).

    Inputs ``noise_m`` float32 (1, C_m, H_m, W_m) of any sizes, output ``picture`` float32 (1, 3, H_M, W_M) in
    [0, 1]. ``sizes`` are the scales' training sizes.

    Raises:
        ExportError: ONNX Runtime's result differs by more than 1e-4.
    """
    round_weights(network)
    module = StructureForExport(network).eval()
    device = next(network.parameters()).device
    channels = [network.latent] + [3] * (len(sizes) - 1)

    def noises(grow: int) -> list[Tensor]:
        return [
            torch.randn(1, c, h + grow, w + 2 * grow, device=device)
            for c, (h, w) in zip(channels, sizes, strict=True)
        ]

    names = [f"noise_{m}" for m in range(len(sizes))]
    shapes = [{2: f"height_{m}", 3: f"width_{m}"} for m in range(len(sizes))]
    data: bytes = _export(module, (noises(0),), names, "picture", [shapes]).SerializeToString()
    for grow in (0, 3):
        example = noises(grow)
        with torch.no_grad():
            expected = module(example)
        _compare("structure", data, dict(zip(names, example, strict=True)), expected)
    return data


def export_upscaler(network: Upscaler, strips: int = STRIPS) -> bytes:
    """An upscaler as ONNX bytes; rounds the network's weights to float16 (:mod:`.weights`).

    Input ``picture`` float32 (1, 3, h, w) in [0, 1], output ``upscaled`` float32 (1, 3, 4h, 4w).
    ``strips``: in how many the end of an RRDB is computed (:mod:`.strips`); a residual network works at the
    input's resolution up to its last convolution, and is computed whole.

    Raises:
        ExportError: ONNX Runtime's result differs by more than 1e-4.
    """
    round_weights(network)
    network = network.eval()
    device = next(network.parameters()).device
    example = torch.rand(1, 3, 40, 56, device=device)
    model = _export(network, (example,), ["picture"], "upscaled", [{2: "height", 3: "width"}])
    if isinstance(network, RRDBNet):
        run_tail_in_strips(model, strips)
    data: bytes = model.SerializeToString()
    for size in ((40, 56), (33, 71), (3, 5)):
        example = torch.rand(1, 3, *size, device=device)
        with torch.no_grad():
            expected = network(example)
        _compare("upscaler", data, {"picture": example}, expected)
    return data


def _export(
    module: nn.Module, arguments: tuple[object, ...], inputs: list[str], output: str, dynamic: list[object]
) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            module,
            arguments,
            input_names=inputs,
            output_names=[output],
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ExportError("torch.onnx.export returned nothing")
    model: onnx.ModelProto = program.model_proto
    for entry in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        entry.ClearField("doc_string")
        del entry.metadata_props[:]  # stack traces of the exporting machine
    halve_weights(model)
    return model


def _compare(name: str, data: bytes, feeds: dict[str, Tensor], expected: Tensor) -> None:
    session = import_onnxruntime().InferenceSession(data, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {key: value.cpu().numpy() for key, value in feeds.items()})
    difference = float(np.abs(got - expected.cpu().numpy()).max())
    if not difference <= TOLERANCE:  # also for NaN
        raise ExportError(
            f"{name}: ONNX Runtime differs from PyTorch by {difference:.2e} (at most {TOLERANCE}) "
            f"for an output of {tuple(expected.shape)}"
        )
    log.info("%s: ONNX Runtime equals PyTorch within %.1e", name, difference)


def export_checkpoint(path: Path) -> bytes:
    """ONNX bytes of the network in a checkpoint of ``trainers.fit``."""
    restored = restore_network(path)
    if isinstance(restored.network, Structure):
        return export_structure(restored.network, restored.sizes)
    return export_upscaler(restored.network)
