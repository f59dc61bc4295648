"""Pre-training an upscaler on a folder of photographs (OUR-GAN, Algorithm 2), for ``trainers.fit --init``.

python -m trainers.pretrain FOLDER -o later.pth                             for the later passes
python -m trainers.pretrain FOLDER -o first.pth --noise 0.1 --init later.pth  for pass 1, of noisy input
python -m trainers.pretrain FOLDER -o second.pth --after first.pth --init later.pth  for pass 2, after it
python -m trainers.pretrain --resume runs/FOLDER-standard                   goes on where a run was stopped

Both phases are taken with --init, too: those weights may have learned another task.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import steady_streams

from .command_line import (
    add_run_options,
    check_run_options,
    exit_status,
    minutes,
    pick_device,
    unused_directory,
)
from .metrics.restoration import Scores, Task, bicubic, mean_scores, score
from .networks import Upscaler, UpscalerSize
from .perceptual import find_perceptual, load_perceptual
from .presets import PRESETS, UpscalerConfig
from .runs.run import Run, RunError
from .upscalers.esrgan import SUFFIXES
from .upscalers.passes import PassOne
from .upscalers.patches import Patches
from .upscalers.photographs import Folder, Pool
from .upscalers.pretrained import adopt_sizes, keep, kept, read_pretrained
from .upscalers.upscaler import UpscalerTraining, train_upscaler

log = logging.getLogger("trainers")

KEYS = frozenset({"folder", "listing", "noise", "output", "perceptual", "preset", "seed"})  # of config.json


def validate(network: Upscaler, tasks: Sequence[Task]) -> Scores:
    """Mean scores of ``network``, which may be on any device."""
    device = next(network.parameters()).device

    def upscale(low: Tensor) -> Tensor:
        enlarged: Tensor = network(low.to(device))
        return enlarged.cpu()

    return mean_scores([score(upscale, task) for task in tasks])


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    return exit_status(lambda: pretrain(options))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(
        prog="python -m trainers.pretrain", description="Pre-train an upscaler on a folder of photographs."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="searched for photographs with all its folders")
    parser.add_argument("-o", "--output", type=Path, help="the checkpoint to write (default: FOLDER.pth)")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="default: standard")
    parser.add_argument("--l1-steps", type=int, help="of the first phase (default: the preset's)")
    parser.add_argument("--gan-steps", type=int, help="of the second phase (default: the preset's)")
    parser.add_argument(
        "--noise",
        type=float,
        help="deviation of noise added to the input, beside which L1 weighs less (default: 0; with --after "
        "the preset's for pass 2)",
    )
    parser.add_argument(
        "--after", type=Path, metavar="FILE", help="of pictures that this upscaler of pass 1 has made"
    )
    parser.add_argument("--init", type=Path, metavar="FILE", help="start from this upscaler, of its size")
    parser.add_argument(
        "--force", action="store_true", help="replace a checkpoint that has the default name already"
    )
    add_run_options(parser, "runs/FOLDER-PRESET", movable="folder")
    options = parser.parse_args(arguments)
    settled = ("preset", "l1_steps", "gan_steps", "noise", "after", "init")
    check_run_options(parser, options, "folder", settled)
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
    after = kept(run, "after")
    pass_one = None if after is None else PassOne(after.to(device), config.noise)
    folder = Folder(options.moved or Path(settings["folder"]), config, seed, pass_one)
    if folder.listing() != settings["listing"]:
        raise RunError(
            f"the photographs in {folder.path} are not those that this run was started with: say where those "
            "are with --folder PATH"
        )
    perceptual, init = load_perceptual(settings["perceptual"], device), kept(run, "init")
    log.info("run directory: %s (%d files, %s, seed %d)", run.directory, len(folder.files), device, seed)
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)  # gradients near zero, in a new network, are slow on a processor
    tasks = folder.held_out(settings["noise"])
    with Pool.open(folder) as pool, run.saving_when_interrupted():
        patches = Patches(pool, config, settings["noise"], device, turned=True)
        steps = config.l1_steps, config.gan_steps
        training = UpscalerTraining(config, size_in(config, settings), steps, patches, perceptual)
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
    if options.output is None and output.exists() and not options.force:
        raise RunError(
            f"cannot write {output}: it is there, and may be of another folder; give a name with --output, "
            "or replace it with --force"
        )
    given = {"l1_steps": options.l1_steps, "gan_steps": options.gan_steps}
    config = replace(preset.upscaler, **{name: steps for name, steps in given.items() if steps is not None})
    if config.l1_steps + config.gan_steps == 0:
        raise ValueError("expected at least one step, got --l1-steps 0 and --gan-steps 0")
    name = "init_second" if options.after else "init_first" if options.noise else "init"
    pretrained = {name: read_pretrained(options.init)} if options.init else {}
    preset = replace(preset, upscaler=adopt_sizes(config, pretrained))
    after = read_pretrained(options.after) if options.after else None
    if after and not preset.upscaler.second:
        raise RunError(f"the preset {preset.name} has no network for pass 2 alone: --after needs one")
    noise = preset.upscaler.second_noise if after else 0.0
    settings = {
        "folder": str(source),
        "listing": Folder(source, preset.upscaler, seed).listing(),
        "noise": noise if options.noise is None else options.noise,
        "output": str(output.resolve()),
        "preset": preset.as_dict(),
        "seed": seed,
        "perceptual": find_perceptual(options.vgg, lpips=config.lpips > 0),
        "init": pretrained[name].record() if pretrained else None,
        "after": after.record() if after else None,
    }
    directory = options.run or unused_directory(source.name, preset.name)
    if directory.resolve().is_relative_to(source):
        raise RunError(
            f"the run directory {directory} would lie among the photographs, and its pictures be taken for "
            "some: give one elsewhere with --run"
        )
    run = Run.create(directory, settings, device, quiet=options.quiet)
    for one in pretrained.values():
        keep(run, "init", one)
    if after:
        keep(run, "after", after)
    return run


def size_in(config: UpscalerConfig, settings: Mapping[str, Any]) -> UpscalerSize:
    """The size of the network that a run of these settings trains."""
    if settings.get("after") and config.second:
        return config.second
    return config.first if settings["noise"] else config.later


def check_output(path: Path) -> None:
    """Raises RunError unless a checkpoint can be written under ``path``."""
    if path.suffix not in SUFFIXES:
        raise RunError(f"cannot write {path}: a checkpoint's name ends in {' or '.join(SUFFIXES)}")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"cannot write {path}: it is a folder, or its folder is missing or read-only")


def report(network: Upscaler, tasks: Sequence[Task]) -> None:
    """Says how well the network does on what was held out."""
    if not tasks:
        log.info("nothing was held out (the preset's held_out), or too little to be measured: no PSNR")
        return
    log.info("what was held out of %d photographs:", len(tasks))
    for name, scores in (
        ("upscaler", validate(network, tasks)),
        ("bicubic", mean_scores([score(bicubic, task) for task in tasks])),
    ):
        log.info("%-8s  PSNR %.2f dB, SSIM %.4f, SWD %.1f", name, *astuple(scores))


if __name__ == "__main__":
    sys.exit(main())
