"""The presets of any-resolution training: every number that it uses.

``any-paper`` holds what the paper says (Chai et al., ECCV 2022), and StyleGAN2's and 3's public defaults
where it is silent; its networks are this project's, smaller than StyleGAN3's. ``any-standard`` and
``any-draft`` are for two CPU cores, and say what they change.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ..networks.continuous import ContinuousSize
from ..presets import Precision, make

PAPER_IMAGES = 25_000_000  # that the paper showed


@dataclass(frozen=True)
class AnyConfig:
    """Any-resolution training, both phases."""

    patch: int = 256  # pixels of a patch's side, and of a whole picture in phase 1
    channels: int = 64  # of the generator at its pixels; twice as many at each coarser grid
    critic_channels: int = 64
    latent: int = 512
    features: int = 512  # Fourier features
    stride: int = 4  # pixels per cell of the coordinates' grid
    points: int = 3  # layers of the generator that see single cells
    layers: int = 3  # and that see their neighbours, at that grid
    filter_radius: int = 1  # of filtered non-linearities
    margin: int = 6  # cells around a patch that the generator sees and no loss does
    mirrored: bool = False  # half of the pictures are shown mirrored
    batch: int = 32
    whole_steps: int = 390_000  # phase 1: 12.5 million whole pictures
    patch_steps: int = 390_000  # phase 2: as many, half of them patches
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.0, 0.99)
    settling: float = 0.0  # last share of phase 2, in which the learning rates fall in proportion to nothing
    r1: float = 2.0  # weight of the gradient penalty on real pictures
    r1_every: int = 16  # steps (StyleGAN2's lazy regularisation)
    teacher: float = 5.0  # weight of the loss against what phase 1 made, in phase 2
    lpips: float = 1.0  # its share of LPIPS beside L1, where there are weights
    scale_input: bool = True  # off: the generator is not told the scale
    averaging: int = 500  # steps that the weights are averaged over
    precision: Precision = "fp32"  # of convolutions while training

    @property
    def whole_share(self) -> int:
        """Whole pictures in a batch of phase 2: half of it."""
        return self.batch // 2

    def size(self, largest: int) -> ContinuousSize:
        """Of the generator for pictures whose shorter side has up to ``largest`` pixels."""
        return ContinuousSize(
            *(self.patch, largest, self.stride, self.channels, self.latent, self.features),
            points=self.points,
            layers=self.layers,
            filter_radius=self.filter_radius,
            scale_input=self.scale_input,
        )


@dataclass(frozen=True)
class AnyPreset:
    """What ``trainers.fit_folder`` trains with."""

    name: str
    any_resolution: AnyConfig

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> AnyPreset:
        """The inverse of :meth:`as_dict`, also after a trip through JSON (tuples come back as lists).

        Raises:
            TypeError: as :func:`trainers.presets.make` has it.
        """
        preset = make(cls, data)
        return replace(preset, any_resolution=make(AnyConfig, preset.any_resolution))


PAPER = AnyPreset("any-paper", AnyConfig())

# For two CPU cores: the penalty more often, as so few pictures estimate it. In bf16 a step took two to three
# times as long there.
STANDARD = AnyPreset(
    "any-standard",
    AnyConfig(
        patch=64,
        channels=16,
        critic_channels=32,  # with 16, and batches of 8, as many images gave strokes
        latent=64,
        features=128,
        margin=4,
        mirrored=True,
        batch=16,
        whole_steps=4500,
        patch_steps=4500,
        r1=1.0,
        r1_every=8,
        lpips=0.0,  # VGG16 takes as long as all the rest together
        averaging=500,
    ),
)

DRAFT = AnyPreset("any-draft", replace(STANDARD.any_resolution, patch=32, patch_steps=3500))

PRESETS = {preset.name: preset for preset in (DRAFT, STANDARD, PAPER)}
