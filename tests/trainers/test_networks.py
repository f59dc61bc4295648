from pathlib import Path
from statistics import fmean

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.losses import gradient_penalty, grid_pattern_loss, kl_divergence, patch_statistics_loss
from trainers.networks import (
    CoordConv2d,
    PatchCritic,
    ResidualNet,
    RRDBNet,
    Structure,
    UpscalerSize,
    make_upscaler,
    size_of,
)
from trainers.networks.coordinates import Padding, row_positions
from trainers.networks.structure import SampleNorm
from trainers.networks.vgg import VGGFeatures

SIZES = [(1, 1), (1, 7), (2, 3), (9, 13)]


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("size", SIZES)
def test_coordinate_convolution_equals_its_definition(padding: Padding, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = CoordConv2d(4, 6, padding=padding)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 4, *size)
    position = torch.linspace(-1, 1, size[0])[None, None, :, None].expand(2, 1, *size)
    mode = {"zeros": "constant", "replicate": "replicate"}[padding]
    padded = F.pad(torch.cat([x, position], 1), (1, 1, 1, 1), mode=mode)
    assert torch.allclose(layer(x), F.conv2d(padded, layer.weight, layer.bias), atol=1e-5)


@pytest.mark.parametrize("vertical", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("size", SIZES)
def test_gradient_of_a_critic_equals_that_of_autograd(
    padding: Padding, size: tuple[int, int], vertical: bool
) -> None:
    torch.manual_seed(0)
    critic = PatchCritic(8, 2, vertical=vertical, padding=padding).eval()
    x = torch.randn(2, 3, *size, requires_grad=True)
    (expected,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    got = critic.input_gradient(x)
    assert torch.allclose(got, expected, atol=1e-6)
    weights = [p for name, p in critic.named_parameters() if "bias" not in name]
    ours, theirs = (torch.autograd.grad(g.square().sum(), weights) for g in (got, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_bf16_computes_the_same_in_fewer_digits(padding: Padding) -> None:
    torch.manual_seed(0)
    network = Structure(scales=2, channels=16, layers=2, latent=5, padding=padding)
    z = [torch.randn(2, 5, 9, 13), torch.randn(2, 3, 12, 17)]
    fine, coarse = network(z), network(z, torch.bfloat16)
    assert coarse.dtype == torch.float32  # pictures are
    assert 0 < (fine - coarse).abs().max() < 0.05 * fine.abs().max()
    coarse.square().mean().backward()
    assert {p.grad.dtype for p in network.parameters() if p.grad is not None} == {torch.float32}


def test_positions_run_from_top_to_bottom() -> None:
    assert row_positions(torch.zeros(1, 1, 5, 2)).tolist() == [-1, -0.5, 0, 0.5, 1]


def test_sample_norm_treats_each_sample_alone() -> None:
    norm = SampleNorm(3)
    x = torch.randn(4, 3, 8, 9) * 3 + 1
    together = norm(x)
    for i in range(4):
        assert torch.allclose(together[i : i + 1], norm(x[i : i + 1]), atol=1e-5)


def test_structure_follows_its_formula() -> None:
    torch.manual_seed(1)
    network = Structure(scales=3, channels=8, layers=1, latent=5)
    z = [torch.randn(1, 5, 4, 6), torch.randn(1, 3, 6, 8), torch.randn(1, 3, 8, 11)]
    x = network.generators[0](z[0])
    for m in (1, 2):
        up = F.interpolate(x, size=z[m].shape[2:], mode="bilinear", align_corners=True)
        x = up + network.generators[m](up + z[m])
    assert torch.equal(network(z), x)


def test_structure_takes_any_size() -> None:
    network = Structure(scales=2, channels=8, layers=1, latent=5)
    assert network([torch.randn(1, 5, 9, 2), torch.randn(1, 3, 14, 3)]).shape == (1, 3, 14, 3)


@pytest.mark.parametrize(
    "size", [UpscalerSize("rrdb", 8, 1, 4), UpscalerSize("residual", 8, 2, None)], ids=str
)
def test_upscaler_enlarges_by_four(size: UpscalerSize) -> None:
    network = make_upscaler(size)
    assert network(torch.rand(2, 3, 5, 7)).shape == (2, 3, 20, 28)
    assert size_of(network) == size


def test_sizes_that_no_upscaler_has() -> None:
    for size in (UpscalerSize("rrdb", 8, 1, None), UpscalerSize("residual", 8, 1, 4)):
        with pytest.raises(ValueError, match="a growth for an RRDB and for nothing else"):
            make_upscaler(size)


def test_untrained_residual_upscaler_is_bilinear() -> None:
    x = torch.rand(2, 3, 6, 9)
    expected = F.interpolate(x, scale_factor=4.0, mode="bilinear")
    inside = (..., slice(2, -2), slice(2, -2))
    with torch.no_grad():
        torch.testing.assert_close(ResidualNet(8, 1)(x)[inside], expected[inside])


def test_the_enlargement_keeps_its_precision_under_autocast() -> None:
    x = torch.rand(1, 3, 8, 8)
    network = ResidualNet(8, 1)
    with torch.no_grad():
        expected = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            got = network(x)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected)


def test_untrained_upscaler_is_an_interpolation() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 8, 8)
    smooth = F.interpolate(
        F.avg_pool2d(x, 3, 1, 1), size=24, mode="bilinear"
    )  # nothing finer than the filter
    expected = F.interpolate(smooth, scale_factor=4.0, mode="bilinear")
    with torch.no_grad():
        got = RRDBNet(16, 2, 8)(smooth)
    inside = (..., slice(8, -8), slice(8, -8))
    assert (got[inside] - expected[inside]).abs().max() < 0.02


def test_public_checkpoint_names() -> None:
    names = set(RRDBNet(8, 1, 4).state_dict())
    assert {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.bias", "conv_last.weight"} <= names


def test_kl_of_the_prior_is_zero() -> None:
    zeros = torch.zeros(1, 4, 3, 3)
    assert kl_divergence(zeros, zeros) == 0
    assert kl_divergence(zeros + 1, zeros) == pytest.approx(0.5)


def test_gradient_penalty_of_a_known_gradient() -> None:
    real, fake = torch.randn(1, 3, 6, 6), torch.randn(1, 3, 6, 6)
    weights = torch.tensor([0.0, 3.0, 4.0])[None, :, None, None]
    penalty = gradient_penalty(weights.expand_as, real, fake)
    assert penalty == pytest.approx((5 - 1) ** 2)


def test_patch_statistics_see_fine_details_and_patterns() -> None:
    """Both are small beside a picture's contrast: grain that was lost, and a grid of every fourth row."""
    generator = torch.Generator().manual_seed(0)

    def picture() -> Tensor:
        coarse = torch.rand(4, 3, 16, 16, generator=generator)
        smooth = F.interpolate(coarse, size=(128, 128), mode="bicubic")
        return smooth + 0.01 * torch.randn(4, 3, 128, 128, generator=generator)

    def loss(fake: Tensor) -> float:
        torch.manual_seed(0)
        return fmean(float(patch_statistics_loss(fake, real)) for _ in range(16))

    real, other = picture(), picture()
    grid = torch.zeros(4, 4)
    grid[::4] = 0.01
    same, soft, patterned = loss(other), loss(F.avg_pool2d(other, 3, 1, 1)), loss(other + grid.repeat(32, 32))
    assert same < 0.1
    assert soft > 4 * same
    assert patterned > 1.5 * same


def test_grid_patterns_are_told_from_other_differences() -> None:
    torch.manual_seed(0)
    real = torch.rand(2, 3, 64, 96)
    grid = torch.zeros(4, 4)
    grid[::2] = 0.01  # every other row; its mean is no pattern
    patterned = float(grid_pattern_loss(real + grid.repeat(16, 24), real))
    assert patterned == pytest.approx(0.005, rel=1e-3)
    assert float(grid_pattern_loss(real + 0.3, real)) < 1e-6
    assert float(grid_pattern_loss(real + 0.05 * torch.randn_like(real), real)) < 0.006
    assert float(grid_pattern_loss(real[..., :30, :21], real[..., :30, :21])) == 0


def test_vgg_reads_the_official_layout_and_nothing_else(tmp_path) -> None:
    official = {f"features.{k}": v for k, v in VGGFeatures().features.state_dict().items()}
    official["classifier.0.weight"] = torch.zeros(1)
    path = tmp_path / "vgg19.pth"
    torch.save(official, path)
    network = VGGFeatures.load(path)
    assert network(torch.rand(1, 3, 32, 32)).shape == (1, 512, 2, 2)
    assert torch.equal(network.features[34].weight, official["features.34.weight"])
    assert not any(parameter.requires_grad for parameter in network.parameters())
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="not torchvision's VGG19 weight file"):
        VGGFeatures.load(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = VGGFeatures().state_dict()
    state["features.0.bias"][3] = float("nan")
    torch.save(state, tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=r"features\.0\.bias is not finite"):
        VGGFeatures.load(tmp_path / "vgg.pth")
