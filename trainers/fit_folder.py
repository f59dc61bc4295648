"""From a folder of pictures of any size to a bundle that makes pictures at any scale.

Chai et al., "Any-resolution training for high-resolution image synthesis" (ECCV 2022).

python -m trainers.fit_folder FOLDER                          -> FOLDER.ourgan
python -m trainers.fit_folder FOLDER --preset any-draft -o hills.ourgan
python -m trainers.fit_folder --resume runs/FOLDER-any-standard   goes on where a run was stopped
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ourgan_sdk.bundle.replacing import FORCE_HELP
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import steady_streams

from .any_resolution.losses import MULTISCALE
from .any_resolution.phases import train_any
from .any_resolution.pictures import PictureFolder
from .any_resolution.presets import PRESETS, AnyPreset
from .bundling.coordinates import assemble
from .command_line import (
    add_run_options,
    check_run_options,
    exit_status,
    minutes,
    pick_device,
    unused_directory,
)
from .fit import check_output
from .perceptual import find_perceptual
from .runs.run import Run, RunError

log = logging.getLogger("trainers")

KEYS = frozenset({"folder", "output", "perceptual", "pictures", "preset", "seed"})  # of config.json


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    return exit_status(lambda: fit_folder(options))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(
        prog="python -m trainers.fit_folder",
        description="Fit a bundle to a folder of pictures of any size, for pictures at any scale.",
    )
    parser.add_argument("folder", nargs="?", type=Path, help="searched for pictures with all its folders")
    parser.add_argument(
        "-o", "--output", type=Path, help="the bundle to write (default: FOLDER's name, .ourgan)"
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), help="default: any-standard")
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    add_run_options(parser, "runs/FOLDER-PRESET", movable="folder")
    options = parser.parse_args(arguments)
    check_run_options(parser, options, "folder", ("preset",))
    return options


def fit_folder(options: argparse.Namespace) -> Path:
    """Trains (or goes on training) and writes the bundle; returns its path."""
    device = pick_device(options.device)
    if options.resume:
        run = Run.open(options.resume, device, quiet=options.quiet, keys=KEYS)
        preset = preset_of(run)
        folder = options.moved or Path(run.config["folder"])
        pictures = read_folder(folder, preset, quiet=options.quiet)
        if pictures.sha256 != run.config["pictures"]:
            raise RunError(
                f"the pictures in {folder} are not those that this run was started with: say where those are "
                "with --folder PATH"
            )
    else:
        preset = PRESETS[options.preset or "any-standard"]
        pictures = read_folder(options.folder, preset, quiet=options.quiet)
        run = start_run(options, preset, pictures, device)
    output = options.output if options.resume and options.output else Path(run.config["output"])
    check_output(output, pictures.sha256, force=options.force)
    log.info(
        "run directory: %s (%s, %s, seed %d; %d pictures, %d to %d px)",
        *(run.directory, preset.name, device, run.config["seed"]),
        *(pictures.count, pictures.shortest, pictures.longest),
    )
    torch.set_flush_denormal(True)  # gradients near zero, in a new network, are slow on a processor
    with run.saving_when_interrupted():
        generator = train_any(run, pictures, preset.any_resolution)
    check_output(output, pictures.sha256, force=options.force)  # again: other runs end, too
    assemble(run, pictures, preset, generator, output)
    log.info(
        "bundle: %s (%.1f MB), trained for %s", output, output.stat().st_size / 1e6, minutes(run.seconds)
    )
    return output


def read_folder(path: Path, preset: AnyPreset, *, quiet: bool) -> PictureFolder:
    """The pictures, as the preset draws them."""
    config = preset.any_resolution
    return PictureFolder(path, config.patch, mirrored=config.mirrored, quiet=quiet)


def preset_of(run: Run) -> AnyPreset:
    """The preset that the run was started with.

    Raises:
        RunError: it is of another version, or of another command.
    """
    try:
        return AnyPreset.from_dict(run.config["preset"])
    except TypeError as e:
        raise RunError(f"{run.directory / 'config.json'} is not of this version: {e}; start a new run") from e


def start_run(
    options: argparse.Namespace, preset: AnyPreset, pictures: PictureFolder, device: torch.device
) -> Run:
    """Checks everything that can be checked before the long work, and makes the run directory."""
    source: Path = options.folder.resolve()
    output: Path = options.output or Path(f"{source.name}.ourgan")
    check_output(output, pictures.sha256, force=options.force)
    config = preset.any_resolution
    directory = options.run or unused_directory(source.name, preset.name)
    if directory.resolve().is_relative_to(source):
        raise RunError(
            f"the run directory {directory} would lie among the pictures, and its samples be taken for some: "
            "give one elsewhere with --run"
        )
    lpips = config.lpips > 0 and config.teacher > 0
    if options.vgg and not lpips:
        raise RunError(f"the preset {preset.name} uses no perceptual features: --vgg would not be read")
    found = find_perceptual(options.vgg, lpips=True) if lpips else None
    settings = {
        "folder": str(source),
        "pictures": pictures.sha256,
        "output": str(output.resolve()),
        "preset": preset.as_dict(),
        "seed": options.seed or 0,
        "perceptual": found or ({"kind": MULTISCALE} if config.teacher > 0 else None),
    }
    return Run.create(directory, settings, device, quiet=options.quiet)


if __name__ == "__main__":
    sys.exit(main())
