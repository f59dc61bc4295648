import io
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.networks.modulated import (
    GAIN,
    SLOPE,
    Enlarge,
    EqualConv2d,
    FilteredLeakyReLU,
    Mapping,
    ModulatedConv2d,
    low_pass,
    settle,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ALLOWED = {"Add", "Cast", "Conv", "DepthToSpace", "Div", "LeakyRelu", "Mul", "ReduceMean", "Sqrt"}


class Small(nn.Module):
    """All layers once: a picture, a latent and a scale's code -> a picture twice as large."""

    def __init__(self) -> None:
        super().__init__()
        self.latent, self.scale = Mapping(6, 8, normalised=True), Mapping(1, 4, rate=1.0)
        self.first, self.second = ModulatedConv2d(5, 6, 3, (8, 4)), ModulatedConv2d(6, 3, 1, (8, 4))
        self.activation, self.enlarge = FilteredLeakyReLU(6), Enlarge(3)

    def forward(self, x: Tensor, latent: Tensor, scale: Tensor) -> Tensor:
        codes = self.latent(latent), self.scale(scale)
        return self.enlarge(self.second(self.activation(self.first(x, *codes)), *codes))


def test_modulation_is_that_of_weights() -> None:
    """Against the definition: weights scaled by the style, then to unit length, sample after sample."""
    torch.manual_seed(0)
    layer = ModulatedConv2d(5, 7, 3, (4, 2))
    nn.init.normal_(layer.bias)
    x, one, other = torch.randn(3, 5, 6, 8), torch.randn(3, 4, 1, 1), torch.randn(3, 2, 1, 1)
    style = layer.styles[0](one) + layer.styles[1](other)
    for i in range(3):
        weight = layer.convolution.weight * layer.convolution.gain * style[i].view(1, 5, 1, 1)
        weight = weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt()
        expected = F.conv2d(x[i : i + 1], weight, layer.bias.flatten(), padding=1)
        torch.testing.assert_close(layer(x, one, other)[i : i + 1], expected, atol=1e-5, rtol=1e-4)
    plain = ModulatedConv2d(5, 7, 1, (4,), demodulate=False)
    expected = F.conv2d(x * plain.styles[0](one), plain.convolution.scaled())
    torch.testing.assert_close(plain(x, one), expected)


@torch.no_grad()
def test_a_new_layer_keeps_the_variance() -> None:
    torch.manual_seed(0)
    layer, x = ModulatedConv2d(32, 32, 3, (8,)), torch.randn(4, 32, 24, 24)
    assert float(layer(x, torch.zeros(4, 8, 1, 1))[..., 2:-2, 2:-2].std()) == pytest.approx(1, rel=0.1)
    codes = Mapping(16, 64, normalised=True)(7 * torch.randn(64, 16, 1, 1))
    assert float(codes.square().mean()) == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize("radius", [1, 2])
def test_the_low_pass_lets_through_what_is_low(radius: int) -> None:
    """And nothing of what a constant would leave at the finer grid's highest frequency."""
    response = np.abs(np.fft.rfft(low_pass(radius).numpy(), 256))
    assert response[0] == pytest.approx(1, abs=1e-6)
    assert response[32] > 0.85
    assert response[96] < 0.1
    assert response[128] < 1e-6
    constant = torch.ones(1, 2, 12, 12)
    inner = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(Enlarge(2, radius)(constant)[inner], torch.ones(1, 2, 16, 16))
    inner = (..., slice(2 * radius, -2 * radius), slice(2 * radius, -2 * radius))
    torch.testing.assert_close(FilteredLeakyReLU(2, radius)(constant)[inner], GAIN * constant[inner])


@pytest.mark.parametrize(("radius", "most"), [(1, 0.4), (2, 0.1)])
def test_filtering_keeps_aliases_down(radius: int, most: float) -> None:
    """A LeakyReLU doubles frequencies: of 0.35 cycles a cell 0.7, seen as 0.3 where nothing filters."""
    wave = torch.sin(2 * torch.pi * 0.35 * torch.arange(320) + 0.3).expand(1, 1, 16, 320)

    def strength(y: Tensor, cycles: float) -> float:
        return float(torch.fft.rfft(y[0, 0, 8, 10:-10]).abs()[round(cycles * 300)] / 150)

    plain, filtered = GAIN * F.leaky_relu(wave, SLOPE), FilteredLeakyReLU(1, radius)(wave)
    assert strength(plain, 0.3) > 0.1
    assert strength(filtered, 0.3) < most * strength(plain, 0.3)
    assert strength(filtered, 0.35) > 0.5 * strength(plain, 0.35)  # what is no alias is still there


def test_how_far_they_see() -> None:
    for layer, radius in ((FilteredLeakyReLU(1), 2), (FilteredLeakyReLU(1, 2), 4), (Enlarge(1, 2), 2)):
        x = torch.zeros(1, 1, 25, 25, requires_grad=True)
        y = layer(x)
        middle = y.shape[-1] // 2
        y[0, 0, middle, middle].backward()
        seen = x.grad[0, 0].nonzero() - 12
        assert seen.abs().max() == radius


def test_settled_exported_and_in_training_are_the_same() -> None:
    torch.manual_seed(1)
    network = Small()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    all_feeds = [
        {"x": torch.randn(1, 5, *size), "latent": torch.randn(1, 6, 1, 1), "scale": torch.rand(1, 1, 1, 1)}
        for size in ((9, 14), (1, 3), (20, 20))
    ]
    with torch.no_grad():
        expected = [network(*feeds.values()) for feeds in all_feeds]
        settle(network)
        for feeds, wanted in zip(all_feeds, expected, strict=True):
            torch.testing.assert_close(network(*feeds.values()), wanted, atol=1e-4, rtol=1e-4)
    data = exported(network)
    assert {node.op_type for node in onnx.load(io.BytesIO(data)).graph.node} <= ALLOWED
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for feeds, wanted in zip(all_feeds, expected, strict=True):
        (got,) = session.run(None, {name: value.numpy() for name, value in feeds.items()})
        assert np.abs(got - wanted.numpy()).max() < 1e-4 * max(1, float(wanted.abs().max()))


def exported(network: nn.Module) -> bytes:
    example = torch.randn(1, 5, 8, 12), torch.randn(1, 6, 1, 1), torch.rand(1, 1, 1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            example,
            input_names=["x", "latent", "scale"],
            dynamic_shapes=[{2: "height", 3: "width"}, None, None],
            opset_version=20,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto.SerializeToString()


@torch.no_grad()
def test_rates_slow_learning_and_change_nothing_else() -> None:
    torch.manual_seed(0)
    slow = EqualConv2d(64, 8, rate=0.01, bias=2.0)
    y = slow(torch.randn(50, 64, 1, 1))
    assert float(y.mean()) == pytest.approx(2, abs=0.2)
    assert float(y.std()) == pytest.approx(1, abs=0.2)
    before = slow(torch.ones(1, 64, 1, 1)).detach()
    for parameter in slow.parameters():
        parameter.data += 0.1  # as a step of Adam does
    moved = float((slow(torch.ones(1, 64, 1, 1)) - before).abs().max())
    assert moved == pytest.approx(0.01 * 0.1 * (64**0.5 + 1), rel=1e-3)


def test_gradients_reach_every_weight() -> None:
    torch.manual_seed(0)
    network = Small()
    network(
        torch.randn(2, 5, 8, 8), torch.randn(2, 6, 1, 1), torch.rand(2, 1, 1, 1)
    ).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())
