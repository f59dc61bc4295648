"""What each choice of the structure trainer is worth: variants of a preset, trained and measured.

python -m bench.ablations photo.jpg ...                        every variant on every photograph
python -m bench.ablations photo.jpg --variants base flat       some of them
python -m bench.ablations photo.jpg --long-side 128 --gan-steps 300 --decay 0.25    another finest scale

Variants differ from ``base``, the preset itself, in what their names say. Trained structures are kept in
--runs, so that the command can be stopped and given again. Metrics are those of ``trainers.evaluate``, on
samples of the structure; each run directory gets a contact sheet, the photograph first. Further lines
have them at 64 pixels of the photograph's long side, where structures of any size are matched against it, for
every GAN scale as if it were the finest.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from trainers.fit import describe
from trainers.metrics.diversity import diversity
from trainers.metrics.layout import layout_drift
from trainers.metrics.nearest_patches import NearestPatches
from trainers.metrics.sliced_wasserstein import SlicedWasserstein
from trainers.networks.structure import SampleNorm
from trainers.photo import Photo, load_photo, reduce, to_float
from trainers.presets import PRESETS, Preset, StructureConfig, names_of, ourgan_structure
from trainers.pyramid import scale_sizes
from trainers.runs.run import Run
from trainers.structures.ourgan import StructureModel, train_structure

SHEET_SAMPLES = 11
AVERAGED = 20  # samples that running statistics are averaged over
MATCHED = 64  # pixels, long side, at which structures are matched against the photograph


def mean_steps(config: StructureConfig) -> int:
    """Of the GAN scales."""
    return round(fmean(config.steps(m) for m in range(config.vae_scales, config.scales)))


def short(config: StructureConfig) -> StructureConfig:
    """Few steps at the coarse GAN scales, too."""
    return replace(config, gan_steps=300, decay=0.1)


def plain(config: StructureConfig) -> StructureConfig:
    """Neither averaged weights nor a slower end nor bicubic enlargement: the paper's ways."""
    paper = ourgan_structure("paper")
    return replace(
        config,
        averaging=paper.averaging,
        final_share=paper.final_share,
        final_rate=paper.final_rate,
        upsampling=paper.upsampling,
    )


def averaged(config: StructureConfig) -> StructureConfig:
    """A GAN scale's weights averaged over about its last hundred steps."""
    return replace(config, averaging=100)


def slower(config: StructureConfig) -> StructureConfig:
    """The last fifth of every scale's steps at a tenth of the learning rate."""
    return replace(config, final_share=0.2, final_rate=0.1)


def bicubic(config: StructureConfig) -> StructureConfig:
    """Bicubic between scales."""
    return replace(config, upsampling="bicubic")


VARIANTS: dict[str, tuple[str, Callable[[StructureConfig], StructureConfig]]] = {
    "base": ("the preset", lambda c: c),
    "plain": ("the paper's ways", plain),
    "averaging": ("... + averaging", lambda c: averaged(plain(c))),
    "schedule": ("... + a slower end", lambda c: slower(plain(c))),
    "bicubic": ("... + bicubic", lambda c: bicubic(plain(c))),
    "all": ("... + all three", lambda c: averaged(slower(bicubic(c)))),
    "averaging-schedule": ("... + averaging, slower end", lambda c: averaged(slower(plain(c)))),
    "averaging-bicubic": ("... + averaging, bicubic", lambda c: averaged(bicubic(plain(c)))),
    "flat": ("no vertical coordinates", lambda c: replace(c, vertical_coordinates=False)),
    "short": ("300 GAN steps, decay 0.1", short),
    "short-flat": ("the same, no coordinates", lambda c: replace(short(c), vertical_coordinates=False)),
    "zeros": ("zero padding", lambda c: replace(c, padding="zeros")),
    "constant": ("as many steps at every scale", lambda c: replace(c, decay=0.0)),
    "even": ("steps spread evenly over scales", lambda c: replace(c, decay=0.0, gan_steps=mean_steps(c))),
    "fp32": ("float32", lambda c: replace(c, precision="fp32")),
}


def main() -> None:
    """Train, measure, print the table."""
    options = parse()
    print(
        f"{'photograph':<12} {'variant':<26} {'seconds':>8} {'diversity':>10} {'drift':>7} {'SWD':>7} "
        f"{'coherence':>10} {'completeness':>13}"
    )
    for path in options.photos:
        photo = load_photo(path)
        for name in options.variants:
            run, model = train(photo, path, name, options)
            row(path.stem, VARIANTS[name][0], run.seconds, measure(model, photo, options.samples))
            for scales in range(model.config.vae_scales + 1, model.config.scales + 1):
                matched = measure(model, photo, options.samples, MATCHED, scales)
                finest = max(model.sizes[scales - 1])
                row(path.stem, f"  at {MATCHED} px, from {finest} px", run.seconds, matched)
            save_sheet(run, model, photo, "samples")
            if name == "base":
                freeze_statistics(model.network, model)
                row(path.stem, "running statistics", run.seconds, measure(model, photo, options.samples))
                save_sheet(run, model, photo, "running-statistics")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--preset", choices=names_of("ourgan"), default="draft")
    parser.add_argument("--long-side", type=int, help="finest scale, pixels; the coarsest stays as it is")
    parser.add_argument("--vae-steps", type=int)
    parser.add_argument("--gan-steps", type=int, help="at the first GAN scale")
    parser.add_argument("--decay", type=float, help="share of these that each further one does without")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"))
    return parser.parse_args()


def budget(config: StructureConfig, options: argparse.Namespace) -> StructureConfig:
    """The configuration with another finest scale and other steps, where the command line asks for them."""
    given = {name: getattr(options, name) for name in ("vae_steps", "gan_steps", "decay")}
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    if options.long_side is None:
        return config
    coarsest = config.long_side * config.factor ** (config.scales - 1)
    scales = 1 + round(math.log(coarsest / options.long_side, config.factor))
    return replace(config, long_side=options.long_side, scales=scales)


def train(photo: Photo, path: Path, variant: str, options: argparse.Namespace) -> tuple[Run, StructureModel]:
    """The structure of one variant, trained as far as it is not yet."""
    preset = PRESETS[options.preset]
    structure = VARIANTS[variant][1](budget(ourgan_structure(options.preset), options))
    preset = Preset(preset.name, structure, preset.upscaler)
    directory = options.runs / f"{path.stem}-{variant}"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if (directory / "config.json").exists():
        run = Run.open(directory, device, quiet=True)
        kept = (run.preset.structure, run.config["seed"], run.config["photo"]["sha256"])
        if kept != (preset.structure, options.seed, photo.sha256):
            raise SystemExit(f"error: {directory} was trained otherwise: give other --runs, or delete it")
    else:
        config = {
            "photo": describe(photo, path),
            "photograph": False,
            "output": "",
            "preset": preset.as_dict(),
            "seed": options.seed,
            "perceptual": None,
        }
        run = Run.create(directory, config, device, quiet=True)
    torch.manual_seed(options.seed)
    torch.set_flush_denormal(True)
    return run, train_structure(run, photo, structure)


def measure(
    model: StructureModel, photo: Photo, count: int, long_side: int | None = None, scales: int | None = None
) -> list[float]:
    """Diversity, layout drift, SWD, coherence and completeness of ``count`` samples.

    With ``long_side``, of the samples reduced to that many pixels; with ``scales``, as if there were so many.
    """
    torch.manual_seed(1)
    samples = model.sample(scales or model.config.scales, count)
    real = reduced(photo, model)
    if long_side is not None:
        (size,) = scale_sizes(photo.height, photo.width, long_side, 1, 1.0)
        real = reduce(real[None], *size)[0]
        samples = reduce(samples, *size)
    distance, nearest = SlicedWasserstein(real), NearestPatches(real)
    patches = [nearest(sample) for sample in samples]
    return [
        diversity(samples, real),
        fmean(layout_drift(sample, real) for sample in samples),
        fmean(fmean(distance(sample)) for sample in samples),
        fmean(coherence for coherence, _ in patches),
        fmean(completeness for _, completeness in patches),
    ]


def reduced(photo: Photo, model: StructureModel) -> Tensor:
    """The photograph (3, H, W) in [0, 1] at the structure's finest scale."""
    return reduce(to_float(photo.pixels)[None], *model.sizes[-1])[0].to(model.device)


def save_sheet(run: Run, model: StructureModel, photo: Photo, name: str) -> None:
    """The photograph and samples, as samples/NAME.png of the run."""
    torch.manual_seed(2)
    samples = model.sample(model.config.scales, SHEET_SAMPLES)
    run.save_samples(name, torch.cat([reduced(photo, model)[None], samples]))


class FixedNorm(nn.Module):
    """What batch normalisation is in evaluation mode: one scale and shift per channel, for every sample."""

    def __init__(self, norm: SampleNorm, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        scale = norm.weight.detach() / (variance + 1e-5).sqrt()
        self.scale, self.shift = scale[:, None, None], (norm.bias.detach() - mean * scale)[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W), scaled and shifted per channel."""
        return x * self.scale + self.shift


def freeze_statistics(network: nn.Module, model: StructureModel) -> None:
    """Puts statistics averaged over samples in place of each sample's own, in the whole network."""
    sums: dict[SampleNorm, list[Tensor]] = {}

    def observe(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, SampleNorm)
        x = inputs[0].float()
        sums.setdefault(norm, []).append(torch.stack([x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)]))

    handles = [m.register_forward_pre_hook(observe) for m in network.modules() if isinstance(m, SampleNorm)]
    torch.manual_seed(3)
    model.sample(model.config.scales, AVERAGED)
    for handle in handles:
        handle.remove()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, SampleNorm):
                mean, variance = torch.stack(sums[child]).mean(0)
                setattr(parent, name, FixedNorm(child, mean, variance))


def row(photo: str, variant: str, seconds: float, values: list[float]) -> None:
    """One line of the table."""
    diversity_, drift, swd, coherence, completeness = values
    print(
        f"{photo:<12} {variant:<26} {seconds:>8.0f} {diversity_:>10.2f} {drift:>7.2f} {swd:>7.1f} "
        f"{coherence:>10.1f} {completeness:>13.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
