"""Seam error against halo, and what it looks like: the sample bundle's upscalers and a random RRDB-23/64.

python -m bench.seams [--output docs]     prints a table; writes seams.png and seams-crops.png

The pictures are the sample bundle's own, so that nothing else is needed. The random network is the paper's,
with PyTorch's own initial weights; its last layer is scaled so that its output has the contrast of a picture,
without which there would be no seam to see.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from ourgan_sdk import Synthesizer
from ourgan_sdk.arrays import Tensor
from ourgan_sdk.bundle import SeamError
from ourgan_sdk.calibration.halo import TOLERANCE, Network, seam_error, tiled_output
from ourgan_sdk.engines.graphs.reach import theoretical_radius
from ourgan_sdk.progress import reporting
from trainers.bundling.assemble import as_function
from trainers.bundling.onnx_export import export_upscaler
from trainers.networks import RRDBNet

HALOS = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
WINDOW = 192  # pixels; more than twice the largest halo, so that no tile is the whole
CROP = 112  # output pixels, around the corner where four tiles meet
AMPLIFIED = 8


@dataclass(frozen=True)
class Case:
    """One network, a window of what it sees, and what it makes of it whole."""

    name: str
    network: Network
    window: Tensor  # (1, 3, WINDOW, WINDOW)
    whole: Tensor
    theoretical: int | None


@dataclass(frozen=True)
class Result:
    """Seam errors by halo, and the smallest halo that meets the tolerance."""

    case: Case
    errors: dict[int, SeamError]
    halo: int


def main() -> None:
    """Measure, print the table, and write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs"), help="a folder (default: docs)")
    output: Path = parser.parse_args().output
    started = time.perf_counter()
    results = [measure(case) for case in make_cases()]
    print_table(results)
    plot(results, output / "seams.png")
    draw_crops(results, output / "seams-crops.png")
    print(f"{time.perf_counter() - started:.0f} s")


def make_cases() -> list[Case]:
    """The networks, each with a window of a picture of the kind it sees."""
    synthesizer = Synthesizer(engine="onnxruntime", detail="network")
    bundle = synthesizer.bundle
    passes = range(len(bundle.manifest.upscalers))
    canvases = [synthesizer.canvas(384 << 2 * i, 256 << 2 * i, seed=1, dtype=np.uint16) for i in passes]
    windows = [busiest_window(canvas.read() / np.float32(65535)) for canvas in canvases]
    networks = {upscaler.file: bundle.network(upscaler.file).data for upscaler in bundle.manifest.upscalers}
    deviations = [upscaler.noise_deviation for upscaler in bundle.manifest.upscalers]
    noise = np.random.default_rng(0).normal(0, 1, windows[0].shape).astype(np.float32)
    inputs = [window + np.float32(d) * noise for window, d in zip(windows, deviations, strict=True)]
    networks["RRDB-23/64, random"] = export_upscaler(random_network(windows[-1]))
    cases = []
    for (name, data), window in zip(networks.items(), [*inputs, windows[-1]], strict=True):
        network = as_function(data)
        cases.append(Case(name, network, window, network(window), theoretical_radius(data)))
    return cases


def busiest_window(picture: npt.NDArray[np.float32]) -> Tensor:
    """The window (1, 3, WINDOW, WINDOW) of a picture (H, W, 3) whose middle varies most: seams show there."""

    def contrast(corner: tuple[int, int]) -> float:
        y, x = (n + (WINDOW - CROP // 4) // 2 for n in corner)
        return float(picture[y : y + CROP // 4, x : x + CROP // 4].std((0, 1)).sum())

    rows, columns = (range(0, n - WINDOW + 1, 16) for n in picture.shape[:2])
    y, x = max(itertools.product(rows, columns), key=contrast)
    window = picture[y : y + WINDOW, x : x + WINDOW].transpose(2, 0, 1)[np.newaxis]
    return np.ascontiguousarray(window)


@torch.no_grad()
def random_network(window: Tensor, features: int = 64, blocks: int = 23, growth: int = 32) -> RRDBNet:
    """An RRDB as PyTorch initialises convolutions; its output on `window` has a picture's contrast."""
    torch.manual_seed(0)
    network = RRDBNet(features, blocks, growth)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    output = network(torch.from_numpy(window[:, :, :64, :64].copy()))
    last = network.conv_last
    gain = 0.25 / output.std((0, 2, 3))
    assert last.bias is not None
    last.bias.copy_((last.bias - output.mean((0, 2, 3))) * gain + 0.5)
    last.weight.mul_(gain[:, None, None, None])
    return network


def measure(case: Case) -> Result:
    """Seam errors at HALOS, and at those between the last that is too small and the first that will do."""
    errors: dict[int, SeamError] = {}
    with reporting(True, len(HALOS), description=case.name) as advance:
        for halo in HALOS:
            errors[halo] = seam_error(case.network, [case.window], [case.whole], halo)
            advance(1)
    too_small = max((halo for halo in HALOS if errors[halo].maximum > TOLERANCE), default=-1)
    for halo in range(too_small + 1, HALOS[-1] + 1):
        if halo not in errors:
            errors[halo] = seam_error(case.network, [case.window], [case.whole], halo)
        if errors[halo].maximum <= TOLERANCE:
            return Result(case, dict(sorted(errors.items())), halo)
    raise SystemExit(f"{case.name}: no halo up to {HALOS[-1]} will do")


def print_table(results: Sequence[Result]) -> None:
    """Markdown, one row per halo."""
    print("| halo |", " | ".join(f"{r.case.name}: max | 99.99th pct. | differ" for r in results), "|")
    print("|---|" + "---|---|---|" * len(results))
    for halo in sorted({halo for result in results for halo in result.errors}):
        cells = []
        for result in results:
            error = result.errors.get(halo)
            if error is None:
                cells += ["", "", ""]
            else:
                mark = "**" if halo == result.halo else ""
                maximum = f"{mark}{error.maximum:.3f}{mark}"
                cells += [maximum, f"{error.p9999:.3f}", f"{error.share_different:.4%}"]
        print(f"| {halo} |", " | ".join(cells), "|")
    for result in results:
        print(f"{result.case.name}: halo {result.halo}, theoretical radius {result.case.theoretical}")


def plot(results: Sequence[Result], path: Path) -> None:
    """Largest seam error against halo."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for result in results:
        halos = list(result.errors)
        largest = [max(error.maximum, 1e-5) for error in result.errors.values()]
        label = f"{result.case.name}: halo {result.halo}, theoretical {result.case.theoretical}"
        (line,) = axes.semilogy(halos, largest, marker=".", label=label)
        axes.plot(result.halo, result.errors[result.halo].maximum, "o", color=line.get_color(), markersize=9)
    axes.axhline(TOLERANCE, color="black", linestyle="--", linewidth=1, label="half an 8-bit level")
    axes.set(xlabel="halo, input pixels", ylabel="largest seam error, 8-bit levels")
    axes.legend()
    figure.savefig(path, dpi=90)


def draw_crops(results: Sequence[Result], path: Path) -> None:
    """For every network: whole, halo 0, calibrated halo, and the two differences, amplified, at 100 %."""
    rows = []
    for result in results:
        case = result.case
        whole, bare, fitted = (
            middle_crop(output)
            for output in (
                case.whole,
                tiled_output(case.network, case.window, 0),
                tiled_output(case.network, case.window, result.halo),
            )
        )
        differences = [np.clip(AMPLIFIED * np.abs(one - whole), 0, 1) for one in (bare, fitted)]
        rows.append(np.concatenate([with_gap(one) for one in (whole, bare, fitted, *differences)], 1))
    sheet = np.concatenate(rows, 0)
    Image.fromarray(np.rint(sheet * 255).astype(np.uint8)).save(path, optimize=True)


def middle_crop(output: Tensor) -> npt.NDArray[np.float32]:
    """CROP pixels around the middle of (1, 3, h, w), as a picture (CROP, CROP, 3) in [0, 1]."""
    y, x = (n // 2 - CROP // 2 for n in output.shape[2:])
    crop: npt.NDArray[np.float32] = output[0, :, y : y + CROP, x : x + CROP].transpose(1, 2, 0).clip(0, 1)
    return crop


def with_gap(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """White to the right and below."""
    return np.pad(picture, ((0, 4), (0, 4), (0, 0)), constant_values=1)


if __name__ == "__main__":
    main()
