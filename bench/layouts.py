"""What may be asked of a layout, as pictures of one photograph: a labelled sheet.

python -m bench.layouts PHOTO -o layouts.png [--seed 0]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ourgan_sdk import Layout, Synthesizer
from ourgan_sdk.arrays import Picture

WIDTH, HEIGHT = 480, 320
GAP, LABEL = 8, 18

Row = list[tuple[str, Picture]]


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sheet(list(rows(Synthesizer(options.photo), options.seed))).save(options.output)


def rows(synthesizer: Synthesizer, seed: int) -> Iterator[Row]:
    """The sheet's pictures, row by row, each with what it is called."""

    def render(width: int, height: int, number: int = seed, **asked: object) -> Picture:
        return synthesizer.render(width, height, number, layout=Layout(**asked))  # type: ignore[arg-type]

    for name, values, number in (
        ("variety", (0.0, 0.5, 1.0), seed),
        ("variety", (0.0, 0.5, 1.0), seed + 1),
        ("vertical", (0.0, 1.0, 2.0), seed + 2),
    ):
        yield [
            (f"{name} {value:g}, seed {number}", render(WIDTH, HEIGHT, number, **{name: value}))
            for value in values
        ]
    tile = render(256, HEIGHT, tileable="x")
    repeated = np.tile(render(256, 256, tileable="both"), (2, 2, 1))
    yield [
        ("tileable x, three times", np.tile(tile, (1, 3, 1))),
        ("tileable both, four times", repeated[:HEIGHT]),
    ]
    yield [
        ("the photograph's own, at its aspect", render(WIDTH, HEIGHT, retarget=True)),
        ("symmetric x", render(WIDTH, HEIGHT, symmetric="x")),
        ("symmetric both", render(WIDTH, HEIGHT, symmetric="both")),
    ]
    yield [
        ("retarget, 3 : 1", render(3 * HEIGHT, HEIGHT, retarget=True)),
        ("retarget, 1 : 2", render(HEIGHT // 2, HEIGHT, retarget=True)),
    ]


def sheet(pictures: list[Row]) -> Image.Image:
    """All rows, one below the other."""
    width = max(sum(picture.shape[1] + GAP for _, picture in row) for row in pictures) + GAP
    height = sum(max(picture.shape[0] for _, picture in row) + LABEL + GAP for row in pictures) + GAP
    result = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(result)
    y = GAP
    for row in pictures:
        x = GAP
        for label, picture in row:
            draw.text((x, y), label, "black")
            result.paste(Image.fromarray(picture), (x, y + LABEL))
            x += picture.shape[1] + GAP
        y += max(picture.shape[0] for _, picture in row) + LABEL + GAP
    return result


if __name__ == "__main__":
    main()
