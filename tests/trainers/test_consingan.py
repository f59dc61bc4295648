"""ConSinGAN's networks, its pyramid, and how it is trained."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.tiny import write_photo
from tests.trainers.interrupting import interrupted_after
from tests.trainers.structures import equal, start, weights
from trainers.networks import ConsinganCritic, ConsinganStructure
from trainers.photo import Photo, load_photo, structure_pyramid
from trainers.presets import CONSINGAN, CONSINGAN_DRAFT, ConsinganConfig
from trainers.runs.restore import restore_network
from trainers.runs.run import Run
from trainers.structures.consingan import ConsinganModel, ConsinganStage, train_consingan
from trainers.structures.families import make_model, make_network, train

CPU = torch.device("cpu")
STAGES = 4
TINY = ConsinganConfig(
    long_side=36, short_side=12, stages=STAGES, channels=4, stage_steps=5, critic_steps=2, generator_steps=2
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Photo:
    return load_photo(write_photo(tmp_path_factory.mktemp("photo") / "hills.png"))


@pytest.fixture(scope="module")
def pyramid(photo: Photo) -> list[Tensor]:
    return structure_pyramid(photo, TINY.sizes(photo.height, photo.width))


def make(photo: Photo, seed: int = 0, **changes: Any) -> ConsinganModel:
    torch.manual_seed(seed)
    return ConsinganModel(replace(TINY, **changes), photo.height, photo.width, CPU)


# Networks


def test_a_structure_follows_its_formula() -> None:
    """Features go on, enlarged by what a stage's convolutions take away; one picture at the end."""
    torch.manual_seed(0)
    network = ConsinganStructure(3, 6)
    assert (network.margin, network.noise_channels) == (3, [3, 6, 6])
    sizes = [(9, 13), (12, 17), (16, 23)]
    z = [
        torch.randn(1, channels, height + 6, width + 6)
        for channels, (height, width) in zip(network.noise_channels, sizes, strict=True)
    ]

    def resized(x: Tensor, height: int, width: int) -> Tensor:
        return F.interpolate(x, size=(height, width), mode="bicubic", align_corners=False)

    head = network.head(F.pad(z[0][..., 3:-3, 3:-3], (1,) * 4))
    features = network.generators[0](F.pad(resized(head, 11, 15), (2,) * 4))
    assert features.shape == (1, 6, 9, 13)
    for stage, noise, (height, width) in zip(list(network.generators)[1:], z[1:], sizes[1:], strict=True):
        wide = resized(features, height + 6, width + 6) + noise
        features = resized(features, height, width) + stage(wide)
    expected = torch.tanh(network.tail(F.pad(features, (1,) * 4)))
    torch.testing.assert_close(network(z), expected)
    assert expected.shape == (1, 3, 16, 23)
    slopes = [layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.05] * 10  # the head, and three per stage
    with pytest.raises(ValueError, match="no starts"):
        network(z, starts=[(torch.zeros(1, 3, 9, 13), torch.ones(1, 1, 9, 13))])


def test_the_margin_of_the_coarsest_noise_is_not_used() -> None:
    network = ConsinganStructure(2, 4)
    z = [torch.randn(1, 3, 15, 18), torch.randn(1, 4, 20, 25)]
    other = z[0].clone()
    other[..., :3] = 9
    assert torch.equal(network([other, z[1]]), network(z))
    other[..., 3] = 9
    assert not torch.equal(network([other, z[1]]), network(z))


@pytest.mark.parametrize("count", [1, 2])
def test_gradient_of_a_critic_equals_that_of_autograd(count: int) -> None:
    torch.manual_seed(0)
    critic = ConsinganCritic(6).double()
    for parameter in critic.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    x = torch.randn(count, 3, 13, 16, dtype=torch.float64)
    assert critic(x).shape == (count, 1, 3, 6)  # patches of 11 pixels

    def autograd(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return gradient

    torch.testing.assert_close(critic.input_gradient(x), autograd(x), rtol=1e-11, atol=1e-11)
    convolutions = [parameter for name, parameter in critic.named_parameters() if "weight" in name]
    found = [
        torch.autograd.grad((gradient(x).norm(2, dim=1) - 1).square().mean(), convolutions)
        for gradient in (critic.input_gradient, autograd)
    ]
    for one, other in zip(*found, strict=True):
        assert one.abs().max() > 1e-6
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


# Pyramid


def test_pyramids() -> None:
    """The published formula, and its ends: the coarsest's short side, and the finest's long one."""
    structure = CONSINGAN.structure
    sizes = structure.sizes(2000, 3000)
    assert sizes == [(25, 38), (31, 46), (40, 61), (59, 89), (114, 171), (167, 250)]
    ratio = (25 / 166.67) ** (1 / 5)
    for m, (height, _) in enumerate(sizes[:-1]):
        power = 4 / math.log(5) * math.log(5 - m) + 1
        assert height == pytest.approx(166.67 * ratio**power, abs=0.5)
    assert CONSINGAN_DRAFT.structure.sizes(2000, 3000) == [(25, 38), (32, 47), (47, 70), (64, 96)]
    assert replace(structure, stages=2).sizes(2000, 3000) == [(25, 38), (167, 250)]
    assert replace(structure, stages=1).sizes(2000, 3000) == [(167, 250)]
    assert structure.sizes(200, 3000) == [(17, 250)]  # refused, as 25 pixels are the least


# Training


def test_a_family_is_that_of_its_configuration(photo: Photo) -> None:
    model = make_model(TINY, photo.height, photo.width, CPU)
    assert isinstance(model, ConsinganModel)
    assert len(model.sizes) == STAGES
    network = make_network(TINY, STAGES)
    assert isinstance(network, ConsinganStructure)
    assert network.state_dict().keys() == model.network.state_dict().keys()


def test_three_stages_learn_together_and_older_ones_more_slowly(photo: Photo, pyramid: list[Tensor]) -> None:
    model, below = make(photo), None
    parts = [model.network.head, *model.network.generators, model.network.tail]
    learned = [
        [True, True, False, False, False, True],  # the head, stages 0 to 3, the tail
        [True, True, True, False, False, True],
        [True, True, True, True, False, True],
        [False, False, True, True, True, True],
    ]
    rates = [[1, 1, 1], [0.1, 1, 0.1, 1], [0.01, 0.1, 1, 0.01, 1], [0.01, 0.1, 1, 1]]
    for m in range(STAGES):
        model.inherit(m)
        if m > 0:
            stages = model.network.generators
            assert equal(weights(stages[m]), weights(stages[m - 1]))
        stage = ConsinganStage(model, pyramid, m, below)
        if below is not None:
            assert equal(weights(stage.critic), weights(below.critic))
        groups = stage.optimizers["generator_optimizer"].optimizer.param_groups
        assert [group["lr"] / 5e-4 for group in groups] == pytest.approx(rates[m])
        before = [weights(part) for part in parts]
        stage.step()
        after = [weights(part) for part in parts]
        assert [not equal(*pair) for pair in zip(before, after, strict=True)] == learned[m]
        below = stage


def test_a_step_is_so_many_of_each_along_one_gradient(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo, critic_steps=3, generator_steps=3)
    stage = ConsinganStage(model, pyramid, 1, None)
    drawn: list[int] = []
    draw = model.noises
    model.noises = lambda scales, count=1: drawn.append(scales) or draw(scales, count)  # type: ignore[method-assign,func-returns-value]
    stage.step()
    assert drawn == [2]
    for optimizer in stage.optimizers.values():
        assert {int(state["step"]) for state in optimizer.optimizer.state.values()} == {3}
    first = next(iter(stage.optimizers["generator_optimizer"].optimizer.state.values()))
    (parameter,) = (p for p in [next(iter(model.network.generators[0].parameters()))])
    # Adam's first moment after three steps along one gradient g is (1 - 0.5^3) g.
    torch.testing.assert_close(first["exp_avg"], (1 - 0.5**3) * parameter.grad)


def test_noise_is_measured_on_what_the_new_stage_makes(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo)
    ConsinganStage(model, pyramid, 0, None)
    assert model.deviations == [1.0, 0.0, 0.0, 0.0]
    ConsinganStage(model, pyramid, 1, None)
    with torch.no_grad():
        made = model.network(model.reconstruction_noises(pyramid, 2))
    assert model.deviations[1] == pytest.approx(0.1 * float(F.mse_loss(made, pyramid[1]).sqrt()))
    _, second = model.noises(2, 50)
    assert float(second.std()) == pytest.approx(model.deviations[1], rel=0.1)


def test_noises_of_the_reconstruction(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo)
    fixed = model.reconstruction_noises(pyramid, STAGES)
    assert [z.shape for z in fixed] == [z.shape for z in model.noises(STAGES)]
    assert torch.equal(fixed[0][..., 3:-3, 3:-3], pyramid[0])
    assert not any(z.any() for z in fixed[1:])
    assert model.sample(STAGES, 2).shape == (2, 3, *model.sizes[-1])


def error(model: ConsinganModel, pyramid: list[Tensor], scales: int) -> float:
    """Of the reconstruction, in levels."""
    with torch.no_grad():
        picture = model.network(model.reconstruction_noises(pyramid, scales)).clamp(-1, 1)
    return 127.5 * float((picture - pyramid[scales - 1].clamp(-1, 1)).square().mean().sqrt())


def test_training_lowers_the_error_of_the_reconstruction(photo: Photo, pyramid: list[Tensor]) -> None:
    model = make(photo, channels=12, critic_steps=1, generator_steps=3)
    before = error(model, pyramid, 1)
    stage = ConsinganStage(model, pyramid, 0, None)
    for _ in range(100):
        stage.step()
    assert error(model, pyramid, 1) < 0.7 * before


@pytest.fixture(scope="module")
def whole(photo: Photo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ConsinganModel]:
    directory = tmp_path_factory.mktemp("runs") / "whole"
    return directory, train_consingan(start(directory, photo, TINY), photo, TINY)


def test_training_logs_its_steps_and_reconstructions(
    whole: tuple[Path, ConsinganModel], pyramid: list[Tensor]
) -> None:
    directory, model = whole
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["step"]) for line in lines] == [
        (f"structure-{m}", step) for m in range(STAGES) for step in (0, 4, 5)
    ]
    assert lines[-1]["reconstruction_levels"] == pytest.approx(error(model, pyramid, STAGES), rel=1e-4)


@pytest.mark.parametrize("stop_after", [3, 7, 9, 15, 22])
def test_resumed_equals_uninterrupted(
    photo: Photo,
    tmp_path: Path,
    whole: tuple[Path, ConsinganModel],
    stop_after: int,
) -> None:
    """Killed within a stage, at and about its end: noise keeps the deviation it was first measured at."""
    with interrupted_after(stop_after), pytest.raises(KeyboardInterrupt):
        train(start(tmp_path / "part", photo, TINY), photo, TINY)
    torch.manual_seed(8)
    part = train(Run.open(tmp_path / "part", CPU, quiet=True), photo, TINY)
    model = whole[1]
    assert part.deviations == model.deviations
    assert equal(weights(part.network), weights(model.network))


@pytest.mark.parametrize(("name", "stages"), [("structure", 4), ("structure-1", 2)])
def test_a_checkpoint_gives_its_network_back(
    whole: tuple[Path, ConsinganModel], name: str, stages: int
) -> None:
    directory, model = whole
    restored = restore_network(directory / "checkpoints" / f"{name}.pt")
    network = restored.network
    assert isinstance(network, ConsinganStructure)
    assert restored.sizes == model.sizes[:stages]
    assert network.noise_channels == [3, 4, 4, 4][:stages]
    assert len(network.generators) == stages
    torch.manual_seed(3)
    z = [torch.randn_like(noise) for noise in model.noises(stages)]
    if stages == STAGES:
        with torch.no_grad():
            torch.testing.assert_close(network(z), model.network(z))  # in another layout of memory
    assert network(z).shape == (1, 3, *model.sizes[stages - 1])
