"""Step 1: training the structure network on one photograph (OUR-GAN, Algorithm 1)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .losses import critic_loss, gradient_penalty, kl_divergence
from .networks import Encoder, PatchCritic, Structure
from .networks.structure import upsample
from .photo import Photo, scale_sizes, structure_pyramid
from .presets import StructureConfig
from .run import METRICS_EVERY, Run, RunError, place

Metrics = dict[str, Tensor]


class StructureModel:
    """The structure network with what sampling needs: sizes, noise deviations; and its encoder."""

    def __init__(self, config: StructureConfig, height: int, width: int, device: torch.device) -> None:
        self.config = config
        self.sizes = scale_sizes(height, width, config.long_side, config.scales, config.factor)
        self.deviations = [1.0] + [0.0] * (config.scales - 1)  # z_m's, known once scale m is trained
        self.device = device
        vertical = config.vertical_coordinates
        network = Structure(config.scales, config.channels, config.layers, config.latent, vertical=vertical)
        self.network = place(network, device)
        encoder = Encoder(config.channels, config.latent, config.encoder_blocks, vertical=vertical)
        self.encoder = place(encoder, device)

    def noises(self, scales: int, count: int = 1) -> list[Tensor]:
        """Random z_0 .. z_{scales - 1} for ``count`` samples of the training size."""
        return [
            torch.randn(count, self.config.latent if m == 0 else 3, *self.sizes[m], device=self.device)
            * self.deviations[m]
            for m in range(scales)
        ]

    def reconstruction_noises(self, z0: Tensor, scales: int) -> list[Tensor]:
        """``z0`` (1, latent, H_0, W_0) from the encoder, then zeros."""
        return [z0] + [torch.zeros(1, 3, *self.sizes[m], device=self.device) for m in range(1, scales)]

    @torch.no_grad()
    def sample(self, scales: int, count: int) -> Tensor:
        """``count`` random pictures (N, 3, H, W) in [0, 1] after ``scales`` scales."""
        pictures = [self.network(self.noises(scales)) for _ in range(count)]
        return ((torch.cat(pictures) + 1) / 2).clamp(0, 1)

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "encoder": self.encoder.state_dict(),
            "deviations": self.deviations,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.encoder.load_state_dict(state["encoder"])
        self.deviations = list(state["deviations"])


class VaeScale:
    """Scales 0 .. L: encoder and all generators so far learn to reconstruct the photograph."""

    def __init__(self, model: StructureModel, pyramid: list[Tensor], scale: int) -> None:
        self.model, self.scale = model, scale
        self.real, self.coarse = pyramid[scale], pyramid[0]
        config, generators = model.config, model.network.generators
        groups: list[dict[str, Any]] = [{"params": model.encoder.parameters()}]
        groups += [
            {
                "params": generators[m].parameters(),
                "lr": config.learning_rate * config.lower_rate ** (scale - m),
            }
            for m in range(scale + 1)
        ]
        self.optimizer = torch.optim.Adam(groups, lr=config.learning_rate, betas=config.betas)

    def step(self) -> Metrics:
        model, config = self.model, self.model.config
        mean, log_variance = model.encoder(self.coarse)
        mean, log_variance = (t.expand(config.batch, -1, -1, -1) for t in (mean, log_variance))
        z0 = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        noises = model.reconstruction_noises(z0, self.scale + 1)
        picture = model.network.generators[0](z0)
        reconstruction = F.mse_loss(picture, self.coarse.expand_as(picture))
        for m in range(1, self.scale + 1):
            picture = model.network.step(m, picture, noises[m].expand(config.batch, -1, -1, -1))
        if self.scale > 0:
            reconstruction = reconstruction + F.mse_loss(picture, self.real.expand_as(picture))
        kl = kl_divergence(mean, log_variance)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(config.reconstruction * reconstruction + config.kl * kl)
        clip_gradients(self.optimizer, config.clip)
        self.optimizer.step()
        return {"reconstruction": reconstruction.detach(), "kl": kl.detach()}

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])


class GanScale:
    """Scales L + 1 .. M: one generator against one critic, everything below frozen."""

    def __init__(
        self, model: StructureModel, pyramid: list[Tensor], scale: int, critic: nn.Module | None
    ) -> None:
        self.model, self.scale = model, scale
        self.real = pyramid[scale]
        config = model.config
        self.generator = model.network.generators[scale]
        critic_network = PatchCritic(config.channels, config.layers, vertical=config.vertical_coordinates)
        self.critic = place(critic_network, model.device)
        if critic is not None:
            self.critic.load_state_dict(critic.state_dict())
        self.generator_optimizer, self.critic_optimizer = (
            torch.optim.Adam(module.parameters(), lr=config.learning_rate, betas=config.betas)
            for module in (self.generator, self.critic)
        )
        with torch.no_grad():  # the lower scales are frozen: their reconstruction is computed once
            model.encoder.eval()  # training mode would turn its spectral norms, at every resumption anew
            z0, _ = model.encoder(pyramid[0])
            below = model.network(model.reconstruction_noises(z0, scale))
            self.reconstruction_below = upsample(below, self.real)
        rmse = F.mse_loss(self.reconstruction_below, self.real).sqrt()
        model.deviations[scale] = config.noise * float(rmse)

    def step(self) -> Metrics:
        reconstructed, fake = self._generate()
        critic_metrics = self._train_critic(fake.detach())
        generator_metrics = self._train_generator(reconstructed, fake)
        return {**critic_metrics, **generator_metrics}

    def _generate(self) -> tuple[Tensor, Tensor]:
        """The reconstruction (1, 3, H, W) and random samples (batch, 3, H, W), run together."""
        model, batch = self.model, self.model.config.batch
        with torch.no_grad():
            *lower, noise = model.noises(self.scale + 1, batch)
            below = torch.cat([self.reconstruction_below, upsample(model.network(lower), noise)])
            noise = torch.cat([torch.zeros_like(self.real), noise])
        pictures = below + self.generator(below + noise)
        return pictures[:1], pictures[1:]

    def _train_critic(self, fake: Tensor) -> Metrics:
        config = self.model.config
        real = self.real.expand_as(fake)
        wasserstein = critic_loss(self.critic(real), self.critic(fake))
        penalty = gradient_penalty(self.critic, real, fake)
        self.critic_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(wasserstein + config.gradient_penalty * penalty)
        clip_gradients(self.critic_optimizer, config.clip)
        self.critic_optimizer.step()
        return {"wasserstein": -wasserstein.detach(), "penalty": penalty.detach()}

    def _train_generator(self, reconstructed: Tensor, fake: Tensor) -> Metrics:
        config = self.model.config
        reconstruction = F.mse_loss(reconstructed, self.real)
        self.critic.requires_grad_(False)
        adversarial = -self.critic(fake).mean()
        self.generator_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(config.reconstruction * reconstruction + config.adversarial * adversarial)
        self.critic.requires_grad_(True)
        clip_gradients(self.generator_optimizer, config.clip)
        self.generator_optimizer.step()
        return {"reconstruction": reconstruction.detach(), "adversarial": adversarial.detach()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "critic": self.critic.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.critic.load_state_dict(state["critic"])
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])


def clip_gradients(optimizer: torch.optim.Optimizer, norm: float) -> None:
    """Limits the norm of all gradients of an optimizer; raises RunError where one is not finite."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not nn.utils.clip_grad_norm_(parameters, norm).isfinite():
        raise RunError("training diverged: a gradient is not finite; the checkpoints before are kept")


def train_structure(run: Run, photo: Photo, config: StructureConfig) -> StructureModel:
    """Trains all scales, from where the run's checkpoint stands; returns the trained model."""
    model = StructureModel(config, photo.height, photo.width, run.device)
    pyramid = [
        x.to(run.device, memory_format=torch.channels_last) for x in structure_pyramid(photo, model.sizes)
    ]
    saved = run.load_checkpoint("structure")
    first_scale, first_step = 0, 0
    if saved is not None:
        model.load_state_dict(saved["model"])
        first_scale, first_step = saved["scale"], saved["step"]
    critic: nn.Module | None = None
    for m in range(first_scale, config.scales):
        resuming = saved is not None and m == first_scale
        if not resuming and m > 0 and m != 1:  # G_0 reads the latent: nothing to start G_1 from
            model.network.generators[m].load_state_dict(model.network.generators[m - 1].state_dict())
        scale = VaeScale(model, pyramid, m) if m < config.vae_scales else GanScale(model, pyramid, m, critic)
        if resuming and saved is not None:
            scale.load_state_dict(saved["scale_state"])
            run.load_checkpoint("structure")  # building the scale drew random numbers: set them back
        _train_scale(run, model, scale, m, first_step if resuming else 0)
        critic = scale.critic if isinstance(scale, GanScale) else None
    return model


def _train_scale(
    run: Run, model: StructureModel, scale: VaeScale | GanScale, m: int, first_step: int
) -> None:
    steps = model.config.steps(m)

    def save(name: str, step: int) -> None:
        state = {"model": model.state_dict(), "scale": m, "step": step, "scale_state": scale.state_dict()}
        run.save_checkpoint(name, state)

    height, width = model.sizes[m]
    description = f"structure {m + 1}/{model.config.scales} ({width} x {height})"
    run.forget_metrics(f"structure-{m}", first_step)
    with run.progress(description, first_step, steps) as bar:
        for step in range(first_step, steps):
            metrics = scale.step()
            if step % METRICS_EVERY == 0 or step == steps - 1:
                run.metrics(f"structure-{m}", step, metrics)
            if run.checkpoint_due():
                save("structure", step + 1)
            bar.update()
    if first_step < steps:
        save(f"structure-{m}", steps)
        with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
            run.save_samples(f"structure-{m}", model.sample(m + 1, 12))
        save("structure", steps)  # last: a run that is killed before it repeats the end of this scale
