"""Upscalers as engines on devices want them: types written into the graph, pixels in, pixels out.

A bundle's upscaler computes in float32, from planes to planes. What a device gets is the same network between
two ends that let tiles cross the bus as pixels lie in pictures:

    pixels    (1, h, w, 3)    float16, or float32 for fp32: in [0, 1], with noise a little outside
    upscaled  (1, 4h, 4w, 3)  clipped to [0, 1] and of the same type, or uint8, rounded half to even
    check     (1,)            float32: the sum of the absolute values of what the network gave before that.
                              It is finite where all of them are, which 8 bits could not tell.

Needs the `onnx` package. For networks that are trusted, or that `Bundle.network` has checked.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...errors import EngineError
from ...system.optional import import_optional
from .even_strips import ALIGNMENT, make_strips_even

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

__all__ = ["convert_upscaler", "float_type"]

_OPSET = 22
"""The first that has convolutions of bfloat16."""

_PREFIX = "network/"
"""Of the network's own names, so that none of them is one that the ends have."""

_FLOAT, _FLOAT16, _BFLOAT16 = _FLOATS = 1, 10, 16
"""Of `TensorProto.DataType`."""

_ENLARGING = ("ConvTranspose", "DepthToSpace", "Resize")

_ENDS = """
upscaler ({tile}[1, {height}, {width}, 3] pixels)
    => ({pixel}[1, {rows}, {columns}, 3] upscaled, float[1] check)
{{
    picture = Transpose <perm = [0, 3, 1, 2]> (pixels)
    values = Cast <to = 1> (result)
    absolute = Abs(values)
    sum = ReduceSum <keepdims = 0> (absolute)
    shape = Constant <value = int64[1] {{1}}> ()
    check = Reshape(sum, shape)
    black = Constant <value_float = 0.0> ()
    white = Constant <value_float = 1.0> ()
    clipped = Clip(values, black, white)
    {levels}
    interleaved = Transpose <perm = [0, 2, 3, 1]> (levels)
    upscaled = Cast <to = {number}> (interleaved)
}}"""
"""A graph with a gap in it: `picture` is what the network takes, `result` what it gives."""

_ROUNDED = """
    most = Constant <value_float = 255.0> ()
    scaled = Mul(clipped, most)
    levels = Round(scaled)
"""
_AS_IT_IS = "levels = Identity(clipped)"


def float_type(precision: str) -> np.dtype[Any]:
    """The type of the tiles of a network in fp32, fp16 or bf16 that are not of 8 bits."""
    return np.dtype(np.float32 if precision == "fp32" else np.float16)


def convert_upscaler(
    network: bytes,
    precision: Literal["fp32", "fp16", "bf16"],
    output: np.dtype[Any],
    window: tuple[int, int] | None = None,
) -> bytes:
    """The ONNX upscaler `network`, (1, 3, h, w) -> (1, 3, 4h, 4w), with the types and ends described above.

    In bf16 that is the trunk, from behind the first convolution to the last one before enlargement; the rest
    is in float16, since 8 bits of mantissa would draw bands there. The enlargement of the picture itself that
    a residual network adds to is in float32 in all of them.
    `output` is uint8 or `float_type(precision)`. `window` is (height, width); None: tiles of any size that is
    a multiple of `even_strips.ALIGNMENT`, which networks ask for that compute their end in strips.

    Raises EngineError if `onnx` is not installed, or the network cannot be had so.
    """
    onnx = _import_onnx()
    expected = (np.dtype(np.uint8), float_type(precision))
    if output not in expected:
        raise EngineError(f"expected {precision} output of {' or '.join(map(str, expected))}, got {output}")
    try:
        model = onnx.load_model_from_string(network)
        _check_signature(model.graph)
        if model.opset_import[0].version < _OPSET:
            model = onnx.version_converter.convert_version(model, _OPSET)
        if window is None or window[0] % ALIGNMENT == 0:
            make_strips_even(model)
        model = onnx.compose.add_prefix(model, _PREFIX)
        _convert(model, precision, output, window)
        onnx.checker.check_model(model, full_check=True)
    except EngineError:
        raise
    except Exception as error:  # onnx's exceptions have no base class of their own
        raise EngineError(f"the upscaler cannot be converted to {precision}: {error}") from error
    converted: bytes = model.SerializeToString()
    return converted


def _import_onnx() -> Any:
    onnx = import_optional("onnx", "onnx, which converts networks,", "onnx", EngineError)
    for part in ("compose", "parser", "version_converter"):
        import_optional(f"onnx.{part}", "onnx, which converts networks,", "onnx", EngineError)
    return onnx


def _check_signature(graph: "GraphProto") -> None:
    inputs, outputs = (
        [end.type.tensor_type.elem_type for end in ends] for ends in (graph.input, graph.output)
    )
    if (inputs, outputs) != ([_FLOAT], [_FLOAT]):
        raise EngineError(
            f"expected an upscaler of one float32 input and one float32 output, got {len(inputs)} and "
            f"{len(outputs)}, of types {inputs} and {outputs}"
        )


def _convert(
    model: "ModelProto", precision: str, output: np.dtype[Any], window: tuple[int, int] | None
) -> None:
    """Put the network, in its types, between the two ends."""
    network, whole = model.graph, _ends(precision, output, window)
    first, *last = whole.node
    first.output[0], last[0].input[0] = network.input[0].name, network.output[0].name
    tile_type = whole.input[0].type.tensor_type.elem_type
    nodes, typed = list(network.node), _TypedNodes(model, {first.output[0]: tile_type})
    kinds = dict.fromkeys(_trunk(nodes) if precision == "bf16" else (), _BFLOAT16)
    kinds |= dict.fromkeys(_carrying(nodes, first.output[0]), _FLOAT)
    for node in nodes:
        typed.append(node, kinds.get(node.output[0], tile_type))
    del whole.node[:]
    whole.node.extend([first, *typed.nodes, *last])
    whole.initializer.extend(typed.weights.values())
    network.CopyFrom(whole)


def _ends(precision: str, output: np.dtype[Any], window: tuple[int, int] | None) -> "GraphProto":
    """The graph around a network: the first node goes before it, the others behind."""
    from onnx import helper, parser  # noqa: PLC0415

    height, width = window or ("height", "width")
    rows, columns = (4 * window[0], 4 * window[1]) if window else ("rows", "columns")
    names = {"float32": "float", "float16": "float16", "uint8": "uint8"}
    text = _ENDS.format(
        tile=names[float_type(precision).name],
        pixel=names[output.name],
        height=height,
        width=width,
        rows=rows,
        columns=columns,
        levels=_ROUNDED if output == np.uint8 else _AS_IT_IS,
        number=helper.np_dtype_to_tensor_dtype(output),
    )
    return parser.parse_graph(text)


def _trunk(nodes: Sequence["NodeProto"]) -> set[str]:
    """What the nodes give that lie between the first convolution and the last one before enlargement."""
    enlarged = _led_to(nodes, _ENLARGING)
    small = [node for node in nodes if enlarged.isdisjoint((*node.input, *node.output))]
    behind, ahead = _led_to(small, ("Conv",)), _leading_to(small, ("Conv",))
    inside = [node for node in small if not behind.isdisjoint(node.input)]
    return {name for node in inside for name in node.output if name in ahead}


def _carrying(nodes: Sequence["NodeProto"], picture: str) -> set[str]:
    """What carries the picture around a residual network: its enlargement by a convolution, and the rest.

    Empty in a network whose only way from the picture to the result is through all of its convolutions.
    """
    ahead = _leading_to(nodes, ("Conv",))
    readers = [node for node in nodes if node.op_type == "Conv" and node.input[0] == picture]
    names = {node.output[0] for node in readers if node.output[0] not in ahead}
    if len(names) == len(readers):
        return set()
    for node in nodes:
        if not names.isdisjoint(node.input):
            names.update(node.output)
    return names


def _led_to(nodes: Sequence["NodeProto"], kinds: Collection[str]) -> set[str]:
    """The tensors that nodes of these kinds give, and all that is computed from them."""
    names: set[str] = set()
    for node in nodes:
        if node.op_type in kinds or not names.isdisjoint(node.input):
            names.update(node.output)
    return names


def _leading_to(nodes: Sequence["NodeProto"], kinds: Collection[str]) -> set[str]:
    """The tensors that nodes of these kinds take, and all from which they are computed."""
    names: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in kinds or not names.isdisjoint(node.output):
            names.update(node.input)
    return names


class _TypedNodes:
    """Nodes that each compute in a type of their own, with casts wherever a tensor has another one.

    `types` says what some tensors are, where that is not what the network says.
    """

    def __init__(self, model: "ModelProto", types: Mapping[str, int]) -> None:
        from onnx import numpy_helper, shape_inference  # noqa: PLC0415

        inferred = shape_inference.infer_shapes(model).graph
        values = (*inferred.input, *inferred.value_info, *inferred.output)
        weights = model.graph.initializer
        self._types = {value.name: value.type.tensor_type.elem_type for value in values}
        self._types |= {weight.name: weight.data_type for weight in weights} | dict(types)
        self._constants = {weight.name: numpy_helper.to_array(weight) for weight in weights}
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, TensorProto] = {}

    def append(self, node: "NodeProto", kind: int) -> None:
        """Append `node`, which is to compute in the type `kind`."""
        stored = self._constants.get(node.input[0]) if node.op_type == "Cast" else None
        if stored is not None and node.attribute[0].i == _FLOAT:  # a weight that is not stored as it is used
            self._constants[node.output[0]] = stored.astype(np.float32)
            return
        data = [self._is_float(name) and _is_data(node, index) for index, name in enumerate(node.input)]
        node.input[:] = [
            self._read(name, kind if is_data else self._types.get(name))
            for name, is_data in zip(node.input, data, strict=True)
        ]
        self.nodes.append(node)
        if any(data):
            self._types |= {name: kind for name in node.output if self._is_float(name)}

    def _is_float(self, name: str) -> bool:
        return self._types.get(name) in _FLOATS

    def _read(self, name: str, kind: int | None) -> str:
        """The name of tensor `name` in the type `kind`."""
        from onnx import helper  # noqa: PLC0415

        typed = name if kind == self._types.get(name) else f"{name}/{kind}"
        if name in self._constants:
            if typed not in self.weights:
                self.weights[typed] = _tensor(name, self._constants[name], kind)
                self.weights[typed].name = typed
        elif typed != name and typed not in self._types:
            self.nodes.append(helper.make_node("Cast", [name], [typed], name=typed, to=kind))
            self._types[typed] = kind
        return typed


def _is_data(node: "NodeProto", index: int) -> bool:
    """Whether input `index` of `node` has to be of the type that it computes in."""
    return node.op_type not in ("Cast", "Shape") and not (node.op_type == "Resize" and index in (1, 2))


def _tensor(name: str, values: np.ndarray[Any, Any], kind: int | None) -> "TensorProto":
    """A constant; raises EngineError if float16 cannot hold it."""
    from onnx import TensorProto, numpy_helper  # noqa: PLC0415

    if kind == _BFLOAT16:  # which NumPy has not: the upper half of a float32, rounded half to even
        bits = np.ascontiguousarray(values, "<f4").view("<u4")
        upper = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
        return TensorProto(name=name, data_type=kind, dims=values.shape, raw_data=upper.tobytes())
    if kind == _FLOAT16:
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            raise EngineError(f"float16 cannot hold {name}: its largest value is {np.abs(values).max()}")
        values = half
    return numpy_helper.from_array(values, name)
