"""The effective receptive field of an upscaler (Luo et al., NIPS 2016): which inputs an output really heeds.

python -m trainers.bundling.erf RUN      measures the upscalers of a run directory and plots them into it

A gradient is propagated back from the output pixels over the middle input pixel, over many windows of real
pictures; the mean of its square is the energy with which inputs matter. It falls off like a Gaussian whose
width grows with the square root of the depth, while the theoretical radius grows with the depth itself. The
same is measured without gradients, through any runtime, by
:mod:`ourgan_sdk.calibration.receptive_field`, which also says what the radii are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ourgan_sdk import OurganError
from ourgan_sdk.arrays import Tensor as Array
from ourgan_sdk.bundle import Erf
from ourgan_sdk.calibration.halo import cut_windows
from ourgan_sdk.calibration.receptive_field import ERF_WINDOWS, by_radius, measured_erf
from ourgan_sdk.engines.graphs.reach import theoretical_radius
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import say, steady_streams, warn

from ..networks import ResidualNet, RRDBNet
from ..networks.rrdb import SCALE
from ..photo import load_photo
from ..runs.restore import RestoreError, restore_network
from ..runs.run import Run, RunError
from ..upscalers.passes import roles
from ..upscalers.patches import channels_last
from .onnx_export import ExportError, export_upscaler

Energy = npt.NDArray[np.float64]

SIDE = 129  # pixels of the windows, where no calibration says how large
DRAWS = 4  # of signs, per window
DYNAMIC_RANGE = 12  # decades of energy that a plot shows


def gradient_energy(network: nn.Module, windows: Sequence[Tensor]) -> Energy:
    """Energy of the gradient at every input pixel, (side, side), summed over ``windows`` (1, 3, side, side).

    The gradients of all 3 x 4 x 4 outputs over the middle pixel are of unit size and random sign: on average,
    the square of their sum is then the sum of their squares. The signs are drawn anew a few times per window.
    """
    network = network.eval()
    total = np.zeros(windows[0].shape[2:])
    signs = torch.Generator().manual_seed(0)
    for window in windows:
        picture = channels_last(window).requires_grad_(True)
        y, x = (SCALE * (n // 2) for n in window.shape[2:])
        outputs = network(picture)[:, :, y : y + SCALE, x : x + SCALE]
        for _ in range(DRAWS):
            unit = torch.randint(2, outputs.shape, generator=signs).mul(2).sub(1).to(outputs)
            (gradient,) = torch.autograd.grad(outputs, picture, unit, retain_graph=True)
            total += gradient.double().square().sum((0, 1)).cpu().numpy() / DRAWS
    return total


def measure_erf(
    network: nn.Module, pictures: Sequence[Array], side: int, deviation: float, theoretical: int | None
) -> tuple[Energy, Erf]:
    """The energy at every input pixel and its radii, on random windows of ``pictures`` (3, H, W) in [0, 1].

    The windows are squares of ``side`` with noise of ``deviation`` added; ``theoretical`` is the theoretical
    radius, for comparison.
    """
    windows = cut_windows(pictures, side, deviation, np.random.default_rng(1), count=ERF_WINDOWS)
    device = next(network.parameters()).device
    energy = gradient_energy(network, [torch.from_numpy(window).to(device) for window in windows])
    return energy, measured_erf(by_radius(energy), theoretical)


def plot_erf(path: Path, title: str, energy: Energy, erf: Erf, halo: int | None = None) -> None:
    """Draws the energy (side, side) as a map and by radius, with the radii and the halo marked."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(f"Effective receptive field: {title}")
    reach = energy.shape[0] // 2
    relative = np.log10(np.maximum(energy / energy.max(), 10.0**-DYNAMIC_RANGE))
    image = left.imshow(relative, extent=(-reach - 0.5, reach + 0.5, reach + 0.5, -reach - 0.5))
    figure.colorbar(image, ax=left, label="energy, $\\log_{10}$ of its share of the largest")
    left.set(xlabel="input pixels", ylabel="input pixels")
    rings = by_radius(energy)
    outside = 1 - np.cumsum(rings) / rings.sum()
    right.semilogy(np.maximum(outside, 10.0**-DYNAMIC_RANGE), color="black")
    right.set(xlabel="radius, input pixels", ylabel="share of the energy outside the radius")
    marks = {
        "95.45 % inside": (erf.radius_9545, "tab:green"),
        "99.9 % inside": (erf.radius_999, "tab:blue"),
        "halo": (halo, "tab:red"),
        "theoretical radius": (erf.theoretical, "tab:grey"),
    }
    for label, (radius, colour) in marks.items():
        if radius is not None:
            right.axvline(radius, color=colour, linestyle="--", label=f"{label}: {radius} px")
    right.legend()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=80, format="png")


def plot_path(directory: Path, name: str) -> Path:
    """Where the plot of upscaler ``name`` lies in a run directory."""
    return directory / f"erf-{name}.png"


def measure_run(run: Run) -> None:
    """Measures and plots the upscalers of a run, from its checkpoints and its photograph."""
    preset = run.preset
    photo = load_photo(run.config["photo"]["path"])
    for role in roles(preset.upscaler, preset.structure.long_side):
        network = restore_network(run.checkpoint_path(role.name)).network
        if not isinstance(network, (ResidualNet, RRDBNet)):
            raise RestoreError(f"{run.checkpoint_path(role.name)} holds no upscaler")
        theoretical = theoretical_radius(export_upscaler(network))
        pictures = [pair.low.numpy() for pair in role.pairs(photo)]
        energy, erf = measure_erf(network, pictures, SIDE, role.noise, theoretical)
        path = plot_path(run.directory, role.name)
        plot_erf(path, role.name, energy, erf)
        say(
            f"{role.name}: {erf.radius_9545} px (95.45 %), {erf.radius_999} px (99.9 %), theoretical "
            f"{erf.theoretical} px; {path}"
        )


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = Parser(
        prog="python -m trainers.bundling.erf",
        description="Measure and plot how far the upscalers of a run look.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory of trainers.fit")
    options = parser.parse_args(arguments)
    torch.set_flush_denormal(True)  # gradients vanish far away, and are slow there on a processor
    try:
        measure_run(Run.open(options.run, torch.device("cpu")))
    except (RestoreError, RunError, ExportError, OurganError, OSError) as e:
        warn(f"error: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
