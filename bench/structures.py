"""Ways to make a structure, the small picture whose layout all else enlarges: compared in one table.

python -m bench.structures PHOTO [PHOTO ...]                        the mirror image, GPNN, and patches
python -m bench.structures PHOTO ... --bundles FOLDER [FILE ...]    also networks that have learned them

Every picture is compared with its photograph at one size, 128 pixels on the long side. Structures of other
sizes are resized to it: those that a network makes smaller lack the detail that the distance's finest level
looks for (``--long-side 72`` compares all at a draft's size).

* sliced Wasserstein distance x 1000 (all levels) and layout drift, as ``trainers.evaluate`` measures them;
* diversity: one figure for all seeds;
* copied share: the largest piece that is the photograph's own, as a share of the picture.

**The distance and the copied share are to be read together.** Both reward copying: a picture that is the
photograph, or two halves of it, is at almost no distance from it. What is low in the one and high in the
other has learned nothing. The mirror image is the distance's floor for new pictures of the same kind; its
copied share is what is found where nothing was copied.

Structures of patches stand there with several layouts. GPNN stands there twice: as its authors start it, with
noise over the photograph's coarsest level, and with noise over the mean colour (``gpnn.generate``).

Times are medians over the seeds, so the start of an engine, which the first one pays, does not count. CPU
seconds are the whole process's, over all threads.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from torch import Tensor

from bench.gpnn import generate
from ourgan_sdk import Bundle, Layout, Synthesizer
from ourgan_sdk.arrays import Picture
from ourgan_sdk.progress import progress_bar
from trainers.metrics.comparison import spread
from trainers.metrics.copied import CopiedShare
from trainers.metrics.diversity import diversity
from trainers.metrics.layout import layout_drift
from trainers.metrics.sliced_wasserstein import SlicedWasserstein
from trainers.photo import Photo, load_photo, reduce, to_float
from trainers.pyramid import scale_sizes

LONG_SIDE = 128
WAYS = ("mirror", "gpnn", "gpnn-noise", "patches", "network")
LAYOUTS = {
    "patches": Layout(),
    "patches, variety 0": Layout(variety=0.0),
    "patches, variety 1": Layout(variety=1.0),
    "patches, variety 1, vertical 0.3": Layout(variety=1.0, vertical=0.3),
}
"""Of structures of patches, by their rows' names."""
COLUMNS = (
    "photograph",
    "structure",
    "seeds",
    "sliced Wasserstein x 1000",
    "layout drift",
    "diversity",
    "copied, mean",
    "copied, most",
    "CPU seconds",
    "seconds",
)


@dataclass(frozen=True)
class Made:
    """A structure as it is compared, (3, H, W) in [0, 1], and what it took."""

    picture: Tensor
    cpu_seconds: float
    seconds: float


class Comparison:
    """Measures structures of one photograph.

    Raises:
        PhotographError: the photograph cannot be read.
        ValueError: it is smaller than what is compared.
    """

    def __init__(self, path: Path, long_side: int) -> None:
        self.name, photo = path.stem, load_photo(path)
        if max(photo.height, photo.width) < long_side:
            raise ValueError(f"{path} is smaller than {long_side} pixels, which structures are compared at")
        self.sha256, self.size = photo.sha256, compared_size(photo, long_side)
        self.photo = reduce(to_float(photo.pixels)[None], *self.size)[0]
        self.distance, self.copied = SlicedWasserstein(self.photo), CopiedShare(self.photo)

    def make(self, pictures: Iterator[Picture], label: str, count: int) -> list[Made]:
        """All pictures, resized if they are of another size; each is timed while it is made."""
        result = []
        with progress_bar(count, f"{self.name}, {label}", unit="structure") as bar:
            for _ in range(count):
                cpu, wall = time.process_time(), time.perf_counter()
                pixels = next(pictures)
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                picture = to_float(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
                if picture.shape != self.photo.shape:
                    picture = reduce(picture[None], *self.size)[0]
                result.append(Made(picture, cpu, wall))
                bar.update()
        return result

    def row(self, label: str, made: list[Made]) -> str:
        """The table's line of one way to make structures."""
        pictures = [one.picture for one in made]
        copied = [self.copied(picture).largest for picture in pictures]
        cells = [
            self.name,
            label,
            str(len(made)),
            shown([fmean(self.distance(picture)) for picture in pictures]),
            shown([layout_drift(picture, self.photo) for picture in pictures]),
            f"{diversity(torch.stack(pictures), self.photo):.2f}",
            f"{fmean(copied):.2f}",
            f"{max(copied):.2f}",
            f"{median(one.cpu_seconds for one in made):.2f}",
            f"{median(one.seconds for one in made):.2f}",
        ]
        return line(cells)

    def mirror_row(self) -> str:
        """The line of the photograph's mirror image."""
        picture = self.photo.flip(2)
        copied = f"{self.copied(picture).largest:.2f}"
        distance, drift = fmean(self.distance(picture)), layout_drift(picture, self.photo)
        return line(
            [self.name, "mirror", "-", f"{distance:.1f}", f"{drift:.1f}", "-", copied, copied, "-", "-"]
        )


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    options = parse()
    bundles = list(bundle_files(options.bundles))
    for text in header():
        print(text, flush=True)
    for path in options.photos:
        for text in rows(path, bundles, options):
            print(text, flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO")
    add(
        "--bundles",
        nargs="+",
        type=Path,
        default=[],
        metavar="PATH",
        help="bundles, or folders of them; those that have learned a photograph of these are compared",
    )
    add(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=WAYS,
        help="which rows (default: %(default)s)",
    )
    add("--seeds", type=int, default=50, help="from 0 on (default: 50 of them)")
    add("--gpnn-seeds", type=int, help="for GPNN, which takes its time (default: as --seeds)")
    add("--long-side", type=int, default=LONG_SIDE, help=f"that is compared at (default: {LONG_SIDE})")
    options = parser.parse_args()
    options.gpnn_seeds = options.seeds if options.gpnn_seeds is None else options.gpnn_seeds
    if min(options.seeds, options.gpnn_seeds) < 2:
        parser.error("diversity and spread need two seeds at least")
    return options


def bundle_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The bundles given, and those in the folders given."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.ourgan"))
        else:
            yield path


def header() -> list[str]:
    """The lines above the table's rows."""
    return [line(COLUMNS), "|---" * len(COLUMNS) + "|"]


def rows(path: Path, bundles: list[Path], options: argparse.Namespace) -> Iterator[str]:
    """The lines of one photograph.

    Raises:
        PhotographError, BundleError: a file cannot be read.
        ValueError: the photograph is smaller than what is compared.
    """
    comparison, seeds = Comparison(path, options.long_side), range(options.seeds)
    if "mirror" in options.ways:
        yield comparison.mirror_row()
    for way, label in (("gpnn", "gpnn"), ("gpnn-noise", "gpnn, from noise alone")):
        if way in options.ways:
            some = range(options.gpnn_seeds)
            pictures = gpnn_structures(comparison.photo, some, from_photo=way == "gpnn")
            yield comparison.row(label, comparison.make(pictures, label, len(some)))
    if "patches" in options.ways:
        for label, layout in LAYOUTS.items():
            pictures = patches_structures(path, seeds, layout)
            yield comparison.row(label, comparison.make(pictures, label, len(seeds)))
    if "network" in options.ways:
        learned = [one for one in bundles if Bundle.open(one).manifest.learned == comparison.sha256]
        if bundles and not learned:
            print(f"no bundle has learned {path}", file=sys.stderr)
        for bundle in learned:
            training = Bundle.open(bundle).manifest.training
            if training is None:
                continue  # its structures are of patches
            label = f"network, {training.preset}"
            pictures = network_structures(bundle, seeds)
            yield comparison.row(label, comparison.make(pictures, label, len(seeds)))


def gpnn_structures(photo: Tensor, seeds: Iterable[int], *, from_photo: bool) -> Iterator[Picture]:
    """GPNN's pictures of ``photo`` (3, H, W) in [0, 1], at its size, as (H, W, 3) uint8.

    Raises:
        ValueError: the photograph's short side has fewer than 14 pixels.
    """
    for seed in seeds:
        picture = (generate(photo, seed, from_photo=from_photo) * 255).round().to(torch.uint8)
        yield np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def network_structures(bundle: Path, seeds: Iterable[int]) -> Iterator[Picture]:
    """A bundle's structures at the size that they were trained at.

    Raises:
        BundleError: the bundle cannot be read.
    """
    synthesizer = Synthesizer(bundle, detail="network")
    height, width = synthesizer.bundle.manifest.base_size
    for seed in seeds:
        yield synthesizer.preview(seed, width=width, height=height)


def patches_structures(photo: Path, seeds: Iterable[int], layout: Layout) -> Iterator[Picture]:
    """Structures of the photograph's patches, at their own size.

    Raises:
        PhotographError: the photograph cannot be learned.
    """
    synthesizer = Synthesizer(photo)
    for seed in seeds:
        yield synthesizer.preview(seed, layout=layout)


def compared_size(photo: Photo, long_side: int) -> tuple[int, int]:
    """(height, width) that a photograph's structures are compared at."""
    return scale_sizes(photo.height, photo.width, long_side, 1, 1.0)[0]


def shown(values: list[float]) -> str:
    """Mean and standard deviation over seeds."""
    return "{mean:.1f} ± {deviation:.1f}".format(**spread(values))


def line(cells: Iterable[str]) -> str:
    """One of the table's."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
