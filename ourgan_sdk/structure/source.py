"""What makes structures, as the rest of the package sees it, and a structure as a picture to begin with."""

from collections.abc import Callable, Generator, Hashable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .._core import Box, Composition
from ..arrays import Picture
from ..progress import RenderStats

__all__ = ["Base", "Report", "Start", "StructurePicture", "StructureSource", "read_share", "share_array"]

Base = dict[str, npt.NDArray[Any]]
"""What of a picture has to be found in the whole, by names."""

Start = Picture | Composition
"""What a search for detail starts from: a structure, uint16 (h, w, 3), or one whose field is known."""

Report = Callable[[float], object]
"""Is told the share of the work that is done; what it raises ends the work."""


class StructureSource(Protocol):
    """Makes the structure of one seed, at any size, and adds what that took to the numbers.

    What `cancel` and `timeout` raise, and `report`, ends the work.
    """

    long_side: int
    """Pixels of a structure that shows one photograph."""

    work_per_pixel: int
    """What a pixel of a structure takes, in pixels of detail gathered and written; about."""

    bytes_per_pixel: int
    """Of memory, while it is made; about."""

    def picture(
        self, size: tuple[int, int], dtype: np.dtype[Any], stats: RenderStats
    ) -> tuple[Picture, float | None]:
        """The structure itself, `size` (height, width) and 3, uint8, uint16 or float32 in [0, 1].

        And the share of it that is one piece of the photograph, where it is made of pieces.
        """

    def start(self, size: tuple[int, int], stats: RenderStats, report: Report) -> Start:
        """What detail starts from, about as large as `size` (height, width)."""


class StructurePicture:
    """The structure of one picture as its first: whole, (height, width) `size`, made when it is read.

    The picture made last is kept: it is small.
    """

    between = np.dtype(np.float32)
    """Passes take it as a network gives it."""

    def __init__(self, source: StructureSource, size: tuple[int, int]) -> None:
        self.sizes = (size,)
        self.copied_share: float | None = None
        self._source = source
        self._kept: tuple[np.dtype[Any], Picture] | None = None

    @property
    def extent(self) -> float:
        """How many photographs wide (by the long sides) the picture is."""
        return max(self.sizes[0]) / self._source.long_side

    def work(self, _level: int, _box: Box) -> int:
        """The pixels of the whole: it is not made in parts."""
        height, width = self.sizes[0]
        return height * width

    def need(self, _dtype: np.dtype[Any]) -> tuple[int, Mapping[Hashable, int]]:
        """Bytes that making it takes; nothing is shared."""
        height, width = self.sizes[0]
        return height * width * self._source.bytes_per_pixel, {}

    def close(self) -> None:
        """Let go of the picture that is kept."""
        self._kept = None

    def base(self, dtype: np.dtype[Any], stats: RenderStats, advance: Callable[[int], object]) -> Base:
        """The structure itself, (h, w, 3) of `dtype`, little-endian, made if it is not kept; and `copied`.

        That is the `copied_share`, float64 (1,), or (0,) where there is none. Raises what the source raises.
        """
        picture = self._made(dtype, stats)
        advance(self.work(0, Box(0, 0, 0, 0)))
        little = picture.astype(picture.dtype.newbyteorder("<"), copy=False)
        return {"structure": little, "copied": share_array(self.copied_share)}

    def use_base(self, base: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what the same picture's `base` has made elsewhere; raises ValueError if it is none such."""
        copied = read_share(base, "structure")
        picture = base["structure"]
        dtype = picture.dtype.newbyteorder("=")
        shape = *self.sizes[0], 3
        if picture.shape != shape or dtype not in (np.uint8, np.uint16, np.float32):
            raise ValueError(
                f"expected a structure {shape} of uint8, uint16 or float32, got {picture.shape} {dtype}"
            )
        if dtype == np.float32 and not bool(((picture >= 0) & (picture <= 1)).all()):
            raise ValueError("expected a structure of values from 0 to 1")
        self._kept = dtype, np.array(picture, dtype)
        self.copied_share = copied

    def bands(
        self,
        _level: int,
        box: Box,
        dtype: np.dtype[Any],
        stats: RenderStats,
        advance: Callable[[int], object],
    ) -> Generator[Picture, None, None]:
        """The pixels of `box`, as one band; raises what the source raises."""
        picture = self._made(dtype, stats)
        advance(self.work(0, box))
        yield picture[box.y0 : box.y1, box.x0 : box.x1]

    def _made(self, dtype: np.dtype[Any], stats: RenderStats) -> Picture:
        kept = self._kept
        if kept is None or kept[0] != dtype:
            picture, self.copied_share = self._source.picture(self.sizes[0], dtype, stats)
            kept = self._kept = dtype, picture
        return kept[1]


def share_array(share: float | None) -> npt.NDArray[np.float64]:
    """A share that may be unknown, as an array: of one number, or none."""
    return np.array([] if share is None else [share], "<f8")


def read_share(base: Mapping[str, npt.NDArray[Any]], *names: str) -> float | None:
    """The share in `base["copied"]`, as `share_array` has made it; `names` are what else is to be there.

    Raises ValueError unless it is a share, and there are arrays of all these names and no others.
    """
    if sorted(base) != sorted((*names, "copied")) or not all(
        isinstance(a, np.ndarray) for a in base.values()
    ):
        raise ValueError(
            f"expected arrays of the names {', '.join((*names, 'copied'))}, got {', '.join(base)}"
        )
    copied = base["copied"]
    if (
        copied.shape not in ((0,), (1,))
        or copied.dtype != "<f8"
        or not bool(((copied >= 0) & (copied <= 1)).all())
    ):
        raise ValueError("expected `copied` to be a share, float64 (1,), or nothing, (0,)")
    return float(copied[0]) if len(copied) else None
