"""`ourgan calibrate`: how large a bundle's halos must be, measured through its own networks."""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..arrays import Picture, Tensor
from ..bundle import Bundle, Coordinates, Erf, Manifest, Upscaler, write_bundle
from ..bundle.replacing import FORCE_HELP, check_replaceable_bundle
from ..calibration.coordinates import calibrate_coordinates
from ..calibration.halo import Calibration, Network, calibrate, cut_windows
from ..calibration.receptive_field import ERF_WINDOWS, impulse_energy, measured_erf
from ..coordinates import place
from ..engines import Engine, HostEngine, Options, WindowRules, candidates, open_first
from ..engines.graphs.reach import theoretical_radius
from ..engines.onnxruntime import OnnxRuntimeEngine
from ..errors import BudgetError, OurganError, OutputError, SizeError
from ..learning import is_photograph
from ..passes.plan import from_structure, make_plan
from ..photograph import read_photograph
from ..progress import reporting
from ..synthesizer import Synthesizer
from ..system.memory import default_memory_limit
from ..system.processors import engine_threads
from ..system.streams import say, show
from ..thumbnails import reduce_picture
from .options import Commands, add_command, add_engine_options

__all__ = ["add_to", "run"]

_COSTS_AT = ((8192, 4320), (16384, 10912))
"""Sizes (width, height) of pictures for which the table says what a halo costs."""

_SEEDS = range(3)
"""The pictures to measure on, where there is no photograph."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "calibrate", run, "measure how large the halos must be")
    parser.add_argument(
        "--photo",
        type=Path,
        help="measure on this photograph, best the one that was learned (default: on pictures that the "
        "bundle renders)",
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--write", action="store_true", help="write what was measured into the bundle")
    target.add_argument("-o", "--output", type=Path, help="write a bundle with what was measured")
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    add_engine_options(parser)


def run(options: argparse.Namespace) -> None:
    """Measure every network in tiles, print a table of each, and write a bundle if one was asked for.

    Raises OurganError if the bundle, the photograph or the engine is not usable or a network not tileable.
    """
    if options.write and options.bundle is None:
        raise OurganError("expected the bundle to write into; --output writes another one")
    if options.write and is_photograph(options.bundle):
        raise OurganError(f"{options.bundle} is a photograph, no bundle to write into; --output writes one")
    output = options.bundle if options.write else options.output
    if output is not None and not os.access(output.parent, os.W_OK):
        raise OutputError(f"cannot write {output}: there is no folder {output.parent}, or it is read-only")
    photograph = None if options.photo is None else read_photograph(options.photo).pixels
    memory = default_memory_limit() if options.memory is None else options.memory
    # Engines there take inputs of any size.
    asked = Options("cpu", options.precision, engine_threads(options.threads))
    synthesizer = Synthesizer(
        options.bundle,
        engine=options.engine,
        device=asked.device,
        precision=asked.precision,
        memory_limit=memory,
        threads=asked.threads,
    )
    bundle = synthesizer.bundle
    if output is not None:
        trained = bundle.manifest.training is not None
        check_replaceable_bundle(
            output, bundle.manifest.learned, trained=trained, force=options.force or options.write
        )
    tell = show if output is None else say  # the table is what the command was run for, or a bundle
    coordinates = _measured_coordinates(bundle, options, memory, tell)
    upscalers = []
    opened = open_first(bundle, candidates(options.engine, asked), asked)
    for index, upscaler in enumerate(bundle.manifest.upscalers):
        data = bundle.network(upscaler.file).data
        if photograph is None:
            pictures = _rendered(synthesizer, index)
        else:
            pictures = _reductions(photograph, index, bundle.manifest)
        network = _as_function(opened.engine(upscaler, np.dtype(np.uint8)))
        calibration, erf = _measure(upscaler, network, pictures, theoretical_radius(data))
        update = {"halo": calibration.halo, "seam_error": calibration.error, "erf": erf}
        upscalers.append(upscaler.model_copy(update=update))
        for line in _table(bundle.manifest, index, calibration, erf, memory):
            tell(line)
    if output is not None:
        update = {"upscalers": upscalers, "coordinates": coordinates}
        manifest = bundle.manifest.model_copy(update=update)
        write_bundle(output, manifest, {name: bundle.read(name) for name in manifest.files})
        say(f"written: {output}")


def _measured_coordinates(
    bundle: Bundle, options: argparse.Namespace, memory: int, tell: Callable[[str], None]
) -> Coordinates | None:
    """What the bundle says of its network of coordinates, with the halo that was measured; tells a table."""
    record = bundle.manifest.coordinates
    if record is None:
        return None
    if options.photo is not None:
        raise OurganError("--photo: a network of coordinates sees no photograph: leave it out")
    engine = OnnxRuntimeEngine.of(bundle.network(record.file), engine_threads(options.threads))
    calibration = calibrate_coordinates(record.file, engine.run, record, progress=True)
    for line in _coordinates_table(record, calibration, memory):
        tell(line)
    return record.model_copy(update={"halo": calibration.halo, "seam_error": calibration.error})


def _measure(
    upscaler: Upscaler, network: Network, pictures: Sequence[Tensor], theoretical: int | None
) -> tuple[Calibration, Erf]:
    generator = np.random.default_rng(0)

    def cut(side: int, *count: int) -> list[Tensor]:
        return cut_windows(pictures, side, upscaler.noise_deviation, generator, *count)

    calibration = calibrate(upscaler.file, network, cut, progress=True)
    label = f"{upscaler.file}, receptive field"
    with reporting(True, ERF_WINDOWS, description=label) as advance:
        energy = impulse_energy(network, cut(calibration.erf_side, ERF_WINDOWS), advance)
    return calibration, measured_erf(energy, theoretical)


def _as_function(engine: Engine) -> Network:
    if not isinstance(engine, HostEngine):
        raise OurganError(f"expected an engine on the CPU, got {engine.NAME} on {engine.DEVICE}")
    return engine.enlarge


def _rendered(synthesizer: Synthesizer, index: int) -> list[Tensor]:
    """What upscaler `index` gets to see: base pictures in pass 1, four times as large with every pass."""
    height, width = (side << 2 * index for side in synthesizer.bundle.manifest.base_size)
    canvases = [synthesizer.canvas(width, height, seed, dtype=np.uint16) for seed in _SEEDS]
    return [_as_tensor(canvas.read() / np.float32(65535)) for canvas in canvases]


def _reductions(photograph: Picture, index: int, manifest: Manifest) -> list[Tensor]:
    """The photograph at the sizes that upscaler `index` gets to see, which are those it was trained on.

    In pass 1 that is the structure's size and somewhat more and less, in one with a network of its own four
    times that; later, a quarter of the photograph's and every half octave down to the structure's.
    """
    base, native = max(manifest.base_size), max(photograph.shape)
    if index < max(1, len(manifest.upscalers) - 1):
        sides = [min(base * 4**index * factor, native / 4) for factor in (0.8, 1.0, 1.25)]
    else:
        octaves = [native / 4 / 2 ** (i / 2) for i in range(12)]
        sides = [side for side in octaves if side >= base] or octaves[:1]
    return [_as_tensor(reduce_picture(photograph, round(side)) / np.float32(255)) for side in sides]


def _as_tensor(picture: npt.NDArray[np.float32]) -> Tensor:
    """(h, w, 3) -> (3, h, w)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def _table(
    manifest: Manifest, index: int, calibration: Calibration, erf: Erf, memory_limit: int
) -> Iterator[str]:
    upscaler = manifest.upscalers[index]
    theoretical = "unknown" if erf.theoretical is None else f"{erf.theoretical} px"
    yield f"{upscaler.file}: halo {calibration.halo} px (in the bundle: {upscaler.halo})"
    yield (
        f"  effective receptive field: {erf.radius_9545} px (95.45 % of the energy), {erf.radius_999} px "
        f"(99.9 %); theoretical: {theoretical}"
    )
    costs = [f"{width} x {height}" for width, height in _COSTS_AT]
    yield f"  {'':>6}{'seam error, 8-bit levels':>26}{'differ after':>14}{'pixels computed again at':>32}"
    yield f"  {'halo':>6}{'max':>12}{'99.99th pct.':>14}{'rounding':>14}{costs[0]:>16}{costs[1]:>16}"
    for halo, error in calibration.errors.items():
        mark = "*" if halo == calibration.halo else ""
        row = f"  {mark + str(halo):>6}{error.maximum:12.3f}{error.p9999:14.3f}{error.share_different:14.4%}"
        for size in _COSTS_AT:
            row += f"{_recomputation(manifest, index, halo, size, memory_limit):>16}"
        yield row


def _coordinates_table(record: Coordinates, calibration: Calibration, memory_limit: int) -> Iterator[str]:
    cells = f"cells of {record.stride} pixels (in the bundle: {record.halo})"
    yield f"{record.file}: halo {calibration.halo} {cells}"
    yield f"  {'':>6}{'seam error, 8-bit levels':>26}{'differ after':>14}{'pixels computed again at':>32}"
    costs = [f"{width} x {height}" for width, height in _COSTS_AT]
    yield f"  {'halo':>6}{'max':>12}{'99.99th pct.':>14}{'rounding':>14}{costs[0]:>16}{costs[1]:>16}"
    for halo, error in calibration.errors.items():
        mark = "*" if halo == calibration.halo else ""
        row = f"  {mark + str(halo):>6}{error.maximum:12.3f}{error.p9999:14.3f}{error.share_different:14.4%}"
        for width, height in _COSTS_AT:
            try:
                placement = place(record.model_copy(update={"halo": halo}), (height, width), None)
                cost = f"{placement.levels[0].plan(memory_limit).recomputation:.1%}"
            except (BudgetError, SizeError):
                cost = "too large"
            row += f"{cost:>16}"
        yield row


def _recomputation(
    manifest: Manifest, index: int, halo: int, size: tuple[int, int], memory_limit: int
) -> str:
    """What upscaler `index` computes again in a render of `size` (w, h), of the pixels of all passes."""
    upscalers = list(manifest.upscalers)
    upscalers[index] = upscalers[index].model_copy(update={"halo": halo})
    width, height = size
    try:
        chain = from_structure(manifest.model_copy(update={"upscalers": upscalers}), height, width)
        plan = make_plan(chain, memory_limit, lambda _upscaler, _is_last: WindowRules())
    except BudgetError:
        return "too large"
    areas = [grid.height * grid.width for grid in plan.grids]
    again = [
        area * grid.recomputation
        for area, grid, upscaler in zip(areas, plan.grids, plan.upscalers, strict=True)
        if upscaler is upscalers[index]
    ]
    return f"{sum(again) / sum(areas):.1%}" if again else "unused"
