"""SinGAN's seven acceptance points, measured on a bundle: value, goal, and whether it is met.

python -m bench.singan photo.ourgan                                 the photograph is the bundle's own
python -m bench.singan photo.ourgan --run runs/photo-singan-draft   beside what training logged
python -m bench.singan photo.ourgan --samples 100 --seed 1          more samples; other pastes

Any bundle will do whose structure network can start from a picture and knows what reconstructs the
photograph, OUR-GAN's as well as SinGAN's. Measured are

1. the reconstruction by z*, through the bundle's network, against the photograph at the finest scale, in
   8-bit levels, and what training logged of it;
2. diversity (``trainers.metrics.diversity``) of new layouts and of samples that start from the photograph at
   every scale: by the network's own noise alone (a variety of 0), and with moved parts, as by default. Also
   how far these samples, without moved parts, are from the photograph at the scale that was given to them;
3. pastes that are harmonised: parts of the photograph of another place, shape and colour. Told is how far the
   mean colour inside is from that of the ring around, as it was, before and after, and without the paste;
4. the upscaler of sharp pictures on what was held out of its training (``trainers.metrics.restoration``): the
   sliced Wasserstein distance beside bicubic's;
5. a film: neighbouring frames, and frames half the film apart;
6. borders, which are a property of training: not of a bundle, and tested;
7. how much the halves of samples twice as wide are alike.

The exit status does not tell whether goals are met: the lines do.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ourgan_sdk import Bundle, Layout, Mask, Synthesizer
from ourgan_sdk.arrays import Picture
from ourgan_sdk.bundle import Structure
from ourgan_sdk.engines.runtimes import import_onnxruntime
from ourgan_sdk.structure.network import read_reconstruction, reconstruction_feeds
from trainers.command_line import limit_threads
from trainers.metrics.comparison import OWN_SHARE, as_upscale
from trainers.metrics.diversity import diversity, intensity
from trainers.metrics.restoration import bicubic, make_task, score, task_sizes
from trainers.photo import Photo, load_photo, reduce, structure_pyramid, to_float
from trainers.pyramid import scale_sizes
from trainers.structures.model import as_pictures

COLUMNS = ("point", "measured", "value", "goal", "met")
LEVELS = 0.1  # by which a reconstruction may differ from the logged one
PASTES = 5
PASTE_SIDE = 384  # pixels, long side of the pictures that are harmonised
RING = 16  # pixels of these around a paste that its colour is compared with
GAIN = 20.0  # percent, that the distance has to be below bicubic's
FRAMES = 24
ALIKE = 0.9  # correlation that halves have to stay below
WIDE_SEEDS = 10

Marked = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """One line of the table; ``met`` is None where nothing was judged."""

    point: int
    measured: str
    value: str
    goal: str
    met: bool | None

    def __str__(self) -> str:
        met = "-" if self.met is None else "yes" if self.met else "no"
        return f"| {self.point} | {self.measured} | {self.value} | {self.goal} | {met} |"


@dataclass(frozen=True)
class Subject:
    """A bundle, what renders its structures, and its photograph at every scale of them."""

    bundle: Bundle
    structure: Structure
    synthesizer: Synthesizer  # networks make all that it shows
    photo: Photo
    pyramid: list[Tensor]  # [(3, H_m, W_m)] in [0, 1]

    @property
    def scales(self) -> int:
        """How many of them there are."""
        return len(self.pyramid)


def main() -> None:
    """Print the table, a line as soon as it is measured."""
    options = parse()
    limit_threads()
    subject = open_subject(options.bundle, options.photo)
    print(f"| {' | '.join(COLUMNS)} |", f"{'|---' * len(COLUMNS)}|", sep="\n", flush=True)
    for row in rows(subject, options):
        print(row, flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE")
    add("--photo", type=Path, help="the photograph that it has learned (default: the one that it holds)")
    add("--run", type=Path, help="the run that trained it: for what was logged of its reconstruction")
    add("--samples", type=int, default=20, help="for diversity, at each start (default: 20)")
    add("--seed", type=int, default=0, help="of samples, pastes and film (default: 0)")
    options = parser.parse_args()
    if options.samples < 2:
        parser.error("diversity needs two samples at least")
    return options


def open_subject(path: Path, photo: Path | None) -> Subject:
    """The bundle at ``path``; ``photo``: its photograph, by default the one that it holds.

    Raises:
        BundleError, PhotographError: a file cannot be read.
        SystemExit: the bundle does not have what is measured.
    """
    bundle = Bundle.open(path)
    structure, member = bundle.manifest.structure, bundle.manifest.photograph
    if structure is None or not structure.starts or structure.reconstruction is None:
        raise SystemExit(f"error: {path} has no structure network that can start from a picture: fit it anew")
    if member is None:
        raise SystemExit(f"error: {path} does not hold its photograph, which samples and pastes start from")
    known = load_photo(photo) if photo is not None else held_photo(bundle, member)
    sizes = [(scale.height, scale.width) for scale in structure.scales]
    pyramid = [as_pictures(one)[0] for one in structure_pyramid(known, sizes)]
    return Subject(bundle, structure, Synthesizer(bundle, detail="network"), known, pyramid)


def held_photo(bundle: Bundle, member: str) -> Photo:
    """The photograph in a bundle, which may have been encoded anew for it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(member).name
        path.write_bytes(bundle.read(member))
        return load_photo(path)


def rows(subject: Subject, options: argparse.Namespace) -> Iterator[Row]:
    """All lines of the table."""
    yield reconstruction_row(subject, options.run)
    yield from start_rows(subject, options.samples, options.seed)
    yield from paste_rows(subject, options.seed)
    yield from super_resolution_rows(subject)
    yield from film_rows(subject, options.seed)
    yield Row(6, "corners vary more with noise around", "tests/trainers/test_singan.py", "tested", None)
    yield wide_row(subject, options.seed)


def reconstruction_row(subject: Subject, run: Path | None) -> Row:
    """Point 1."""
    levels = rmse(reconstruct(subject), subject.pyramid[-1])
    label = "reconstruction, 8-bit levels"
    logged = None if run is None else logged_levels(run, subject.scales - 1)
    if logged is None:
        return Row(1, label, f"{levels:.2f}", f"within {LEVELS} of what was logged (--run)", None)
    value = f"{levels:.2f}; logged: {logged:.2f}"
    return Row(1, label, value, f"within {LEVELS} of it", abs(levels - logged) <= LEVELS)


def reconstruct(subject: Subject) -> Tensor:
    """What the bundle's network makes of z* (3, H, W), in [0, 1]: not rounded, as in training."""
    network = subject.bundle.network(subject.structure.file).data
    session = import_onnxruntime().InferenceSession(network, providers=["CPUExecutionProvider"])
    size = subject.bundle.manifest.base_size
    feeds = reconstruction_feeds(read_reconstruction(subject.bundle), subject.structure, size)
    (picture,) = session.run(None, dict(feeds))
    return torch.from_numpy(np.asarray(picture[0], np.float32)).clamp(0, 1)


def logged_levels(run: Path, scale: int) -> float | None:
    """The error of the reconstruction that a run logged at the end of a scale, if it did."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    levels = [line.get("reconstruction_levels") for line in lines if line["phase"] == f"structure-{scale}"]
    return None if not levels or levels[-1] is None else float(levels[-1])


def start_rows(subject: Subject, count: int, seed: int) -> Iterator[Row]:
    """Point 2."""
    seeds = range(seed, seed + count)
    new = samples(subject, 0, seeds)
    still = [new, *(samples(subject, n, seeds, Layout(variety=0.0)) for n in range(1, subject.scales))]
    moved = [new, *(samples(subject, n, seeds) for n in range(1, subject.scales))]
    starts = ", ".join(str(n) for n in range(1, subject.scales))
    for label, sets in (("own noise", still), ("moved parts", moved)):
        values = [diversity(one, subject.pyramid[-1]) for one in sets]
        falls = all(later < first for first, later in itertools.pairwise(values))
        shown = ", ".join(f"{value:.4f}" for value in values)
        yield Row(2, f"diversity: new, from {starts}; {label}", shown, "falls", falls)
    for n in range(1, subject.scales):
        there = subject.pyramid[n - 1]
        errors = [[rmse(one, there) for one in reduce(s, *there.shape[1:])] for s in still[: n + 1]]
        shown = ", ".join(f"{fmean(values):.2f}" for values in errors)
        lower = min(itertools.chain(*errors[:-1]))
        label = f"RMSE at scale {n - 1}, levels: new, and from 1 to {n}"
        yield Row(
            *(2, label, f"{shown}; farthest of the last {max(errors[-1]):.2f}, nearest below {lower:.2f}"),
            "every one of the last is nearer",
            max(errors[-1]) < lower,
        )


def samples(subject: Subject, start: int, seeds: range, layout: Layout | None = None) -> Tensor:
    """Structures (N, 3, H, W) in [0, 1], from scale ``start`` of the photograph on; 0: new ones."""
    height, width = subject.bundle.manifest.base_size
    scale = start or None
    # As previews, but of 16 bits: what noise changes of a start may be less than an 8-bit level.
    render = functools.partial(subject.synthesizer.render, width, height, dtype=np.uint16)
    made = [render(seed, layout=layout, start_scale=scale) for seed in seeds]
    return torch.stack([as_tensor(one) for one in made])


def paste_rows(subject: Subject, seed: int) -> Iterator[Row]:
    """Point 3."""
    random = np.random.default_rng(seed)
    longest = min(PASTE_SIDE, max(subject.photo.height, subject.photo.width))
    (size,) = scale_sizes(subject.photo.height, subject.photo.width, longest, 1, 1.0)
    picture = as_picture(reduce(to_float(subject.photo.pixels)[None], *size)[0])
    equal = 0
    with Synthesizer(subject.bundle) as synthesizer:  # as a command does it: detail is the photograph's
        scale = synthesizer.default_start_scale("harmonize")
        for number in range(PASTES):
            pasted, inside = paste(picture, random)
            mask = Mask(inside)
            result = synthesizer.render(
                size[1], size[0], seed + number, start=pasted, start_scale=scale, mask=mask
            )
            outside = mask.weights(size).part(size, 0, 0, *size) == 0
            equal += np.array_equal(result[outside], pasted[outside])
            there, before, after = (color_distance(one, inside, pasted) for one in (picture, pasted, result))
            label = f"paste {number + 1}, {inside.mean():.1%} of the picture: colour distance, levels"
            yield Row(3, label, f"{before:.1f} to {after:.1f}; without: {there:.1f}", "falls", after < before)
    yield Row(3, "pastes around which all bytes are equal", f"{equal} of {PASTES}", "all", equal == PASTES)


def paste(picture: Picture, random: np.random.Generator) -> tuple[Picture, Marked]:
    """``picture`` with another part of it, of another colour, pasted in; and where that is."""
    height, width = picture.shape[:2]
    h, w = (int(random.integers(side // 8, side // 4 + 1)) for side in (height, width))
    (y, x), (from_y, from_x) = (
        (int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))) for _ in range(2)
    )
    part = np.ones((h, w), np.bool_)
    if random.integers(2):  # an ellipse
        rows, columns = (np.linspace(-1, 1, side) for side in (h, w))
        part = rows[:, None] ** 2 + columns**2 <= 1
    inside = np.zeros((height, width), np.bool_)
    inside[y : y + h, x : x + w] = part
    shift = random.choice((-1, 1), 3) * random.uniform(30, 80, 3)
    content = np.clip(picture[from_y : from_y + h, from_x : from_x + w] + shift, 0, 255)
    pasted = picture.copy()
    pasted[inside] = np.rint(content[part]).astype(np.uint8)
    return pasted, inside


def color_distance(picture: Picture, inside: Marked, surroundings: Picture) -> float:
    """Of the mean RGB ``inside`` of a picture to that of the ring around it, in ``surroundings``."""
    marked = torch.from_numpy(inside.astype(np.float32))[None]
    ring = (F.max_pool2d(marked, 2 * RING + 1, 1, RING)[0].numpy() > 0) & ~inside
    difference = picture[inside].mean(0) - surroundings[ring].mean(0)
    return float(np.sqrt(np.square(difference).sum()))


def super_resolution_rows(subject: Subject) -> Iterator[Row]:
    """Point 4; at the photograph's own size and at half of it, as ``trainers.evaluate`` measures it."""
    training, upscaler = subject.bundle.manifest.training, subject.bundle.manifest.upscalers[-1]
    share = 0.0 if training is None else training.held_out
    seen = "" if share else ", which training has seen"
    upscale = as_upscale(subject.bundle.network(upscaler.file).data)
    for name, long_side in task_sizes(subject.photo, max(subject.bundle.manifest.base_size)):
        if name != "later":
            continue
        label = f"x4 of the part held out{seen}, at {long_side} px: sliced Wasserstein x 1000"
        try:
            task = make_task(subject.photo, share or OWN_SHARE, long_side, 0.0)
        except ValueError:
            yield Row(4, label, "the part is too small", f"{GAIN:.0f} % below bicubic", None)
            continue
        ours, theirs = score(upscale, task).swd, score(bicubic, task).swd
        below = 100 * (1 - ours / theirs)
        value = f"{ours:.1f}; bicubic: {theirs:.1f}; {below:.0f} % below"
        yield Row(4, label, value, f"{GAIN:.0f} % below bicubic", below >= GAIN)


def film_rows(subject: Subject, seed: int) -> Iterator[Row]:
    """Point 5."""
    height, width = subject.bundle.manifest.base_size
    film = subject.synthesizer.animation(width, height, FRAMES, seed)
    frames = np.stack([frame.astype(np.float32) for frame in film])
    near, far = (float(np.abs(frames - np.roll(frames, by, 0)).mean()) for by in (1, FRAMES // 2))
    label = f"film of {FRAMES} frames: neighbours, and half the film apart, levels"
    yield Row(5, label, f"{near:.2f}; {far:.2f}", "neighbours are nearer", near < far)
    yield Row(5, "scales before the start are the same", "tests/test_animation.py", "tested", None)


def wide_row(subject: Subject, seed: int) -> Row:
    """Point 7."""
    height, width = subject.bundle.manifest.base_size
    found = []
    for number in range(WIDE_SEEDS):
        picture = subject.synthesizer.preview(seed + number, width=2 * width, height=height)
        left, right = (intensity(as_tensor(picture[:, x : x + width])).flatten() for x in (0, width))
        found.append(float(torch.corrcoef(torch.stack([left, right]))[0, 1]))
    label = f"correlation of the halves, twice as wide, {WIDE_SEEDS} seeds"
    value = f"{fmean(found):.2f} ({min(found):.2f} to {max(found):.2f})"
    return Row(7, label, value, f"below {ALIKE}", fmean(found) < ALIKE)


def rmse(one: Tensor, other: Tensor) -> float:
    """Of pictures in [0, 1], in 8-bit levels."""
    return 255 * float(F.mse_loss(one, other).sqrt())


def as_tensor(picture: Picture) -> Tensor:
    """(H, W, 3) uint8 or uint16 -> (3, H, W) in [0, 1]."""
    values = picture.transpose(2, 0, 1) / np.float32(np.iinfo(picture.dtype).max)
    return torch.from_numpy(values.astype(np.float32))


def as_picture(picture: Tensor) -> Picture:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return np.ascontiguousarray((picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


if __name__ == "__main__":
    main()
