"""A picture and its reductions in blocks: which there are, which are made of which, and what each covers.

A block of a level is made of the 2 x 2 blocks below it, as each hands on its half. So the whole is a tree
whose leaves are rendered, each with all that is below it, and a worker holds one block or leaf, and up to
four halves, whatever the picture's size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._core import Box
from ..arrays import Picture

__all__ = ["Block", "Pyramid"]


class Block(NamedTuple):
    """The block in that row and column of a level."""

    level: int
    row: int
    column: int


@dataclass(frozen=True)
class Pyramid:
    """Levels of `sizes` (height, width), finest first, each half the one before, rounded up.

    Their blocks have `side` pixels a side, an even number, so that their halves join. Leaves are the blocks
    of level `leaf`, or the top.
    """

    sizes: Sequence[tuple[int, int]]
    side: int
    leaf: int = 0

    @property
    def top(self) -> int:
        """The first level that is one block: the last task makes it, and what is coarser."""
        return next(level for level, size in enumerate(self.sizes) if max(size) <= self.side)

    def grid(self, level: int) -> tuple[int, int]:
        """(rows, columns) of blocks."""
        height, width = self.sizes[level]
        return -(-height // self.side), -(-width // self.side)

    @property
    def blocks(self) -> int:
        """How many there are, from the leaves up to the top: each is a task."""
        return sum(rows * columns for rows, columns in map(self.grid, range(self._leaf, self.top + 1)))

    @property
    def _leaf(self) -> int:
        return min(self.leaf, self.top)

    def is_leaf(self, block: Block) -> bool:
        """Whether it is rendered, rather than made of others' halves."""
        return block.level == self._leaf

    def leaves(self) -> Iterator[Block]:
        """In an order in which what is made of them can be as soon as possible."""
        left = [Block(self.top, 0, 0)]
        while left:
            block = left.pop()
            if self.is_leaf(block):
                yield block
            else:
                left += reversed(self.parts(block))

    def parts(self, block: Block) -> list[Block]:
        """The 1, 2 or 4 blocks that one of a coarser level is made of, in the order of their rows."""
        rows, columns = self.grid(block.level - 1)
        first, second = 2 * block.row, 2 * block.column
        return [
            Block(block.level - 1, row, column)
            for row in range(first, min(first + 2, rows))
            for column in range(second, min(second + 2, columns))
        ]

    @staticmethod
    def made_of(block: Block) -> Block:
        """What `block` is a part of."""
        return Block(block.level + 1, block.row // 2, block.column // 2)

    def box(self, block: Block) -> Box:
        """What it covers, in pixels of its level."""
        height, width = self.sizes[block.level]
        y, x = block.row * self.side, block.column * self.side
        return Box(y, x, min(height, y + self.side), min(width, x + self.side))

    def below(self, block: Block) -> Box:
        """What it covers of the picture itself, in pixels of level 0."""
        (height, width), box = self.sizes[0], self.box(block)
        y, x = box.y0 << block.level, box.x0 << block.level
        return Box(y, x, min(height, box.y1 << block.level), min(width, box.x1 << block.level))

    def divided(self, block: Block, pixels: Picture, level: int) -> Iterator[tuple[Block, Picture]]:
        """The blocks of a finer level that one covers, of whose place there `pixels` are."""
        rows, columns = (-(-side // self.side) for side in pixels.shape[:2])
        first, second = block.row << block.level - level, block.column << block.level - level
        for row in range(rows):
            for column in range(columns):
                y, x = row * self.side, column * self.side
                part = pixels[y : y + self.side, x : x + self.side]
                yield Block(level, first + row, second + column), part

    def assembled(self, block: Block, halves: Sequence[Picture]) -> Picture:
        """Its pixels (h, w, 3), of the halves of its parts."""
        box = self.box(block)
        picture = np.empty((box.height, box.width, 3), halves[0].dtype)
        for part, half in zip(self.parts(block), halves, strict=True):
            y, x = (part.row % 2) * self.side // 2, (part.column % 2) * self.side // 2
            picture[y : y + half.shape[0], x : x + half.shape[1]] = half
        return picture
