"""A small network of coordinates that does what trained ones do, and a bundle of it.

Waves over the picture's square, of no more than three periods, whose strength a code of the latent and of the
scale decides; three convolutions of 3 x 3 that mix and blur, so that exactly `HALO` cells around one matter;
two by two pixels a cell.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from ourgan_sdk.bundle import Coordinates, Manifest, Pictures, SeamError, Training, write_bundle
from tests.conftest import Graph

LATENT, PATCH, LARGEST, STRIDE, HALO = 8, 32, 256, 2, 3
CHANNELS = 12


def constant(graph: Graph, *shape: int, value: float) -> str:
    return graph.constant(np.full(shape, value, np.float32))


def pointwise(graph: Graph, value: str, channels: int, filters: int, spread: float = 1.0) -> str:
    weight = graph.random.normal(0, spread / np.sqrt(channels), (filters, channels, 1, 1))
    return graph.add("Conv", value, graph.constant(weight.astype(np.float32)))


def mixed(graph: Graph, value: str, channels: int, filters: int) -> str:
    """A convolution of 3 x 3, a mix of channels and a blur at once."""
    mix = graph.random.normal(0, 1.2 / np.sqrt(channels), (filters, channels, 1, 1))
    weight = (mix * np.outer([1, 2, 1], [1, 2, 1]) / 16).astype(np.float32)
    return graph.add("Conv", value, graph.constant(weight), kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def style(graph: Graph) -> str:
    """What scales the features, (1, CHANNELS, 1, 1): around 1, of the latent and a little of the scale."""
    four = graph.constant(np.array([1, -1, 1, 1], np.int64))
    code = graph.add("Reshape", "latent", four)
    code = graph.add("LeakyRelu", pointwise(graph, code, LATENT, CHANNELS), alpha=0.2)
    relative = graph.add("Div", "scale", constant(graph, 1, value=PATCH))
    octaves = graph.add("Div", graph.add("Log", relative), constant(graph, 1, value=np.log(LARGEST / PATCH)))
    zero, one = (graph.constant(np.array(level, np.float32)) for level in (0, 1))
    octaves = graph.add("Reshape", graph.add("Clip", octaves, zero, one), four)
    both = graph.add("Add", code, pointwise(graph, octaves, 1, CHANNELS, 0.05))
    return graph.add("Add", both, one)


def coordinates_network(
    seed: int = 7, *, damaged: bool = False, stride: int = STRIDE, latent: bool = True, ends: str = ""
) -> bytes:
    """`damaged`: it gives NaN; `stride`: pixels per side of a cell; without `latent` there are no codes.

    `ends`: an operator more before the end.
    """
    graph = Graph(seed)
    weight = graph.random.uniform(-3, 3, (CHANNELS, 2, 1, 1)).astype(np.float32) * np.float32(2 * np.pi)
    bias = graph.random.uniform(0, 6.28, CHANNELS).astype(np.float32)
    waves = graph.add("Conv", "coordinates", graph.constant(weight), graph.constant(bias))
    value = graph.add("Sin", waves)
    scales = style(graph) if latent else constant(graph, 1, CHANNELS, 1, 1, value=1.0)
    for _ in range(2):
        value = mixed(graph, graph.add("Mul", value, scales), CHANNELS, CHANNELS)
        value = graph.add("LeakyRelu", value, alpha=0.2)
    value = mixed(graph, value, CHANNELS, 3)
    if stride > 1:
        factors = graph.constant(np.array([1, 1, stride, stride], np.float32))
        how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        value = graph.add("Resize", value, "", factors, **how)
    if damaged:
        value = graph.add("Sqrt", graph.add("Sub", value, graph.constant(np.array(99, np.float32))))
    if ends:
        value = graph.add(ends, value)
    graph.add("Sigmoid", value, output="picture")
    return _model(graph, latent=latent)


def _model(graph: Graph, *, latent: bool) -> bytes:
    inputs = [("coordinates", [1, 2, "height", "width"])]
    inputs += [("scale", [1]), ("latent", [1, LATENT])] if latent else []
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    output = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, "rows", "columns"])
    whole = helper.make_graph(graph.nodes, "network", values, [output], graph.weights)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def coordinates_record(**changes: object) -> Coordinates:
    record = Coordinates(
        file="coordinates.onnx",
        latent=LATENT,
        patch=PATCH,
        largest=LARGEST,
        stride=STRIDE,
        halo=HALO,
        bytes_per_pixel=200,
        seam_error=SeamError(maximum=0, p9999=0, share_different=0),
        pictures=Pictures(count=60, sha256="1" * 64, shortest=PATCH, longest=LARGEST),
    )
    return record.model_copy(update=changes)


def write_coordinates(path: Path, network: bytes | None = None, **changes: object) -> Path:
    """The bundle; `changes` to what its manifest says of the network."""
    training = Training(
        preset="tiny", seed=0, structure_steps=[1, 1], upscaler_steps=0, seconds=1.5, perceptual=None
    )
    manifest = Manifest(schema_version=7, training=training, coordinates=coordinates_record(**changes))
    data = coordinates_network() if network is None else network
    return write_bundle(path, manifest, {"coordinates.onnx": data}).path
