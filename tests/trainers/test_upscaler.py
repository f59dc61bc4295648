import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ourgan_sdk import PhotographError
from tests.tiny import TINY
from trainers.networks import UpscalerSize, make_upscaler, size_of
from trainers.photo import Photo, check_photo, reduce
from trainers.presets import PAPER, UpscalerConfig
from trainers.runs.run import Run, RunError
from trainers.upscalers import passes
from trainers.upscalers.passes import PassOne, Structures, train_upscalers
from trainers.upscalers.patches import (
    Batch,
    Pair,
    Patches,
    first_sizes,
    later_sizes,
    make_pairs,
    structure_pairs,
)
from trainers.upscalers.pretrained import Pretrained, adopt_sizes
from trainers.upscalers.upscaler import (
    UpscalerTraining,
    reconstruction_loss,
    train_upscaler,
    with_share,
)

SIZE = UpscalerSize("rrdb", 4, 1, 2)
CONFIG = replace(TINY.upscaler, held_out=0.0, first=SIZE, second=None, later=SIZE, batch=1)
CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = {"photo": None, "output": "", "preset": {}, "seed": 0, "perceptual": None}
    return Run.create(tmp_path / "run", config, CPU, quiet=True)


def some_photo(height: int = 150, width: int = 200) -> Photo:
    generator = torch.Generator().manual_seed(0)
    return Photo(torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8), "0" * 64)


class DamagedPatches(Patches):
    """Patches that are not finite, for as long as ``damaged`` says of (step, how many were drawn)."""

    def __init__(self, config: UpscalerConfig, damaged: Callable[[int, int], bool]) -> None:
        pairs = make_pairs(some_photo(), [200])
        super().__init__(lambda _: pairs, config, 0.0, CPU)
        self.damaged, self.drawn = damaged, 0

    def __call__(self, step: int) -> Batch:
        self.drawn += 1
        batch = super().__call__(step)
        return replace(batch, low=batch.low * math.nan) if self.damaged(step, self.drawn) else batch


def train(run: Run, config: UpscalerConfig, damaged: Callable[[int, int], bool]) -> UpscalerTraining:
    torch.manual_seed(0)
    steps = config.l1_steps, config.gan_steps
    training = UpscalerTraining(config, SIZE, steps, DamagedPatches(config, damaged), None)
    train_upscaler(run, "upscaler-later", training)
    return training


def checkpoint(run: Run, name: str) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run.checkpoint_path(name), weights_only=True)
    return state


def assert_finite(value: Any) -> None:
    if isinstance(value, torch.Tensor):
        assert value.is_floating_point() is False or value.isfinite().all()
    elif isinstance(value, dict):
        for inner in value.values():
            assert_finite(inner)


def test_the_state_after_the_l1_phase_is_kept(run: Run) -> None:
    training = train(run, CONFIG, lambda *_: False)
    state, final = checkpoint(run, "upscaler-later-l1"), checkpoint(run, "upscaler-later")
    assert (state["step"], final["step"]) == (6, 12)
    assert state["phase"] == final["phase"] == "upscaler-later"
    changed = (state["generator"][name] - value for name, value in training.generator.state_dict().items())
    assert any(difference.abs().max() > 0 for difference in changed)


@pytest.mark.parametrize("bad", [(2, 3, 4), (8,), (5, 6, 7, 11)])
def test_single_bad_batches_are_left_out(run: Run, bad: tuple[int, ...]) -> None:
    training = train(run, CONFIG, lambda step, _: step in bad)
    assert (training.done, training.retreats) == (12, 0)
    assert_finite(checkpoint(run, "upscaler-later"))


@pytest.mark.parametrize("begin", [5, 40])
def test_after_divergence_it_goes_on_more_slowly(
    run: Run, begin: int, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(CONFIG, l1_steps=30, gan_steps=30, halvings=())
    training = train(run, config, lambda _, drawn: begin <= drawn < begin + 10)
    assert (training.done, training.retreats) == (60, 1)
    assert f"going on from step {0 if begin < 30 else 30} at half the learning rate" in caplog.text
    for optimizer in (training.generator_optimizer, training.discriminator_optimizer):
        assert optimizer.optimizer.param_groups[0]["lr"] == config.gan_learning_rate / 2
    assert_finite(checkpoint(run, "upscaler-later"))
    lines = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    assert len({line["step"] for line in lines}) == len(lines)


def test_what_diverges_again_and_again_ends_with_the_last_good_state(run: Run) -> None:
    config = replace(CONFIG, l1_steps=6, gan_steps=30)
    with pytest.raises(RunError, match=r"upscaler-later diverged at step \d+: .* is in .*upscaler-later.pt"):
        train(run, config, lambda step, _: step >= 8)
    state = checkpoint(run, "upscaler-later")
    assert (state["step"], state["retreats"]) == (6, 2)
    assert_finite(state)


def test_an_adversarial_phase_that_runs_away_is_stopped(run: Run) -> None:
    config = replace(CONFIG, l1_steps=60, gan_steps=400, learning_rate=0.01, gan_learning_rate=0.01)
    config = replace(config, reconstruction_alone=-100.0)
    with pytest.raises(RunError, match=r"an error that had fallen to .* has risen to"):
        train(run, config, lambda *_: False)
    assert checkpoint(run, "upscaler-later")["step"] < 460
    assert checkpoint(run, "upscaler-later-l1")["step"] == 60


def test_from_pretrained_weights_there_is_only_the_second_phase(run: Run) -> None:
    config = replace(CONFIG, gan_steps=0)
    torch.manual_seed(1)
    init = make_upscaler(config.later)
    pretrained = {"init": init, "init_first": init}
    for network in train_upscalers(run, some_photo(), config, 40, pretrained=pretrained).values():
        assert all(
            torch.equal(value, init.state_dict()[name]) for name, value in network.state_dict().items()
        )
    assert not run.checkpoint_path("upscaler-later-l1").exists()
    assert PAPER.upscaler.steps(pretrained=True) == (0, 50_000)


def test_without_weights_of_its_own_the_first_one_learns_about_noise(run: Run) -> None:
    init = make_upscaler(CONFIG.later)
    train_upscalers(run, some_photo(), replace(CONFIG, first_share=0.5), 40, pretrained={"init": init})
    assert checkpoint(run, "upscaler-later")["step"] == 6
    assert checkpoint(run, "upscaler-first-l1")["step"] == 3
    assert checkpoint(run, "upscaler-first")["step"] == 6


@pytest.mark.parametrize("size", [(136, 149), (140, 149), (150, 150), (151, 600), (700, 153), (555, 1234)])
@pytest.mark.parametrize("held_out", [0.0, 1 / 12, 0.3])
def test_patches_fit_beside_what_is_held_out(size: tuple[int, int], held_out: float) -> None:
    photo, patch = some_photo(*size), 128
    try:
        check_photo(photo, replace(TINY.structure, scales=2), patch, held_out)
    except PhotographError:
        assert min(size[0], size[1] * (1 - held_out)) < patch + 8
        return
    for sizes in (first_sizes, later_sizes):
        for pair in make_pairs(photo, sizes(photo, 20, patch, held_out), held_out):
            assert min(pair.high.shape[1:]) >= patch


def test_patches_are_aligned_and_turned() -> None:
    """Every patch's reduction is where the patch is, however both are mirrored and turned."""
    places = torch.arange(32 * 32).reshape(1, 32, 32).expand(3, -1, -1)
    high = places.repeat_interleave(4, 1).repeat_interleave(4, 2) % 256
    pair = Pair(high.to(torch.uint8), (places % 256).float() / 255)
    config = replace(CONFIG, batch=64, margin=2, grain=0.0)
    patches = Patches(lambda _: [pair], config, 0.0, CPU, turned=True)
    torch.manual_seed(0)
    batch = patches(0)
    assert batch.high.shape[2:] == (config.patch, config.patch)
    assert batch.low.shape[2:] == (config.window // 4, config.window // 4)
    assert torch.equal(batch.inner, batch.high[..., ::4, ::4])
    assert torch.equal(batch.inner, batch.low[..., 2:-2, 2:-2])
    right = (batch.inner[:, 0, 8, 9] - batch.inner[:, 0, 8, 8]) * 255
    assert {1, -1, 32, -32} <= set(right.round().int().tolist())


def test_small_pictures_have_grain_or_noise() -> None:
    """Grain of any strength up to the configured one where there is no noise; else just that noise."""
    pair = Pair(torch.zeros(3, 256, 256, dtype=torch.uint8), torch.full((3, 64, 64), 0.5))
    config = replace(CONFIG, batch=64, grain=0.02)

    def deviations(noise: float) -> Tensor:
        torch.manual_seed(0)
        batch = Patches(lambda _: [pair], config, noise, CPU)(0)
        assert (batch.inner == 0.5).all()
        return batch.low.std((1, 2, 3))

    grain, noise = deviations(0.0), deviations(0.1)
    assert float(grain.max()) < 0.022
    assert float(grain.min()) < 0.003
    assert 0.008 < float(grain.mean()) < 0.012
    assert 0.09 < float(noise.min()) < float(noise.max()) < 0.11


def test_pictures_without_a_counterpart_keep_what_they_were() -> None:
    """Their loss asks for what went in, and for nothing of the picture that lends them its statistics."""
    generator = torch.Generator().manual_seed(0)
    fake, high = (torch.rand(2, 3, 64, 64, generator=generator) for _ in range(2))
    inner = reduce(fake, 16, 16)
    matched, unmatched = (torch.full((2, 1, 1, 1), value) for value in (1.0, 0.0))
    assert float(reconstruction_loss(fake, Batch(inner, high, inner, unmatched))) < 1e-6
    assert float(reconstruction_loss(fake, Batch(inner, high, inner, matched))) > 0.2
    one_of_two = torch.tensor([1.0, 0.0])[:, None, None, None]
    expected = F.l1_loss(fake[:1], high[:1]) / 2
    got = reconstruction_loss(fake, Batch(inner, high, inner, one_of_two))
    assert float(got) == pytest.approx(float(expected), abs=1e-6)


def test_structures_are_paired_with_the_photograph_at_four_times_their_size() -> None:
    photo = some_photo(160, 240)
    structures = torch.rand(4, 3, 20, 30)
    pairs = structure_pairs(photo, structures[:1], structures[1:], 64, held_out=0.2)
    (whole,) = make_pairs(photo, [120], held_out=0.2)
    assert [pair.matched for pair in pairs] == [True, False, False, False]
    for pair, structure in zip(pairs, structures, strict=True):
        assert torch.equal(pair.low, structure[..., :24])
        assert torch.equal(pair.high, whole.high)
    assert structure_pairs(photo, structures[:1], structures[1:], 84) == []
    for small in (some_photo(79, 240), some_photo(160, 119)):  # it would have to be enlarged
        assert structure_pairs(small, structures[:1], structures[1:], 32) == []


@pytest.mark.parametrize("weight", [1e-3, 1.0, 1e3])
def test_the_adversarial_gradient_has_its_share(weight: float) -> None:
    """However large it is by itself."""
    torch.manual_seed(0)
    fake = torch.rand(1, 3, 8, 8, requires_grad=True)
    own, pushed = torch.randn(2, 1, 3, 8, 8)
    loss = with_share(fake, (fake * own).sum(), weight * (fake * pushed).sum(), 0.25)
    assert float(loss.detach()) == pytest.approx(float((fake.detach() * own).sum()), rel=1e-5)
    loss.backward()
    added = fake.grad - own
    assert float(added.norm() / own.norm()) == pytest.approx(0.25, rel=1e-4)
    assert float(F.cosine_similarity(added.flatten(), pushed.flatten(), dim=0)) == pytest.approx(1, abs=1e-4)


def test_a_share_of_nothing_trains_no_discriminator() -> None:
    config = replace(CONFIG, adversarial_share=0.0)
    training = UpscalerTraining(config, SIZE, (0, 4), DamagedPatches(config, lambda *_: False), None)
    before = {name: value.clone() for name, value in training.discriminator.state_dict().items()}
    metrics = training.step()
    assert metrics.keys() == {"reconstruction", "patch_statistics", "grid_pattern"}
    assert all(
        torch.equal(value, before[name]) for name, value in training.discriminator.state_dict().items()
    )


def test_each_upscaler_has_its_own_size(run: Run) -> None:
    small, large = UpscalerSize("residual", 4, 1, None), UpscalerSize("residual", 8, 2, None)
    config = replace(CONFIG, first=large, later=small)
    trained = train_upscalers(run, some_photo(), config, 40)
    assert {name: size_of(network) for name, network in trained.items()} == {
        "upscaler-first": large,
        "upscaler-later": small,
    }


def test_pass_2_learns_from_what_pass_1_makes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of structures and of reductions, for the photograph at 4 times that; with noise of its own."""
    config = replace(CONFIG, second=SIZE, second_noise=0.25, margin=0)
    learned: dict[str, tuple[list[Pair], float]] = {}
    train = passes.train_upscaler

    def watch(run: Run, name: str, training: UpscalerTraining) -> Any:
        learned[name] = list(training.patches.pairs(0)), training.patches.noise
        return train(run, name, training)

    monkeypatch.setattr(passes, "train_upscaler", watch)
    photo, structures = some_photo(300, 400), Structures(torch.rand(1, 3, 15, 20), torch.rand(2, 3, 15, 20))
    trained = train_upscalers(run, photo, config, 20, structures=structures)
    assert list(trained) == ["upscaler-first", "upscaler-second", "upscaler-later"]
    assert [noise for _, noise in learned.values()] == [0.0, config.noise, 0.25]
    pairs, _ = learned["upscaler-second"]
    pass_one = PassOne(trained["upscaler-first"], config.noise)
    (whole,) = make_pairs(photo, [320])
    reconstruction, *samples = pairs[-3:]
    assert torch.equal(reconstruction.low, pass_one(structures.reconstructions, 0)[0])
    assert [pair.matched for pair in pairs[-3:]] == [True, False, False]
    assert all(torch.equal(pair.high, whole.high) for pair in (reconstruction, *samples))
    reductions = make_pairs(photo, first_sizes(photo, 80, config.window))
    assert len(pairs) == 3 * len(reductions) + 3
    for pair, reduced in zip(pairs, reductions, strict=False):
        assert pair.matched
        assert pair.low.shape[1] == pair.high.shape[1] // 4
        difference = reduce(pair.low[None], *(n // 4 for n in pair.low.shape[1:])) - reduce(
            reduced.low[None, :, : pair.low.shape[1], : pair.low.shape[2]],
            *(n // 4 for n in pair.low.shape[1:]),
        )
        assert 0 < float(difference.abs().mean()) < 0.1  # the same picture, but for pass 1 and its noise


def test_pass_1_as_it_is_rendered() -> None:
    """With its noise, the same for a seed; edges are extended."""
    torch.manual_seed(0)
    network = make_upscaler(UpscalerSize("residual", 4, 1, None))  # untrained: a bilinear enlargement
    picture = torch.full((2, 3, 6, 8), 0.5)
    made = PassOne(network, 0.1)(picture, 3)
    assert made.shape == (2, 3, 24, 32)
    assert torch.equal(made, PassOne(network, 0.1)(picture, 3))
    assert not torch.equal(made, PassOne(network, 0.1)(picture, 4))
    assert float(PassOne(network, 0.0)(picture, 3).sub(0.5).abs().max()) < 1e-6  # no dark frame
    large = Pair(torch.zeros(3, 4 * 9, 4 * 6, dtype=torch.uint8), torch.rand(3, 9, 6), matched=False)
    before = PassOne(network, 0.1).before(large, 0)
    assert (before.low.shape, before.high.shape, before.matched) == ((3, 8, 4), (3, 32, 16), False)


def test_rates_fade_over_each_phase_or_are_halved() -> None:
    def rates(config: UpscalerConfig) -> list[float]:
        training = UpscalerTraining(config, SIZE, (40, 40), DamagedPatches(config, lambda *_: False), None)
        found = []
        for training.done in range(80):
            training._set_learning_rate()
            found.append(training.generator_optimizer.optimizer.param_groups[0]["lr"])
        return found

    halved = rates(replace(CONFIG, learning_rate=1.0, gan_learning_rate=1.0, halvings=(0.3, 0.6, 0.9)))
    assert [halved[i] for i in (0, 23, 24, 47, 48, 71, 72, 79)] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    faded = rates(replace(CONFIG, learning_rate=1.0, gan_learning_rate=0.1, halvings=None))
    assert faded[20] == pytest.approx(0.5)
    assert faded[39] < 0.002
    assert faded[60] == pytest.approx(0.05)
    assert max(faded[40:]) < 0.1 < max(faded[:40]) < 1


def test_the_result_is_the_mean_of_the_last_weights(run: Run) -> None:
    config = replace(CONFIG, averaging=1000, gan_steps=0)
    training = UpscalerTraining(config, SIZE, (7, 0), DamagedPatches(config, lambda *_: False), None)
    seen = []
    while training.done < 6:
        training.step()
        seen.append(training.generator.conv_first.weight.detach().clone())
    torch.testing.assert_close(training.average.conv_first.weight, torch.stack(seen).mean(0))
    training.config = replace(config, averaging=1)
    training.step()
    assert torch.equal(training.average.conv_first.weight, training.generator.conv_first.weight)
    assert train_upscaler(run, "upscaler-later", training) is training.average


def test_bf16_is_for_training_only() -> None:
    config = replace(CONFIG, precision="bf16")
    torch.manual_seed(0)
    training = UpscalerTraining(config, SIZE, (6, 6), DamagedPatches(config, lambda *_: False), None)
    low = torch.rand(1, 3, 16, 16)
    rounded, exact = training._run(training.generator, low), training.generator(low)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.02
    training.step()
    assert {p.dtype for p in training.average.parameters()} == {torch.float32}


def test_from_noise_l1_is_weak() -> None:
    """Without VGG19's features the generator's loss in pass 1 has its own weight of L1."""
    fake, high = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    batch = Batch(fake, high, fake, torch.ones(1, 1, 1, 1))
    config = replace(CONFIG, patch_statistics_alone=0.0, grid_pattern_alone=0.0)

    def loss(noise: float) -> float:
        training = UpscalerTraining(config, SIZE, (0, 1), Patches(lambda _: [], config, noise, CPU), None)
        return float(training._guide(fake, batch)[0])

    assert loss(0.1) == pytest.approx(
        loss(0.0) * config.noisy_reconstruction_alone / config.reconstruction_alone
    )


def test_sizes_of_pretrained_networks_are_adopted() -> None:
    """At the paper's rates at most; where one is given alone, both are of its size."""

    def one(features: int) -> Pretrained:
        return Pretrained(make_upscaler(replace(SIZE, features=features)), f"{features}.pth", "0" * 64)

    config = replace(CONFIG, learning_rate=1e-3, gan_learning_rate=3e-4)
    same, other = adopt_sizes(config, {"init": one(4)}), adopt_sizes(config, {"init": one(6)})
    assert (same.learning_rate, same.gan_learning_rate, same.first) == (1e-3, 3e-4, SIZE)
    assert (other.later.features, other.first.features) == (6, 6)
    assert (other.learning_rate, other.gan_learning_rate) == (1e-4, 1e-4)
    both = adopt_sizes(config, {"init": one(6), "init_first": one(8)})
    assert (both.later.features, both.first.features, both.second) == (6, 8, None)
    assert adopt_sizes(config, {}) == config
    three = replace(config, second=SIZE)
    assert adopt_sizes(three, {}).second == SIZE
    assert adopt_sizes(three, {"init": one(6)}).second == replace(SIZE, features=6)
    assert adopt_sizes(config, {"init_second": one(7)}).second == replace(SIZE, features=7)
