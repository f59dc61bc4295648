"""ONNX as protobuf, read into what is left of it: nodes, weights, inputs and an output, and written again.

What a graph says beside that is either refused or left out, so that a runtime is handed nothing else: files
that weights lie in, functions, graphs within graphs, fields that this release does not know.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...errors import EngineUnavailableError
from ...system.optional import import_optional

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

__all__ = [
    "COLORS",
    "DTYPES",
    "FLOAT",
    "FLOAT16",
    "INT64",
    "LARGEST_NETWORK",
    "MOST_NODES",
    "Attribute",
    "Graph",
    "NetworkError",
    "Node",
    "Weight",
    "parse",
    "serialise",
]

LARGEST_NETWORK = 1 << 28
"""Bytes: RRDB-23/64 has 67 MB in float32."""

MOST_NODES = 4096
"""RRDB-23/64 in strips has 1,607; of weights as many are allowed."""

_LARGEST_DESCRIPTION = 1 << 21
"""Bytes of a network beside its weights. Each may become 50 in memory when it is parsed."""

_MOST_FIELDS = 1 << 16
"""Of model, graph and weights, more than so many nodes and weights take."""

_LONGEST_NAME = 512
_MOST_AXES = 5
_MOST_CHANNELS = 4096
_LARGEST_AXIS = 1 << 31
_CODE_AXES = (1, 2)
_OPSETS = range(18, 21)
"""From the first in which the operators allowed have one form to the latest that bundles were written in."""
_IR_VERSIONS = range(8, 11)

COLORS = 3
"""Channels of a picture."""

FLOAT, INT64, FLOAT16 = 1, 7, 10
"""Of `TensorProto.DataType`."""

DTYPES: Mapping[int, np.dtype[Any]] = {
    FLOAT: np.dtype("<f4"),
    INT64: np.dtype("<i8"),
    FLOAT16: np.dtype("<f2"),
}

Attribute: TypeAlias = int | float | str | tuple[int, ...]

_FIELDS = {
    "ModelProto": {"ir_version", "opset_import", "graph"},
    "OperatorSetIdProto": {"domain", "version"},
    "GraphProto": {"node", "name", "initializer", "input", "output"},
    "NodeProto": {"input", "output", "name", "op_type", "domain", "attribute"},
    "AttributeProto": {"name", "type", "f", "i", "s", "ints"},
    "TensorProto": {"dims", "data_type", "name", "raw_data"},
    "ValueInfoProto": {"name", "type"},
    "TypeProto": {"tensor_type"},
    "Tensor": {"elem_type", "shape"},
    "TensorShapeProto": {"dim"},
    "Dimension": {"dim_value", "dim_param"},
}
"""What messages may hold."""

_REMARKS = {
    "producer_name",
    "producer_version",
    "model_version",
    "doc_string",
    "metadata_props",
    "value_info",
}
"""What they may hold beside it, which is left out."""

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
"""The numbers of fields, of ModelProto, GraphProto and TensorProto."""


class NetworkError(Exception):
    """What is wrong with a network."""


@dataclass(frozen=True)
class Node:
    """An operator at work; an input of "" is left out."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Attribute]

    def __str__(self) -> str:
        return f"node {self.name or self.output!r} ({self.kind})"


@dataclass(frozen=True)
class Weight:
    """A tensor that lies in the network: its type, shape and bytes."""

    dtype: int
    shape: tuple[int, ...]
    data: bytes

    @property
    def values(self) -> npt.NDArray[Any]:
        """As an array."""
        return np.frombuffer(self.data, DTYPES[self.dtype]).reshape(self.shape)


@dataclass(frozen=True)
class Graph:
    """All of a network: the channels of its inputs, float32 (1, channels, any, any), and what is done.

    `codes` are inputs that lie nowhere in a picture, float32, with their shapes: (n,) or (1, n).
    """

    opset: int
    inputs: Mapping[str, int]
    codes: Mapping[str, tuple[int, ...]]
    output: str
    weights: Mapping[str, Weight]
    nodes: Sequence[Node]


def parse(data: bytes) -> Graph:
    """The network in an ONNX file; raises NetworkError, or EngineUnavailableError where `onnx` is missing."""
    _check_description(data)
    onnx = _import_onnx()
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with onnx

    try:
        return _graph(onnx.ModelProto.FromString(data))
    except DecodeError as error:
        raise NetworkError("is no ONNX file: it cannot be parsed") from error
    except UnicodeDecodeError as error:  # of a parser in Python; others give such texts as bytes
        raise NetworkError("holds a text that is not UTF-8") from error


def serialise(graph: Graph) -> bytes:
    """The ONNX file of a network; raises EngineUnavailableError where `onnx` is missing."""
    onnx = _import_onnx()
    model = onnx.ModelProto(ir_version=_IR_VERSIONS[-1], producer_name="ourgan_sdk")
    model.opset_import.add(version=graph.opset)
    whole = model.graph
    whole.name = "network"
    for name, channels in graph.inputs.items():
        _write_input(whole.input.add(name=name), (1, channels, None, None))
    for name, shape in graph.codes.items():
        _write_input(whole.input.add(name=name), shape)
    _write_input(whole.output.add(name=graph.output), (1, COLORS, None, None))
    for name, weight in graph.weights.items():
        whole.initializer.add(name=name, data_type=weight.dtype, dims=weight.shape, raw_data=weight.data)
    for node in graph.nodes:
        written = whole.node.add(op_type=node.kind, name=node.name, input=node.inputs, output=[node.output])
        for name, value in node.attributes.items():
            _write_attribute(written.attribute.add(name=name), value)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def _import_onnx() -> Any:
    """The package, whose Python part alone is used: its checks in C++ are for networks that are sound."""
    title, install = "onnx, which reads networks,", '"ourgan-sdk[cpu]", or onnx alone'
    return import_optional("onnx", title, install, EngineUnavailableError)


def _check_description(data: bytes) -> None:
    """Raise NetworkError if there is more beside the weights than is parsed without fear for memory."""
    budget = iter(range(_MOST_FIELDS))
    weights = sum(
        len(raw)
        for graph in _payloads(memoryview(data), _GRAPH, budget)
        for tensor in _payloads(graph, _INITIALIZER, budget)
        for raw in _payloads(tensor, _RAW_DATA, budget)
    )
    if len(data) - weights > _LARGEST_DESCRIPTION:
        raise NetworkError(
            f"has {len(data) - weights} bytes beside its weights, more than the {_LARGEST_DESCRIPTION} "
            "allowed"
        )


def _payloads(message: memoryview, wanted: int, budget: Iterator[int]) -> Iterator[memoryview]:
    """What the fields number `wanted` of a protobuf message hold; each field takes one of `budget`."""
    position = 0
    for _ in budget:
        if position >= len(message):
            return
        key, position = _varint(message, position)
        kind, length = key & 7, 0
        if kind == 0:
            _, position = _varint(message, position)
        elif kind == 2:
            length, position = _varint(message, position)
            if key >> 3 == wanted:
                yield message[position : position + length]
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:  # of groups, which ONNX has none of
            raise NetworkError("is no ONNX file: it cannot be parsed")
        position += length
    raise NetworkError(f"has more than the {_MOST_FIELDS} fields allowed")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number, and where the next field begins."""
    value = 0
    for shift, byte in zip(range(0, 70, 7), message[position : position + 10], strict=False):
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position + shift // 7 + 1
    raise NetworkError("is no ONNX file: it cannot be parsed")


def _graph(model: "ModelProto") -> Graph:
    _check_fields(model, "the model")
    for opset in model.opset_import:
        _check_fields(opset, "the model's opset")
        if opset.domain not in ("", "ai.onnx"):
            raise NetworkError(f"asks for operators of {_shown(opset.domain)}, not of ONNX")
    opsets = [opset.version for opset in model.opset_import]
    if len(opsets) != 1 or opsets[0] not in _OPSETS:
        expected = f"{_OPSETS[0]} to {_OPSETS[-1]}"
        raise NetworkError(f"expected one opset of {expected}, found {opsets or 'none'}")
    if model.ir_version not in _IR_VERSIONS:
        expected = f"{_IR_VERSIONS[0]} to {_IR_VERSIONS[-1]}"
        raise NetworkError(f"expected IR version {expected}, found {model.ir_version}")
    graph = model.graph
    _check_fields(graph, "the graph")
    _check_counts(graph)
    ends = {_name(end, "an input"): end for end in graph.input}
    inputs = {name: _channels(end) for name, end in ends.items() if _rank(end) not in _CODE_AXES}
    codes = {name: _code(end) for name, end in ends.items() if _rank(end) in _CODE_AXES}
    outputs = {_name(end, "an output"): _channels(end) for end in graph.output}
    if len(outputs) != 1 or {*outputs.values()} - {COLORS, None}:
        raise NetworkError(f"expected one output of {COLORS} channels, found {list(outputs.values())}")
    weights = {_name(tensor, "a weight"): _weight(tensor) for tensor in graph.initializer}
    nodes = [_node(node) for node in graph.node]
    known = {name: channels for name, channels in inputs.items() if channels is not None}
    if len(known) < len(inputs):
        raise NetworkError("has an input that does not say its number of channels")
    if len(ends.keys() | weights.keys()) < len(graph.input) + len(graph.initializer):
        raise NetworkError("has two inputs or weights of one name")
    parsed = Graph(opsets[0], known, codes, next(iter(outputs)), weights, nodes)
    _check_names(parsed)
    return parsed


def _check_counts(graph: "GraphProto") -> None:
    for what, count in (("nodes", len(graph.node)), ("weights", len(graph.initializer))):
        if count > MOST_NODES:
            raise NetworkError(f"has {count} {what}, more than the {MOST_NODES} allowed")


def _check_names(graph: Graph) -> None:
    """Raise NetworkError unless every name is given once, before it is read, and is read."""
    given = {*graph.inputs, *graph.codes, *graph.weights}
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in given:
                raise NetworkError(f"{node}: reads {name!r}, which nothing before it gives")
        if node.output in given:
            raise NetworkError(f"{node}: gives {node.output!r}, which is there already")
        given.add(node.output)
    read = {name for node in graph.nodes for name in node.inputs} | {graph.output}
    for node in graph.nodes:
        if node.output not in read:
            raise NetworkError(f"{node}: gives {node.output!r}, which nothing reads")
    for name in (*graph.inputs, *graph.codes, *graph.weights):
        if name not in read:
            raise NetworkError(f"has {name!r}, which nothing reads")
    if graph.output not in {node.output for node in graph.nodes}:
        raise NetworkError(f"has no node that gives its output, {graph.output!r}")


def _check_fields(message: Any, where: str) -> None:
    """Raise NetworkError if a message holds what is neither known nor a remark; unknown fields go anyhow."""
    found = {field.name for field, _ in message.ListFields()}
    surplus = found - _FIELDS[message.DESCRIPTOR.name] - _REMARKS
    if surplus:
        raise NetworkError(f"{where}: holds {', '.join(sorted(surplus))}, which no network may")


def _name(message: "ValueInfoProto | TensorProto", what: str) -> str:
    if not message.name:
        raise NetworkError(f"has {what} without a name")
    return _text(message.name)


def _text(text: str | bytes) -> str:
    if not isinstance(text, str) or len(text) > _LONGEST_NAME or not text.isprintable():
        raise NetworkError(f"has a name that is too long or no printable UTF-8: {_shown(text)}")
    return text


def _shown(text: str | bytes) -> str:
    return repr(text[:40])


def _channels(end: "ValueInfoProto") -> int | None:
    """Of an input or output, which is float32 (1, channels, any, any); None where it does not say."""
    where = f"{_shown(end.name)}, an input or output"
    for message in (end, end.type, end.type.tensor_type, end.type.tensor_type.shape):
        _check_fields(message, where)
    dimensions = end.type.tensor_type.shape.dim
    for dimension in dimensions:
        _check_fields(dimension, where)
    shape = [dimension.dim_value if dimension.HasField("dim_value") else None for dimension in dimensions]
    if (
        end.type.tensor_type.elem_type != FLOAT
        or len(shape) != 4
        or (shape[0], *shape[2:]) != (1, None, None)
        or not (shape[1] is None or 1 <= shape[1] <= _MOST_CHANNELS)
    ):
        raise NetworkError(
            f"{where}: expected float32 (1, channels, any, any), found type "
            f"{end.type.tensor_type.elem_type} {tuple(shape)}"
        )
    return shape[1]


def _rank(end: "ValueInfoProto") -> int:
    return len(end.type.tensor_type.shape.dim)


def _code(end: "ValueInfoProto") -> tuple[int, ...]:
    """The shape of an input that is float32 (n,) or (1, n)."""
    where = f"{_shown(end.name)}, an input"
    for message in (end, end.type, end.type.tensor_type, end.type.tensor_type.shape):
        _check_fields(message, where)
    dimensions = end.type.tensor_type.shape.dim
    for dimension in dimensions:
        _check_fields(dimension, where)
    shape = tuple(dimension.dim_value for dimension in dimensions)  # 0 where it does not say
    if (
        end.type.tensor_type.elem_type != FLOAT
        or shape[:-1] not in ((), (1,))
        or not 1 <= shape[-1] <= _MOST_CHANNELS
    ):
        raise NetworkError(
            f"{where}: expected float32 (n,) or (1, n), n from 1 to {_MOST_CHANNELS}, found type "
            f"{end.type.tensor_type.elem_type} {shape}"
        )
    return shape


def _weight(tensor: "TensorProto") -> Weight:
    where = f"weight {_shown(tensor.name)}"
    _check_fields(tensor, where)
    shape = tuple(tensor.dims)
    dtype = DTYPES.get(tensor.data_type)
    if dtype is None:
        raise NetworkError(f"{where}: expected float32, float16 or int64, found type {tensor.data_type}")
    if len(shape) > _MOST_AXES or not all(1 <= length <= _LARGEST_AXIS for length in shape):
        raise NetworkError(f"{where}: expected at most {_MOST_AXES} axes of 1 or more, found {shape[:9]}")
    expected = math.prod(shape) * dtype.itemsize
    if len(tensor.raw_data) != expected:
        raise NetworkError(f"{where}: has {len(tensor.raw_data)} bytes, {shape} of {dtype} takes {expected}")
    return Weight(tensor.data_type, shape, tensor.raw_data)


def _node(node: "NodeProto") -> Node:
    names = [_text(name) for name in (node.op_type, node.name, *node.input, *node.output)]
    where = f"node {(node.name or next(iter(node.output), ''))!r} ({node.op_type})"
    _check_fields(node, where)
    if node.domain not in ("", "ai.onnx"):
        raise NetworkError(f"{where}: is of {_shown(node.domain)}, not of ONNX")
    if len(node.output) != 1 or not node.output[0]:
        raise NetworkError(f"{where}: expected one output, found {len(node.output)}")
    attributes = {_text(attribute.name): _attribute(attribute, where) for attribute in node.attribute}
    if len(attributes) < len(node.attribute):
        raise NetworkError(f"{where}: has two attributes of one name")
    return Node(names[0], names[1], tuple(names[2:-1]), names[-1], attributes)


def _attribute(attribute: "AttributeProto", where: str) -> Attribute:
    where = f"{where}: attribute {_shown(attribute.name)}"
    _check_fields(attribute, where)
    kinds = {1: "f", 2: "i", 3: "s", 7: "ints"}
    kind = kinds.get(attribute.type)
    given = {field.name for field, _ in attribute.ListFields()} - {"name", "type"} - _REMARKS
    if kind is None or given - {kind}:
        raise NetworkError(
            f"{where}: is of type {attribute.type} and holds {', '.join(sorted(given)) or '-'}"
        )
    if kind == "s":
        return _decoded(attribute.s, where)
    if kind == "ints":
        return tuple(attribute.ints)
    value: int | float = getattr(attribute, kind)
    return value


def _decoded(text: bytes, where: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise NetworkError(f"{where}: is no UTF-8: {_shown(text)}") from error


def _write_input(end: "ValueInfoProto", shape: Sequence[int | None]) -> None:
    tensor = end.type.tensor_type
    tensor.elem_type = FLOAT
    for length in shape:
        tensor.shape.dim.add(**({} if length is None else {"dim_value": length}))


def _write_attribute(attribute: "AttributeProto", value: Attribute) -> None:
    if isinstance(value, tuple):
        attribute.type, attribute.ints[:] = 7, value  # type: ignore[assignment]
    elif isinstance(value, str):
        attribute.type, attribute.s = 3, value.encode()  # type: ignore[assignment]
    elif isinstance(value, int):
        attribute.type, attribute.i = 2, value  # type: ignore[assignment]
    else:
        attribute.type, attribute.f = 1, value  # type: ignore[assignment]
