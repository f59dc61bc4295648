"""What is asked of one synthesizer's layouts, checked against what its bundle can do; and what makes them."""

import functools
import hashlib
from dataclasses import asdict, replace
from typing import Any, Literal, SupportsIndex

import numpy as np
import numpy.typing as npt

from .arrays import Picture
from .detail import PhotographSource
from .errors import BundleError
from .mask import Mask
from .passes.networks import Networks
from .progress import RenderStats
from .sizes import check_integer
from .starting import StartingPicture, read_start
from .structure import (
    Draw,
    Layout,
    NetworkSource,
    PatchesSource,
    StartPicture,
    StructureSource,
    level_count,
    read_reconstruction,
    reconstruction_feeds,
)

__all__ = ["ANY_LAYOUT", "Layouts", "StartUse"]

StartUse = Literal["paint", "harmonize", "edit"]
"""What a render from a given picture is for."""

ANY_LAYOUT = Layout()

_START_SCALES: dict[StartUse, tuple[int, int]] = {"paint": (1, 1), "harmonize": (1, 3), "edit": (1, 2)}
"""By use: how many scales below the finest structures of patches start, and at which networks do."""


class Layouts:
    """The layouts of one bundle: by its network, or, with `takes_patches`, of its photograph's patches."""

    def __init__(
        self,
        networks: Networks,
        photograph: PhotographSource,
        *,
        takes_patches: bool,
        takes_detail: bool,
        threads: int,
    ) -> None:
        manifest = networks.bundle.manifest
        self.takes_patches = takes_patches or (manifest.structure is None and manifest.coordinates is None)
        self._takes_detail = takes_detail
        self._networks = networks
        self._bundle = networks.bundle
        self._photograph = photograph
        self._threads = threads

    @property
    def _structure(self) -> Any:
        """The structure network's record, where one makes layouts."""
        return None if self.takes_patches else self._bundle.manifest.structure

    def check_photograph(self, what: str, error: type[Exception] = BundleError) -> None:
        """Raise `error` where structures are of coordinates, of which `what` cannot be made."""
        if self._bundle.manifest.coordinates is not None:
            raise error(
                f"{self._bundle.path}: its structure is of coordinates, learned from many pictures; it takes "
                f"a size, an extent and a seed alone: {what} needs a bundle of one photograph"
            )

    @property
    def start_scales(self) -> int:
        """How many scales structures have; raises BundleError where they are of coordinates."""
        self.check_photograph("a start")
        if self._structure is not None:
            return len(self._structure.scales)
        photo = self._bundle.photo
        return level_count((photo.height, photo.width))

    def default_start_scale(self, use: StartUse) -> int:
        """The first new scale that serves a use best."""
        scales, from_finest, from_coarsest = self.start_scales, *_START_SCALES[use]
        return max(1, scales - from_finest if self.takes_patches else min(scales, from_coarsest))

    def source(self, seed: int, layout: Layout) -> StructureSource:
        """What makes structures of `layout`."""
        if self._structure is not None:
            engine = functools.partial(self._networks.on_cpu, self._structure.file)
            return NetworkSource(self._structure, engine, seed, layout)
        photo = self._bundle.photo
        size = photo.height, photo.width
        return PatchesSource(self._photograph.reduced, size, layout, seed, self._threads)

    def fed(self, draw: Draw) -> NetworkSource:
        """Structures of the network, which is fed with what `draw` draws."""
        engine = functools.partial(self._networks.on_cpu, self._structure.file)
        return NetworkSource(self._structure, engine, draw=draw)

    def photograph(self) -> Picture:
        """The photograph, as far as structures see it: from the bundle, or as its network reconstructs it.

        Raises ValueError where the bundle has neither, BundleError where it is damaged.
        """
        self.check_photograph("this")
        manifest = self._bundle.manifest
        if manifest.photograph is not None:
            return self._photograph.reduced(manifest.base_size)
        structure = manifest.structure
        if structure is None or structure.reconstruction is None:
            raise ValueError(
                f"{self._bundle.path}: holds neither the photograph nor what reconstructs it: give `start`"
            )
        source = NetworkSource(
            structure,
            functools.partial(self._networks.on_cpu, structure.file),
            draw=functools.partial(reconstruction_feeds, read_reconstruction(self._bundle)),
        )
        return source.picture(manifest.base_size, np.dtype(np.uint8), RenderStats())[0]

    def asked(
        self,
        layout: Layout | None,
        start: StartingPicture | None = None,
        scale: SupportsIndex | None = None,
    ) -> Layout:
        """`layout` with what it starts from; raises TypeError, ValueError and PhotographError."""
        if layout is not None and not isinstance(layout, Layout):
            raise TypeError(f"expected an ourgan_sdk.Layout, got {layout!r}")
        layout = ANY_LAYOUT if layout is None else layout
        if layout != ANY_LAYOUT or start is not None or scale is not None:
            self.check_photograph("what is asked of the layout", ValueError)
        if start is not None or scale is not None:
            layout = self._starting(layout, start, scale)
        self._check(layout)
        return layout

    def _starting(self, layout: Layout, start: StartingPicture | None, scale: SupportsIndex | None) -> Layout:
        if layout.start is not None:
            raise ValueError("the layout has a start already: give either that or `start` and `start_scale`")
        if scale is None:
            raise ValueError(f"expected a start_scale from 1 to {self.start_scales} with `start`")
        scale = check_integer("start_scale", scale, self.start_scales)
        pixels = self.photograph() if start is None else read_start(start)
        return replace(layout, start=StartPicture(pixels, scale))

    def _check(self, layout: Layout) -> None:
        if layout.of_patches and not self.takes_patches:
            raise ValueError(
                f"{', '.join(layout.of_patches)}: a structure network cannot do that: "
                "use structure='patches' (--structure patches)"
            )
        if layout.tileable and not self._takes_detail:
            raise ValueError(
                "tileable: networks that make detail cannot do that: use detail='photograph' "
                "(--detail photograph)"
            )
        if layout.start is not None:
            self._check_start(layout.start)

    def _check_start(self, start: StartPicture) -> None:
        scale = check_integer("start_scale", start.scale, self.start_scales)
        structure = self._structure
        if structure is not None and not structure.starts and scale < len(structure.scales):
            raise ValueError(
                f"{self._bundle.path}: its structure network was exported without starts, by an earlier "
                "release or as its kind has no pictures between its stages: use structure='patches' "
                f"(--structure patches), or start at scale {len(structure.scales)}, its last"
            )

    def describe(self, layout: Layout, mask: Mask | None) -> dict[str, object]:
        """What made a structure, and a picture of it, for a file's metadata."""
        if self._bundle.manifest.coordinates is not None:
            return {"structure": "coordinates"}
        start = layout.start
        begun: dict[str, object] = {}
        if start is not None:
            begun = {"start": _digest(start.pixels), "start_scale": start.scale, "variety": layout.wildness}
        if mask is not None:
            begun |= {"mask": _digest(mask.pixels), "grow": mask.grow, "soften": mask.soften}
        if not self.takes_patches:
            return {"structure": "network", "symmetric": layout.symmetric, **begun}
        asked = asdict(replace(layout, start=None))
        given = {name: value for name, value in asked.items() if value not in (None, False)}
        return {"structure": "patches", **given, **begun}


def _digest(pixels: npt.NDArray[Any]) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
