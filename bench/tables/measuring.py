"""A row's pictures, kept as files, and their numbers: everything is computed from the files.

FOLDER/pictures/ROW-HASH/structure-SEED.png     at the structure's size
FOLDER/pictures/ROW-HASH/network-SEED.png       rendered, with detail that networks make (the paper's way)
FOLDER/pictures/ROW-HASH/photograph-SEED.png    rendered, with detail from the photograph

HASH is the beginning of the bundle's SHA-256. What a picture is compared with is the photograph, reduced to
its size; nearest patches and copied share of rendered pictures, and diversity, are found at COMPARED pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.quality import Results
from ourgan_sdk import Synthesizer
from ourgan_sdk.arrays import Picture
from ourgan_sdk.progress import progress_bar
from ourgan_sdk.system.atomic import atomic_file
from trainers.metrics.comparison import (
    Measure,
    Numbers,
    measure_features,
    measure_patches,
    measure_structure,
    pairwise_lpips,
    spread,
)
from trainers.metrics.copied import CopiedShare
from trainers.metrics.diversity import diversity
from trainers.metrics.inception import SMALLEST_SIDE, InceptionFeatures
from trainers.metrics.layout import layout_drift
from trainers.networks.lpips import LPIPS
from trainers.photo import Photo, reduce, to_float
from trainers.pyramid import scale_sizes

from .rows import PATCHES

COMPARED = 128  # pixels, long side
FLAGGED = 5.0  # levels of layout drift above the mirrored photograph's, which has none

Kind = Literal["structure", "network", "photograph"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Networks:
    """Those that need weights; None where there are none."""

    inception: InceptionFeatures | None
    lpips: LPIPS | None


class Subject:
    """One photograph at the sizes that its pictures are measured at.

    Raises:
        ValueError: it is smaller than the pictures.
    """

    def __init__(self, photo: Photo, structure_side: int, side: int, networks: Networks) -> None:
        """``structure_side``, ``side``: long sides of structures and of rendered pictures, in pixels."""
        if max(photo.height, photo.width) < max(side, structure_side):
            raise ValueError(
                f"expected a photograph of {side} pixels at least, got {photo.width} x {photo.height}: give "
                "a smaller --size"
            )
        self.sha256, self.networks = photo.sha256, networks
        full = to_float(photo.pixels)[None]
        self.structure_size, self.size, self.compared_size = (
            scale_sizes(photo.height, photo.width, one, 1, 1.0)[0]
            for one in (structure_side, side, min(COMPARED, side))
        )
        self.structure = reduce(full, *self.structure_size)[0]
        self.picture = reduce(full, *self.size)[0]
        self.compared = reduce(self.picture[None], *self.compared_size)[0]
        self._structure_measures = [*measures_of(self.structure), measure_patches(self.structure)]
        self._picture_measures = [measure_patches(self.picture)]
        self._compared_measures = measures_of(self.compared)
        if networks.inception is not None and min(self.size) >= SMALLEST_SIDE:
            self._picture_measures.append(measure_features(networks.inception, self.picture))

    def photograph(self, kind: Kind) -> Tensor:
        """The photograph (3, H, W) in [0, 1] that pictures of a kind are compared with."""
        return self.structure if kind == "structure" else self.picture

    def measure(self, picture: Tensor, kind: Kind) -> Numbers:
        """All numbers about one picture (3, H, W) in [0, 1]."""
        if kind == "structure":
            return _all(self._structure_measures, picture)
        small = reduce(picture[None], *self.compared_size)[0]
        numbers = _all(self._picture_measures, picture) | _all(self._compared_measures, small)
        return numbers | {"layout_drift": layout_drift(picture, self.picture)}

    def between(self, pictures: Tensor, kind: Kind) -> dict[str, float]:
        """How different pictures (N, 3, H, W) are from each other: diversity, and LPIPS of all pairs."""
        found = {"diversity": diversity(pictures, self.photograph(kind))}
        if self.networks.lpips is not None and kind != "structure":
            pairs = pairwise_lpips(self.networks.lpips, pictures)
            found["lpips"] = fmean(pairs)
            if len(pairs) > 1:  # of two pictures there is one pair
                found["lpips_deviation"] = stdev(pairs)
        return found

    def bounds(self, kind: Kind, results: Results) -> dict[str, Numbers]:
        """The photograph mirrored, as good as a new picture can be; and its rows shuffled, which is none."""
        photo = self.photograph(kind)
        order = torch.randperm(photo.shape[1], generator=torch.Generator().manual_seed(0))
        pictures = {"mirrored": photo.flip(2), "shuffled_rows": photo[:, order]}
        shown = _shown(photo)
        return {
            name: results.get(
                (name, self.sha256, _with_weights(kind, self), shown, name),
                _measuring(self, picture, kind),
                f"the photograph, {name}, {kind}",
            )
            for name, picture in pictures.items()
        }


def measures_of(photo: Tensor) -> list[Measure]:
    """Nearest patches, layout drift and copied share, against ``photo`` (3, H, W) in [0, 1]."""
    copied = CopiedShare(photo)
    return [measure_structure(photo), lambda picture: {"copied": copied(picture).largest}]


class Pictures:
    """A row's pictures: rendered where they are not there yet, and read from their files."""

    def __init__(self, row: str, bundle: Path, folder: Path, threads: int | None) -> None:
        self.row, self.bundle, self.threads = row, bundle, threads
        self.sha256 = hashlib.sha256(bundle.read_bytes()).hexdigest()
        self.folder = folder / "pictures" / f"{row}-{self.sha256[:12]}"

    def path(self, kind: Kind, seed: int) -> Path:
        """The file of one."""
        return self.folder / f"{kind}-{seed:05}.png"

    def open(self, kind: Kind) -> Synthesizer:
        """What renders pictures of a kind."""
        return Synthesizer(
            self.bundle,
            detail="photograph" if kind == "photograph" else "network",
            structure="patches" if self.row == PATCHES else "network",
            threads=self.threads,
        )

    def read(self, kind: Kind, seeds: Sequence[int], size: tuple[int, int]) -> Iterator[Tensor]:
        """Pictures (3, H, W) in [0, 1], of ``size`` (height, width), a seed after the other."""
        synthesizer: Synthesizer | None = None
        height, width = size
        for seed in seeds:
            path = self.path(kind, seed)
            if not path.exists():
                synthesizer = synthesizer or self.open(kind)
                draw = synthesizer.preview if kind == "structure" else synthesizer.render
                self._save(path, draw(seed=seed, width=width, height=height))
            yield read_picture(path, size)
        if synthesizer is not None:
            synthesizer.close()

    def _save(self, path: Path, picture: Picture) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            Image.fromarray(picture).save(temporary, "PNG", compress_level=1)


def read_picture(path: Path, size: tuple[int, int]) -> Tensor:
    """A file's picture (3, H, W) in [0, 1]; raises ValueError where it is not of ``size`` (height, width)."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).copy()
    if pixels.shape[:2] != size:
        raise ValueError(f"{path}: expected {size[1]} x {size[0]} pixels, got {image.width} x {image.height}")
    return to_float(torch.from_numpy(pixels).permute(2, 0, 1))


def measure_row(
    subject: Subject, pictures: Pictures, kind: Kind, seeds: Sequence[int], results: Results
) -> dict[str, Any]:
    """Mean and deviation over seeds of all numbers, and those between pictures."""
    size = subject.structure_size if kind == "structure" else subject.size
    shown = _shown(subject.photograph(kind))
    found, kept = [], []
    with progress_bar(len(seeds), f"{pictures.row}, {kind}", unit="picture") as bar:
        for seed, picture in zip(seeds, pictures.read(kind, seeds, size), strict=True):
            key = (pictures.sha256, subject.sha256, _with_weights(kind, subject), shown, str(seed))
            name = f"{pictures.row}, {kind}, seed {seed}"
            found.append(results.get(key, _measuring(subject, picture, kind), name))
            kept.append(picture)
            bar.update()
    return {
        "size": [size[1], size[0]],
        "seeds": [seeds[0], seeds[-1]],
        "metrics": {name: spread([one[name] for one in found]) for name in found[0]},
        "between": subject.between(torch.stack(kept), kind),
    }


def _measuring(subject: Subject, picture: Tensor, kind: Kind) -> Callable[[], Numbers]:
    return lambda: subject.measure(picture, kind)


def _shown(picture: Tensor) -> str:
    return "{1}x{0}".format(*picture.shape[1:])


def _with_weights(kind: Kind, subject: Subject) -> str:
    """A kind, and which weights have measured it: numbers without them are not all that there are with."""
    return kind if subject.networks.inception is None else f"{kind}, with Inception"


def _all(measures: Sequence[Measure], picture: Tensor) -> Numbers:
    return {name: value for measure in measures for name, value in measure(picture).items()}
