"""The end of a fit: trained networks -> ONNX -> calibrated halos -> bundle with its preview.

What each upscaler sees, its effective receptive field, is plotted into the run directory beside it.
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from ourgan_sdk import Synthesizer, bundle
from ourgan_sdk.arrays import Tensor
from ourgan_sdk.bundle.manifest import SCHEMA_VERSION
from ourgan_sdk.calibration.halo import Network, calibrate, cut_windows
from ourgan_sdk.engines.graphs.reach import theoretical_radius
from ourgan_sdk.engines.runtimes import import_onnxruntime
from ourgan_sdk.photograph import photograph_member

from ..networks import Upscaler
from ..photo import Photo, structure_pyramid
from ..runs.run import Run, grid
from ..structures.model import Model
from ..upscalers.passes import Role, roles
from .activation_memory import measure_bytes_per_pixel
from .erf import measure_erf, plot_erf, plot_path
from .onnx_export import export_structure, export_upscaler

log = logging.getLogger(__name__)

T = TypeVar("T")

RECONSTRUCTION = "reconstruction.f32"
PREVIEWS = 9  # seeds on the preview sheet


@dataclass(frozen=True)
class Trained:
    """What a fit has trained."""

    structure: Model
    upscalers: Mapping[str, Upscaler]  # by the names of :func:`trainers.upscalers.passes.roles`


def assemble(run: Run, photo: Photo, trained: Trained, output: Path) -> None:
    """Exports the networks, measures the upscalers' halos, and writes the bundle ``output``."""
    model, upscalers = trained.structure, roles_of(run)
    with run.progress("export and measure", 0, 2 + 2 * len(upscalers)) as bar:

        def done(result: T) -> T:
            bar.update()
            return result

        members = {
            RECONSTRUCTION: reconstruction(model, photo),
            "structure.onnx": done(export_structure(model.network, model.sizes)),
            **{member(role): done(export_upscaler(trained.upscalers[role.name])) for role in upscalers},
        }
        described = [
            done(describe_upscaler(run, photo, role, trained.upscalers[role.name], members[member(role)]))
            for role in upscalers
        ]
        file = None
        if run.config["photograph"]:
            if photo.original is None:
                raise ValueError("expected a photograph that was read from a file")
            file, members[file] = photograph_member(photo.original)
        manifest = describe(run, photo, file, model, described)
        members["preview.png"] = done(render_preview(manifest, members))
    bundle.write_bundle(output, manifest, members)
    (run.directory / "samples" / "preview.png").write_bytes(members["preview.png"])


def roles_of(run: Run) -> list[Role]:
    """The run's upscalers, in the order of passes."""
    return roles(run.preset.upscaler, run.preset.structure.long_side)


def member(role: Role) -> str:
    """The name of an upscaler's network in the bundle."""
    return f"{role.name}.onnx"


def describe(
    run: Run, photo: Photo, file: str | None, model: Model, upscalers: list[bundle.Upscaler]
) -> bundle.Manifest:
    """The bundle's manifest; ``file`` is the member that holds the photograph, if one does."""
    preset = run.preset
    return bundle.Manifest(
        schema_version=SCHEMA_VERSION,  # the lowest that has all of this is written
        photo=bundle.Photo(width=photo.width, height=photo.height, sha256=photo.sha256, file=file),
        training=bundle.Training(
            preset=preset.name,
            seed=run.config["seed"],
            structure_steps=[preset.structure.steps(m) for m in range(len(model.sizes))],
            upscaler_steps=upscaler_steps(run),
            seconds=round(run.seconds, 1),
            perceptual=(run.config["perceptual"] or {}).get("kind"),
            held_out=preset.upscaler.held_out,
            init=checkpoint(run, "init"),
            init_first=checkpoint(run, "init_first"),
            init_second=checkpoint(run, "init_second"),
            teacher=checkpoint(run, "teacher"),
        ),
        structure=describe_structure(model),
        upscalers=upscalers,
    )


def upscaler_steps(run: Run) -> int:
    """Those of all upscalers together."""
    given = {name for name, value in run.config.items() if value is not None}
    return sum(sum(role.steps(run.preset.upscaler, given)) for role in roles_of(run))


def checkpoint(run: Run, name: str) -> bundle.Checkpoint | None:
    """The manifest's entry of what an upscaler was started from."""
    record = run.config.get(name)
    return bundle.Checkpoint(**record) if record else None


def describe_structure(model: Model) -> bundle.Structure:
    """The manifest's entry of the structure."""
    scales = [
        bundle.Scale(height=height, width=width, channels=channels, noise_deviation=deviation)
        for (height, width), channels, deviation in zip(
            model.sizes, model.network.noise_channels, model.deviations, strict=True
        )
    ]
    return bundle.Structure(
        file="structure.onnx",
        scales=scales,
        margin=model.network.margin,
        starts=model.network.takes_starts,
        reconstruction=RECONSTRUCTION,
    )


@torch.no_grad()
def reconstruction(model: Model, photo: Photo) -> bytes:
    """The noise of scale 0 that makes the photograph: the posterior's mean, SinGAN's z*, ConSinGAN's x_0."""
    pyramid = [one.to(model.device) for one in structure_pyramid(photo, model.sizes)]
    (noise,) = model.reconstruction_noises(pyramid, 1)
    return noise[0].cpu().numpy().astype("<f4").tobytes()


def describe_upscaler(
    run: Run, photo: Photo, role: Role, network: Upscaler, exported: bytes
) -> bundle.Upscaler:
    """The manifest's entry of one upscaler; measures its halo on windows of the photograph's reductions.

    Plots its effective receptive field into the run directory.

    Raises:
        OurganError: it cannot be tiled.
    """
    file, deviation = member(role), role.noise
    pictures = [pair.low.numpy() for pair in role.pairs(photo)]
    generator = np.random.default_rng(0)
    calibration = calibrate(
        file, as_function(exported), lambda side: cut_windows(pictures, side, deviation, generator)
    )
    energy, erf = measure_erf(
        network, pictures, calibration.erf_side, deviation, theoretical_radius(exported)
    )
    plot_erf(plot_path(run.directory, role.name), role.name, energy, erf, calibration.halo)
    error = calibration.error
    log.info(
        "%s: halo %d px; seam error at most %.2f levels, %.4f at the 99.99th percentile; effective receptive "
        "field %d px (95.45 %%), %d px (99.9 %%)",
        *(file, calibration.halo, error.maximum, error.p9999, erf.radius_9545, erf.radius_999),
    )
    return bundle.Upscaler(
        file=file,
        halo=calibration.halo,
        noise_deviation=deviation,
        bytes_per_pixel=measure_bytes_per_pixel(exported),
        seam_error=error,
        erf=erf,
    )


def as_function(network: bytes) -> Network:
    """An ONNX upscaler as a function of arrays."""
    session = import_onnxruntime().InferenceSession(network, providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Tensor:
        (result,) = session.run(None, {"picture": picture})
        return np.asarray(result, dtype=np.float32)

    return run


def render_preview(manifest: bundle.Manifest, members: dict[str, bytes]) -> bytes:
    """A PNG sheet of structures of several seeds, rendered by the runtime as a user would see them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "preview.ourgan"
        bundle.write_bundle(path, manifest, members)
        synthesizer = Synthesizer(path)
        pictures = [synthesizer.preview(seed) for seed in range(PREVIEWS)]
    sheet = grid(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255, columns=3)
    data = io.BytesIO()
    sheet.save(data, "PNG", optimize=True)
    return data.getvalue()
