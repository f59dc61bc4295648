"""A network against what the manifest says of it, and against bounds on memory and time."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ...errors import BundleError
from ..manifest import Coordinates, Structure, Upscaler
from ..structure_inputs import scale_sizes, structure_inputs
from .inference import Outline, Size, Work, work
from .parsing import COLORS, NetworkError, parse, serialise

__all__ = ["CheckSizes", "Network", "check_network"]

CheckSizes: TypeAlias = Callable[[Sequence[Size]], None]
"""Raises BundleError if a network must not be run on inputs of such sizes, (height, width) of each."""

_WINDOWS = ((3, 5), (33, 71), (64, 64), (256, 256), (160, 352))
"""What networks in tiles are tried on: low, odd, and of the sizes that `bytes_per_pixel` is measured at."""

_ENLARGED = (1.0, 1.7, 4.0)
"""What structures are tried on, in sizes of the training's."""

_AXES = 2
"""Of the picture's square: y and x."""

_MARGIN = 32
"""Pixels by which a window counts as larger: ends in strips take more for each pixel of low windows."""

_MOST_BYTES_PER_PIXEL = 16
"""Times what is worked out, at most, with `_SPARE_BYTES` more. Runtimes take 1.6 to 2.3 times as much."""
_SPARE_BYTES = 1 << 14

_SPARE_HALO = 8
"""Pixels beyond what reaches an output: of halos rounded up, and of reaches that are not exact."""

_MOST_MULTIPLICATIONS = 1 << 26
"""Of an upscaler, for each input pixel; RRDB-23/64 takes 18 million. Of coordinates, for each pixel."""

_MOST_STRUCTURE_MULTIPLICATIONS = 1 << 23
"""Of a structure, for each pixel; the largest of the presets takes a quarter of a million."""

_STRUCTURE_BYTES = 1 << 12
"""Of a structure, for each pixel; the largest of the presets takes 588."""

_MOST_FOLDED = 2
"""Times the weights that what is computed from them alone takes, at most, with `_SPARE_FOLDED` more: weights
stored in half the bytes take twice as many, and structures cut some of them."""
_SPARE_FOLDED = 16 << 20

_MOST_REMEMBERED = 1024


@dataclass(frozen=True)
class Network:
    """A checked network: the bytes that runtimes get, and the check that has to pass before every size."""

    data: bytes
    check_sizes: CheckSizes


def check_network(
    where: str,
    data: bytes,
    structure: Structure | None,
    upscalers: Sequence[Upscaler],
    coordinates: Coordinates | None = None,
) -> Network:
    """The network in a member of a bundle: its structure, also of coordinates, or one or more upscalers.

    Raises BundleError, beginning with `where`, if it is not what such a network may be, or not as the
    manifest says, and EngineUnavailableError where `onnx` is missing.
    """
    try:
        graph = parse(data)
        outline = Outline.of(graph)
        weights = sum(len(weight.data) for weight in graph.weights.values())
        bounds: list[_Bounds] = [_StructureBounds(outline, weights, structure)] if structure else []
        bounds += [_CoordinatesBounds(outline, weights, coordinates)] if coordinates else []
        bounds += [_UpscalerBounds(outline, weights, upscaler) for upscaler in upscalers]
        for one in bounds:
            one.check_all()
        return Network(serialise(graph), _SizesCheck(where, bounds))
    except NetworkError as error:
        raise BundleError(f"{where}: {error}") from error


@dataclass(frozen=True)
class _Bounds:
    """What a network is held to."""

    outline: Outline
    weights: int

    def check_all(self) -> None:
        """Raise NetworkError unless the network is as the manifest says."""
        raise NotImplementedError

    def check(self, sizes: Sequence[Size]) -> None:
        """Raise NetworkError if inputs of such sizes would take more than they may, or give another size."""
        raise NotImplementedError

    def _expect_inputs(self, channels: Sequence[int]) -> None:
        found = list(self.outline.inputs.values())
        if found != list(channels):
            raise NetworkError(f"expected inputs of {list(channels)} channels, found {found}")
        self._expect_codes({})

    def _expect_codes(self, codes: Mapping[str, tuple[int, ...]]) -> None:
        if self.outline.codes != codes:
            raise NetworkError(
                f"expected codes {dict(codes) or 'none'}, found {dict(self.outline.codes) or 'none'}"
            )

    def _expect_bytes(self, pixel: int, told: int) -> None:
        """Raise NetworkError unless the manifest's bytes_per_pixel are near those of the tensors."""
        most = _MOST_BYTES_PER_PIXEL * pixel + _SPARE_BYTES
        if not pixel <= told <= most:
            raise NetworkError(
                f"the manifest says that it takes {told} bytes_per_pixel; from its tensors, {pixel} to "
                f"{most} can be"
            )

    def _expect_reach(self, done: Work, halo: int, unit: str) -> None:
        """Raise NetworkError if the manifest's halo is larger than what reaches an output."""
        place = done.output.place
        radius = math.ceil(place.radius) if place else 0
        if halo > radius + _SPARE_HALO:
            raise NetworkError(
                f"the manifest says that it needs a halo of {halo}; no more than {radius} {unit} away matter"
            )

    def _expect_place(self, done: Work, scale: int, what: str) -> None:
        """Raise NetworkError unless it makes that part of a picture that it is given, so much larger."""
        place = done.output.place
        if place is None or (place.scale, place.top, place.left, place.spoilt) != (scale, 0, 0, (0, 0)):
            raise NetworkError(f"makes another part of the picture than it is given, {what}")

    def _expect(self, work: Work, what: str, size: Size, memory: int, multiplications: int) -> None:
        """Raise NetworkError unless an output of `size` is made within bounds."""
        expected = (1, COLORS, *size)
        if work.output.shape != expected:
            raise NetworkError(f"makes {work.output.shape} of {what}, expected {expected}")
        if work.peak > memory:
            raise NetworkError(f"takes {work.peak} bytes for {what}, more than the {memory} that it may")
        if work.multiplications > multiplications:
            raise NetworkError(
                f"takes {work.multiplications} multiplications for {what}, more than the {multiplications} "
                "allowed"
            )
        folded = _MOST_FOLDED * self.weights + _SPARE_FOLDED
        if work.folded > folded:
            raise NetworkError(
                f"makes {work.folded} bytes of its weights alone, more than the {folded} allowed"
            )


@dataclass(frozen=True)
class _UpscalerBounds(_Bounds):
    upscaler: Upscaler

    def check_all(self) -> None:
        self._expect_inputs([COLORS])
        for window in _WINDOWS:
            done = self._check(window)
        self._expect_bytes(math.ceil(done.peak / math.prod(window)), self.upscaler.bytes_per_pixel)
        self._expect_reach(done, self.upscaler.halo, "pixels")

    def check(self, sizes: Sequence[Size]) -> None:
        for size in sizes:
            self._check(size)

    def _check(self, window: Size) -> Work:
        height, width = window
        done = work(self.outline, [window], tiled=True)
        area = (height + _MARGIN) * (width + _MARGIN)
        scale = self.upscaler.scale
        memory = area * self.upscaler.bytes_per_pixel
        what = f"a window of {width} x {height}"
        self._expect(done, what, (scale * height, scale * width), memory, area * _MOST_MULTIPLICATIONS)
        self._expect_place(done, scale, what)
        return done


@dataclass(frozen=True)
class _CoordinatesBounds(_Bounds):
    coordinates: Coordinates

    def check_all(self) -> None:
        found = dict(self.outline.inputs)
        if found != {"coordinates": _AXES}:
            raise NetworkError(f"expected an input `coordinates` of {_AXES} channels, found {found}")
        self._expect_codes({"scale": (1,), "latent": (1, self.coordinates.latent)})
        for window in _WINDOWS:
            done = self._check(window)
        pixels = math.prod(window) * self.coordinates.stride**2
        self._expect_bytes(math.ceil(done.peak / pixels), self.coordinates.bytes_per_pixel)
        self._expect_reach(done, self.coordinates.halo, "cells")

    def check(self, sizes: Sequence[Size]) -> None:
        window, *codes = sizes
        if any(codes):  # which have no height and no width
            raise NetworkError(f"expected one window of cells and codes, got sizes {list(sizes)}")
        self._check(window)

    def _check(self, window: Size) -> Work:
        height, width = window
        stride, told = self.coordinates.stride, self.coordinates.bytes_per_pixel
        done = work(self.outline, [window], tiled=True)
        area = (stride * height + _MARGIN) * (stride * width + _MARGIN)
        what = f"a window of {width} x {height} cells"
        size = (stride * height, stride * width)
        self._expect(done, what, size, area * told, area * _MOST_MULTIPLICATIONS)
        self._expect_place(done, stride, what)
        return done


@dataclass(frozen=True)
class _StructureBounds(_Bounds):
    structure: Structure

    def check_all(self) -> None:
        expected = structure_inputs(self.structure)
        self._expect_inputs([one.channels for one in expected])
        if list(self.outline.inputs) != [one.name for one in expected]:
            raise NetworkError(
                f"expected inputs {', '.join(one.name for one in expected)}, "
                f"found {', '.join(self.outline.inputs)}"
            )
        height, width = scale_sizes(self.structure)[-1]
        for factor in _ENLARGED:
            size = max(1, round(factor * height)), max(1, round(factor * width))
            self.check([(one.height, one.width) for one in structure_inputs(self.structure, size)])

    def check(self, sizes: Sequence[Size]) -> None:
        finest, around = len(self.structure.scales) - 1, 2 * self.structure.margin
        height, width = sizes[finest][0] - around, sizes[finest][1] - around
        area = (height + _MARGIN) * (width + _MARGIN)
        self._expect(
            work(self.outline, sizes, tiled=False),
            f"a structure of {width} x {height}",
            (height, width),
            area * _STRUCTURE_BYTES,
            area * _MOST_STRUCTURE_MULTIPLICATIONS,
        )


@dataclass(frozen=True)
class _SizesCheck:
    """Checks sizes once each; called in several threads."""

    where: str
    bounds: Sequence[_Bounds]
    passed: set[tuple[Size, ...]] = field(default_factory=set)

    def __call__(self, sizes: Sequence[Size]) -> None:
        key = tuple(sizes)
        if key in self.passed:
            return
        try:
            for one in self.bounds:
                one.check(sizes)
        except NetworkError as error:
            raise BundleError(f"{self.where}: {error}") from error
        if len(self.passed) >= _MOST_REMEMBERED:
            self.passed.clear()
        self.passed.add(key)
