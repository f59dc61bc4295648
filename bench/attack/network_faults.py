"""Faults in ONNX networks, drawn at random: in the graph, in its bytes, and in what is no ONNX at all."""

import re
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, defs, helper, numpy_helper

__all__ = ["damage"]

Generator: TypeAlias = np.random.Generator

_OPERATORS = sorted({schema.name for schema in defs.get_all_schemas() if not schema.domain})
"""All that ONNX has."""

_GLOBAL = (
    "GlobalAveragePool",
    "GlobalMaxPool",
    "InstanceNormalization",
    "ReduceMean",
    "ReduceMax",
    "Softmax",
)
_RANDOM = ("Bernoulli", "Dropout", "Multinomial", "RandomNormalLike", "RandomUniformLike")
_ATTRIBUTES = (
    "alpha",
    "antialias",
    "auto_pad",
    "axes",
    "axis",
    "blocksize",
    "body",
    "ceil_mode",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "dilations",
    "direction",
    "dtype",
    "else_branch",
    "end",
    "epsilon",
    "exclude_outside",
    "extrapolation_value",
    "group",
    "keepdims",
    "kernel_shape",
    "mode",
    "nearest_mode",
    "noop_with_empty_axes",
    "output_padding",
    "output_shape",
    "pads",
    "sample_size",
    "seed",
    "start",
    "strides",
    "then_branch",
    "to",
    "training_mode",
    "value",
)
_TEXTS = (
    b"",
    b"SAME_UPPER",
    b"VALID",
    b"cubic",
    b"linear",
    b"nearest",
    b"reflect",
    b"wrap",
    b"CRD",
    b"DCR",
    b"\xff",
)
_NUMBERS = (
    -(1 << 63),
    -(1 << 31),
    -4097,
    -2,
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    16,
    64,
    255,
    4097,
    65537,
    1 << 31,
    1 << 40,
)
_REALS = (0.0, -1.0, 0.5, 2.0, 3.7, 64.0, 1e9, -1e30, float("nan"), float("inf"))
_SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (0,),
    (1,),
    (1, 3, 0, 0),
    (1 << 20, 1 << 20, 1 << 20),
    (-1, 4),
    (1,) * 70,
    (1 << 62,),
    (3,),
    (1, 3, 1, 1),
)


def damage(network: bytes, secret: str, generator: Generator) -> tuple[bytes, str]:
    """The network with one to three faults, and their names; `secret` is a file that is there to be read."""
    if generator.random() < 0.15:
        kind = _BYTES[generator.integers(len(_BYTES))]
        return kind(network, generator), kind.__name__.strip("_")
    model = ModelProto.FromString(network)
    names = []
    for _ in range(generator.choice([1, 1, 2, 3])):
        fault = _FAULTS[generator.integers(len(_FAULTS))]
        fault(model, secret, generator)
        names.append(fault.__name__.strip("_"))
    data: bytes = model.SerializeToString()
    if "external" in "".join(names) and generator.random() < 0.5:
        data = _swap_keys(data)
    return data, " ".join(names)


def _pick(things: Sequence[object], generator: Generator) -> int:
    return int(generator.integers(len(things)))


def _node(model: ModelProto, generator: Generator) -> NodeProto:
    nodes = model.graph.node
    node: NodeProto = nodes[_pick(nodes, generator)] if nodes else nodes.add()
    return node


def _weight(model: ModelProto, generator: Generator) -> TensorProto:
    weights = model.graph.initializer
    weight: TensorProto = weights[_pick(weights, generator)] if weights else weights.add()
    return weight


def _tensor_names(model: ModelProto) -> list[str]:
    graph = model.graph
    given = [name for node in graph.node for name in node.output]
    return [*given, *(weight.name for weight in graph.initializer), *(end.name for end in graph.input), ""]


def _random_attribute(generator: Generator, name: str) -> AttributeProto:
    attribute = AttributeProto(name=name)
    attribute.type = AttributeProto.AttributeType.values()[
        _pick(AttributeProto.AttributeType.values(), generator)
    ]
    attribute.i = int(generator.choice(_NUMBERS))
    attribute.f = float(generator.choice(_REALS))
    attribute.s = _TEXTS[_pick(_TEXTS, generator)]
    attribute.ints[:] = [int(n) for n in generator.choice(_NUMBERS, generator.integers(6))]
    if generator.random() < 0.7:  # a whole one, of one type alone
        kept = {1: "f", 2: "i", 3: "s", 7: "ints"}.get(attribute.type, "")
        for field in {"f", "i", "s", "ints"} - {kept}:
            attribute.ClearField(field)
    return attribute


def _swap_operator(model: ModelProto, _: str, generator: Generator) -> None:
    _node(model, generator).op_type = _OPERATORS[_pick(_OPERATORS, generator)]


def _change_attribute(model: ModelProto, _: str, generator: Generator) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    if nodes:
        attributes = nodes[_pick(nodes, generator)].attribute
        index = _pick(attributes, generator)
        attributes[index].CopyFrom(_random_attribute(generator, attributes[index].name))


def _change_number(model: ModelProto, _: str, generator: Generator) -> None:
    """Of an attribute that is there, in its own type."""
    found = [
        attribute
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.ints or attribute.i
    ]
    if not found:
        return
    attribute = found[_pick(found, generator)]
    number = int(generator.choice(_NUMBERS))
    if attribute.ints:
        attribute.ints[_pick(attribute.ints, generator)] = number
    else:
        attribute.i = number


def _add_attribute(model: ModelProto, _: str, generator: Generator) -> None:
    name = _ATTRIBUTES[_pick(_ATTRIBUTES, generator)]
    _node(model, generator).attribute.append(_random_attribute(generator, name))


def _drop_attribute(model: ModelProto, _: str, generator: Generator) -> None:
    node = _node(model, generator)
    if node.attribute:
        del node.attribute[_pick(node.attribute, generator)]


def _double_attribute(model: ModelProto, _: str, generator: Generator) -> None:
    node = _node(model, generator)
    node.attribute.extend(list(node.attribute)[:1])


def _rewire(model: ModelProto, _: str, generator: Generator) -> None:
    node, names = _node(model, generator), _tensor_names(model)
    if node.input:
        node.input[_pick(node.input, generator)] = names[_pick(names, generator)]


def _drop_input(model: ModelProto, _: str, generator: Generator) -> None:
    node = _node(model, generator)
    if node.input:
        del node.input[_pick(node.input, generator)]


def _add_input(model: ModelProto, _: str, generator: Generator) -> None:
    names = _tensor_names(model)
    _node(model, generator).input.append(names[_pick(names, generator)])


def _change_outputs(model: ModelProto, _: str, generator: Generator) -> None:
    node, names = _node(model, generator), _tensor_names(model)
    if generator.random() < 0.5:
        node.output.append("another" if generator.random() < 0.5 else names[_pick(names, generator)])
    elif node.output:
        node.output[0] = names[_pick(names, generator)]


def _move_node(model: ModelProto, _: str, generator: Generator) -> None:
    nodes = list(model.graph.node)
    moved = nodes.pop(_pick(nodes, generator)) if nodes else NodeProto()
    nodes.insert(int(generator.integers(len(nodes) + 1)), moved)
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _drop_node(model: ModelProto, _: str, generator: Generator) -> None:
    if model.graph.node:
        del model.graph.node[_pick(model.graph.node, generator)]


def _insert(model: ModelProto, generator: Generator, *nodes: NodeProto) -> None:
    """Between a node and what reads its output: "in" and "out" in `nodes` are the ends."""
    _insert_behind(model, _pick(model.graph.node, generator), nodes)


def _insert_behind(model: ModelProto, index: int, nodes: Sequence[NodeProto]) -> None:
    output = model.graph.node[index].output[0]
    place = len(model.graph.node)  # so that several may be inserted
    names = {name: f"{name}_{place}" for node in nodes for name in node.output}
    names |= {"in": f"in_{place}", "out": output}
    model.graph.node[index].output[0] = names["in"]
    for offset, node in enumerate(nodes):
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        model.graph.node.insert(index + 1 + offset, node)


def _constant(model: ModelProto, values: object, dtype: type = np.int64) -> str:
    name = f"fault_{len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
    return name


def _insert_any(model: ModelProto, _: str, generator: Generator) -> None:
    kind = _OPERATORS[_pick(_OPERATORS, generator)]
    _insert(model, generator, helper.make_node(kind, ["in"] * int(generator.integers(1, 4)), ["out"]))


def _insert_random(model: ModelProto, _: str, generator: Generator) -> None:
    kind = _RANDOM[_pick(_RANDOM, generator)]
    _insert(
        model,
        generator,
        helper.make_node(kind, ["in"], ["noise"]),
        helper.make_node("Add", ["in", "noise"], ["out"]),
    )


def _insert_global(model: ModelProto, _: str, generator: Generator) -> None:
    kind = _GLOBAL[_pick(_GLOBAL, generator)]
    extra = []
    if kind == "InstanceNormalization":
        extra = [_constant(model, np.ones(16), np.float32)] * 2
    elif kind.startswith("Reduce"):
        extra = [_constant(model, [2, 3])]
    _insert(
        model,
        generator,
        helper.make_node(kind, ["in", *extra], ["statistic"]),
        helper.make_node("Add", ["in", "statistic"], ["out"]),
    )


def _insert_corner(model: ModelProto, _: str, generator: Generator) -> None:
    """A pixel of the picture that all others see."""
    ends = [_constant(model, [0, 0]), _constant(model, [1, 1]), _constant(model, [2, 3])]
    _insert(
        model,
        generator,
        helper.make_node("Slice", ["in", *ends], ["corner"]),
        helper.make_node("Add", ["in", "corner"], ["out"]),
    )


def _insert_bloat(model: ModelProto, _: str, generator: Generator) -> None:
    size = int(generator.choice([64, 1024, 20_000, 1 << 20, 1 << 31]))
    kind = generator.integers(5)
    if kind == 0:
        nodes = [helper.make_node("Expand", ["in", _constant(model, [size, 1, 1, 1])], ["wide"])]
    elif kind == 1:
        nodes = [helper.make_node("Tile", ["in", _constant(model, [1, size, 1, 1])], ["wide"])]
    elif kind == 2:
        nodes = [helper.make_node("ConstantOfShape", [_constant(model, [size, 3, 16])], ["wide"])]
    elif kind == 3:
        pads = [0, 0, size, size] * 2
        nodes = [helper.make_node("Pad", ["in", _constant(model, pads)], ["wide"], mode="constant")]
    else:
        scales = _constant(model, [1, 1, size, size], np.float32)
        nodes = [helper.make_node("Resize", ["in", "", scales], ["wide"], mode="nearest")]
    axes = _constant(model, list(range(4)))
    ends = [_constant(model, [0] * 4), _constant(model, [1] * 4), axes]
    nodes.append(helper.make_node("Slice", ["wide", *ends], ["little"]))
    nodes.append(helper.make_node("Add", ["in", "little"], ["out"]))
    _insert(model, generator, *nodes)


def _insert_work(model: ModelProto, _: str, generator: Generator) -> None:
    """A convolution by a kernel that is large, or far apart."""
    size, dilation = int(generator.choice([3, 31, 65])), int(generator.choice([1, 7, 4000]))
    channels = int(generator.choice([3, 16, 48]))
    kernel = _constant(model, np.zeros((channels, channels, size, size)), np.float32)
    pad = dilation * (size // 2)
    node = helper.make_node("Conv", ["in", kernel], ["out"], pads=[pad] * 4, dilations=[dilation] * 2)
    _insert(model, generator, node)


def _insert_allowed(model: ModelProto, _: str, generator: Generator) -> None:
    """Of what networks may have, with attributes as they may be, so that runtimes get to see it."""
    shapes = {weight.name.removesuffix("_half"): weight.dims for weight in model.graph.initializer}
    found = [
        (index, int(shapes[node.input[1]][0]))
        for index, node in enumerate(model.graph.node)
        if node.op_type == "Conv" and len(shapes.get((*node.input, "", "")[1], ())) == 4
    ]
    if not found:
        return
    index, channels = found[_pick(found, generator)]
    size, dilation = int(generator.choice([1, 2, 3, 4, 5, 9, 31])), int(generator.choice([1, 1, 2, 3, 16]))
    reach = dilation * (size - 1)
    pads = [reach // 2] * 2 + [reach - reach // 2] * 2
    group = int(generator.choice([1, channels]))
    strength = float(generator.choice([0.01, 0.1, 1, 1e20]))

    def random(*shape: int) -> str:
        return _constant(model, strength * generator.standard_normal(shape), np.float32)

    near = helper.make_node(
        "Conv", ["in", random(channels, channels // group, size, size)], ["near"], pads=pads, group=group
    )
    near.attribute.append(helper.make_attribute("dilations", [dilation] * 2))
    kind = generator.integers(8)
    if kind == 0:
        nodes = [near, helper.make_node(_pick_name(generator, "Tanh", "Sigmoid", "Relu"), ["near"], ["out"])]
    elif kind == 1:
        nodes = [
            near,
            helper.make_node(_pick_name(generator, "Add", "Max", "Min", "Mul"), ["in", "near"], ["out"]),
        ]
    elif kind == 2:
        nodes = [helper.make_node("PRelu", ["in", random(channels, 1, 1)], ["out"])]
    elif kind == 3:
        first = int(generator.integers(0, 5))
        amounts = _constant(model, [0, 0, first, 1, 0, 0, 2, 3])
        mode = _pick_name(generator, "constant", "edge", "reflect")
        kernel = random(channels, 1, first + 3, 5)
        nodes = [
            helper.make_node("Pad", ["in", amounts], ["more"], mode=mode),
            helper.make_node("Conv", ["more", kernel], ["out"], group=channels),
        ]
    elif kind == 4:
        kernel = random(channels, channels // group, size, size)
        before = [(size - 1) // 2] * 2 + [size - 1 - (size - 1) // 2] * 2
        nodes = [helper.make_node("ConvTranspose", ["in", kernel], ["out"], pads=before, group=group)]
    elif kind == 5:
        widened = random(4 * channels, channels, 1, 1)
        nodes = [
            near,
            helper.make_node("Concat", ["in", "near"], ["both"], axis=1),
            helper.make_node("Conv", ["both", random(channels, 2 * channels, 1, 1)], ["one"]),
            helper.make_node("Clip", ["one", _constant(model, -1.0, np.float32)], ["few"]),
            helper.make_node("Conv", ["few", widened], ["wide"]),
            helper.make_node("Conv", ["wide", random(channels, 4 * channels, 3, 3)], ["out"], pads=[1] * 4),
        ]
    elif kind == 6:
        scales = _constant(model, [1, 1, 1, 1], np.float32)
        mode = _pick_name(generator, "nearest", "linear", "cubic")
        nodes = [helper.make_node("Resize", ["in", "", scales], ["out"], mode=mode)]
    else:
        nodes = [helper.make_node("Div", ["in", random(1, channels, 1, 1)], ["out"])]
    _insert_behind(model, index, nodes)


def _pick_name(generator: Generator, *names: str) -> str:
    return names[_pick(names, generator)]


def _repeat(model: ModelProto, _: str, generator: Generator) -> None:
    """So many nodes in a row."""
    count = int(generator.choice([10, 1000, 5000, 60_000]))
    kind = str(generator.choice(["Relu", "Identity", "Sigmoid"]))
    names = ["in", *(f"again_{index}" for index in range(count - 1)), "out"]
    nodes = [helper.make_node(kind, [one], [other]) for one, other in pairwise(names)]
    if count <= 1000:
        _insert(model, generator, *nodes)
    else:
        model.graph.node.extend(nodes)


def _many_channels(model: ModelProto, _: str, generator: Generator) -> None:
    """A tensor joined with itself, again and again."""
    names = ["in", *(f"joined_{index}" for index in range(int(generator.integers(3, 16))))]
    nodes = [helper.make_node("Concat", [one, one], [other], axis=1) for one, other in pairwise(names)]
    ends = [_constant(model, [0]), _constant(model, [1]), _constant(model, [1])]
    nodes.append(helper.make_node("Slice", [names[-1], *ends], ["little"]))
    nodes.append(helper.make_node("Add", ["in", "little"], ["out"]))
    _insert(model, generator, *nodes)


def _graph_within(model: ModelProto, secret: str, generator: Generator) -> GraphProto:
    weight = numpy_helper.from_array(np.zeros(3, np.float32), "within")
    if generator.random() < 0.5:
        _make_external(weight, secret, generator)
    value = helper.make_tensor_value_info("result", TensorProto.FLOAT, None)
    nodes = [helper.make_node("Identity", [str(generator.choice(_tensor_names(model)))], ["result"])]
    return helper.make_graph(nodes, "within", [], [value], [weight])


def _control_flow(model: ModelProto, secret: str, generator: Generator) -> None:
    kind = generator.integers(3)
    within = _graph_within(model, secret, generator)
    if kind == 0:
        condition = _constant(model, True, np.bool_)
        node = helper.make_node("If", [condition], ["out"], then_branch=within, else_branch=within)
    elif kind == 1:
        count = _constant(model, 1 << 62)
        body = GraphProto.FromString(within.SerializeToString())
        body.input.append(helper.make_tensor_value_info("index", TensorProto.INT64, []))
        body.input.append(helper.make_tensor_value_info("go_on", TensorProto.BOOL, []))
        body.output.insert(0, helper.make_tensor_value_info("go_on", TensorProto.BOOL, []))
        node = helper.make_node("Loop", [count, "", "in"], ["out"], body=body)
    else:
        node = helper.make_node("Scan", ["in"], ["out"], body=within, num_scan_inputs=1)
    _insert(model, generator, node)


def _make_external(tensor: TensorProto, secret: str, generator: Generator) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    entries = [("location", secret), ("offset", "0"), ("length", str(len(tensor.raw_data) or 12))]
    generator.shuffle(entries)
    for key, value in entries[: generator.integers(1, 4)]:
        tensor.external_data.add(key=key, value=value)
    if generator.random() < 0.7:
        tensor.ClearField("raw_data")


def _external_weight(model: ModelProto, secret: str, generator: Generator) -> None:
    _make_external(_weight(model, generator), secret, generator)


def _external_elsewhere(model: ModelProto, secret: str, generator: Generator) -> None:
    """In an attribute, a sparse weight, a function, or what is said of training."""
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "elsewhere")
    _make_external(tensor, secret, generator)
    kind = generator.integers(4)
    if kind == 0:
        node = NodeProto(op_type="Constant", output=["elsewhere"])
        node.attribute.add(name="value", type=AttributeProto.TENSOR, t=tensor)
        model.graph.node.insert(0, node)
    elif kind == 1:
        sparse = model.graph.sparse_initializer.add(dims=[3])
        sparse.values.CopyFrom(tensor)
        sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(3), "indices"))
    elif kind == 2:
        function = model.functions.add(name="Relu", domain="")
        node = function.node.add(op_type="Constant", output=["elsewhere"])
        node.attribute.add(name="value", type=AttributeProto.TENSOR, t=tensor)
    else:
        model.training_info.add().initialization.initializer.append(tensor)


def _swap_keys(data: bytes) -> bytes:
    """With `value` before `key` in every entry, as protobuf allows."""
    for key in (b"location", b"offset", b"length"):
        head = b"\x0a" + bytes([len(key)]) + key + b"\x12"
        start = data.find(head)
        while start >= 0:
            position = start + len(head)
            value = data[position + 1 : position + 1 + data[position]]
            swapped = b"\x12" + bytes([len(value)]) + value + b"\x0a" + bytes([len(key)]) + key
            data = data[:start] + swapped + data[start + len(swapped) :]
            start = data.find(head, start + len(swapped))
    return data


def _change_weight_shape(model: ModelProto, _: str, generator: Generator) -> None:
    weight = _weight(model, generator)
    kind = generator.integers(4)
    if kind == 0:
        weight.dims[:] = list(_SHAPES[_pick(_SHAPES, generator)])
    elif kind == 1 and weight.dims:
        weight.dims[_pick(weight.dims, generator)] = int(generator.choice(_NUMBERS))
    elif kind == 2:
        weight.dims[:] = list(weight.dims)[::-1]
    else:
        weight.raw_data = weight.raw_data[: int(generator.integers(1 + len(weight.raw_data)))]


def _change_weight_type(model: ModelProto, _: str, generator: Generator) -> None:
    _weight(model, generator).data_type = int(generator.integers(0, 30))


def _change_weight_values(model: ModelProto, _: str, generator: Generator) -> None:
    weight = _weight(model, generator)
    if weight.data_type == TensorProto.INT64:
        values = generator.choice(_NUMBERS, len(weight.raw_data) // 8).astype(np.int64)
        weight.raw_data = values.tobytes()
    elif weight.data_type == TensorProto.FLOAT:
        values = np.frombuffer(weight.raw_data, np.float32).copy()
        values[generator.integers(values.size) if values.size else slice(0)] = generator.choice(_REALS)
        weight.raw_data = values.tobytes()


def _large_weight(model: ModelProto, _: str, generator: Generator) -> None:
    """Which nodes make more of."""
    name = _constant(model, np.zeros(int(generator.choice([1 << 10, 1 << 20, 1 << 22]))), np.float32)
    nodes = [helper.make_node("Sqrt", [name], ["large_0"])]
    nodes += [
        helper.make_node("Add", [name, f"large_{index}"], [f"large_{index + 1}"])
        for index in range(int(generator.integers(1, 40)))
    ]
    for index, node in enumerate(nodes):
        model.graph.node.insert(index, node)


def _typed_data(model: ModelProto, _: str, generator: Generator) -> None:
    weight = _weight(model, generator)
    weight.ClearField("raw_data")
    weight.float_data.extend([0.5] * int(generator.integers(5)))


def _change_ends(model: ModelProto, _: str, generator: Generator) -> None:
    ends = model.graph.input if generator.random() < 0.5 else model.graph.output
    end = ends[_pick(ends, generator)] if ends else ends.add()
    kind = generator.integers(6)
    if kind == 0:
        end.type.tensor_type.elem_type = int(generator.integers(0, 25))
    elif kind == 1:
        end.type.tensor_type.shape.dim.add(dim_value=int(generator.choice(_NUMBERS)))
    elif kind == 2 and end.type.tensor_type.shape.dim:
        dimensions = end.type.tensor_type.shape.dim
        dimensions[_pick(dimensions, generator)].dim_value = int(generator.choice(_NUMBERS))
    elif kind == 3:
        end.name = _tensor_names(model)[0]
    elif kind == 4:
        ends.add().CopyFrom(end)
    else:
        end.type.sequence_type.elem_type.tensor_type.elem_type = 1


def _change_version(model: ModelProto, _: str, generator: Generator) -> None:
    kind = generator.integers(4)
    if kind == 0 and model.opset_import:
        model.opset_import[0].version = int(generator.choice([0, 1, 7, 13, 17, 18, 19, 21, 25, 1 << 40]))
    elif kind == 1:
        model.opset_import.add(
            domain=str(generator.choice(["ai.onnx.ml", "com.microsoft", "local"])), version=1
        )
    elif kind == 2:
        model.ir_version = int(generator.choice([0, 1, 3, 7, 8, 9, 11, 13, 1 << 40]))
    else:
        _node(model, generator).domain = str(
            generator.choice(["com.microsoft", "ai.onnx.ml", "local", "ai.onnx"])
        )


def _say_more(model: ModelProto, _: str, generator: Generator) -> None:
    """Where a network says what it need not."""
    kind = generator.integers(5)
    if kind == 0:
        model.graph.quantization_annotation.add(tensor_name=_tensor_names(model)[0])
    elif kind == 1:
        function = model.functions.add(name="Relu", domain="local", input=["x"], output=["y"])
        function.node.add(op_type="RandomNormalLike", input=["x"], output=["y"])
    elif kind == 2:
        model.metadata_props.add(key="a", value="b" * int(generator.choice([1, 1 << 22])))
    elif kind == 3:
        value = model.graph.value_info.add(name=_tensor_names(model)[0])
        value.type.tensor_type.shape.dim.add(dim_value=int(generator.choice(_NUMBERS)))
    else:
        _node(model, generator).doc_string = "x" * 1000


_FAULTS: tuple[Callable[[ModelProto, str, Generator], None], ...] = (
    _swap_operator,
    _swap_operator,
    _change_attribute,
    _change_attribute,
    _change_number,
    _change_number,
    _add_attribute,
    _drop_attribute,
    _double_attribute,
    _rewire,
    _rewire,
    _drop_input,
    _add_input,
    _change_outputs,
    _move_node,
    _drop_node,
    *[_insert_allowed] * 10,
    _insert_any,
    _insert_random,
    _insert_global,
    _insert_corner,
    _insert_bloat,
    _insert_work,
    _repeat,
    _many_channels,
    _control_flow,
    _external_weight,
    _external_elsewhere,
    _change_weight_shape,
    _change_weight_type,
    _change_weight_values,
    _change_weight_values,
    _large_weight,
    _typed_data,
    _change_ends,
    _change_version,
    _say_more,
)


def _flip(network: bytes, generator: Generator) -> bytes:
    data = bytearray(network)
    for _ in range(int(generator.integers(1, 9))):
        data[generator.integers(len(data))] = generator.integers(256)
    return bytes(data)


def _flip_words(network: bytes, generator: Generator) -> bytes:
    """Near the texts, where the messages are and not the weights."""
    places = [found.start() for found in re.finditer(rb"[a-zA-Z]{4,}", network)][:4000]
    data = bytearray(network)
    for _ in range(int(generator.integers(1, 5))):
        place = (places[_pick(places, generator)] if places else 0) + int(generator.integers(-8, 5))
        data[place % len(data)] = generator.integers(256)
    return bytes(data)


def _cut_short(network: bytes, generator: Generator) -> bytes:
    return network[: generator.integers(len(network))]


def _splice(network: bytes, generator: Generator) -> bytes:
    one, other = sorted(generator.integers(len(network), size=2))
    return network[:other] + network[one:] if generator.random() < 0.5 else network[:one] + network[other:]


def _twice(network: bytes, _generator: Generator) -> bytes:
    """Which protobuf reads as one message with all of both."""
    return network + network


def _unknown_fields(network: bytes, generator: Generator) -> bytes:
    number = int(generator.integers(30, 2000))
    key = (number << 3) | 2
    field = bytes([(key & 127) | 128, key >> 7]) + b"\x04more"
    return network + field * int(generator.choice([1, 1000, 300_000]))


def _many_messages(_network: bytes, generator: Generator) -> bytes:
    """Two bytes each, which become a hundred when they are parsed."""
    node = b"\x0a\x00" if generator.random() < 0.5 else b"\x2a\x00"
    count = int(generator.choice([5000, 3_000_000]))
    return b"\x08\x0a\x3a" + _varint(2 * count) + node * count + b"\x42\x02\x10\x14"


def _deep(_network: bytes, generator: Generator) -> bytes:
    """Graphs within graphs, deeper than parsers go."""
    data = b""
    for _ in range(int(generator.choice([50, 300, 5000]))):
        attribute = b"\x32" + _varint(len(data)) + data  # g
        node = b"\x2a" + _varint(len(attribute)) + attribute
        data = b"\x0a" + _varint(len(node)) + node
    return b"\x08\x0a\x3a" + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data += bytes([(number & 127) | 128])
        number >>= 7
    return data + bytes([number])


def _another_kind(network: bytes, generator: Generator) -> bytes:
    """Other serialisations, that a runtime might know of itself."""
    kinds = (
        b"",
        b"\x1c\x00\x00\x00ORTM" + network,
        network[:4] + b"ORTM" + network[8:],
        b'<?xml version="1.0"?><net name="a" version="11"><layers/><edges/></net>',
        b'<net version="11"><layers><layer id="0" type="Const"/></layers></net>' + bytes(2000),
        zlib.compress(network),
        b'{"graph": []}',
        b"ir_version: 8 graph { }",
        b"PK\x03\x04" + network,
        b"\x80\x04" + network,
        generator.bytes(int(generator.integers(1, 4000))),
        bytes(4000),
    )
    return kinds[_pick(kinds, generator)]


_BYTES: tuple[Callable[[bytes, Generator], bytes], ...] = (
    _flip,
    _flip_words,
    _flip_words,
    _cut_short,
    _splice,
    _twice,
    _unknown_fields,
    _many_messages,
    _deep,
    _another_kind,
)
