"""The effective receptive field by gradients, beside the one by impulses, and its plot."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ourgan_sdk.calibration.halo import cut_windows
from ourgan_sdk.calibration.receptive_field import by_radius, impulse_energy, radius_of
from ourgan_sdk.engines.graphs.reach import theoretical_radius
from trainers.bundling import erf
from trainers.bundling.assemble import as_function
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import RRDBNet

pytestmark = pytest.mark.usefixtures("one_thread")


def random_rrdb(seed: int, blocks: int = 1) -> RRDBNet:
    torch.manual_seed(seed)
    network = RRDBNet(8, blocks, 4)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.15)
    return network


def windows_of(side: int, count: int = 16) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    picture = generator.random((3, 100, 120), dtype=np.float32)
    return cut_windows([picture], side, 0.0, generator, count)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradients_and_impulses_agree(seed: int) -> None:
    """Rows and columns of the same Jacobian: radii are equal within a pixel, the energy within a fifth."""
    network, windows = random_rrdb(seed), windows_of(65)
    rows = by_radius(erf.gradient_energy(network, [torch.from_numpy(window) for window in windows]))
    columns = impulse_energy(as_function(export_upscaler(network)), windows)
    for share in (0.9545, 0.999):
        assert abs(radius_of(rows, share) - radius_of(columns, share)) <= 1
    assert rows.sum() == pytest.approx(columns.sum() * (255 / 4) ** 2, rel=0.2)


@pytest.mark.parametrize("blocks", [1, 2])
def test_theoretical_radius_is_where_gradients_end(blocks: int) -> None:
    """Each block reaches 15 pixels, conv_first, conv_body and the layers behind 4 more."""
    network = random_rrdb(0, blocks)
    radius = theoretical_radius(export_upscaler(network))
    assert radius == 15 * blocks + 4
    energy = erf.gradient_energy(network.double(), [torch.rand(1, 3, 85, 85, dtype=torch.float64)])
    assert np.flatnonzero(by_radius(energy)).max() == radius


def test_the_effective_radius_is_far_below_the_theoretical_one() -> None:
    picture = np.random.default_rng(0).random((3, 80, 90), dtype=np.float32)
    _, measured = erf.measure_erf(random_rrdb(0), [picture], 65, 0.1, 19)
    assert measured.theoretical == 19
    assert 0 < measured.radius_9545 <= measured.radius_999 < 10


def test_plot(tmp_path: Path) -> None:
    path = tmp_path / "erf.png"
    picture = np.random.default_rng(0).random((3, 80, 90), dtype=np.float32)
    energy, measured = erf.measure_erf(random_rrdb(0), [picture], 41, 0.0, None)
    erf.plot_erf(path, "a", energy, measured, halo=7)
    with Image.open(path) as plot:
        assert plot.format == "PNG"
        pixels = np.asarray(plot.convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    assert [entry.name for entry in tmp_path.iterdir()] == ["erf.png"]


def test_command_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert erf.main([str(tmp_path)]) == 1
    assert "is not a run directory" in capsys.readouterr().err
