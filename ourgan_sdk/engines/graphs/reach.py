"""What an ONNX upscaler's graph tells without running it: how far it can look.

Needs the `onnx` package. For networks that are trusted, or that `Bundle.network` has checked.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ...system.lazy import lazy

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["theoretical_radius"]

Span: TypeAlias = tuple[int, int]
"""The first and the last index along an axis."""

_SIDES = 1009, 1013
"""Height and width that shapes are inferred for: primes, so that an axis of positions shows by its length,
whatever transposing and reshaping was done to it."""

_SCALE = 4

_ARITHMETIC = (
    "Abs",
    "Add",
    "Cast",
    "Clip",
    "Div",
    "Erf",
    "Exp",
    "Identity",
    "Mul",
    "Neg",
    "Pow",
    "Sqrt",
    "Sub",
)
_ACTIVATIONS = ("Elu", "Gelu", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu", "Sigmoid", "Tanh")
_POINTWISE = (*_ARITHMETIC, *_ACTIVATIONS, "BatchNormalization")


def theoretical_radius(network: bytes) -> int | None:
    """How far away, in pixels, an input may lie and still reach an output of the ONNX upscaler `network`.

    Exact: the outputs over one input pixel are followed back through the graph. None if it has nodes whose
    reach is not known here.
    """
    graph = _load(network)
    outputs = 0, _SCALE - 1
    needed: dict[str, list[Span]] = {graph.output: [outputs, outputs]}
    for node in reversed(graph.nodes):
        spans = needed.get(node.output[0])
        if spans is None:
            continue
        for name in graph.computed.intersection(node.input):
            try:
                sources = [_source(node, name, axis, span, graph) for axis, span in enumerate(spans)]
            except _UnknownError:
                return None
            needed[name] = [_union(*pair) for pair in zip(sources, needed.get(name, sources), strict=True)]
    return max((max(-first, last) for first, last in needed.get(graph.input, ())), default=None)


@dataclass(frozen=True)
class _Graph:
    """An ONNX graph, its nodes in order of execution, and its tensors' shapes for an input of `_SIDES`."""

    nodes: list["NodeProto"]
    shapes: dict[str, tuple[int, ...]]  # those that could be inferred; 0 where an axis could not
    input: str
    output: str

    @lazy
    def computed(self) -> set[str]:
        """The tensors whose values depend on the input's."""
        names = {self.input}
        for node in self.nodes:
            if node.op_type != "Shape" and names.intersection(node.input):
                names.update(node.output)
        return names

    def is_picture(self, name: str) -> bool:
        """Whether a tensor is (1, C, h, w), larger than the input by whole factors."""
        shape = self.shapes.get(name, ())
        return len(shape) == 4 and all(n and n % side == 0 for n, side in zip(shape[2:], _SIDES, strict=True))


class _UnknownError(Exception):
    """A node's reach is not known."""


def _load(network: bytes) -> _Graph:
    """The graph of an ONNX network of one input (1, C, h, w)."""
    import onnx  # noqa: PLC0415 - optional, and slow to import

    model = onnx.load_model_from_string(network)
    for dimension, side in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], _SIDES, strict=True):
        dimension.dim_value = side
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    _join_strips(model)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return _Graph(
        nodes=list(model.graph.node),
        shapes=_shapes(model),
        input=model.graph.input[0].name,
        output=model.graph.output[0].name,
    )


def _join_strips(model: "ModelProto") -> None:
    """Take strips of a picture, that a network computes one after the other, for the whole of it.

    They are cut out at rows that are computed from the picture's height, and put together again at the end
    (`trainers.bundling.strips`), so that along the way rows keep their places with respect to each other.
    """
    constants = {constant.name for constant in model.graph.initializer}
    strips: set[str] = set()
    for node in model.graph.node:
        cut = node.op_type == "Slice" and node.input[1] not in constants
        if cut or (node.op_type == "Concat" and strips.issuperset(node.input)):
            strips.update(node.output)
            node.op_type = "Identity"
            del node.input[1:]
            del node.attribute[:]


def _shapes(model: "ModelProto") -> dict[str, tuple[int, ...]]:
    shapes = {constant.name: tuple(constant.dims) for constant in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            shapes[value.name] = tuple(dimension.dim_value for dimension in tensor.shape.dim)
    return shapes


def _attributes(node: "NodeProto") -> dict[str, Any]:
    from onnx import helper  # noqa: PLC0415

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _source(node: "NodeProto", name: str, axis: int, span: Span, graph: _Graph) -> Span:
    """What `node` reads of its input `name` along the rows (axis 0) or columns (1) to make `span`."""
    if not (graph.is_picture(name) and graph.is_picture(node.output[0])):
        raise _UnknownError
    attributes = _attributes(node)
    first, last = span
    if node.op_type in _POINTWISE or (node.op_type == "Concat" and attributes["axis"] == 1):
        return span
    if node.op_type == "DepthToSpace":
        return first // attributes["blocksize"], last // attributes["blocksize"]
    if node.op_type == "Conv" and graph.shapes[name][2:] == graph.shapes[node.output[0]][2:]:
        size = graph.shapes[node.input[1]][2 + axis]
        reach = attributes.get("dilations", [1, 1])[axis] * (size - 1)
        before = attributes.get("pads", [reach // 2] * 2)[axis]
        return first - before, last - before + reach
    if node.op_type == "Resize":
        return _before_resize(attributes, axis, span, graph.shapes[name], graph.shapes[node.output[0]])
    raise _UnknownError


def _before_resize(
    attributes: dict[str, Any], axis: int, span: Span, before: tuple[int, ...], after: tuple[int, ...]
) -> Span:
    """As `_source`: pixels are repeated, or each is made of the two or four nearest ones along the axis."""
    mode = attributes.get("mode", b"nearest")
    place = attributes.get("coordinate_transformation_mode", b"half_pixel")
    factor, remainder = divmod(after[2 + axis], before[2 + axis])
    if remainder or attributes.get("antialias") or place not in _OFFSETS:
        raise _UnknownError
    if mode == b"nearest":
        if place != b"asymmetric" or attributes.get("nearest_mode") != b"floor":
            raise _UnknownError
        return span[0] // factor, span[1] // factor
    offset = _OFFSETS[place]
    positions = [(index + offset) / factor - offset for index in span]
    more = 1 if mode == b"cubic" else 0
    return math.floor(positions[0]) - more, math.ceil(positions[1]) + more


_OFFSETS = {b"asymmetric": 0.0, b"half_pixel": 0.5, b"pytorch_half_pixel": 0.5}
"""Where pixels lie in a picture that is resized."""


def _union(one: Span, other: Span) -> Span:
    return min(one[0], other[0]), max(one[1], other[1])
