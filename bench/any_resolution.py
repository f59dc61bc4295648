"""Any-resolution training on pictures whose details only the larger ones show, and what it is accepted by.

python -m bench.any_resolution                             three seeds
python -m bench.any_resolution --seeds 0 2 --threads 1     two of them, beside which another process can train
                                                           the third; then the first command shows all

The data are made here, from a seed: 2000 small pictures of 32 px and 100 large ones of 64 to 256 px, with
one soft disc or two on a gradient. All have a grain, each its own, of waves of which 24 to 30 fit into a
picture, in all directions, and of a colour of its own: of grey grain a distance in units of the pictures'
deviations would see little but the least colour. 32 pixels show the discs, their places and colours, but at
most 16 waves. Scales from 150 to 180 are never trained.

Per seed three generators are trained alike: as it is meant, without the teacher's loss, and without the scale
as an input. Phase 1 is the same for all of them, so it is taken once; what it has averaged is the teacher.
Every training is a run directory of its own in --folder: the command can be stopped and given again, and what
is finished is not trained again. Then

(1) the energy of what 32 pixels do not show (the mean square of a picture minus itself, reduced to 32 px and
    enlarged), at scales trained and, at 164, never trained; as a share of that of 100 new true pictures. The
    teacher's pictures are enlarged, bicubic. Wanted at 164: 0.75 to 1.25, of the teacher below 0.05;
(2) patches against the slice of the whole, in 8-bit levels, at every margin up to what the generator sees in
    theory. Wanted there: at most 1;
(3) pictures at 128 px, reduced to 32 px, against the teacher's of the same latents: L1 in levels. Wanted:
    lower with the teacher's loss than without;
(4) the distance of patches (trainers.metrics.patch_distance) at the folder's scales, without the scale input
    and with it, beside that of other real patches. Wanted: higher without, at every seed. It is pFID where
    --inception gives the weights.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ourgan_sdk.progress import progress_bar
from ourgan_sdk.system.atomic import atomic_file
from trainers.any_resolution.model import Generator
from trainers.any_resolution.phases import train_any
from trainers.any_resolution.pictures import PictureFolder
from trainers.any_resolution.presets import AnyConfig, AnyPreset
from trainers.any_resolution.views import Band, coordinates
from trainers.command_line import limit_threads
from trainers.metrics.inception import WEIGHTS, InceptionFeatures
from trainers.metrics.patch_distance import PatchDistance
from trainers.photo import reduce
from trainers.runs.run import Run, grid

PATCH = 32  # pixels: the smallest scale, and what the teacher makes
LARGEST = 256
BAND = Band(150, 180)
UNSEEN = 164
SCALES = (64, 96, 128, UNSEEN, 208, 256)
WAVES = 16  # of a grain
LENGTHS = (24.0, 30.0)  # of their frequencies, cycles per picture
CONTRAST = 0.2  # of a grain, of 1: as that of a single wave with this amplitude
TRUE_PICTURES = 100
COMPARED_AT = 128  # the scale whose pictures are reduced to the teacher's
PATCHES = 2000  # of a patch distance
TRUTH_SEED = 1 << 20  # no seed of the data

COLOURS = ((0.75, 0.35, 0.25), (0.25, 0.4, 0.75))  # (R, G, B) of the discs
TOP, BOTTOM = (0.65, 0.6, 0.5), (0.35, 0.4, 0.45)  # and of the gradient behind them

Generate = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""coordinates (N, 2, h, w), scale (N,), latent (N, D), margin -> (N, 3, stride (h - 2 margin), ...)."""


# The data


@dataclass(frozen=True)
class Scene:
    """A picture as a function of the unit square."""

    places: Tensor  # (discs, 2): y, x
    radii: Tensor  # (discs,)
    kinds: Tensor  # (discs,) which colour
    waves: Tensor  # (WAVES, 3): cycles along y and x, phase in cycles
    tint: Tensor  # (3,) of the grain, mean square 1

    @classmethod
    def draw(cls, seed: int, number: int) -> Scene:
        """Scene ``number`` of those of a seed."""
        random = np.random.default_rng([seed, number])
        discs = int(random.integers(1, 3))
        lengths, angles = random.uniform(*LENGTHS, WAVES), random.uniform(0, 2 * np.pi, WAVES)
        waves = np.stack([lengths * np.sin(angles), lengths * np.cos(angles), random.uniform(0, 1, WAVES)], 1)
        tint = random.normal(size=3)
        return cls(
            torch.from_numpy(random.uniform(0.2, 0.8, (discs, 2))).float(),
            torch.from_numpy(random.uniform(0.15, 0.28, discs)).float(),
            torch.from_numpy(random.integers(len(COLOURS), size=discs)),
            torch.from_numpy(waves).float(),
            torch.from_numpy(tint / np.sqrt(np.mean(tint**2))).float(),
        )

    def at(self, y: Tensor, x: Tensor, contrast: float = CONTRAST) -> Tensor:
        """(3, H, W) float32 in [0, 1] at the places ``y`` (H, 1) and ``x`` (1, W)."""
        top, bottom = (torch.tensor(colour)[:, None, None] for colour in (TOP, BOTTOM))
        picture = (top + (bottom - top) * y).expand(3, y.shape[0], x.shape[1])
        for place, radius, kind in zip(self.places, self.radii, self.kinds.tolist(), strict=True):
            away = ((y - place[0]).square() + (x - place[1]).square()).sqrt()
            inside = torch.sigmoid((radius - away) / 0.03)
            picture = picture + inside * (torch.tensor(COLOURS[kind])[:, None, None] - picture)
        return (picture + contrast * self.grain(y, x)).clamp(0, 1)

    def grain(self, y: Tensor, x: Tensor) -> Tensor:
        """(3, H, W), as strong as one wave of an amplitude of 1."""
        waves = torch.zeros(y.shape[0], x.shape[1])
        for down, across, phase in self.waves.tolist():
            waves += (2 * torch.pi * (down * y + across * x + phase)).cos()
        return self.tint[:, None, None] * waves / math.sqrt(len(self.waves))

    def picture(self, contrast: float = CONTRAST) -> Image.Image:
        """Of 256 pixels, which hold all there is."""
        centres = (torch.arange(LARGEST) + 0.5) / LARGEST
        pixels = (self.at(centres[:, None], centres[None], contrast) * 255).round().to(torch.uint8)
        return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def reduced(picture: Image.Image, side: int) -> Image.Image:
    """To ``side`` pixels, Lanczos."""
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def write_pictures(folder: Path, seed: int, small: int, large: int) -> None:
    """The folder of a seed's pictures, as far as they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    sides = [PATCH] * small + np.linspace(2 * PATCH, LARGEST, large).round().astype(int).tolist()
    with progress_bar(len(sides), "pictures", unit="picture", delay=1) as bar:
        for number, side in enumerate(sides):
            target = folder / f"{number:05}-{side}.png"
            if not target.exists():
                with atomic_file(target) as path:
                    reduced(Scene.draw(seed, number).picture(), side).save(path, "PNG")
            bar.update()


def true_pictures(side: int, count: int = TRUE_PICTURES) -> Tensor:
    """New pictures of ``side`` pixels, (N, 3, side, side) float32 in [0, 1]."""
    pictures = [np.asarray(reduced(one, side)) for one in _true(count)]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


@lru_cache(maxsize=2)
def _true(count: int) -> list[Image.Image]:
    return [Scene.draw(TRUTH_SEED, number).picture() for number in range(count)]


# What is measured


def fine_energy(pictures: Tensor) -> float:
    """Mean square of what 32 pixels do not show of ``pictures`` (N, 3, s, s) in [0, 1]."""
    side = pictures.shape[-1]
    coarse = reduce(pictures, PATCH, PATCH)
    rest = pictures - F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
    return float(rest.square().mean())


def enlarged(pictures: Tensor, side: int) -> Tensor:
    """Bicubic."""
    return F.interpolate(pictures, (side, side), mode="bicubic", align_corners=False).clamp(0, 1)


@dataclass(frozen=True)
class Sampler:
    """Pictures and patches of a generator; ``margin`` cells around them are there for what lies within."""

    generate: Generate
    stride: int
    margin: int
    latent: int

    @torch.no_grad()
    def patches(self, origins: Tensor, scales: Tensor, latents: Tensor, side: int = PATCH) -> Tensor:
        """(N, 3, side, side) in [-1, 1]."""
        grids = coordinates(origins, scales, side, self.stride, self.margin)
        return self.generate(grids, scales.float(), latents, self.margin).clamp(-1, 1)

    def whole(self, scale: int, latents: Tensor) -> Tensor:
        """Whole pictures (N, 3, scale, scale) in [0, 1], some at a time; ``scale`` in whole cells."""
        made = []
        for some in torch.split(latents, max(1, 8 * LARGEST**2 // scale**2)):
            scales = torch.full((len(some),), float(scale), dtype=torch.float64)
            origins = torch.zeros(len(some), 2, dtype=torch.float64)
            made.append(self.patches(origins, scales, some, scale))
        return (torch.cat(made) + 1) / 2

    def latents(self, count: int, seed: int = 0) -> Tensor:
        """Normal, of a seed."""
        return torch.randn(count, self.latent, generator=torch.Generator().manual_seed(seed))


def energies(
    sampler: Sampler, teacher: Sampler, count: int = TRUE_PICTURES, scales: Sequence[int] = SCALES
) -> dict[int, tuple[float, float]]:
    """By scale: the energy of fine details as a share of the truth's, of the generator and of its teacher."""
    latents = sampler.latents(count)
    small = teacher.whole(PATCH, latents)
    result = {}
    for scale in scales:
        truth = fine_energy(true_pictures(scale, count))
        made = fine_energy(sampler.whole(scale, latents))
        result[scale] = made / truth, fine_energy(enlarged(small, scale)) / truth
    return result


def slice_errors(sampler: Sampler, scale: int, seed: int = 0) -> list[float]:
    """By margin, from 0 to the sampler's: how far patches are from the slice of the whole, in levels."""
    latents = sampler.latents(1, seed)
    whole = sampler.whole(scale, latents)
    random = np.random.default_rng(seed)
    cells = (scale - PATCH) // sampler.stride
    corners = sampler.stride * np.concatenate(
        [[[0, 0], [cells, cells]], random.integers(cells + 1, size=(6, 2))]
    )
    worst = []
    for margin in range(sampler.margin + 1):
        part = replace(sampler, margin=margin)
        errors = []
        for y, x in corners.tolist():
            origin = torch.tensor([[y, x]], dtype=torch.float64) / scale
            made = part.patches(origin, torch.tensor([float(scale)], dtype=torch.float64), latents)
            expected = whole[..., y : y + PATCH, x : x + PATCH]
            errors.append(float(((made + 1) / 2 - expected).abs().max()))
        worst.append(255 * max(errors))
    return worst


def teacher_error(sampler: Sampler, teacher: Sampler, count: int = TRUE_PICTURES) -> float:
    """L1 in levels between pictures reduced to 32 px and the teacher's of the same latents."""
    latents = sampler.latents(count)
    made = reduce(sampler.whole(COMPARED_AT, latents), PATCH, PATCH)
    return 255 * float((made - teacher.whole(PATCH, latents)).abs().mean())


def patch_score(distance: PatchDistance, sampler: Sampler) -> float:
    """The distance of a generator's patches, of latents of one seed."""
    generator = torch.Generator().manual_seed(1)

    def make(origins: Tensor, scales: Tensor) -> Tensor:
        latents = torch.randn(len(scales), sampler.latent, generator=generator)
        return sampler.patches(origins, scales, latents)

    return distance(make).value


# The trainings


KINDS: dict[str, dict[str, Any]] = {
    "as it is meant": {},
    "without the teacher's loss": {"teacher": 0.0},
    "without the scale input": {"scale_input": False},
}
MEANT, FREE, SCALELESS = KINDS


def train(
    directory: Path, pictures: PictureFolder, config: AnyConfig, seed: int, base: Path | None
) -> Generator:
    """A generator, trained as far as it is not yet; phase 1 is that of the run ``base``, where there is one.

    Raises:
        SystemExit: ``directory`` holds another run.
        RunError: training diverged.
    """
    record = {
        "preset": AnyPreset("bench", config).as_dict(),
        "pictures": pictures.sha256,
        "band": [BAND.first, BAND.last],
        "seed": seed,
        "perceptual": None,
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if (directory / "config.json").exists():
        run = Run.open(directory, device, keys=frozenset(record))
        if run.config != json.loads(json.dumps(record)):
            raise SystemExit(f"error: {directory} was trained otherwise: give another --folder, or delete it")
    else:
        run = Run.create(directory, record, device)
        if base is not None:
            state = torch.load(base / "checkpoints" / "generator-1.pt", weights_only=True)
            run.write_checkpoint("generator", {**state, "config": run.config})
    return train_any(run, pictures, config)


def teacher_of(directory: Path, generator: Generator) -> Generator:
    """What phase 1 of a run has averaged."""
    teacher = copy.deepcopy(generator)
    state = torch.load(directory / "checkpoints" / "generator-1.pt", weights_only=True)
    teacher.load_state_dict(state["average"])
    return teacher


def sampler_of(generator: Generator) -> Sampler:
    """Pictures of a generator, on its own device; back on the CPU."""
    device = next(generator.parameters()).device

    def generate(grids: Tensor, scales: Tensor, latents: Tensor, margin: int) -> Tensor:
        made: Tensor = generator(grids.to(device), scales.to(device), latents.to(device), margin)
        return made.cpu()

    return Sampler(generate, generator.config.stride, generator.size.radius, generator.config.latent)


# The tables


@dataclass(frozen=True)
class Result:
    """Of one seed."""

    energies: dict[int, tuple[float, float]]  # by scale: of the generator, of its teacher
    slices: list[float]  # by margin, levels
    teacher: dict[str, float]  # by kind, levels
    distances: dict[str, float]  # by kind
    floor: float


def measure(samplers: Mapping[str, Sampler], teacher: Sampler, distance: PatchDistance, count: int) -> Result:
    """All points of one seed, of the samplers by kind; ``count`` pictures where pictures are compared."""
    meant = samplers[MEANT]
    return Result(
        energies(meant, teacher, count),
        slice_errors(meant, UNSEEN),
        {kind: teacher_error(samplers[kind], teacher, count) for kind in (MEANT, FREE)},
        {kind: patch_score(distance, sampler) for kind, sampler in samplers.items()},
        distance.floor().value,
    )


def lines(results: Mapping[int, Result], name: str) -> list[str]:
    """The tables, by seed; ``name`` of the distance."""
    result = [
        f"(1) energy beyond {PATCH} px, share of the truth's (teacher, enlarged); {UNSEEN} px: never trained"
    ]
    result += ["seed  " + "".join(f"{f'{scale} px':>16}" for scale in SCALES)]
    for seed, one in results.items():
        cells = (f"{made:.2f} ({small:.3f})" for made, small in one.energies.values())
        result.append(f"{seed:<6}" + "".join(f"{cell:>16}" for cell in cells))
    result += ["", f"(2) patches against slices of the whole at {UNSEEN} px, levels, by margin in cells"]
    result += [
        f"{seed:<6}" + " ".join(f"{error:.2f}" for error in one.slices) for seed, one in results.items()
    ]
    result += ["", f"(3) L1 of pictures at {COMPARED_AT} px, reduced, to the teacher's, levels"]
    result += [f"{seed:<6}" + _cells(one.teacher) for seed, one in results.items()]
    result += ["", f"(4) {name}"]
    result += [
        f"{seed:<6}" + _cells({**one.distances, "other real ones": one.floor})
        for seed, one in results.items()
    ]
    return [*result, "", *verdicts(results)]


def _cells(numbers: Mapping[str, float]) -> str:
    return "; ".join(f"{kind} {number:.2f}" for kind, number in numbers.items())


def verdicts(results: Mapping[int, Result]) -> list[str]:
    """Which of the points hold, and at how many of the seeds."""
    held = {
        "(1)": [
            0.75 <= one.energies[UNSEEN][0] <= 1.25 and one.energies[UNSEEN][1] < 0.05
            for one in results.values()
        ],
        "(2)": [one.slices[-1] <= 1 for one in results.values()],
        "(3)": [one.teacher[MEANT] < one.teacher[FREE] for one in results.values()],
        "(4)": [one.distances[SCALELESS] > one.distances[MEANT] for one in results.values()],
    }
    return [f"{point} holds at {sum(times)} of {len(times)} seeds" for point, times in held.items()]


def sheet(samplers: Sequence[Sampler], columns: int = 4) -> Image.Image:
    """Pictures at the scale never trained of the same latents, a row a sampler, below true ones."""
    rows = [true_pictures(UNSEEN, columns)]
    rows += [enlarged(one.whole(PATCH, one.latents(columns)), UNSEEN) for one in samplers[:1]]
    rows += [one.whole(UNSEEN, one.latents(columns)) for one in samplers[1:]]
    return grid(torch.cat(rows), columns)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, print the tables."""
    options = parse(arguments)
    if options.threads is None:
        limit_threads()
    else:
        torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    data = options.folder / "data"
    write_pictures(data, 0, options.small, options.large)
    pictures = PictureFolder(data, PATCH, band=BAND)
    inception = InceptionFeatures.load(options.inception) if options.inception else None
    distance = PatchDistance(PictureFolder(data, PATCH).patches, options.patches, inception=inception)
    results = {}
    for seed in options.seeds:
        base = options.folder / f"{seed}-meant"
        directories = (base, options.folder / f"{seed}-free", options.folder / f"{seed}-scaleless")
        generators = {}
        for (kind, change), directory in zip(KINDS.items(), directories, strict=True):
            print(f"seed {seed}, {kind}", flush=True)
            config = replace(config_of(options), **change)
            generators[kind] = train(directory, pictures, config, seed, None if directory == base else base)
        samplers = {kind: sampler_of(generator) for kind, generator in generators.items()}
        teacher = sampler_of(teacher_of(base, generators[MEANT]))
        results[seed] = measure(samplers, teacher, distance, options.compared)
        with atomic_file(options.folder / f"{seed}.png") as path:
            sheet([teacher, *samplers.values()]).save(path, "PNG")
        print("\n".join(lines({seed: results[seed]}, distance.name)), flush=True)
    print("\n".join(["", *lines(results, distance.name)]))


def config_of(options: argparse.Namespace) -> AnyConfig:
    """As the command line has it."""
    return AnyConfig(
        patch=PATCH,
        latent=64,
        features=128,
        r1_every=8,
        lpips=0.0,
        averaging=200,
        settling=options.settling,
        stride=options.stride,
        margin=options.margin,
        channels=options.channels,
        critic_channels=options.channels,
        batch=options.batch,
        whole_steps=options.whole_steps,
        patch_steps=options.patch_steps,
        r1=options.r1,
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, default=Path("runs/any-resolution"), help="default: %(default)s")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    add("--small", type=int, default=2000, help="pictures of 32 px (default: %(default)s)")
    add("--large", type=int, default=100, help="pictures of 64 to 256 px (default: %(default)s)")
    add("--whole-steps", type=int, default=1500, help="phase 1 (default: %(default)s)")
    add("--patch-steps", type=int, default=4000, help="phase 2 (default: %(default)s)")
    add("--settling", type=float, default=0.5, help="share of it with falling rates (default: %(default)s)")
    add("--channels", type=int, default=16, help="of both networks (default: %(default)s)")
    add("--stride", type=int, default=2, help="pixels per cell (default: %(default)s)")
    add(
        "--margin",
        type=int,
        default=2,
        help="cells around a patch in training (default: %(default)s)",
    )
    add("--batch", type=int, default=8, help="default: %(default)s")
    add("--r1", type=float, default=0.1, help="weight of the gradient penalty (default: %(default)s)")
    add("--compared", type=int, default=TRUE_PICTURES, help="pictures (default: %(default)s)")
    add("--patches", type=int, default=PATCHES, help="of a distance (default: %(default)s)")
    add("--inception", type=Path, metavar="FILE", help=WEIGHTS)
    add("--threads", type=int, help="torch's (default: all processors; on busy ones a single one is faster)")
    options = parser.parse_args(arguments)
    if min(options.large, options.compared) < 1 or options.patches < 2 or min(options.seeds) < 0:
        parser.error("expected seeds from 0 on, a large picture, one to compare, and two patches at least")
    return options


if __name__ == "__main__":
    main()
