"""Pictures learned from half of a photograph, against the whole: what is made beyond the resolution seen.

python -m bench.from_half PHOTO [PHOTO ...]                 tables; and pictures 16384 pixels wide, with crops
python -m bench.from_half PHOTO ... --bundles FOLDER        networks as well: FOLDER/NAME.ourgan, fitted to
                                                            halves, which the first call writes (--folder)
python -m bench.from_half PHOTO ... --wide 0                no wide pictures, which take minutes each

Every photograph is reduced to half its size, and that is all that is learned. Pictures one photograph wide
are then rendered as large as the half and as large as the whole, and compared with the whole photograph at
their scale (``trainers.metrics.full_resolution``): at the first scale every pixel may be the half's own, at
the second passes make the finest octave, which nothing has seen. Beside them stand the half itself enlarged,
bicubic and by a pass: what is lost without, and what a pass makes of the right picture.

Wide pictures have the whole photograph's scale too, so that their pixels are as large as its own: they show
several photographs side by side. Time is that of the call, to an uncompressed TIFF, with all that it opens;
memory what the process has had at most. Crops are 512 pixels of the busiest and of a smooth place at 100 %,
wide picture beside photograph.

Measurements and pictures are kept in --folder: the command can be stopped and given again.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pyvips
from PIL import Image

from bench.beyond import halved
from bench.crops import GAP, REDUCTION, SIDE, crops
from bench.processes import measure, report
from bench.quality import OCTAVES, Results, sha256, spread
from ourgan_sdk import OurganError, Synthesizer
from ourgan_sdk.sizes import parse_size
from ourgan_sdk.synthesizer import DetailMode
from ourgan_sdk.system.atomic import atomic_file
from trainers.evaluate import check_half
from trainers.metrics.full_resolution import FullResolution, Numbers, photograph_at
from trainers.metrics.octaves import Pixels
from trainers.photo import load_photo

WIDE = 16384  # pixels
SCALES = {"as the half": 0.5, "as the whole": 1.0}


@dataclass(frozen=True)
class Source:
    """What pictures are rendered from: a half, or a bundle fitted to it."""

    name: str
    path: Path
    detail: DetailMode

    def open(self) -> Synthesizer:
        """What renders them."""
        return Synthesizer(self.path, detail=self.detail)


class Subject:
    """One photograph, and its half."""

    def __init__(self, path: Path, folder: Path, bundles: Path | None) -> None:
        """Writes the half into ``folder`` where it is not there yet.

        Raises:
            PhotographError: the photograph cannot be read.
            ValueError: the half that is there is another photograph's, or the bundle is not fitted to it.
        """
        self.name, self.photo = path.stem, load_photo(path)
        self.half = folder / f"{path.stem}-half.png"
        pixels = halved(self.photo).pixels.permute(1, 2, 0).contiguous().numpy()
        if self.half.exists():
            if not np.array_equal(pixels, np.asarray(Image.open(self.half))):
                raise ValueError(
                    f"{self.half} is not the half of {path}: files are kept by the photograph's name; give "
                    "another --folder"
                )
        else:
            with atomic_file(self.half) as temporary:
                Image.fromarray(pixels).save(temporary, "PNG")
        self.sources = [Source("detail", self.half, "photograph")]
        bundle = None if bundles is None else bundles / f"{path.stem}.ourgan"
        if bundle is not None and bundle.exists():
            with Synthesizer(bundle) as synthesizer:
                check_half(synthesizer.bundle, self.photo)
            self.sources.append(Source("networks", bundle, "network"))

    def size(self, share: float) -> tuple[int, int]:
        """(width, height) of the photograph at a share of its size."""
        return round(self.photo.width * share), round(self.photo.height * share)

    def wide(self, width: int) -> tuple[tuple[int, int], float]:
        """(width, height) of a wide picture of the photograph's aspect, and how many photographs it shows."""
        height = round(width * self.photo.height / self.photo.width)
        return (width, height), max(width, height) / max(self.photo.width, self.photo.height)


def main() -> None:
    """Print the tables, and write the pictures."""
    options = parse()
    if options.one:
        path, detail, size, extent, file = options.one
        render_one(Source("", Path(path), detail), parse_size(size), float(extent), Path(file))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        subjects = [Subject(path, options.folder, options.bundles) for path in options.photos]
    except (OurganError, ValueError) as e:
        raise SystemExit(f"error: {e}") from e
    results = Results(options.folder / "numbers.jsonl")
    for text in header():
        print(text, flush=True)
    for subject in subjects:
        for text in rows(subject, options.seeds, results):
            print(text, flush=True)
    if options.wide:
        print("\n| picture | size | photographs wide | seconds | peak memory, GB |\n|---|---|---|---|---|")
        for subject in subjects:
            for text in wide_rows(subject, options.wide, options.folder):
                print(text, flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("photos", nargs="*", type=Path, metavar="PHOTO")
    add("--bundles", type=Path, metavar="FOLDER", help="of bundles fitted to the halves, NAME.ourgan")
    add("--seeds", type=int, default=3, help="from 0 on (default: %(default)s)")
    add("--wide", type=int, default=WIDE, help="pixels of wide pictures; 0: none (default: %(default)s)")
    add("--folder", type=Path, default=Path("runs/from-half"), help="for all files (default: %(default)s)")
    names = ("PATH", "DETAIL", "SIZE", "EXTENT", "FILE")
    add("--one", nargs=len(names), metavar=names, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is None and not options.photos:
        parser.error("expected a photograph at least")
    if options.seeds < 1 or options.wide < 0:
        parser.error(f"expected a seed at least and 0 or more pixels, got {options.seeds}, {options.wide}")
    if options.one is not None and options.one[1] not in get_args(DetailMode):
        parser.error(f"expected detail to be of {get_args(DetailMode)}, got {options.one[1]}")
    return options


class Scale:
    """A photograph at one size, and what is measured against it there; known numbers stay as they are."""

    def __init__(self, subject: Subject, label: str, share: float, results: Results) -> None:
        """``share``: of the whole photograph's size."""
        self.subject, self.label, self.share = subject, f"{subject.name}, {label}", share
        self.width, self.height = subject.size(share)
        self._results = results

    @functools.cached_property
    def compare(self) -> FullResolution:
        """What measures."""
        return FullResolution(photograph_at(self.subject.photo, max(self.width, self.height)))

    def mirrored(self) -> Numbers:
        """Of the whole photograph's mirror image."""
        return self._known("mirror", self.subject.half, "mirror", self.compare_mirrored)

    def compare_mirrored(self) -> Numbers:
        """The same, measured."""
        return self.compare.mirrored()

    def rendered(self, source: Source, seed: int) -> Numbers:
        """Of a picture, one photograph wide."""

        def work() -> Numbers:
            with source.open() as synthesizer:
                extent = 1.0 if source.detail == "photograph" else None  # networks have none
                return self.compare.measure(synthesizer.canvas(self.width, self.height, seed, extent=extent))

        return self._known(source.name, source.path, str(seed), work)

    def enlarged(self, name: str, enlarge: Callable[[Subject, int], Pixels]) -> Numbers:
        """Of the half itself, enlarged to the whole's size."""

        def work() -> Numbers:
            return self.compare.measure(enlarge(self.subject, max(self.width, self.height)))

        return self._known(f"half {name}", self.subject.half, "half", work)

    def _known(self, name: str, file: Path, which: str, work: Callable[[], Numbers]) -> Numbers:
        key = (sha256(file), self.subject.photo.sha256, name, f"{self.width}x{self.height}", which)
        return self._results.get(key, work, f"{self.label}, {name}, {which}")


def rows(subject: Subject, seeds: int, results: Results) -> Iterator[str]:
    """The lines of one photograph, at both scales: pictures of every source, then the half enlarged."""
    for label, share in SCALES.items():
        scale = Scale(subject, label, share, results)
        mirrored = scale.mirrored()
        for source in subject.sources:
            numbers = [scale.rendered(source, seed) for seed in range(seeds)]
            yield row(f"{scale.label}, {source.name}", numbers, mirrored)
        if share > SCALES["as the half"]:
            for name, enlarge in (("bicubic", bicubic), ("by a pass", by_a_pass)):
                one = [scale.enlarged(name, enlarge)]
                yield row(f"{scale.label}, the half enlarged {name}", one, mirrored)


def header() -> list[str]:
    """The lines above the table's rows."""
    titles = [
        "picture",
        *(f"amplitude {name.removesuffix('px').replace('_', ' to ')} px" for name in OCTAVES),
        "SWD, finest / mirror's",
        "SWD, all / mirror's",
        "largest piece found",
    ]
    return [
        "Least / mean / most of all seeds. Amplitudes: 1 is the photograph's. Pieces: share of the picture.",
        "",
        f"| {' | '.join(titles)} |",
        "|---" * len(titles) + "|",
    ]


def row(name: str, numbers: list[Numbers], mirrored: Numbers) -> str:
    """A line of the table."""
    cells = [spread(numbers, f"amplitude_{octave}", 3) for octave in OCTAVES]
    cells += [spread(numbers, key, 2, mirrored[key]) for key in ("swd_full_level_0", "swd_full")]
    return f"| {' | '.join([name, *cells, spread(numbers, 'copied_largest', 3)])} |"


def bicubic(subject: Subject, long_side: int) -> Pixels:
    """The half with a long side of so many pixels."""
    return photograph_at(load_photo(subject.half), long_side)


def by_a_pass(subject: Subject, long_side: int) -> Pixels:
    """The same by the network that enlarges sharp pictures."""
    half = load_photo(subject.half)
    with Synthesizer(subject.half) as synthesizer:
        enlarged: Pixels = synthesizer.super_resolution(long_side / max(half.height, half.width))[:]
    return enlarged


def wide_rows(subject: Subject, width: int, folder: Path) -> Iterator[str]:
    """What a wide picture of every source takes; its crops beside the photograph's are written."""
    size, extent = subject.wide(width)
    columns: list[list[Pixels]] = []
    for source in subject.sources:
        file = folder / f"{subject.name}-{source.name}-{size[0]}.tif"
        kept = file.with_suffix(".json")
        if not (file.exists() and kept.exists()):
            shown = "{}x{}".format(*size)
            taken = measure("bench.from_half", "--one", source.path, source.detail, shown, extent, file)
            with atomic_file(kept) as temporary:
                temporary.write_text(json.dumps(taken))
        taken = json.loads(kept.read_text())
        columns.append(crops_of(read(file)))
        yield (
            f"| {subject.name}, {source.name} | {size[0]} x {size[1]} | {extent:.2f} | "
            f"{taken['seconds']:.1f} | {taken['peak']:.2f} |"
        )
    columns.append(crops_of(photograph_at(subject.photo, max(subject.photo.height, subject.photo.width))))
    save_sheet(folder / f"{subject.name}-crops.png", columns)


def render_one(source: Source, size: tuple[int, int], extent: float, file: Path) -> None:
    """What the process of a wide picture does."""

    def work() -> dict[str, object]:
        with source.open() as synthesizer:
            # Networks have no extent: a canvas shows as many photographs as its passes leave room for.
            wide = extent if source.detail == "photograph" else None
            synthesizer.canvas(*size, seed=1, extent=wide).save(file)
        return {}

    report(work)


def crops_of(picture: Pixels) -> list[Pixels]:
    """The busiest part of a picture, and a smooth one."""
    return crops(picture, picture[::REDUCTION, ::REDUCTION])


def read(path: Path) -> Pixels:
    """A rendered file, (H, W, 3) uint8."""
    pixels: Pixels = np.asarray(pyvips.Image.new_from_file(str(path), access="sequential").numpy())
    return pixels


def save_sheet(path: Path, columns: list[list[Pixels]]) -> None:
    """Crops side by side: a column per picture, the photograph's last."""
    sheet = np.full((2 * (SIDE + GAP) - GAP, len(columns) * (SIDE + GAP) - GAP, 3), 255, np.uint8)
    for j, column in enumerate(columns):
        for i, crop in enumerate(column):
            y, x = i * (SIDE + GAP), j * (SIDE + GAP)
            sheet[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    with atomic_file(path) as temporary:
        Image.fromarray(sheet).save(temporary, "PNG")


if __name__ == "__main__":
    main()
