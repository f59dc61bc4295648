import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ourgan_sdk import PhotographError
from tests.tiny import TINY
from trainers.networks import RRDBNet
from trainers.photo import Photo, check_photo
from trainers.presets import PAPER, UpscalerConfig
from trainers.runs.run import Run, RunError
from trainers.upscalers.pretrained import Pretrained, adopt_size
from trainers.upscalers.upscaler import (
    Pair,
    Patches,
    UpscalerTraining,
    first_sizes,
    later_sizes,
    make_pairs,
    train_upscaler,
    train_upscalers,
)

CONFIG = replace(TINY.upscaler, held_out=0.0, features=4, growth=2, batch=1)
CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = {"photo": None, "output": "", "preset": {}, "seed": 0, "vgg": None}
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

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        self.drawn += 1
        low, high = super().__call__(step)
        return (low * math.nan, high) if self.damaged(step, self.drawn) else (low, high)


def train(run: Run, config: UpscalerConfig, damaged: Callable[[int, int], bool]) -> UpscalerTraining:
    torch.manual_seed(0)
    training = UpscalerTraining(
        config, config.l1_steps, config.gan_steps, DamagedPatches(config, damaged), None
    )
    train_upscaler(run, "upscaler-later", training)
    return training


def checkpoint(run: Run, name: str) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run.checkpoint_path(name), weights_only=True)
    return state


def assert_finite(value: Any) -> None:
    if isinstance(value, Tensor):
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
    init = RRDBNet(config.features, config.blocks, config.growth)
    first, later = train_upscalers(run, some_photo(), config, 40, init=init, init_first=init)
    for network in (first, later):
        assert all(
            torch.equal(value, init.state_dict()[name]) for name, value in network.state_dict().items()
        )
    assert not run.checkpoint_path("upscaler-later-l1").exists()
    assert PAPER.upscaler.steps(pretrained=True) == (0, 50_000)


def test_without_weights_of_its_own_the_first_one_learns_about_noise(run: Run) -> None:
    init = RRDBNet(CONFIG.features, CONFIG.blocks, CONFIG.growth)
    train_upscalers(run, some_photo(), replace(CONFIG, first_share=0.5), 40, init=init)
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
    patches = Patches(lambda _: [pair], replace(CONFIG, batch=64), 0.0, CPU, turned=True)
    torch.manual_seed(0)
    low, high = patches(0)
    assert torch.equal(low, high[..., ::4, ::4])
    right = (low[:, 0, 8, 9] - low[:, 0, 8, 8]) * 255
    assert {1, -1, 32, -32} <= set(right.round().int().tolist())


def test_rates_fade_over_each_phase_or_are_halved() -> None:
    def rates(config: UpscalerConfig) -> list[float]:
        training = UpscalerTraining(config, 40, 40, DamagedPatches(config, lambda *_: False), None)
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
    training = UpscalerTraining(config, 7, 0, DamagedPatches(config, lambda *_: False), None)
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
    training = UpscalerTraining(config, 6, 6, DamagedPatches(config, lambda *_: False), None)
    low = torch.rand(1, 3, 16, 16)
    rounded, exact = training._run(training.generator, low), training.generator(low)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.02
    training.step()
    assert {p.dtype for p in training.average.parameters()} == {torch.float32}


def test_from_noise_l1_is_weak() -> None:
    """Without perceptual features the generator's loss in pass 1 has its own weight of L1."""
    low, high = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 64, 64)

    def gradient(noise: float, config: UpscalerConfig) -> float:
        torch.manual_seed(0)
        patches = Patches(lambda _: [], config, noise, CPU)
        training = UpscalerTraining(config, 0, 1, patches, None)
        seen: list[float] = []
        training.generator_optimizer.step = lambda loss: bool(seen.append(float(loss.detach())))
        training._train_adversarial(training.generator(low), high)
        return seen[0]

    alone = replace(CONFIG, adversarial=0.0, patch_statistics_alone=0.0)
    clean, noisy = gradient(0.0, alone), gradient(0.1, alone)
    assert noisy == pytest.approx(clean * alone.noisy_reconstruction_alone / alone.reconstruction_alone)


def test_other_sizes_are_tuned_at_the_papers_rates_at_most() -> None:
    def one(features: int) -> Pretrained:
        return Pretrained(RRDBNet(features, 1, 2), f"{features}.pth", "0" * 64)

    config = replace(CONFIG, learning_rate=1e-3, gan_learning_rate=3e-4)
    same, other = adopt_size(config, [one(config.features)]), adopt_size(config, [one(6)])
    assert (same.learning_rate, same.gan_learning_rate) == (1e-3, 3e-4)
    assert (other.features, other.learning_rate, other.gan_learning_rate) == (6, 1e-4, 1e-4)
