"""The structure trainer: what it does with a scale that diverges, and in which digits it computes."""

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.training import plain_critic, plain_generator
from tests.tiny import TINY, write_photo
from tests.trainers.interrupting import interrupted_after
from trainers.networks import CoordConv2d, Encoder, Generator, PatchCritic
from trainers.photo import Photo, load_photo, structure_pyramid
from trainers.presets import PAPER
from trainers.runs.run import Run
from trainers.runs.stability import DivergedError
from trainers.structures import ourgan, scales
from trainers.structures.ourgan import GanScale, StructureModel, VaeScale, train_structure

CONFIG = replace(TINY.structure, vae_steps=2, gan_steps=14, decay=0.0)
RATE = CONFIG.learning_rate
SCALE = 2  # the first patch-GAN scale: the one that diverges here


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Photo:
    return load_photo(write_photo(tmp_path_factory.mktemp("photo") / "hills.png"))


pytestmark = pytest.mark.usefixtures("one_thread")


def start(directory: Path) -> Run:
    torch.manual_seed(7)
    config = {"photo": {}, "photograph": False, "output": "", "preset": {}, "seed": 7, "perceptual": None}
    return Run.create(directory, config, torch.device("cpu"), quiet=True)


def resume(directory: Path) -> Run:
    torch.manual_seed(8)  # whatever it is
    return Run.open(directory, torch.device("cpu"), quiet=True)


def diverge(monkeypatch: pytest.MonkeyPatch, lowest_rate: float) -> None:
    """SCALE's critic loses its mind after two steps, at every learning rate above the lowest."""
    step = GanScale.step

    def step_or_not(self: GanScale) -> dict[str, Tensor]:
        adam = self.optimizers["critic_optimizer"].optimizer
        taken = max((int(state["step"]) for state in adam.state.values()), default=0)
        with monkeypatch.context() as patch:
            if self.scale == SCALE and taken >= 2 and adam.param_groups[0]["lr"] > lowest_rate:
                patch.setattr(ourgan, "critic_loss", lambda real, _fake: real.mean() * math.nan)
            return step(self)

    monkeypatch.setattr(GanScale, "step", step_or_not)


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, dict):
        return [tensor for inner in value.values() for tensor in tensors(inner)]
    return [value] if isinstance(value, Tensor) else []


def test_a_scale_that_diverges_starts_once_more_and_slower(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    diverge(monkeypatch, lowest_rate=RATE / 2)
    with caplog.at_level(logging.WARNING):
        train_structure(start(tmp_path / "run"), photo, CONFIG)
    assert "structure scale 3 diverged (10 losses or gradients in a row were not finite)" in caplog.text
    saved = torch.load(tmp_path / "run" / "checkpoints" / f"structure-{SCALE}.pt", weights_only=True)
    rate = saved["scale_state"]["critic_optimizer"]["param_groups"][0]["lr"]
    assert rate == pytest.approx(RATE * scales.SECOND_TRY * CONFIG.final_rate)
    assert saved["step"] == CONFIG.gan_steps
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        state = torch.load(path, weights_only=True)
        assert all(t.isfinite().all() for t in tensors(state["model"]))
        assert all(t.isfinite().all() for t in tensors(state["scale_state"]))


def test_a_scale_that_diverges_twice_ends_the_training(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverge(monkeypatch, lowest_rate=0.0)
    with pytest.raises(DivergedError, match="not finite"):
        train_structure(start(tmp_path / "run"), photo, CONFIG)
    saved = torch.load(tmp_path / "run" / "checkpoints" / "structure.pt", weights_only=True)
    assert (saved["scale"], saved["step"]) == (SCALE - 1, CONFIG.vae_steps)  # the last good state
    assert all(t.isfinite().all() for t in tensors(saved["model"]))


@pytest.mark.parametrize("stop_after", [14, 25])  # while it diverges; in the second try
def test_a_scale_that_diverged_resumes_exactly(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    config = replace(CONFIG, scales=SCALE + 1)
    diverge(monkeypatch, lowest_rate=RATE / 2)
    whole = train_structure(start(tmp_path / "whole"), photo, config)

    with interrupted_after(stop_after), pytest.raises(KeyboardInterrupt):
        train_structure(start(tmp_path / "part"), photo, config)
    part = train_structure(resume(tmp_path / "part"), photo, config)
    for one, other in zip(tensors(whole.state_dict()), tensors(part.state_dict()), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_of_patch_gan_scales(monkeypatch: pytest.MonkeyPatch, precision: Any) -> None:
    config = replace(CONFIG, precision=precision)
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    expected = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    assert ourgan.working_dtype(config, cpu) == expected
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert ourgan.working_dtype(config, cpu) == torch.float32


def test_what_the_paper_leaves_to_the_reference(photo: Photo) -> None:
    """HP-VAE-GAN: blocks of the encoder lie behind a first one, noise is divided by the batch size, and the
    critic's gradients are not clipped.
    """
    encoder = Encoder(8, 4, PAPER.structure.encoder_blocks)
    assert sum(isinstance(layer, CoordConv2d) for layer in encoder.blocks) == 3

    def scale(batch: int) -> GanScale:
        torch.manual_seed(0)
        config = replace(CONFIG, batch=batch, critic_clip=None)
        model = StructureModel(config, photo.height, photo.width, torch.device("cpu"))
        return GanScale(model, structure_pyramid(photo, model.sizes), SCALE, None)

    one, two = scale(1), scale(2)
    rmse = F.mse_loss(one.reconstruction_below, one.real).sqrt()
    assert one.model.deviations[SCALE] == pytest.approx(CONFIG.noise * float(rmse))
    assert two.model.deviations[SCALE] == pytest.approx(one.model.deviations[SCALE] / 2)
    assert one.optimizers["generator_optimizer"].clip == CONFIG.clip
    assert one.optimizers["critic_optimizer"].clip == math.inf


def test_reconstructions_vary_by_their_noise_alone(photo: Photo) -> None:
    torch.manual_seed(0)
    model = StructureModel(CONFIG, photo.height, photo.width, torch.device("cpu"))
    pyramid = structure_pyramid(photo, model.sizes)
    one, other = model.reconstruct(pyramid, 2)
    assert torch.equal(one, other)  # without noise
    model.deviations = [1.0, 0.0, 0.5, 0.5]
    one, other = model.reconstruct(pyramid, 2)
    assert one.shape == (3, *model.sizes[-1])
    assert not torch.equal(one, other)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1


def test_the_noises_of_the_reconstruction_are_the_posteriors_mean_and_zeros(photo: Photo) -> None:
    """And asking for them changes nothing: spectral norms turn in training mode, at every call."""
    torch.manual_seed(0)
    model = StructureModel(CONFIG, photo.height, photo.width, torch.device("cpu"))
    pyramid = structure_pyramid(photo, model.sizes)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    random = torch.get_rng_state()
    z0, *rest = model.reconstruction_noises(pyramid, 3)
    assert model.encoder.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())
    assert torch.equal(z0, model.encoder.eval()(pyramid[0])[0])
    assert [tuple(z.shape[2:]) for z in rest] == model.sizes[1:3]
    assert not any(z.any() for z in rest)


def test_every_finished_scale_logs_the_error_of_its_reconstruction(photo: Photo, tmp_path: Path) -> None:
    """In levels of 8 bits, of the weights that stay: the average."""
    model = train_structure(start(tmp_path / "run"), photo, ALL_THREE)
    pyramid = structure_pyramid(photo, model.sizes)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    logged = {line["phase"]: line for line in lines if "reconstruction_levels" in line}
    assert list(logged) == [f"structure-{m}" for m in range(ALL_THREE.scales)]
    last = ALL_THREE.scales - 1
    with torch.no_grad():
        picture = model.network(model.reconstruction_noises(pyramid, last + 1))
    difference = 127.5 * (picture.clamp(-1, 1) - pyramid[last].clamp(-1, 1))
    entry = logged[f"structure-{last}"]
    assert entry["step"] == ALL_THREE.steps(last)
    assert entry["reconstruction_levels"] == pytest.approx(float(difference.square().mean().sqrt()), rel=1e-4)


def test_scales_between_the_first_and_the_newest_stay(photo: Photo) -> None:
    """Algorithm 1: patch-VAE scale m updates E, G_0 and G_m."""
    torch.manual_seed(0)
    config = replace(CONFIG, vae_scales=3)
    model = StructureModel(config, photo.height, photo.width, torch.device("cpu"))
    scale = VaeScale(model, structure_pyramid(photo, model.sizes), 2)
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    scale.step()
    changed = {n.split(".")[1] for n, p in model.network.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"0", "2"}
    rates = [group["lr"] for group in scale.optimizers["optimizer"].optimizer.param_groups]
    assert rates == pytest.approx([RATE * 0.04, RATE * 0.04, RATE])  # E, G_0, G_2


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_the_loop_of_the_benchmark_trains_the_same_networks(padding: Any) -> None:
    torch.manual_seed(0)
    config = replace(CONFIG, padding=padding)
    pairs = [
        (Generator(3, config.channels, config.layers, padding=padding), plain_generator(1, config)),
        (PatchCritic(config.channels, config.layers, padding=padding), plain_critic(config)),
    ]
    x = torch.randn(1, 3, 9, 13)
    for ours, plain in pairs:
        with torch.no_grad():
            for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
                other.copy_(one)
            buffers = [b for name, b in plain.named_buffers() if "parametrizations" in name]
            for one, other in zip(ours.buffers(), buffers, strict=True):
                other.copy_(one)
        assert torch.allclose(ours(x), plain(x), atol=1e-5)


ALL_THREE = replace(
    CONFIG, scales=4, gan_steps=10, averaging=4, final_share=0.3, final_rate=0.1, upsampling="bicubic"
)


def generator_weights(state: dict[str, Tensor], scale: int) -> dict[str, Tensor]:
    prefix = f"generators.{scale}."
    return {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}


def test_averaged_weights_follow_the_last_steps(photo: Photo) -> None:
    torch.manual_seed(0)
    model = StructureModel(ALL_THREE, photo.height, photo.width, torch.device("cpu"))
    scale = GanScale(model, structure_pyramid(photo, model.sizes), SCALE, None)
    expected: list[Tensor] = []
    for done in range(1, 8):
        scale.step()
        weights = [p.detach().clone() for p in scale.generator.parameters()]
        share = 1 / min(done, ALL_THREE.averaging)
        before = expected or weights
        expected = [mean * (1 - share) + p * share for mean, p in zip(before, weights, strict=True)]
    for mean, value in zip(scale.average.parameters(), expected, strict=True):
        assert torch.allclose(mean, value, atol=1e-6)
    assert any(not torch.equal(p, q) for p, q in zip(weights, expected, strict=True))
    for _ in range(2):  # twice is once
        scale.finish()
        for value, mean in zip(model.network.generators[SCALE].parameters(), expected, strict=True):
            assert torch.allclose(value, mean, atol=1e-6)


def test_averaged_weights_are_the_frozen_scale_below_the_next(photo: Photo, tmp_path: Path) -> None:
    model = train_structure(start(tmp_path / "run"), photo, ALL_THREE)
    final = model.network.state_dict()
    for m in (SCALE, SCALE + 1):
        saved = torch.load(tmp_path / "run" / "checkpoints" / f"structure-{m}.pt", weights_only=True)
        at_its_end = generator_weights(saved["model"]["network"], m)
        averages = saved["scale_state"]["average"]
        assert at_its_end.keys() == averages.keys()
        for name, mean in averages.items():
            assert torch.equal(at_its_end[name], mean)
            assert torch.equal(generator_weights(final, m)[name], mean)


def test_averaging_one_step_is_none(photo: Photo, tmp_path: Path) -> None:
    config = replace(ALL_THREE, averaging=1)
    last: dict[int, list[Tensor]] = {}

    class Recording(GanScale):
        def finish(self) -> None:
            last[self.scale] = [p.detach().clone() for p in self.generator.parameters()]
            super().finish()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ourgan, "GanScale", Recording)
        model = train_structure(start(tmp_path / "run"), photo, config)
    assert set(last) == {SCALE, SCALE + 1}
    for m, weights in last.items():
        for ours, raw in zip(model.network.generators[m].parameters(), weights, strict=True):
            assert torch.equal(ours, raw)


def test_the_last_steps_of_a_scale_are_smaller(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    for kind, name in ((VaeScale, "optimizer"), (GanScale, "critic_optimizer")):

        def recording(self: Any, step: Any = kind.step, name: str = name) -> dict[str, Tensor]:
            rates.append(self.optimizers[name].optimizer.param_groups[-1]["lr"])
            return step(self)

        monkeypatch.setattr(kind, "step", recording)
    config = replace(ALL_THREE, vae_steps=10, scales=SCALE + 1)
    train_structure(start(tmp_path / "run"), photo, config)
    vae_0 = config.learning_rate
    assert rates == pytest.approx(([vae_0] * 7 + [vae_0 / 10] * 3) * 3)
    assert [config.final_step(m) for m in range(3)] == [7] * 3
    assert replace(config, final_share=0.0).final_step(0) == config.vae_steps  # never comes


@pytest.mark.parametrize("stop_after", [6, 10, 15, 16, 18, 19, 20, 24])
def test_averages_and_rates_resume_exactly(photo: Photo, tmp_path: Path, stop_after: int) -> None:
    """Killed in the first GAN scale, about its last, slow steps, at its very end, and in the next."""
    whole = train_structure(start(tmp_path / "whole"), photo, ALL_THREE)
    with interrupted_after(stop_after), pytest.raises(KeyboardInterrupt):
        train_structure(start(tmp_path / "part"), photo, ALL_THREE)
    part = train_structure(resume(tmp_path / "part"), photo, ALL_THREE)
    for one, other in zip(tensors(whole.state_dict()), tensors(part.state_dict()), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("how", "aligned"), [("bilinear", True), ("bicubic", False)])
def test_enlargement_between_scales(photo: Photo, how: Any, aligned: bool) -> None:
    """What scales are enlarged by, in sampling and in training alike."""
    torch.manual_seed(0)
    config = replace(ALL_THREE, upsampling=how)
    model = StructureModel(config, photo.height, photo.width, torch.device("cpu"))
    network = model.network
    noises = model.noises(2)
    with torch.no_grad():
        coarse = network.start(noises[0])
        up = F.interpolate(coarse, size=model.sizes[1], mode=how, align_corners=aligned)
        assert torch.equal(network(noises), up + network.generators[1](up + noises[1]))

        pyramid = structure_pyramid(photo, model.sizes)
        scale = GanScale(model, pyramid, SCALE, None)
        below = network(model.reconstruction_noises(pyramid, SCALE))
        up = F.interpolate(below, size=model.sizes[SCALE], mode=how, align_corners=aligned)
        assert torch.equal(scale.reconstruction_below, up)


def test_the_last_checkpoint_of_a_scale_is_the_finished_one(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run killed between its last step and the average must not leave a checkpoint that looks finished."""
    save, ends = Run.save_checkpoint, []

    def watching_save(self: Run, name: str, state: Any) -> None:
        save(self, name, state)
        if name == "structure" and state["step"] == ALL_THREE.steps(state["scale"]):
            ends.append(state["scale"])

    monkeypatch.setattr(Run, "checkpoint_due", lambda *_, **__: True)  # after every step
    monkeypatch.setattr(Run, "save_checkpoint", watching_save)
    train_structure(start(tmp_path / "whole"), photo, ALL_THREE)
    assert ends == list(range(ALL_THREE.scales))
