"""Structure training against the loop that one would write first: seconds per step, scale by scale.

Run it as ``python -m bench.training [--preset standard] [--repetitions 5]``; it prints one table. Both train
the same networks (as many weights, padding, normalisation of a single sample) with the same losses and the
same batch. The loop below is HP-VAE-GAN's, written plainly: the coordinate is concatenated to every
convolution's input, tensors are contiguous float32, every sample and every reconstruction starts at scale 0,
the critic is called for each picture, and autograd derives the gradient penalty. It runs the scales below
without gradient and uses a fake picture for both networks, as public implementations do.

What ours does otherwise, with the time that a step took without it (processor time of one thread,
``standard``, scale 6): bf16 1.6 x; the position as one value per row instead of a channel 1.25 x; a
critic's gradient as a chain of transposed convolutions (``PatchCritic.input_gradient``) instead of
autograd's 1.15 x; in float32 normalisation that stays channels-last 1.1 x; and channels last itself, the
reconstruction below computed once, one generator pass for reconstruction and samples, one critic call for
photograph and samples.
Left out: autocast (pads in float32: a tenth slower); a pool of samples of the scales below (they take 9 %
of a step, and only using them twice would save it); ``torch.compile`` (2.13 fails at the gradient of
replicate padding in channels last).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from trainers.networks.structure import SLOPE
from trainers.photo import Photo, structure_pyramid
from trainers.presets import StructureConfig, names_of, ourgan_structure
from trainers.structures.ourgan import GanScale, StructureModel, VaeScale

PHOTO = (1000, 1500)  # height and width; what it shows takes no time
NOISE = 0.1  # deviation at every scale: as little


class PlainConv(nn.Module):
    """The coordinate convolution as its definition says it: (N, C, H, W) to (N, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, config: StructureConfig) -> None:
        super().__init__()
        self.vertical = config.vertical_coordinates
        self.conv = nn.Conv2d(
            in_channels + self.vertical, out_channels, 3, padding=1, padding_mode=config.padding
        )
        nn.init.normal_(self.conv.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - torch says what it does
        if self.vertical:
            rows = torch.linspace(-1, 1, x.shape[2], device=x.device)
            x = torch.cat([x, rows[None, None, :, None].expand(x.shape[0], 1, -1, x.shape[3])], 1)
        result: Tensor = self.conv(x)
        return result


def plain_blocks(in_channels: int, count: int, config: StructureConfig, *, spectral: bool) -> list[nn.Module]:
    """``count`` blocks: convolutions with batch or with spectral normalisation, and activations."""
    blocks: list[nn.Module] = []
    for i in range(count):
        layer = PlainConv(in_channels if i == 0 else config.channels, config.channels, config)
        if spectral:
            spectral_norm(layer.conv)
        blocks += [layer, *([] if spectral else [nn.BatchNorm2d(config.channels)]), nn.LeakyReLU(SLOPE)]
    return blocks


def plain_generator(scale: int, config: StructureConfig) -> nn.Sequential:
    """G_m: (N, latent or 3, H, W) -> (N, 3, H, W)."""
    blocks = plain_blocks(config.latent if scale == 0 else 3, config.layers + 1, config, spectral=False)
    return nn.Sequential(*blocks, PlainConv(config.channels, 3, config))


def plain_critic(config: StructureConfig) -> nn.Sequential:
    """D_m: (N, 3, H, W) -> (N, 1, H, W)."""
    blocks = plain_blocks(3, config.layers + 1, config, spectral=True)
    return nn.Sequential(*blocks, PlainConv(config.channels, 1, config))


class PlainEncoder(nn.Module):
    """E: (N, 3, H, W) -> mean and log-variance, each (N, latent, H, W)."""

    def __init__(self, config: StructureConfig) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*plain_blocks(3, config.encoder_blocks + 1, config, spectral=True))
        self.mean = PlainConv(config.channels, config.latent, config)
        self.log_variance = PlainConv(config.channels, config.latent, config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        features = self.blocks(x)
        return self.mean(features), self.log_variance(features)


class PlainScale:
    """The straightforward loop at one scale."""

    def __init__(
        self, config: StructureConfig, sizes: list[tuple[int, int]], pyramid: list[Tensor], scale: int
    ) -> None:
        self.config, self.sizes, self.scale = config, sizes, scale
        self.real, self.coarse = (x.expand(config.batch, -1, -1, -1) for x in (pyramid[scale], pyramid[0]))
        self.encoder = PlainEncoder(config)
        self.generators = [plain_generator(m, config) for m in range(scale + 1)]
        self.critic = plain_critic(config)
        if scale < config.vae_scales:
            trained = [self.encoder, self.generators[0], self.generators[scale]]
        else:
            trained = [self.generators[scale]]
        self.generator_parameters = list(dict.fromkeys(p for net in trained for p in net.parameters()))
        self.generator_optimizer, self.critic_optimizer = (
            torch.optim.Adam(parameters, lr=config.learning_rate, betas=config.betas)
            for parameters in (self.generator_parameters, list(self.critic.parameters()))
        )

    def step(self) -> None:
        """One iteration of Algorithm 1."""
        if self.scale < self.config.vae_scales:
            self._vae_step()
        else:
            self._gan_step()

    def _noises(self, deviation: float) -> list[Tensor]:
        """z_1 .. z_m."""
        return [
            deviation * torch.randn(self.config.batch, 3, *size) for size in self.sizes[1 : self.scale + 1]
        ]

    def _refine(self, m: int, x: Tensor, noise: Tensor) -> Tensor:
        up = F.interpolate(x, size=noise.shape[2:], mode="bilinear", align_corners=True)
        result: Tensor = up + self.generators[m](up + noise)
        return result

    def _generate(self, z0: Tensor, noises: list[Tensor]) -> Tensor:
        """A picture of the newest scale; gradients reach this scale's generator alone."""
        with torch.no_grad():
            x = self.generators[0](z0)
            for m, noise in enumerate(noises[:-1], 1):
                x = self._refine(m, x, noise)
        return self._refine(self.scale, x, noises[-1])

    def _vae_step(self) -> None:
        config = self.config
        mean, log_variance = self.encoder(self.coarse)
        x = coarse = self.generators[0](mean + torch.randn_like(mean) * (log_variance / 2).exp())
        for m, noise in enumerate(self._noises(0.0), 1):
            x = self._refine(m, x, noise)
        loss = config.reconstruction * F.mse_loss(x, self.real)
        if self.scale > 0:
            loss = loss + config.reconstruction * F.mse_loss(coarse, self.coarse)
        loss = loss - config.kl * 0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
        self._update(self.generator_optimizer, self.generator_parameters, loss)

    def _gan_step(self) -> None:
        config = self.config
        z0 = torch.randn(config.batch, config.latent, *self.sizes[0])
        fake = self._generate(z0, self._noises(NOISE))
        wasserstein = self.critic(fake.detach()).mean() - self.critic(self.real).mean()
        loss = wasserstein + config.gradient_penalty * self._gradient_penalty(fake.detach())
        self._update(self.critic_optimizer, list(self.critic.parameters()), loss)

        with torch.no_grad():
            mean, _ = self.encoder(self.coarse)
        reconstructed = self._generate(mean, self._noises(0.0))
        reconstruction = F.mse_loss(reconstructed, self.real)
        loss = config.reconstruction * reconstruction - config.adversarial * self.critic(fake).mean()
        self._update(self.generator_optimizer, self.generator_parameters, loss)

    def _gradient_penalty(self, fake: Tensor) -> Tensor:
        mix = torch.rand(fake.shape[0], 1, 1, 1)
        between = (mix * self.real + (1 - mix) * fake).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        penalty: Tensor = (gradient.norm(2, dim=1) - 1).square().mean()
        return penalty

    def _update(self, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, self.config.clip)
        optimizer.step()


def our_scale(config: StructureConfig, pyramid: list[Tensor], scale: int) -> VaeScale | GanScale:
    """The trainer's own step at one scale."""
    model = StructureModel(config, *PHOTO, torch.device("cpu"))
    pyramid = [x.contiguous(memory_format=torch.channels_last) for x in pyramid]
    if scale < config.vae_scales:
        return VaeScale(model, pyramid, scale)
    model.deviations = [1.0] + [NOISE] * (config.scales - 1)
    return GanScale(model, pyramid, scale, None)


def alternate(steps: Sequence[Callable[[], object]], repetitions: int) -> list[float]:
    """Median seconds of each, taking turns, after one turn to warm up."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(repetitions + 1):
        for step, times in zip(steps, seconds, strict=True):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in seconds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=names_of("ourgan"), default="standard")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as trainers.fit does
    config = ourgan_structure(options.preset)
    photo = Photo(torch.randint(256, (3, *PHOTO), dtype=torch.uint8), "")
    sizes = config.sizes(*PHOTO)
    pyramid = structure_pyramid(photo, sizes)

    print("| scale | size | steps | plain, ms | ours fp32, ms | ours bf16, ms | fp32 | bf16 |")
    print("|---|---|---|---|---|---|---|---|")
    total = [0.0, 0.0, 0.0]
    for m, (height, width) in enumerate(sizes):
        ours = [
            our_scale(replace(config, precision=precision), pyramid, m).step for precision in ("fp32", "bf16")
        ]
        contenders: list[Callable[[], object]] = [PlainScale(config, sizes, pyramid, m).step, *ours]
        seconds = alternate(contenders, options.repetitions)
        total = [sum_ + config.steps(m) * s for sum_, s in zip(total, seconds, strict=True)]
        row = " | ".join(f"{1000 * s:.1f}" for s in seconds)
        ratios = " | ".join(f"{seconds[0] / s:.2f} x" for s in seconds[1:])
        print(f"| {m} | {width} x {height} | {config.steps(m)} | {row} | {ratios} |", flush=True)
    row = " | ".join(f"{s / 60:.1f} min" for s in total)
    ratios = " | ".join(f"**{total[0] / s:.2f} x**" for s in total[1:])
    print(f"| all | | | {row} | {ratios} |")


if __name__ == "__main__":
    main()
