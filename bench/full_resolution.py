"""A rendered picture against its photograph, at full resolution, beside the photograph's mirror image.

python -m bench.full_resolution PICTURE PHOTO [--scale N]     prints a table

PICTURE is whatever libvips reads (8 bits). N is the canvas's scale: how many of its pixels the photograph's
long side takes, 4096 for a canvas 8192 wide that is two photographs wide; by default the picture's long side.
The photograph is resized by this project's bicubic: where another resizing made the picture, its finest
octave differs by up to a tenth for that alone.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pyvips

from trainers.metrics.full_resolution import FullResolution, photograph_at, table
from trainers.metrics.octaves import Pixels
from trainers.photo import load_photo


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path, help="an image file")
    parser.add_argument("photo", type=Path, help="the photograph that it was made from")
    parser.add_argument("--scale", type=int, help="the photograph's long side in the picture's pixels")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn at random (default: 0)")
    options = parser.parse_args()
    picture = read_picture(options.picture)
    photograph = photograph_at(load_photo(options.photo), options.scale or max(picture.shape[:2]))
    started = time.perf_counter()
    compare = FullResolution(photograph, options.seed)
    prepared = time.perf_counter()
    numbers = compare.measure(picture)
    measured = time.perf_counter()
    for name, pixels in ((options.picture, picture), (options.photo, photograph)):
        print(f"{name}: {pixels.shape[1]} x {pixels.shape[0]}")
    print(table({"picture": numbers, "mirrored photo": compare.mirrored()}))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    seconds = f"{prepared - started:.1f} s for the photograph, {measured - prepared:.1f} s for the picture"
    print(f"{seconds}; {peak:.2f} GB")


def read_picture(path: Path) -> Pixels:
    """An image file as (H, W, 3) uint8 sRGB."""
    image = pyvips.Image.new_from_file(str(path), access="sequential").colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=255)
    result: Pixels = np.asarray(image.cast("uchar").numpy())
    return result


if __name__ == "__main__":
    main()
