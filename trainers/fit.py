"""From one photograph to a bundle.

python -m trainers.fit photo.jpg                      -> photo.ourgan
python -m trainers.fit photo.jpg --preset draft -o sunset.ourgan
python -m trainers.fit photo.jpg --family singan      a structure of SinGAN's, by the preset singan
python -m trainers.fit photo.jpg --preset highres     the same, by another of its presets
python -m trainers.fit photo.jpg --family consingan   a structure of ConSinGAN's
python -m trainers.fit --resume runs/photo-standard   goes on where a run was stopped
python -m trainers.fit photo.jpg --init RealESRGAN_x4plus.pth   fine-tunes its upscalers (Algorithm 3)
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

from ourgan_sdk.bundle.replacing import FORCE_HELP, check_replaceable_bundle
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import steady_streams

from .bundling.assemble import Trained, assemble
from .command_line import (
    add_run_options,
    check_run_options,
    exit_status,
    minutes,
    pick_device,
    unused_directory,
)
from .perceptual import find_perceptual, load_perceptual
from .photo import Photo, check_photo, load_photo, structure_pyramid
from .presets import DEFAULTS, PRESETS, Preset, SinganConfig, StructureConfig, names_of
from .runs.run import Run, RunError
from .structures.families import train
from .structures.model import Model
from .upscalers.passes import Structures, train_upscalers
from .upscalers.pretrained import OURS, adopt_sizes, keep, kept, read_pretrained

log = logging.getLogger("trainers")


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    return exit_status(lambda: fit(options))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(prog="python -m trainers.fit", description="Fit a bundle to one photograph.")
    parser.add_argument("image", nargs="?", type=Path, help="the photograph (JPEG, PNG, TIFF, WebP, ...)")
    parser.add_argument(
        "-o", "--output", type=Path, help="the bundle to write (default: IMAGE's name, .ourgan)"
    )
    parser.add_argument(
        "--family",
        choices=sorted(DEFAULTS),
        help="what kind of structure (default: the preset's; else ourgan)",
    )
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        help="default: standard; with another --family: its own, of the same name",
    )
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    parser.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="start the upscalers from this checkpoint, of this project or of ESRGAN x4, or from realsr, "
        "where its package is installed; they are of its size (default: trainers/weights)",
    )
    parser.add_argument(
        "--init-first",
        type=Path,
        metavar="FILE",
        help="start that of pass 1 from another, used to noise (trainers.pretrain --noise 0.1)",
    )
    parser.add_argument(
        "--init-second",
        type=Path,
        metavar="FILE",
        help="start that of pass 2 from another, used to what pass 1 makes (trainers.pretrain --after)",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="let the upscaler of later passes learn from this one, too: as for --init",
    )
    parser.add_argument(
        "--from-scratch",
        action="store_true",
        default=None,
        help="do not start from the upscalers of trainers/weights",
    )
    parser.add_argument(
        "--texture",
        action="store_true",
        default=None,
        help="the photograph has no above and below (gravel, fabric): structures may put anything anywhere; "
        "of patches: ourgan render --vertical 0",
    )
    parser.add_argument(
        "--noise-padding",
        action="store_true",
        default=None,
        help="SinGAN's structures for films: noise around pictures in place of zeros, so that borders move",
    )
    parser.add_argument(
        "--no-photograph",
        action="store_true",
        default=None,
        help="leave the photograph out of the bundle: pictures contain none of its pixels, and networks make "
        "all detail",
    )
    add_run_options(parser, "runs/NAME-PRESET", movable="image")
    options = parser.parse_args(arguments)
    settled = (
        *("family", "preset", "init", "init_first", "init_second", "teacher"),
        *("from_scratch", "texture", "noise_padding", "no_photograph"),
    )
    check_run_options(parser, options, "image", settled)
    check_family(parser, options)
    if options.init and options.from_scratch:
        parser.error("give either --init or --from-scratch")
    for name in ("first", "second"):
        if getattr(options, f"init_{name}") and not options.init:
            parser.error(f"--init-{name} needs --init, for the passes that have no network of their own")
    return options


def check_family(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the command where the family has no such preset, or nothing that an option could change."""
    preset = preset_of(options)
    if options.family not in (None, preset.family):
        names = ", ".join(names_of(options.family))
        parser.error(f"--preset {preset.name} is of the family {preset.family}; {options.family} has {names}")
    if options.texture and preset.family != "ourgan":
        parser.error(
            "--texture takes OUR-GAN's vertical coordinates away: structures of the family "
            f"{preset.family} have none"
        )
    if options.noise_padding and preset.family != "singan":
        parser.error(
            "--noise-padding puts noise around SinGAN's pictures: give --family singan or one of its presets"
        )


def preset_of(options: argparse.Namespace) -> Preset:
    """The preset that is asked for, or the family's own."""
    return PRESETS[options.preset or DEFAULTS[options.family or "ourgan"]]


def fit(options: argparse.Namespace) -> Path:
    """Trains (or goes on training) and writes the bundle; returns its path."""
    device = pick_device(options.device)
    run = (
        Run.open(options.resume, device, quiet=options.quiet)
        if options.resume
        else start_run(options, device)
    )
    config = run.config
    output = options.output if options.resume and options.output else Path(config["output"])
    check_output(output, config["photo"]["sha256"], force=options.force)
    preset = run.preset
    photo = load_again(options.moved or Path(config["photo"]["path"]), config["photo"]["sha256"])
    perceptual = load_perceptual(config["perceptual"], device)
    pretrained = {name: network for name in (*OURS, "teacher") if (network := kept(run, name))}
    log.info("run directory: %s (%s, %s, seed %d)", run.directory, preset.name, device, config["seed"])
    torch.manual_seed(config["seed"])
    torch.set_flush_denormal(True)  # gradients near zero, in a new network, are slow on a processor
    with run.saving_when_interrupted():
        structure = train(run, photo, preset.structure)
        upscalers = train_upscalers(
            *(run, photo, preset.upscaler, preset.structure.long_side),
            perceptual=perceptual,
            teacher=pretrained.pop("teacher", None),
            pretrained=pretrained,
            structures=draw_structures(run, structure, photo),
        )
    check_output(output, photo.sha256, force=options.force)  # again: other runs end, too
    assemble(run, photo, Trained(structure, upscalers), output)
    log.info(
        "bundle: %s (%.1f MB), trained for %s", output, output.stat().st_size / 1e6, minutes(run.seconds)
    )
    return output


def draw_structures(run: Run, structure: Model, photo: Photo) -> Structures | None:
    """Those that passes 1 and 2 learn from, beside the photograph; the same ones whenever a run resumes."""
    count = run.preset.upscaler.structures
    if not count:
        return None
    pyramid = [x.to(run.device) for x in structure_pyramid(photo, structure.sizes)]
    with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
        torch.manual_seed(run.config["seed"])
        samples = structure.reconstruct(pyramid, count), structure.sample(len(structure.sizes), count)
        return Structures(*samples)


def start_run(options: argparse.Namespace, device: torch.device) -> Run:
    """Checks everything that can be checked before the long work, and makes the run directory."""
    image: Path = options.image
    preset = preset_of(options)
    if options.texture and isinstance(preset.structure, StructureConfig):
        preset = replace(preset, structure=replace(preset.structure, vertical_coordinates=False))
    if options.noise_padding and isinstance(preset.structure, SinganConfig):
        preset = replace(preset, structure=replace(preset.structure, padding="noise"))
    photo = load_photo(image)
    check_photo(photo, preset.structure, preset.upscaler.window, preset.upscaler.held_out)
    output: Path = options.output or Path(f"{image.stem}.ourgan")
    check_output(output, photo.sha256, force=options.force)
    perceptual = find_perceptual(options.vgg, lpips=preset.upscaler.lpips > 0)
    pretrained = {name: read_pretrained(path) for name, path in starting_points(options, preset).items()}
    preset = replace(preset, upscaler=adopt_sizes(preset.upscaler, pretrained))
    if options.teacher:
        pretrained["teacher"] = read_pretrained(options.teacher)
    config = {
        "photo": describe(photo, image),
        "photograph": not options.no_photograph,  # whether the bundle will hold it
        "output": str(output.resolve()),
        "preset": preset.as_dict(),
        "seed": options.seed or 0,
        "perceptual": perceptual,
        **{name: pretrained[name].record() if name in pretrained else None for name in (*OURS, "teacher")},
    }
    directory = options.run or unused_directory(image.stem, preset.name)
    run = Run.create(directory, config, device, quiet=options.quiet)
    for name, one in pretrained.items():
        keep(run, name, one)
    return run


def starting_points(options: argparse.Namespace, preset: Preset) -> dict[str, Path]:
    """The files that upscalers start from, named as in the run's configuration."""
    if options.init:
        return {name: path for name in OURS if (path := getattr(options, name))}
    return OURS if preset.upscaler.pretrained and not options.from_scratch else {}


def load_again(path: Path, sha256: str) -> Photo:
    """The photograph of a run that is resumed.

    Raises:
        RunError: there is none, or it is another one.
    """
    if not path.is_file():
        raise RunError(f"there is no photograph {path} any more: say where it is with --image PATH")
    photo = load_photo(path)
    if photo.sha256 != sha256:
        raise RunError(
            f"{path} is not the photograph this run was started with: say where that is with --image PATH"
        )
    return photo


def check_output(path: Path, sha256: str, *, force: bool) -> None:
    """Raises RunError unless the bundle of a photograph of that SHA-256 can be written under ``path``.

    OutputError, without ``force``, if that would replace another photograph's.
    """
    if path.suffix != ".ourgan":
        raise RunError(f"cannot write {path}: a bundle's name ends in .ourgan")
    if not path.parent.is_dir():
        raise RunError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"cannot write {path}: it is a folder, or the folder it lies in is read-only")
    check_replaceable_bundle(path, sha256, trained=True, force=force)


def describe(photo: Photo, path: Path) -> dict[str, object]:
    """What a run remembers of its photograph."""
    return {"path": str(path.resolve()), "sha256": photo.sha256, "width": photo.width, "height": photo.height}


if __name__ == "__main__":
    sys.exit(main())
