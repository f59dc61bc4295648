"""Weights in half the bytes: rounded to float16 once, stored so, computed with in float32."""

from __future__ import annotations

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

_SMALLEST = 256  # values; below that a tensor is not worth a node


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Rounds a network's parameters to what float16 can hold, in place.

    Done before an export and its comparison, so that what is compared is what is stored. A weight changes by
    1/2048 of itself at most, which moves pictures by some hundredths of an 8-bit level.
    """
    for parameter in network.parameters():
        parameter.copy_(parameter.half().to(parameter.dtype))


def halve_weights(model: ModelProto) -> None:
    """Stores float32 weights that float16 holds exactly as float16, with a Cast before their use.

    Runtimes fold the Cast when they load the network: results and speed stay the same, bit for bit.
    """
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weight)
        half = values.astype(np.float16)
        if values.size < _SMALLEST or not np.array_equal(half, values):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
