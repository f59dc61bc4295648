"""How much memory a network's activations take, from its ONNX graph."""

from __future__ import annotations

import math

import onnx
from onnx import ModelProto, shape_inference

OVERHEAD = 2.25
"""What ONNX Runtime takes over the live tensors: its arena grows in chunks, and its vectorised convolutions
keep re-blocked copies. Resident memory was 2.1 to 2.2 times the live tensors for an RRDB-4/32, 128 to 384 px.
"""

_SIDE = 64  # pixels of the example input; activations of a convolutional network grow with the area


def activation_bytes_per_pixel(data: bytes) -> int:
    """Bytes that ONNX Runtime takes for activations, per input pixel.

    That is the peak of live tensors when the graph runs in order, times the runtime's overhead. A
    tensor lives from the node that makes it to the last that reads it. ``data`` is an ONNX network with one
    input (1, C, h, w).
    """
    model = _with_size(onnx.load_model_from_string(data), _SIDE)
    sizes = _tensor_bytes(model)
    constant = {weight.name for weight in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if all(name in constant for name in node.input):  # weights being converted: folded when loaded
            constant.update(node.output)
        else:
            nodes.append(node)
    last_use = {name: i for i, node in enumerate(nodes) for name in node.input}
    last_use.update({output.name: len(nodes) for output in model.graph.output})
    live = {value.name for value in model.graph.input}
    peak = 0
    for i, node in enumerate(nodes):
        live.update(node.output)
        peak = max(peak, sum(sizes.get(name, 0) for name in live))
        live = {name for name in live if last_use.get(name, -1) > i}
    return math.ceil(peak * OVERHEAD / _SIDE**2)


def _with_size(model: ModelProto, side: int) -> ModelProto:
    """The model with its input's height and width fixed, and all shapes inferred."""
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    for dimension in dimensions[2:]:
        dimension.ClearField("dim_param")
        dimension.dim_value = side
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return shape_inference.infer_shapes(model, data_prop=True)


def _tensor_bytes(model: ModelProto) -> dict[str, int]:
    sizes = {}
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        tensor = value.type.tensor_type
        itemsize = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
        sizes[value.name] = itemsize * math.prod(d.dim_value for d in tensor.shape.dim)
    return sizes
