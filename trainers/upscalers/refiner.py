"""Training a refiner of continuous scale on one photograph: what may come between two passes' sizes.

The idea of any-resolution training (Chai, Gharbi, Shechtman, Isola, Zhang, "Any-resolution training for
high-resolution image synthesis", ECCV 2022), for one photograph: crops of it at random scales, each after its
own reduction by a random factor. There a fixed-scale generator is the teacher of the patches that are warped
down to its size; here it is the other way round: what comes out, reduced to the size of what went in, is
compared with that (``consistency``). The rest is the upscalers': L1, the statistics of patches, and LPIPS
where there are weights for it. The larger the factor, the more that could have been there; there L1, which
makes the mean of it all, weighs less.

All pictures of a step have the same factor: patches' statistics are those of a batch, and a batch of several
factors would let too much detail at one stand in for too little at another.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import patch_statistics_loss
from ..networks.refiner import STRIDE, Refiner, draw_noise, enlarge
from ..perceptual import Perceptual
from ..photo import Photo, reduce, to_float
from ..presets import Precision, make
from ..runs.run import METRICS_EVERY, Run, place
from ..runs.stability import DriftWatch, GuardedOptimizer
from .patches import channels_last, crop
from .teacher import reductions

CHECKPOINT = "refiner"
BAND_ROWS = 256  # that a refiner makes at once; even
WARM_UP = 20  # steps over which the learning rate rises
DRIFT, HARMLESS_ERROR = 4.0, 0.05  # see DriftWatch; mean absolute error in [0, 1]
HALF_OCTAVE = math.sqrt(2)

Metrics = dict[str, Tensor]


@dataclass(frozen=True)
class RefinerConfig:
    """Every number of a refiner and of its training."""

    features: int = 32
    blocks: int = 5
    code: int = 32
    steps: int = 700  # four minutes of one thread of the machine in docs/refiner.md
    batch: int = 8
    patch: int = 96  # pixels of the result that losses see
    margin: int = 16  # and around them, that the network sees as well; together a multiple of the stride
    least: float = 1.5  # factors, drawn evenly in their logarithm
    most: float = 8.0
    learning_rate: float = 5e-3
    betas: tuple[float, float] = (0.9, 0.999)
    averaging: int = 100  # steps that the weights are averaged over
    reconstruction: float = 0.6  # L1's weight at the least factor, less by the factor at others
    patch_statistics: float = 0.02
    consistency: float = 0.6  # of the inverse teacher's loss
    lpips: float = 0.15
    perceptual_side: int = 96  # pixels of the one part that features are taken of
    held_out: float = 1 / 12  # share of the photograph's width, at its right, that is never looked at
    precision: Precision = "bf16"

    @property
    def window(self) -> int:
        """Pixels of a patch with its margins."""
        return self.patch + 2 * self.margin

    def as_dict(self) -> dict[str, Any]:
        """For a run's configuration."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> RefinerConfig:
        """The inverse of :meth:`as_dict`; raises TypeError as :func:`trainers.presets.make`."""
        return make(cls, data)


@dataclass(frozen=True)
class RefinerBatch:
    """Crops of one factor: n x n pixels become m x m, and the factor is m / n exactly."""

    low: Tensor  # (N, 3, n, n) float32 in [0, 1]
    high: Tensor  # (N, 3, m, m) float32 in [0, 1]

    @property
    def factor(self) -> float:
        """Pixels of the large crop per pixel of the small one, along each axis."""
        return self.high.shape[-1] / self.low.shape[-1]


class Crops:
    """Random crops of a photograph at random scales, mirrored at random; the part held out is not in them.

    The photograph is kept at its own size and by half octaves below, 2 x 3 bytes a pixel. Half of the crops
    are cut from one of these as it is, so that the photograph's own pixels are among them; the others are cut
    larger, by a factor up to the next half octave, and reduced.

    Raises:
        ValueError: the photograph has no room for a crop.
    """

    def __init__(self, photo: Photo, config: RefinerConfig) -> None:
        self.config = config
        levels = [(level[0] * 255).round().to(torch.uint8) for level in reductions(photo, config.held_out)]
        self.levels = [level for level in levels if min(level.shape[1:]) >= config.window]
        if not self.levels:
            height, width = levels[0].shape[1:]
            raise ValueError(
                f"the photograph has {width} x {height} pixels beside the part held out; a refiner needs "
                f"at least {config.window} on each side: use a larger photograph"
            )

    def __call__(self) -> RefinerBatch:
        """A batch for one step."""
        config = self.config
        factor = config.least * (config.most / config.least) ** float(torch.rand(()))
        side = max(1, round(config.window / factor))
        high = torch.cat([self._cut() for _ in range(config.batch)])
        return RefinerBatch(reduce(high, side, side), high)

    def _cut(self) -> Tensor:
        """(1, 3, window, window) in [0, 1]."""
        level = self.levels[int(torch.randint(len(self.levels), ()))]
        window = self.config.window
        larger = round(window * HALF_OCTAVE ** float(torch.rand(()))) if torch.rand(()) < 0.5 else window
        side = min(larger, *level.shape[1:])
        y, x = (int(torch.randint(n - side + 1, ())) for n in level.shape[1:])
        crop_ = to_float(level[None, :, y : y + side, x : x + side])
        if side != window:
            crop_ = reduce(crop_, window, window)
        return crop_.flip(-1) if torch.rand(()) < 0.5 else crop_


class RefinerTraining:
    """A refiner's optimisation, on the CPU or a GPU."""

    def __init__(
        self,
        config: RefinerConfig,
        crops: Crops,
        device: torch.device,
        perceptual: Perceptual | None = None,
    ) -> None:
        """``perceptual``: features, in whose place the statistics of patches stand alone where it is None."""
        self.config, self.crops, self.device, self.perceptual = config, crops, device, perceptual
        self.network = place(Refiner(config.features, config.blocks, config.code, config.most), device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)  # of its weights: the result
        adam = torch.optim.Adam(self.network.parameters(), config.learning_rate, config.betas)
        self.optimizer = GuardedOptimizer(adam)
        self.drift = DriftWatch(DRIFT, HARMLESS_ERROR)
        self.done = 0  # steps

    def step(self) -> Metrics:
        """One step.

        Raises:
            DivergedError: training has run away.
        """
        config, batch = self.config, self.crops()
        batch = RefinerBatch(batch.low.to(self.device), batch.high.to(self.device))
        for group in self.optimizer.optimizer.param_groups:
            group["lr"] = config.learning_rate * self._rate()
        fake = self._run(batch)
        loss, metrics = self._losses(fake, batch)
        self.optimizer.step(loss)
        self.drift.update(float(metrics["reconstruction"]))
        self.done += 1
        with torch.no_grad():
            weight = 1 / min(self.done, config.averaging)
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, weight)
        return metrics

    def _rate(self) -> float:
        """What the learning rate is multiplied by: a short rise, then half a cosine."""
        return (
            min(1.0, (self.done + 1) / WARM_UP) * (1 + math.cos(math.pi * self.done / self.config.steps)) / 2
        )

    def _run(self, batch: RefinerBatch) -> Tensor:
        enlarged = channels_last(enlarge(batch.low, *batch.high.shape[2:]))
        noise = draw_noise(enlarged)
        factor = torch.full((1,), batch.factor, device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            fake: Tensor = self.network(enlarged, noise, factor)
        return fake.float()

    def _losses(self, fake: Tensor, batch: RefinerBatch) -> tuple[Tensor, Metrics]:
        """The loss and its parts; the margins count in none of them but the inverse teacher's own middle."""
        config = self.config
        inner, wanted = crop(fake, config.margin), crop(batch.high, config.margin)
        around = math.ceil(config.margin / batch.factor)
        reduced = reduce(fake, *batch.low.shape[2:])
        consistency = (crop(reduced, around) - crop(batch.low, around)).abs().mean()
        reconstruction = (inner - wanted).abs().mean()
        metrics = {"reconstruction": reconstruction.detach(), "consistency": consistency.detach()}
        weight = config.reconstruction * config.least / batch.factor
        loss = weight * reconstruction + config.consistency * consistency
        perceptual = self._perceive(inner, wanted)
        if perceptual is not None:
            metrics["perceptual"] = perceptual.detach()
            loss = loss + config.lpips * perceptual
        statistics = patch_statistics_loss(inner, wanted)
        metrics["patch_statistics"] = statistics.detach()
        return loss + config.patch_statistics * statistics, metrics

    def _perceive(self, fake: Tensor, wanted: Tensor) -> Tensor | None:
        """The perceptual loss of one random patch, which is faster than of all."""
        if self.perceptual is None or not self.config.lpips:
            return None
        which = int(torch.randint(len(fake), ()))
        side = min(self.config.perceptual_side, *fake.shape[2:])
        y, x = (int(torch.randint(n - side + 1, ())) for n in fake.shape[2:])
        part = (slice(which, which + 1), slice(None), slice(y, y + side), slice(x, x + side))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            loss: Tensor = self.perceptual(fake[part], wanted[part])
        return loss.float()

    def state_dict(self) -> dict[str, Any]:
        return {**{name: part.state_dict() for name, part in self._parts().items()}, "step": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.done = state["step"]

    def _parts(self) -> dict[str, nn.Module | GuardedOptimizer | DriftWatch]:
        return {
            "average": self.average,
            "network": self.network,
            "optimizer": self.optimizer,
            "drift": self.drift,
        }


def train_refiner(run: Run, training: RefinerTraining) -> Refiner:
    """Trains to the end, from where the run's checkpoint stands; returns the averaged network.

    Raises:
        DivergedError: training has run away; the last good state is in the run's checkpoint.
    """
    saved = run.load_checkpoint(CHECKPOINT)
    if saved is not None:
        training.load_state_dict(saved)
    run.forget_metrics(CHECKPOINT, training.done)
    steps = training.config.steps
    with run.progress(CHECKPOINT, training.done, steps) as bar:
        while training.done < steps:
            step = training.done
            metrics = training.step()
            if step % METRICS_EVERY == 0 or training.done == steps:
                run.metrics(CHECKPOINT, step, metrics)
            if training.done == steps or run.checkpoint_due(sound=not training.drift.rising):
                run.save_checkpoint(CHECKPOINT, training.state_dict())
            bar.update()
    return training.average


@torch.no_grad()
def refine(network: Refiner, low: Tensor, height: int, width: int, seed: int = 0) -> Tensor:
    """``low`` (1, 3, h, w) in [0, 1] at another size, (1, 3, height, width) in [0, 1], with detail.

    Both axes are to be enlarged by about the same factor; the larger one is what the network is told. It goes
    over the picture in bands of rows, so that memory does not grow with the height but for the pictures
    themselves; beyond its border a picture is its border's pixels, repeated. A seed always draws the same
    noise.
    """
    reach = network.reach
    factor = torch.tensor([max(height / low.shape[2], width / low.shape[3])])
    ends = (reach, reach + width % STRIDE, reach, reach + height % STRIDE)
    enlarged = F.pad(enlarge(low, height, width), ends, mode="replicate")
    noise = draw_noise(enlarged, torch.Generator().manual_seed(seed))
    bands = []
    for top in range(0, height, BAND_ROWS):
        rows = slice(top, min(top + BAND_ROWS, height + height % STRIDE) + 2 * reach)
        band = network(channels_last(enlarged[:, :, rows]), noise[:, :, rows], factor)
        bands.append(crop(band, reach).clamp(0, 1)[..., :width])
    return torch.cat(bands, 2)[:, :, :height]
