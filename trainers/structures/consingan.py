"""Step 1 as ConSinGAN trains it (Hinz, Fisher, Wang, Wermter, WACV 2021).

One generator grows by a stage at a time. The newest stages are trained together against one critic, on the
whole photograph, the older of them more slowly; those before stay as they are, and so does the head once the
first stage does. What the paper leaves open is taken from its code. Where every preset departs from it, and
why:

- The photograph is reconstructed from its coarsest reduction and no other noise, as SinGAN does it, and as
  bundles have it; the code draws further maps of noise once, which stay.
- Features are enlarged without aligned corners (:mod:`trainers.networks.consingan`).
- A step's samples are made once: the code makes the same ones again for every step of the critic.
- The rate falls at the same share of a stage's steps where these are not the paper's 2000.
- Biases of convolutions start at zero.
- The photograph is reduced from its finest scale, in [-1, 1], by the antialiased cubic of all trainers.
- Steps and stages that diverge are seen to (:mod:`trainers.structures.scales`).

Structures cannot start from a picture between their stages, as there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import critic_loss, gradient_penalty
from ..networks import ConsinganCritic, ConsinganStructure
from ..photo import Photo
from ..presets import ConsinganConfig
from ..runs.run import Run, place
from ..runs.stability import GuardedOptimizer
from .maps import MapsModel
from .scales import Metrics, train_scales


class ConsinganModel(MapsModel):
    """ConSinGAN's generator with what sampling needs: sizes and noise deviations."""

    config: ConsinganConfig
    network: ConsinganStructure

    def __init__(self, config: ConsinganConfig, height: int, width: int, device: torch.device) -> None:
        self.config = config
        sizes = config.sizes(height, width)
        super().__init__(sizes, make_consingan(config, len(sizes)), device)

    def reconstruction_noises(self, pyramid: Sequence[Tensor], scales: int) -> list[Tensor]:
        """The coarsest reduction (1, 3, ...), its border repeated into the margin; then zeros."""
        coarsest = F.pad(pyramid[0], (self.network.margin,) * 4, mode="replicate")
        return [coarsest, *self.no_noises(scales)]

    def inherit(self, scale: int) -> None:
        """B_m starts as B_{m-1}."""
        if scale > 0:
            stages = self.network.generators
            stages[scale].load_state_dict(stages[scale - 1].state_dict())


def make_consingan(config: ConsinganConfig, scales: int) -> ConsinganStructure:
    """The structure network, untrained."""
    return ConsinganStructure(scales, config.channels, config.layers)


class ConsinganStage:
    """The newest stages of a generator against a critic, everything before them frozen."""

    def __init__(
        self, model: ConsinganModel, pyramid: list[Tensor], scale: int, below: ConsinganStage | None
    ) -> None:
        self.model, self.scale = model, scale
        self.real = pyramid[scale]
        config, network = model.config, model.network
        self.first = max(0, scale - config.together + 1)  # of the stages that are trained
        self.critic = place(ConsinganCritic(config.channels, config.layers), model.device)
        if below is not None:
            self.critic.load_state_dict(below.critic.state_dict())
        self.optimizers = {
            "generator_optimizer": adam(self._trained_parts(), config),
            "critic_optimizer": adam([{"params": list(self.critic.parameters())}], config),
        }
        self.reconstruction_noises = model.reconstruction_noises(pyramid, scale + 1)
        self.reconstruction_below = self._frozen(self.reconstruction_noises)
        if scale > 0:
            with torch.no_grad():
                rmse = F.mse_loss(network(self.reconstruction_noises), self.real).sqrt()
            model.deviations[scale] = config.noise * float(rmse)

    def _trained_parts(self) -> list[dict[str, Any]]:
        """The parts of the generator that are trained, with their rates; no other has a gradient."""
        network, config = self.model.network, self.model.config
        rates = {
            network.generators[m]: config.older_rate ** (self.scale - m)
            for m in range(self.first, self.scale + 1)
        }
        if self.first == 0:
            rates[network.head] = config.older_rate**self.scale
        rates[network.tail] = 1.0
        network.requires_grad_(False)
        return [
            {"params": list(part.requires_grad_(True).parameters()), "lr": config.learning_rate * rate}
            for part, rate in rates.items()
        ]

    def step(self) -> Metrics:
        config = self.model.config
        noises = self.model.noises(self.scale + 1)
        fake = self._generate(self._frozen(noises), noises)
        metrics: Metrics = {}
        for _ in range(config.critic_steps):
            metrics = self._train_critic(fake.detach())
        return metrics | self._train_generator(fake)

    @torch.no_grad()
    def _frozen(self, noises: Sequence[Tensor]) -> Tensor | None:
        """What the stages make that are not trained any more; None where there are none."""
        return self.model.network.features(noises[: self.first]) if self.first > 0 else None

    def _generate(self, features: Tensor | None, noises: Sequence[Tensor]) -> Tensor:
        """x_m (N, 3, H, W) from what :meth:`_frozen` makes; gradients reach the parts that are trained."""
        network = self.model.network
        for m in range(self.first, self.scale + 1):
            features = (
                network.start(noises[0]) if features is None else network.refine(m, features, noises[m])
            )
        assert features is not None  # noqa: S101 - there is at least one stage
        return network.picture(features)

    def _train_critic(self, fake: Tensor) -> Metrics:
        wasserstein = critic_loss(self.critic(self.real), self.critic(fake))
        penalty = gradient_penalty(self.critic.input_gradient, self.real, fake)
        loss = wasserstein + self.model.config.gradient_penalty * penalty
        self.optimizers["critic_optimizer"].step(loss)
        return {"wasserstein": -wasserstein.detach(), "penalty": penalty.detach()}

    def _train_generator(self, fake: Tensor) -> Metrics:
        config, guarded = self.model.config, self.optimizers["generator_optimizer"]
        reconstructed = self._generate(self.reconstruction_below, self.reconstruction_noises)
        reconstruction = F.mse_loss(reconstructed, self.real)
        self.critic.requires_grad_(False)
        adversarial = -self.critic(fake).mean()
        if guarded.step(config.reconstruction * reconstruction + adversarial):
            for _ in range(config.generator_steps - 1):  # along the same gradient, as the code does
                guarded.optimizer.step()
        self.critic.requires_grad_(True)
        return {"reconstruction": reconstruction.detach(), "adversarial": adversarial.detach()}

    def finish(self) -> None:
        """After the last step: nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        deviation = self.model.deviations[self.scale]
        return {"critic": self.critic.state_dict(), "deviation": deviation, **optimizers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.critic.load_state_dict(state["critic"])
        self.model.deviations[self.scale] = state["deviation"]  # not of what has been trained since
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])


def adam(groups: list[dict[str, Any]], config: ConsinganConfig) -> GuardedOptimizer:
    """The optimizer of a generator or a critic."""
    return GuardedOptimizer(torch.optim.Adam(groups, lr=config.learning_rate, betas=config.betas, fused=True))


def train_consingan(run: Run, photo: Photo, config: ConsinganConfig) -> ConsinganModel:
    """Trains all stages, from where the run's checkpoint stands; returns the trained model.

    Raises:
        DivergedError: a stage diverged, and again with a lower learning rate; its checkpoints are good.
    """
    model = ConsinganModel(config, photo.height, photo.width, run.device)
    return train_scales(run, photo, model, ConsinganStage)
