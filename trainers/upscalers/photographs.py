"""Photographs in a folder, and the crops of them that an upscaler is pre-trained on."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ourgan_sdk.photograph import PhotographError
from ourgan_sdk.system.processors import available_processors

from ..metrics.restoration import Task, make_task
from ..networks.rrdb import SCALE
from ..photo import Photo, held_out_part, load_photo, photographs_below, smallest_long_side, to_float
from ..presets import UpscalerConfig
from .passes import PassOne
from .patches import Pair, make_pairs

log = logging.getLogger(__name__)

SMALLEST_REDUCTION = 0.25  # of a photograph's sides; details of a camera's own pixels are often blurred
CROP = 1024  # pixels, longest side of what is kept of a photograph
POOL = 32  # crops that patches are cut from at a step: at most 128 MB
REPLACE_EVERY = 32  # steps, one crop of the pool: reading a photograph takes as long as several steps
AHEAD = 4  # crops that are prepared before they are needed
VALIDATION_PHOTOS = 8
VALIDATION_CROP = 512
SMALLEST_TASK = 32  # pixels per side that are given back


class Folder:
    """The photographs below a folder, in an order that a seed decides; those that cannot be used are named.

    Raises:
        PhotographError: there are none.
    """

    def __init__(
        self, path: Path, config: UpscalerConfig, seed: int, pass_one: PassOne | None = None
    ) -> None:
        """``pass_one``: what has made the small pictures, of their own reductions."""
        self.path, self.config, self.seed, self.pass_one = path, config, seed, pass_one
        self.files = photographs_below(path)
        self.unusable: set[Path] = set()

    def listing(self) -> str:
        """A hash of the files' names and sizes."""
        lines = [f"{file.relative_to(self.path).as_posix()} {file.stat().st_size}" for file in self.files]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()

    def order(self, position: int) -> Iterator[Path]:
        """The photograph at a position of an endless sequence, and those to take in its place.

        Every photograph comes once before one comes again.
        """
        epoch, place = divmod(position, len(self.files))
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.files))
        for i in np.roll(order, -place):
            if self.files[i] not in self.unusable:
                yield self.files[i]

    def crop(self, position: int) -> Pair:
        """A random crop of a random reduction of the photograph at ``position``; always the same one.

        Raises:
            PhotographError: none can be used.
        """
        random = np.random.default_rng([self.seed, 1, position])
        reduction = float(SMALLEST_REDUCTION ** random.random())
        y, x = random.random(2)
        for path in self.order(position):
            try:
                pair = self._reduce(path, reduction)
            except PhotographError as e:
                log.warning("skipped: %s", e)
                self.unusable.add(path)
                continue
            crop = cut(pair, CROP, float(y), float(x))
            return crop if self.pass_one is None else self.pass_one.before(crop, position)
        raise PhotographError(f"none of the {len(self.files)} photographs in {self.path} can be used")

    def _reduce(self, path: Path, reduction: float) -> Pair:
        """The photograph beside the part held out, its sides multiplied by ``reduction`` if patches allow."""
        window, held_out = self.config.window, self.config.held_out
        photo = load_photo(path)
        native, smallest = max(photo.height, photo.width), smallest_long_side(photo, window, held_out)
        if native < smallest:
            size = f"{photo.width} x {photo.height}"
            raise PhotographError(f"{path} has {size} pixels, too few for patches of {window}")
        (pair,) = make_pairs(photo, [round(max(native * reduction, smallest))], held_out)
        return pair

    def held_out(self, noise: float) -> list[Task]:
        """What is never trained on of a few photographs, from its middle and at its own size.

        ``noise``: deviation of what is added to the input, once per photograph.
        """
        tasks: list[Task] = []
        if not self.config.held_out:
            return tasks
        for path in islice(self.order(0), VALIDATION_PHOTOS):
            with contextlib.suppress(ValueError):  # too small, or no photograph: training will name it
                part = middle(held_out_part(load_photo(path), self.config.held_out), VALIDATION_CROP)
                tasks.append(self._task(part, noise))
        return tasks

    def _task(self, part: Photo, noise: float) -> Task:
        long_side = max(part.height, part.width)
        if self.pass_one is None:
            task = make_task(part, 1.0, long_side, noise)
            return replace(task, low=task.low[:1])
        task = make_task(part, 1.0, long_side, 0.0)
        pair = self.pass_one.before(Pair((task.high * 255).round().to(torch.uint8), task.low[0]), 0)
        if min(pair.high.shape[1:]) < SMALLEST_TASK:
            raise ValueError(f"{part.width} x {part.height} pixels are too few for two passes")
        drawn = torch.randn(pair.low.shape, generator=torch.Generator().manual_seed(0))
        return Task((pair.low + noise * drawn)[None], to_float(pair.high))


def cut(pair: Pair, side: int, y: float, x: float) -> Pair:
    """At most ``side`` x ``side`` high-resolution pixels of a pair; ``y``, ``x`` in [0, 1] say where."""
    size = side // SCALE
    top, left = (round(max(n - size, 0) * at) for n, at in zip(pair.low.shape[1:], (y, x), strict=True))
    high = pair.high[:, SCALE * top : SCALE * (top + size), SCALE * left : SCALE * (left + size)]
    return Pair(high.clone(), pair.low[:, top : top + size, left : left + size].clone())


def middle(photo: Photo, side: int) -> Photo:
    """At most ``side`` x ``side`` pixels."""
    top, left = (max(n - side, 0) // 2 for n in (photo.height, photo.width))
    return replace(photo, pixels=photo.pixels[:, top : top + side, left : left + side])


class Pool:
    """The crops that patches are cut from, which change slowly with the steps.

    Which ones they are depends on the step alone, so that a resumed run goes on with the same.
    """

    def __init__(self, folder: Folder, executor: ThreadPoolExecutor) -> None:
        self.folder, self.executor = folder, executor
        self.crops: dict[int, Future[Pair]] = {}

    def __call__(self, step: int) -> list[Pair]:
        first = step // REPLACE_EVERY
        wanted = range(first, first + POOL + AHEAD)
        self.crops = {
            position: self.crops.get(position) or self.executor.submit(self.folder.crop, position)
            for position in wanted
        }
        return [self.crops[position].result() for position in wanted[:POOL]]

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Folder) -> Iterator[Pool]:
        """A pool, whose threads end with the block."""
        executor = ThreadPoolExecutor(min(4, available_processors()))
        try:
            yield cls(folder, executor)
        finally:
            executor.shutdown(cancel_futures=True)
