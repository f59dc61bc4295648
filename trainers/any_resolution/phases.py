"""Any-resolution training: phase 1 on whole pictures at one scale, phase 2 on patches at every scale.

Phase 2 goes on with phase 1's weights. Half of its batches are whole pictures still; the rest are patches,
each generated where and at the scale at which a real one was cut. Phase 1's averaged generator is their
teacher: a patch, reduced, must show what it makes there, or pictures would fall apart with no critic to see
it.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.continuous import ContinuousCritic
from ..perceptual import Perceptual, load_perceptual
from ..runs.run import METRICS_EVERY, Run, RunError, place
from ..runs.stability import DivergedError, GuardedOptimizer
from ..upscalers.upscaler import frozen
from .losses import MULTISCALE, critic_loss, generator_loss, r1_penalty, teacher_loss
from .model import Generator, render_whole
from .pictures import PictureFolder
from .presets import PAPER_IMAGES, AnyConfig
from .views import Views, coordinates

log = logging.getLogger(__name__)

CHECKPOINT = "generator"
SAMPLES_EVERY = 1000  # steps
SHEET = 4  # latents on a sheet of samples, the same ones on all
LARGEST_SHEET = 512  # pixels of a sample's side

Metrics = dict[str, Tensor]


def join(one: Views, other: Views) -> Views:
    """Both, one after the other."""
    return Views(
        torch.cat([one.patches, other.patches]),
        torch.cat([one.origins, other.origins]),
        torch.cat([one.scales, other.scales]),
    )


def later(views: Views, first: int) -> Views:
    """Those from ``first`` on."""
    return Views(views.patches[first:], views.origins[first:], views.scales[first:])


class AnyTraining:
    """The generator's and the critic's optimisation, of both phases.

    All random numbers come from one generator of the CPU's, so that devices see the same.
    """

    def __init__(
        self,
        config: AnyConfig,
        pictures: PictureFolder,
        device: torch.device,
        perceptual: Perceptual | None,
        seed: int,
    ) -> None:
        self.config, self.pictures, self.device, self.perceptual = config, pictures, device, perceptual
        self.random = torch.Generator().manual_seed(seed)
        self.generator = place(Generator(config, pictures.largest), device)
        self.critic = place(ContinuousCritic(config.patch, config.critic_channels), device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)  # of its weights: the result
        self.teacher: Generator | None = None
        self.generator_optimizer, self.critic_optimizer = (
            GuardedOptimizer(torch.optim.Adam(module.parameters(), config.learning_rate, config.betas, 1e-8))
            for module in (self.generator, self.critic)
        )
        self.done = 0  # steps of both phases

    @property
    def steps(self) -> int:
        return self.config.whole_steps + self.config.patch_steps

    @property
    def in_patches(self) -> bool:
        """Whether phase 2 is on."""
        return self.done >= self.config.whole_steps

    def step(self) -> Metrics:
        """One step of the phase that is on.

        Raises:
            DivergedError: too many steps in a row were not finite.
        """
        if self.in_patches and self.teacher is None:
            self.teacher = copy.deepcopy(self.average)
        self._set_learning_rate()
        views = self._draw()
        latents = torch.randn(len(views.scales), self.config.latent, generator=self.random).to(self.device)
        real = views.patches.to(self.device, memory_format=torch.channels_last)
        fake = self._generate(self.generator, views.origins, views.scales, latents)
        metrics = self._train_critic(real, fake.detach())
        metrics |= self._train_generator(fake, views, latents)
        self.done += 1
        self._update_average()
        return metrics

    def _set_learning_rate(self) -> None:
        settling = self.config.settling * self.config.patch_steps  # steps
        left = self.steps - self.done
        rate = self.config.learning_rate * (left / settling if left < settling else 1.0)
        for guarded in (self.generator_optimizer, self.critic_optimizer):
            for group in guarded.optimizer.param_groups:
                group["lr"] = rate

    def _draw(self) -> Views:
        """What this step learns from: whole pictures before patches."""
        config = self.config
        if not self.in_patches:
            return self.pictures.whole(config.batch, self.random)
        whole = self.pictures.whole(config.whole_share, self.random)
        return join(whole, self.pictures.patches(config.batch - config.whole_share, self.random))

    def _generate(self, network: Generator, origins: Tensor, scales: Tensor, latents: Tensor) -> Tensor:
        """Patches by ``network`` at ``origins`` and ``scales``, float32."""
        config = self.config
        grid = coordinates(origins, scales, config.patch, config.stride, config.margin).to(self.device)
        with self._precision():
            return network(grid, scales.float().to(self.device), latents, config.margin)

    def _score(self, pictures: Tensor) -> Tensor:
        with self._precision():
            return self.critic(pictures)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _train_critic(self, real: Tensor, fake: Tensor) -> Metrics:
        # Each by itself: the critic compares the samples of a batch.
        scores, fake_scores = self._score(real), self._score(fake)
        loss = critic_loss(scores, fake_scores)
        metrics = {
            "critic": loss.detach(),
            "real": scores.detach().mean(),
            "fake": fake_scores.detach().mean(),
        }
        if self.done % self.config.r1_every == 0:
            penalty = r1_penalty(self.critic, real)
            metrics["r1"] = penalty.detach()
            loss = loss + self.config.r1 / 2 * self.config.r1_every * penalty
        self.critic_optimizer.step(loss)
        return metrics

    def _train_generator(self, fake: Tensor, views: Views, latents: Tensor) -> Metrics:
        with frozen(self.critic):
            loss = generator_loss(self._score(fake))
            metrics = {"generator": loss.detach()}
            if self.teacher is not None and self.config.teacher > 0:
                difference = self._against_teacher(fake, views, latents)
                metrics["teacher"] = difference.detach()
                loss = loss + self.config.teacher * difference
            self.generator_optimizer.step(loss)
        return metrics

    def _against_teacher(self, fake: Tensor, views: Views, latents: Tensor) -> Tensor:
        """The loss of the patches; whole pictures are free to become better than the teacher's."""
        assert self.teacher is not None  # noqa: S101 - phase 2 has one
        first, config = self.config.whole_share, self.config
        patches = later(views, first)
        whole = torch.zeros_like(patches.origins), torch.full_like(patches.scales, config.patch)
        with torch.no_grad():
            wanted = self._generate(self.teacher, *whole, latents[first:])
        return teacher_loss(fake[first:], patches, wanted, self.perceptual, config.lpips)

    @torch.no_grad()
    def _update_average(self) -> None:
        """Over the last steps, of which at first there are few that are any good."""
        weight = 1 / min(1 + self.done / 20, self.config.averaging)
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, weight)

    def state_dict(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        teacher = None if self.teacher is None else self.teacher.state_dict()
        random, largest = self.random.get_state(), self.pictures.largest
        return {**parts, "teacher": teacher, "random": random, "step": self.done, "largest": largest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["largest"] != self.pictures.largest:
            raise RunError(
                f"expected pictures of up to {state['largest']} pixels, as the run was started with; the "
                f"folder's have up to {self.pictures.largest}"
            )
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.teacher = None
        if state["teacher"] is not None:
            self.teacher = copy.deepcopy(self.average)
            self.teacher.load_state_dict(state["teacher"])
        self.random.set_state(state["random"].cpu())
        self.done = state["step"]

    def _parts(self) -> dict[str, nn.Module | GuardedOptimizer]:
        return {
            "average": self.average,
            "generator": self.generator,
            "critic": self.critic,
            "generator_optimizer": self.generator_optimizer,
            "critic_optimizer": self.critic_optimizer,
        }


def train_any(run: Run, pictures: PictureFolder, config: AnyConfig) -> Generator:
    """Trains both phases, from where the run's checkpoint stands; returns the averaged generator.

    The state after phase 1 stays in checkpoint generator-1. ``run.config`` has the seed, and under
    ``perceptual`` what LPIPS is read from, if there is any (:func:`trainers.perceptual.find_perceptual`).

    Raises:
        RunError: steps were not finite, time after time; or the checkpoint is of other pictures.
    """
    seed = run.config["seed"]
    torch.manual_seed(seed)  # of the networks' first weights
    training = AnyTraining(config, pictures, run.device, _perceptual(run, config), seed)
    saved = run.load_checkpoint(CHECKPOINT)
    if saved is not None:
        training.load_state_dict(saved)
    try:
        for first, last, name in (
            (0, config.whole_steps, "phase 1, whole pictures"),
            (config.whole_steps, training.steps, "phase 2, patches"),
        ):
            if training.done < last:
                _train(run, training, first, last, name)
    except DivergedError as e:
        raise RunError(
            f"training diverged at step {training.done}: {e}; the last good state is in "
            f"{run.checkpoint_path(CHECKPOINT)}"
        ) from e
    shown = training.done * config.batch
    log.info("%d images shown, 1 : %.0f of what the paper showed", shown, PAPER_IMAGES / max(shown, 1))
    return training.average


def _perceptual(run: Run, config: AnyConfig) -> Perceptual | None:
    record = run.config.get("perceptual") if config.lpips > 0 else None
    if record is None or record["kind"] == MULTISCALE:
        log.info("no perceptual features in the teacher's loss: L1 at several scales")
        return None
    return load_perceptual(record, run.device)


def _train(run: Run, training: AnyTraining, first: int, last: int, name: str) -> None:
    """One phase, from ``training.done`` to its ``last`` step."""
    phase = "whole" if first == 0 else "patches"
    run.forget_metrics(phase, training.done)
    with run.progress(name, training.done - first, last - first) as bar:
        while training.done < last:
            step = training.done
            metrics = training.step()
            if step % METRICS_EVERY == 0 or "r1" in metrics or training.done == last:
                images = float(training.done * training.config.batch)
                run.metrics(phase, step, {**metrics, "images": images})
            if training.done % SAMPLES_EVERY == 0 or training.done == last:
                save_samples(run, training.average, training.done)
            if training.done == training.config.whole_steps:
                run.save_checkpoint(f"{CHECKPOINT}-1", training.state_dict())
            if training.done == last or run.checkpoint_due():
                run.save_checkpoint(CHECKPOINT, training.state_dict())
            bar.update()


def save_samples(run: Run, generator: Generator, step: int) -> None:
    """A sheet of pictures of the same latents at each of several scales: samples/STEP-SCALEpx.png."""
    random = torch.Generator().manual_seed(run.config["seed"] + 1)
    latents = torch.randn(SHEET, generator.config.latent, generator=random).to(run.device)
    patch, largest = generator.size.patch, generator.size.largest
    for scale in sorted({min(side, largest, LARGEST_SHEET) for side in (patch, 2 * patch, largest)}):
        pictures = render_whole(generator, latents, scale)
        run.save_samples(f"{step:06d}-{scale}px", (pictures + 1) / 2, columns=SHEET)
