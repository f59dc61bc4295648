"""The upscalers of a fit: which passes each serves, what it starts from, and what it learns from.

``later`` (clean input; all passes that have no network of their own, and those beyond a photograph's
resolution) is trained first. ``first`` (input with noise, for the structure's picture) and ``second`` (what
``first`` makes, with less noise) start from its weights where they are of its size and have none of their
own. Where upscalers start from nothing they take Algorithm 2's two phases, on the one photograph; where they
start from pre-trained weights Algorithm 3's, which is the second of them, after as many L1 steps as the
preset says (none in the paper). ``first`` takes both where it has no pre-trained weights of its own, as it
has yet to learn about noise; ``second``, which starts from a trained ``later``, never does.
:mod:`trainers.pretrain` trains one on any number of photographs.

Pass 2's own network is no part of the papers. A network that has learned from reductions of a photograph
knows sharp input alone: what pass 1 makes is softer, and it sharpened that to straight lines. This one learns
from the very pictures that it will be given, and has noise to draw surfaces from.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks import Upscaler, UpscalerSize, size_of
from ..networks.rrdb import SCALE
from ..perceptual import Perceptual
from ..photo import Photo, reduce
from ..presets import UpscalerConfig
from ..runs.run import Run
from .patches import Pair, Patches, channels_last, crop, first_sizes, later_sizes, make_pairs, structure_pairs
from .teacher import CROPS, as_teacher, balanced, taught_pairs
from .upscaler import UpscalerTraining, train_upscaler

EDGE = 8  # pixels that a picture is extended by, as a pass extends it
REPEATS = 3  # of a reduction, each time with other noise in pass 1


@dataclass(frozen=True)
class Role:
    """One upscaler of a fit."""

    name: str  # of its checkpoint, and of its member in the bundle
    init: str  # of the weights that it starts from, in the run's configuration
    size: UpscalerSize
    noise: float  # deviation of what is added to its input
    share: float  # of the configuration's steps
    long_sides: Callable[[Photo, float], list[int]]  # that it is trained at, beside a part held out

    def steps(self, config: UpscalerConfig, given: Container[str]) -> tuple[int, int]:
        """Of the L1 phase and of the adversarial one; ``given``: what pre-trained weights there are."""
        starts_trained = self.init in given or (self.init == "init_second" and self.size == config.later)
        return config.steps(pretrained=starts_trained, share=self.share)

    def pairs(self, photo: Photo, held_out: float = 0.0) -> list[Pair]:
        """What the photograph gives for it."""
        return make_pairs(photo, self.long_sides(photo, held_out), held_out)


def roles(config: UpscalerConfig, structure_long: int) -> list[Role]:
    """The upscalers in the order of passes, the last one for all that follow.

    ``structure_long``: long side of the structure's finest scale.
    """

    def around(long_side: int) -> Callable[[Photo, float], list[int]]:
        return lambda photo, held_out: first_sizes(photo, long_side, config.window, held_out)

    first = Role(
        *("upscaler-first", "init_first", config.first, config.noise, config.first_share),
        around(structure_long),
    )
    later = Role(
        *("upscaler-later", "init", config.later, 0.0, 1.0),
        lambda photo, held_out: later_sizes(photo, structure_long, config.window, held_out),
    )
    if config.second is None:
        return [first, later]
    second = Role(
        *("upscaler-second", "init_second", config.second, config.second_noise, config.first_share),
        around(SCALE * structure_long),
    )
    return [first, second, later]


@dataclass(frozen=True)
class Structures:
    """What pass 1 will meet, beside reductions of the photograph: (N, 3, h, w) in [0, 1] each."""

    reconstructions: Tensor  # of the photograph's layout
    samples: Tensor  # of any


def train_upscalers(
    run: Run,
    photo: Photo,
    config: UpscalerConfig,
    structure_long: int,
    *,
    perceptual: Perceptual | None = None,
    pretrained: Mapping[str, Upscaler] | None = None,
    teacher: Upscaler | None = None,
    structures: Structures | None = None,
) -> dict[str, Upscaler]:
    """Trains the upscalers of :func:`roles`, from where the run's checkpoints stand; returns them by name.

    ``perceptual``: features for the adversarial phase, where weights for them were given. ``pretrained``:
    networks to start from, by :attr:`Role.init`. ``teacher``: what the later one learns from beside the
    photograph; ``structures``: what those before it do.
    """
    given = pretrained or {}
    *early, later = roles(config, structure_long)
    trained: dict[str, Upscaler] = {}

    def train(role: Role, further: Callable[[], list[Pair]]) -> None:
        steps = role.steps(config, given)
        is_trained = _is_trained(run, role.name, steps)
        pairs = [] if is_trained else further()
        patches = Patches(lambda _: pairs, config, role.noise, run.device)
        training = UpscalerTraining(config, role.size, steps, patches, perceptual)
        start = given.get(role.init, trained.get(later.name))
        if start is not None and size_of(start) == role.size:
            training.start_from(start)
        trained[role.name] = train_upscaler(run, role.name, training)

    def of_later() -> list[Pair]:
        own = later.pairs(photo, config.held_out)
        return own if teacher is None else balanced(own, _learn_from(run, teacher, photo, config.held_out))

    def of_first() -> list[Pair]:
        return [*early[0].pairs(photo, config.held_out), *_of_structures(photo, structures, config)]

    def of_second() -> list[Pair]:
        pass_one = PassOne(trained[early[0].name], config.noise)
        made = structures and Structures(
            pass_one(structures.reconstructions, seed), pass_one(structures.samples, seed + 1)
        )
        own = early[1].pairs(photo, config.held_out) * REPEATS
        reduced = [pass_one.before(one, seed + 2 + i) for i, one in enumerate(own)]
        return [*reduced, *_of_structures(photo, made, config)]

    seed = int(run.config["seed"])
    for role, further in zip((later, *early), (of_later, of_first, of_second), strict=False):
        train(role, further)
    return {role.name: trained[role.name] for role in (*early, later)}


def _of_structures(photo: Photo, structures: Structures | None, config: UpscalerConfig) -> list[Pair]:
    if structures is None:
        return []
    pictures = structures.reconstructions, structures.samples
    return structure_pairs(photo, *pictures, config.window, config.held_out)


def _learn_from(run: Run, teacher: Upscaler, photo: Photo, held_out: float) -> list[Pair]:
    """What a teacher makes of the photograph."""
    with run.progress("teacher", 0, CROPS) as bar:
        teach = as_teacher(teacher, run.device)
        return taught_pairs(photo, teach, held_out, run.config["seed"], bar.update)


def _is_trained(run: Run, name: str, steps: tuple[int, int]) -> bool:
    """Whether the run's checkpoint ``name`` stands at its last step."""
    saved = run.load_checkpoint(name)
    return saved is not None and saved["step"] == sum(steps)


class PassOne:
    """Pass 1 as pictures go through it: with noise, and their edges extended."""

    def __init__(self, network: Upscaler, noise: float) -> None:
        """``noise``: deviation of what is added."""
        self.network, self.noise = network.eval(), noise
        self.device = next(network.parameters()).device

    @torch.no_grad()
    def __call__(self, pictures: Tensor, seed: int) -> Tensor:
        """(N, 3, h, w) -> (N, 3, 4h, 4w) on the CPU, both in [0, 1]; a seed always draws the same noise."""
        generator = torch.Generator().manual_seed(seed)
        made = []
        for picture in pictures:
            extended = F.pad(picture[None].cpu(), (EDGE,) * 4, mode="replicate")
            noisy = extended + self.noise * torch.randn(extended.shape, generator=generator)
            enlarged: Tensor = self.network(channels_last(noisy.to(self.device)))
            made.append(crop(enlarged, SCALE * EDGE).clamp(0, 1).cpu())
        return torch.cat(made)

    def before(self, pair: Pair, seed: int) -> Pair:
        """``pair`` with what pass 1 makes of its small picture's reduction in place of that one.

        What is left over of four pixels is cut off at right and bottom.
        """
        height, width = (n // SCALE for n in pair.low.shape[1:])
        low = pair.low[None, :, : SCALE * height, : SCALE * width]
        made = self(reduce(low, height, width), seed)[0]
        return Pair(pair.high[:, : SCALE**2 * height, : SCALE**2 * width].clone(), made, pair.matched)
