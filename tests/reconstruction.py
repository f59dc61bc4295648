"""What a bundle reconstructs, against what its trainer has logged."""

import json
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import Synthesizer
from ourgan_sdk.progress import RenderStats
from ourgan_sdk.structure import read_reconstruction, reconstruction_feeds
from trainers.photo import load_photo, structure_pyramid


def check_reconstruction(run: Path, photo: Path) -> None:
    """Through the bundle beside a run, its reconstruction's error is the logged one, to a tenth level."""
    with Synthesizer(run.with_suffix(".ourgan")) as synthesizer:
        reconstruction = read_reconstruction(synthesizer.bundle)
        source = synthesizer._layouts.fed(lambda *asked: reconstruction_feeds(reconstruction, *asked))
        size = synthesizer.bundle.manifest.base_size
        picture, _ = source.picture(size, np.dtype(np.float32), RenderStats())
        structure = synthesizer.bundle.manifest.structure
    assert structure is not None
    sizes = [(scale.height, scale.width) for scale in structure.scales]
    real = (structure_pyramid(load_photo(photo), sizes)[-1][0].permute(1, 2, 0).numpy() + 1) / 2
    rmse = 255 * float(np.sqrt(np.mean((picture - real) ** 2)))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [
        line["reconstruction_levels"]
        for line in lines
        if line["phase"] == f"structure-{len(sizes) - 1}" and "reconstruction_levels" in line
    ]
    assert rmse == pytest.approx(logged[-1], abs=0.1)
    assert rmse > 0
