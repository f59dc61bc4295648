"""Networks that compute their end in strips, with strips of even height: what TensorRT takes in any size.

The upscalers of bundles cut pictures of any height into strips, at rows that they work out from the height.
TensorRT cannot build that for a range of heights. Where all strips are equally high, no row has to be worked
out: the strips are a dimension of their own, and what a strip reads of its neighbours is so many rows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["ALIGNMENT", "make_strips_even"]

ALIGNMENT = 16
"""Pictures' heights are multiples of it: 8 strips of at least the 2 rows that their neighbours read."""

_HEIGHT = 2
"""The axis."""

_END = (1 << 31) - 1
"""Of a Slice that goes to the last row."""


def make_strips_even(model: "ModelProto") -> None:
    """Rewrite `model`, (1, C, h, w) -> (1, C, s * h, s * w) of opset 13 or later, in place.

    The results are the same for heights that are multiples of ALIGNMENT; others are refused when it runs. A
    network without strips stays as it is, and so does one with strips that are not even at all such heights.
    """
    strips = _find_strips(model)
    if strips is None or ALIGNMENT % strips.count or not 0 < strips.margin <= ALIGNMENT // strips.count:
        return
    cuts = {node.output[0]: index for index, node in enumerate(strips.cuts)}
    crops = {node.output[0]: index for index, node in enumerate(strips.crops)}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    writer = _Writer(model)
    for node in nodes:
        name = node.output[0]
        if cuts.get(name) == 0:
            centers = _split_rows(writer, strips)
        if name in cuts:
            _write_strip(writer, strips, centers, cuts[name])
            continue
        if name in crops:
            _fix_crop(writer, strips, crops[name], node)
        model.graph.node.append(node)
    _drop_unused(model)


@dataclass(frozen=True)
class _Strips:
    """In which a network computes its output.

    `cuts` take them from the rows of `features`, with `margin` rows of their neighbours; `crops` take these
    off the results, where they are `scale` times as high.
    """

    features: str
    cuts: Sequence["NodeProto"]
    crops: Sequence["NodeProto"]
    margin: int
    scale: int

    @property
    def count(self) -> int:
        return len(self.cuts)


def _find_strips(model: "ModelProto") -> _Strips | None:
    """The strips in which the network computes its output, if it does."""
    graph = model.graph
    givers = {name: node for node in graph.node for name in node.output}
    joined = givers[graph.output[0].name]
    computed = [node for node in graph.node if node.op_type == "Slice" and {*node.input[1:3]} <= {*givers}]
    crops = [node for node in computed if node.output[0] in joined.input]
    cuts = [node for node in computed if node not in crops]
    if (
        joined.op_type != "Concat"
        or [node.output[0] for node in crops] != list(joined.input)
        or len(cuts) != len(crops)
        or len({cut.input[0] for cut in cuts}) != 1
    ):
        return None
    features = cuts[0].input[0]
    rows = ALIGNMENT
    bounds = _bounds(model, features, [*cuts, *crops], rows * len(cuts))
    cut_bounds, crop_bounds = np.split(bounds, 2)
    margin, scale = max(rows * np.arange(len(cuts)) - cut_bounds[:, 0]), int(crop_bounds[0, 1]) // rows
    strips = _Strips(features, cuts, crops, int(margin), scale)
    return strips if np.array_equal(bounds, _even_bounds(strips, rows)) else None


def _bounds(model: "ModelProto", features: str, slices: Sequence["NodeProto"], height: int) -> Any:
    """(len(slices), 2): the first row and the one behind the last that each takes, of features so high."""
    from onnx import TensorProto, helper  # noqa: PLC0415
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

    names = [name for node in slices for name in node.input[1:3]]
    graph = helper.make_graph(
        _needed(model.graph.node, names, {features}),
        "bounds",
        [helper.make_tensor_value_info(features, TensorProto.FLOAT, [1, 1, height, 1])],
        [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in dict.fromkeys(names)],
        model.graph.initializer,
    )
    arithmetic = helper.make_model(graph, opset_imports=model.opset_import)
    values = ReferenceEvaluator(arithmetic).run(names, {features: np.zeros((1, 1, height, 1), np.float32)})
    return np.reshape(np.asarray(values), (-1, 2))


def _even_bounds(strips: _Strips, rows: int) -> Any:
    """What `_bounds` gives where strips are even, each of `rows` rows."""
    first = rows * np.arange(strips.count)
    last = first + rows
    start = np.maximum(first - strips.margin, 0)
    end = np.minimum(last + strips.margin, rows * strips.count)
    cuts = np.stack([start, end], axis=1)
    crops = strips.scale * np.stack([first - start, last - start], axis=1)
    return np.concatenate([cuts, crops])


def _split_rows(writer: "_Writer", strips: _Strips) -> list[str]:
    """The strips without their margins."""
    width = writer.node("Shape", [strips.features], start=3)
    others = writer.constant([0, 0, strips.count, -1])  # 0: as it is, -1: what is left
    shape = writer.node("Concat", [others, width], axis=0)
    rows = writer.node("Reshape", [strips.features, shape])  # (1, C, strips, h / strips, w)
    axis = writer.constant([_HEIGHT])
    return [
        writer.node("Squeeze", [writer.slice(rows, index, index + 1), axis]) for index in range(strips.count)
    ]


def _write_strip(writer: "_Writer", strips: _Strips, centers: Sequence[str], index: int) -> None:
    """Strip `index` with its margins, under the name that it had."""
    above = [writer.slice(center, -strips.margin, _END) for center in centers[:index][-1:]]
    below = [writer.slice(center, 0, strips.margin) for center in centers[index + 1 :][:1]]
    parts = [*above, centers[index], *below]
    writer.node("Concat", parts, output=strips.cuts[index].output[0], axis=_HEIGHT)


def _fix_crop(writer: "_Writer", strips: _Strips, index: int, crop: "NodeProto") -> None:
    margin = strips.scale * strips.margin
    start, end = margin if index else 0, -margin if index < strips.count - 1 else _END
    crop.input[1:3] = [writer.constant([start]), writer.constant([end])]


def _drop_unused(model: "ModelProto") -> None:
    graph = model.graph
    kept = _needed(graph.node, [output.name for output in graph.output], set())
    read = {name for node in kept for name in node.input}
    weights = [weight for weight in graph.initializer if weight.name in read]
    for field, values in ((graph.node, kept), (graph.initializer, weights)):
        del field[:]
        field.extend(values)
    del graph.value_info[:]  # speaks of tensors that are no more


def _needed(nodes: Sequence["NodeProto"], names: Collection[str], given: set[str]) -> list["NodeProto"]:
    """The nodes that `names` are computed by, in order, from the tensors `given`, inputs and weights."""
    wanted, needed = set(names), []
    for node in reversed(nodes):
        if not (wanted - given).isdisjoint(node.output):
            wanted.update(node.input)
            needed.append(node)
    return needed[::-1]


class _Writer:
    """Appends nodes to a graph, with names of its own."""

    def __init__(self, model: "ModelProto") -> None:
        self._graph = model.graph
        self._count = 0

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Append a node; returns its output."""
        from onnx import helper  # noqa: PLC0415

        output = output or self._name()
        self._graph.node.append(helper.make_node(kind, inputs, [output], name=f"{output}_node", **attributes))
        return output

    def slice(self, tensor: str, start: int, end: int) -> str:
        """Append a Slice of the third axis."""
        return self.node("Slice", [tensor, *(self.constant([value]) for value in (start, end, _HEIGHT))])

    def constant(self, values: Sequence[int]) -> str:
        """Add int64 values."""
        from onnx import numpy_helper  # noqa: PLC0415

        name = self._name()
        self._graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"even_strips_{self._count}"
