"""The presets: every number that training uses, in one place.

``paper`` holds OUR-GAN's Tables 3 and 4 (arXiv 2202.13799), and HP-VAE-GAN's and ESRGAN's public defaults
where those tables are silent. ``standard`` and ``draft`` say what they change and why. ``hpvaegan`` is
HP-VAE-GAN itself (Gur, Benaim, Wolf, NeurIPS 2020), which the paper's structure is made from.

Other families of structures are SinGAN's (Shaham, Dekel, Michaeli, ICCV 2019): ``singan`` holds that paper's
values and its code's, ``highres`` High-Res-SinGAN's (Son, Rehman, Solzbacher); and ConSinGAN's (Hinz, Fisher,
Wang, Wermter, WACV 2021): ``consingan``. What ends in ``-draft`` takes minutes.

What even these do otherwise than their sources stands in :mod:`trainers.structures.ourgan`,
:mod:`trainers.structures.singan` and :mod:`trainers.structures.consingan`, for structures; for upscalers:

- Algorithm 2's two phases share the 100,000 iterations of Table 4, half each: the paper has no other number.
  From pre-trained weights on (``--init``, Algorithm 3) there is the second alone, 50,000, and the rate is
  halved at the same shares of them.
- The discriminator scores patches and has spectral norm; ESRGAN's has batch normalisation and one score.
- RRDBs start as an interpolation (:mod:`trainers.networks.rrdb`), their dense blocks as ESRGAN's.
- The noise of 0.1 is of pictures in [0, 1].
- ``standard`` and ``draft`` have a network for pass 2 alone (:mod:`trainers.upscalers.passes`); OUR-GAN's one
  serves all passes after the first, as in ``paper``.
- Without weights of VGG19, L1 and the statistics of patches stand in for its features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, TypeVar

from .networks.coordinates import Padding
from .networks.rrdb import SCALE
from .networks.singan import NoisePadding
from .networks.structure import Normalisation, Upsampling
from .networks.upscalers import UpscalerSize
from .pyramid import consingan_sizes, scale_sizes, singan_sizes

Family = Literal["ourgan", "singan", "consingan"]
NoiseSource = Literal["enlarged", "generated"]
Precision = Literal["fp32", "bf16"]
T = TypeVar("T")

RRDB_23 = UpscalerSize("rrdb", 64, 23, 32)


@dataclass(frozen=True)
class StructureConfig:
    """Step 1, structure (Table 3)."""

    family: ClassVar[Family] = "ourgan"
    smallest_side: ClassVar[int] = 4  # pixels of the coarsest scale: photographs that have fewer are refused

    long_side: int = 256  # pixels of the finest scale
    scales: int = 9
    vae_scales: int = 3  # patch-VAE scales; the rest are patch-GAN scales
    factor: float = 0.75  # between neighbouring scales
    channels: int = 64
    layers: int = 5  # intermediate blocks of generators and critics
    latent: int = 128  # channels of z_0 (HP-VAE-GAN)
    encoder_blocks: int = 2  # behind a first convolution
    vertical_coordinates: bool = True  # off for textures, which have no above and below
    padding: Padding = "zeros"
    upsampling: Upsampling = "bilinear"  # between scales (HP-VAE-GAN)
    tanh: bool = False  # on what every scale makes (HP-VAE-GAN)
    normalisation: Normalisation = "sample"  # over each sample, or over a step's batch (HP-VAE-GAN)
    precision: Precision = "fp32"  # in which the patch-GAN scales' convolutions compute
    vae_steps: int = 5000
    gan_steps: int = 5000
    decay: float = 0.0  # High-Res-SinGAN: share of gan_steps that each further GAN scale does without
    batch: int = 2  # (HP-VAE-GAN)
    learning_rate: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.999)
    lower_rate: float = 0.2  # learning rate factor of E and G_0 per newer VAE scale (HP-VAE-GAN)
    final_share: float = 0.0  # of a scale's steps, at their end, that are taken at
    final_rate: float = 1.0  # times the learning rate
    averaging: int = 1  # steps that a GAN scale's weights are averaged over; 1: the last ones as they are
    clip: float = 5.0  # gradient norm, of the encoder and the generators
    critic_clip: float | None = None  # and of the critic; None: as it is
    reconstruction: float = 10.0
    kl: float = 1.0
    adversarial: float = 1.0
    gradient_penalty: float = 0.1  # (HP-VAE-GAN)
    noise: float = 0.1  # z_m's deviation per RMSE of the scale's reconstruction and sample (HP-VAE-GAN)
    # Which reconstruction that is: the one that a patch-GAN scale starts from; or the one that any scale
    # makes before its first step, so that patch-VAE scales have noise in samples as well (HP-VAE-GAN's code).
    noise_source: NoiseSource = "enlarged"

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) of every scale for a photograph of these, coarsest first."""
        return scale_sizes(height, width, self.long_side, self.scales, self.factor)

    def steps(self, scale: int) -> int:
        """Training steps of one scale."""
        if scale < self.vae_scales:
            return self.vae_steps
        return max(1, round(self.gan_steps * (1 - self.decay * (scale - self.vae_scales))))

    def final_step(self, scale: int) -> int:
        """The first of a scale's steps that are taken at ``final_rate``."""
        return round(self.steps(scale) * (1 - self.final_share))


@dataclass(frozen=True)
class SinganConfig:
    """A structure of SinGAN's. Values are the paper's, and its code's where the paper has none."""

    family: ClassVar[Family] = "singan"

    long_side: int = 250  # pixels of the finest scale
    short_side: int = 25  # pixels of the coarsest; the photograph's aspect decides how many scales there are
    factor: float = 0.75  # between neighbouring scales, as near as a whole number of scales allows
    channels: int = 32  # of generators and critics at the coarsest scales
    doubled_every: int | None = 4  # scales; None: as many channels at all of them (High-Res-SinGAN)
    most_channels: int = 128
    layers: int = 5  # convolutions of a generator and of a critic: receptive field 2 * layers + 1
    padding: NoisePadding = "zeros"  # around what a generator gets; "noise" is for animations
    scale_steps: int = 2000
    decay: float = 0.0  # share of scale_steps, times its number, that a scale does without (High-Res-SinGAN)
    critic_steps: int = 3  # of each training step, and then
    generator_steps: int = 3  # with the noise of the last of them
    learning_rate: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.999)
    final_share: float = 0.2  # of a scale's steps, at their end, that are taken at
    final_rate: float = 0.1  # times the learning rate
    reconstruction: float = 10.0
    gradient_penalty: float = 0.1
    noise: float = 0.1  # z_m's deviation per RMSE of the enlarged reconstruction

    @property
    def smallest_side(self) -> int:
        """Pixels that the short side of every scale has at least."""
        return self.short_side

    def width(self, scale: int) -> int:
        """Channels of one scale's generator and critic."""
        doubled = 0 if self.doubled_every is None else scale // self.doubled_every
        return min(self.channels * 2**doubled, self.most_channels)

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) of every scale for a photograph of these, coarsest first."""
        return singan_sizes(height, width, self.long_side, self.short_side, self.factor)

    def steps(self, scale: int) -> int:
        """Training steps of one scale."""
        return max(1, round(self.scale_steps * (1 - self.decay * scale)))

    def final_step(self, scale: int) -> int:
        """The first of a scale's steps that are taken at ``final_rate``."""
        return round(self.steps(scale) * (1 - self.final_share))


@dataclass(frozen=True)
class ConsinganConfig:
    """A structure of ConSinGAN's. Values are the paper's, and its code's where the paper has none."""

    family: ClassVar[Family] = "consingan"

    long_side: int = 250  # pixels of the finest stage
    short_side: int = 25  # pixels of the coarsest
    stages: int = 6
    together: int = 3  # stages that are trained at a time, the newest of them
    older_rate: float = 0.1  # times the learning rate, per stage that one is older than the newest
    channels: int = 64  # of all stages, and of the critic
    layers: int = 3  # convolutions of a stage
    stage_steps: int = 2000
    critic_steps: int = 3  # of each training step, and then
    generator_steps: int = 3  # along one gradient
    learning_rate: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.999)
    final_share: float = 0.2  # of a stage's steps, at their end, that are taken at
    final_rate: float = 0.1  # times the learning rate
    reconstruction: float = 10.0
    gradient_penalty: float = 0.1
    noise: float = 0.1  # z_m's deviation per RMSE of the reconstruction that the new stage makes

    @property
    def smallest_side(self) -> int:
        """Pixels that the short side of every stage has at least."""
        return self.short_side

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) of every stage for a photograph of these, coarsest first."""
        return consingan_sizes(height, width, self.long_side, self.short_side, self.stages)

    def steps(self, scale: int) -> int:  # noqa: ARG002 - as other families have them
        """Training steps of one stage."""
        return self.stage_steps

    def final_step(self, scale: int) -> int:
        """The first of a stage's steps that are taken at ``final_rate``."""
        return round(self.steps(scale) * (1 - self.final_share))


AnyStructureConfig = StructureConfig | SinganConfig | ConsinganConfig


@dataclass(frozen=True)
class UpscalerConfig:
    """Steps 2 and 3, super-resolution (Table 4)."""

    first: UpscalerSize = RRDB_23  # pass 1's network
    second: UpscalerSize | None = None  # pass 2's, where it has one of its own
    later: UpscalerSize = RRDB_23  # that of the passes after these
    # Algorithm 2's two phases share the 100,000 iterations of Table 4; Algorithm 3, from pre-trained weights
    # on, takes those of the second.
    l1_steps: int = 50_000
    gan_steps: int = 50_000
    batch: int = 16  # (ESRGAN)
    patch: int = 128  # pixels, high resolution
    margin: int = 0  # low-resolution pixels around a patch that the network sees and no loss does
    learning_rate: float = 1e-4
    gan_learning_rate: float = 1e-4  # of the adversarial phase
    betas: tuple[float, float] = (0.9, 0.999)
    halvings: tuple[float, ...] | None = (0.3, 0.6, 0.9)  # of all steps; None: a half cosine over each phase
    averaging: int = 1000  # steps that the weights are averaged over (BasicSR: an exponential mean of 0.999)
    precision: Precision = "fp32"  # of convolutions while training
    perceptual: float = 1.0
    reconstruction: float = 0.01
    adversarial: float = 0.005
    # In place of that weight: how long the adversarial gradient is beside the rest's. 0: there is none.
    adversarial_share: float | None = None
    perceptual_side: int | None = None  # pixels of the one part that features are taken of; None: all patches
    # L1's, and those of the losses beside it, where there are no weights for VGG19's features. From noise
    # L1 makes the mean of all that could have been there: it has to be weak for passes 1 and 2.
    reconstruction_alone: float = 0.6
    noisy_reconstruction_alone: float = 0.06
    patch_statistics_alone: float = 0.02
    grid_pattern_alone: float = 5.0
    lpips: float = 0.0
    discriminator_channels: int = 64
    discriminator_levels: int = 4
    noise: float = 0.1  # deviation of the noise added to pass 1's input
    second_noise: float = 0.03  # to pass 2's, where that has a network of its own
    grain: float = 0.0  # largest deviation of noise in the later one's input: a photograph's own, up to this
    structures: int = 0  # reconstructions, and as many samples, that passes 1 and 2 learn from as well
    held_out: float = 0.0  # share of the photograph's width, at its right, that is kept for evaluation
    first_share: float = 1.0  # of the steps: what pass 1's upscaler takes, and pass 2's
    pretrained: bool = False  # starts from the weights in trainers/weights, where no others are given
    tuning_l1_steps: int = 0  # in place of l1_steps from pre-trained weights: Algorithm 3 has one phase only

    @property
    def window(self) -> int:
        """Pixels of a patch with its margins, high resolution."""
        return self.patch + 2 * SCALE * self.margin

    def steps(self, *, pretrained: bool, share: float = 1.0) -> tuple[int, int]:
        """Training steps of the L1 phase and of the adversarial one."""
        l1_steps = self.tuning_l1_steps if pretrained else self.l1_steps
        return round(l1_steps * share), round(self.gan_steps * share)


@dataclass(frozen=True)
class Preset:
    """Everything that ``trainers.fit`` trains with."""

    name: str
    structure: AnyStructureConfig
    upscaler: UpscalerConfig

    @property
    def family(self) -> Family:
        """Of the structure."""
        return self.structure.family

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "family": self.family}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preset:
        """The inverse of :meth:`as_dict`, also after a trip through JSON (tuples come back as lists).

        Raises:
            TypeError: a field is missing, which must not be filled in as another version has it, or unknown;
                or the family is.
        """
        preset = make(cls, {name: value for name, value in data.items() if name != "family"})
        if "family" not in data:
            raise TypeError("Preset lacks family")
        if data["family"] not in list(STRUCTURES):  # a list: whatever it is, it need not have a hash
            raise TypeError(f"Preset has an unknown family {data['family']!r:.40}")
        kind = STRUCTURES[data["family"]]
        upscaler = make(UpscalerConfig, data["upscaler"])
        given = data["upscaler"]
        upscaler = replace(
            upscaler,
            first=make(UpscalerSize, given["first"]),
            second=None if given["second"] is None else make(UpscalerSize, given["second"]),
            later=make(UpscalerSize, given["later"]),
        )
        return replace(preset, structure=make(kind, data["structure"]), upscaler=upscaler)


def make(kind: type[T], values: object) -> T:
    """A dataclass of exactly these values, of which lists become tuples: JSON has none.

    Raises:
        TypeError: a field is missing, which must not be filled in as another version has it, or unknown.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{kind.__name__} is no object of values but {values!r:.40}")
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # it is a dataclass
    for word, wrong in (("lacks", names - values.keys()), ("has an unknown", values.keys() - names)):
        if wrong:
            raise TypeError(f"{kind.__name__} {word} {', '.join(sorted(wrong))}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


STRUCTURES: dict[Family, type[AnyStructureConfig]] = {
    "ourgan": StructureConfig,
    "singan": SinganConfig,
    "consingan": ConsinganConfig,
}

PAPER_STRUCTURE = StructureConfig()
PAPER = Preset("paper", PAPER_STRUCTURE, UpscalerConfig())

# Structures are reduced to some 64 pixels (45 to 90) and matched against the photograph there; what is finer
# comes from the photograph's own pixels. So the presets' structures are small, and time goes into steps.
# Upscalers serve only beyond 1.5 times the photograph's resolution.

# The better structure: in six minutes on two idle CPU cores, of twelve in all (from times per step; not timed
# as a whole, nor on a GPU). What differs from the paper, and why, is said line by line.
STANDARD_STRUCTURE = replace(
    PAPER_STRUCTURE,
    long_side=96,  # all that is matched; in one training each scale up to it came closer, at 64 pixels
    scales=6,  # the coarsest is as coarse as the paper's
    channels=48,  # 64, the paper's, take about 1.6 x the time per step
    vae_steps=1000,  # a single picture is reconstructed well by then
    gan_steps=2900,  # at the first GAN scale, which decides what things look like and costs least
    decay=0.3,  # High-Res-SinGAN's, steeper: of equally many steps early ones do more (docs/quality.md)
    averaging=100,  # half the layout drift, 40 % less distance (docs/quality.md)
    upsampling="bicubic",  # alone a third less drift, 27 % less distance; nothing more in time
    batch=1,  # half the time per step
    encoder_blocks=1,  # the coarsest scale has some 20 pixels; the drafts of docs/quality.md were made so
    critic_clip=5.0,  # as well: so were they
    padding="replicate",  # zeros draw faint frames, and tie samples to the layout of the photograph
    precision="bf16",  # faster, on processors with AVX512-BF16 or AMX and on GPUs: docs/benchmarks.md
)
STANDARD = Preset(
    "standard",
    STANDARD_STRUCTURE,
    replace(
        PAPER.upscaler,
        later=UpscalerSize("residual", 48, 5, None),  # as good as an RRDB of 4 blocks at a fifth of its time
        # What pass 1 has made is softer than a photograph: a network that is used to photographs sharpens it
        # to straight lines. This one is used to it, and draws surfaces from noise (docs/quality.md).
        second=UpscalerSize("residual", 48, 5, None),
        first=UpscalerSize("residual", 64, 8, None),  # pass 1 has a sixteenth of the pixels
        pretrained=True,  # minutes instead of hours
        l1_steps=2400,
        tuning_l1_steps=100,
        gan_steps=500,  # with half of them each for passes 1 and 2 what fits into four minutes
        first_share=0.5,  # pass 1 makes what is mostly taken from the photograph now
        batch=8,  # half the time per step
        margin=4,  # what padding changes is no part of what is rendered, and of no loss
        lpips=0.15,  # a third less LPIPS-Alex at the price of some tenths of a dB (docs/quality.md)
        perceptual_side=96,
        structures=4,  # what pass 1 will meet
        grain=0.015,  # a photograph has more of it at its own size than its reductions: it became worms
        adversarial_share=0.0,  # in so few steps it is worth nothing beside the rest (docs/quality.md)
        learning_rate=1e-3,  # small networks take larger steps
        gan_learning_rate=3e-4,
        halvings=None,  # so few steps end better in a slow fade, and averaged
        averaging=100,
        precision="bf16",  # faster, as in the structure
        discriminator_channels=16,  # small beside a small network: it must not win
        discriminator_levels=3,
        held_out=1 / 12,  # so that every bundle's upscalers can be measured on what they have not seen
    ),
)

# A recognisable picture in three to four minutes on two idle CPU cores: smaller, fewer channels, few steps.
DRAFT_STRUCTURE = replace(
    STANDARD_STRUCTURE,
    long_side=72,  # in the same time as good as 96 at 64 pixels, and cleaner to the eye
    scales=5,  # the coarsest is as coarse as standard's
    channels=32,  # multiples of 16 are fast; two thirds take two thirds of the time
    latent=64,
    vae_steps=400,  # the three smallest scales together take 11 seconds
    gan_steps=1300,  # with this decay 65 seconds: 26 and 37 ms per step
    decay=0.35,
)
DRAFT = Preset(
    "draft",
    DRAFT_STRUCTURE,
    # The pre-trained weights, made used to the photograph in half a minute.
    replace(STANDARD.upscaler, l1_steps=800, tuning_l1_steps=0, gan_steps=100, averaging=50),
)

# What OUR-GAN's structure is made from, and compared with (Table 2): Table 3 without vertical coordinates,
# and with what else the public code does. There the coarsest scale has 32 pixels; here 26, as in Table 3.
HPVAEGAN_STRUCTURE = replace(
    PAPER_STRUCTURE,
    vertical_coordinates=False,
    tanh=True,
    normalisation="batch",
    noise_source="generated",
)
HPVAEGAN = Preset("hpvaegan", HPVAEGAN_STRUCTURE, STANDARD.upscaler)

# The draft's sizes, channels and steps, and otherwise as HP-VAE-GAN.
HPVAEGAN_DRAFT_STRUCTURE = replace(
    HPVAEGAN_STRUCTURE,
    long_side=DRAFT_STRUCTURE.long_side,
    scales=DRAFT_STRUCTURE.scales,
    channels=DRAFT_STRUCTURE.channels,
    latent=DRAFT_STRUCTURE.latent,
    encoder_blocks=DRAFT_STRUCTURE.encoder_blocks,
    vae_steps=DRAFT_STRUCTURE.vae_steps,
    gan_steps=DRAFT_STRUCTURE.gan_steps,
    decay=DRAFT_STRUCTURE.decay,
    precision=DRAFT_STRUCTURE.precision,
)
HPVAEGAN_DRAFT = Preset("hpvaegan-draft", HPVAEGAN_DRAFT_STRUCTURE, DRAFT.upscaler)

# For a GPU: on one CPU core a step takes 0.08 to 7.3 s, coarsest to finest scale; all take some nine hours.
SINGAN_STRUCTURE = SinganConfig()
SINGAN = Preset("singan", SINGAN_STRUCTURE, STANDARD.upscaler)

# Two to three minutes on one CPU core: 21, 35, 61 and 118 ms per step.
SINGAN_DRAFT_STRUCTURE = replace(
    SINGAN_STRUCTURE,
    long_side=96,  # four scales for 3 : 2: as much as standard's structure has
    scale_steps=500,
    critic_steps=1,  # a third of the time per step
    generator_steps=1,
)
SINGAN_DRAFT = Preset("singan-draft", SINGAN_DRAFT_STRUCTURE, DRAFT.upscaler)

# To double the resolution the authors double the receptive field and square the number of kernels: 32 would
# be 1024, whose convolutions take a thousand times the time. That is not practical: they are 32 here.
HIGHRES_STRUCTURE = replace(
    SINGAN_STRUCTURE,
    long_side=500,
    doubled_every=None,  # so that every scale starts from the weights of the one before
    layers=10,  # a receptive field of 21 pixels, SinGAN's has 11
    decay=0.1,  # of 10 scales 45 % of the steps are saved
)
HIGHRES = Preset("highres", HIGHRES_STRUCTURE, STANDARD.upscaler)

# For a GPU.
CONSINGAN_STRUCTURE = ConsinganConfig()
CONSINGAN = Preset("consingan", CONSINGAN_STRUCTURE, STANDARD.upscaler)

# At most two and a half minutes of one CPU core: 26, 37, 82 and 148 ms per step, on a busy machine.
CONSINGAN_DRAFT_STRUCTURE = replace(
    CONSINGAN_STRUCTURE,
    long_side=96,  # as much as standard's structure has
    stages=4,  # six would lie 1.1 to 1.4 apart
    channels=32,
    stage_steps=500,
    critic_steps=1,  # a third of the time per step
)
CONSINGAN_DRAFT = Preset("consingan-draft", CONSINGAN_DRAFT_STRUCTURE, DRAFT.upscaler)

PRESETS = {
    preset.name: preset
    for preset in (
        *(DRAFT, STANDARD, PAPER, HPVAEGAN_DRAFT, HPVAEGAN),
        *(SINGAN_DRAFT, SINGAN, HIGHRES),
        *(CONSINGAN_DRAFT, CONSINGAN),
    )
}
DEFAULTS: dict[Family, str] = {"ourgan": "standard", "singan": "singan", "consingan": "consingan"}
"""The name of each family's preset where none is asked for."""


def names_of(family: Family) -> list[str]:
    """The names of a family's presets, sorted."""
    return sorted(name for name, preset in PRESETS.items() if preset.family == family)


def ourgan_structure(name: str) -> StructureConfig:
    """The structure of a preset of the family ourgan.

    Raises:
        TypeError: the preset is of another family.
    """
    structure = PRESETS[name].structure
    if not isinstance(structure, StructureConfig):
        raise TypeError(f"expected a preset of the family ourgan, got {name}")
    return structure
