"""The documents' pictures of what is rendered without training, made anew.

python -m bench.pictures pier.jpg mountain.jpg canyon.jpg fern.jpg -o docs

instant.jpg is of the sample; quality-layouts.jpg, quality-layouts-faults.jpg and retarget.jpg are of the
photographs given, whose order is that of FAULTS.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ourgan_sdk import Bundle, Layout, Synthesizer
from ourgan_sdk.arrays import Picture
from ourgan_sdk.learning import sample_bundle

GAP = 6
QUALITY = 88
SEEDS = range(6)
SHOWN = (1, 5, 6, 10, 14, 19)
"""Seeds of the sample."""

FAULTS = [(0, 3, 330, 330), (0, 5, 540, 430), (1, 3, 240, 640), (2, 1, 640, 850)]
"""Which photograph, seed, and where at 1920 x 1080: a stepped horizon, a deck that ends in water, a peak that
hangs over, a soft bridge."""


def main() -> None:
    """Write the four pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    options = parser.parse_args()
    synthesizers = [Synthesizer(photo) for photo in options.photos]
    for name, picture in (
        ("instant.jpg", instant()),
        ("quality-layouts.jpg", layouts(synthesizers)),
        ("quality-layouts-faults.jpg", faults(synthesizers)),
        ("retarget.jpg", retargeted(options.photos[0], synthesizers[0])),
    ):
        Image.fromarray(picture).save(options.output / name, quality=QUALITY)


def instant() -> Picture:
    """The sample's photograph beside six new pictures of it, above a strip of an 8K picture at 100 %."""
    bundle = Bundle.open(sample_bundle())
    synthesizer = Synthesizer(bundle, structure="patches")
    file = bundle.manifest.photograph
    if file is None:
        raise SystemExit("the sample holds no photograph")
    photo = Image.open(io.BytesIO(bundle.read(file))).convert("RGB")
    pictures = [synthesizer.thumbnail(seed, width=3072, height=2048, size=313) for seed in SHOWN]
    new = joined([joined(pictures[:3], 1), joined(pictures[3:], 1)], 0)
    width = round(photo.width * len(new) / photo.height)
    first = joined([np.asarray(photo.resize((width, len(new)), Image.Resampling.LANCZOS)), new], 1)
    strip = synthesizer.canvas(8192, 4320)[1300:1720, 500 : 500 + first.shape[1]]
    return joined([first, strip], 0)


def layouts(synthesizers: Sequence[Synthesizer]) -> Picture:
    """Six seeds of each photograph at 16 : 9, a row each."""
    rows = [
        [one.thumbnail(seed, width=1920, height=1080, size=270) for seed in SEEDS] for one in synthesizers
    ]
    return joined([joined(row, 1) for row in rows], 0)


def faults(synthesizers: Sequence[Synthesizer]) -> Picture:
    """What is wrong with some of them, at 100 %."""
    crops = [
        synthesizers[index].canvas(1920, 1080, seed)[y : y + 300, x : x + 400]
        for index, seed, y, x in FAULTS
        if index < len(synthesizers)
    ]
    return joined(crops, 1)


def retargeted(photo: Path, synthesizer: Synthesizer) -> Picture:
    """The photograph, and itself at 3 : 1 and at 1 : 2."""
    layout, height = Layout(retarget=True), 420
    own = Image.open(photo).convert("RGB")
    own = own.resize((round(own.width * height / own.height), height), Image.Resampling.LANCZOS)
    others = [synthesizer.render(width, height, layout=layout) for width in (3 * height, height // 2)]
    return joined([np.asarray(own), *others], 1)


def joined(pictures: Sequence[Picture], axis: int) -> Picture:
    """Side by side (1) or one below the other (0), with white between."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis)


if __name__ == "__main__":
    main()
