from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from ourgan_sdk.bundle.networks import check_network
from tests.conftest import make_manifest
from trainers.bundling import onnx_export
from trainers.bundling.activation_memory import measure_bytes_per_pixel
from trainers.bundling.assemble import describe_structure
from trainers.bundling.strips import STRIPS, run_tail_in_strips
from trainers.bundling.weights import round_weights
from trainers.networks import RRDBNet, Structure, Upscaler, UpscalerSize, make_upscaler
from trainers.presets import SINGAN, StructureConfig
from trainers.pyramid import scale_sizes
from trainers.structures.families import make_model
from trainers.structures.model import Model

SIZES = scale_sizes(40, 60, 40, 4, 0.75)


@pytest.fixture(
    scope="module",
    params=[UpscalerSize("rrdb", 8, 1, 4), UpscalerSize("residual", 8, 1, None)],
    ids=str,
)
def upscaler(request: pytest.FixtureRequest) -> Upscaler:
    torch.manual_seed(0)
    network = make_upscaler(request.param)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.15)
    return network


@pytest.fixture(scope="module")
def upscaler_onnx(upscaler: Upscaler) -> bytes:
    return onnx_export.export_upscaler(upscaler)


def session(data: bytes) -> Any:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


CONFIGS = [
    StructureConfig(
        long_side=40, scales=4, channels=8, layers=1, latent=6, padding=padding, upsampling=upsampling
    )
    for padding, upsampling in (("zeros", "bilinear"), ("replicate", "bilinear"), ("replicate", "bicubic"))
] + [replace(SINGAN.structure, long_side=70, padding=padding) for padding in ("zeros", "noise")]


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda c: "-".join([type(c).__name__, c.padding]))
def model(request: pytest.FixtureRequest) -> Model:
    torch.manual_seed(2)
    model = make_model(request.param, 40, 60, torch.device("cpu"))
    for parameter in model.network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0.0, 0.08)
    model.deviations = [1.0] + [0.1 * m for m in range(1, len(model.sizes))]
    model.network.train()  # as while training
    return model


@pytest.fixture(scope="module")
def exported(model: Model) -> bytes:
    """As a render gets it."""
    data = onnx_export.export_structure(model.network, model.sizes)
    data = check_network("structure.onnx", data, describe_structure(model), []).data
    model.network.train()
    return data


def feeds(
    model: Model, noises: Sequence[Tensor], starts: Sequence[tuple[Tensor, Tensor]] | None = None
) -> dict[str, Any]:
    """What the exported network takes; by default nothing is given."""
    around = 2 * model.network.margin
    if starts is None:
        sizes = [(noise.shape[2] - around, noise.shape[3] - around) for noise in noises[:-1]]
        starts = [(torch.zeros(1, 3, *size), torch.zeros(1, 1, *size)) for size in sizes]
    given = {f"given_{m}": picture for m, (picture, _) in enumerate(starts)}
    shares = {f"share_{m}": share for m, (_, share) in enumerate(starts)}
    named = {f"noise_{m}": noise for m, noise in enumerate(noises)} | given | shares
    return {name: tensor.numpy() for name, tensor in named.items()}


def test_exported_structure_samples_as_training_does(model: Model, exported: bytes) -> None:
    """What was judged good during training (Model.sample) is what the exported network makes."""
    scales = len(model.sizes)
    for seed in range(3):
        torch.manual_seed(seed)
        expected = model.sample(scales, 1)
        torch.manual_seed(seed)
        (got,) = session(exported).run(None, feeds(model, model.noises(scales)))
        assert got.std() > 0.01
        assert np.abs(got - expected.numpy()).max() < 1e-4


def test_exported_structure_starts_from_pictures(model: Model, exported: bytes) -> None:
    """Where a share is 1, what lies below does not matter; a share of a half is a mean."""
    torch.manual_seed(0)
    scales, last = len(model.sizes), len(model.sizes) - 1
    starts = [(torch.rand(1, 3, *size), torch.zeros(1, 1, *size)) for size in model.sizes[:last]]
    starts[last - 1][1].fill_(1.0)
    one, other = model.noises(scales), model.noises(scales)
    other[last] = one[last]
    pictures = [session(exported).run(None, feeds(model, noises, starts))[0] for noises in (one, other)]
    np.testing.assert_array_equal(*pictures)
    starts[0][1].fill_(0.5)
    starts[last - 1][1].uniform_()
    with torch.no_grad():
        inside = [(picture * 2 - 1, share) for picture, share in starts]
        expected = ((model.network(one, starts=inside) + 1) / 2).clamp(0, 1)
    (got,) = session(exported).run(None, feeds(model, one, starts))
    assert np.abs(got - expected.numpy()).max() < 1e-4
    assert np.abs(got - pictures[0]).max() > 0.01


@pytest.mark.parametrize("width", [60, 260])
def test_exported_structure_takes_wide_sizes(model: Model, exported: bytes, width: int) -> None:
    """Sizes that it was not exported with, and ratios between scales that are not the training's."""
    torch.manual_seed(3)
    scales, around = len(model.sizes), 2 * model.network.margin
    noises = [
        torch.randn(1, channels, height + around, side + around)
        for channels, (height, side) in zip(
            model.network.noise_channels, scale_sizes(40, width, width, scales, 0.75), strict=True
        )
    ]
    with torch.no_grad():
        expected = ((model.network(noises) + 1) / 2).clamp(0, 1)
    (got,) = session(exported).run(None, feeds(model, noises))
    assert got.shape == (1, 3, 40, width)
    assert got.std() > 0.01
    assert np.abs(got - expected.numpy()).max() < 1e-4
    resizes = [node for node in onnx.load_model_from_string(exported).graph.node if node.op_type == "Resize"]
    modes = {a.s.decode() for node in resizes for a in node.attribute if a.name == "mode"}
    bilinear = getattr(model.config, "upsampling", "bicubic") == "bilinear"
    assert modes == {"linear" if bilinear else "cubic"}


def test_structure_export_fails_where_onnx_would_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch normalisation with running statistics is the known trap: training mode exports as evaluation."""
    network = Structure(2, 8, 1, 5)
    block = network.generators[0].blocks
    block[1] = nn.BatchNorm2d(8).train()
    monkeypatch.setattr(onnx_export.StructureForExport, "eval", lambda self: self)
    with pytest.raises(onnx_export.ExportError, match="differs from PyTorch"):
        onnx_export.export_structure(network, SIZES[:2])


def test_upscaler_takes_other_sizes(upscaler: Upscaler, upscaler_onnx: bytes) -> None:
    told = make_manifest().upscalers[0]
    checked = check_network("upscaler.onnx", upscaler_onnx, None, [told]).data
    for size in ((5, 9), (64, 48)):
        x = torch.rand(1, 3, *size)
        (got,) = session(checked).run(None, {"picture": x.numpy()})
        with torch.no_grad():
            assert np.abs(got - upscaler(x).numpy()).max() < 1e-4


def test_weights_are_stored_in_half_and_lose_nothing_more(upscaler: Upscaler, upscaler_onnx: bytes) -> None:
    model = onnx.load_model_from_string(upscaler_onnx)
    stored = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
    large = [name for name, values in stored.items() if values.dtype == np.float32 and values.size >= 256]
    assert not large
    weight = upscaler.conv_body.weight.detach().numpy()  # rounded by the export
    assert np.array_equal(stored["conv_body.weight_half"], weight)


def test_rounding_moves_pictures_by_less_than_half_a_level() -> None:
    torch.manual_seed(4)
    network = RRDBNet(16, 2, 8)
    for parameter in network.parameters():  # as if trained: not the round numbers of the beginning
        parameter.data += torch.randn_like(parameter) * 0.01
    x = torch.rand(1, 3, 24, 24)
    with torch.no_grad():
        before = network(x)
        round_weights(network)
        assert 0 < (network(x) - before).abs().max() * 255 < 0.5


def test_export_leaves_no_paths(upscaler_onnx: bytes) -> None:
    assert str(Path(__file__).parents[2]).encode() not in upscaler_onnx
    assert str(Path(torch.__file__).parent).encode() not in upscaler_onnx


def test_tail_in_strips_takes_less_memory_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = RRDBNet(32, 1, 8)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.1)
    stripped = onnx_export.export_upscaler(network)
    monkeypatch.setattr(onnx_export, "run_tail_in_strips", lambda *_: None)
    whole = onnx_export.export_upscaler(network)

    for size in ((1, 6), (3, 4), (STRIPS + 1, 5), (50, 31)):
        feeds = {"picture": np.random.default_rng(1).random((1, 3, *size), dtype=np.float32)}
        difference = session(stripped).run(None, feeds)[0] - session(whole).run(None, feeds)[0]
        assert np.abs(difference).max() < 1e-5

    # conv_hr's input and output live together: 32 channels at 16 output pixels each, float32.
    tail = 2 * 32 * 16 * 4
    shape = [(192, 192)]
    assert measure_bytes_per_pixel(whole, shape) > tail
    assert tail / STRIPS < measure_bytes_per_pixel(stripped, shape) < tail / 2


def test_strips_refuse_a_network_without_enlargement() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 3, "h", "w"]) for n in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:]))
    with pytest.raises(ValueError, match="no Resize"):
        run_tail_in_strips(model)


def test_memory_of_a_network_that_does_not_run_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="cannot be measured"):
        measure_bytes_per_pixel(b"nothing")
