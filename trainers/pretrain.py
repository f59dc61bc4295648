"""Pre-training an upscaler on a folder of photographs (OUR-GAN, Algorithm 2), for ``trainers.fit --init``.

python -m trainers.pretrain FOLDER -o later.pth                             for the later passes
python -m trainers.pretrain FOLDER -o first.pth --noise 0.1 --init later.pth  for pass 1, of noisy input
python -m trainers.pretrain --resume runs/FOLDER-standard                   goes on where a run was stopped

Both phases are taken with --init, too: those weights may have learned another task.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, astuple, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ourgan_sdk import photograph
from ourgan_sdk._atomic import atomic_file
from ourgan_sdk.photograph import PhotographError

from .esrgan import SUFFIXES
from .fit import (
    VGG_HELP,
    check_vgg,
    exit_status,
    load_vgg,
    minutes,
    parse_seed,
    pick_device,
    refuse_settled,
    unused_directory,
)
from .metrics.restoration import Scores, Task, bicubic, make_task, mean_scores, score
from .networks import RRDBNet
from .networks.rrdb import SCALE
from .photo import Photo, held_out_part, load_photo, smallest_long_side
from .presets import PRESETS, UpscalerConfig
from .pretrained import adopt_size, keep, kept, read_pretrained
from .run import Run, RunError
from .upscaler import Pair, Patches, UpscalerTraining, make_pairs, train_upscaler

log = logging.getLogger("trainers")

KEYS = frozenset({"folder", "listing", "noise", "output", "preset", "seed", "vgg"})  # of config.json

SMALLEST_REDUCTION = 0.25  # of a photograph's sides; details of a camera's own pixels are often blurred
CROP = 1024  # pixels, longest side of what is kept of a photograph
POOL = 32  # crops that patches are cut from at a step: at most 128 MB
REPLACE_EVERY = 32  # steps, one crop of the pool: reading a photograph takes as long as several steps
AHEAD = 4  # crops that are prepared before they are needed
VALIDATION_PHOTOS = 8
VALIDATION_CROP = 512


class Folder:
    """The photographs below a folder, in an order that a seed decides; those that cannot be used are named.

    Raises:
        PhotographError: there are none.
    """

    def __init__(self, path: Path, config: UpscalerConfig, seed: int) -> None:
        self.path, self.config, self.seed = path, config, seed
        if not path.is_dir():
            raise PhotographError(f"{path} is not a folder")
        self.files = sorted(
            file for file in path.rglob("*") if file.suffix.lower() in photograph.SUFFIXES and file.is_file()
        )
        self.unusable: set[Path] = set()
        if not self.files:
            raise PhotographError(f"there is no photograph (JPEG, PNG, TIFF, WebP, ...) in the folder {path}")

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
            return cut(pair, CROP, float(y), float(x))
        raise PhotographError(f"none of the {len(self.files)} photographs in {self.path} can be used")

    def _reduce(self, path: Path, reduction: float) -> Pair:
        """The photograph beside the part held out, its sides multiplied by ``reduction`` if patches allow."""
        patch, held_out = self.config.patch, self.config.held_out
        photo = load_photo(path)
        native, smallest = max(photo.height, photo.width), smallest_long_side(photo, patch, held_out)
        if native < smallest:
            size = f"{photo.width} x {photo.height}"
            raise PhotographError(f"{path} has {size} pixels, too few for patches of {patch}")
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
                task = make_task(part, 1.0, max(part.height, part.width), noise)
                tasks.append(replace(task, low=task.low[:1]))
        return tasks


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
        executor = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        try:
            yield cls(folder, executor)
        finally:
            executor.shutdown(cancel_futures=True)


def validate(network: RRDBNet, tasks: Sequence[Task]) -> Scores:
    """Mean scores of ``network``, which may be on any device."""
    device = next(network.parameters()).device

    def upscale(low: Tensor) -> Tensor:
        enlarged: Tensor = network(low.to(device))
        return enlarged.cpu()

    return mean_scores([score(upscale, task) for task in tasks])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    return exit_status(lambda: pretrain(options))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.pretrain", description="Pre-train an upscaler on a folder of photographs."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="searched for photographs with all its folders")
    parser.add_argument("-o", "--output", type=Path, help="the checkpoint to write (default: FOLDER.pth)")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="default: standard")
    parser.add_argument("--l1-steps", type=int, help="of the first phase (default: the preset's)")
    parser.add_argument("--gan-steps", type=int, help="of the second phase (default: the preset's)")
    parser.add_argument("--noise", type=float, help="deviation of noise added to the input (default: 0)")
    parser.add_argument("--init", type=Path, metavar="FILE", help="start from this upscaler, of its size")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1, ... (default: cuda where there is one)"
    )
    parser.add_argument("--seed", type=parse_seed, default=None, help="0 (default) to 2^63 - 1")
    parser.add_argument("--run", type=Path, help="the run directory (default: runs/FOLDER-PRESET)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with this run directory")
    parser.add_argument("--vgg", type=Path, help=VGG_HELP)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    if (options.folder is None) == (options.resume is None):
        parser.error("give either a folder or --resume RUN")
    if options.resume:
        settled = ("preset", "l1_steps", "gan_steps", "noise", "init", "seed", "run", "vgg")
        refuse_settled(parser, options, settled)
    for name in ("l1_steps", "gan_steps"):
        if (getattr(options, name) or 0) < 0:
            parser.error(f"--{name.replace('_', '-')}: expected 0 or more, got {getattr(options, name)}")
    if options.noise is not None and not 0 <= options.noise <= 1:
        parser.error(f"--noise: expected a deviation from 0 to 1, got {options.noise}")
    return options


def pretrain(options: argparse.Namespace) -> Path:
    """Trains (or goes on training) and writes the checkpoint; returns its path."""
    device = pick_device(options.device)
    if options.resume:
        run = Run.open(options.resume, device, quiet=options.quiet, keys=KEYS)
    else:
        run = start_run(options, device)
    settings, seed = run.config, run.config["seed"]
    output = options.output if options.resume and options.output else Path(settings["output"])
    check_output(output)
    config = run.preset.upscaler
    folder = Folder(Path(settings["folder"]), config, seed)
    if folder.listing() != settings["listing"]:
        raise RunError(f"the photographs in {folder.path} are not those that this run was started with")
    vgg, init = load_vgg(settings["vgg"], device), kept(run, "init")
    log.info("run directory: %s (%d files, %s, seed %d)", run.directory, len(folder.files), device, seed)
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)  # gradients near zero, in a new network, are slow on a processor
    tasks = folder.held_out(settings["noise"])
    with Pool.open(folder) as pool, run.saving_when_interrupted():
        patches = Patches(pool, config, settings["noise"], device, turned=True)
        training = UpscalerTraining(config, config.l1_steps, config.gan_steps, patches, vgg)
        if init is not None:
            training.start_from(init)
        network = train_upscaler(
            run, "upscaler", training, (lambda network: asdict(validate(network, tasks))) if tasks else None
        )
    with atomic_file(output) as path:
        half = {name: value.cpu().half() for name, value in network.state_dict().items()}  # as in bundles
        torch.save({"params": half}, path)
    report(network, tasks)
    log.info("checkpoint: %s, trained for %s", output, minutes(run.seconds))
    return output


def start_run(options: argparse.Namespace, device: torch.device) -> Run:
    """Checks everything that can be checked before the long work, and makes the run directory."""
    preset, seed = PRESETS[options.preset or "standard"], options.seed or 0
    source: Path = options.folder.resolve()
    output: Path = options.output or Path(f"{source.name}.pth")
    check_output(output)
    given = {"l1_steps": options.l1_steps, "gan_steps": options.gan_steps}
    config = replace(preset.upscaler, **{name: steps for name, steps in given.items() if steps is not None})
    if config.l1_steps + config.gan_steps == 0:
        raise ValueError("expected at least one step, got --l1-steps 0 and --gan-steps 0")
    pretrained = [read_pretrained(options.init)] if options.init else []
    preset = replace(preset, upscaler=adopt_size(config, pretrained))
    settings = {
        "folder": str(source),
        "listing": Folder(source, preset.upscaler, seed).listing(),
        "noise": options.noise or 0.0,
        "output": str(output.resolve()),
        "preset": preset.as_dict(),
        "seed": seed,
        "vgg": check_vgg(options.vgg),
        "init": pretrained[0].record() if pretrained else None,
    }
    directory = options.run or unused_directory(source.name, preset)
    if directory.resolve().is_relative_to(source):
        raise RunError(
            f"the run directory {directory} would lie among the photographs, and its pictures be taken for "
            "some: give one elsewhere with --run"
        )
    run = Run.create(directory, settings, device, quiet=options.quiet)
    for one in pretrained:
        keep(run, "init", one)
    return run


def check_output(path: Path) -> None:
    """Raises RunError unless a checkpoint can be written under ``path``."""
    if path.suffix not in SUFFIXES:
        raise RunError(f"cannot write {path}: a checkpoint's name ends in {' or '.join(SUFFIXES)}")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"cannot write {path}: it is a folder, or its folder is missing or read-only")


def report(network: RRDBNet, tasks: Sequence[Task]) -> None:
    """Says how well the network does on what was held out."""
    if not tasks:
        log.info("nothing was held out (the preset's held_out): no PSNR")
        return
    log.info("what was held out of %d photographs:", len(tasks))
    for name, scores in (
        ("upscaler", validate(network, tasks)),
        ("bicubic", mean_scores([score(bicubic, task) for task in tasks])),
    ):
        log.info("%-8s  PSNR %.2f dB, SSIM %.4f, SWD %.1f", name, *astuple(scores))


if __name__ == "__main__":
    sys.exit(main())
