"""Steps 2 and 3: training the upscalers on patches of the photograph and of its own reductions.

Two networks of one kind: ``later`` (clean input; passes 2, 3, ...) is trained first; ``first`` (input with
noise, for the structure's picture) starts from its weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import relativistic_loss
from .networks import RRDBNet, UpscalerDiscriminator
from .networks.rrdb import SCALE
from .networks.vgg import VGGFeatures
from .photo import Photo, reduce, to_float
from .presets import UpscalerConfig
from .run import METRICS_EVERY, Run, place

Metrics = dict[str, Tensor]


@dataclass(frozen=True)
class Pair:
    """One reduction of the photograph and its own reduction by 4."""

    high: Tensor  # (3, 4h, 4w) uint8
    low: Tensor  # (3, h, w) float32 in [0, 1]


def make_pairs(photo: Photo, long_sides: list[int], held_out: float = 0.0) -> list[Pair]:
    """Training pairs at the given sizes (long side of the whole high-resolution picture, pixels).

    The right ``held_out`` of the width is left away.
    """
    full = to_float(photo.pixels)[None]
    ratio = 1 / max(photo.height, photo.width)
    pairs = []
    for long_side in long_sides:
        h, w = (max(1, round(n * ratio * long_side / SCALE)) for n in (photo.height, photo.width))
        high = reduce(full, h * SCALE, w * SCALE)[..., : SCALE * (w - math.ceil(w * held_out))]
        low = reduce(high, h, high.shape[-1] // SCALE)
        pairs.append(Pair((high[0] * 255).round().to(torch.uint8), low[0]))
    return pairs


def later_sizes(photo: Photo, structure_long: int, patch: int) -> list[int]:
    """Long sides for the later passes.

    The photograph's own, and every half octave down to what pass 1 makes, or as far as patches fit.
    """
    native = max(photo.height, photo.width)
    smallest = max(SCALE * structure_long, patch * native / min(photo.height, photo.width))
    sizes = [native / 2 ** (i / 2) for i in range(12)]
    return [round(s) for s in sizes if s >= smallest] or [native]


def first_sizes(photo: Photo, structure_long: int, patch: int) -> list[int]:
    """Long sides for pass 1: around 4 x the structure's, as the photograph allows."""
    native = max(photo.height, photo.width)
    smallest = patch * native / min(photo.height, photo.width)
    return [round(min(max(SCALE * structure_long * f, smallest), native)) for f in (0.8, 1.0, 1.25)]


class Patches:
    """Random aligned patches of the pairs, mirrored at random (step T of the paper's algorithms)."""

    def __init__(self, pairs: list[Pair], config: UpscalerConfig, noise: float, device: torch.device) -> None:
        self.pairs, self.config, self.noise, self.device = pairs, config, noise, device

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Low (batch, 3, patch / 4, patch / 4) with noise added, high (batch, 3, patch, patch)."""
        size = self.config.patch // SCALE
        lows, highs = [], []
        for which in torch.randint(len(self.pairs), (self.config.batch,)).tolist():
            pair = self.pairs[which]
            y, x = (int(torch.randint(n - size + 1, ())) for n in pair.low.shape[1:])
            low = pair.low[:, y : y + size, x : x + size]
            high = pair.high[:, SCALE * y : SCALE * (y + size), SCALE * x : SCALE * (x + size)]
            if torch.rand(()) < 0.5:
                low, high = low.flip(-1), high.flip(-1)
            lows.append(low)
            highs.append(high)
        low = torch.stack(lows).to(self.device)
        high = to_float(torch.stack(highs).to(self.device))
        low = low + torch.randn_like(low) * self.noise
        return channels_last(low), channels_last(high)


def channels_last(x: Tensor) -> Tensor:
    """``x`` in the memory layout that convolutions on processors and tensor cores like."""
    return x.contiguous(memory_format=torch.channels_last)


class UpscalerTraining:
    """One upscaler's optimisation: L1 first, then L1 + relativistic average GAN (+ perceptual)."""

    def __init__(
        self, config: UpscalerConfig, l1_steps: int, gan_steps: int, patches: Patches, vgg: VGGFeatures | None
    ) -> None:
        self.config, self.l1_steps, self.gan_steps = config, l1_steps, gan_steps
        self.patches, self.vgg = patches, vgg
        generator = RRDBNet(config.features, config.blocks, config.growth)
        discriminator = UpscalerDiscriminator(config.discriminator_channels, config.discriminator_levels)
        self.generator = place(generator, patches.device)
        self.discriminator = place(discriminator, patches.device)
        self.generator_optimizer, self.discriminator_optimizer = (
            torch.optim.Adam(module.parameters(), lr=config.learning_rate, betas=config.betas)
            for module in (self.generator, self.discriminator)
        )

    @property
    def steps(self) -> int:
        return self.l1_steps + self.gan_steps

    def step(self, step: int) -> Metrics:
        rate = self.config.learning_rate * 0.5 ** sum(step >= self.steps * h for h in self.config.halvings)
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate
        low, high = self.patches()
        fake = self.generator(low)
        if step < self.l1_steps:
            return self._train_l1(fake, high)
        discriminator_metrics = self._train_discriminator(fake.detach(), high)
        return {**discriminator_metrics, **self._train_adversarial(fake, high)}

    def _train_l1(self, fake: Tensor, high: Tensor) -> Metrics:
        reconstruction = F.l1_loss(fake, high)
        self._update_generator(reconstruction)
        return {"reconstruction": reconstruction.detach()}

    def _train_discriminator(self, fake: Tensor, high: Tensor) -> Metrics:
        real_scores, fake_scores = self.discriminator(high), self.discriminator(fake)
        loss = (
            relativistic_loss(real_scores, fake_scores, 1) + relativistic_loss(fake_scores, real_scores, 0)
        ) / 2
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.discriminator_optimizer.step()
        return {"discriminator": loss.detach()}

    def _train_adversarial(self, fake: Tensor, high: Tensor) -> Metrics:
        reconstruction = F.l1_loss(fake, high)
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            real_scores = self.discriminator(high)
        fake_scores = self.discriminator(fake)
        adversarial = (
            relativistic_loss(fake_scores, real_scores, 1) + relativistic_loss(real_scores, fake_scores, 0)
        ) / 2
        metrics = {"reconstruction": reconstruction.detach(), "adversarial": adversarial.detach()}
        loss = self.config.adversarial * adversarial
        if self.vgg is None:
            loss = loss + self.config.reconstruction_alone * reconstruction
        else:
            perceptual = F.l1_loss(self.vgg(fake), self.vgg(high))
            metrics["perceptual"] = perceptual.detach()
            loss = loss + self.config.reconstruction * reconstruction + self.config.perceptual * perceptual
        self._update_generator(loss)
        self.discriminator.requires_grad_(True)
        return metrics

    def _update_generator(self, loss: Tensor) -> None:
        self.generator_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.generator_optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])


def train_upscalers(
    run: Run, photo: Photo, config: UpscalerConfig, structure_long: int, vgg: VGGFeatures | None = None
) -> tuple[RRDBNet, RRDBNet]:
    """Trains both upscalers, from where the run's checkpoints stand; returns (first, later).

    ``structure_long`` is the long side of the structure's finest scale; ``vgg``: perceptual features for the
    adversarial phase, where weights for them were given.
    """
    pairs = make_pairs(photo, later_sizes(photo, structure_long, config.patch), config.held_out)
    patches = Patches(pairs, config, 0.0, run.device)
    training = UpscalerTraining(config, config.l1_steps, config.gan_steps, patches, vgg)
    later = _train(run, "upscaler-later", training)
    pairs = make_pairs(photo, first_sizes(photo, structure_long, config.patch), config.held_out)
    patches = Patches(pairs, config, config.noise, run.device)
    l1_steps, gan_steps = (round(n * config.first_share) for n in (config.l1_steps, config.gan_steps))
    training = UpscalerTraining(config, l1_steps, gan_steps, patches, vgg)
    training.generator.load_state_dict(later.state_dict())
    first = _train(run, "upscaler-first", training)
    return first, later


def _train(run: Run, name: str, training: UpscalerTraining) -> RRDBNet:
    saved = run.load_checkpoint(name)
    first_step = 0
    if saved is not None:
        training.load_state_dict(saved)
        first_step = saved["step"]
    run.forget_metrics(name, first_step)
    with run.progress(name.replace("-", " "), first_step, training.steps) as bar:
        for step in range(first_step, training.steps):
            metrics = training.step(step)
            if step % METRICS_EVERY == 0 or step == training.steps - 1:
                run.metrics(name, step, metrics)
            if run.checkpoint_due():
                run.save_checkpoint(name, {**training.state_dict(), "step": step + 1})
            bar.update()
    if first_step < training.steps:
        with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
            _save_samples(run, name, training)
        run.save_checkpoint(name, {**training.state_dict(), "step": training.steps})
    return training.generator


@torch.no_grad()
def _save_samples(run: Run, name: str, training: UpscalerTraining, count: int = 4) -> None:
    """Rows of: input (enlarged by repetition), output, photograph."""
    low, high = (x[:count] for x in training.patches())
    enlarged = F.interpolate(low, scale_factor=float(SCALE), mode="nearest")
    rows = torch.stack([enlarged, training.generator(low), high], 1).flatten(0, 1)
    run.save_samples(name, rows, columns=3)
