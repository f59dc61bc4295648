"""Steps 2 and 3: training upscalers on patches of pictures and of their own reductions.

A fit has two networks of one kind: ``later`` (clean input; passes 2, 3, ...) is trained first; ``first``
(input with noise, for the structure's picture) starts from its weights. Where they start from nothing they
take Algorithm 2's two phases, on the one photograph; where they start from pre-trained weights Algorithm 3's,
which is the second of them, after as many L1 steps as the preset says (none in the paper). Where only the
later one has pre-trained weights, the first still takes both phases: it has yet to learn about noise.
:mod:`trainers.pretrain` trains one on any number of photographs.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import patch_statistics_loss, relativistic_loss
from ..networks import RRDBNet, UpscalerDiscriminator
from ..networks.rrdb import SCALE
from ..networks.vgg import VGGFeatures
from ..photo import Photo, reduce, smallest_long_side, to_float
from ..presets import UpscalerConfig
from ..runs.run import METRICS_EVERY, Run, RunError, place
from ..runs.stability import DivergedError, DriftWatch, GuardedOptimizer

log = logging.getLogger(__name__)

VALIDATE_EVERY = 500  # steps
WARM_UP = 20  # steps of each phase over which a fading learning rate rises first
MOST_RETREATS = 2  # to the last checkpoint, each time with half the learning rate
DRIFT, HARMLESS_ERROR = 4.0, 0.05  # see DriftWatch; mean absolute error in [0, 1]

Metrics = dict[str, Tensor]
Validation = Callable[[RRDBNet], Mapping[str, float]]


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


def later_sizes(photo: Photo, structure_long: int, patch: int, held_out: float = 0.0) -> list[int]:
    """Long sides for the later passes.

    The photograph's own, and every half octave down to what pass 1 makes, or as far as patches fit beside
    the part held out.
    """
    native = max(photo.height, photo.width)
    smallest = max(SCALE * structure_long, smallest_long_side(photo, patch, held_out))
    sizes = [native / 2 ** (i / 2) for i in range(12)]
    return [round(s) for s in sizes if s >= smallest] or [native]


def first_sizes(photo: Photo, structure_long: int, patch: int, held_out: float = 0.0) -> list[int]:
    """Long sides for pass 1: around 4 x the structure's, as the photograph allows."""
    native = max(photo.height, photo.width)
    smallest = smallest_long_side(photo, patch, held_out)
    return [round(min(max(SCALE * structure_long * f, smallest), native)) for f in (0.8, 1.0, 1.25)]


class Patches:
    """Random aligned patches, mirrored at random (step T of the paper's algorithms).

    ``pairs`` gives the pictures to cut them from at a step. With ``turned`` they are also turned by right
    angles, as ESRGAN does; not where what is learned is one photograph, which has an above and a below.
    """

    def __init__(
        self,
        pairs: Callable[[int], Sequence[Pair]],
        config: UpscalerConfig,
        noise: float,
        device: torch.device,
        *,
        turned: bool = False,
    ) -> None:
        self.pairs, self.config, self.noise, self.device = pairs, config, noise, device
        self.turned = turned

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Low (batch, 3, patch / 4, patch / 4) with noise added, high (batch, 3, patch, patch)."""
        pairs = self.pairs(step)
        size = self.config.patch // SCALE
        lows, highs = [], []
        for which in torch.randint(len(pairs), (self.config.batch,)).tolist():
            pair = pairs[which]
            y, x = (int(torch.randint(n - size + 1, ())) for n in pair.low.shape[1:])
            low = pair.low[:, y : y + size, x : x + size]
            high = pair.high[:, SCALE * y : SCALE * (y + size), SCALE * x : SCALE * (x + size)]
            if torch.rand(()) < 0.5:
                low, high = low.flip(-1), high.flip(-1)
            if self.turned:
                quarters = int(torch.randint(4, ()))
                low, high = (torch.rot90(picture, quarters, (1, 2)) for picture in (low, high))
            lows.append(low)
            highs.append(high)
        low = torch.stack(lows).to(self.device)
        high = to_float(torch.stack(highs).to(self.device))
        low = low + torch.randn_like(low) * self.noise
        return channels_last(low), channels_last(high)


def channels_last(x: Tensor) -> Tensor:
    """``x`` in the memory layout that convolutions on processors and tensor cores like."""
    return x.contiguous(memory_format=torch.channels_last)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradients flow through ``module``, but not to its weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


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
        self.average = copy.deepcopy(self.generator).requires_grad_(False)  # of its weights: the result
        self.generator_optimizer, self.discriminator_optimizer = (
            GuardedOptimizer(torch.optim.Adam(module.parameters(), config.learning_rate, config.betas))
            for module in (self.generator, self.discriminator)
        )
        self.drift = DriftWatch(DRIFT, HARMLESS_ERROR)
        self.done = 0  # steps
        self.retreats = 0

    @property
    def steps(self) -> int:
        return self.l1_steps + self.gan_steps

    def start_from(self, network: RRDBNet) -> None:
        """Takes the weights of another network of the same size."""
        for own in (self.generator, self.average):
            own.load_state_dict(network.state_dict())

    def step(self) -> Metrics:
        """One step of the phase that is on.

        Raises:
            DivergedError: training has run away.
        """
        self._set_learning_rate()
        low, high = self.patches(self.done)
        fake = self._run(self.generator, low)
        if self.done < self.l1_steps:
            metrics = self._train_l1(fake, high)
        else:
            metrics = self._train_discriminator(fake.detach(), high)
            metrics |= self._train_adversarial(fake, high)
        self.drift.update(float(metrics["reconstruction"]))
        self.done += 1
        self._update_average()
        return metrics

    def _run(self, network: nn.Module, x: Tensor) -> Tensor:
        """``network(x)``, float32, with convolutions in the configured precision."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            y: Tensor = network(x)
        return y.float()

    @torch.no_grad()
    def _update_average(self) -> None:
        weight = 1 / min(self.done, self.config.averaging)
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, weight)

    def _set_learning_rate(self) -> None:
        config, adversarial = self.config, self.done >= self.l1_steps
        rate = config.gan_learning_rate if adversarial else config.learning_rate
        if config.halvings is None:
            start, length = (self.l1_steps, self.gan_steps) if adversarial else (0, self.l1_steps)
            done = self.done - start
            rate *= min(1.0, (done + 1) / WARM_UP) * (1 + math.cos(math.pi * done / length)) / 2
        else:
            rate *= 0.5 ** sum(self.done >= self.steps * share for share in config.halvings)
        for guarded in (self.generator_optimizer, self.discriminator_optimizer):
            for group in guarded.optimizer.param_groups:
                group["lr"] = rate * 0.5**self.retreats

    def _train_l1(self, fake: Tensor, high: Tensor) -> Metrics:
        reconstruction = F.l1_loss(fake, high)
        self.generator_optimizer.step(reconstruction)
        return {"reconstruction": reconstruction.detach()}

    def _train_discriminator(self, fake: Tensor, high: Tensor) -> Metrics:
        real_scores, fake_scores = (self._run(self.discriminator, x) for x in (high, fake))
        loss = (
            relativistic_loss(real_scores, fake_scores, 1) + relativistic_loss(fake_scores, real_scores, 0)
        ) / 2
        self.discriminator_optimizer.step(loss)
        return {"discriminator": loss.detach()}

    def _train_adversarial(self, fake: Tensor, high: Tensor) -> Metrics:
        reconstruction = F.l1_loss(fake, high)
        with torch.no_grad():
            real_scores = self._run(self.discriminator, high)
        with frozen(self.discriminator):
            fake_scores = self._run(self.discriminator, fake)
        adversarial = (
            relativistic_loss(fake_scores, real_scores, 1) + relativistic_loss(real_scores, fake_scores, 0)
        ) / 2
        metrics = {"reconstruction": reconstruction.detach(), "adversarial": adversarial.detach()}
        loss = self.config.adversarial * adversarial
        if self.vgg is None:
            statistics = patch_statistics_loss(fake, high)
            metrics["patch_statistics"] = statistics.detach()
            noisy = self.patches.noise > 0
            weight = self.config.noisy_reconstruction_alone if noisy else self.config.reconstruction_alone
            loss = loss + weight * reconstruction + self.config.patch_statistics_alone * statistics
        else:
            perceptual = F.l1_loss(self._run(self.vgg, fake), self._run(self.vgg, high))
            metrics["perceptual"] = perceptual.detach()
            loss = loss + self.config.reconstruction * reconstruction + self.config.perceptual * perceptual
        self.generator_optimizer.step(loss)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {**parts, "step": self.done, "retreats": self.retreats}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.done, self.retreats = state["step"], state["retreats"]

    def _parts(self) -> dict[str, nn.Module | GuardedOptimizer | DriftWatch]:
        return {
            "average": self.average,
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            "drift": self.drift,
        }


def train_upscalers(
    run: Run,
    photo: Photo,
    config: UpscalerConfig,
    structure_long: int,
    *,
    vgg: VGGFeatures | None = None,
    init: RRDBNet | None = None,
    init_first: RRDBNet | None = None,
) -> tuple[RRDBNet, RRDBNet]:
    """Trains both upscalers, from where the run's checkpoints stand; returns (first, later).

    ``structure_long`` is the long side of the structure's finest scale; ``vgg``: perceptual features for the
    adversarial phase, where weights for them were given. ``init`` and ``init_first``: pre-trained networks of
    the configuration's size that the later and the first one start from.
    """
    limits = (structure_long, config.patch, config.held_out)

    def train(
        name: str, sizes: list[int], noise: float, steps: tuple[int, int], start: RRDBNet | None
    ) -> RRDBNet:
        pairs = make_pairs(photo, sizes, config.held_out)
        patches = Patches(lambda _: pairs, config, noise, run.device)
        training = UpscalerTraining(config, *steps, patches, vgg)
        if start is not None:
            training.start_from(start)
        return train_upscaler(run, name, training)

    steps = config.steps(pretrained=init is not None)
    later = train("upscaler-later", later_sizes(photo, *limits), 0.0, steps, init)
    steps = config.steps(pretrained=init_first is not None, share=config.first_share)
    first = train("upscaler-first", first_sizes(photo, *limits), config.noise, steps, init_first or later)
    return first, later


def train_upscaler(
    run: Run, name: str, training: UpscalerTraining, validate: Validation | None = None
) -> RRDBNet:
    """Trains one upscaler to its end, from where the run's checkpoint ``name`` stands.

    The state after the L1 phase stays in checkpoint NAME-l1. ``validate`` adds to the metrics now and then.
    Where training diverges it goes back to the last checkpoint, and on from there more slowly.

    Raises:
        RunError: it diverged there, too.
    """
    saved = run.load_checkpoint(name)
    if saved is None:
        run.save_checkpoint(name, training.state_dict())  # what can be gone back to
    else:
        training.load_state_dict(saved)
    if training.done == training.steps:
        return training.average
    while training.done < training.steps:
        _train(run, name, training, validate)
    with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
        _save_samples(run, name, training)
    run.save_checkpoint(name, training.state_dict())
    return training.average


def _train(run: Run, name: str, training: UpscalerTraining, validate: Validation | None) -> None:
    """Trains to the end, or until it has diverged and gone back."""
    run.forget_metrics(name, training.done)
    with run.progress(name.replace("-", " "), training.done, training.steps) as bar:
        while training.done < training.steps:
            step = training.done
            try:
                metrics: dict[str, Tensor | float] = {**training.step()}
            except DivergedError as e:
                _retreat(run, name, training, e)
                return
            phase_ended = training.done in (training.l1_steps, training.steps)
            if validate is not None and (phase_ended or training.done % VALIDATE_EVERY == 0):
                metrics |= validate(training.average)
            if phase_ended or training.done % VALIDATE_EVERY == 0 or step % METRICS_EVERY == 0:
                run.metrics(name, step, metrics)
            if training.done == training.l1_steps:
                run.save_checkpoint(f"{name}-l1", training.state_dict())
            if training.done == training.l1_steps or run.checkpoint_due(sound=not training.drift.rising):
                run.save_checkpoint(name, training.state_dict())
            bar.update()


def _retreat(run: Run, name: str, training: UpscalerTraining, error: DivergedError) -> None:
    """Sets ``training`` back to its last checkpoint, with half the learning rate from there on."""
    step, retreats = training.done, training.retreats + 1
    saved = run.load_checkpoint(name)
    if saved is None or retreats > MOST_RETREATS:
        raise RunError(
            f"{name} diverged at step {step}: {error}; the last good state is in {run.checkpoint_path(name)}"
        ) from error
    training.load_state_dict(saved)
    training.retreats = retreats
    run.save_checkpoint(name, training.state_dict())
    log.warning(
        "%s diverged at step %d (%s): going on from step %d at half the learning rate",
        *(name, step, error, training.done),
    )


@torch.no_grad()
def _save_samples(run: Run, name: str, training: UpscalerTraining, count: int = 4) -> None:
    """Rows of: input (enlarged by repetition), output, photograph."""
    low, high = (x[:count] for x in training.patches(training.done))
    enlarged = F.interpolate(low, scale_factor=float(SCALE), mode="nearest")
    rows = torch.stack([enlarged, training.average(low), high], 1).flatten(0, 1)
    run.save_samples(name, rows, columns=3)
