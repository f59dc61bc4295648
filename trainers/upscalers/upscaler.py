"""Steps 2 and 3: training one upscaler on patches of pictures and of their own reductions."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import grid_pattern_loss, patch_statistics_loss, relativistic_loss
from ..networks import Upscaler, UpscalerDiscriminator, UpscalerSize, make_upscaler
from ..networks.rrdb import SCALE
from ..perceptual import Perceptual
from ..photo import reduce
from ..presets import UpscalerConfig
from ..runs.run import METRICS_EVERY, Run, RunError, place
from ..runs.stability import DivergedError, DriftWatch, GuardedOptimizer
from .patches import Batch, Patches, crop

log = logging.getLogger(__name__)

VALIDATE_EVERY = 500  # steps
WARM_UP = 20  # steps of each phase over which a fading learning rate rises first
WARM_UP_OF_DISCRIMINATOR = 100  # steps that it learns alone, where its gradient has a share
MOST_RETREATS = 2  # to the last checkpoint, each time with half the learning rate
DRIFT, HARMLESS_ERROR = 4.0, 0.05  # see DriftWatch; mean absolute error in [0, 1]

Metrics = dict[str, Tensor]
Validation = Callable[[Upscaler], Mapping[str, float]]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradients flow through ``module``, but not to its weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


class UpscalerTraining:
    """One upscaler's optimisation: L1 first, then L1, what makes it look right, and a relativistic GAN.

    What makes it look right are VGG19's features, as in the paper, where there are weights for them; else the
    statistics of patches and, where there are weights for that, the distance LPIPS.
    """

    def __init__(
        self,
        config: UpscalerConfig,
        size: UpscalerSize,
        steps: tuple[int, int],
        patches: Patches,
        perceptual: Perceptual | None,
    ) -> None:
        """``steps``: of the L1 phase and of the adversarial one."""
        self.config, self.patches, self.perceptual = config, patches, perceptual
        self.l1_steps, self.gan_steps = steps
        discriminator = UpscalerDiscriminator(config.discriminator_channels, config.discriminator_levels)
        self.generator = place(make_upscaler(size), patches.device)
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

    def start_from(self, network: Upscaler) -> None:
        """Takes the weights of another network of the same size."""
        for own in (self.generator, self.average):
            own.load_state_dict(network.state_dict())

    def step(self) -> Metrics:
        """One step of the phase that is on.

        Raises:
            DivergedError: training has run away.
        """
        self._set_learning_rate()
        batch = self.patches(self.done)
        fake = crop(self._run(self.generator, batch.low), SCALE * self.config.margin)
        if self.done < self.l1_steps:
            metrics = self._train_l1(fake, batch)
        elif self.config.adversarial_share == 0:
            loss, metrics = self._guide(fake, batch)
            self.generator_optimizer.step(loss)
        else:
            metrics = self._train_discriminator(fake.detach(), batch.high)
            metrics |= self._train_adversarial(fake, batch)
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

    def _train_l1(self, fake: Tensor, batch: Batch) -> Metrics:
        reconstruction = reconstruction_loss(fake, batch)
        self.generator_optimizer.step(reconstruction)
        return {"reconstruction": reconstruction.detach()}

    def _train_discriminator(self, fake: Tensor, high: Tensor) -> Metrics:
        real_scores, fake_scores = (self._run(self.discriminator, x) for x in (high, fake))
        loss = (
            relativistic_loss(real_scores, fake_scores, 1) + relativistic_loss(fake_scores, real_scores, 0)
        ) / 2
        self.discriminator_optimizer.step(loss)
        return {"discriminator": loss.detach()}

    def _train_adversarial(self, fake: Tensor, batch: Batch) -> Metrics:
        with torch.no_grad():
            real_scores = self._run(self.discriminator, batch.high)
        with frozen(self.discriminator):
            fake_scores = self._run(self.discriminator, fake)
        adversarial = (
            relativistic_loss(fake_scores, real_scores, 1) + relativistic_loss(real_scores, fake_scores, 0)
        ) / 2
        guided, metrics = self._guide(fake, batch)
        if self.config.adversarial_share is None:
            loss = guided + self.config.adversarial * adversarial
        elif self.done - self.l1_steps < WARM_UP_OF_DISCRIMINATOR:
            loss = guided
        else:
            loss = with_share(fake, guided, adversarial, self.config.adversarial_share)
        self.generator_optimizer.step(loss)
        return {**metrics, "adversarial": adversarial.detach()}

    def _guide(self, fake: Tensor, batch: Batch) -> tuple[Tensor, Metrics]:
        """The generator's loss without the adversarial one."""
        config = self.config
        reconstruction = reconstruction_loss(fake, batch)
        metrics = {"reconstruction": reconstruction.detach()}
        perceptual = self._perceive(fake, batch)
        if perceptual is not None:
            metrics["perceptual"] = perceptual.detach()
            if self.perceptual is not None and self.perceptual.replaces_statistics:
                loss = config.reconstruction * reconstruction + config.perceptual * perceptual
                return loss, metrics
        statistics = patch_statistics_loss(fake, batch.high)
        pattern = grid_pattern_loss(fake, batch.high)
        metrics |= {"patch_statistics": statistics.detach(), "grid_pattern": pattern.detach()}
        noisy = self.patches.noise > 0
        weight = config.noisy_reconstruction_alone if noisy else config.reconstruction_alone
        loss = weight * reconstruction + config.patch_statistics_alone * statistics
        loss = loss + config.grid_pattern_alone * pattern
        return (loss if perceptual is None else loss + config.lpips * perceptual), metrics

    def _perceive(self, fake: Tensor, batch: Batch) -> Tensor | None:
        """The perceptual loss, of what has a counterpart: of all, or of one random part, which is faster."""
        matched = batch.matched.flatten() == 1
        if self.perceptual is None or not matched.any():
            return None
        fake, real = fake[matched], batch.high[matched]
        if self.config.perceptual_side is not None:
            side = min(self.config.perceptual_side, *fake.shape[2:])
            which = int(torch.randint(len(fake), ()))
            y, x = (int(torch.randint(n - side + 1, ())) for n in fake.shape[2:])
            part = (slice(which, which + 1), slice(None), slice(y, y + side), slice(x, x + side))
            fake, real = fake[part], real[part]
        with torch.autocast(fake.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            loss: Tensor = self.perceptual(fake, real)
        return loss.float()

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


def reconstruction_loss(fake: Tensor, batch: Batch) -> Tensor:
    """L1 to what should have come out; to what went in, after a reduction, where nobody knows what should."""
    loss = (fake - batch.high).abs().mean((1, 2, 3), keepdim=True)
    if bool((batch.matched == 1).all()):
        return loss.mean()
    reduced = reduce(fake, *batch.inner.shape[2:])
    consistency = (reduced - batch.inner).abs().mean((1, 2, 3), keepdim=True)
    return torch.where(batch.matched == 1, loss, consistency).mean()


def with_share(fake: Tensor, guided: Tensor, adversarial: Tensor, share: float) -> Tensor:
    """A loss of the value of ``guided``; its gradient has as much of ``adversarial``'s as ``share`` says.

    That one's weight is chosen so that at the picture ``fake`` its gradient is ``share`` times as long as
    that of ``guided``: with a fixed weight it was from 0.1 to 4 times.
    """
    own, pushed = (torch.autograd.grad(loss, fake, retain_graph=True)[0] for loss in (guided, adversarial))
    gradient = own + share * own.norm() / (pushed.norm() + 1e-12) * pushed
    product = (fake * gradient).sum()
    return guided.detach() + product - product.detach()


def train_upscaler(
    run: Run, name: str, training: UpscalerTraining, validate: Validation | None = None
) -> Upscaler:
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
    batch = training.patches(training.done)
    low, high = batch.low[:count], batch.high[:count]
    margin = SCALE * training.config.margin
    enlarged = crop(F.interpolate(low, scale_factor=float(SCALE), mode="nearest"), margin)
    rows = torch.stack([enlarged, crop(training.average(low), margin), high], 1).flatten(0, 1)
    run.save_samples(name, rows, columns=3)
