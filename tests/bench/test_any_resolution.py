"""The acceptance of any-resolution training: its data, and its measures on generators that are known."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from bench import any_resolution as bench
from bench.any_resolution import BAND, Sampler, Scene
from trainers.any_resolution.pictures import PictureFolder
from trainers.metrics.patch_distance import PatchDistance

pytestmark = pytest.mark.usefixtures("one_thread")

COUNT = 24
SCALES = (64, bench.UNSEEN)


def scenes(contrast: float = 1.0, *, change: float = 0.0) -> Sampler:
    """A generator of new true pictures, whose latents say which; their grain ``contrast`` times as strong.

    ``change``: how much of each picture's mean is added to it, which no local generator would do.
    """

    def generate(grids: Tensor, scales: Tensor, latents: Tensor, margin: int) -> Tensor:
        made = []
        inside = slice(margin, grids.shape[2] - margin)
        for (y, x), scale, latent in zip(grids[:, :, inside, inside], scales.tolist(), latents, strict=True):
            scene = Scene.draw(7, int(latent[0].abs() * 1e6))
            shown = contrast if scale > 2 * max(bench.LENGTHS) else 0.0  # by so many pixels
            one = scene.at(y[:, :1], x[:1], bench.CONTRAST * shown)
            made.append(2 * (one + change * one.mean()) - 1)
        return torch.stack(made)

    return Sampler(generate, stride=1, margin=2, latent=1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureFolder:
    folder = tmp_path_factory.mktemp("data")
    bench.write_pictures(folder, 0, small=4, large=40)
    return PictureFolder(folder, bench.PATCH, band=BAND)


def test_pictures_are_small_and_large_and_made_once(tmp_path: Path, pictures: PictureFolder) -> None:
    sides = [entry.side for entry in sorted(pictures.entries, key=lambda entry: entry.path)]
    assert sides[:4] == [32] * 4
    assert (sides[4], sides[-1], pictures.largest) == (64, 256, 256)
    assert sides == sorted(sides)
    bench.write_pictures(tmp_path, 0, small=2, large=1)
    first, _, last = sorted(tmp_path.glob("*.png"))
    last.unlink()
    before = first.stat().st_mtime_ns, first.read_bytes()
    bench.write_pictures(tmp_path, 0, small=2, large=1)
    assert last.exists()
    assert (first.stat().st_mtime_ns, first.read_bytes()) == before


def test_seeds_and_numbers_are_other_pictures() -> None:
    drawn = [np.asarray(Scene.draw(*which).picture()) for which in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert np.array_equal(drawn[0], drawn[3])
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_32_pixels_show_discs_and_no_grain() -> None:
    for number in range(6):
        scene = Scene.draw(0, number)
        pictures = scene.picture(), scene.picture(0.0)
        grain = difference(*pictures)
        assert difference(*(bench.reduced(one, 32) for one in pictures)) < 0.15 * grain
        assert difference(*(bench.reduced(one, 64) for one in pictures)) > 0.5 * grain
        assert np.asarray(bench.reduced(pictures[1], 32)).std() > 10


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean())


def test_what_32_pixels_do_not_show_is_grain() -> None:
    latents = scenes().latents(COUNT)
    for side in SCALES:
        truth = bench.fine_energy(bench.true_pictures(side, COUNT))
        assert bench.fine_energy(scenes(0).whole(side, latents)) < 0.1 * truth
    assert truth > 1e-3


def test_energies_of_true_pictures_and_of_dull_ones() -> None:
    true, half, none = (bench.energies(scenes(c), scenes(), COUNT, SCALES) for c in (1.0, 0.5, 0.0))
    for scale in SCALES:
        # Other pictures than the truth's; and of 64 px, Lanczos filters take a part of such fine waves.
        assert 0.8 < true[scale][0] < (1.25 if scale > 64 else 1.5)
        assert half[scale][0] == pytest.approx(true[scale][0] / 4, rel=0.25)
        assert none[scale][0] < 0.1
        assert true[scale][1] < 0.05


def test_patches_of_what_is_local_are_slices() -> None:
    assert max(bench.slice_errors(scenes(), bench.UNSEEN)) < 0.01
    assert min(bench.slice_errors(scenes(change=0.1), bench.UNSEEN)) > 1


def test_margins_are_told_one_by_one() -> None:
    """A generator that sees one cell further than itself needs a margin of one."""

    def blurred(grids: Tensor, scales: Tensor, latents: Tensor, margin: int) -> Tensor:
        made = F.avg_pool2d(scenes().generate(grids, scales, latents, 0), 3, 1, 1)
        inside = slice(margin, made.shape[2] - margin)
        return made[:, :, inside, inside]

    errors = bench.slice_errors(replace(scenes(), generate=blurred), bench.UNSEEN)
    assert errors[0] > 1 > 0.01 > errors[1]
    assert len(errors) == 3


def test_the_teacher_is_near_to_what_is_reduced_to_it_and_far_from_others() -> None:
    near = bench.teacher_error(scenes(), scenes(), COUNT)

    def others(grids: Tensor, scales: Tensor, latents: Tensor, margin: int) -> Tensor:
        return scenes().generate(grids, scales, latents + 1, margin)

    far = bench.teacher_error(scenes(), replace(scenes(), generate=others), COUNT)
    assert near < 3
    assert far > 5 * near


def test_patches_of_dull_pictures_are_further(pictures: PictureFolder) -> None:
    distance = PatchDistance(pictures.patches, 200)
    true, half, none = (bench.patch_score(distance, scenes(c)) for c in (1.0, 0.5, 0.0))
    assert true < 0.8 * half
    assert half < 0.8 * none


def test_samplers_cut_margins_and_split_batches() -> None:
    sampler = scenes()
    latents = sampler.latents(40)
    whole = sampler.whole(64, latents)
    assert whole.shape == (40, 3, 64, 64)
    assert torch.equal(whole[33:34], sampler.whole(64, latents[33:34]))
    assert torch.equal(sampler.latents(40), latents)
    assert not torch.equal(sampler.latents(40, 1), latents)


def test_the_command_trains_measures_and_does_not_train_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = "--seeds 0 --small 4 --large 4 --channels 4 --batch 4 --whole-steps 2 --patch-steps 2"
    command = [
        "--folder",
        str(tmp_path),
        *sizes.split(),
        *["--compared", "2", "--patches", "8", "--threads", "1"],
    ]
    bench.main(command)
    first = capsys.readouterr().out
    for point in ("(1)", "(2)", "(3)", "(4)"):
        assert re.search(rf"^{re.escape(point)} holds at [01] of 1 seeds$", first, re.MULTILINE)
    assert "patch texture distance (without weights; not pFID)" in first
    assert (tmp_path / "0.png").exists()
    weights = {name: torch.load(path, weights_only=True)["average"] for name, path in runs(tmp_path).items()}
    assert any(  # from one phase 1 on, with and without the teacher's loss
        not torch.equal(weights["0-meant"][name], weights["0-free"][name]) for name in weights["0-meant"]
    )

    def step(_: object) -> None:
        raise AssertionError("it trains again")

    monkeypatch.setattr("trainers.any_resolution.phases.AnyTraining.step", step)
    bench.main(command)
    assert capsys.readouterr().out == first
    with pytest.raises(SystemExit, match="0-meant was trained otherwise"):
        bench.main([*command, "--r1", "3"])


def runs(folder: Path) -> dict[str, Path]:
    """By run directory: its checkpoint."""
    return {path.parts[-3]: path for path in folder.glob("*/checkpoints/generator.pt")}
