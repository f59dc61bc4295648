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

from ..networks import AnyStructure, ResidualNet, RRDBNet, Upscaler
from ..networks.structure import Start
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

    def __init__(self, network: AnyStructure) -> None:
        super().__init__()
        self.network = network

    def forward(self, noises: Sequence[Tensor], starts: Sequence[Start]) -> Tensor:
        given = [(picture * 2 - 1, share) for picture, share in starts]
        picture: Tensor = self.network(noises, starts=given)
        return ((picture + 1) / 2).clamp(0, 1)


def export_structure(network: AnyStructure, sizes: Sequence[tuple[int, int]]) -> bytes:
    """The structure as ONNX bytes; rounds the network's weights to float16 (:mod:`.weights`).

    Its inputs are those of :func:`ourgan_sdk.bundle.structure_inputs.structure_inputs`, of any sizes; output
    ``picture`` float32 (1, 3, H_M, W_M) in [0, 1]. ``sizes`` are the scales' training sizes.

    Raises:
        ExportError: ONNX Runtime's result differs by more than 1e-4.
    """
    round_weights(network)
    module = StructureForExport(network).eval()
    device = next(network.parameters()).device
    around, last = 2 * network.margin, len(sizes) - 1
    starting = last if network.takes_starts else 0

    def example(grow: int) -> tuple[list[Tensor], list[Start]]:
        grown = [(h + grow, w + 2 * grow) for h, w in sizes]
        noises = [
            torch.randn(1, c, h + around, w + around, device=device)
            for c, (h, w) in zip(network.noise_channels, grown, strict=True)
        ]
        starts = [
            (torch.rand(1, 3, *size, device=device), torch.rand(1, 1, *size, device=device))
            for size in grown[:starting]
        ]
        return noises, starts

    def flat(noises: list[Tensor], starts: list[Start]) -> list[Tensor]:
        return [*noises, *(tensor for start in starts for tensor in start)]

    names = [f"noise_{m}" for m in range(last + 1)]
    names += [f"{what}_{m}" for m in range(starting) for what in ("given", "share")]
    sides = [{2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}] * (last + 1)
    shapes = [sides, [(side, side) for side in sides[:starting]]]
    model = export(module, example(0), names, "picture", shapes)
    _unsqueeze_sizes(model)
    data: bytes = model.SerializeToString()
    for grow in (0, 3):
        noises, starts = example(grow)
        with torch.no_grad():
            expected = module(noises, starts)
        compare("structure", data, dict(zip(names, flat(noises, starts), strict=True)), expected)
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
    model = export(network, (example,), ["picture"], "upscaled", [{2: "height", 3: "width"}])
    if isinstance(network, RRDBNet):
        run_tail_in_strips(model, strips)
    data: bytes = model.SerializeToString()
    for size in ((40, 56), (33, 71), (3, 5)):
        example = torch.rand(1, 3, *size, device=device)
        with torch.no_grad():
            expected = network(example)
        compare("upscaler", data, {"picture": example}, expected)
    return data


def export(
    module: nn.Module, arguments: tuple[object, ...], inputs: list[str], output: str, dynamic: list[object]
) -> onnx.ModelProto:
    """``module`` as ONNX, its weights halved where float16 holds them; nothing of this machine is in it."""
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


def _unsqueeze_sizes(model: onnx.ModelProto) -> None:
    """Makes a length of a shape by Unsqueeze where the exporter has it reshaped: Reshape is for anything.

    Bundles may not hold one, and of a number by itself the two are the same.
    """
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    axis = "sizes_axis"
    for node in model.graph.node:
        if node.op_type == "Reshape" and constants.get(node.input[1], np.zeros(0)).shape == (1,):
            node.op_type = "Unsqueeze"
            node.input[1] = axis
            node.ClearField("attribute")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.int64), axis))
    read = {name for node in model.graph.node for name in node.input}
    for one in [one for one in model.graph.initializer if one.name not in read]:
        model.graph.initializer.remove(one)


def compare(name: str, data: bytes, feeds: dict[str, Tensor], expected: Tensor) -> None:
    """Raises ExportError where ONNX Runtime makes something else of ``feeds`` than ``expected``."""
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
    if isinstance(restored.network, (RRDBNet, ResidualNet)):
        return export_upscaler(restored.network)
    return export_structure(restored.network, restored.sizes)
