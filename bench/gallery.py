"""The pictures of docs/uses.md, and what they are made from, anew.

python -m bench.gallery canyon.jpg mountain.jpg pier.jpg fern.jpg -o docs [--inputs FOLDER]

The four are photographs, in that order. The sample bundle stands for the first; the others are rendered as
they are. --inputs keeps the painting, the composites and their masks.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from bench.pictures import QUALITY, joined
from ourgan_sdk import Layout, Mask, Synthesizer
from ourgan_sdk.arrays import Picture
from ourgan_sdk.layouts import StartUse

CELL = 400
"""Pixels of the long side of what is shown small."""

SIZE = 1920, 1280
"""Of the composites, and of what is rendered of them."""

LARGE = 7680, 4320

Size = tuple[int, int]


@dataclass(frozen=True)
class Paste:
    """An ellipse cut out of one photograph, and where its middle goes in another; in shares of both sizes."""

    onto: int
    source: int
    middle: tuple[float, float]
    radii: tuple[float, float]
    to: tuple[float, float]


HARMONIZED = [
    Paste(onto=0, source=1, middle=(0.48, 0.55), radii=(0.17, 0.17), to=(0.62, 0.62)),
    Paste(onto=1, source=0, middle=(0.62, 0.50), radii=(0.20, 0.20), to=(0.62, 0.18)),
    Paste(onto=3, source=0, middle=(0.55, 0.62), radii=(0.16, 0.18), to=(0.70, 0.25)),
]
EDITED = [
    Paste(onto=1, source=1, middle=(0.47, 0.53), radii=(0.22, 0.17), to=(0.50, 0.18)),
    Paste(onto=0, source=0, middle=(0.32, 0.62), radii=(0.12, 0.16), to=(0.42, 0.25)),
    Paste(onto=3, source=3, middle=(0.35, 0.62), radii=(0.20, 0.22), to=(0.72, 0.25)),
]


USES: tuple[tuple[StartUse, Paste | None, tuple[int, int]], ...] = (
    ("paint", None, (1900, 3300)),
    ("harmonize", HARMONIZED[0], (2400, 4400)),
    ("edit", EDITED[2], (2700, 1000)),
)
"""What is shown at 7680 x 4320, and where at 100 %."""


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs=4, metavar="PHOTO")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    parser.add_argument("--inputs", type=Path, help="a folder for what the pictures are made from")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        inputs = options.inputs or Path(folder)
        inputs.mkdir(exist_ok=True)
        photos = [read(photo) for photo in options.photos]
        synthesizers = [Synthesizer(), *(Synthesizer(photo) for photo in options.photos[1:])]
        for name, picture in (
            ("variations", variations(synthesizers[:2])),
            ("paint", painted(synthesizers, inputs)),
            ("analogy", analogies(synthesizers, photos)),
            ("harmonize", blended(synthesizers, photos, HARMONIZED, "harmonize", inputs)),
            ("edit", blended(synthesizers, photos, EDITED, "edit", inputs)),
            ("8k", large(synthesizers, photos)),
            ("animate", frames([synthesizers[0], synthesizers[3]])),
            ("superres", enlarged(synthesizers[0], photos[0])),
        ):
            Image.fromarray(picture).save(options.output / f"uses-{name}.jpg", quality=QUALITY)


def read(path: Path) -> Picture:
    """A photograph, 8-bit RGB."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def small(picture: Picture, side: int = CELL) -> Picture:
    """With so many pixels on the long side."""
    height, width, _ = picture.shape
    factor = side / max(height, width)
    size = round(width * factor), round(height * factor)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def painting(size: Size = SIZE) -> Picture:
    """Clip art of (width, height) `size`: a sky, two peaks, a meadow."""
    width, height = size
    image = Image.new("RGB", size, (120, 170, 230))
    draw = ImageDraw.Draw(image)
    peaks = [(0, 0.65), (0.2, 0.3), (0.4, 0.62), (0.63, 0.22), (0.87, 0.65), (1, 0.5), (1, 1), (0, 1)]
    meadow = [(0, 0.82), (0.33, 0.75), (0.67, 0.85), (1, 0.78), (1, 1), (0, 1)]
    for outline, color in ((peaks, (150, 90, 60)), (meadow, (90, 110, 50))):
        draw.polygon([(x * width, y * height) for x, y in outline], fill=color)
    return np.asarray(image)


def pasted(
    photos: Sequence[Picture], paste: Paste, size: Size = SIZE
) -> tuple[Picture, npt.NDArray[np.bool_]]:
    """The composite, and its mask, of (width, height) `size`."""
    width, height = size
    source, result = (
        np.array(Image.fromarray(photos[index]).resize(size, Image.Resampling.LANCZOS))
        for index in (paste.source, paste.onto)
    )
    y, x = np.mgrid[:height, :width]
    to_y, to_x = paste.to[0] * height, paste.to[1] * width
    inside = np.hypot((y - to_y) / (paste.radii[0] * height), (x - to_x) / (paste.radii[1] * width))
    mask = inside < 1
    rows = np.clip(y - round(to_y - paste.middle[0] * height), 0, height - 1)[mask]
    columns = np.clip(x - round(to_x - paste.middle[1] * width), 0, width - 1)[mask]
    result[mask] = source[rows, columns]
    return result, mask


def variations(synthesizers: Sequence[Synthesizer]) -> Picture:
    """Two photographs, three seeds each, from the coarsest start and from a finer one."""
    rows = [
        [
            synthesizer.thumbnail(seed, width=SIZE[0], height=SIZE[1], size=CELL, start_scale=scale)
            for scale in (1, 3)
            for seed in (1, 2)
        ]
        for synthesizer in synthesizers
    ]
    return joined([joined(row, 1) for row in rows], 0)


def painted(synthesizers: Sequence[Synthesizer], inputs: Path) -> Picture:
    """Clip art, and what each becomes of it, in its own colours first."""
    art = painting()
    Image.fromarray(art).save(inputs / "painting.png")
    pictures = [small(art)]
    for synthesizer in synthesizers[:3]:
        scale = synthesizer.default_start_scale("paint")
        layout = None if synthesizer.takes_patches else Layout(variety=0.0)
        pictures.append(
            synthesizer.thumbnail(
                *(0,),
                width=SIZE[0],
                height=SIZE[1],
                size=CELL,
                layout=layout,
                start=synthesizer.recolored(art, 5),
                start_scale=scale,
            )
        )
    return joined(pictures, 1)


def analogies(synthesizers: Sequence[Synthesizer], photos: Sequence[Picture]) -> Picture:
    """The layouts of other photographs, and of them the first and the second one's surface."""
    rows = []
    for of, like in ((0, 1), (1, 0)):
        synthesizer, photo = synthesizers[of], photos[like]
        scales = (1, synthesizer.default_start_scale("paint") + 1)
        rows.append(
            joined(
                [
                    small(photo),
                    *(
                        synthesizer.thumbnail(
                            width=SIZE[0],
                            height=SIZE[1],
                            size=CELL,
                            layout=Layout(variety=0.25),
                            start=synthesizer.recolored(small(photo, 960), 8),
                            start_scale=scale,
                        )
                        for scale in scales
                    ),
                ],
                1,
            )
        )
    return joined(rows, 0)


def blended(
    synthesizers: Sequence[Synthesizer],
    photos: Sequence[Picture],
    pastes: Sequence[Paste],
    use: StartUse,
    inputs: Path,
) -> Picture:
    """Composites above what becomes of them, and a part of that at 100 %."""
    columns = []
    for number, paste in enumerate(pastes):
        synthesizer = synthesizers[paste.onto]
        picture, mask = pasted(photos, paste)
        Image.fromarray(picture).save(inputs / f"{use}-{number}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(inputs / f"{use}-{number}-mask.png")
        canvas = synthesizer.canvas(
            *SIZE,
            layout=Layout(variety=0.0),
            start=picture,
            start_scale=synthesizer.default_start_scale(use),
            mask=Mask(mask, grow=7.0 if use == "harmonize" else 20.0),
        )
        whole = canvas.read()
        height, width, _ = small(whole).shape
        y = min(max(0, round(paste.to[0] * SIZE[1] - height / 2)), SIZE[1] - height)
        x = min(max(0, round((paste.to[1] + paste.radii[1]) * SIZE[0] - width / 2)), SIZE[0] - width)
        columns.append(joined([small(picture), small(whole), whole[y : y + height, x : x + width]], 0))
    return joined(columns, 1)


def large(synthesizers: Sequence[Synthesizer], photos: Sequence[Picture]) -> Picture:
    """A painting, a paste and a copy at 7680 x 4320: whole, and a part of each at 100 %."""
    columns = []
    for use, paste, (y, x) in USES:
        synthesizer = synthesizers[paste.onto if paste else 0]
        mask = None
        if paste is None:
            start = synthesizer.recolored(painting(LARGE), 5)
        else:
            start, marked = pasted(photos, paste, LARGE)
            mask = Mask(marked, grow=7.0 if use == "harmonize" else 20.0)
        canvas = synthesizer.canvas(
            *LARGE,
            layout=Layout(variety=0.0),
            start=start,
            start_scale=synthesizer.default_start_scale(use),
            mask=mask,
        )
        whole = canvas.read()
        top = small(whole)
        columns.append(joined([top, whole[y : y + 500, x : x + top.shape[1]]], 0))
    return joined(columns, 1)


def frames(synthesizers: Sequence[Synthesizer]) -> Picture:
    """Some frames of a film of each."""
    rows = []
    for synthesizer in synthesizers:
        film = synthesizer.animation(960, 640, 40, 1)
        shown = [small(frame) for index, frame in enumerate(film) if index in (0, 6, 12, 20)]
        rows.append(joined(shown, 1))
    return joined(rows, 0)


def enlarged(synthesizer: Synthesizer, photo: Picture) -> Picture:
    """A part of the photograph four times larger: by the network, and by a cubic."""
    canvas = synthesizer.super_resolution(4)
    y, x, height, width = 3000, 5200, 400, 600
    part = Image.fromarray(photo[y // 4 : (y + height) // 4, x // 4 : (x + width) // 4])
    cubic = np.asarray(part.resize((width, height), Image.Resampling.BICUBIC))
    return joined([cubic, canvas[y : y + height, x : x + width]], 1)


if __name__ == "__main__":
    main()
