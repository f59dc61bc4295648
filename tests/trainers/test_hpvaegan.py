"""HP-VAE-GAN as its public code has it: what it does otherwise than OUR-GAN's structure."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.tiny import write_photo
from tests.trainers.interrupting import interrupted_after
from trainers.bundling.onnx_export import export_structure
from trainers.networks import Structure
from trainers.networks.structure import SampleNorm
from trainers.photo import Photo, load_photo, structure_pyramid
from trainers.presets import HPVAEGAN, HPVAEGAN_DRAFT, PAPER, Preset, StructureConfig
from trainers.runs.run import Run
from trainers.structures.ourgan import GanScale, StructureModel, VaeScale, train_structure

CPU = torch.device("cpu")
TINY = replace(
    HPVAEGAN.structure,
    long_side=48,
    scales=4,
    vae_scales=2,
    channels=4,
    layers=1,
    latent=4,
    vae_steps=4,
    gan_steps=4,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Photo:
    return load_photo(write_photo(tmp_path_factory.mktemp("photo") / "hills.png"))


@pytest.fixture(scope="module")
def pyramid(photo: Photo) -> list[Tensor]:
    return structure_pyramid(photo, TINY.sizes(photo.height, photo.width))


def make(photo: Photo, **changes: Any) -> StructureModel:
    torch.manual_seed(0)
    return StructureModel(replace(TINY, **changes), photo.height, photo.width, CPU)


def start(directory: Path) -> Run:
    torch.manual_seed(7)
    return Run.create(directory, {"preset": Preset("tiny", TINY, PAPER.upscaler).as_dict()}, CPU, quiet=True)


def test_the_preset_is_the_papers_but_for_what_the_code_does() -> None:
    for preset, other in ((HPVAEGAN, PAPER.structure), (HPVAEGAN_DRAFT, HPVAEGAN.structure)):
        structure = preset.structure
        assert isinstance(structure, StructureConfig)
        assert not structure.vertical_coordinates
        assert (structure.padding, structure.upsampling, structure.batch) == ("zeros", "bilinear", 2)
        assert (structure.tanh, structure.normalisation, structure.noise_source) == (
            True,
            "batch",
            "generated",
        )
        assert (structure.averaging, structure.clip, structure.critic_clip) == (1, 5, None)
        assert (structure.learning_rate, structure.factor) == (other.learning_rate, other.factor)


def test_pictures_are_bounded_at_every_scale() -> None:
    torch.manual_seed(0)
    plain = Structure(2, 4, 1, 4, vertical=False, padding="zeros")
    bounded = Structure(2, 4, 1, 4, vertical=False, padding="zeros", tanh=True)
    bounded.load_state_dict(plain.state_dict())
    z = [torch.randn(1, 4, 8, 12), torch.randn(1, 3, 11, 16)]
    first = torch.tanh(plain(z[:1]))
    torch.testing.assert_close(bounded(z[:1]), first)
    up = F.interpolate(first, size=(11, 16), mode="bilinear", align_corners=True)
    torch.testing.assert_close(bounded(z), torch.tanh(plain.refine(1, up, z[1])))


def test_a_batch_shares_its_statistics_and_one_sample_has_its_own() -> None:
    torch.manual_seed(0)
    shared, own = SampleNorm(3, "batch"), SampleNorm(3)
    own.load_state_dict(shared.state_dict())
    x = torch.randn(2, 3, 5, 7) * torch.tensor([1.0, 4.0])[:, None, None, None]
    torch.testing.assert_close(shared(x), F.batch_norm(x, None, None, shared.weight, shared.bias, True))
    assert (shared(x) - own(x)).abs().max() > 0.5
    torch.testing.assert_close(shared(x[:1]), own(x[:1]))


def test_reconstructions_are_not_normalised_with_samples(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo)
    model.deviations[1:] = [0.5] * 3
    scale = GanScale(model, pyramid, 2, None)
    with torch.no_grad():
        reconstructed, fake = scale._generate()
        alone = model.network(model.reconstruction_noises(pyramid, 3))
    torch.testing.assert_close(reconstructed, alone)
    assert fake.shape == (2, 3, *model.sizes[2])


@pytest.mark.parametrize("scale", [1, 2])
def test_noise_is_measured_behind_the_new_generator_at_every_scale(
    photo: Photo, pyramid: list[Tensor], scale: int
) -> None:
    model = make(photo)
    if scale < TINY.vae_scales:
        VaeScale(model, pyramid, scale)
    else:
        GanScale(model, pyramid, scale, None)
    with torch.no_grad():
        made = model.network(model.reconstruction_noises(pyramid, scale + 1))
    rmse = float(F.mse_loss(made, pyramid[scale]).sqrt())
    assert model.deviations[scale] == pytest.approx(0.1 * rmse / 2)
    assert model.deviations[scale] > 0
    ours = make(photo, noise_source="enlarged")
    if scale < TINY.vae_scales:
        VaeScale(ours, pyramid, scale)
        assert ours.deviations[scale] == 0


@pytest.mark.parametrize("stop_after", [5, 8, 13])
def test_resumed_equals_uninterrupted(photo: Photo, tmp_path: Path, stop_after: int) -> None:
    """Killed in a patch-VAE scale above the first, and in patch-GAN scales: the noise stays as it was."""
    whole = train_structure(start(tmp_path / "whole"), photo, TINY)
    with interrupted_after(stop_after), pytest.raises(KeyboardInterrupt):
        train_structure(start(tmp_path / "part"), photo, TINY)
    torch.manual_seed(8)
    part = train_structure(Run.open(tmp_path / "part", CPU, quiet=True, keys=frozenset()), photo, TINY)
    assert part.deviations == whole.deviations
    for ours, theirs in zip(part.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_it_exports(photo: Photo) -> None:
    """As it is compared with PyTorch there, at two sizes."""
    model = make(photo, scales=2, vae_scales=1)
    assert export_structure(model.network, model.sizes)
