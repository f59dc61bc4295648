"""A bundle's photograph at the levels that pictures ask for."""

import math
from collections.abc import Hashable, Mapping

from .._core import PhotographLevels, resample
from ..arrays import Picture
from ..bundle import Bundle
from ..errors import BundleError, ClosedError, PhotographError
from ..photograph import decode_photograph
from ..stopping import check_stop, locked
from ..system.forks import lock
from .plan import DetailPlan

__all__ = ["PhotographSource", "make_levels"]

_LEVEL_BYTES = 12
"""What all levels take per pixel of the finest: values and keys, and a third of that for the coarser ones."""


class PhotographSource:
    """The photograph that `bundle` holds, decoded when it is first needed; several threads may use it.

    The levels of the last scale that was asked for are kept, as canvases of one size share them.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """`threads`: for resizing, 0 for all that the machine has."""
        self._bundle = bundle
        self._threads = threads
        self._lock = lock()
        self._decoded: Picture | None = None
        self._reduced: Picture | None = None
        self._kept: tuple[DetailPlan, PhotographLevels] | None = None
        self._is_closed = False

    def need(self, plan: DetailPlan) -> Mapping[Hashable, int]:
        """Bytes that the photograph takes, and its levels of that plan, by what they are."""
        photo = self._bundle.photo
        levels = _LEVEL_BYTES * math.prod(plan.photograph[-1])
        return {self: 3 * photo.height * photo.width, (self, plan.photograph): levels}

    @property
    def kept(self) -> Mapping[Hashable, int]:
        """Bytes that it keeps now, by what they are, as `need` names them."""
        decoded, reduced, kept = self._decoded, self._reduced, self._kept  # whatever is at work
        parts: dict[Hashable, int] = {}
        if decoded is not None:
            parts[self] = decoded.nbytes
        if reduced is not None:
            parts[self, "reduced"] = reduced.nbytes
        if kept is not None:
            plan, _ = kept
            parts[self, plan.photograph] = _LEVEL_BYTES * math.prod(plan.photograph[-1])
        return parts

    def close(self) -> None:
        """Let go of all that is kept; whoever asks for more gets a ClosedError."""
        with locked(self._lock):
            self._is_closed = True
            self._decoded = self._reduced = self._kept = None

    def pixels(self) -> Picture:
        """The whole photograph, (H, W, 3) uint8; raises BundleError."""
        with locked(self._lock):
            return self._pixels()

    def _pixels(self) -> Picture:
        """(H, W, 3) uint8, decoded once; raises BundleError."""
        if self._is_closed:
            raise ClosedError(f"the synthesizer of {self._bundle.path} is closed: open another one")
        if self._decoded is None:
            self._decoded = self._decode()
        check_stop()
        return self._decoded

    def _decode(self) -> Picture:
        file, photo = self._bundle.manifest.photograph, self._bundle.photo
        if file is None:
            raise BundleError(
                f"{self._bundle.path}: holds no photograph to take detail from: "
                "use detail='network' (--detail network)"
            )
        try:
            photograph = decode_photograph(self._bundle.read(file), f"{self._bundle.path}: member {file!r}")
        except PhotographError as error:
            raise BundleError(str(error)) from error
        if (photograph.height, photograph.width) != (photo.height, photo.width):
            raise BundleError(
                f"{self._bundle.path}: member {file!r} has {photograph.width} x {photograph.height} pixels, "
                f"the manifest declares {photo.width} x {photo.height}"
            )
        return photograph.pixels

    def reduced(self, size: tuple[int, int]) -> Picture:
        """The photograph at a size (height, width), that asked for last being kept; raises BundleError."""
        with locked(self._lock):
            if self._reduced is None or self._reduced.shape[:2] != size:
                self._reduced = resample(self._pixels(), *size, threads=self._threads)
            return self._reduced

    def levels(self, plan: DetailPlan) -> PhotographLevels:
        """The photograph at the levels of `plan`; raises BundleError if it is damaged."""
        with locked(self._lock):
            if self._kept is not None:
                known, levels = self._kept
                if (known.photograph, known.searched) == (plan.photograph, plan.searched):
                    return levels
                self._kept = None  # before the new ones are made: both may not fit into memory
            pictures = make_levels(self._pixels(), plan, self._threads)
            levels = PhotographLevels(pictures, plan.searched, self._threads)
            self._kept = plan, levels
            return levels


def make_levels(photograph: Picture, plan: DetailPlan, threads: int = 0) -> list[Picture]:
    """The photograph, (H, W, 3) uint8, at every level of `plan`, coarsest first: antialiased halvings."""
    levels = [resample(photograph, *plan.photograph[-1], threads=threads)]
    for size in reversed(plan.photograph[:-1]):
        check_stop()
        levels.append(resample(levels[-1], *size, threads=threads))
    return levels[::-1]
