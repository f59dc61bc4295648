"""Step 1 as SinGAN trains it (Shaham, Dekel, Michaeli, ICCV 2019).

Every scale is one generator against one critic, on the whole photograph, with all below frozen. What the
paper leaves open is taken from its code. High-Res-SinGAN (Son, Rehman, Solzbacher) is another configuration
of it. Where every preset departs from them, and why:

- The noise z* that reconstructs the photograph is drawn once, as the paper says; the code draws a new one at
  every step of the coarsest scale.
- Each generator step sees what the generator makes of the noise by then. The code goes back through the
  picture that it made before the first of them.
- The rate falls at the same share of a scale's steps where these are not the paper's 2000.
- Biases of convolutions start at zero, and those of normalisation do.
- The photograph is reduced from its finest scale, in [-1, 1], by the antialiased cubic of all trainers.
- Steps and scales that diverge are seen to (:mod:`trainers.structures.scales`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import critic_loss, gradient_penalty
from ..networks import SinganCritic, SinganStructure
from ..photo import Photo
from ..presets import SinganConfig
from ..runs.run import Run, place
from ..runs.stability import GuardedOptimizer
from .maps import MapsModel
from .scales import Metrics, train_scales


class SinganModel(MapsModel):
    """SinGAN's generators with what sampling needs: sizes, noise deviations; and z*."""

    config: SinganConfig
    network: SinganStructure

    def __init__(self, config: SinganConfig, height: int, width: int, device: torch.device) -> None:
        self.config = config
        sizes = config.sizes(height, width)
        super().__init__(sizes, make_singan(config, len(sizes)), device)
        self.fixed_noise = torch.randn(self.noise_shape(0), device=device)  # z*

    def reconstruction_noises(self, pyramid: Sequence[Tensor], scales: int) -> list[Tensor]:  # noqa: ARG002
        """z* (1, 1, ...), then zeros; the photograph tells nothing more."""
        return [self.fixed_noise, *self.no_noises(scales)]

    def inherit(self, scale: int) -> None:
        """G_m starts as G_{m-1} where it has as many channels."""
        if scale > 0 and self.config.width(scale) == self.config.width(scale - 1):
            generators = self.network.generators
            generators[scale].load_state_dict(generators[scale - 1].state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "fixed_noise": self.fixed_noise}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.fixed_noise = state["fixed_noise"]


def make_singan(config: SinganConfig, scales: int) -> SinganStructure:
    """The structure network, untrained."""
    return SinganStructure([config.width(m) for m in range(scales)], config.layers, config.padding)


class SinganScale:
    """One generator against one critic, everything below frozen."""

    def __init__(
        self, model: SinganModel, pyramid: list[Tensor], scale: int, below: SinganScale | None
    ) -> None:
        self.model, self.scale = model, scale
        self.real = pyramid[scale]
        config, network = model.config, model.network
        network.requires_grad_(False)
        self.generator = network.generators[scale].requires_grad_(True)
        self.critic = place(SinganCritic(config.width(scale), config.layers), model.device)
        if below is not None and below.critic.width == self.critic.width:
            self.critic.load_state_dict(below.critic.state_dict())
        self.optimizers = {
            "generator_optimizer": adam(self.generator, config),
            "critic_optimizer": adam(self.critic, config),
        }
        *lower, self.reconstruction_noise = model.reconstruction_noises(pyramid, scale + 1)
        self.reconstruction_below = self._enlarge(lower, self.reconstruction_noise)
        if scale > 0:
            rmse = F.mse_loss(self.reconstruction_below, self.real).sqrt()
            model.deviations[scale] = config.noise * float(rmse)

    def step(self) -> Metrics:
        config = self.model.config
        for _ in range(config.critic_steps):
            *lower, noise = self.model.noises(self.scale + 1)
            below = self._enlarge(lower, noise)
            fake = self._generate(below, noise)
            metrics = self._train_critic(fake.detach())
        for step in range(config.generator_steps):
            if step > 0:
                fake = self._generate(below, noise)
            metrics |= self._train_generator(fake)
        return metrics

    @torch.no_grad()
    def _enlarge(self, lower: list[Tensor], noise: Tensor) -> Tensor:
        """up(x_{m-1}) (N, 3, H, W) from the noises of the scales below; zeros where there are none."""
        network = self.model.network
        return network.upsample(network(lower), noise) if lower else torch.zeros_like(self.real)

    def _generate(self, below: Tensor, noise: Tensor) -> Tensor:
        """x_m (N, 3, H, W); gradients reach this scale's generator alone."""
        network = self.model.network
        return network.refine(self.scale, below, noise) if self.scale > 0 else network.start(noise)

    def _train_critic(self, fake: Tensor) -> Metrics:
        wasserstein = critic_loss(self.critic(self.real), self.critic(fake))
        penalty = gradient_penalty(self.critic.input_gradient, self.real, fake)
        loss = wasserstein + self.model.config.gradient_penalty * penalty
        self.optimizers["critic_optimizer"].step(loss)
        return {"wasserstein": -wasserstein.detach(), "penalty": penalty.detach()}

    def _train_generator(self, fake: Tensor) -> Metrics:
        reconstructed = self._generate(self.reconstruction_below, self.reconstruction_noise)
        reconstruction = F.mse_loss(reconstructed, self.real)
        self.critic.requires_grad_(False)
        adversarial = -self.critic(fake).mean()
        self.optimizers["generator_optimizer"].step(
            self.model.config.reconstruction * reconstruction + adversarial
        )
        self.critic.requires_grad_(True)
        return {"reconstruction": reconstruction.detach(), "adversarial": adversarial.detach()}

    def finish(self) -> None:
        """After the last step: nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"critic": self.critic.state_dict(), **optimizers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.critic.load_state_dict(state["critic"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])


def adam(network: torch.nn.Module, config: SinganConfig) -> GuardedOptimizer:
    """The optimizer of a generator or a critic."""
    parameters = list(network.parameters())
    return GuardedOptimizer(
        torch.optim.Adam(parameters, lr=config.learning_rate, betas=config.betas, fused=True)
    )


def train_singan(run: Run, photo: Photo, config: SinganConfig) -> SinganModel:
    """Trains all scales, from where the run's checkpoint stands; returns the trained model.

    Raises:
        DivergedError: a scale diverged, and again with a lower learning rate; its checkpoints are good.
    """
    return train_scales(run, photo, SinganModel(config, photo.height, photo.width, run.device), SinganScale)
