"""What is asked of a picture's layout."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np

from ..sizes import check_number
from .start import StartPicture

__all__ = ["VARIETY", "VERTICAL", "Axes", "Layout"]

Axes = Literal["x", "y", "both"]
"""x: along rows, so it is the left and the right side that are meant."""

VARIETY = (0.0, 1.0)
VERTICAL = (0.0, 4.0)


@dataclass(frozen=True)
class Layout:
    """What is asked of a picture's layout; all but `symmetric` is for structures of patches.

    Raises ValueError or TypeError if a value is not allowed.
    """

    variety: float | None = None
    """From 0, close to the photograph and with large parts of it, to 1, wild; by default 0.5, or 0 for the
    photograph's own layout. Of any structure that starts from a picture: how far seeds move parts of that."""

    vertical: float | None = None
    """How much up and down matter: at 1 sky stays above ground, at 0 a patch may lie anywhere, as in
    textures; up to 4. By default 1, or 0 where the top continues the bottom."""

    tileable: Axes | None = None
    """Which opposite sides continue each other."""

    symmetric: Axes | None = None
    """Along which axes the second half mirrors the first."""

    retarget: bool = False
    """Whether it is the photograph's own layout, rebuilt at the picture's size and aspect."""

    start: StartPicture | None = None
    """What its coarse scales are given: the finer ones alone are new. Any structure can start so."""

    def __post_init__(self) -> None:
        if self.variety is not None:
            check_number("variety", self.variety, *VARIETY)
        if self.vertical is not None:
            check_number("vertical", self.vertical, *VERTICAL)
        for name in ("tileable", "symmetric"):
            value = getattr(self, name)
            if value is not None and value not in get_args(Axes):
                raise ValueError(f"expected {name} to be x, y, both or None, got {value!r}")
        if not isinstance(self.retarget, (bool, np.bool_)):
            raise TypeError(f"expected retarget to be True or False, got {self.retarget!r}")
        if self.retarget and self.start is not None:
            raise ValueError(
                "the photograph's own layout starts from the photograph: give either retarget or start"
            )
        if self.tileable and (self.retarget or self.start is not None):
            raise ValueError(
                "a picture that starts from another, or has the photograph's own layout, has borders of its "
                "own: give no tileable with it"
            )

    @property
    def wrap(self) -> tuple[bool, bool]:
        """Whether the structure wraps along y and along x: a side that is mirrored continues itself."""
        return self._wraps("y"), self._wraps("x")

    @property
    def mirror(self) -> tuple[bool, bool]:
        """Whether the picture is mirrored along y and along x."""
        return self.symmetric in ("y", "both"), self.symmetric in ("x", "both")

    @property
    def wildness(self) -> float:
        """The variety, decided."""
        if self.variety is not None:
            return self.variety
        return 0.0 if self.retarget else 0.5

    @property
    def rows(self) -> float:
        """How much up and down matter, decided."""
        if self.vertical is not None:
            return self.vertical
        return 0.0 if self.tileable in ("y", "both") else 1.0

    @property
    def of_patches(self) -> list[str]:
        """The names of what is asked for that a structure of patches alone can do."""
        asked = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        others = ("symmetric", "start") if self.start is None else ("symmetric", "start", "variety")
        return [name for name in asked if name not in others]

    def _wraps(self, axis: str) -> bool:
        return self.tileable in (axis, "both") and self.symmetric not in (axis, "both")
