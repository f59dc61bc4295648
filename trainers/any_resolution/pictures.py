"""A folder of pictures of every size, and the views of them that any-resolution training learns from.

Of a picture counts a square of its shorter side, anywhere along the longer one: the unit square of ``views``.
Views are cut out of the picture as it would be when reduced to a scale, without reducing all of it: Pillow's
Lanczos filter computes the pixels of a box, and reaches beyond it for what they depend on.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ourgan_sdk.bundle import Pictures
from ourgan_sdk.errors import PhotographError
from ourgan_sdk.photograph import read_photograph
from ourgan_sdk.progress import progress_bar
from ourgan_sdk.system.memory import available_memory
from ourgan_sdk.system.processors import available_processors

from ..photo import photographs_below
from .views import Band, Views, draw_places

__all__ = ["PictureFolder", "Views"]

log = logging.getLogger(__name__)

MOST_CACHED = 4 << 30  # bytes of decoded pictures, or a quarter of the memory that is available at the start
PIXEL = 4  # bytes that Pillow has for one
QUIET_SECONDS = 2.0  # of reading a folder, before a bar is shown


@dataclass(frozen=True)
class Entry:
    """One picture that can be used."""

    path: Path
    sha256: str  # of the file
    height: int
    width: int

    @property
    def side(self) -> int:
        """Pixels of the unit square's side."""
        return min(self.height, self.width)


@dataclass(frozen=True)
class Square:
    """A part of a picture, in its pixels: a unit square."""

    top: int
    left: int
    side: int


class PictureFolder:
    """Every readable picture below a folder whose shorter side has at least ``patch`` pixels.

    All are read once at the start, several at a time, so that what cannot be used is named then and not in
    the midst of training. As many as ``cache_bytes`` hold stay decoded; others are read again when drawn.
    ``mirrored``: half of the pictures that are drawn, at random, are mirrored. ``band``: scales that
    :meth:`patches` leaves out.

    Raises:
        PhotographError: there is no such folder, or no picture that can be used.
    """

    def __init__(
        self,
        path: Path,
        patch: int,
        *,
        mirrored: bool = False,
        band: Band | None = None,
        cache_bytes: int | None = None,
        quiet: bool = False,
    ) -> None:
        self.path, self.patch, self.mirrored, self.band = path, patch, mirrored, band
        limit = min(MOST_CACHED, available_memory() // 4) if cache_bytes is None else cache_bytes
        # Apart: large pictures, of which few fit, would drive out all the reduced ones.
        self._reduced, self._pictures = _Cache(limit // 2), _Cache(limit - limit // 2)
        self._threads = ThreadPoolExecutor(available_processors(), thread_name_prefix="pictures")
        # By what they are: under other names, a run that goes on has to see the same pictures.
        entries = self._read_all(photographs_below(path), quiet=quiet)
        self.entries = sorted(entries, key=lambda entry: entry.sha256)
        sides = [entry.side for entry in self.entries]
        self.shortest, self.longest = min(sides), max(sides)
        self._large = [i for i, side in enumerate(sides) if side > patch] or list(range(len(sides)))

    @property
    def count(self) -> int:
        """How many pictures can be used."""
        return len(self.entries)

    @property
    def largest(self) -> int:
        """Shorter side of the largest picture, in pixels: the largest scale that is ever drawn."""
        return self.longest

    @property
    def pictures(self) -> Pictures:
        """What a bundle's manifest says of them."""
        return Pictures(count=self.count, sha256=self.sha256, shortest=self.shortest, longest=self.longest)

    @property
    def sha256(self) -> str:
        """Of the sorted SHA-256 of all files, one a line."""
        lines = "".join(f"{digest}\n" for digest in sorted(entry.sha256 for entry in self.entries))
        return hashlib.sha256(lines.encode()).hexdigest()

    def whole(self, count: int, generator: torch.Generator) -> Views:
        """Views of whole squares, reduced to ``patch`` pixels per side: phase 1.

        ``generator`` is the CPU's; it alone decides what is drawn.
        """
        indices = torch.randint(self.count, (count,), generator=generator).tolist()
        along = torch.rand(count, dtype=torch.float64, generator=generator).tolist()
        pictures = self._threads.map(self._whole, indices, along, self._mirror(count, generator))
        scales = torch.full((count,), float(self.patch), dtype=torch.float64)
        return Views(_as_patches(list(pictures)), torch.zeros(count, 2, dtype=torch.float64), scales)

    def patches(self, count: int, generator: torch.Generator) -> Views:
        """Views of parts at any scale from ``patch`` to the picture's own: phase 2.

        Of pictures that are larger than a patch, as long as there are any: others have one scale only.
        ``generator`` is the CPU's; it alone decides what is drawn.
        """
        drawn = torch.randint(len(self._large), (count,), generator=generator).tolist()
        indices = [self._large[i] for i in drawn]
        along = torch.rand(count, dtype=torch.float64, generator=generator).tolist()
        natives = torch.tensor([self.entries[i].side for i in indices])
        origins, scales = draw_places(natives, self.patch, generator, self.band)
        mirror = self._mirror(count, generator)
        pictures = self._threads.map(self._part, indices, along, origins.tolist(), scales.tolist(), mirror)
        return Views(_as_patches(list(pictures)), origins, scales)

    def _mirror(self, count: int, generator: torch.Generator) -> list[bool]:
        """Which of the next views are mirror images."""
        if not self.mirrored:
            return [False] * count
        return [drawn < 0.5 for drawn in torch.rand(count, generator=generator).tolist()]

    def _whole(self, index: int, along: float, mirror: bool) -> Image.Image:
        """The square at ``along`` in [0, 1) of the way along the longer side, of the reduced picture."""
        entry = self.entries[index]
        reduced = self._reduced.get(entry.path)
        if reduced is None:
            reduced = reduce_whole(self._pictures.get(entry.path) or _read(entry), self.patch)
            self._reduced.put(entry.path, reduced)
        left, top = (int(along * (side - self.patch + 1)) for side in reduced.size)
        return _mirror_if(mirror, reduced.crop((left, top, left + self.patch, top + self.patch)))

    def _part(
        self, index: int, along: float, origin: Sequence[float], scale: float, mirror: bool
    ) -> Image.Image:
        """``patch`` pixels at ``origin`` (y, x) of the unit square, or of its mirror image, at ``scale``."""
        entry = self.entries[index]
        top, left = (int(along * (n - entry.side + 1)) for n in (entry.height, entry.width))
        square = Square(top, left, entry.side)
        y, x = origin
        if mirror:
            x = 1 - self.patch / scale - x
        return _mirror_if(mirror, cut(self._picture(entry), square, (y, x), scale, self.patch))

    def _picture(self, entry: Entry) -> Image.Image:
        """A picture, decoded."""
        picture = self._pictures.get(entry.path)
        if picture is None:
            picture = _read(entry)
            self._pictures.put(entry.path, picture)
        return picture

    def _read_all(self, files: Sequence[Path], *, quiet: bool) -> list[Entry]:
        """What can be used of ``files``; the rest is named in warnings."""
        entries: list[Entry] = []
        with progress_bar(
            len(files), "reading pictures", unit="file", delay=QUIET_SECONDS, silent=quiet
        ) as bar:
            for read in self._threads.map(self._try, files):
                if isinstance(read, PhotographError):
                    log.warning("left out: %s", read)
                else:
                    entries.append(read)
                bar.update()
        if not entries:
            raise PhotographError(
                f"none of the {len(files)} pictures in {self.path} can be used; expected some with at least "
                f"{self.patch} pixels on the shorter side"
            )
        return entries

    def _try(self, path: Path) -> Entry | PhotographError:
        """What is known of a file, whose picture is cached; or why it cannot be used."""
        try:
            photograph = read_photograph(path)
        except PhotographError as error:
            return error
        height, width = photograph.height, photograph.width
        if min(height, width) < self.patch:
            return PhotographError(
                f"{path} has {width} x {height} pixels, fewer than {self.patch} on the shorter side"
            )
        picture = Image.fromarray(photograph.pixels)
        self._reduced.put(path, reduce_whole(picture, self.patch))
        self._pictures.put(path, picture)
        return Entry(path, photograph.sha256, height, width)


def _read(entry: Entry) -> Image.Image:
    """A picture, decoded; raises PhotographError where its file is no longer what it was."""
    photograph = read_photograph(entry.path)
    if photograph.sha256 != entry.sha256:
        raise PhotographError(f"{entry.path} has changed since the folder was read: start a new run")
    return Image.fromarray(photograph.pixels)


def reduce_whole(picture: Image.Image, side: int) -> Image.Image:
    """``picture`` with ``side`` pixels on its shorter side, and as many whole ones as fit on the longer."""
    pixel = min(picture.size) / side
    width, height = (int(n / pixel + 1e-6) for n in picture.size)
    left, top = ((n - count * pixel) / 2 for n, count in zip(picture.size, (width, height), strict=True))
    return _resize(picture, (left, top), pixel, (width, height))


def cut(
    picture: Image.Image, square: Square, origin: Sequence[float], scale: float, patch: int
) -> Image.Image:
    """``patch`` x ``patch`` pixels at ``origin`` (y, x) of a square, were it reduced to ``scale`` pixels."""
    top, left = (
        first + at * square.side for first, at in zip((square.top, square.left), origin, strict=True)
    )
    return _resize(picture, (left, top), square.side / scale, (patch, patch))


def _mirror_if(mirror: bool, picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else picture


def _resize(
    picture: Image.Image, corner: tuple[float, float], pixel: float, size: tuple[int, int]
) -> Image.Image:
    """``size`` (width, height) pixels from ``corner`` (x, y) on, each as long as ``pixel`` of the picture."""
    first = [max(0.0, at) for at in corner]  # rounding may lead beyond the picture
    last = [min(at + n * pixel, end) for at, n, end in zip(corner, size, picture.size, strict=True)]
    return picture.resize(size, Image.Resampling.LANCZOS, box=(first[0], first[1], last[0], last[1]))


class _Cache:
    """Pictures within a limit of bytes, the least recently used leaving first; for several threads.

    Keys are the pictures' files.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._pictures: OrderedDict[Path, Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Path) -> Image.Image | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def put(self, key: Path, picture: Image.Image) -> None:
        with self._lock:
            replaced = self._pictures.pop(key, None)
            self.bytes += _bytes(picture) - (_bytes(replaced) if replaced else 0)
            self._pictures[key] = picture
            while self.bytes > self.limit:
                _, oldest = self._pictures.popitem(last=False)
                self.bytes -= _bytes(oldest)


def _bytes(picture: Image.Image) -> int:
    return PIXEL * picture.width * picture.height


def _as_patches(pictures: Sequence[Image.Image]) -> Tensor:
    """(N, 3, p, p) float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.stack([np.asarray(one) for one in pictures]))
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
