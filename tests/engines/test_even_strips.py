"""Networks with strips of even height, against those that they were made of."""

import functools
from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ourgan_sdk.engines.graphs.even_strips import ALIGNMENT, make_strips_even
from tests.conftest import upscaler_network
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import RRDBNet


@functools.cache
def network(strips: int) -> bytes:
    torch.manual_seed(5)
    return export_upscaler(RRDBNet(8, 1, 4), strips)


def exported(strips: int) -> onnx.ModelProto:
    return onnx.load_model_from_string(network(strips))


def run(model: onnx.ModelProto, height: int, width: int) -> Any:
    picture = np.random.default_rng(height).uniform(size=(1, 3, height, width)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": picture})[0]


def even(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    make_strips_even(changed)
    return changed


@pytest.mark.parametrize("strips", [2, 4, 8])
def test_the_picture_is_the_same(strips: int) -> None:
    model = exported(strips)
    changed = even(model)
    onnx.checker.check_model(changed, full_check=True)
    for height, width in ((ALIGNMENT, 5), (2 * ALIGNMENT, 40), (7 * ALIGNMENT, 23)):
        np.testing.assert_array_equal(run(changed, height, width), run(model, height, width))


def test_no_row_is_worked_out() -> None:
    """All bounds of slices are constants, and nothing is left of the arithmetic."""
    graph = even(exported(8)).graph
    weights = {weight.name for weight in graph.initializer}
    kinds = Counter(node.op_type for node in graph.node)
    assert all({*node.input[1:]} <= weights for node in graph.node if node.op_type == "Slice")
    assert kinds["Shape"] == 1  # the width
    assert not {"Max", "Min", "Div", "Sub"} & {*kinds}
    assert weights <= {name for node in graph.node for name in node.input}


def test_other_heights_are_refused() -> None:
    with pytest.raises(Exception, match="Reshape"):
        run(even(exported(8)), ALIGNMENT + 4, 20)


def test_what_is_left_as_it_is() -> None:
    """Strips that are not even at every such height, or of one another's heights; one strip, none at all."""
    other = exported(8)
    first = next(node for node in other.graph.node if node.op_type == "Min")
    first.op_type = "Max"
    for model in (exported(5), exported(1), other, onnx.load_model_from_string(upscaler_network())):
        assert even(model) == model
