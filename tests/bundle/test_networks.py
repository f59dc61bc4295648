"""Networks in bundles: what the project writes passes, and nothing else gets as far as a runtime."""

import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from ourgan_sdk import Bundle, BundleError, Synthesizer
from ourgan_sdk.bundle import Manifest, Network, Structure
from ourgan_sdk.bundle.networks import check_network
from ourgan_sdk.bundle.networks.inference import Outline, calls
from ourgan_sdk.bundle.networks.parsing import NetworkError, parse
from ourgan_sdk.bundle.structure_inputs import structure_inputs
from ourgan_sdk.engines import Options
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from ourgan_sdk.engines.openvino import OpenVinoEngine
from ourgan_sdk.errors import EngineUnavailableError
from ourgan_sdk.synthesizer import sample_bundle
from tests.conftest import (
    HALO,
    SCALES,
    Graph,
    endless_network,
    make_manifest,
    starting_network,
    structure_network,
    upscaler_network,
)

ROOT = Path(__file__).parents[2]


def checked(data: bytes, **changes: Any) -> Network:
    """As an upscaler, of which the manifest says what the tests' says, or `changes`."""
    upscaler = make_manifest().upscalers[0].model_copy(update=changes)
    return check_network("a.ourgan: member 'a.onnx'", data, None, [upscaler])


def checked_structure(data: bytes) -> Network:
    return check_network("a.ourgan: member 'a.onnx'", data, make_manifest().structure, [])


def changed(change: Callable[[ModelProto], object], data: bytes | None = None) -> bytes:
    model = ModelProto.FromString(upscaler_network() if data is None else data)
    change(model)
    result: bytes = model.SerializeToString()
    return result


def inserted(*nodes: NodeProto, weights: dict[str, np.ndarray] | None = None) -> bytes:
    """The upscaler with nodes behind its first convolution, of 16 channels: from "in" to "out"."""

    def insert(model: ModelProto) -> None:
        first = model.graph.node[0]
        names = {"in": "behind", "out": first.output[0]}
        first.output[0] = "behind"
        for index, node in enumerate(nodes):
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
            model.graph.node.insert(1 + index, node)
        for name, values in (weights or {}).items():
            model.graph.initializer.append(numpy_helper.from_array(values, name))

    return changed(insert)


def node(kind: str, *inputs: str, output: str = "out", **attributes: Any) -> NodeProto:
    return helper.make_node(kind, list(inputs), [output], **attributes)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*shape: int, value: float = 0.0) -> np.ndarray:
    return np.full(shape, value, np.float32)


# What passes


def test_networks_of_the_sample_pass_and_compute_the_same() -> None:
    bundle = Bundle.open(sample_bundle())
    assert bundle.manifest.structure is not None
    picture = np.random.default_rng(0).random((1, 3, 21, 34), dtype=np.float32)
    for file in bundle.manifest.networks():
        network = bundle.network(file)
        assert bundle.network(file) is network  # checked once
        if file != bundle.manifest.structure.file:
            expected = OnnxRuntimeEngine(bundle.read(file)).enlarge(picture)
            got = OnnxRuntimeEngine(network.data).enlarge(picture)
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)  # the runtime fuses in another order
    feeds = {
        one.name: np.random.default_rng(index)
        .random((1, one.channels, one.height, one.width))
        .astype(np.float32)
        for index, one in enumerate(structure_inputs(bundle.manifest.structure))
    }
    file = bundle.manifest.structure.file
    expected = OnnxRuntimeEngine(bundle.read(file)).run(feeds)
    np.testing.assert_array_equal(OnnxRuntimeEngine(bundle.network(file).data).run(feeds), expected)


ALLOWED: dict[str, bytes] = {
    "as it is": upscaler_network(),
    "Tanh": inserted(node("Tanh", "in")),
    "Sigmoid": inserted(node("Sigmoid", "in")),
    "Identity": inserted(node("Identity", "in")),
    "PRelu": inserted(node("PRelu", "in", "slopes"), weights={"slopes": floats(16, 1, 1)}),
    "residual": inserted(
        node("Mul", "in", "scale", output="scaled"), node("Add", "in", "scaled"), weights={"scale": floats()}
    ),
    "dilated": inserted(
        node("Conv", "in", "kernel", dilations=[2, 2], pads=[2] * 4), weights={"kernel": floats(16, 16, 3, 3)}
    ),
    "depthwise": inserted(
        node("Conv", "in", "kernel", group=16, pads=[2] * 4), weights={"kernel": floats(16, 1, 5, 5)}
    ),
    "replicating": inserted(
        node("Pad", "in", "pads", output="padded", mode="edge"),
        node("Conv", "padded", "kernel"),
        weights={"pads": integers(0, 0, 1, 1, 0, 0, 1, 1), "kernel": floats(16, 16, 3, 3)},
    ),
    "reflecting": inserted(
        node("Pad", "in", "pads", output="padded", mode="reflect"),
        node("Conv", "padded", "kernel"),
        weights={"pads": integers(0, 0, 2, 2, 0, 0, 2, 2), "kernel": floats(16, 16, 5, 5)},
    ),
    "transposed": inserted(
        node("ConvTranspose", "in", "kernel", pads=[1] * 4), weights={"kernel": floats(16, 16, 3, 3)}
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_residual_networks_are_made_of_passes(name: str) -> None:
    """And shapes are worked out as ONNX Runtime finds them."""
    network = checked(ALLOWED[name])
    picture = np.random.default_rng(0).random((1, 3, 9, 14), dtype=np.float32)
    expected = OnnxRuntimeEngine(ALLOWED[name]).enlarge(picture)
    np.testing.assert_array_equal(OnnxRuntimeEngine(network.data).enlarge(picture), expected)


def test_enlarging_step_by_step_passes() -> None:
    graph = Graph(0)
    kernel = graph.constant(floats(3, 12, 4, 4))
    value = graph.add("ConvTranspose", "picture", kernel, strides=[2, 2], pads=[1] * 4)
    graph.add("DepthToSpace", value, blocksize=2, mode="CRD", output="upscaled")
    checked(graph.model({"picture": 3}, "upscaled"))


def test_shapes_are_those_of_onnx() -> None:
    """Every tensor of a network in strips and of a structure, by ONNX's own inference."""
    for data, sizes, tiled in (
        (Bundle.open(sample_bundle()).read("upscaler-first.onnx"), [(37, 50)], True),
        (structure_network(), [(scale.height, scale.width) for scale in SCALES], False),
    ):
        graph = parse(data)
        outputs = [one.output for one in graph.nodes]
        model = ModelProto.FromString(data)
        for end, size in zip(model.graph.input, sizes, strict=True):
            for dimension, length in zip(end.type.tensor_type.shape.dim[2:], size, strict=True):
                dimension.dim_value = length
        feeds = {
            end.name: np.zeros((1, channels, *size), np.float32)
            for (end, channels), size in zip(
                zip(model.graph.input, graph.inputs.values(), strict=True), sizes, strict=True
            )
        }
        del model.graph.output[:]
        model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
        import onnxruntime  # noqa: PLC0415

        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        values = [value for _, value in calls(Outline.of(graph), sizes, tiled=tiled)]
        for name, found, value in zip(outputs, session.run(outputs, feeds), values, strict=True):
            assert value.shape == found.shape, name
            assert value.numbers is None or np.array_equal(value.numbers, found), name


# What does not


def within(kind: str, **graphs: Any) -> bytes:
    return inserted(node(kind, "condition", **graphs), weights={"condition": integers(1)})


def branch(depth: int = 0) -> onnx.GraphProto:
    inner = [node("Identity", "picture", output="result")]
    if depth:
        inner = [node("If", "condition", output="result", then_branch=branch(depth - 1))]
    return helper.make_graph(inner, "branch", [], [helper.make_tensor_value_info("result", 1, None)])


def chain(count: int) -> list[tuple[str, str]]:
    """The names of what so many nodes in a row take and give."""
    return list(pairwise(["in", *(f"link_{index}" for index in range(count - 1)), "out"]))


def repeated(count: int) -> bytes:
    return inserted(*(node("Relu", one, output=other) for one, other in chain(count)))


def bloated(*nodes: NodeProto, **weights: np.ndarray) -> bytes:
    """What "wide" makes of the picture is cut to a pixel and added."""
    cut = node("Slice", "wide", "zeros", "ones", "axes", output="little")
    ends = {"zeros": integers(0, 0), "ones": integers(1, 1), "axes": integers(2, 3)}
    return inserted(*nodes, cut, node("Add", "in", "little"), weights=ends | weights)


def attribute(kind: str, name: str, value: object, **changes: Any) -> bytes:
    return inserted(node(kind, "in", **{name: value}, **changes))


def text_that_is_none(model: ModelProto) -> bytes:
    model.graph.node[0].name = "Q" * 30
    return model.SerializeToString().replace(b"Q" * 30, b"\xff\xfe" * 15)


CUTTING = {"first": integers(0), "last": integers(3), "rows": integers(2)}


def of_height(*nodes: NodeProto, **weights: np.ndarray) -> bytes:
    """The upscaler with nodes that know the height of what it is given, as "height"."""
    height = node("Shape", "picture", output="height", start=2, end=3)
    return inserted(height, *nodes, weights=weights)


def in_strips(overlap: int) -> bytes:
    """The upscaler with a convolution in two strips, which overlap by so many rows."""
    numbers = {"two": integers(2), "axis": integers(2), "none": integers(0)}
    nodes = [node("Div", "height", "two", output="middle"), node("Add", "middle", "overlap", output="below")]
    nodes += [
        node("Sub", "middle", "overlap", output="above_any"),
        node("Max", "above_any", "none", output="above"),
        node("Sub", "middle", "above", output="rows"),
        node("Slice", "in", "none", "below", "axis", output="first"),
        node("Slice", "in", "above", "height", "axis", output="second"),
        node("Conv", "first", "kernel", output="first_wide", pads=[1, 1, 1, 1]),
        node("Conv", "second", "kernel", output="second_wide", pads=[1, 1, 1, 1]),
        node("Slice", "first_wide", "none", "middle", "axis", output="first_whole"),
        node("Slice", "second_wide", "rows", "height", "axis", output="second_whole"),
        node("Concat", "first_whole", "second_whole", axis=2),
    ]
    return of_height(*nodes, **numbers, overlap=integers(overlap), kernel=floats(16, 16, 3, 3, value=0.1))


REFUSED: dict[str, tuple[bytes, str]] = {
    "a table by height": (
        of_height(
            node("Gather", "table", "height", output="value"),
            node("Add", "in", "value"),
            table=floats(4096),
        ),
        r"\(Gather\): makes values of sizes: tiles would differ from the whole",
    ),
    "a part of a table": (
        of_height(
            node("Add", "height", "one", output="next"),
            node("Slice", "table", "height", "next", output="value"),
            node("Add", "in", "value"),
            table=floats(4096),
            one=integers(1),
        ),
        r"\(Slice\): makes values of sizes",
    ),
    "as many as rows": (
        of_height(
            node("Expand", "number", "height", output="numbers"),
            node("ReduceSum", "numbers", output="value"),
            node("Add", "in", "value"),
            number=floats(1),
        ),
        r"\(Expand\): makes values of sizes",
    ),
    "strips that do not overlap": (in_strips(0), r"\(Concat\): joins strips whose ends depend on padding"),
    # of the issue
    "DepthToSpace": (
        changed(lambda model: setattr(model.graph.node[5].attribute[0], "i", 1 << 40)),
        r"node 'value_5' \(DepthToSpace\): may not have the attribute blocksize=1099511627776",
    ),
    "Pad": (inserted(node("Pad", "in")), r"node 'value_0' \(Pad\): expected 2 to 3 inputs, found 1"),
    "ConstantOfShape": (
        bloated(node("ConstantOfShape", "size", output="wide"), size=integers(1, 1, 1 << 15, 1 << 15)),
        r"\(ConstantOfShape\): is no operator that networks may have",
    ),
    "Expand": (
        bloated(node("Expand", "in", "size", output="wide"), size=integers(4096, 1, 1, 1)),
        r"\(Expand\): is not for pictures in an upscaler",
    ),
    "Loop": (endless_network(), r"node 'upscaled' \(Loop\): attribute 'body': holds g, which no network may"),
    "many nodes": (repeated(60_000), "has 60008 nodes, more than the 4096 allowed|bytes beside its weights"),
    "more nodes": (repeated(5000), "has 5008 nodes, more than the 4096 allowed"),
    "nested If": (
        within("If", then_branch=branch(8), else_branch=branch()),
        r"\(If\): attribute '(then|else)_branch'",
    ),
    "RandomNormalLike": (inserted(node("RandomNormalLike", "in")), r"\(RandomNormalLike\): is no operator"),
    "InstanceNormalization": (
        inserted(node("InstanceNormalization", "in", "a", "a"), weights={"a": floats(16)}),
        r"\(InstanceNormalization\): is not for pictures in an upscaler, whose tiles would differ",
    ),
    "another serialisation": (b"\x18\x00\x00\x00ORTM" + bytes(64), "is no ONNX file: it cannot be parsed"),
    "another's XML": (b'<?xml version="1.0"?><net version="11"/>', "is no ONNX file: it cannot be parsed"),
    "no UTF-8": (text_that_is_none(ModelProto.FromString(upscaler_network())), "no printable UTF-8: b'"),
    "no text": (
        attribute("Resize", "mode", "Q").replace(b"\x22\x01Q", b"\x22\x01\xff"),
        r"\(Resize\): attribute 'mode': is no UTF-8: b'.xff'",
    ),
    # of the same kind
    "nothing": (b"", "expected one opset of 18 to 20, found none"),
    "cut short": (upscaler_network()[:-50], "is no ONNX file: it cannot be parsed"),
    "many messages": (
        b"\x08\x0a\x3a\x80\x92\xf4\x01" + b"\x0a\x00" * 2_000_000,
        "has more than the 65536 fields allowed",
    ),
    "many fields of weights": (
        b"\x08\x0a\x3a\x80\x92\xf4\x01" + (b"\x2a\x7e" + b"\x08\x01" * 63) * 31_250,
        "has more than the 65536 fields allowed",
    ),
    "future opset": (
        changed(lambda model: setattr(model.opset_import[0], "version", 21)),
        r"expected one opset of 18 to 20, found \[21\]",
    ),
    "another's operators": (
        changed(lambda model: setattr(model.graph.node[0], "domain", "com.microsoft")),
        "node 'value_0' .Conv.: is of 'com.microsoft', not of ONNX",
    ),
    "functions": (
        changed(lambda model: model.functions.add(name="Relu")),
        "the model: holds functions, which no network may",
    ),
    "training": (changed(lambda model: model.training_info.add()), "the model: holds training_info"),
    "annotations": (
        changed(lambda model: model.graph.quantization_annotation.add(tensor_name="a")),
        "the graph: holds quantization_annotation",
    ),
    "sparse weights": (
        changed(lambda model: model.graph.sparse_initializer.add(dims=[3])),
        "the graph: holds sparse_initializer",
    ),
    "Constant": (
        inserted(node("Constant", value=numpy_helper.from_array(floats(1)))),
        r"\(Constant\): attribute 'value': holds t, which no network may",
    ),
    "weights too short": (
        changed(lambda model: setattr(model.graph.initializer[0], "raw_data", b"1234")),
        r"weight 'constant_0': has 4 bytes, \(16, 3, 3, 3\) of float32 takes 1728",
    ),
    "weights of many axes": (
        changed(lambda model: model.graph.initializer[0].dims.extend([1] * 60)),
        "weight 'constant_0': expected at most 5 axes",
    ),
    "negative weights": (
        changed(lambda model: model.graph.initializer[0].dims.__setitem__(slice(0, 2), [-16, -3])),
        "weight 'constant_0': expected at most 5 axes of 1 or more",
    ),
    "weights of text": (
        changed(lambda model: setattr(model.graph.initializer[0], "data_type", TensorProto.STRING)),
        "weight 'constant_0': expected float32, float16 or int64, found type 8",
    ),
    "out of order": (
        changed(lambda model: model.graph.node[0].input.__setitem__(0, "upscaled")),
        "node 'value_0' .Conv.: reads 'upscaled', which nothing before it gives",
    ),
    "given twice": (
        changed(lambda model: model.graph.node[1].output.__setitem__(0, "picture")),
        "node 'picture' .Relu.: gives 'picture', which is there already",
    ),
    "two outputs": (
        changed(lambda model: model.graph.node[1].output.append("more")),
        r"node 'value_1' \(Relu\): expected one output, found 2",
    ),
    "output of other channels": (
        changed(lambda model: setattr(model.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 7)),
        r"expected one output of 3 channels, found \[7\]",
    ),
    "two inputs of one name": (
        changed(lambda model: model.graph.input.append(model.graph.input[0])),
        "has two inputs or weights of one name",
    ),
    "double attribute": (
        changed(lambda model: model.graph.node[0].attribute.append(model.graph.node[0].attribute[0])),
        "has two attributes of one name",
    ),
    "unknown attribute": (
        attribute("Relu", "alpha", 1.0),
        r"node 'value_0' \(Relu\): may not have the attribute alpha=1.0",
    ),
    "attribute of another type": (
        changed(lambda model: setattr(model.graph.node[0].attribute[0], "type", AttributeProto.FLOAT)),
        "attribute 'kernel_shape': is of type 1 and holds ints",
    ),
    "infinite slope": (attribute("LeakyRelu", "alpha", float("inf")), "may not have the attribute alpha=inf"),
    "huge kernel": (
        inserted(node("Conv", "in", "kernel", pads=[50] * 4), weights={"kernel": floats(16, 16, 101, 101)}),
        r"\(Conv\): does not go with",
    ),
    "huge dilation": (
        inserted(
            node("Conv", "in", "kernel", dilations=[4000] * 2, pads=[4000] * 4),
            weights={"kernel": floats(16, 16, 3, 3)},
        ),
        r"may not have the attribute dilations=\(4000, 4000\)",
    ),
    "huge padding": (
        inserted(node("Pad", "in", "pads"), weights={"pads": integers(0, 0, 9999, 0, 0, 0, 0, 0)}),
        r"\(Pad\): cannot pad",
    ),
    "much work": (
        inserted(
            *(node("Conv", one, "kernel", output=other, pads=[15] * 4) for one, other in chain(500)),
            weights={"kernel": floats(16, 16, 31, 31)},
        ),
        r"takes \d+ multiplications for a window of \d+ x \d+, more than the \d+ allowed",
    ),
    "much memory": (
        inserted(
            node("Conv", "in", "widening", output="wide"),
            node("Conv", "wide", "narrowing"),
            weights={"widening": floats(2000, 16, 1, 1), "narrowing": floats(16, 2000, 1, 1)},
        ),
        r"takes \d+ bytes for a window of 71 x 33, more than the \d+ that it may",
    ),
    "joined again and again": (
        bloated(
            *(
                node("Concat", one, one, output=other, axis=1)
                for one, other in zip(["in", *"abcdefgh"], [*"abcdefgh", "wide"], strict=True)
            )
        ),
        "takes .* bytes for|cuts columns of a picture",
    ),
    "much of weights": (
        inserted(
            *(node("Add", one, one, output=other) for one, other in pairwise(["large", *"abcdefgh"])),
            node("Conv", "in", "widening", output="wide"),
            node("Conv", "wide", "h", pads=[15] * 4),
            weights={"large": floats(16, 256, 31, 31), "widening": floats(256, 16, 1, 1)},
        ),
        "makes .* bytes of its weights alone",
    ),
    "a corner that all pixels see": (
        bloated(node("Relu", "in", output="wide")),
        r"node 'little' \(Slice\): cuts columns of a picture in an upscaler",
    ),
    "rows that all pixels see": (
        inserted(
            node("Slice", "in", "first", "last", "rows", output="few"),
            node("Add", "in", "few"),
            weights=CUTTING,
        ),
        r"\(Add\): does not go with tensors of|of another place",
    ),
    "a picture moved": (
        inserted(
            node("Pad", "in", "pads", output="padded"),
            node("Slice", "padded", "first", "last", "rows"),
            weights={"pads": integers(0, 0, 2, 0, 0, 0, 0, 0), "first": integers(0), "last": integers(-2)}
            | {"rows": integers(2)},
        ),
        "makes another part of the picture than it is given|of another place",
    ),
    "values that differ from pixel to pixel": (
        inserted(node("Mul", "in", "ramp"), weights={"ramp": floats(1, 16, 3, 5)}),
        r"\(Mul\): combines .* which is not the same at every pixel",
    ),
    "values that depend on the size": (
        inserted(
            node("Shape", "in", output="size", start=2, end=3),
            node("Cast", "size", output="number", to=1),
            node("Mul", "in", "number"),
        ),
        r"\(Cast\): makes a picture of sizes",
    ),
    "division by zero": (
        inserted(
            node("Shape", "in", output="size", start=2, end=3),
            node("Div", "size", "zero", output="none"),
            node("Slice", "in", "zero", "none", "rows"),
            weights={"zero": integers(0), "rows": integers(2)},
        ),
        r"node 'none' \(Div\): divides by zero",
    ),
    "numbers beyond all sizes": (
        inserted(
            node("Mul", "large", "large", output="larger"),
            node("Slice", "in", "zero", "larger", "rows"),
            weights={"large": integers(1 << 62), "zero": integers(0), "rows": integers(2)},
        ),
        r"\(Mul\): computes a size beyond 2\^31",
    ),
    "a node for nothing": (
        inserted(node("Relu", "in"), node("Relu", "in", output="more")),
        r"node 'more' \(Relu\): gives 'more', which nothing reads",
    ),
    "a weight for nothing": (
        inserted(node("Relu", "in"), weights={"payload": integers(0)}),
        "has 'payload', which nothing reads",
    ),
    "no rank for the operator": (
        inserted(
            node("PRelu", "slopes", "slopes", output="odd"),
            node("Mul", "in", "odd"),
            weights={"slopes": floats(16)},
        ),
        r"\(PRelu\): expected a picture",
    ),
    "half precision": (
        inserted(node("Mul", "in", "half"), weights={"half": np.ones((1, 1, 1, 1), np.float16)}),
        r"\(Mul\): expected float32: float16 is what weights are stored in",
    ),
    "twice as large": (
        changed(lambda model: setattr(model.graph.node[5].attribute[0], "i", 2)),
        r"\(Add\): does not go with tensors|makes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, words = REFUSED[name]
    started = time.perf_counter()
    with pytest.raises(BundleError, match=rf"^a\.ourgan: member 'a\.onnx': .*({words})"):
        checked(data)
    assert time.perf_counter() - started < 60


def test_strips_that_overlap_pass() -> None:
    checked(in_strips(1))
    with pytest.raises(BundleError, match="joins strips"):
        checked(in_strips(0))


def test_what_structures_may_do_is_bounded_as_well() -> None:
    def wide(model: ModelProto) -> None:
        model.graph.node[0].input[0] = "wide"
        model.graph.node.insert(0, node("Expand", "noise_0", "size", output="wider"))
        model.graph.node.insert(1, node("Slice", "wider", "none", "one", "none", output="wide"))
        values = {"size": integers(100_000, 1, 1, 1), "none": integers(0), "one": integers(1)}
        model.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in values.items())

    checked_structure(structure_network())
    with pytest.raises(BundleError, match="bytes for a structure of 18 x 12, more than the"):
        checked_structure(changed(wide, structure_network()))
    with pytest.raises(BundleError, match=r"expected inputs of \[4, 3, 3\] channels, found \[3\]"):
        checked_structure(upscaler_network())
    renamed = structure_network().replace(b"noise_1", b"noise_3")
    with pytest.raises(
        BundleError, match="expected inputs noise_0, noise_1, noise_2, found noise_0, noise_3"
    ):
        checked_structure(renamed)


def test_structures_that_start_are_told_of_and_checked() -> None:
    network = starting_network()
    starting = Structure(file="a.onnx", scales=SCALES, starts=True)
    check_network("a.ourgan: member 'a.onnx'", network, starting, [])
    for wrong in (starting.model_copy(update={"starts": False}), starting.model_copy(update={"margin": 3})):
        with pytest.raises(BundleError, match=r"expected inputs of|does not go with tensors"):
            check_network("a.ourgan: member 'a.onnx'", network, wrong, [])
    with pytest.raises(BundleError, match="expected inputs of"):
        check_network("a.ourgan: member 'a.onnx'", structure_network(), starting, [])


def growing() -> bytes:
    """A structure that is a hundred times as large inside where its noise is higher than 100 pixels."""

    def grow(model: ModelProto) -> None:
        model.graph.node[0].input[0] = "wide"
        nodes = [
            node("Shape", "noise_0", output="height", start=2, end=3),
            node("Sub", "height", "hundred", output="above"),
            node("Max", "above", "one", output="more"),
            node("Mul", "more", "more", output="square"),
            node("Concat", "square", "ones", output="size", axis=0),
            node("Expand", "noise_0", "size", output="wider"),
            node("Slice", "wider", "none", "one", "none", output="wide"),
        ]
        for index, one in enumerate(nodes):
            model.graph.node.insert(index, one)
        weights = {"hundred": integers(100), "ones": integers(1, 1, 1)}
        weights |= {"none": integers(0), "one": integers(1)}
        model.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in weights.items())

    return changed(grow, structure_network())


def test_checked_again_for_every_size(make_bundle: Callable[..., Path]) -> None:
    """What behaves at the sizes tried when it is opened, and not at those of a render."""
    path = make_bundle(structure=growing())
    assert Synthesizer(path).preview().shape == (12, 18, 3)
    with pytest.raises(BundleError, match=r"'structure\.onnx': takes \d+ bytes for a structure of 750 x 500"):
        Synthesizer(path).preview(width=750, height=500)


def test_checked_again_for_every_window(networks: dict[str, bytes], manifest: Manifest) -> None:
    structure, upscaler = manifest.structure, manifest.upscalers[0]
    assert structure is not None
    sizes = []

    def note(windows: Any) -> None:
        sizes.append([tuple(size) for size in windows])

    for engine in (
        OnnxRuntimeEngine(networks["upscaler.onnx"], check=note),
        OpenVinoEngine(networks["upscaler.onnx"], check=note),
    ):
        engine.enlarge(np.zeros((1, 3, 7, 9), np.float32))
    OnnxRuntimeEngine(networks["structure.onnx"], check=note).run(
        {
            f"noise_{index}": np.zeros((1, scale.channels, scale.height, scale.width), np.float32)
            for index, scale in enumerate(structure.scales)
        }
    )
    assert sizes == [[(7, 9)], [(7, 9)], [(4, 6), (7, 10), (12, 18)]]
    check = checked(networks["upscaler.onnx"], bytes_per_pixel=upscaler.bytes_per_pixel).check_sizes
    check([(100, 7)])
    check([(100, 7)])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bytes_per_pixel": 1}, r"takes \d+ bytes for a window|says that it takes 1 bytes_per_pixel"),
        (
            {"bytes_per_pixel": 1 << 30},
            r"the manifest says that it takes 1073741824 bytes_per_pixel; from its",
        ),
        ({"halo": 4095}, "the manifest says that it needs a halo of 4095; no more than 3 pixels away matter"),
    ],
)
def test_numbers_of_the_manifest_without_sense(changes: dict[str, int], words: str) -> None:
    checked(upscaler_network(), bytes_per_pixel=1200, halo=HALO)
    with pytest.raises(BundleError, match=words):
        checked(upscaler_network(), **changes)


# No way round it


def external(model: ModelProto) -> ModelProto:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="secret")
    return model


def swapped(data: bytes) -> bytes:
    """With `value` before `key`, as protobuf allows."""
    return data.replace(b"\x0a\x08location\x12\x06secret", b"\x12\x06secret\x0a\x08location")


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_no_network_reads_another_file(
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    swap: bool,
) -> None:
    (tmp_path / "secret").write_bytes(bytes(16 * 3 * 3 * 3 * 4))
    monkeypatch.chdir(tmp_path)
    data: bytes = external(ModelProto.FromString(upscaler_network())).SerializeToString()
    data = swapped(data) if swap else data
    assert (b"\x12\x06secret\x0a\x08location" in data) == swap
    synthesizer = Synthesizer(make_bundle(upscaler=data), engine=engine)
    with pytest.raises(BundleError, match=r"'upscaler\.onnx': weight 'constant_0': holds data_location, ext"):
        synthesizer.render(72, 48)


def test_engines_for_devices_get_checked_networks(
    make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `convert_upscaler` gets; ONNX Runtime on CUDA is asked, as far as it comes without a GPU."""
    from ourgan_sdk.engines import onnxruntime_cuda  # noqa: PLC0415

    engine = onnxruntime_cuda.OnnxRuntimeCudaEngine
    monkeypatch.setattr(engine, "version", lambda: "1")
    monkeypatch.setattr(onnxruntime_cuda, "open_device", lambda _: None)
    data: bytes = external(ModelProto.FromString(upscaler_network())).SerializeToString()
    bundle = Bundle.open(make_bundle(upscaler=data))
    with pytest.raises(BundleError, match="holds data_location, external_data"):
        engine.open(bundle, bundle.manifest.upscalers[0], np.dtype(np.uint8), Options())


def test_nothing_reads_networks_past_the_check() -> None:
    """`Bundle.read` gives members to copy, `Bundle.network` what runtimes get."""
    reads = re.compile(r"\.read\((?:upscaler|first|structure|self\.\w+)\.file\)")
    folders = ("ourgan_sdk", "trainers", "export", "bench")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in paths if reads.search(path.read_text())] == []
    assert reads.search("engine(bundle.read(upscaler.file))")
    unchecked = re.compile(r"OnnxRuntimeEngine\((?!HostEngine)")
    paths = [path for path in (ROOT / "ourgan_sdk").rglob("*.py") if unchecked.search(path.read_text())]
    assert [str(path) for path in paths] == []  # but by `of`, which takes the check of sizes along


def test_what_is_not_known_is_not_handed_on() -> None:
    """Fields of a later ONNX, and remarks."""
    data = upscaler_network()
    more = changed(lambda model: model.graph.node[0].metadata_props.add(key="a", value="remark"), data)
    assert checked(more + b"\xfa\x7f\x04more").data == checked(data).data
    assert b"remark" not in checked(more).data


def test_too_large_to_be_read(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    entry = bundle.manifest.files["upscaler.onnx"].model_copy(update={"size": (1 << 28) + 1})
    files = bundle.manifest.files | {"upscaler.onnx": entry}
    bundle.network("upscaler.onnx")  # which says nothing of another manifest
    larger = replace(bundle, manifest=bundle.manifest.model_copy(update={"files": files}))
    with pytest.raises(BundleError, match="has 268435457 bytes, more than the 268435456 of a network"):
        larger.network("upscaler.onnx")


def test_bundles_pickle_with_their_networks(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    network = bundle.network("upscaler.onnx")
    assert pickle.loads(pickle.dumps(bundle)).network("upscaler.onnx").data == network.data


def test_without_onnx(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineUnavailableError, match=r'pip install "ourgan-sdk\[cpu\]"'):
        Synthesizer(bundle_path).preview()


PICTURE = """
import sys
from ourgan_sdk import Synthesizer
assert Synthesizer(sys.argv[1]).render(300, 200).shape == (200, 300, 3)
print([name for name in ("onnx", "onnxruntime", "google.protobuf") if name in sys.modules])
"""


def test_pictures_of_a_photograph_alone_do_without_onnx(photograph: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photograph.jpg"
    path.write_bytes(photograph)
    result = subprocess.run(
        [sys.executable, "-c", PICTURE, str(path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_nothing_is_printed(make_bundle: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    """By any runtime, of a network that is none."""
    for name in ("DepthToSpace", "Pad", "another serialisation", "no UTF-8", "Loop"):
        for engine in ("onnxruntime", "openvino"):
            synthesizer = Synthesizer(make_bundle(upscaler=REFUSED[name][0]), engine=engine)
            with pytest.raises(BundleError):
                synthesizer.render(72, 48)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_deep_messages_are_no_crash() -> None:
    data = b""
    for _ in range(3000):
        attribute = b"\x32" + varint(len(data)) + data
        inner = b"\x2a" + varint(len(attribute)) + attribute
        data = b"\x0a" + varint(len(inner)) + inner
    with pytest.raises(NetworkError, match="is no ONNX file"):
        parse(b"\x08\x0a\x3a" + varint(len(data)) + data)


def varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data += bytes([(number & 127) | 128])
        number >>= 7
    return data + bytes([number])
