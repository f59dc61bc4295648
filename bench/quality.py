"""Pictures of several bundles against their photographs, at full resolution and over seeds, in one table.

python -m bench.quality BUNDLE PHOTO [BUNDLE PHOTO ...]             detail from the photographs, seeds 0 to 5
python -m bench.quality ... --network --results q.jsonl             networks as well; goes on where it ended
python -m bench.quality ... --crops crops.png                       parts of the pictures at 100 % as well

A picture of 8192 x 4320 takes some seconds of detail, or half a minute of networks, and ten seconds to be
measured. So every one is a line in a file as soon as it is measured, and pictures that the file has are not
rendered again: take another file, or none, after changing what renders or what measures.
"""

import argparse
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crops import save_crops
from ourgan_sdk import Synthesizer
from ourgan_sdk.engines import engine_names
from ourgan_sdk.sizes import parse_size
from ourgan_sdk.synthesizer import DetailMode
from trainers.metrics.canvases import CanvasComparison, over_seeds
from trainers.metrics.full_resolution import Numbers
from trainers.photo import load_photo

OCTAVES = ("2_4px", "4_8px", "8_16px", "16_32px", "32_64px")
MIRROR = "mirror"
"""In place of a seed: the photograph's own mirror image."""

Key = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Subject:
    """A bundle and its photograph; `detail` says where its pictures have theirs from."""

    bundle: Path
    photo: Path
    detail: DetailMode
    engine: str

    def key(self, size: tuple[int, int], seed: int | str) -> Key:
        """What a measurement is known by: hashes of both files, and how the picture is made."""
        detail = f"network, {self.engine}" if self.detail == "network" else "photograph"
        detail = "none" if seed == MIRROR else detail
        return sha256(self.bundle), sha256(self.photo), detail, "{}x{}".format(*size), str(seed)


class Results:
    """Measurements, kept in a file of JSON lines where there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[Key, Numbers] = {}
        self._is_cut_off = path is not None and path.exists() and not path.read_text().endswith("\n")
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                with contextlib.suppress(json.JSONDecodeError):  # cut off, where the process was killed
                    row = json.loads(line)
                    self._known[_key(row["key"])] = row["numbers"]

    def get(self, key: Key, measure: Callable[[], Numbers], name: str) -> Numbers:
        """What is known by `key`, or else what `measure` says; `name` is for those who read the file."""
        if key not in self._known:
            self._known[key] = measure()
            if self._path is not None:
                row = {"name": name, "key": key, "numbers": self._known[key]}
                with self._path.open("a") as file:
                    file.write("\n" * self._is_cut_off + json.dumps(row) + "\n")
                self._is_cut_off = False
        return self._known[key]


def main() -> None:
    """Measure what is not known yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "files", nargs="+", type=Path, metavar="BUNDLE PHOTO", help="a bundle, then its photograph; and so on"
    )
    add("--size", type=parse_size, default=(8192, 4320))
    add("--seeds", type=int, default=6, help="from 0 on (default: 6 of them)")
    add("--network", action="store_true", help="also pictures whose detail networks make")
    add("--engine", default="auto", choices=["auto", *engine_names()], help="for networks")
    add("--results", type=Path, help="a file of JSON lines that measurements are kept in")
    add("--crops", type=Path, help="a PNG: network, detail, photograph at 100 %% at busy and smooth places")
    options = parser.parse_args()
    if len(options.files) % 2:
        parser.error("expected a photograph after every bundle")
    pairs = list(zip(options.files[::2], options.files[1::2], strict=True))
    results = Results(options.results)
    details: list[DetailMode] = ["photograph", "network"] if options.network else ["photograph"]
    for line in header():
        print(line, flush=True)
    for bundle, photo in pairs:
        for detail in details:
            subject = Subject(bundle, photo, detail, options.engine)
            numbers, mirrored = measure(subject, options.size, range(options.seeds), results)
            print(row(f"{bundle.stem}, {detail}", numbers, mirrored), flush=True)
    if options.crops:
        save_crops(options.crops, ([*comparisons(*pair, options)] for pair in pairs))


def comparisons(bundle: Path, photo: Path, options: argparse.Namespace) -> Iterator[CanvasComparison]:
    """Of networks, then of detail."""
    modes: tuple[DetailMode, ...] = ("network", "photograph")
    for detail in modes:
        yield compare(Subject(bundle, photo, detail, options.engine), options.size)


def compare(subject: Subject, size: tuple[int, int]) -> CanvasComparison:
    """What measures pictures of a subject."""
    synthesizer = Synthesizer(subject.bundle, detail=subject.detail, engine=subject.engine)
    return CanvasComparison(synthesizer, load_photo(subject.photo), *size)


def measure(
    subject: Subject, size: tuple[int, int], seeds: range, results: Results
) -> tuple[list[Numbers], Numbers]:
    """The numbers of all seeds, and the mirror image's."""
    opened: list[CanvasComparison] = []

    def comparison() -> CanvasComparison:
        if not opened:  # only where something is not known yet
            opened.append(compare(subject, size))
        return opened[0]

    def measured(seed: int) -> Numbers:
        name = f"{subject.bundle.stem}, {subject.detail}, seed {seed}"
        return results.get(subject.key(size, seed), lambda: comparison().measure(seed), name)

    def mirror() -> Numbers:
        return comparison().compare.mirrored()

    mirrored = results.get(
        subject.key(size, MIRROR),
        mirror,
        f"{subject.photo.stem}, mirrored",
    )
    return [measured(seed) for seed in seeds], mirrored


def header() -> list[str]:
    """The lines above the table's rows."""
    titles = [
        "picture",
        *(f"amplitude {name.removesuffix('px').replace('_', ' to ')} px" for name in OCTAVES),
        "SWD, finest / mirror's",
        "SWD, all / mirror's",
        "borders, smooth",
        "borders, busy",
        "largest piece",
    ]
    explanation = (
        "Least / mean / most of all seeds. Borders: stands out 95, in levels. Pieces: share of picture."
    )
    return [explanation, "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def row(name: str, numbers: list[Numbers], mirrored: Numbers) -> str:
    """A bundle's line: the least, the mean and the most over seeds."""
    cells = [spread(numbers, f"amplitude_{octave}", 3) for octave in OCTAVES]
    cells += [spread(numbers, key, 2, mirrored[key]) for key in ("swd_full_level_0", "swd_full")]
    cells += [spread(numbers, f"border_{kind}_stands_out_95", 2) for kind in ("smooth", "busy")]
    return f"| {' | '.join([name, *cells, spread(numbers, 'source_largest', 3)])} |"


def spread(numbers: list[Numbers], key: str, digits: int, unit: float = 1.0) -> str:
    """One number's range in units of `unit`; a dash where no seed has it."""
    values = over_seeds(numbers).get(key)
    if values is None:
        return "-"
    return " / ".join(f"{values[one] / unit:.{digits}f}" for one in ("minimum", "mean", "maximum"))


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(values: list[Any]) -> Key:
    bundle, photo, detail, size, seed = values
    return bundle, photo, detail, size, seed


if __name__ == "__main__":
    main()
