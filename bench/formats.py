"""What writing a picture takes in each format: seconds of a processor, and bytes.

python -m bench.formats PHOTO [--size 4096x2730]
"""

import argparse
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ourgan_sdk import Synthesizer, open_writer
from ourgan_sdk.arrays import Picture
from ourgan_sdk.sizes import parse_size

BAND = 256
FORMATS = [
    ("a.png", 95),
    ("a.tif", 95),
    ("a.jpg", 95),
    ("a.webp", 95),
    ("lossless.webp", 100),
    ("a.dzi", 95),
    ("a.npy", 95),
]
"""Names, and the quality asked for."""


def main() -> None:
    """Render one picture, write it in all formats, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--size", type=parse_size, default=(4096, 2730))
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    picture = Synthesizer(options.photo).render(*options.size)
    print("| format | megapixels per second of one processor | bytes per pixel |\n|---|---|---|")
    for name, quality in FORMATS:
        print(row(picture, name, quality, options.repetitions), flush=True)


def row(picture: Picture, name: str, quality: int, repetitions: int) -> str:
    """The table's line of one format; the median of the repetitions."""
    height, width, _ = picture.shape
    seconds, size = [], 0
    for _ in range(repetitions):
        with TemporaryDirectory() as folder:
            started = time.process_time()  # of all threads
            with open_writer(Path(folder) / name, width, height, quality=quality) as writer:
                for y in range(0, height, BAND):
                    writer.write(picture[y : y + BAND])
            seconds.append(time.process_time() - started)
            size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    pixels = height * width
    title = name if name.startswith("lossless") else Path(name).suffix
    return f"| {title} | {pixels / 1e6 / median(seconds):.0f} | {size / pixels:.2f} |"


if __name__ == "__main__":
    main()
