"""Step 1: training the structure network on one photograph (OUR-GAN, Algorithm 1).

What the paper leaves open is taken from HP-VAE-GAN. Where every preset departs from them, and why:

- Normalisation takes each sample's own statistics, not the batch's (:class:`SampleNorm`): a picture must not
  depend on what it is rendered together with. ``hpvaegan`` trains on the batch's; rendered one by one,
  samples have their own.
- No tanh on the sum of a scale, as in the paper's formula (HP-VAE-GAN has one, and ``hpvaegan``).
- Patch-GAN scales reconstruct from the posterior's mean, not from a fresh draw: the scales below are frozen,
  so that what they reconstruct is the same at every step and computed once.
- The photograph is one picture, so the critic scores it once per step, not once per sample of the batch, and
  its spectral norms turn once per update: the mean, and so the loss, is the same.
- The noise's amplitude is measured on the enlarged reconstruction that a scale starts from (SinGAN's
  definition); HP-VAE-GAN's code measures it behind the new generator, which is a copy of the one below and
  has not learned its scale. Like there it is divided by the batch size. ``hpvaegan`` has that code's noise
  (``noise_source``), of the posterior's mean and not of a draw.
- Biases of convolutions start at zero; their weights as there (normal, deviation 0.02).
- The scale factor is Table 3's 0.75, so that the coarsest scale of 256 pixels has 26 (26 x 17 for 3 : 2);
  HP-VAE-GAN bends its factor until the coarsest has 32.
- Steps and scales that diverge are seen to (:mod:`trainers.structures.scales`).

What makes it fast is measured in ``bench/training.py``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..losses import critic_loss, gradient_penalty, kl_divergence
from ..networks import Encoder, PatchCritic, Structure
from ..photo import Photo
from ..presets import StructureConfig
from ..runs.run import Run, place
from ..runs.stability import GuardedOptimizer
from .model import Model
from .scales import Metrics, train_scales


class StructureModel(Model):
    """The structure network with what sampling needs: sizes, noise deviations; and its encoder."""

    config: StructureConfig
    network: Structure

    def __init__(self, config: StructureConfig, height: int, width: int, device: torch.device) -> None:
        self.config = config
        self.sizes = config.sizes(height, width)
        self.deviations = [1.0] + [0.0] * (config.scales - 1)  # z_m's, known once scale m is trained
        self.device = device
        self.network = place(make_structure(config), device)
        encoder = Encoder(config.channels, config.latent, config.encoder_blocks, **convolutions(config))
        self.encoder = place(encoder, device)

    def noises(self, scales: int, count: int = 1) -> list[Tensor]:
        """Random z_0 .. z_{scales - 1} for ``count`` samples of the training size."""
        return [
            torch.randn(count, self.config.latent if m == 0 else 3, *self.sizes[m], device=self.device)
            * self.deviations[m]
            for m in range(scales)
        ]

    @torch.no_grad()
    def reconstruction_noises(self, pyramid: Sequence[Tensor], scales: int) -> list[Tensor]:
        """The posterior's mean z_0 (1, latent, H_0, W_0), then zeros."""
        training = self.encoder.training
        self.encoder.eval()  # training mode would turn its spectral norms
        mean, _ = self.encoder(pyramid[0])
        self.encoder.train(training)
        return [mean] + [torch.zeros(1, 3, *self.sizes[m], device=self.device) for m in range(1, scales)]

    def inherit(self, scale: int) -> None:
        """G_m starts as G_{m-1}; G_0 reads the latent: nothing to start G_1 from."""
        if scale > 1:
            generators = self.network.generators
            generators[scale].load_state_dict(generators[scale - 1].state_dict())

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


def convolutions(config: StructureConfig) -> dict[str, Any]:
    """What all convolutions of step 1 have in common: keyword arguments of their networks."""
    return {"vertical": config.vertical_coordinates, "padding": config.padding}


def make_structure(config: StructureConfig) -> Structure:
    """The structure network, untrained."""
    return Structure(
        *(config.scales, config.channels, config.layers, config.latent),
        upsampling=config.upsampling,
        normalisation=config.normalisation,
        tanh=config.tanh,
        **convolutions(config),
    )


def working_dtype(config: StructureConfig, device: torch.device) -> torch.dtype:
    """What patch-GAN scales compute in: float32 also where bfloat16 would be emulated, and slow."""
    if device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        supported = torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if config.precision == "bf16" and supported else torch.float32


def adam(groups: Any, config: StructureConfig, clip: float | None) -> GuardedOptimizer:
    """The optimizer of Table 3 over parameters or groups of them; ``clip``: the largest gradient norm."""
    optimizer = torch.optim.Adam(groups, lr=config.learning_rate, betas=config.betas, fused=True)
    return GuardedOptimizer(optimizer, math.inf if clip is None else clip)


class VaeScale:
    """Scales 0 .. L: the encoder, G_0 and G_m learn to reconstruct the photograph; those between stay."""

    def __init__(self, model: StructureModel, pyramid: list[Tensor], scale: int) -> None:
        self.model, self.scale = model, scale
        self.real, self.coarse = pyramid[scale], pyramid[0]
        config, generators = model.config, model.network.generators
        older = config.learning_rate * config.lower_rate**scale  # HP-VAE-GAN lowers it with every newer scale
        groups: list[dict[str, Any]] = [
            {"params": model.encoder.parameters(), "lr": older},
            {"params": generators[0].parameters(), "lr": older},
        ]
        if scale > 0:
            groups.append({"params": generators[scale].parameters()})
        generators.requires_grad_(False)
        for generator in (generators[0], generators[scale]):
            generator.requires_grad_(True)
        self.optimizers = {"optimizer": adam(groups, config, config.clip)}
        if scale > 0 and config.noise_source == "generated":
            model.deviations[scale] = noise_deviation(model, generated(model, pyramid, scale), self.real)

    def step(self) -> Metrics:
        model, config = self.model, self.model.config
        mean, log_variance = model.encoder(self.coarse)
        mean, log_variance = (t.expand(config.batch, -1, -1, -1) for t in (mean, log_variance))
        z0 = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        picture = model.network.start(z0)
        reconstruction = F.mse_loss(picture, self.coarse.expand_as(picture))
        for m in range(1, self.scale + 1):
            noise = torch.zeros(config.batch, 3, *model.sizes[m], device=model.device)
            picture = model.network.step(m, picture, noise)
        if self.scale > 0:
            reconstruction = reconstruction + F.mse_loss(picture, self.real.expand_as(picture))
        kl = kl_divergence(mean, log_variance)
        self.optimizers["optimizer"].step(config.reconstruction * reconstruction + config.kl * kl)
        return {"reconstruction": reconstruction.detach(), "kl": kl.detach()}

    def finish(self) -> None:
        """After the last step: nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"deviation": self.model.deviations[self.scale], **optimizers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.deviations[self.scale] = state["deviation"]  # not of what has been trained since
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])


class GanScale:
    """Scales L + 1 .. M: one generator against one critic, everything below frozen."""

    def __init__(
        self, model: StructureModel, pyramid: list[Tensor], scale: int, critic: nn.Module | None
    ) -> None:
        self.model, self.scale = model, scale
        self.real = pyramid[scale]
        config = model.config
        self.dtype = working_dtype(config, model.device)
        self.generator = model.network.generators[scale].requires_grad_(True)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)  # of its weights: the result
        self.done = 0  # steps
        critic_network = PatchCritic(config.channels, config.layers, **convolutions(config))
        self.critic = place(critic_network, model.device)
        if critic is not None:
            self.critic.load_state_dict(critic.state_dict())
        self.optimizers = {
            "generator_optimizer": adam(self.generator.parameters(), config, config.clip),
            "critic_optimizer": adam(self.critic.parameters(), config, config.critic_clip),
        }
        with torch.no_grad():
            below = model.network(model.reconstruction_noises(pyramid, scale))
            self.reconstruction_below = model.network.upsample(below, self.real)
        measured = self.reconstruction_below
        if config.noise_source == "generated":
            measured = generated(model, pyramid, scale)
        model.deviations[scale] = noise_deviation(model, measured, self.real)

    def step(self) -> Metrics:
        reconstructed, fake = self._generate()
        critic_metrics = self._train_critic(fake.detach())
        generator_metrics = self._train_generator(reconstructed, fake)
        self.done += 1
        self._update_average()
        return {**critic_metrics, **generator_metrics}

    def _generate(self) -> tuple[Tensor, Tensor]:
        """The reconstruction (1, 3, H, W) and random samples (batch, 3, H, W)."""
        model, network = self.model, self.model.network
        with torch.no_grad():
            *lower, noise = model.noises(self.scale + 1, model.config.batch)
            samples_below = network.upsample(network(lower, self.dtype), noise)
            nothing = torch.zeros_like(self.real)
        parts = [(self.reconstruction_below, nothing), (samples_below, noise)]
        if model.config.normalisation == "batch":  # each has its own statistics
            reconstructed, fake = (network.refine(self.scale, *part, self.dtype) for part in parts)
            return reconstructed, fake
        below, noises = (torch.cat(both) for both in zip(*parts, strict=True))
        pictures = network.refine(self.scale, below, noises, self.dtype)
        return pictures[:1], pictures[1:]

    def _train_critic(self, fake: Tensor) -> Metrics:
        config = self.model.config
        with parametrize.cached():  # one spectral norm for both
            scores = self.critic(torch.cat([self.real, fake]).to(self.dtype)).float()
            penalty = gradient_penalty(
                lambda x: self.critic.input_gradient(x.to(self.dtype)), self.real, fake
            )
        wasserstein = critic_loss(scores[:1], scores[1:])
        self.optimizers["critic_optimizer"].step(wasserstein + config.gradient_penalty * penalty)
        return {"wasserstein": -wasserstein.detach(), "penalty": penalty.detach()}

    def _train_generator(self, reconstructed: Tensor, fake: Tensor) -> Metrics:
        config = self.model.config
        reconstruction = F.mse_loss(reconstructed, self.real)
        self.critic.requires_grad_(False)
        adversarial = -self.critic(fake.to(self.dtype)).float().mean()
        self.optimizers["generator_optimizer"].step(
            config.reconstruction * reconstruction + config.adversarial * adversarial
        )
        self.critic.requires_grad_(True)
        return {"reconstruction": reconstruction.detach(), "adversarial": adversarial.detach()}

    @torch.no_grad()
    def _update_average(self) -> None:
        weight = 1 / min(self.done, self.model.config.averaging)
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, weight)

    def finish(self) -> None:
        """After the last step: the scale's weights are their average from here on. Twice is once."""
        self.generator.load_state_dict(self.average.state_dict())

    def state_dict(self) -> dict[str, Any]:
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {
            "critic": self.critic.state_dict(),
            "average": self.average.state_dict(),
            "done": self.done,
            "deviation": self.model.deviations[self.scale],
            **optimizers,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.critic.load_state_dict(state["critic"])
        self.average.load_state_dict(state["average"])
        self.done = state["done"]
        self.model.deviations[self.scale] = state["deviation"]  # not of what has been trained since
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state[name])


Scale = VaeScale | GanScale


@torch.no_grad()
def generated(model: StructureModel, pyramid: list[Tensor], scale: int) -> Tensor:
    """The reconstruction (1, 3, H_m, W_m) that a scale makes as it is."""
    return model.network(model.reconstruction_noises(pyramid, scale + 1))


def noise_deviation(model: StructureModel, reconstruction: Tensor, real: Tensor) -> float:
    """Of z_m, where a scale's ``reconstruction`` is what it is measured on; both (1, 3, H_m, W_m)."""
    rmse = F.mse_loss(reconstruction, real).sqrt()
    return model.config.noise * float(rmse) / model.config.batch


def train_structure(run: Run, photo: Photo, config: StructureConfig) -> StructureModel:
    """Trains all scales, from where the run's checkpoint stands; returns the trained model.

    Raises:
        DivergedError: a scale diverged, and again with a lower learning rate; its checkpoints are good.
    """
    return train_scales(run, photo, StructureModel(config, photo.height, photo.width, run.device), make_scale)


def make_scale(model: StructureModel, pyramid: list[Tensor], m: int, previous: Scale | None) -> Scale:
    """Scale ``m``'s trainer, of the kind that it has; critics start from the one before."""
    if m < model.config.vae_scales:
        return VaeScale(model, pyramid, m)
    return GanScale(model, pyramid, m, previous.critic if isinstance(previous, GanScale) else None)
