"""Distances of patches: which cases are further than which, and what they are called."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from trainers.any_resolution.pictures import PictureFolder
from trainers.any_resolution.views import Views
from trainers.metrics import patch_distance as module
from trainers.metrics.inception import InceptionFeatures
from trainers.metrics.patch_distance import PatchDistance, TextureFeatures

pytestmark = pytest.mark.usefixtures("one_thread")

COUNT = 400


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureFolder:
    """Pictures of 32 to 128 px: gradients with stripes, whose period tells the scale, and some noise."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for i, side in enumerate(np.linspace(32, 128, 24).astype(int)):
        y, x = (np.mgrid[:side, :side] + 0.5) / side
        plain = np.stack([y, x, np.full_like(x, random.random())], -1) * 0.6
        stripes = 0.2 * np.sin(2 * np.pi * (12 * x + random.random()))[..., None]
        picture = plain + stripes + 0.03 * random.standard_normal((side, side, 3)) + 0.2
        Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8)).save(folder / f"{i:02}.png")
    return PictureFolder(folder, 16)


@pytest.fixture(scope="module")
def distance(pictures: PictureFolder) -> PatchDistance:
    return PatchDistance(pictures.patches, COUNT)


def again(
    pictures: PictureFolder, change: Callable[[Tensor], Tensor] = lambda x: x, seed: int = 0
) -> Callable[[Tensor, Tensor], Tensor]:
    """Real patches in the order of a seed, changed."""
    generator = torch.Generator().manual_seed(seed)
    return lambda origins, _: change(pictures.patches(len(origins), generator).patches)


def blur(patches: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(patches, (1, 1, 1, 1), mode="replicate"), 3, 1)


def test_the_same_patches_are_at_0(distance: PatchDistance, pictures: PictureFolder) -> None:
    assert distance(again(pictures)).value < 1e-6


def test_other_real_patches_are_near_and_nearer_the_more_there_are(pictures: PictureFolder) -> None:
    floors = [PatchDistance(pictures.patches, count).floor().value for count in (100, 400, 1600)]
    assert floors[0] > 1.5 * floors[1] > 0
    assert floors[1] > 1.5 * floors[2]
    assert floors[2] < 1


@pytest.mark.parametrize(
    "change",
    [
        blur,
        lambda x: x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)),
        lambda x: 0.8 * x,
        lambda x: x.flip(1),  # colours exchanged
        lambda x: x.transpose(2, 3),  # stripes turned
        lambda x: x[:1].expand_as(x),  # one patch again and again
    ],
    ids=["blurred", "noisy", "dull", "recoloured", "turned", "collapsed"],
)
def test_what_is_changed_is_further_than_other_real_patches(
    distance: PatchDistance, pictures: PictureFolder, change: Callable[[Tensor], Tensor]
) -> None:
    assert distance(again(pictures, change, seed=1)).value > 2 * distance.floor().value


def test_more_blur_is_further(distance: PatchDistance, pictures: PictureFolder) -> None:
    once = distance(again(pictures, blur, seed=1)).value
    twice = distance(again(pictures, lambda x: blur(blur(x)), seed=1)).value
    assert twice > 1.2 * once


def test_another_scale_is_further(distance: PatchDistance, pictures: PictureFolder) -> None:
    """Even where all patches together are the very same, in another order of scales."""

    def enlarged(patches: Tensor) -> Tensor:
        return F.interpolate(patches[:, :, 4:12, 4:12], scale_factor=2.0, mode="bicubic")

    assert distance(again(pictures, enlarged, seed=1)).value > 3 * distance.floor().value
    shuffled = distance(again(pictures, lambda x: x.roll(1, 0))).value
    assert shuffled > 2 * distance.floor().value


def test_a_seed_decides(pictures: PictureFolder, distance: PatchDistance) -> None:
    same, other = PatchDistance(pictures.patches, COUNT), PatchDistance(pictures.patches, COUNT, seed=5)
    values = [one(again(pictures, blur, seed=1)).value for one in (distance, same, other)]
    assert values[0] == values[1] != values[2]


def test_places_are_those_of_the_real_patches(pictures: PictureFolder, distance: PatchDistance) -> None:
    asked: list[Tensor] = []

    def make(origins: Tensor, scales: Tensor) -> Tensor:
        asked.append(torch.cat([origins, scales[:, None]], 1))
        return torch.zeros(len(origins), 3, 16, 16)

    score = distance(make)
    generator = torch.Generator().manual_seed(0)
    views = [pictures.patches(count, generator) for count in [64] * 6 + [16]]
    expected = [torch.cat([one.origins, one.scales[:, None]], 1) for one in views]
    assert torch.equal(torch.cat(asked), torch.cat(expected))
    assert score.patches == COUNT


def test_without_weights_it_is_not_called_pfid(distance: PatchDistance, pictures: PictureFolder) -> None:
    assert distance(again(pictures)).name == distance.name
    assert not distance.name.startswith("pFID")
    assert "not pFID" in distance.name


def test_with_weights_inception_sees_patches_of_its_size(
    pictures: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INCEPTION_SIDE", 75)  # the least that it takes: this network is random
    torch.manual_seed(0)
    network = InceptionFeatures().eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)  # so that something is left at the end
    seen: list[tuple[int, ...]] = []
    network.Conv2d_1a_3x3.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    distance = PatchDistance(pictures.patches, 24, inception=network)
    assert distance.name.startswith("pFID (Inception")
    assert seen == [(24, 3, 75, 75)]
    same = distance(again(pictures)).value
    shuffled = distance(again(pictures, lambda x: x.roll(1, 0))).value  # pFID knows no scales
    assert distance(again(pictures, blur)).value > 100 * max(same, shuffled)


@pytest.mark.parametrize(("side", "dimensions"), [(16, 25), (32, 35), (64, 45), (50, 35)])
def test_features_have_octaves_down_to_8_pixels(side: int, dimensions: int) -> None:
    views = Views(
        torch.rand(5, 3, side, side), torch.zeros(5, 2).double(), torch.full((5,), float(side)).double()
    )
    found = TextureFeatures()(views)
    assert found.shape == (5, dimensions)
    assert found.isfinite().all()


def test_flat_patches_have_finite_features_and_distances(pictures: PictureFolder) -> None:
    distance = PatchDistance(pictures.patches, 64)
    assert np.isfinite(distance(lambda origins, _: torch.zeros(len(origins), 3, 16, 16)).value)


def test_one_patch_has_no_distribution(pictures: PictureFolder) -> None:
    with pytest.raises(ValueError, match="at least 2 patches, got 1"):
        PatchDistance(pictures.patches, 1)


def test_photographs_by_the_folder(tmp_path: Path) -> None:
    """The sampler takes whole views as well: the distance at p alone."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8)).save(tmp_path / "a.png")
    whole = PictureFolder(tmp_path, 16).whole
    assert PatchDistance(whole, 32).floor().value >= 0
