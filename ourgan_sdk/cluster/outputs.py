"""What a cluster writes, OME-Zarr or Deep Zoom: begun by who asks for it, filled by workers, in blocks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..arrays import Picture
from ..system.lazy import lazy
from ..system.vips import import_vips
from ..writers.base import Properties
from ..writers.deep_zoom import (
    TILE,
    atomic_deep_zoom,
    begin_deep_zoom,
    deep_zoom_sizes,
    encoded_tile,
    tile_file,
)
from ..writers.ome_zarr import (
    SHARD,
    ZarrLevel,
    atomic_zarr,
    encoded_shard,
    import_codecs,
    write_metadata,
    zarr_layout,
)
from .pyramid import Block, Pyramid

__all__ = ["DeepZoom", "Output", "Zarr"]


@dataclass(frozen=True)
class Output(ABC):
    """The files of a picture of such properties, in a folder that its workers see."""

    properties: Properties
    leaf: int = 0
    """The level whose blocks are rendered as one, with all that is below them."""

    SIDE: ClassVar[int]
    """Of a block, in pixels."""

    @staticmethod
    @abstractmethod
    def atomic(path: Path) -> AbstractContextManager[Path]:
        """Yield a name in a temporary folder for what is written, which takes the name `path` when whole."""

    @staticmethod
    @abstractmethod
    def check() -> None:
        """Raise OutputError where what encodes it is not installed."""

    @lazy
    def pyramid(self) -> Pyramid:
        """Its levels, and their blocks."""
        return Pyramid(self._sizes(), self.SIDE, self.leaf)

    @abstractmethod
    def _sizes(self) -> list[tuple[int, int]]: ...

    @abstractmethod
    def begin(self, name: Path) -> None:
        """Make all folders, and the files that hold no pixels."""

    @abstractmethod
    def files(self, name: str, block: Block, pixels: Picture) -> Iterator[tuple[str, bytes]]:
        """Those of a block that shows `pixels`: their paths, beside the output's `name`, and contents."""


class Zarr(Output):
    """A file for every shard, which is a block."""

    SIDE = SHARD

    @staticmethod
    def atomic(path: Path) -> AbstractContextManager[Path]:
        """As its writer's."""
        return atomic_zarr(path)

    @staticmethod
    def check() -> None:
        """Raise OutputError where the `zarr` library is missing."""
        import_codecs()

    @lazy
    def _levels(self) -> list[ZarrLevel]:
        return zarr_layout(self.properties.height, self.properties.width)

    def _sizes(self) -> list[tuple[int, int]]:
        return [(level.height, level.width) for level in self._levels]

    def begin(self, name: Path) -> None:
        """Make the group, without a shard, and the folders of these."""
        write_metadata(name, self.properties)
        for level in self._levels:
            for row in range(level.shards[0]):
                (name / level.file(row, 0)).parent.mkdir(parents=True)

    def files(self, name: str, block: Block, pixels: Picture) -> Iterator[tuple[str, bytes]]:
        """The shard."""
        file = self._levels[block.level].file(block.row, block.column)
        yield f"{name}/{file}", encoded_shard(pixels)


class DeepZoom(Output):
    """A file for every tile; 8 x 8 of them are a block."""

    SIDE = 8 * TILE

    @staticmethod
    def atomic(path: Path) -> AbstractContextManager[Path]:
        """As its writer's."""
        return atomic_deep_zoom(path)

    @staticmethod
    def check() -> None:
        """Raise OutputError where libvips is missing."""
        import_vips()

    def _sizes(self) -> list[tuple[int, int]]:
        return deep_zoom_sizes(self.properties.height, self.properties.width)

    def begin(self, name: Path) -> None:
        """Make the description of the picture, and a folder for every level."""
        begin_deep_zoom(name, self.properties)

    def files(self, name: str, block: Block, pixels: Picture) -> Iterator[tuple[str, bytes]]:
        """The tiles."""
        box = self.pyramid.box(block)
        for y in range(0, box.height, TILE):
            for x in range(0, box.width, TILE):
                row, column = (box.y0 + y) // TILE, (box.x0 + x) // TILE
                file = tile_file(self.properties, block.level, row, column)
                data = encoded_tile(pixels[y : y + TILE, x : x + TILE], self.properties.quality)
                yield f"{name}_files/{file}", data
