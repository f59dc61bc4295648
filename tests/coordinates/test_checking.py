"""What a network of coordinates may be, and what the manifest may say of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper
from pydantic import ValidationError

from ourgan_sdk import BudgetError, Bundle, BundleError, Synthesizer
from ourgan_sdk.bundle import Coordinates, Network
from ourgan_sdk.bundle.networks import check_network
from ourgan_sdk.coordinates import place
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from tests.conftest import make_manifest, structure_network, upscaler_network
from tests.coordinates.tiny import LATENT, coordinates_network, coordinates_record, write_coordinates

Change = Callable[[ModelProto], object]


def checked(data: bytes, **changes: Any) -> Network:
    return check_network("a.ourgan: member 'a.onnx'", data, None, [], coordinates_record(**changes))


def changed(change: Change) -> bytes:
    model = ModelProto.FromString(coordinates_network())
    change(model)
    data: bytes = model.SerializeToString()
    return data


def feeds(rows: int, columns: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "coordinates": generator.uniform(size=(1, 2, rows, columns)).astype(np.float32),
        "scale": np.array([80], np.float32),
        "latent": generator.normal(size=(1, LATENT)).astype(np.float32),
    }


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_networks_pass_and_compute_the_same(stride: int) -> None:
    data = coordinates_network(stride=stride)
    network = checked(data, stride=stride)
    for rows, columns in ((9, 14), (40, 3)):
        given = feeds(rows, columns)
        one = OnnxRuntimeEngine(data).run(given)
        assert one.shape == (1, 3, stride * rows, stride * columns)
        assert (OnnxRuntimeEngine.of(network).run(given) == one).all()


def wide(model: ModelProto) -> None:
    """The latent has more than the manifest says."""
    model.graph.input[2].type.tensor_type.shape.dim[1].dim_value = LATENT + 1


def open_ended(model: ModelProto) -> None:
    model.graph.input[2].type.tensor_type.shape.dim[1].dim_param = "any"


def of_integers(model: ModelProto) -> None:
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64


def renamed(model: ModelProto) -> None:
    for node in model.graph.node:
        node.input[:] = ["code" if name == "latent" else name for name in node.input]
    model.graph.input[2].name = "code"


def inserted(*nodes: onnx.NodeProto, **weights: np.ndarray) -> Change:
    """Nodes from `picture` on, in place of the output; the last gives it."""

    def insert(model: ModelProto) -> None:
        model.graph.node[-1].output[0] = "before"
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in weights.items())

    return insert


def node(kind: str, *inputs: str, output: str = "picture", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), [output], **attributes)


REFUSED: dict[str, tuple[bytes, str]] = {
    "an upscaler": (
        upscaler_network(),
        r"expected an input `coordinates` of 2 channels, found \{'picture': 3\}",
    ),
    "a structure": (structure_network(), "expected an input `coordinates` of 2 channels"),
    "no codes": (coordinates_network(latent=False), r"expected codes \{'scale': \(1,\), .*, found none"),
    "another latent": (changed(wide), r"expected codes .*\(1, 8\)\}, found .*\(1, 9\)"),
    "a latent of any length": (
        changed(open_ended),
        r"expected float32 \(n,\) or \(1, n\), .* found type 1 \(1, 0\)",
    ),
    "a scale of integers": (changed(of_integers), r"expected float32 \(n,\) or \(1, n\), .* found type 7"),
    "another name": (changed(renamed), "expected codes .*, found .*'code'"),
    "means of pictures": (
        changed(
            inserted(
                node("ReduceMean", "before", "axes", output="mean"),
                node("Sub", "before", "mean"),
                axes=np.array([2, 3], np.int64),
            )
        ),
        "is not for pictures in an upscaler",
    ),
    "rows in another order": (
        changed(
            inserted(
                node("Reshape", "before", "flat", output="turned"),
                node("Identity", "turned"),
                flat=np.array([1, 3, -1, 2], np.int64),
            )
        ),
        "is not for pictures",
    ),
    "a code that is a picture": (
        changed(
            inserted(
                node("Shape", "before", output="size"),
                node("Reshape", "scale", "ones", output="one"),
                node("Expand", "one", "size", output="wide"),
                node("Mul", "before", "wide"),
                ones=np.array([1, 1, 1, 1], np.int64),
            )
        ),
        "makes values of sizes: tiles would differ from the whole",
    ),
    "a code that counts pixels": (
        changed(
            inserted(
                node("Shape", "before", output="size"),
                node("Reshape", "scale", "ones", output="one"),
                node("Expand", "one", "size", output="wide"),
                node("ReduceSum", "wide", "axes", output="sum"),
                node("Mul", "before", "sum"),
                ones=np.array([1, 1, 1, 1], np.int64),
                axes=np.array([1, 2, 3], np.int64),
            )
        ),
        "makes values of sizes: tiles would differ from the whole",
    ),
    "a code of several pixels": (
        changed(
            inserted(
                node("Reshape", "latent", "two", output="four"),
                node("Concat", "before", "four", axis=1),
                two=np.array([1, 1, 2, 4], np.int64),
            )
        ),
        "joins",
    ),
    "cells that are one pixel": (
        coordinates_network(stride=1),
        "makes .* of a window of 5 x 3 cells, expected",
    ),
    "an operator": (coordinates_network(ends="Exp"), "is no operator that networks may have"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(BundleError, match=rf"^a\.ourgan: member 'a\.onnx': .*({words})"):
        checked(data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bytes_per_pixel": 23}, "says that it takes 23 bytes_per_pixel; from its tensors, 25 to"),
        ({"bytes_per_pixel": 1 << 20}, "says that it takes 1048576 bytes_per_pixel"),
        ({"halo": 12}, "needs a halo of 12; no more than 3 cells away matter"),
        ({"stride": 4}, "makes .* of a window of 5 x 3 cells, expected"),
    ],
)
def test_numbers_of_the_manifest_without_sense(changes: dict[str, int], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        checked(coordinates_network(), **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"halo": 4096}, "needs a halo of 4096; no more than 3 cells away matter"),
        ({"bytes_per_pixel": 1 << 20}, "says that it takes 1048576 bytes_per_pixel"),
    ],
)
def test_numbers_without_sense_are_told_before_any_plan(
    changes: dict[str, int], words: str, tmp_path: Path
) -> None:
    """Not as more memory than there is to allow."""
    path = write_coordinates(tmp_path / "a.ourgan", **changes)
    with pytest.raises(BundleError, match=rf"a\.ourgan: member 'coordinates\.onnx': .*{words}"):
        Synthesizer(path).canvas(64, 64)


@pytest.mark.parametrize("stride", [1, 2, 64])
def test_cells_that_no_window_could_hold(stride: int) -> None:
    """In bytes: grids are planned with 2^30 a cell at most."""
    most = (1 << 30) // stride**2 - 20
    record = coordinates_record(stride=stride, bytes_per_pixel=most)
    with pytest.raises(BudgetError):
        place(record, (64, 64), None).levels[0].plan(1 << 20)
    data = record.model_dump() | {"bytes_per_pixel": most + 1}
    with pytest.raises(ValidationError, match=f"bytes_per_pixel: expected at most {most} for cells of"):
        Coordinates(**data)


def test_others_have_no_codes() -> None:
    """Neither upscalers nor structures are given any."""
    manifest = make_manifest()
    for structure, upscalers in ((manifest.structure, []), (None, manifest.upscalers[:1])):
        with pytest.raises(BundleError, match=r"expected inputs of|expected codes none"):
            check_network("a", coordinates_network(), structure, upscalers)


def test_nothing_is_run_that_was_not_checked(coordinates_path: Path, tmp_path: Path) -> None:
    """Sizes are checked before every run, and what is not as the manifest says is never opened."""
    bundle = Bundle.open(coordinates_path)
    engine = OnnxRuntimeEngine.of(bundle.network("coordinates.onnx"))
    given = feeds(9, 9)
    with pytest.raises(BundleError, match="expected one window of cells and codes"):
        engine.run(given | {"scale": np.ones((1, 1, 1, 1), np.float32)})
    path = write_coordinates(tmp_path / "a.ourgan", upscaler_network())
    with pytest.raises(BundleError, match="expected an input `coordinates`"):
        Synthesizer(path).render(64, 64)
