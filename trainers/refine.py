"""The command that trains a refiner: a network that gives pictures of one kind detail at any factor.

python -m trainers.refine photo.jpg -o refiner.onnx       trains on the photograph and writes an ONNX file
python -m trainers.refine --resume runs/photo-refiner     goes on where a run was stopped

What the file takes and gives stands in docs/refiner.md, and where it is better than passes of x4 and where
not. The photograph's right twelfth is kept for evaluation, and at the end the refiner is compared with
bicubic enlargement there.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ourgan_sdk.bundle.replacing import FORCE_HELP
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import steady_streams

from .bundling.refiner import export_refiner, photograph_of
from .command_line import (
    add_run_options,
    check_run_options,
    exit_status,
    minutes,
    pick_device,
    unused_directory,
)
from .fit import describe, load_again
from .metrics.restoration import score_picture
from .networks.refiner import Refiner, enlarge
from .perceptual import find_perceptual, load_perceptual
from .photo import Photo, held_out_part, load_photo, reduce, to_float
from .runs.run import Run, RunError
from .upscalers.refiner import Crops, RefinerConfig, RefinerTraining, refine, train_refiner

log = logging.getLogger("trainers")

KEYS = frozenset({"photo", "output", "perceptual", "refiner", "seed"})  # of config.json
FACTORS = (2, 3, 6)  # that it is compared at
LARGEST_PART = 1536  # pixels per side of what it is compared on
SMALLEST_PART = 96


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    return exit_status(lambda: train(options))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    usual = RefinerConfig()
    parser = Parser(prog="python -m trainers.refine", description="Train a refiner on one photograph.")
    add = parser.add_argument
    add("image", nargs="?", type=Path, help="the photograph")
    add("-o", "--output", type=Path, help="the ONNX file to write (default: IMAGE-refiner.onnx)")
    add("--steps", type=int, help=f"of training (default: {usual.steps})")
    add("--consistency", type=float, help=f"weight of the inverse teacher (default: {usual.consistency})")
    add("--force", action="store_true", help=FORCE_HELP)
    add_run_options(parser, "runs/IMAGE-refiner", movable="image")
    options = parser.parse_args(arguments)
    check_run_options(parser, options, "image", ("steps", "consistency"))
    if options.steps is not None and options.steps < 1:
        parser.error(f"--steps: expected 1 or more, got {options.steps}")
    if options.consistency is not None and not 0 <= options.consistency < float("inf"):
        parser.error(f"--consistency: expected a weight of 0 or more, got {options.consistency}")
    return options


def train(options: argparse.Namespace) -> Path:
    """Trains (or goes on training) and writes the ONNX file; returns its path."""
    device = pick_device(options.device)
    if options.resume:
        run = Run.open(options.resume, device, quiet=options.quiet, keys=KEYS)
    else:
        run = start_run(options, device)
    settings = run.config
    output = options.output if options.resume and options.output else Path(settings["output"])
    try:
        config = RefinerConfig.from_dict(settings["refiner"])
    except TypeError as e:
        raise RunError(f"{run.directory / 'config.json'} is not of this version: {e}; start a new run") from e
    check_output(output, settings["photo"]["sha256"], force=options.force)
    photo = load_again(options.moved or Path(settings["photo"]["path"]), settings["photo"]["sha256"])
    perceptual = load_perceptual(settings["perceptual"], device)
    log.info("run directory: %s (%s, seed %d)", run.directory, device, settings["seed"])
    torch.manual_seed(settings["seed"])
    torch.set_flush_denormal(True)  # gradients near zero, in a new network, are slow on a processor
    with run.saving_when_interrupted():
        network = train_refiner(run, RefinerTraining(config, Crops(photo, config), device, perceptual))
    network = network.cpu().eval()
    data = export_refiner(network, photo.sha256)
    check_output(output, photo.sha256, force=options.force)  # again: other runs end, too
    with atomic_file(output) as path:
        path.write_bytes(data)
    report(network, photo, config.held_out)
    log.info("refiner: %s (%.1f MB), trained for %s", output, len(data) / 1e6, minutes(run.seconds))
    return output


def start_run(options: argparse.Namespace, device: torch.device) -> Run:
    """Checks everything that can be checked before the long work, and makes the run directory."""
    image: Path = options.image
    photo, config = load_photo(image), RefinerConfig()
    if options.steps is not None:
        config = replace(config, steps=options.steps)
    if options.consistency is not None:
        config = replace(config, consistency=options.consistency)
    Crops(photo, config)  # raises where there is no room for one
    output: Path = options.output or Path(f"{image.stem}-refiner.onnx")
    check_output(output, photo.sha256, force=options.force)
    settings = {
        "photo": describe(photo, image),
        "output": str(output.resolve()),
        "perceptual": find_perceptual(options.vgg, lpips=config.lpips > 0),
        "refiner": config.as_dict(),
        "seed": options.seed or 0,
    }
    directory = options.run or unused_directory(image.stem, "refiner")
    return Run.create(directory, settings, device, quiet=options.quiet)


def check_output(path: Path, sha256: str, *, force: bool) -> None:
    """Raises RunError unless the refiner of a photograph of that SHA-256 can be written under ``path``.

    Also, without ``force``, if that would replace any other file.
    """
    if path.suffix != ".onnx":
        raise RunError(f"cannot write {path}: a refiner's name ends in .onnx")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"cannot write {path}: it is a folder, or its folder is missing or read-only")
    if not force and path.exists() and photograph_of(path) != sha256:
        raise RunError(
            f"cannot write {path}: it is no refiner of this photograph; give another name with --output, or "
            "replace it with --force"
        )


def report(network: Refiner, photo: Photo, held_out: float) -> None:
    """Says how well the refiner gives back what was held out, beside bicubic enlargement."""
    part = to_float(held_out_part(photo, held_out).pixels)[None, :, :LARGEST_PART, :LARGEST_PART]
    if min(part.shape[2:]) < SMALLEST_PART:
        log.info("what was held out has too few pixels to be measured: no PSNR")
        return
    height, width = part.shape[2:]
    for factor in FACTORS:
        low = reduce(part, round(height / factor), round(width / factor))
        refined, enlarged = refine(network, low, height, width), enlarge(low, height, width).clamp(0, 1)
        for name, picture in (("refiner", refined), ("bicubic", enlarged)):
            one = score_picture(picture[0], part[0])
            log.info("x%d, %s: PSNR %.2f dB, SSIM %.4f, SWD %.1f", factor, name, one.psnr, one.ssim, one.swd)


if __name__ == "__main__":
    sys.exit(main())
