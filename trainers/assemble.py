"""The end of a fit: trained networks -> ONNX -> calibrated halos -> bundle with its preview."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from export.memory import activation_bytes_per_pixel
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

WINDOW = 192  # pixels of the square inputs that halos are measured on
WINDOWS = 6  # per upscaler
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
    log.info("exporting to ONNX")
    members = {
        "structure.onnx": export_structure(model.network, model.sizes),
        "upscaler-first.onnx": export_upscaler(trained.first),
        "upscaler-later.onnx": export_upscaler(trained.later),
    }
    log.info("measuring halos")
    long_side, patch, noise = preset.structure.long_side, preset.upscaler.patch, preset.upscaler.noise
    generator = np.random.default_rng(0)
    first_windows = [
        window + generator.normal(0, noise, window.shape).astype(np.float32)
        for window in cut_windows(make_pairs(photo, first_sizes(photo, long_side, patch)), generator)
    ]
    later_windows = cut_windows(make_pairs(photo, later_sizes(photo, long_side, patch)), generator)
    manifest = bundle.Manifest(
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
        upscalers=[
            describe_upscaler("upscaler-first.onnx", members["upscaler-first.onnx"], noise, first_windows),
            describe_upscaler("upscaler-later.onnx", members["upscaler-later.onnx"], 0.0, later_windows),
        ],
    )
    members["preview.png"] = render_preview(manifest, members)
    bundle.write_bundle(output, manifest, members)
    (run.directory / "samples" / "preview.png").write_bytes(members["preview.png"])


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


def describe_upscaler(file: str, network: bytes, noise: float, windows: Sequence[Tensor]) -> bundle.Upscaler:
    """The manifest's entry of one upscaler; measures its halo on ``windows``."""
    calibration: Calibration = calibrate_halo(as_function(network), windows)
    error = calibration.error
    log.info(
        "%s: halo %d px; seam error at most %.2f levels, %.4f at the 99.99th percentile",
        *(file, calibration.halo, error.maximum, error.p9999),
    )
    return bundle.Upscaler(
        file=file,
        halo=calibration.halo,
        noise_deviation=noise,
        bytes_per_pixel=activation_bytes_per_pixel(network),
        seam_error=error,
    )


def as_function(network: bytes) -> Network:
    """An ONNX upscaler as a function of arrays."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Tensor:
        (result,) = session.run(None, {"picture": picture})
        return np.asarray(result, dtype=np.float32)

    return run


def cut_windows(pairs: Sequence[Pair], generator: np.random.Generator) -> list[Tensor]:
    """Random windows (1, 3, h, w) of the pairs' low-resolution pictures, at most 192 pixels a side."""
    windows = []
    for i in range(WINDOWS):
        low = pairs[i % len(pairs)].low.cpu().numpy()
        y, x = (int(generator.integers(max(n - WINDOW, 0) + 1)) for n in low.shape[1:])
        windows.append(np.ascontiguousarray(low[None, :, y : y + WINDOW, x : x + WINDOW]))
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
