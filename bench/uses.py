"""Painting, harmonising, editing and the rest at 7680 x 4320: whole commands, with what they take.

python -m bench.uses PHOTO OTHER [--bundle BUNDLE] [--repetitions 3]

Inputs have that size too: clip art, a part of OTHER pasted into PHOTO, a part of PHOTO pasted into itself.
SOURCE is PHOTO, and the bundle, if there is one. Times are of the whole process, Python's start and reading
the inputs included; memory is its peak. The mask covers a twelfth of the picture.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from bench.gallery import Paste, painting, pasted, read
from bench.instant import row

SIZE = 7680, 4320
FILM = "1280x854"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument("other", type=Path, metavar="OTHER")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(options.photo, options.other, folder)
        print("| command | seconds, median (from, to) | peak memory, GB |\n|---|---|---|")
        for source in [options.photo, *([options.bundle] if options.bundle else [])]:
            for command in commands(source, folder):
                print(row(command, options.repetitions), flush=True)


def write_inputs(photo: Path, other: Path, folder: Path) -> None:
    """What the commands are given, of the size of their results."""
    Image.fromarray(painting(SIZE)).save(folder / "painting.png")
    photos = [read(photo), read(other)]
    for use, source in (("composite", 1), ("edited", 0)):
        paste = Paste(onto=0, source=source, middle=(0.5, 0.5), radii=(0.17, 0.16), to=(0.6, 0.35))
        picture, mask = pasted(photos, paste, SIZE)
        Image.fromarray(picture).save(folder / f"{use}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{use}-mask.png")


def commands(source: Path, folder: Path) -> list[list[str | Path]]:
    """The arguments of `ourgan`."""
    size = f"{SIZE[0]}x{SIZE[1]}"
    out: list[str | Path] = ["-o", folder / "out.png"]
    paint: list[str | Path] = ["paint", source, folder / "painting.png", "--colors", "5"]
    masked: list[list[str | Path]] = [
        [use, source, folder / f"{picture}.png", "--mask", folder / f"{picture}-mask.png"]
        for use, picture in (("harmonize", "composite"), ("edit", "edited"))
    ]
    render: list[str | Path] = ["render", source, size, "--start-scale", "1"]
    whole = [render, paint, *masked]
    return [
        *([*command, *out] for command in whole),
        *([*command, *out, "--preview"] for command in whole),
        ["superres", source, "--factor", "4", *out],
        ["superres", source, "--factor", "4", *out, "--preview"],
        ["animate", source, "--size", FILM, "--frames", "20", "-o", folder / "film.mp4"],
        ["animate", source, "-o", folder / "film.mp4", "--preview"],
    ]


if __name__ == "__main__":
    main()
