"""A folder of pictures of many sizes out of a few photographs: for whoever has no data set of them.

python -m bench.picture_folder pictures photo.jpg another.jpg
python -m bench.picture_folder pictures *.jpg --count 200 --sheet pictures.png

Every picture shows a part of a photograph, from a third of its shorter side to all of it, anywhere, mirrored
or not, of one of the usual shapes; reduced (Lanczos), never enlarged, to a shorter side drawn log-uniformly
from --smallest to --largest. So pictures of all sizes show alike much, as any-resolution training expects it,
and only the larger ones show it finely. A seed decides; photographs take turns.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ourgan_sdk.photograph import PhotographError, read_photograph
from ourgan_sdk.progress import progress_bar
from ourgan_sdk.system.atomic import atomic_file

SHAPES = ((1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9))  # width : height
LEAST_SHOWN = 1 / 3  # of the photograph's shorter side
THUMBNAIL = 128  # pixels, on the sheet


@dataclass(frozen=True)
class Part:
    """What one picture shows of a photograph: a box in its pixels, and the size it is reduced to."""

    left: int
    top: int
    width: int
    height: int
    size: tuple[int, int]  # width, height in pixels
    is_mirrored: bool

    def of(self, photo: Image.Image) -> Image.Image:
        """The picture."""
        box = (self.left, self.top, self.left + self.width, self.top + self.height)
        picture = photo.resize(self.size, Image.Resampling.LANCZOS, box=box)
        return ImageOps.mirror(picture) if self.is_mirrored else picture


def draw_part(random: np.random.Generator, width: int, height: int, sides: tuple[int, int]) -> Part:
    """A part of a photograph of ``width`` x ``height``, its shorter side within ``sides`` when reduced."""
    across, down = SHAPES[random.integers(len(SHAPES))]
    unit = min(width / across, height / down)  # the largest such shape is (across, down) times this
    largest = min(unit * min(across, down), sides[1])
    side = round(math.exp(random.uniform(math.log(sides[0]), math.log(max(largest, sides[0])))))
    short = unit * min(across, down)
    shown = random.uniform(max(side, LEAST_SHOWN * short), short) / min(across, down)
    pixels = (min(round(across * shown), width), min(round(down * shown), height))
    left, top = (int(random.integers(n - used + 1)) for n, used in zip((width, height), pixels, strict=True))
    scale = side / min(across, down)
    size = (min(round(across * scale), pixels[0]), min(round(down * scale), pixels[1]))
    return Part(left, top, *pixels, size, bool(random.integers(2)))


def pictures_of(
    photos: Sequence[Path], count: int, seed: int, sides: tuple[int, int]
) -> Iterator[tuple[str, Image.Image]]:
    """``count`` pictures and their names; photographs are read one after the other.

    Raises:
        PhotographError: one cannot be read, or is smaller than ``sides``' smallest.
    """
    for i, path in enumerate(photos):
        photo = Image.fromarray(read_photograph(path).pixels)
        if min(photo.size) < 2 * sides[0]:
            raise PhotographError(
                f"{path} has {photo.width} x {photo.height} pixels; expected {2 * sides[0]} at least per side"
            )
        for number in range(i, count, len(photos)):
            random = np.random.default_rng([seed, number])
            picture = draw_part(random, *photo.size, sides).of(photo)
            yield f"{number:04}-{path.stem}-{picture.width}x{picture.height}.png", picture


def sheet(thumbnails: Sequence[Image.Image], columns: int = 12) -> Image.Image:
    """Thumbnails side by side on white."""
    rows, cell = -(-len(thumbnails) // columns), THUMBNAIL + 4
    result = Image.new("RGB", (columns * cell, rows * cell), "white")
    for i, one in enumerate(thumbnails):
        result.paste(one, (i % columns * cell, i // columns * cell))
    return result


def main() -> None:
    """Write the folder."""
    options = parse()
    if options.out.exists() and any(options.out.iterdir()):
        raise SystemExit(f"error: {options.out} holds something already: give another folder, or delete it")
    options.out.mkdir(parents=True, exist_ok=True)
    thumbnails: dict[str, Image.Image] = {}
    sides = (options.smallest, options.largest)
    with progress_bar(options.count, "pictures", unit="picture") as bar:
        try:
            for name, picture in pictures_of(options.photos, options.count, options.seed, sides):
                with atomic_file(options.out / name) as path:
                    picture.save(path, "PNG")
                thumbnails[name] = ImageOps.contain(picture, (THUMBNAIL, THUMBNAIL))
                bar.update()
        except PhotographError as error:
            raise SystemExit(f"error: {error}") from error
    if options.sheet:
        with atomic_file(options.sheet) as path:
            sheet([thumbnails[name] for name in sorted(thumbnails)]).save(path, "PNG")
    print(f"{options.count} pictures in {options.out}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="the folder to write; new or empty")
    add("photos", type=Path, nargs="+", metavar="PHOTO")
    add("--count", type=int, default=60, help="of pictures (default: %(default)s)")
    add("--seed", type=int, default=0)
    add("--smallest", type=int, default=64, help="shorter side, pixels (default: %(default)s)")
    add("--largest", type=int, default=1000, help="shorter side, pixels (default: %(default)s)")
    add("--sheet", type=Path, metavar="FILE", help="a PNG of all of them, small, to look at")
    options = parser.parse_args()
    if options.count < 1 or options.seed < 0 or not 1 <= options.smallest <= options.largest:
        parser.error("expected a positive --count, a --seed from 0 on, and --smallest <= --largest")
    return options


if __name__ == "__main__":
    main()
