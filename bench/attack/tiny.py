"""The small bundles that faults are tried with."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ourgan_sdk import Bundle
from ourgan_sdk.bundle import (
    Manifest,
    Photo,
    Scale,
    SeamError,
    Structure,
    Training,
    Upscaler,
    write_bundle,
)
from tests.conftest import make_manifest, structure_network, upscaler_network

__all__ = ["exported_bundle", "tiny_bundle"]

_SCALES = ((4, 6, 8), (7, 10, 3), (12, 18, 3))
"""(height, width, channels)."""


def tiny_bundle(path: Path) -> Bundle:
    """The tests' own, whose networks compute next to nothing: for faults in what is around them."""
    members = {
        "structure.onnx": structure_network(),
        "upscaler.onnx": upscaler_network(2),
        "upscaler_later.onnx": upscaler_network(3),
        "preview.png": b"\x89PNG",
    }
    return write_bundle(path, make_manifest(), members)


def exported_bundle(path: Path) -> Path:
    """A bundle of networks as the trainers export them, as small as they can be, and of one that shuffles."""
    # Which are not installed where bundles are only rendered.
    import torch  # noqa: PLC0415

    from trainers.bundling.onnx_export import export_structure, export_upscaler  # noqa: PLC0415
    from trainers.networks import RRDBNet  # noqa: PLC0415
    from trainers.networks import Structure as StructureNetwork  # noqa: PLC0415

    torch.manual_seed(0)
    sizes = [(height, width) for height, width, _ in _SCALES]
    members = {
        "structure.onnx": export_structure(StructureNetwork(3, 8, 1, _SCALES[0][2]), sizes),
        "upscaler.onnx": export_upscaler(RRDBNet(8, 1, 4)),
        "shuffling.onnx": _shuffling_network(),
    }
    scales = [
        Scale(height=height, width=width, channels=channels, noise_deviation=0.5)
        for height, width, channels in _SCALES
    ]
    upscalers = [
        Upscaler(
            file=file,
            halo=4,
            noise_deviation=0.1,
            bytes_per_pixel=1024,
            seam_error=SeamError(maximum=0, p9999=0, share_different=0),
        )
        for file in ("upscaler.onnx", "shuffling.onnx")
    ]
    training = Training(
        preset="tiny", seed=0, structure_steps=[0] * 3, upscaler_steps=0, seconds=0, perceptual=None
    )
    manifest = Manifest(
        photo=Photo(width=180, height=120, sha256="0" * 64),
        training=training,
        structure=Structure(file="structure.onnx", scales=scales, starts=True),
        upscalers=upscalers,
    )
    return write_bundle(path, manifest, members).path


def _shuffling_network() -> bytes:
    """A residual network that enlarges by DepthToSpace."""
    random = np.random.default_rng(0)
    weights: list[TensorProto] = []

    def constant(*shape: int) -> str:
        values = random.normal(0, 0.1, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"weight_{len(weights)}"))
        return str(weights[-1].name)

    def image(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "h", "w"])

    convolution: Any = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    factors = numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "factors")
    nodes = [
        helper.make_node("Conv", ["picture", constant(16, 3, 3, 3), constant(16)], ["a"], **convolution),
        helper.make_node("PRelu", ["a", constant(16, 1, 1)], ["b"]),
        helper.make_node("Conv", ["b", constant(16, 16, 3, 3)], ["c"], **convolution),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("Add", ["b", "d"], ["e"]),
        helper.make_node("Conv", ["e", constant(48, 16, 3, 3)], ["f"], **convolution),
        helper.make_node("DepthToSpace", ["f"], ["details"], blocksize=4, mode="CRD"),
        helper.make_node(
            "Resize",
            ["picture", "", "factors"],
            ["enlarged"],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node("Add", ["enlarged", "details"], ["upscaled"]),
    ]
    graph = helper.make_graph(nodes, "network", [image("picture")], [image("upscaled")], [*weights, factors])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data
