"""How far an upscaler looks, against its depth, and what halos of that size leave of a seam.

python -m bench.depth PHOTO [--steps N] [--runs FOLDER] [--output docs]     prints tables; writes depth.png

OUR-GAN (Yoon et al., arXiv 2202.13799, section 3.3) lets subregions overlap by the radius of the effective
receptive field, which grows with the square root of the depth (Luo et al., NIPS 2016), while the theoretical
one grows with the depth itself. Here RRDBs of 2 to 23 blocks, alike in all else, are trained alike on one
photograph. Of each it is measured, trained and as PyTorch initialises it:

* the radii of the squares that hold 95.45 % and 99.9 % of the gradient's energy, interpolated between whole
  pixels, and the root of the energy's mean squared distance (Chebyshev's, as of halos) from the output;
* the theoretical radius, read off the exported graph;
* what tiles with halos of these two radii, rounded up, differ by from the whole, and the halo that will do.

The exponent of each radius is the slope of a line through the logarithms. The last table has the upscalers of
the sample bundle. Trained networks are kept in the run directories: a command that was stopped goes on.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from bench.one_upscaler import train
from bench.seams import Case, make_cases, random_network
from ourgan_sdk.arrays import Tensor
from ourgan_sdk.calibration.halo import TOLERANCE, Network, calibrate, cut_windows, seam_error
from ourgan_sdk.calibration.receptive_field import ERF_WINDOWS, by_radius, impulse_energy
from ourgan_sdk.engines.graphs.reach import theoretical_radius
from ourgan_sdk.system.atomic import atomic_file
from trainers.bundling.assemble import as_function
from trainers.bundling.erf import SIDE, gradient_energy
from trainers.bundling.onnx_export import export_upscaler
from trainers.command_line import limit_threads
from trainers.networks import Upscaler, UpscalerSize
from trainers.photo import Photo, load_photo
from trainers.presets import STANDARD
from trainers.upscalers.patches import later_sizes, make_pairs

DEPTHS = (2, 4, 8, 16, 23)
FEATURES, GROWTH = 16, 8
BATCH, PATCH = 2, 96  # patches a step, and their pixels, high resolution
SHARES = (0.9545, 0.999)
RADII = ("95.45 %", "99.9 %", "root mean square")

Energy = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """How far a network looks, in input pixels, and what halos leave of a seam, in levels of 8 bits.

    `radii` are those of RADII, `left` what halos of the first two, rounded up, leave at most; `halo` the one
    that will do.
    """

    name: str
    radii: tuple[float, float, float]
    theoretical: int | None
    left: tuple[float, float]
    halo: int


def main() -> None:
    """Train what is not trained yet, measure, print and plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS, metavar="BLOCKS")
    parser.add_argument("--steps", type=int, default=400, help="of L1, for each network (default: 400)")
    parser.add_argument("--runs", type=Path, default=Path("runs/depth"))
    parser.add_argument("--output", type=Path, default=Path("docs"), help="a folder (default: docs)")
    options = parser.parse_args()
    if len(options.depths) < 2:
        parser.error("a slope needs two depths at least")
    limit_threads()
    torch.set_flush_denormal(True)  # gradients vanish far away, and are slow there on a processor
    photo = load_photo(options.photo)
    trained = [trained_look(photo, depth, options) for depth in options.depths]
    random = [initial_look(photo, depth) for depth in options.depths]
    for title, looks in ((f"after {options.steps} steps", trained), ("as PyTorch initialises them", random)):
        print_table(title, options.depths, looks)
    print_sample()
    plot(options.depths, trained, random, options.output / "depth.png")


def trained_look(photo: Photo, depth: int, options: argparse.Namespace) -> Look:
    """Of the network of ``depth`` blocks, trained as far as it is not yet."""
    config = replace(STANDARD.upscaler, batch=BATCH, patch=PATCH, precision="fp32")
    sizes = photograph_sizes(photo)
    directory = options.runs / f"{photo.sha256[:12]}-{options.steps}-{depth}"
    size = UpscalerSize("rrdb", FEATURES, depth, GROWTH)
    return look(
        f"{depth} blocks",
        train(photo, sizes, config, (options.steps, 0), size=size, directory=directory),
        photo,
    )


def initial_look(photo: Photo, depth: int) -> Look:
    """Of the network of ``depth`` blocks with random weights, its output of a picture's contrast."""
    window = cut_windows(pictures(photo), SIDE, 0.0, np.random.default_rng(0), count=1)[0]
    return look(f"{depth} blocks", random_network(window, FEATURES, depth, GROWTH), photo)


def photograph_sizes(photo: Photo) -> list[int]:
    """Long sides that the photograph is trained at, as the upscaler of later passes is."""
    config = STANDARD.upscaler
    return later_sizes(photo, STANDARD.structure.long_side, config.window, config.held_out)


def pictures(photo: Photo) -> list[Tensor]:
    """What the networks see, (3, H, W) in [0, 1]: the photograph's reductions."""
    return [
        pair.low.numpy() for pair in make_pairs(photo, photograph_sizes(photo), STANDARD.upscaler.held_out)
    ]


def look(name: str, network: Upscaler, photo: Photo) -> Look:
    """How far a network looks on windows of the photograph, and what halos leave."""
    network = network.eval()
    data, seen = export_upscaler(network), pictures(photo)
    windows = cut_windows(seen, SIDE, 0.0, np.random.default_rng(1), count=ERF_WINDOWS)
    energy = gradient_energy(network, [torch.from_numpy(window) for window in windows])
    function = as_function(data)

    def cut(side: int) -> Sequence[Tensor]:
        return cut_windows(seen, side, 0.0, np.random.default_rng(2))

    calibrated = calibrate(name, function, cut, progress=True)
    radii = radii_of(by_radius(energy))
    left = left_by(function, cut(SIDE - 1), radii)
    return Look(name, radii, theoretical_radius(data), left, calibrated.halo)


def radii_of(rings: Energy) -> tuple[float, float, float]:
    """Those of RADII, of an energy by Chebyshev distance."""
    first, second = (interpolated_radius(rings, share) for share in SHARES)
    squares = np.arange(len(rings)) ** 2
    return first, second, math.sqrt(float((rings * squares).sum() / rings.sum()))


def interpolated_radius(rings: Energy, share: float) -> float:
    """The radius whose square holds ``share`` of an energy by Chebyshev distance, between whole pixels."""
    held = np.cumsum(rings) / rings.sum()
    return float(np.interp(share, held, np.arange(len(held))))


def left_by(network: Network, windows: Sequence[Tensor], radii: Sequence[float]) -> tuple[float, float]:
    """The largest seam error at halos of the first two ``radii``, rounded up, in levels of 8 bits."""
    wholes = [network(window) for window in windows]
    first, second = (seam_error(network, windows, wholes, math.ceil(r)).maximum for r in radii[:2])
    return first, second


def exponent(depths: Sequence[int], values: Sequence[float]) -> float:
    """The slope of a line through logarithms: 1 where values grow as depths do, 0.5 as their roots."""
    return float(np.polyfit(np.log(depths), np.log(values), 1)[0])


def print_table(title: str, depths: Sequence[int], looks: Sequence[Look]) -> None:
    """Markdown, one row per network and one of exponents."""
    print(f"\nRRDBs with {FEATURES} channels, {title}; radii and halos in input pixels\n")
    print(f"| network | {' | '.join(RADII)} | theoretical | left at 95.45 % | left at 99.9 % | halo |")
    print("|---" * 8 + "|")
    for one in looks:
        print_look(one)
    columns = [[one.radii[i] for one in looks] for i in range(len(RADII))]
    columns.append([float(one.theoretical or 0) for one in looks])
    slopes = [f"{exponent(depths, values):.2f}" for values in columns]
    halo = exponent(depths, [one.halo for one in looks])
    print(f"| exponent | {' | '.join(slopes)} | | | {halo:.2f} |")


def print_look(one: Look) -> None:
    """One row."""
    radii = " | ".join(f"{radius:.2f}" for radius in one.radii)
    left = " | ".join(f"{levels:.2f}" for levels in one.left)
    print(f"| {one.name} | {radii} | {one.theoretical} | {left} | {one.halo} |")


def print_sample() -> None:
    """The table of the sample bundle's upscalers, on what they see: by impulses, there are no gradients."""
    print("\nThe sample bundle's upscalers\n")
    print(f"| network | {' | '.join(RADII)} | theoretical | left at 95.45 % | left at 99.9 % | halo |")
    print("|---" * 8 + "|")
    for case in make_cases()[:-1]:  # the last one is no member of the sample
        radii = radii_of(impulse_energy(case.network, [case.window[:, :, :SIDE, :SIDE]]))
        left = left_by(case.network, [case.window], radii)
        print_look(Look(case.name, radii, case.theoretical, left, smallest_halo(case)))


def smallest_halo(case: Case) -> int:
    """The smallest one that leaves at most half a level in the case's window."""
    halos = range(case.window.shape[2] // 4)
    errors = (seam_error(case.network, [case.window], [case.whole], halo).maximum for halo in halos)
    return next(halo for halo, error in enumerate(errors) if error <= TOLERANCE)


def plot(depths: Sequence[int], trained: Sequence[Look], random: Sequence[Look], path: Path) -> None:
    """Radii against depth, both in logarithms, with the exponents."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    lines: list[tuple[str, list[float], str]] = [
        ("theoretical", [float(one.theoretical or 0) for one in trained], "k.--"),
        ("halo for half a level, trained", [float(one.halo) for one in trained], "o-"),
        ("99.9 % of the energy, trained", [one.radii[1] for one in trained], "s-"),
        ("95.45 % of the energy, trained", [one.radii[0] for one in trained], "^-"),
        ("95.45 % of the energy, random", [one.radii[0] for one in random], "v:"),
    ]
    for label, values, style in lines:
        axes.loglog(depths, values, style, label=f"{label}: exponent {exponent(depths, values):.2f}")
    axes.set(xlabel="blocks", ylabel="radius, input pixels")
    axes.set_xticks(list(depths), [str(depth) for depth in depths])
    axes.minorticks_off()
    axes.legend()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=90, format="png")


if __name__ == "__main__":
    main()
