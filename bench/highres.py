"""High-Res-SinGAN: what its fewer steps save and cost; and slicing, the paper's other way to be large.

python -m bench.highres photo.jpg                                    124 px, 100 steps at the coarsest scale
python -m bench.highres photo.jpg --long-side 500 --iterations 2000  the paper's: for a GPU
python -m bench.highres photo.jpg --timing                           no training: seconds per step, summed up

First the preset ``highres`` at another long side, trained with its decay (scale k takes N0 (1 - 0.1 k) steps)
and without, in turns and with the same seeds. Seconds are those of the steps: their median at every scale,
times their number, from the run's log; so are the steps themselves, which have to be the configuration's.
Beside the time saved stands the arithmetic: steps, steps weighted by the scale's pixels, and the paper's
figure. The sliced Wasserstein distance x 1000 (mean of all levels, ``trainers.metrics``) stands in for SIFID,
as it needs no weights; it and diversity are those of samples at the finest scale.

Then slicing. The photograph's four quadrants are trained at half the long side, each as a run of its own, and
a base model of the whole at that long side. The quadrants' pictures are joined 2 x 2 and mended: injected at
an edit scale of a model of the whole, of which the cross is taken, through a mask that is grown and softened
as ``ourgan edit`` does it, or everything. That model is the first method's; and the base model, whose
convolutions take the picture at twice the size that they have learned. Where structures are so small that
they have a single scale, mending is drawing anew. Then they are drawn at --detail times the size, with detail
from the photograph: the picture is their whole structure. The seam is the mean absolute gradient across the
cross by that one to eight pixels beside it: 1 is no seam, and the photograph's own is told as well.

Photographs are cropped to what can be halved. Runs are kept in --folder, so that the command can be stopped
and given again; sheets of pictures are written there.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from torch import Tensor

from bench.training import alternate
from ourgan_sdk import Mask, Synthesizer
from trainers.command_line import limit_threads
from trainers.metrics.diversity import diversity
from trainers.metrics.sliced_wasserstein import SlicedWasserstein
from trainers.photo import Photo, load_photo, reduce, structure_pyramid, to_float
from trainers.presets import HIGHRES, HIGHRES_STRUCTURE, SINGAN_DRAFT_STRUCTURE, Preset, SinganConfig
from trainers.runs.run import Run, grid
from trainers.structures.model import as_pictures
from trainers.structures.singan import SinganModel, SinganScale, train_singan

DECAY = HIGHRES_STRUCTURE.decay
PAPER = 0.43  # of the time that the paper saved
EDIT_SCALE = 2  # as `ourgan edit` has it; a structure of few scales starts at its finest
EDIT_GROWTH = 20.0  # 1/250 of the long side
BESIDE = 8  # pixels on either side of the cross that its gradient is compared with
MOST_SHOWN = 4  # pictures of a kind on a sheet
MOST_ENLARGED = 3  # and of those that detail is made for
QUADRANTS = ("top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True)
class Trained:
    """A structure, and what its training took."""

    model: SinganModel
    pyramid: list[Tensor]  # [(1, 3, H_m, W_m)] in [-1, 1]
    steps: list[int]  # of every scale, as they were logged
    seconds: float

    @property
    def photo(self) -> Tensor:
        """(3, H, W) in [0, 1], at the finest scale."""
        return as_pictures(self.pyramid[-1])[0]

    @torch.no_grad()
    def reconstruction(self) -> Tensor:
        """The photograph as z* makes it, (1, 3, H, W) in [0, 1]."""
        noises = self.model.reconstruction_noises(self.pyramid, len(self.steps))
        return as_pictures(self.model.network(noises))

    def pictures(self, count: int, seed: int) -> Tensor:
        """The reconstruction, then ``count`` samples: (1 + N, 3, H, W) in [0, 1]."""
        torch.manual_seed(seed)
        return torch.cat([self.reconstruction(), self.model.sample(len(self.steps), count)])


def main() -> None:
    """Train, measure, print the tables."""
    options = parse()
    if options.threads is None:
        limit_threads()
    else:
        torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    photo = load_photo(options.photo)
    if options.timing:
        print_timing(photo, options.repetitions)
        return
    photo = halvable(photo, options.long_side)
    config = replace(
        HIGHRES_STRUCTURE,
        long_side=options.long_side,
        scale_steps=options.iterations,
        layers=options.layers,
    )
    half = replace(config, long_side=options.long_side // 2)
    least = 2 * options.layers + 1
    if min(half.sizes(photo.height, photo.width)[0]) < least:
        raise SystemExit(
            f"error: critics see {least} x {least} pixels, more than half a picture has: "
            "give a larger --long-side, or fewer --layers"
        )
    runs = print_decay(photo, config, options)
    print()
    print_slicing(photo, half, runs[DECAY], options)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("photo", type=Path, metavar="PHOTO")
    add("--long-side", type=int, default=124, help="finest scale, pixels; even (default: %(default)s)")
    add("--iterations", type=int, default=100, help="at the coarsest scale (default: %(default)s)")
    layers = HIGHRES_STRUCTURE.layers
    add("--layers", type=int, default=layers, help="convolutions of a network (default: %(default)s)")
    add("--seeds", type=int, default=3, help="from 0 on, with decay and without (default: %(default)s)")
    add("--samples", type=int, default=20, help="that are measured (default: %(default)s)")
    add("--detail", type=int, default=3, help="times the size, with detail (default: %(default)s)")
    add("--folder", type=Path, default=Path("runs/highres"), help="of runs and sheets (default: %(default)s)")
    add("--threads", type=int, help="torch's (default: all processors; on busy ones a single one is faster)")
    add("--timing", action="store_true", help="only time some steps of singan-draft and highres")
    add("--repetitions", type=int, default=2, help="steps that are timed per scale (default: %(default)s)")
    options = parser.parse_args()
    if options.long_side % 2:
        parser.error("quadrants have half the long side: give an even one")
    if options.samples < 2:
        parser.error("diversity needs two samples at least")
    return options


def halvable(photo: Photo, long_side: int) -> Photo:
    """The photograph's middle, of which both the finest scale and the pixels can be halved on both axes."""
    longest, shortest = max(photo.height, photo.width), min(photo.height, photo.width)
    longest -= longest % 2
    halves = math.floor(shortest * long_side / longest / 2)
    short = math.floor(2 * halves * longest / long_side / 2) * 2
    height, width = (short, longest) if photo.height <= photo.width else (longest, short)
    top, left = (photo.height - height) // 2, (photo.width - width) // 2
    return replace(photo, pixels=photo.pixels[:, top : top + height, left : left + width], original=None)


# With decay, and without


def print_decay(photo: Photo, config: SinganConfig, options: argparse.Namespace) -> dict[float, Trained]:
    """Trains in turns and prints the table; returns the first seed's structures by their decay."""
    first: dict[float, Trained] = {}
    seconds: dict[float, list[float]] = {DECAY: [], 0.0: []}
    numbers: dict[float, list[list[float]]] = {DECAY: [], 0.0: []}
    print(
        f"{'decay':<6} {'seed':>6} {'seconds':>9} {'diversity':>10} {'SWD':>7} {'reconstruction':>15}  steps"
    )
    for seed in range(options.seeds):
        for decay in (DECAY, 0.0) if seed % 2 == 0 else (0.0, DECAY):
            name = f"{options.photo.stem}-decay-{decay:g}-{seed}"
            trained = train(options.folder / name, photo, replace(config, decay=decay), seed)
            first.setdefault(decay, trained)
            seconds[decay].append(trained.seconds)
            numbers[decay].append(measure(trained, options.samples))
            print(row(decay, str(seed), trained.seconds, numbers[decay][-1], trained.steps), flush=True)
    for decay, measured in numbers.items():
        middle = [median(values) for values in zip(*measured, strict=True)]
        print(row(decay, "median", median(seconds[decay]), middle, first[decay].steps))
    with_, without = (first[decay].steps for decay in (DECAY, 0.0))
    share = 1 - median(seconds[DECAY]) / median(seconds[0.0])
    print(f"time saved: {share:.0%}; {arithmetic(with_, without, first[DECAY].model.sizes)}")
    return first


def train(directory: Path, photo: Photo, config: SinganConfig, seed: int) -> Trained:
    """A structure, trained as far as it is not yet.

    Raises:
        SystemExit: ``directory`` holds another run, or the log has other steps than the configuration.
        DivergedError: a scale diverged twice.
    """
    record = {
        "photo": {"path": "", "sha256": photo.sha256, "width": photo.width, "height": photo.height},
        "photograph": False,
        "output": "",
        "preset": Preset(HIGHRES.name, config, HIGHRES.upscaler).as_dict(),
        "seed": seed,
        "perceptual": None,
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if (directory / "config.json").exists():
        run = Run.open(directory, device, quiet=True)
        if (run.preset.structure, run.config["photo"], run.config["seed"]) != (config, record["photo"], seed):
            raise SystemExit(f"error: {directory} was trained otherwise: give another --folder, or delete it")
    else:
        run = Run.create(directory, record, device, quiet=True)
    torch.manual_seed(seed)
    model = train_singan(run, photo, config)
    steps, seconds = logged(directory / "metrics.jsonl", len(model.sizes))
    if steps != [config.steps(m) for m in range(len(model.sizes))]:
        raise SystemExit(
            f"error: {directory} has logged the steps {steps}, which are not the configuration's"
        )
    pyramid = [one.to(device) for one in structure_pyramid(photo, model.sizes)]
    return Trained(model, pyramid, steps, seconds)


def logged(path: Path, scales: int) -> tuple[list[int], float]:
    """The steps of every scale in a metrics log, and the seconds of all: a step's median, times how many."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    steps, seconds = [], 0.0
    for m in range(scales):
        # The line after the last step is about the finished scale.
        taken = [line for line in lines if line["phase"] == f"structure-{m}" and "wasserstein" in line]
        steps.append(taken[-1]["step"] + 1)
        times = [
            (later["time"] - one["time"]) / (later["step"] - one["step"]) for one, later in pairwise(taken)
        ]
        seconds += steps[-1] * median(times) if times else 0.0  # of a single step nothing is known
    return steps, seconds


def measure(trained: Trained, count: int) -> list[float]:
    """Diversity and distance of samples, and the reconstruction's error in levels."""
    torch.manual_seed(1)
    samples, real = trained.model.sample(len(trained.steps), count), trained.photo
    distance = SlicedWasserstein(real)
    return [
        diversity(samples, real),
        fmean(fmean(distance(sample)) for sample in samples),
        trained.model.reconstruction_levels(trained.pyramid, len(trained.steps)),
    ]


def row(decay: float, seed: str, seconds: float, numbers: Sequence[float], steps: Sequence[int]) -> str:
    """One line of the table."""
    varied, distance, levels = numbers
    listed = " ".join(map(str, steps))
    return f"{decay:<6g} {seed:>6} {seconds:>9.1f} {varied:>10.3f} {distance:>7.1f} {levels:>15.2f}  {listed}"


def arithmetic(with_: Sequence[int], without: Sequence[int], sizes: Sequence[tuple[int, int]]) -> str:
    """What fewer steps save where each costs the same, and where it costs what its scale has of pixels."""
    areas = [height * width for height, width in sizes]
    return (
        f"of the steps {saved(with_, without, [1] * len(areas)):.0%}, weighted by pixels "
        f"{saved(with_, without, areas):.0%}; the paper, at 500 px: {PAPER:.0%}"
    )


def saved(with_: Sequence[int], without: Sequence[int], costs: Sequence[int]) -> float:
    """The share of a training's cost that fewer steps save, where a step of a scale costs so much."""
    less, whole = (
        sum(count * cost for count, cost in zip(steps, costs, strict=True)) for steps in (with_, without)
    )
    return 1 - less / whole


# Slicing


def print_slicing(photo: Photo, config: SinganConfig, whole: Trained, options: argparse.Namespace) -> None:
    """Trains quadrants and base model, mends what is joined, prints the tables and writes the sheets."""
    quadrants = [
        train(options.folder / f"{options.photo.stem}-{name.replace(' ', '-')}", part, config, 0)
        for name, part in zip(QUADRANTS, parts_of(photo), strict=True)
    ]
    base = train(options.folder / f"{options.photo.stem}-base", photo, config, 0)
    joined = join([one.pictures(options.samples, seed) for seed, one in enumerate(quadrants)])
    kinds = {
        "first method": whole.pictures(options.samples, 0),
        "joined": joined,
        "mended at the cross": mend(whole, joined, only_cross=True),
        "mended everywhere": mend(whole, joined, only_cross=False),
        "by the base model at the cross": mend(base, joined, only_cross=True),
        "by the base model everywhere": mend(base, joined, only_cross=False),
    }
    for name, pictures in kinds.items():
        if pictures.shape[1:] != whole.photo.shape or max(pictures.shape[2:]) != options.long_side:
            raise SystemExit(f"error: {name}: {tuple(pictures.shape)} are not {options.long_side} px long")
    seconds = sum(one.seconds for one in quadrants)
    print(
        f"seconds: first method {whole.seconds:.1f}; four quadrants {seconds:.1f}, base {base.seconds:.1f}; "
        f"mended from scale {edit_scale(whole)} on, of the base {edit_scale(base)}; "
        f"{whole.photo.shape[2]} x {whole.photo.shape[1]} px"
    )
    distance = SlicedWasserstein(whole.photo)
    print(f"{'':<32} {'seam, reconstruction':>22} {'seam, samples':>22} {'SWD, samples':>14}")
    seams, distances = {}, {}
    for name, pictures in kinds.items():
        seams[name] = [seam(one) for one in pictures]
        distances[name] = fmean(fmean(distance(one)) for one in pictures[1:])
        shown = spread(seams[name][1:])
        print(f"{name:<32} {seams[name][0]:>22.2f} {shown:>22} {distances[name]:>14.1f}", flush=True)
    print(f"{'photograph':<32} {seam(whole.photo):>22.2f}")
    ours, joined_, mended = (
        (median(seams[name][1:]), distances[name])
        for name in ("first method", "joined", "mended at the cross")
    )
    print(
        f"slicing by the first method, of samples: seam x {joined_[0] / ours[0]:.2f}, mended "
        f"x {mended[0] / ours[0]:.2f}; SWD x {joined_[1] / ours[1]:.2f}, mended x {mended[1] / ours[1]:.2f}"
    )
    save(options.folder / f"{options.photo.stem}-slicing.png", kinds)
    print_detail(kinds, options)


def parts_of(photo: Photo) -> Iterator[Photo]:
    """The four quadrants, row by row."""
    for rows in photo.pixels.chunk(2, 1):
        for pixels in rows.chunk(2, 2):
            yield replace(photo, pixels=pixels.contiguous())


def join(quadrants: Sequence[Tensor]) -> Tensor:
    """Pictures (N, 3, H, W) of the quadrants', (N, 3, H / 2, W / 2), row by row."""
    top_left, top_right, bottom_left, bottom_right = quadrants
    return torch.cat([torch.cat([top_left, top_right], 3), torch.cat([bottom_left, bottom_right], 3)], 2)


def edit_scale(trained: Trained) -> int:
    """At which joined pictures are given to a structure: the first scale that is new."""
    return min(EDIT_SCALE, len(trained.steps) - 1)


@torch.no_grad()
def mend(trained: Trained, joined: Tensor, *, only_cross: bool) -> Tensor:
    """``joined`` (N, 3, H, W) in [0, 1], started from by a structure, which may have learned another size."""
    network, model = trained.model.network, trained.model
    height, width = joined.shape[2:]
    finest, n = model.sizes[-1], edit_scale(trained)
    sizes = [(round(h * height / finest[0]), round(w * width / finest[1])) for h, w in model.sizes]
    weights = cross_weights(height, width).to(joined) if only_cross else torch.ones(height, width).to(joined)
    torch.manual_seed(0)
    mended = []
    for picture in joined[:, None]:
        noises = [
            torch.randn(1, channels, *(side + 2 * network.margin for side in size)).to(joined) * deviation
            for channels, size, deviation in zip(network.noise_channels, sizes, model.deviations, strict=True)
        ]
        starts = [
            (torch.zeros(1, 3, *size).to(joined), torch.zeros(1, 1, *size).to(joined)) for size in sizes
        ]
        # A structure of one scale has no scale below that could be given a picture: it is new altogether.
        if n > 0:
            given = reduce(picture, *sizes[n - 1]) * 2 - 1
            starts[n - 1] = given, torch.ones_like(given[:, :1])
        made = as_pictures(network(noises, starts=starts[:n]))
        mended.append(picture + weights * (made - picture))
    return torch.cat(mended)


def cross_weights(height: int, width: int) -> Tensor:
    """How much of a picture (H, W) is new: all of it along the cross, nothing far from it."""
    marked = np.zeros((height, width), np.bool_)
    marked[height // 2 - 1 : height // 2 + 1] = True
    marked[:, width // 2 - 1 : width // 2 + 1] = True
    weights = Mask(marked, grow=EDIT_GROWTH).weights((height, width))
    return torch.from_numpy(weights.part((height, width), 0, 0, height, width))


def seam(picture: Tensor, factor: int = 1) -> float:
    """The gradient across the cross of ``picture`` (3, H, W), by that beside it.

    ``factor``: pixels that one of the joined picture's has become.
    """
    across, beside = 0.0, 0.0
    for axis in (1, 2):
        steps = picture.diff(dim=axis).abs().mean((0, 3 - axis))
        # The difference in the middle of a picture that can be halved is that of the joined ones.
        middle, near = len(steps) // 2, factor // 2
        far = min(near + BESIDE * factor, middle)
        across += float(steps[middle - near : middle + near + 1].mean())
        both = torch.cat([steps[middle - far : middle - near], steps[middle + near + 1 : middle + far + 1]])
        beside += float(both.mean())
    return across / beside if beside else math.inf


def print_detail(kinds: Mapping[str, Tensor], options: argparse.Namespace) -> None:
    """The same with detail: the structure is the picture itself."""
    factor = options.detail
    print(f"{f'with detail, {factor} x as large':<32} {'seam, reconstruction':>22} {'seam, samples':>22}")
    detailed = {}
    with Synthesizer(options.photo, structure="patches") as synthesizer:
        for name in ("first method", "joined", "mended at the cross"):
            made = []
            for picture in kinds[name][:MOST_ENLARGED]:
                start = np.ascontiguousarray((picture * 255).round().byte().permute(1, 2, 0).cpu().numpy())
                height, width = (factor * side for side in start.shape[:2])
                pixels = synthesizer.render(width, height, start=start, start_scale=synthesizer.start_scales)
                made.append(to_float(torch.from_numpy(pixels.transpose(2, 0, 1).copy())))
            detailed[name] = torch.stack(made)
            seams = [seam(one, factor) for one in made]
            print(f"{name:<32} {seams[0]:>22.2f} {spread(seams[1:]):>22}", flush=True)
    save(options.folder / f"{options.photo.stem}-slicing-detail.png", detailed)


def spread(values: Sequence[float]) -> str:
    """Least, median and most."""
    return " / ".join(f"{one(values):.2f}" for one in (min, median, max))


def save(path: Path, kinds: Mapping[str, Tensor]) -> None:
    """A sheet: a row per kind, the reconstruction first."""
    shown = [pictures[:MOST_SHOWN].cpu() for pictures in kinds.values()]
    grid(torch.cat(shown), len(shown[0])).save(path, "PNG")
    print(f"{path}: {'; '.join(kinds)}")


# Times of whole trainings


def print_timing(photo: Photo, repetitions: int) -> None:
    """Times steps of every scale, and prints what trainings would take, worked out from them."""
    for name, config in (("singan-draft", SINGAN_DRAFT_STRUCTURE), ("highres", HIGHRES_STRUCTURE)):
        time_preset(photo, name, config, repetitions)


def time_preset(photo: Photo, name: str, config: SinganConfig, repetitions: int) -> None:
    """One preset's table."""
    with_, without = (replace(config, decay=decay) for decay in (DECAY, 0.0))
    print(f"{name:<14} {'size':>10} {'seconds per step':>17} {f'steps, decay {DECAY:g}':>17} {'without':>8}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = SinganModel(config, photo.height, photo.width, device)
    pyramid = [x.to(device, memory_format=torch.channels_last) for x in structure_pyramid(photo, model.sizes)]
    total = [0.0, 0.0]
    for m, (height, width) in enumerate(model.sizes):
        step: Callable[[], object] = SinganScale(model, pyramid, m, None).step
        (seconds,) = alternate([step], repetitions)
        taken = [one.steps(m) for one in (with_, without)]
        total = [sum_ + steps * seconds for sum_, steps in zip(total, taken, strict=True)]
        size = f"{width} x {height}"
        print(f"{f'scale {m}':<14} {size:>10} {seconds:>17.3f} {taken[0]:>17} {taken[1]:>8}", flush=True)
    fewer, plain = ([one.steps(m) for m in range(len(model.sizes))] for one in (with_, without))
    print(
        f"worked out from times per step: {total[0] / 60:.1f} min with decay, {total[1] / 60:.1f} without; "
        f"time saved: {1 - total[0] / total[1]:.0%}; {arithmetic(fewer, plain, model.sizes)}"
    )


if __name__ == "__main__":
    main()
