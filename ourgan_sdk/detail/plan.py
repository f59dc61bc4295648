"""At which scale a picture's detail is made, and at which levels it is searched and gathered."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import SizeError

__all__ = [
    "EXTENTS",
    "DetailPlan",
    "check_passes",
    "check_structure",
    "check_wrap",
    "halved_size",
    "plan_detail",
]

EXTENTS = (0.25, 1024.0)
"""The least and the most photographs that a canvas may be wide; callers see to it."""

COARSEST = 64
"""Pixels of the photograph's long side at the coarsest level, in ratio as near as halving comes to it: at 128
a picture becomes a mosaic, at 32 a copy of large parts."""

SEARCHED = 512
"""And at the last level that is searched: above it a search changes nothing that is seen."""

MOST_ENLARGED = 1.5
"""How far the photograph's own pixels are enlarged; beyond it a network is better."""

WIDEST = 2.0
"""Photographs that a canvas is wide at most where nobody says."""

_SHORTEST = 8
"""Pixels of the photograph's short side at the coarsest level: those of a patch."""

_LARGEST_COARSEST = 4 * COARSEST
"""Pixels of its long side there at most: the level is searched whole."""

_LEAST_SCALE = 8
"""Pixels of the photograph's long side in a canvas, at least: those of a patch. Of small canvases with large
extents the extent is less than was asked for."""

_LARGEST_STRUCTURE = 1 << 22
"""Pixels; a network makes it whole, in some kilobytes of memory per pixel."""

_LONGEST_STRUCTURE = 1 << 16
"""Pixels of a side: places in a structure of patches are counted in 16 bits."""

_SCALE = 4
"""Of a pass."""

_MOST_LENGTHS = 1024
"""Tried in search of one that wraps: more than any two that do are apart."""

Size = tuple[int, int]


@dataclass(frozen=True)
class DetailPlan:
    """The way from a structure to a picture of detail, and the number of x4 `passes` behind it.

    Sizes are (height, width), coarsest first, of the picture's levels and of the photograph's; each picture
    is half as large as the next one, rounded up, and each photograph exactly half. A field is searched at the
    first `searched` levels. `extent` says how many photographs wide the canvas is: long side / scale.
    """

    picture: tuple[Size, ...]
    photograph: tuple[Size, ...]
    searched: int
    passes: int
    extent: float

    @property
    def size(self) -> Size:
        """(height, width) of the finest level."""
        return self.picture[-1]

    @property
    def halvings(self) -> list[int]:
        """How often the canvas is halved on the way to each of its levels, finest first: of a pass, twice."""
        behind = 2 * self.passes
        return [*range(0, behind, 2), *range(behind, behind + len(self.picture))]

    def halved(self, canvas: Size, halvings: int, native: int) -> "DetailPlan":
        """The same picture at another size: its `canvas`, (height, width), halved so often.

        That is one of `halvings`, whose finer levels or passes are left out, or less than 0: so many times
        doubled, with finer levels up to 1.5 times the photograph's `native` long side, and passes beyond.
        """
        passes, coarsest = max(0, self.passes - max(0, halvings + 1) // 2), max(self.photograph[0])
        count = len(self.picture) - 1 + 2 * (self.passes - passes) - halvings  # from the finest level down
        while count > len(self.picture) - 1 and coarsest << count > MOST_ENLARGED * native:
            passes, count = passes + 1, count - 2
        height, width = self.photograph[0]
        photographs = tuple((height << doubling, width << doubling) for doubling in range(count + 1))
        first = halvings + 2 * passes
        pictures = tuple(halved_size(canvas, first + count - doubling) for doubling in range(count + 1))
        return DetailPlan(pictures, photographs, _searched(photographs), passes, self.extent)

    def structure_size(self, trained_long: int) -> Size:
        """(height, width) of a structure whose photograph had a long side of `trained_long` pixels."""
        height, width = self.picture[0]
        long = max(self.photograph[0])
        return max(1, round(height * trained_long / long)), max(1, round(width * trained_long / long))


def plan_detail(photograph: Size, size: Size, extent: float | None = None) -> DetailPlan:
    """How a picture of `size` is made of a `photograph`, both (height, width).

    Without an `extent`, the picture is as wide as one photograph where the photograph has the pixels, up to
    two where that avoids enlarging it, and its photograph is enlarged up to 1.5 times; beyond that it is made
    at a quarter of its size, again by this rule, and a pass enlarges it.

    Raises SizeError for a photograph that is too elongated.
    """
    native, passes, (height, width) = max(photograph), 0, size
    while max(height, width) > MOST_ENLARGED * native * (WIDEST if extent is None else extent):
        passes += 1
        height, width = -(-size[0] // _SCALE**passes), -(-size[1] // _SCALE**passes)
    long = max(height, width)
    if extent is None:
        extent = min(max(long / native, 1.0), WIDEST)
    scale = max(_LEAST_SCALE, round(long / extent))
    halvings = _halvings(scale, scale * min(photograph) / native)
    pictures = [(-(-height >> halving), -(-width >> halving)) for halving in range(halvings, -1, -1)]
    photographs = _photograph_sizes(photograph, scale, halvings)
    if max(photographs[0]) > _LARGEST_COARSEST:
        raise SizeError(
            f"a photograph of {photograph[1]} x {photograph[0]} is too elongated to take detail from: "
            "use detail='network' (--detail network), or learn a part of it"
        )
    return DetailPlan(tuple(pictures), photographs, _searched(photographs), passes, long / scale)


def halved_size(size: Size, halvings: int) -> Size:
    """(height, width), halved so often and rounded up; doubled, if that is less than 0."""
    height, width = (-(-side >> halvings) if halvings >= 0 else side << -halvings for side in size)
    return height, width


def _searched(photographs: Sequence[Size]) -> int:
    """At how many levels of these sizes of the photograph a field is searched."""
    return max(1, sum(max(one) <= SEARCHED * math.sqrt(2) for one in photographs))


def check_structure(size: Size, extent: float | None = None) -> None:
    """Raise SizeError if a structure of `size`, (height, width), is more than can be made whole.

    `extent`: of the picture that needs it, if it is for one.
    """
    if math.prod(size) > _LARGEST_STRUCTURE or max(size) > _LONGEST_STRUCTURE:
        whose = "" if extent is None else f"a picture {extent:.4g} photographs wide needs "
        raise SizeError(
            f"{whose}a structure of {size[1]} x {size[0]} pixels, more than can be made whole, which are "
            f"{_LARGEST_STRUCTURE}, and {_LONGEST_STRUCTURE} a side: "
            f"give a smaller {'size' if extent is None else 'extent'}"
        )


def check_passes(plan: DetailPlan, wrap: tuple[bool, bool]) -> None:
    """Raise SizeError if a picture that is to wrap along y or x has passes, whose tiles do not."""
    if any(wrap) and plan.passes:
        raise SizeError(
            f"a picture that is {plan.extent:.4g} photographs wide cannot wrap where networks enlarge it: "
            "give a larger extent or a smaller size"
        )


def check_wrap(photograph: Size, size: Size, extent: float | None, wrap: tuple[bool, bool]) -> None:
    """Raise SizeError if a picture of `size` cannot wrap along y or x: sides have to halve at every level.

    Arguments as for `plan_detail`; the error names the nearest lengths that will do.
    """
    plan = plan_detail(photograph, size, extent)
    check_passes(plan, wrap)
    for axis, name in enumerate(("height", "width")):
        if wrap[axis] and not _wraps(plan, axis):
            nearest = [_nearest(photograph, size, extent, axis, step) for step in (-1, 1)]
            lengths = " or ".join(str(length) for length in nearest if length is not None)
            raise SizeError(
                f"a side that wraps has to halve {len(plan.picture) - 1} times here: "
                f"give a {name} of {lengths} in place of {size[axis]}"
            )


def _wraps(plan: DetailPlan, axis: int) -> bool:
    return plan.passes == 0 and plan.size[axis] % (1 << (len(plan.picture) - 1)) == 0


def _nearest(photograph: Size, size: Size, extent: float | None, axis: int, direction: int) -> int | None:
    """The nearest shorter or longer length that wraps; the number of halvings depends on it as well."""
    length = size[axis]
    for _ in range(_MOST_LENGTHS):
        length += direction
        if length < 1:
            return None
        other = (length, size[1]) if axis == 0 else (size[0], length)
        if _wraps(plan_detail(photograph, other, extent), axis):
            return length
    return None


def _halvings(long: int, short: float) -> int:
    """How often sides are halved on the way to the coarsest level."""
    wanted = 0
    while long * long > 2 * (COARSEST << wanted) ** 2:
        wanted += 1
    while wanted and short < _SHORTEST << wanted:
        wanted -= 1
    return wanted


def _photograph_sizes(photograph: Size, scale: int, halvings: int) -> tuple[Size, ...]:
    """The photograph's levels: the coarsest rounded to whole pixels, so that each doubles exactly."""
    coarsest = scale / 2**halvings
    height, width = (max(8, round(side * coarsest / max(photograph))) for side in photograph)
    return tuple((height << halving, width << halving) for halving in range(halvings + 1))
