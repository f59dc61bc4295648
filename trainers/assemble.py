"""The end of a fit: trained networks -> ONNX -> calibrated halos -> bundle with its preview."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
import torch

from export.memory import measure_bytes_per_pixel
from export.to_onnx import export_structure, export_upscaler
from ourgan_sdk import Synthesizer, bundle
from ourgan_sdk.arrays import Tensor
from ourgan_sdk.calibration import Calibration, Network, calibrate_halo

from .networks import RRDBNet
from .photo import Photo
from .presets import Preset
from .run import Run, grid
from .structure import StructureModel
from .upscaler import Pair, first_sizes, later_sizes, make_pairs

log = logging.getLogger(__name__)

T = TypeVar("T")

WINDOWS = (128, 256, 512)  # sides of the inputs that halos are measured on, in pixels; halos end at a quarter
WINDOW_COUNT = 6
PREVIEWS = 9  # seeds on the preview sheet


@dataclass(frozen=True)
class Trained:
    """What a fit has trained."""

    structure: StructureModel
    first: RRDBNet  # upscaler of pass 1
    later: RRDBNet  # upscaler of all passes after it


def assemble(run: Run, photo: Photo, trained: Trained, output: Path) -> None:
    """Exports the three networks, measures the upscalers' halos, and writes the bundle ``output``."""
    preset = Preset.from_dict(run.config["preset"])
    model = trained.structure
    long_side, patch, noise = preset.structure.long_side, preset.upscaler.patch, preset.upscaler.noise
    first_pairs = make_pairs(photo, first_sizes(photo, long_side, patch))
    later_pairs = make_pairs(photo, later_sizes(photo, long_side, patch))
    with run.progress("export and measure", 0, 6) as bar:

        def done(result: T) -> T:
            bar.update()
            return result

        members = {
            "structure.onnx": done(export_structure(model.network, model.sizes)),
            "upscaler-first.onnx": done(export_upscaler(trained.first)),
            "upscaler-later.onnx": done(export_upscaler(trained.later)),
        }
        upscalers = [
            done(describe_upscaler(file, members[file], deviation, pairs))
            for file, deviation, pairs in (
                ("upscaler-first.onnx", noise, first_pairs),
                ("upscaler-later.onnx", 0.0, later_pairs),
            )
        ]
        manifest = describe(run, photo, preset, model, upscalers)
        members["preview.png"] = done(render_preview(manifest, members))
    bundle.write_bundle(output, manifest, members)
    (run.directory / "samples" / "preview.png").write_bytes(members["preview.png"])


def describe(
    run: Run, photo: Photo, preset: Preset, model: StructureModel, upscalers: list[bundle.Upscaler]
) -> bundle.Manifest:
    """The bundle's manifest."""
    return bundle.Manifest(
        photo=bundle.Photo(width=photo.width, height=photo.height, sha256=photo.sha256),
        training=bundle.Training(
            preset=preset.name,
            seed=run.config["seed"],
            structure_steps=[preset.structure.steps(m) for m in range(preset.structure.scales)],
            upscaler_steps=preset.upscaler.l1_steps + preset.upscaler.gan_steps,
            seconds=round(run.seconds, 1),
            perceptual="vgg19" if run.config["vgg"] else None,
        ),
        structure=describe_structure(model),
        upscalers=upscalers,
    )


def describe_structure(model: StructureModel) -> bundle.Structure:
    """The manifest's entry of the structure."""
    scales = [
        bundle.Scale(
            height=height,
            width=width,
            channels=model.config.latent if m == 0 else 3,
            noise_deviation=model.deviations[m],
        )
        for m, (height, width) in enumerate(model.sizes)
    ]
    return bundle.Structure(file="structure.onnx", scales=scales)


def describe_upscaler(file: str, network: bytes, deviation: float, pairs: Sequence[Pair]) -> bundle.Upscaler:
    """The manifest's entry of one upscaler; measures its halo on windows of ``pairs``' small pictures."""
    calibration = measure_halo(as_function(network), deviation, pairs)
    error = calibration.error
    log.info(
        "%s: halo %d px; seam error at most %.2f levels, %.4f at the 99.99th percentile",
        *(file, calibration.halo, error.maximum, error.p9999),
    )
    return bundle.Upscaler(
        file=file,
        halo=calibration.halo,
        noise_deviation=deviation,
        bytes_per_pixel=measure_bytes_per_pixel(network),
        seam_error=error,
    )


def measure_halo(network: Network, deviation: float, pairs: Sequence[Pair]) -> Calibration:
    """Calibrates on small windows, and on larger ones where those do not hold all that the network sees."""
    generator = np.random.default_rng(0)
    for side in WINDOWS[:-1]:
        with contextlib.suppress(ValueError):
            return calibrate_halo(network, cut_windows(pairs, side, deviation, generator))
    return calibrate_halo(network, cut_windows(pairs, WINDOWS[-1], deviation, generator))


def as_function(network: bytes) -> Network:
    """An ONNX upscaler as a function of arrays."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Tensor:
        (result,) = session.run(None, {"picture": picture})
        return np.asarray(result, dtype=np.float32)

    return run


def cut_windows(
    pairs: Sequence[Pair], side: int, deviation: float, generator: np.random.Generator
) -> list[Tensor]:
    """Random windows (1, 3, h, w) of the pairs' small pictures, noise added, ``side`` pixels at most."""
    windows = []
    for i in range(WINDOW_COUNT):
        low = pairs[i % len(pairs)].low.cpu().numpy()
        y, x = (int(generator.integers(max(n - side, 0) + 1)) for n in low.shape[1:])
        window = low[None, :, y : y + side, x : x + side]
        windows.append(window + generator.normal(0, deviation, window.shape).astype(np.float32))
    return windows


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
