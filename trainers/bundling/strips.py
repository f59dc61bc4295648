"""An upscaler's high-resolution end, computed in strips: the same result in a fraction of the memory.

Nearly all memory of an RRDB network goes into its last few convolutions, which work at 16 times the pixels of
its long body. They see only two rows beyond their own, so they can run on one strip of rows after the other
inside one graph: the result is the same, the peak of memory is that of one strip, and larger windows fit
into a budget, which lowers what is recomputed for their halos.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

__all__ = ["STRIPS", "run_tail_in_strips"]

STRIPS = 8
"""More strips take less memory and compute more margins: at 8, a window of 512 rows computes 3 % more of the
tail, which is a third of all work in an RRDB-4/32, and needs a fifth of the memory."""

MARGIN = 2
"""Rows, before enlargement, that a strip needs on either side: three convolutions at x4 and one at x2 reach
3 / 4 + 1 / 2 of a row, and the repetition of rows in between rounds that up."""


def run_tail_in_strips(model: ModelProto, strips: int = STRIPS, scale: int = 4) -> None:
    """Rewrites an exported :class:`trainers.networks.RRDBNet` in place; its inputs and outputs stay.

    The tail is what follows the input of the first ``Resize``. Strip i of n owns the rows from i * h // n to
    (i + 1) * h // n of that input (1, C, h, w).

    Raises:
        ValueError: There is no ``Resize``.
    """
    graph = model.graph
    enlargements = [node for node in graph.node if node.op_type == "Resize"]
    if not enlargements:
        raise ValueError("expected an upscaler that enlarges by Resize, got a network with no Resize")
    features = enlargements[0].input[0]
    body, tail = _split(graph.node, features)
    builder = _Builder(graph, body)
    rows = builder.node("Shape", [features], start=2, end=3)
    borders = [builder.node("Div", [builder.node("Mul", [rows, i]), strips]) for i in range(strips + 1)]
    output = graph.output[0].name
    parts = []
    for index in range(strips):
        first, last = borders[index], borders[index + 1]
        start = builder.node("Max", [builder.node("Sub", [first, MARGIN]), 0])
        end = builder.node("Min", [builder.node("Add", [last, MARGIN]), rows])
        strip = builder.node("Slice", [features, start, end, 2])
        result = builder.copy(tail, {features: strip}, f"strip_{index}/")[output]
        crop = [
            builder.node("Mul", [builder.node("Sub", [border, start]), scale]) for border in (first, last)
        ]
        parts.append(builder.node("Slice", [result, *crop, 2]))
    builder.node("Concat", parts, output=output, axis=2)
    del graph.value_info[:]  # speaks of tensors that are no more


def _split(nodes: Iterable[NodeProto], tensor: str) -> tuple[list[NodeProto], list[NodeProto]]:
    """The nodes that do without ``tensor``, and those that need it, both in order."""
    reached = {tensor}
    without: list[NodeProto] = []
    needing: list[NodeProto] = []
    for node in nodes:
        needs = not reached.isdisjoint(node.input)
        if needs:
            reached.update(node.output)
        (needing if needs else without).append(node)
    return without, needing


class _Builder:
    """Writes the nodes of a graph anew, with names of its own for tensors and constants."""

    def __init__(self, graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
        self._graph = graph
        self._count = 0
        del graph.node[:]
        graph.node.extend(nodes)

    def node(self, kind: str, inputs: Sequence[str | int], output: str = "", **attributes: Any) -> str:
        """Adds a node, numbers among its inputs being constants (1,) int64; returns its output."""
        names = [self._constant(value) if isinstance(value, int) else value for value in inputs]
        output = output or self._name()
        self._graph.node.append(helper.make_node(kind, names, [output], name=f"{output}_node", **attributes))
        return output

    def copy(self, nodes: Iterable[NodeProto], replaced: dict[str, str], prefix: str) -> dict[str, str]:
        """Adds the nodes once more, reading what ``replaced`` says; returns the new names of tensors."""
        names = dict(replaced)
        for node in nodes:
            names |= {output: prefix + output for output in node.output}
            copied = NodeProto()
            copied.CopyFrom(node)
            copied.name = prefix + node.name
            copied.input[:] = [names.get(name, name) for name in node.input]
            copied.output[:] = [names[name] for name in node.output]
            self._graph.node.append(copied)
        return names

    def _constant(self, value: int) -> str:
        name = f"strip_constant_{value}"
        if all(weight.name != name for weight in self._graph.initializer):
            self._graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"strip_value_{self._count}"
