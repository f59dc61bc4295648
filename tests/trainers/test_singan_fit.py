"""From one photograph to a bundle of SinGAN's family, and what it then can do."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from ourgan_sdk import Bundle, Synthesizer
from ourgan_sdk.bundle import Structure
from tests.reconstruction import check_reconstruction
from tests.tiny import TINY, write_photo
from trainers import fit
from trainers.presets import PRESETS, SINGAN_DRAFT
from trainers.structures.families import make_model

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_preset")


@pytest.fixture(scope="module")
def _tiny_singan() -> Iterator[None]:
    saved = PRESETS["singan-draft"]
    structure = replace(SINGAN_DRAFT.structure, long_side=60, scale_steps=12, channels=8)
    PRESETS["singan-draft"] = replace(SINGAN_DRAFT, structure=structure, upscaler=TINY.upscaler)
    yield
    PRESETS["singan-draft"] = saved


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png")


@pytest.fixture(scope="module", params=["singan-draft", "singan-draft --noise-padding"])
def run(
    request: pytest.FixtureRequest, photo: Path, tmp_path_factory: pytest.TempPathFactory, _tiny_singan: None
) -> Path:
    """A run directory, beside which its bundle lies."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    preset, *options = request.param.split()
    output = ["--run", str(directory), "-o", str(directory.with_suffix(".ourgan"))]
    common = ["--preset", preset, "--device", "cpu", "--seed", "3", "--quiet"]
    assert fit.main([str(photo), *common, *output, *options]) == 0
    return directory


def structure_of(bundle: Bundle) -> Structure:
    assert bundle.manifest.structure is not None
    return bundle.manifest.structure


def test_what_reconstructs_gives_the_trainers_error(run: Path, photo: Path) -> None:
    """SinGAN's reconstruction; OUR-GAN's is in test_fit."""
    check_reconstruction(run, photo)


def test_the_bundle_is_like_any_other(run: Path) -> None:
    bundle = Bundle.open(run.with_suffix(".ourgan"))
    structure = structure_of(bundle)
    assert structure.starts
    assert structure.reconstruction == "reconstruction.f32"
    preset = json.loads((run / "config.json").read_text())["preset"]
    assert preset["family"] == "singan"
    assert structure.margin == (5 if preset["structure"].get("padding") == "noise" else 0)
    assert structure.scales[0].channels == 1
    assert bundle.manifest.training is not None
    assert len(bundle.manifest.training.structure_steps) == len(structure.scales)
    with Synthesizer(bundle) as synthesizer:
        pictures = [synthesizer.render(330, 220, seed) for seed in (1, 1, 2)]
        np.testing.assert_array_equal(*pictures[:2])
        assert (pictures[0] != pictures[2]).any()
        wide = synthesizer.preview(1, width=150, height=40)
        assert wide.shape == (40, 150, 3)
        frames = list(synthesizer.animation(96, 64, 4, 1))
        assert len({frame.tobytes() for frame in frames}) == 4


def test_seeds_vary_the_less_the_later_they_start(run: Path) -> None:
    """Of the network's own noise, and of what moves what it starts from."""
    with Synthesizer(run.with_suffix(".ourgan")) as synthesizer:
        real = synthesizer._layouts.photograph().mean(2)
        diversity = []
        for scale in range(1, synthesizer.start_scales):
            pictures = [synthesizer.preview(seed, start_scale=scale).mean(2) for seed in range(30)]
            diversity.append(np.std(pictures, 0).mean() / real.std())
        assert all(one > other for one, other in pairwise(diversity))
        assert diversity[-1] > 0


def test_noise_padding_is_singans_alone(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        fit.main([str(photo), "--preset", "draft", "--noise-padding", "--run", str(tmp_path / "run")])
    assert "--noise-padding" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_borders_move_where_noise_surrounds_pictures() -> None:
    """Of untrained networks: corners vary as much as the middle, not half of it."""
    ratios = {}
    for padding in ("zeros", "noise"):
        torch.manual_seed(1)
        config = replace(SINGAN_DRAFT.structure, long_side=60, padding=padding)
        model = make_model(config, 200, 300, torch.device("cpu"))
        samples = model.sample(1, 60).mean(1)
        variance = samples.var(0)
        corners = torch.stack([variance[:3, :3], variance[:3, -3:], variance[-3:, :3], variance[-3:, -3:]])
        ratios[padding] = float(corners.mean() / variance[10:-10, 10:-10].mean())
    assert ratios["noise"] > 1.3 * ratios["zeros"]
