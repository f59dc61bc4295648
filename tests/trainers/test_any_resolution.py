import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from tests.tiny import InterruptedBackward
from trainers.any_resolution.losses import (
    critic_loss,
    generator_loss,
    masked_l1,
    r1_penalty,
    teacher_loss,
    warp_down,
)
from trainers.any_resolution.model import Generator, render_whole
from trainers.any_resolution.phases import AnyTraining, train_any
from trainers.any_resolution.pictures import PictureFolder
from trainers.any_resolution.presets import PRESETS, AnyConfig, AnyPreset
from trainers.any_resolution.views import Views
from trainers.perceptual import Perceptual
from trainers.runs.run import Run, RunError

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
CONFIG = AnyConfig(
    patch=16,
    channels=4,
    critic_channels=4,
    latent=6,
    features=8,
    layers=2,
    margin=2,
    batch=4,
    whole_steps=3,
    patch_steps=3,
    r1=0.5,
    r1_every=2,
    averaging=4,
    settling=0.8,
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureFolder:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for i, (height, width) in enumerate([(16, 20), (40, 30), (64, 64)]):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return PictureFolder(folder, CONFIG.patch)


def start(directory: Path, config: AnyConfig = CONFIG, seed: int = 0) -> Run:
    settings = {"preset": AnyPreset("tiny", config).as_dict(), "seed": seed, "perceptual": None}
    return Run.create(directory, settings, CPU, quiet=True)


def views_at(scale: float, origin: tuple[float, float], picture: Tensor) -> Views:
    where = torch.tensor([origin], dtype=torch.float64)
    return Views(picture, where, torch.tensor([scale], dtype=torch.float64))


def test_losses_have_their_values() -> None:
    zero = torch.zeros(4, 1)
    assert float(generator_loss(zero)) == pytest.approx(np.log(2))
    assert float(critic_loss(zero, zero)) == pytest.approx(2 * np.log(2))
    assert float(critic_loss(zero + 20, zero - 20)) < 1e-6
    assert float(generator_loss(zero + 20)) < 1e-6


def test_r1_of_a_linear_critic_is_its_squared_norm() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Linear(48, 1))
    penalty = r1_penalty(critic, torch.randn(5, 3, 4, 4))
    expected = critic[1].weight.square().sum()
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    torch.testing.assert_close(critic[1].weight.grad, 2 * critic[1].weight.detach())


def test_warping_a_whole_picture_leaves_it() -> None:
    picture = torch.randn(1, 3, 16, 16)
    warped, mask = warp_down(picture, views_at(16, (0.0, 0.0), picture))
    torch.testing.assert_close(warped, picture)
    assert mask.shape == (1, 1, 16, 16)
    assert mask.min() == 1


@pytest.mark.parametrize(
    ("scale", "origin"), [(32.0, (0.25, 0.125)), (40.0, (0.1, 0.6)), (77.0, (0.5, 0.33))]
)
def test_patches_land_where_they_lie(scale: float, origin: tuple[float, float]) -> None:
    """A ramp of the unit square, seen by a patch, is the same ramp in the frame, inside the mask."""
    side = 16
    y, x = (first + (torch.arange(side) + 0.5) / scale for first in origin)
    patch = torch.stack([y[:, None].expand(side, side), x.expand(side, side), torch.ones(side, side)])[None]
    warped, mask = warp_down(patch, views_at(scale, origin, patch))
    centres = (torch.arange(side) + 0.5) / side
    inside = [
        (centres - 0.5 / side >= at - 1e-6) & (centres + 0.5 / side <= at + side / scale + 1e-6)
        for at in origin
    ]
    assert torch.equal(mask[0, 0] > 0, inside[0][:, None] & inside[1])
    assert mask.sum() >= 4
    ramp = torch.stack([centres[:, None].expand(side, side), centres.expand(side, side)])
    # Nothing is known beyond the patch, so means at its border are off by less than a pixel of the frame.
    assert ((warped[0, :2] - ramp).abs() * mask[0]).max() < 0.3 / side
    inner = -F.max_pool2d(-mask, 3, 1, 1)[0]
    assert ((warped[0, :2] - ramp).abs() * inner).max() < 0.15 / side
    assert ((warped[0, 2] - 1).abs() * mask[0, 0]).max() < 1e-5


def test_the_teachers_loss_counts_what_lies_inside() -> None:
    torch.manual_seed(0)
    patch, wanted = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16)
    views = views_at(32, (0.25, 0.25), patch)
    warped, mask = warp_down(patch, views)
    outside = torch.where(mask > 0, warped, wanted)
    assert float(teacher_loss(patch, views, outside, None, 0.0)) < 1e-6
    assert float(teacher_loss(patch, views, outside + 0.3, None, 0.0)) == pytest.approx(0.3, rel=1e-3)
    tiny = views_at(500, (0.501, 0.501), patch)  # within one pixel of the frame
    assert float(teacher_loss(patch, tiny, wanted, None, 0.0)) == 0
    torch.testing.assert_close(
        masked_l1(warped, wanted, mask), (warped - wanted)[mask.expand(1, 3, -1, -1) > 0].abs().mean()
    )


def test_the_teachers_loss_with_a_perceptual_one() -> None:
    class Brightness(Perceptual):
        """Knows pictures in [0, 1]."""

        def forward(self, fake: Tensor, real: Tensor) -> Tensor:
            assert 0 <= fake.min() <= fake.max() <= 1
            return (fake - real).abs().mean()

    whole = torch.full((1, 3, 16, 16), 0.5)
    views = views_at(16, (0.0, 0.0), whole)
    loss = teacher_loss(whole, views, whole - 0.5, Brightness(), 2.0)
    assert float(loss) == pytest.approx(0.5 + 2 * 0.25)


def test_gradients_go_through_the_warp() -> None:
    patch = torch.randn(2, 3, 16, 16, requires_grad=True)
    views = Views(
        patch, torch.tensor([[0.0, 0.0], [0.5, 0.25]]).double(), torch.tensor([16.0, 32.0]).double()
    )
    teacher_loss(patch, views, torch.zeros(2, 3, 16, 16), None, 0.0).backward()
    assert (patch.grad.abs().sum((1, 2, 3)) > 0).all()


@pytest.fixture(scope="module")
def finished(pictures: PictureFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Generator]:
    directory = tmp_path_factory.mktemp("runs") / "whole"
    return directory, train_any(start(directory), pictures, CONFIG)


def final_state(directory: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(directory / "checkpoints" / "generator.pt", weights_only=True)
    return state


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert_equal(value, other[name])
    elif isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, (list, tuple)):
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


def test_both_phases_are_trained_and_told(finished: tuple[Path, Generator]) -> None:
    directory, generator = finished
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["step"]) for line in lines] == [
        *(("whole", 0), ("whole", 2), ("patches", 4), ("patches", 5))
    ]
    assert [line["images"] for line in lines] == [4, 12, 20, 24]
    assert ["teacher" in line for line in lines] == [False, False, True, True]
    assert ["r1" in line for line in lines] == [True, True, True, False]
    state = final_state(directory)
    assert state["step"] == 6
    assert_equal(state["average"], dict(generator.state_dict()))
    teacher = torch.load(directory / "checkpoints" / "generator-1.pt", weights_only=True)
    assert_equal(state["teacher"], teacher["average"])  # frozen since
    names = {path.name for path in (directory / "samples").iterdir()}
    assert names == {f"{step:06d}-{side}px.png" for step in (3, 6) for side in (16, 32, 64)}


@pytest.mark.parametrize("stop_at", [2, 8, 12])  # the critic and the generator take turns: two calls a step
def test_interrupted_and_resumed_equals_uninterrupted(
    finished: tuple[Path, Generator],
    pictures: PictureFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
) -> None:
    run = start(tmp_path / "run")
    monkeypatch.setattr(torch.autograd, "backward", InterruptedBackward(stop_at))
    with pytest.raises(KeyboardInterrupt), run.saving_when_interrupted():
        train_any(run, pictures, CONFIG)
    monkeypatch.undo()
    torch.manual_seed(99)
    train_any(Run.open(tmp_path / "run", CPU, quiet=True, keys=frozenset({"seed"})), pictures, CONFIG)
    one, other = final_state(tmp_path / "run"), final_state(finished[0])
    for state in (one, other):
        del state["seconds"]
    assert_equal(one, other)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 2, 4, 5]


def test_seeds_differ(finished: tuple[Path, Generator], pictures: PictureFolder, tmp_path: Path) -> None:
    other = train_any(start(tmp_path / "run", seed=1), pictures, CONFIG)
    weights = zip(finished[1].parameters(), other.parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in weights if a.ndim == 4)


def test_half_of_phase_2_is_whole_pictures(pictures: PictureFolder) -> None:
    training = AnyTraining(CONFIG, pictures, CPU, None, 0)
    training.done = CONFIG.whole_steps
    views = training._draw()
    assert views.patches.shape == (4, 3, 16, 16)
    assert views.scales[:2].tolist() == [16, 16]
    assert (views.origins[:2] == 0).all()
    drawn = torch.cat([training._draw().scales[2:] for _ in range(20)])
    assert drawn.max() > 32
    training.done = 0
    assert (training._draw().scales == 16).all()


@pytest.mark.parametrize(
    ("settling", "expected"),
    [(0.0, [1] * 7), (1.0, [1, 1, 1, 1, 0.75, 0.5, 0.25]), (0.5, [1, 1, 1, 1, 1, 1, 0.5])],
)
def test_learning_rates_fall_in_the_last_share_of_phase_2(
    pictures: PictureFolder, settling: float, expected: list[float]
) -> None:
    training = AnyTraining(replace(CONFIG, patch_steps=4, settling=settling), pictures, CPU, None, 0)
    rates = []
    for _ in range(training.steps):
        training.step()
        for guarded in (training.generator_optimizer, training.critic_optimizer):
            rates += [group["lr"] for group in guarded.optimizer.param_groups]
    assert rates[::2] == rates[1::2] == pytest.approx([CONFIG.learning_rate * rate for rate in expected])


def test_what_is_not_finite_reaches_no_weight(pictures: PictureFolder, tmp_path: Path) -> None:
    training = AnyTraining(CONFIG, pictures, CPU, None, 0)
    before = [p.clone() for p in training.generator.parameters()]
    nan = torch.tensor(float("nan"), requires_grad=True)
    assert not training.generator_optimizer.step(nan * training.generator.features.shifts.weight.sum())
    assert all(torch.equal(a, b) for a, b in zip(before, training.generator.parameters(), strict=True))

    class Broken(PictureFolder):
        def __init__(self) -> None: ...

        largest = pictures.largest

        def whole(self, count: int, generator: torch.Generator) -> Views:
            views = pictures.whole(count, generator)
            return replace(views, patches=views.patches * float("nan"))

    config = replace(CONFIG, whole_steps=30)
    with pytest.raises(RunError, match=r"diverged at step 9: .*last good state is in .*generator\.pt"):
        train_any(start(tmp_path / "run", config), Broken(), config)


def test_a_run_goes_on_with_pictures_of_its_size_only(finished: tuple[Path, Generator]) -> None:
    class Larger(PictureFolder):
        def __init__(self) -> None: ...

        largest = 65

    with pytest.raises(
        RunError, match="up to 64 pixels, as the run was started with; the folder's have up to 65"
    ):
        train_any(Run.open(finished[0], CPU, quiet=True, keys=frozenset({"seed"})), Larger(), CONFIG)


def test_whole_pictures_at_any_scale(finished: tuple[Path, Generator]) -> None:
    latents = torch.randn(2, CONFIG.latent)
    for scale in (16, 37, 100):
        pictures = render_whole(finished[1], latents, scale)
        assert pictures.shape == (2, 3, scale, scale)
        assert pictures.abs().max() <= 1


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_presets_survive_json_and_fit_together(preset: AnyPreset) -> None:
    assert AnyPreset.from_dict(json.loads(json.dumps(preset.as_dict()))) == preset
    config = preset.any_resolution
    size = config.size(4 * config.patch)
    assert (size.patch, size.channels, size.scale_input) == (config.patch, config.channels, True)
    assert config.batch % 2 == 0
    assert config.margin >= size.needed[0]  # no later layer sees the padding of the cells' grid


def test_presets_of_other_versions_are_refused() -> None:
    good = PRESETS["any-draft"].as_dict()
    for wrong in (None, {}, {**good, "more": 1}, {**good, "any_resolution": []}):
        with pytest.raises(TypeError):
            AnyPreset.from_dict(wrong)
    values = dict(good["any_resolution"])
    del values["r1"]
    with pytest.raises(TypeError, match="r1"):
        AnyPreset.from_dict({**good, "any_resolution": values})
