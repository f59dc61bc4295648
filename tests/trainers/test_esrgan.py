import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from export import to_pth
from trainers.networks import ResidualNet, RRDBNet, size_of
from trainers.runs.restore import RestoreError, restore_network, restore_upscaler
from trainers.upscalers.esrgan import LayoutError, public_state, read_upscaler

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def network() -> RRDBNet:
    return as_if_trained(RRDBNet(8, 3, 4))


def as_if_trained(network: RRDBNet) -> RRDBNet:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.1)
    return network.eval()


def first_layout(state: State, upscalings: int = 2) -> State:
    """The names of the first ESRGAN: positions in a sequence of layers, three for every enlarging."""
    blocks = len({key.split(".")[1] for key in state if key.startswith("body.")})
    last = 3 * upscalings + 4
    places = {"conv_first": "model.0", "conv_body": f"model.1.sub.{blocks}"}
    places |= {"conv_hr": f"model.{last - 2}", "conv_last": f"model.{last}"}
    places |= {f"conv_up{i}": f"model.{3 * i}" for i in range(1, upscalings + 1)}
    return {
        re.sub(r"^body\.(\d+)\.rdb(\d)\.conv(\d)", r"model.1.sub.\1.RDB\2.conv\3.0", key).replace(
            key.split(".")[0], places.get(key.split(".")[0], key.split(".")[0])
        ): value
        for key, value in state.items()
    }


def second_layout(state: State) -> State:
    names = {"conv_body": "trunk_conv", "conv_hr": "HRconv", "conv_up1": "upconv1", "conv_up2": "upconv2"}
    return {
        re.sub(
            r"^\w+(?=\.(weight|bias))",
            lambda match: names.get(match[0], match[0]),
            re.sub(r"^body\.(\d+)\.rdb(\d)", r"RRDB_trunk.\1.RDB\2", key),
        ): value
        for key, value in state.items()
    }


def test_the_layouts_of_these_tests_are_the_public_ones(network: RRDBNet) -> None:
    state = network.state_dict()
    names = {"model.0.weight", "model.1.sub.2.RDB3.conv5.0.bias", "model.1.sub.3.weight", "model.3.weight"}
    first = {*names, "model.6.bias", "model.8.weight", "model.10.weight"}
    assert first <= first_layout(state).keys()
    second = {"conv_first.weight", "RRDB_trunk.2.RDB3.conv5.bias", "trunk_conv.weight", "upconv1.weight"}
    assert second | {"upconv2.bias", "HRconv.weight", "conv_last.weight"} <= second_layout(state).keys()


@pytest.mark.parametrize("layout", [dict, first_layout, second_layout])
@pytest.mark.parametrize("wrappers", [(), ("params",), ("params_ema",), ("state_dict", "average")])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_public_layout_is_read(
    network: RRDBNet, layout: Callable[[State], State], wrappers: tuple[str, ...], prefix: str
) -> None:
    content: Any = {prefix + key: value.half() for key, value in layout(network.state_dict()).items()}
    for wrapper in wrappers:
        content = {wrapper: content, "epoch": 7}
    got = read_upscaler(content)
    assert (got.features, got.blocks, got.growth) == (8, 3, 4)
    for name, value in network.state_dict().items():
        assert got.state_dict()[name].dtype == torch.float32
        assert torch.equal(got.state_dict()[name], value.half().float())


def test_averaged_weights_are_preferred(network: RRDBNet) -> None:
    other = {key: value + 1 for key, value in network.state_dict().items()}
    got = read_upscaler({"params": other, "params_ema": network.state_dict()})
    assert torch.equal(got.conv_last.weight, network.conv_last.weight)


def changed(state: State, **values: Tensor) -> State:
    return {**state, **{key.replace("__", "."): value for key, value in values.items()}}


def test_what_is_something_else_is_named(network: RRDBNet) -> None:
    state = network.state_dict()
    three = changed(state, conv_up3__weight=torch.zeros(8, 8, 3, 3), conv_up3__bias=torch.zeros(8))
    cases: list[tuple[object, str]] = [
        (changed(state, conv_first__weight=torch.zeros(8, 12, 3, 3)), "found one of x2"),
        (changed(state, conv_first__weight=torch.zeros(8, 48, 3, 3)), "found one of x1"),
        (changed(state, conv_first__weight=torch.zeros(8, 1, 3, 3)), r"3 input channels \(RGB\), found 1"),
        (three, "expected an upscaler of x4, found one of x8"),
        (first_layout(three, 3), "found one of x8"),
        ({"body.0.weight": torch.zeros(1), "body.1.weight": torch.zeros(1)}, "body.0.weight, body.1.weight"),
        (changed(state, body__0__rdb1__conv1x1__weight=torch.zeros(1)), "it has body.0.rdb1.conv1x1.weight"),
        ({key: state[key] for key in state if key != "conv_hr.bias"}, "it lacks conv_hr.bias"),
        (
            changed(state, conv_hr__bias=torch.zeros(9)),
            r"conv_hr.bias to have the shape \(8,\), found \(9,\)",
        ),
        (changed(state, conv_hr__bias=torch.full((8,), torch.nan)), "conv_hr.bias holds .* not finite"),
        ({"params": {"conv_first.weight": "text"}}, "expected tensors by name, found conv_first.weight"),
        ([1, 2], "expected tensors by name, found list"),
        ({}, "expected tensors by name"),
    ]
    for content, message in cases:
        with pytest.raises(LayoutError, match=message) as error:
            read_upscaler(content)
        assert "\n" not in str(error.value)


def test_residual_upscalers_have_a_layout_of_their_own(tmp_path: Path, capsys: Any) -> None:
    torch.manual_seed(0)
    network = ResidualNet(8, 3)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    state = network.state_dict()
    got = read_upscaler({"average": state})
    assert size_of(got) == size_of(network)
    assert all(torch.equal(value, state[key]) for key, value in got.state_dict().items())
    for content, message in (
        ({key: state[key] for key in state if key != "body.1.conv2.bias"}, "it lacks body.1.conv2.bias"),
        (changed(state, conv_first__weight=torch.zeros(8)), "it holds no upscaler but"),
        (changed(state, conv_last__weight=torch.zeros(12, 8, 3, 3)), "conv_last.weight to have the shape"),
    ):
        with pytest.raises(LayoutError, match=message):
            read_upscaler(content)
    torch.save(state, tmp_path / "small.pt")
    assert to_pth.main([str(tmp_path / "small.pt"), "-o", str(tmp_path / "out.pth")]) == 1
    assert "other programs read its ONNX file" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pth"
    with pytest.raises(RestoreError, match="there is no checkpoint"):
        restore_upscaler(path)
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(RestoreError, match=r"a\.pth is not a checkpoint that can be read"):
        restore_upscaler(path)
    torch.save({"key": torch.nn.Linear(1, 1)}, path)  # would run code
    with pytest.raises(RestoreError, match=r"a\.pth is not a checkpoint that can be read"):
        restore_upscaler(path)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(RestoreError, match="pip install safetensors"):
        restore_upscaler(tmp_path / "a.safetensors")


def test_safetensors(network: RRDBNet, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "a.safetensors"
    safetensors.save_file(second_layout(network.state_dict()), path)
    assert torch.equal(restore_upscaler(path).conv_last.weight, network.conv_last.weight)


@pytest.mark.parametrize("shape", [(8, 3, 4), (8, 1, 32), (3, 2, 16)])
def test_saved_as_the_public_layout_it_computes_the_same(shape: tuple[int, int, int], tmp_path: Path) -> None:
    network = as_if_trained(RRDBNet(*shape))
    torch.save({"average": network.state_dict()}, tmp_path / "a.pt")
    assert to_pth.main([str(tmp_path / "a.pt"), "-o", str(tmp_path / "a.pth")]) == 0
    saved = restore_network(tmp_path / "a.pth").network
    assert isinstance(saved, RRDBNet)
    assert (saved.features, saved.blocks, saved.growth) == (*shape[:2], 32)
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    assert content["params_ema"].keys() == network.state_dict().keys()
    x = torch.rand(1, 3, 9, 12)
    with torch.no_grad():
        assert torch.allclose(saved(x), network(x), atol=1e-5)


def test_command_names_what_is_wrong(network: RRDBNet, tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "out.pth"
    assert to_pth.main([str(tmp_path), "-o", str(output)]) == 1  # a folder, but no run
    assert "there is no checkpoint" in capsys.readouterr().err
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "upscaler.pt").touch()  # a run of trainers.pretrain
    assert to_pth.main([str(tmp_path), "-o", str(output)]) == 1
    assert "checkpoints holds upscaler.pt" in capsys.readouterr().err
    torch.save(RRDBNet(4, 1, 40).state_dict(), tmp_path / "wide.pt")
    assert to_pth.main([str(tmp_path / "wide.pt"), "-o", str(output)]) == 1
    assert "this upscaler of 40" in capsys.readouterr().err
    torch.save(network.state_dict(), tmp_path / "a.pt")
    assert to_pth.main([str(tmp_path / "a.pt"), "-o", str(tmp_path / "no" / "out.pth")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not output.exists()


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package; without torchvision, which does not import beside every build of torch.

    Spandrel imports three names of it for two other architectures (LaMa, RestoreFormer).
    """
    functional = ModuleType("torchvision.transforms.functional")
    for name in ("InterpolationMode", "normalize", "rotate"):
        setattr(functional, name, None)
    for module in ("torchvision", "torchvision.transforms"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    monkeypatch.setitem(sys.modules, functional.__name__, functional)
    module: ModuleType = pytest.importorskip("spandrel")
    return module


@pytest.mark.parametrize("shape", [(16, 2, 8), (64, 1, 32)])
def test_spandrel_opens_it_and_computes_the_same(
    spandrel: Any, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    network = as_if_trained(RRDBNet(*shape))
    torch.save(public_state(network), tmp_path / "a.pth")
    opened = spandrel.ModelLoader().load_from_file(tmp_path / "a.pth")
    assert opened.architecture.id == "ESRGAN"
    assert (opened.scale, opened.input_channels, opened.output_channels) == (4, 3, 3)
    x = torch.rand(1, 3, 12, 17)
    with torch.no_grad():
        assert torch.allclose(opened.model(x), network(x), atol=1e-5)


@pytest.mark.parametrize("layout", [first_layout, second_layout])
def test_what_spandrel_reads_is_read_alike(
    spandrel: Any, layout: Callable[[State], State], tmp_path: Path
) -> None:
    network = as_if_trained(RRDBNet(16, 2, 32))
    torch.save(layout(network.state_dict()), tmp_path / "a.pth")
    x = torch.rand(1, 3, 12, 17)
    with torch.no_grad():
        theirs = spandrel.ModelLoader().load_from_file(tmp_path / "a.pth").model(x)
        assert torch.allclose(restore_upscaler(tmp_path / "a.pth")(x), theirs, atol=1e-5)


@pytest.mark.parametrize("key", ["conv_first.weight", "body.0.rdb1.conv1.weight"])
@pytest.mark.parametrize("shape", [(), (3,), (8, 3)])
def test_tensors_of_odd_rank_are_no_network(network: RRDBNet, key: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(LayoutError, match="no RRDB network"):
        read_upscaler({**network.state_dict(), key: torch.zeros(shape)})
