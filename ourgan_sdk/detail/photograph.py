"""A bundle's photograph at the levels that pictures ask for."""

from .._core import PhotographLevels, resample
from .._forks import lock
from .._lazy import lazy
from ..arrays import Picture
from ..bundle import Bundle
from ..errors import BundleError, PhotographError
from ..photograph import decode_photograph
from .plan import DetailPlan

__all__ = ["PhotographSource", "make_levels"]


class PhotographSource:
    """The photograph that `bundle` holds, decoded when it is first needed; several threads may use it.

    The levels of the last scale that was asked for are kept, as canvases of one size share them.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """`threads`: for resizing, 0 for all that the machine has."""
        self._bundle = bundle
        self._threads = threads
        self._lock = lock()
        self._reduced: Picture | None = None
        self._kept: tuple[DetailPlan, PhotographLevels] | None = None

    @lazy
    def _pixels(self) -> Picture:
        """(H, W, 3) uint8; raises BundleError."""
        file, photo = self._bundle.manifest.photo.file, self._bundle.manifest.photo
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
        with self._lock:
            if self._reduced is None or self._reduced.shape[:2] != size:
                self._reduced = resample(self._pixels, *size, threads=self._threads)
            return self._reduced

    def levels(self, plan: DetailPlan) -> PhotographLevels:
        """The photograph at the levels of `plan`; raises BundleError if it is damaged."""
        with self._lock:
            if self._kept is not None:
                known, levels = self._kept
                if (known.photograph, known.searched) == (plan.photograph, plan.searched):
                    return levels
                self._kept = None  # before the new ones are made: both may not fit into memory
            pictures = make_levels(self._pixels, plan, self._threads)
            levels = PhotographLevels(pictures, plan.searched, self._threads)
            self._kept = plan, levels
            return levels


def make_levels(photograph: Picture, plan: DetailPlan, threads: int = 0) -> list[Picture]:
    """The photograph, (H, W, 3) uint8, at every level of `plan`, coarsest first: antialiased halvings."""
    levels = [resample(photograph, *plan.photograph[-1], threads=threads)]
    for size in reversed(plan.photograph[:-1]):
        levels.append(resample(levels[-1], *size, threads=threads))
    return levels[::-1]
