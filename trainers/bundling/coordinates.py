"""The end of any-resolution training: generator -> ONNX -> measured halo -> bundle with its preview."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ourgan_sdk import arrays, bundle
from ourgan_sdk.bundle.manifest import SCHEMA_VERSION
from ourgan_sdk.calibration.coordinates import calibrate_coordinates
from ourgan_sdk.engines.runtimes import import_onnxruntime

from ..any_resolution.model import Generator
from ..any_resolution.pictures import PictureFolder
from ..any_resolution.presets import AnyPreset
from ..any_resolution.views import coordinates
from ..networks.continuous import ContinuousGenerator, ContinuousSize
from ..networks.modulated import settle
from ..runs.run import Run
from .activation_memory import measure_coordinates
from .assemble import render_preview
from .onnx_export import compare, export

log = logging.getLogger(__name__)

T = TypeVar("T")

MEMBER = "coordinates.onnx"


class ForExport(nn.Module):
    """The generator as runtimes see it: one picture in [0, 1]."""

    def __init__(self, network: ContinuousGenerator) -> None:
        super().__init__()
        self.network = network

    def forward(self, coordinates: Tensor, scale: Tensor, latent: Tensor) -> Tensor:
        picture: Tensor = self.network(coordinates, scale, latent)
        return ((picture + 1) / 2).clamp(0, 1)


def export_coordinates(network: ContinuousGenerator) -> bytes:
    """The generator as ONNX bytes.

    Inputs ``coordinates`` (1, 2, h, w), ``scale`` (1,) and ``latent`` (1, latent), output ``picture``
    (1, 3, stride * h, stride * w) in [0, 1]; all float32.

    Raises:
        ExportError: ONNX Runtime's result differs by more than 1e-4.
    """
    size = network.size
    device = next(network.parameters()).device
    module = ForExport(network).eval()
    settled = copy.deepcopy(module)
    settle(settled)
    names = ["coordinates", "scale", "latent"]
    shapes: list[object] = [{2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}, None, None]
    model = export(settled, _example(size, 12, size.patch, device), names, "picture", shapes)
    data: bytes = model.SerializeToString()
    for side, scale in ((12, size.patch), (17, size.largest), (5, 2 * size.largest)):
        example = _example(size, side, scale, device)
        with torch.no_grad():
            expected = module(*example)
        compare("coordinates", data, dict(zip(names, example, strict=True)), expected)
    return data


def _example(size: ContinuousSize, side: int, scale: float, device: torch.device) -> tuple[Tensor, ...]:
    """Inputs of ``side`` x ``side + 3`` cells."""
    where = torch.full((1, 2), 0.25, dtype=torch.float64), torch.tensor([scale], dtype=torch.float64)
    grid = coordinates(*where, (side + 3) * size.stride, size.stride, 0)[:, :, :side].contiguous()
    inputs = grid, where[1].float(), torch.randn(1, size.latent)
    return tuple(one.to(device) for one in inputs)


def assemble(
    run: Run, pictures: PictureFolder, preset: AnyPreset, generator: Generator, output: Path
) -> None:
    """Exports the generator, measures its halo and its memory, and writes the bundle ``output``.

    Raises:
        OurganError: it cannot be made in tiles.
    """
    with run.progress("export and measure", 0, 3) as bar:

        def done(result: T) -> T:
            bar.update()
            return result

        members = {MEMBER: done(export_coordinates(generator))}
        manifest = describe(run, preset, done(measure(members[MEMBER], generator.size, pictures)))
        members["preview.png"] = done(render_preview(manifest, members))
    bundle.write_bundle(output, manifest, members)
    (run.directory / "samples" / "preview.png").write_bytes(members["preview.png"])


def measure(data: bytes, size: ContinuousSize, pictures: PictureFolder) -> bundle.Coordinates:
    """The manifest's entry of the generator; measures its halo and its memory."""
    record = bundle.Coordinates(
        file=MEMBER,
        latent=size.latent,
        patch=size.patch,
        largest=size.largest,
        stride=size.stride,
        halo=size.radius,  # until it is measured
        bytes_per_pixel=measure_coordinates(data, size.latent, size.stride),
        seam_error=bundle.SeamError(maximum=0.0, p9999=0.0, share_different=0.0),
        pictures=pictures.pictures,
    )
    calibration = calibrate_coordinates(MEMBER, as_function(data), record)
    error = calibration.error
    log.info(
        "%s: halo %d cells of %d px (%d in theory); seam error at most %.2f levels",
        *(MEMBER, calibration.halo, size.stride, size.radius, error.maximum),
    )
    return record.model_copy(update={"halo": calibration.halo, "seam_error": error})


def as_function(data: bytes) -> Callable[[Mapping[str, arrays.Tensor]], arrays.Tensor]:
    """The exported network as a function of its inputs by name."""
    session = import_onnxruntime().InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(feeds: Mapping[str, arrays.Tensor]) -> arrays.Tensor:
        (picture,) = session.run(None, dict(feeds))
        return np.asarray(picture, np.float32)

    return run


def describe(run: Run, preset: AnyPreset, record: bundle.Coordinates) -> bundle.Manifest:
    """The bundle's manifest."""
    config = preset.any_resolution
    return bundle.Manifest(
        schema_version=SCHEMA_VERSION,
        photo=None,
        training=bundle.Training(
            preset=preset.name,
            seed=run.config["seed"],
            structure_steps=[config.whole_steps, config.patch_steps],
            upscaler_steps=0,
            seconds=round(run.seconds, 1),
            perceptual=(run.config["perceptual"] or {}).get("kind"),
        ),
        coordinates=record,
        upscalers=[],
    )
