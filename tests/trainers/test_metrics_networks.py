"""SIFID and LPIPS: networks in the layout of the public weight files, filled with random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.metrics.inception import BlockA, BlockB, BlockC, Convolution, InceptionFeatures
from trainers.metrics.sifid import SIFID
from trainers.networks.lpips import LPIPS

State = dict[str, Tensor]


def randomise(state: State) -> State:
    """Weights that keep signals alive through all layers."""
    generator = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith(("running_var", "bn.weight")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.ndim == 4:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
    return state


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As torchvision writes it: with the layers behind the ones that are used."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    state = randomise(InceptionFeatures().state_dict())
    torch.save(
        {**state, "Mixed_7a.branch3x3_1.conv.weight": torch.zeros(1), "fc.bias": torch.zeros(1000)}, path
    )
    return path


@pytest.fixture(scope="module")
def lpips_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("weights")
    network = LPIPS()
    alexnet, linear = folder / "alexnet.pth", folder / "alex.pth"
    torch.save({**randomise(network.backbone.state_dict()), "classifier.1.bias": torch.zeros(4096)}, alexnet)
    torch.save({name: value.abs_() for name, value in randomise(network.linear.state_dict()).items()}, linear)
    return alexnet, linear


@pytest.fixture(scope="module")
def inception(inception_file: Path) -> InceptionFeatures:
    return InceptionFeatures.load(inception_file)


def picture(height: int = 100, width: int = 120, seed: int = 0) -> Tensor:
    noise = torch.rand(1, 3, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, (height, width), mode="bilinear")[0]


def test_layout_of_the_inception_file(inception: InceptionFeatures) -> None:
    """Names and shapes as in torchvision's file: a sample of every kind of layer."""
    shapes = {name: tuple(value.shape) for name, value in inception.state_dict().items()}
    expected = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_2b_3x3.bn.running_var": (64,),
        "Conv2d_3b_1x1.conv.weight": (80, 64, 1, 1),
        "Conv2d_4a_3x3.conv.weight": (192, 80, 3, 3),
        "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
        "Mixed_5c.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch3x3dbl_3.bn.bias": (96,),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
        "Mixed_6c.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
        "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
        "Mixed_6e.branch1x1.conv.weight": (192, 768, 1, 1),
    }
    assert {name: shapes[name] for name in expected} == expected
    assert len([name for name in shapes if name.endswith("conv.weight")]) == 5 + 3 * 7 + 4 + 4 * 10


def test_sizes_of_inception_features(inception: InceptionFeatures) -> None:
    """Those of the published table at 299 px: 71 and 17; and the smallest that is accepted."""
    fifth, thirteenth = inception(torch.rand(1, 3, 299, 75))
    assert fifth.shape == (1, 192, 71, 15)
    assert thirteenth.shape == (1, 768, 17, 3)
    assert torch.isfinite(thirteenth).all()
    assert thirteenth.std() > 0.01


def test_inception_takes_values_from_minus_1_to_1(inception: InceptionFeatures) -> None:
    """White as 1, black as -1, at the first convolution."""
    seen: list[Tensor] = []
    handle = inception.Conv2d_1a_3x3.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    inception(torch.stack([torch.zeros(3, 75, 75), torch.ones(3, 75, 75)]))
    handle.remove()
    assert seen[0][0].unique().tolist() == [-1]
    assert seen[0][1].unique().tolist() == [1]


def layer(module: torch.nn.Module, name: str, x: Tensor, **options: object) -> Tensor:
    """A convolution with its batch normalisation and ReLU, by their formulas, from the named weights."""
    state = module.state_dict()
    y = F.conv2d(x, state[f"{name}.conv.weight"], None, **options)  # type: ignore[arg-type]
    mean, variance, scale, shift = (
        state[f"{name}.bn.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return ((y - mean) / (variance + 0.001).sqrt() * scale + shift).clamp_min(0)


def filled(module: torch.nn.Module) -> torch.nn.Module:
    randomise(module.state_dict())
    return module.eval()


@torch.no_grad()
def test_a_layer_and_the_blocks_agree_with_their_formulas() -> None:
    x = torch.randn(1, 8, 11, 13, generator=torch.Generator().manual_seed(1))
    one = filled(torch.nn.ModuleDict({"one": Convolution(8, 5, 3, 2, 1)}))
    torch.testing.assert_close(one["one"](x), layer(one, "one", x, stride=2, padding=1))  # type: ignore[index]
    ones = torch.ones(8, 1, 3, 3) / 9
    pooled = F.conv2d(F.pad(x, (1, 1, 1, 1)), ones, groups=8)

    a = filled(BlockA(8, 6))
    double = layer(a, "branch3x3dbl_1", x)
    for name in ("branch3x3dbl_2", "branch3x3dbl_3"):
        double = layer(a, name, double, padding=1)
    five = layer(a, "branch5x5_2", layer(a, "branch5x5_1", x), padding=2)
    expected = [layer(a, "branch1x1", x), five, double, layer(a, "branch_pool", pooled)]
    torch.testing.assert_close(a(x), torch.cat(expected, 1))

    b = filled(BlockB(8))
    double = layer(b, "branch3x3dbl_2", layer(b, "branch3x3dbl_1", x), padding=1)
    largest = x.unfold(2, 3, 2).unfold(3, 3, 2).amax((-1, -2))
    expected = [layer(b, "branch3x3", x, stride=2), layer(b, "branch3x3dbl_3", double, stride=2), largest]
    torch.testing.assert_close(b(x), torch.cat(expected, 1))

    c = filled(BlockC(8, 4))
    row, column = {"padding": (0, 3)}, {"padding": (3, 0)}
    single = layer(c, "branch7x7_3", layer(c, "branch7x7_2", layer(c, "branch7x7_1", x), **row), **column)
    double = layer(c, "branch7x7dbl_1", x)
    for i, padding in ((2, column), (3, row), (4, column), (5, row)):
        double = layer(c, f"branch7x7dbl_{i}", double, **padding)
    expected = [layer(c, "branch1x1", x), single, double, layer(c, "branch_pool", pooled)]
    torch.testing.assert_close(c(x), torch.cat(expected, 1))


def test_sifid_is_0_for_the_photograph_and_grows_with_damage(inception: InceptionFeatures) -> None:
    photo = picture()
    distance = SIFID(inception, photo)
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(1))
    little, much = (distance((photo + s * noise).clamp(0, 1)) for s in (0.02, 0.2))
    np.testing.assert_allclose(distance(photo), 0, atol=1e-5 * max(much))
    assert all(0 < a < b for a, b in zip(little, much, strict=True))


def test_lpips_is_0_for_equal_pictures_symmetric_and_grows_with_damage(
    lpips_files: tuple[Path, Path],
) -> None:
    network = LPIPS.load(*lpips_files)
    one, other = picture(seed=1)[None], picture(seed=2)[None]
    assert network(one, one).tolist() == [0]
    assert network(one, other).shape == (1,)
    torch.testing.assert_close(network(one, other), network(other, one))
    noise = torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
    little, much = (float(network(one, one + s * noise)) for s in (0.02, 0.2))
    assert 0 < little < much


def test_lpips_agrees_with_its_definition(lpips_files: tuple[Path, Path]) -> None:
    """Equation 1 of Zhang et al., from the files' weights, at float64."""
    alexnet, linear = (torch.load(path, weights_only=True) for path in lpips_files)
    pair = torch.stack([picture(64, 64, 1), picture(64, 64, 2)]).double()
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]  # ImageNet's, which SHIFT and SCALE stand for
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    x = (pair - mean) / deviation
    expected = 0.0
    layers = ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False))
    for i, (name, stride, padding, pooled) in enumerate(layers):
        x = F.max_pool2d(x, 3, 2) if pooled else x
        weight, bias = (alexnet[f"features.{name}.{part}"].double() for part in ("weight", "bias"))
        x = F.conv2d(x, weight, bias, stride, padding).clamp_min(0)
        unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
        weights = linear[f"lin{i}.model.1.weight"].double()
        expected += float(((unit[0] - unit[1]).square() * weights[0]).sum(0).mean())
    network = LPIPS.load(*lpips_files)
    assert float(network(pair[:1].float(), pair[1:].float())) == pytest.approx(expected, rel=1e-3)


def test_other_files_are_refused(tmp_path: Path, lpips_files: tuple[Path, Path]) -> None:
    alexnet, linear = lpips_files
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    wrong_shape = tmp_path / "shape.pth"
    state = torch.load(linear, weights_only=True)
    torch.save({**state, "lin0.model.1.weight": torch.zeros(1, 32, 1, 1)}, wrong_shape)
    with pytest.raises(
        ValueError, match=r"cannot read .*none.pth, expected torchvision's Inception v3.*No such"
    ):
        InceptionFeatures.load(tmp_path / "none.pth")
    for path in (text, linear):
        with pytest.raises(
            ValueError, match=r"is not torchvision's Inception v3 weight file \(inception_v3_"
        ):
            InceptionFeatures.load(path)
    with pytest.raises(ValueError, match=r"is not LPIPS' linear weights .*: it has no 'lin0.model.1.weight'"):
        LPIPS.load(alexnet, alexnet)
    with pytest.raises(ValueError, match=r"is not LPIPS' linear weights .*size mismatch for lin0"):
        LPIPS.load(alexnet, wrong_shape)
    torch.save([1, 2], wrong_shape)
    with pytest.raises(ValueError, match=r"is not torchvision's AlexNet weight file"):
        LPIPS.load(wrong_shape, linear)
