"""The photograph itself as the picture that passes begin with: what super-resolution enlarges."""

from collections.abc import Generator, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._core import Box
from ..arrays import Picture
from ..progress import RenderStats
from ..structure import Base
from .photograph import PhotographSource
from .picture import Advance

__all__ = ["OriginalPicture"]

_ROWS = 256


class OriginalPicture:
    """A bundle's photograph, (height, width) `size`, as a first picture."""

    between = np.dtype(np.uint16)
    """The type that passes take it in."""

    extent = 1.0
    """How many photographs wide it is."""

    copied_share = None
    """There is no structure that could be of pieces."""

    def __init__(self, source: PhotographSource, size: tuple[int, int]) -> None:
        self.sizes: Sequence[tuple[int, int]] = (size,)
        self._source = source

    def work(self, _level: int, box: Box) -> int:
        """The pixels of `box`."""
        return box.height * box.width

    def need(self, _dtype: np.dtype[Any]) -> tuple[int, Mapping[Hashable, int]]:
        """Bytes that reading it takes, and those of the photograph, which renders share."""
        height, width = self.sizes[0]
        return 4 * _ROWS * width * 6, {self._source: 3 * height * width}

    def close(self) -> None:
        """Nothing is kept."""

    def base(self, _dtype: np.dtype[Any], _stats: RenderStats, _advance: Advance) -> Base:
        """Nothing has to be found."""
        return {}

    def use_base(self, base: Mapping[str, npt.NDArray[Any]]) -> None:
        """Raises ValueError if something was found."""
        if base:
            raise ValueError(f"expected nothing that is found of a photograph, got {', '.join(base)}")

    def bands(
        self, _level: int, box: Box, dtype: np.dtype[Any], _stats: RenderStats, advance: Advance
    ) -> Generator[Picture, None, None]:
        """The pixels of `box`, in bands from top to bottom; raises BundleError for a damaged photograph."""
        pixels = self._source.pixels()
        for y0 in range(box.y0, box.y1, _ROWS):
            band = pixels[y0 : min(y0 + _ROWS, box.y1), box.x0 : box.x1]
            if dtype == np.uint16:
                yield np.asarray(band.astype(np.uint16) * np.uint16(257))
            else:
                yield np.ascontiguousarray(band)
            advance(len(band) * box.width)
