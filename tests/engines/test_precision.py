"""Upscalers with types written into them, against the networks that they were made of."""

import sys
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ourgan_sdk import EngineError
from ourgan_sdk.engines.graphs.precision import convert_upscaler, float_type
from tests.conftest import Graph, upscaler_network
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import ResidualNet, RRDBNet

UINT8, FLOAT16, FLOAT32 = (np.dtype(name) for name in ("uint8", "float16", "float32"))


@pytest.fixture(scope="module")
def rrdb() -> bytes:
    """Of random weights that make pictures of all levels, and its end in strips."""
    torch.manual_seed(5)
    network = RRDBNet(8, 2, 4)
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) * 0.03
    return export_upscaler(network)


@pytest.fixture(scope="module")
def residual() -> bytes:
    """Of random weights that add up to 100 levels and more to the enlargement."""
    torch.manual_seed(5)
    network = ResidualNet(8, 2)
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) * 0.1
    return export_upscaler(network)


@pytest.fixture(params=["rrdb", "residual", "shuffle"])
def network(request: pytest.FixtureRequest) -> bytes:
    return upscaler_network() if request.param == "shuffle" else request.getfixturevalue(request.param)


def random_pixels(height: int = 32, width: int = 28, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.2, 1.2, (1, height, width, 3)).astype(np.float32)


def original(network: bytes, pixels: np.ndarray) -> np.ndarray:
    """The network's raw result, (1, 4h, 4w, 3)."""
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
    return session(network).run(None, {"picture": planes})[0].transpose(0, 2, 3, 1)


def session(network: bytes) -> Any:
    return onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])


def run(network: bytes, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    upscaled, check = session(network).run(["upscaled", "check"], {"pixels": pixels})
    assert check.shape == (1,)
    assert check.dtype == np.float32
    return upscaled, check


def test_fp32_gives_the_same_picture(network: bytes, residual: bytes) -> None:
    """To the bit, but where the runtime fuses a residual network's sum of two convolutions otherwise."""
    pixels, tolerance = random_pixels(), 1e-6 if network is residual else 0.0
    expected = original(network, pixels)
    upscaled, check = run(convert_upscaler(network, "fp32", FLOAT32), pixels)
    np.testing.assert_allclose(upscaled, expected.clip(0, 1), rtol=0, atol=tolerance)
    np.testing.assert_allclose(check, np.abs(expected).sum(), rtol=1e-5)
    levels, _ = run(convert_upscaler(network, "fp32", UINT8), pixels)
    assert levels.dtype == np.uint8
    assert np.abs(levels - expected.clip(0, 1) * np.float32(255)).max() <= 0.5 + 255 * tolerance


def test_fp16_is_close(network: bytes) -> None:
    pixels = random_pixels().astype(np.float16)
    expected = original(network, pixels).clip(0, 1)
    upscaled, _ = run(convert_upscaler(network, "fp16", FLOAT16), pixels)
    assert upscaled.dtype == np.float16
    assert 0 < np.abs(upscaled - expected).max() * 255 < 0.3
    levels, _ = run(convert_upscaler(network, "fp16", UINT8), pixels)
    assert np.abs(levels - expected * 255).max() < 0.8


def test_bf16_draws_no_bands(rrdb: bytes) -> None:
    """A slow gradient of 13 levels keeps its values in between: bf16 alone would have 4 of them."""
    ramp = np.linspace(0.7, 0.75, 24, dtype=np.float16)[np.newaxis, np.newaxis, :, np.newaxis]
    pixels = np.ascontiguousarray(np.broadcast_to(ramp, (1, 16, 24, 3)))
    expected = original(rrdb, pixels).clip(0, 1)
    converted = onnx.load_model_from_string(convert_upscaler(rrdb, "bf16", FLOAT16))
    upscaled, check = ReferenceEvaluator(converted).run(None, {"pixels": pixels})
    assert np.isfinite(check).all()
    difference = np.abs(upscaled.astype(np.float32) - expected) * 255
    assert 0 < difference.max() < 0.8
    middle = upscaled[0, 16, 8:-8, 0]
    assert len(np.unique(middle)) > len(middle) / 2


def test_bf16_is_for_the_trunk(rrdb: bytes) -> None:
    graph = onnx.load_model_from_string(convert_upscaler(rrdb, "bf16", UINT8)).graph
    types = {weight.name: weight.data_type for weight in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    trunk = [node for node in convolutions if types[node.input[1]] == TensorProto.BFLOAT16]
    assert len(trunk) == 2 * 3 * 5  # all of the two blocks
    others = {types[node.input[1]] for node in convolutions if node not in trunk}
    assert others == {TensorProto.FLOAT16}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_what_carries_the_picture_is_float32(residual: bytes, precision: Any) -> None:
    """The enlargement of a residual network loses nothing: without what is added it is exact."""
    model = onnx.load_model_from_string(convert_upscaler(residual, precision, FLOAT16))
    types = {weight.name: weight.data_type for weight in model.graph.initializer}
    whole = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and types[node.input[1]] == TensorProto.FLOAT
    ]
    assert len(whole) == 1
    silent = onnx.load_model_from_string(residual)
    for weight in silent.graph.initializer:
        if weight.name.startswith("conv_last"):
            values = numpy_helper.to_array(weight)
            weight.CopyFrom(numpy_helper.from_array(np.zeros_like(values), weight.name))
    pixels = random_pixels().clip(0, 1).astype(np.float16)
    expected = original(silent.SerializeToString(), pixels)
    converted = convert_upscaler(silent.SerializeToString(), precision, FLOAT16)
    upscaled, _ = ReferenceEvaluator(onnx.load_model_from_string(converted)).run(None, {"pixels": pixels})
    np.testing.assert_array_equal(upscaled, expected.clip(0, 1).astype(np.float16))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_types_and_window(rrdb: bytes, precision: Any) -> None:
    tile = float_type(precision)
    for output in (UINT8, tile):
        model = onnx.load_model_from_string(convert_upscaler(rrdb, precision, output, (24, 40)))
        ends = [
            (
                end.name,
                helper.tensor_dtype_to_np_dtype(end.type.tensor_type.elem_type),
                [dimension.dim_value for dimension in end.type.tensor_type.shape.dim],
            )
            for end in (*model.graph.input, *model.graph.output)
        ]
        assert ends == [
            ("pixels", tile, [1, 24, 40, 3]),
            ("upscaled", output, [1, 96, 160, 3]),
            ("check", FLOAT32, [1]),
        ]


def test_a_window_changes_the_shapes_alone(rrdb: bytes) -> None:
    pixels = random_pixels()
    free, _ = run(convert_upscaler(rrdb, "fp32", FLOAT32), pixels)
    fixed, _ = run(convert_upscaler(rrdb, "fp32", FLOAT32, pixels.shape[1:3]), pixels)
    np.testing.assert_allclose(fixed, free, atol=1e-5)


@pytest.mark.parametrize("output", [UINT8, FLOAT16])
def test_check_tells_what_pixels_hide(output: np.dtype[Any]) -> None:
    pixels = random_pixels().clip(0, 1).astype(np.float16)
    _, check = run(convert_upscaler(upscaler_network(), "fp16", output), pixels)
    assert np.isfinite(check).all()
    _, check = run(convert_upscaler(upscaler_network(damaged=True), "fp16", output), pixels)
    assert not np.isfinite(check).any()
    one = pixels.copy()
    one[0, 3, 4, 1] = np.inf  # a single value
    _, check = run(convert_upscaler(upscaler_network(), "fp16", output), one)
    assert not np.isfinite(check).any()


def test_weight_that_float16_cannot_hold() -> None:
    model = onnx.load_model_from_string(upscaler_network())
    large = numpy_helper.to_array(model.graph.initializer[0]).copy()
    large[0] = 1e5
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(large, model.graph.initializer[0].name))
    with pytest.raises(
        EngineError, match=r"float16 cannot hold network/constant_0: its largest value is 100000"
    ):
        convert_upscaler(model.SerializeToString(), "fp16", UINT8)
    convert_upscaler(model.SerializeToString(), "fp32", UINT8)


def test_names_that_the_ends_have(rrdb: bytes) -> None:
    """A network's tensors may be called as the ends' are."""
    model = onnx.load_model_from_string(rrdb)
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "picture" else name for name in node.input]
        node.output[:] = ["check" if name == node.output[0] == "upscaled" else name for name in node.output]
    model.graph.input[0].name, model.graph.output[0].name = "pixels", "check"
    pixels = random_pixels()
    renamed, _ = run(convert_upscaler(model.SerializeToString(), "fp32", UINT8), pixels)
    expected, _ = run(convert_upscaler(rrdb, "fp32", UINT8), pixels)
    np.testing.assert_array_equal(renamed, expected)


def test_refused(rrdb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="expected fp16 output of uint8 or float16, got float32"):
        convert_upscaler(rrdb, "fp16", FLOAT32)
    with pytest.raises(EngineError, match="cannot be converted to fp16"):
        convert_upscaler(b"nothing at all", "fp16", UINT8)
    graph = Graph(0)
    graph.add("Add", "one", "two", output="both")
    with pytest.raises(EngineError, match="one float32 input and one float32 output, got 2 and 1"):
        convert_upscaler(graph.model({"one": 3, "two": 3}, "both"), "fp16", UINT8)
    monkeypatch.setitem(sys.modules, "onnx.compose", None)
    with pytest.raises(EngineError, match="pip install onnx"):
        convert_upscaler(rrdb, "fp16", UINT8)
