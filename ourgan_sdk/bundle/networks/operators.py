"""The operators that a network may have, with which attributes and inputs, and what shapes come of them.

A table, so that what is not in it does not run. Upscalers and networks of coordinates are computed in tiles:
what they do to pictures has to be the same wherever a pixel lies, and to heed its neighbourhood alone. Their
operators therefore keep pictures in place (`values.Place`); structures, which are computed whole, may do
more, and so may be done to codes, which lie nowhere.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .parsing import FLOAT, FLOAT16, INT64, Attribute, NetworkError, Node
from .values import MOST_NUMBERS, Origin, Place, Value

__all__ = ["OPERATORS", "Call", "apply"]

Ints: TypeAlias = tuple[int, ...]
Numbers: TypeAlias = npt.NDArray[Any]
Check: TypeAlias = Callable[[Attribute], bool]

_ORIGINS = (Origin.PICTURE, Origin.SIZES, Origin.CODE, Origin.WEIGHTS)
_LARGEST_AXIS = 1 << 31
_MOST_PADDING = 64
_MOST_AXES = 5


@dataclass(frozen=True)
class Call:
    """A node with what is known of its inputs; None for those left out.

    `tiled`: in an upscaler, or of coordinates.
    """

    node: Node
    inputs: Sequence[Value | None]
    tiled: bool

    def __getitem__(self, index: int) -> Value:
        """An input that has to be there."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise NetworkError(f"has no input {index}")
        return value

    def has(self, index: int) -> bool:
        """Whether an input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def numbers(self, index: int) -> Numbers:
        """The numbers of an input, which have to be known."""
        found = self[index].numbers
        if found is None:
            raise NetworkError(f"input {index} depends on pixels, or is too long for a list of sizes")
        return found

    def ints(self, index: int) -> list[int]:
        """The integers of an input, which have to be known."""
        if self[index].dtype != INT64:
            raise NetworkError(f"expected int64 for input {index}, found {self[index]}")
        return [int(number) for number in self.numbers(index).ravel()]

    def integer(self, name: str, default: int) -> int:
        """An attribute."""
        value = self.node.attributes.get(name, default)
        assert isinstance(value, int)  # noqa: S101 - the table says so
        return value

    def integers(self, name: str, default: Sequence[int]) -> list[int]:
        """An attribute."""
        value = self.node.attributes.get(name, tuple(default))
        assert isinstance(value, tuple)  # noqa: S101 - the table says so
        return list(value)

    @property
    def present(self) -> list[Value]:
        """The inputs that are there."""
        return [value for value in self.inputs if value is not None]

    @property
    def origin(self) -> Origin:
        """Of the output: a picture if any input is one; what depends on sizes otherwise."""
        origins = {value.origin for value in self.present}
        return next(one for one in _ORIGINS if one in origins)


@dataclass(frozen=True)
class Operator:
    """A kind of node: how many inputs it takes, what its attributes may be, and what it gives.

    `work` is what an element of the output takes, in multiplications, beside what `result` tells.
    `on_pictures`: whether it may be applied to pictures in an upscaler.
    """

    inputs: tuple[int, int]
    attributes: Mapping[str, Check]
    result: Callable[[Call], Value]
    on_pictures: bool = True
    work: int = 1


def apply(call: Call) -> Value:
    """What a node gives; raises NetworkError if it is not allowed, or not for such inputs."""
    node = call.node
    operator = OPERATORS.get(node.kind)
    if operator is None:
        raise NetworkError("is no operator that networks may have")
    _check_call(call, operator)
    try:
        result = operator.result(call)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise NetworkError(f"does not go with its inputs, {_listed(call)}: {error}") from error
    if node.kind != "Shape":
        result = replace(result, origin=call.origin)
    if call.tiled and result.origin is Origin.SIZES and result.dtype != INT64:
        raise NetworkError("makes values of sizes: tiles would differ from the whole")
    # Of pictures that are lower than the strips are many, some strips are empty when they are cut to size.
    smallest = 0 if node.kind == "Slice" else 1
    if len(result.shape) > _MOST_AXES or not all(smallest <= side <= _LARGEST_AXIS for side in result.shape):
        raise NetworkError(f"gives a tensor of {result.shape}")
    return result


def _check_call(call: Call, operator: Operator) -> None:
    """Raise NetworkError unless the node has the inputs and attributes that its operator may have."""
    node, (low, high) = call.node, operator.inputs
    if not low <= len(node.inputs) <= high:
        raise NetworkError(f"expected {low} to {high} inputs, found {len(node.inputs)}")
    for name, value in node.attributes.items():
        check = operator.attributes.get(name)
        if check is None or not check(value):
            raise NetworkError(f"may not have the attribute {name}={_shown(value)}")
    if call.tiled and not operator.on_pictures and call.origin is Origin.PICTURE:
        raise NetworkError("is not for pictures in an upscaler, whose tiles would differ from the whole")
    if node.kind != "Cast" and any(value.dtype == FLOAT16 for value in call.present):
        raise NetworkError("expected float32: float16 is what weights are stored in, for a Cast to read")
    if node.kind != "Concat" and any(value.size == 0 for value in call.present):
        raise NetworkError("has an empty input")


def _listed(call: Call) -> str:
    return ", ".join(map(str, call.present))[:200]


# Attributes


def _integer(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and low <= value <= high


def _integers(low: int, high: int, *counts: int) -> Check:
    def check(value: Attribute) -> bool:
        return isinstance(value, tuple) and len(value) in counts and all(low <= n <= high for n in value)

    return check


def _number(low: float, high: float) -> Check:
    return lambda value: isinstance(value, float) and low <= value <= high


def _one_of(*texts: str) -> Check:
    return lambda value: value in texts


def _shown(value: Attribute) -> str:
    return repr(value)[:60]


# What operators give


def _same(call: Call) -> Value:
    """A function of every element alone."""
    _expect_float(call, 0)
    return replace(call[0], numbers=None)


def _identity(call: Call) -> Value:
    return call[0]


def _parametric(call: Call) -> Value:
    """PRelu: a slope for each channel."""
    _expect_float(call, 0)
    slope, one = call[1], (_four(call[0])[1], 1, 1)
    if (
        slope.origin is not Origin.WEIGHTS
        or slope.dtype != FLOAT
        or slope.shape not in (one, (1, *one), (1,))
    ):
        raise NetworkError(f"expected a slope for each channel, found {slope}")
    return replace(call[0], numbers=None)


def _clipped(call: Call) -> Value:
    _expect_float(call, 0)
    for bound in call.present[1:]:
        if bound.origin is not Origin.WEIGHTS or bound.shape or bound.dtype != FLOAT:
            raise NetworkError(f"expected a number to clip to, found {bound}")
    return replace(call[0], numbers=None)


def _cast(call: Call) -> Value:
    value = call[0]
    if value.origin is Origin.SIZES and call.tiled:
        raise NetworkError("makes a picture of sizes")
    numbers = None if value.numbers is None else value.numbers.astype(np.float32)
    return replace(value, dtype=FLOAT, numbers=numbers)


def _combined(call: Call) -> Value:
    """Two tensors, element by element; sizes are followed."""
    one, other = call[0], call[1]
    if one.dtype != other.dtype:
        raise NetworkError(f"expected two tensors of a type, found {one} and {other}")
    shape = _broadcast(one.shape, other.shape)
    if one.dtype == INT64:
        return _integers_of(shape, call.origin, _arithmetic(call))
    return Value(FLOAT, shape, call.origin, place=_common_place(call, shape))


def _arithmetic(call: Call) -> Numbers:
    one, other = (call.numbers(index).astype(object) for index in (0, 1))  # Python's integers do not overflow
    kind = call.node.kind
    if kind == "Div":
        if 0 in other:
            raise NetworkError("divides by zero")
        if (one < 0).any() or (other < 0).any():
            raise NetworkError("divides numbers below zero, which is rounded differently here and there")
        result = one // other
    else:
        functions: dict[str, Any] = {
            "Add": np.add,
            "Sub": np.subtract,
            "Mul": np.multiply,
            "Max": np.maximum,
            "Min": np.minimum,
        }
        result = functions[kind](one, other)
    if not (np.abs(result) <= _LARGEST_AXIS).all():
        raise NetworkError("computes a size beyond 2^31")
    return np.asarray(result).astype(np.int64)


def _integers_of(shape: Ints, origin: Origin, numbers: Numbers) -> Value:
    known = math.prod(shape) <= MOST_NUMBERS
    return Value(INT64, shape, origin, numbers.reshape(shape) if known else None)


def _broadcast(one: Ints, other: Ints) -> Ints:
    rank = max(len(one), len(other))
    one, other = ((1,) * (rank - len(shape)) + shape for shape in (one, other))
    if any(a != b and 1 not in (a, b) for a, b in zip(one, other, strict=True)):
        raise NetworkError(f"does not go with tensors of {one} and {other}")
    return tuple(max(pair) for pair in zip(one, other, strict=True))


def _common_place(call: Call, shape: Ints) -> Place | None:
    """Where the result of tensors that are combined element by element lies."""
    pictures = [value for value in call.present if value.place is not None]
    if not pictures:
        return None
    first = pictures[0]
    for value in call.present:
        if value.place is None:
            is_uniform = value.origin in (Origin.WEIGHTS, Origin.CODE) and set(value.shape[-2:]) <= {1}
        else:
            is_uniform = value.shape[2:] == shape[2:] and _aligned(value.place, first.place)
        if not is_uniform:
            raise NetworkError(
                f"combines {first} with {value}, which is not the same at every pixel, or of another place"
            )
    return _widened(pictures)


def _aligned(one: Place | None, other: Place | None) -> bool:
    def key(place: Place | None) -> Ints | None:
        return (place.scale, place.top, place.left) if place else None

    return key(one) == key(other)


def _widened(pictures: Sequence[Value]) -> Place | None:
    """The place of the first, and the radius of all."""
    places = [value.place for value in pictures if value.place is not None]
    if not places:
        return None
    return replace(
        places[0],
        radius=max(place.radius for place in places),
        inside=(any(place.inside[0] for place in places), any(place.inside[1] for place in places)),
        spoilt=(max(place.spoilt[0] for place in places), max(place.spoilt[1] for place in places)),
    )


def _joined(call: Call) -> Value:
    """Concat."""
    first = call[0]
    axis = _axis(call.integer("axis", 0), len(first.shape))
    rest = [value.shape[:axis] + value.shape[axis + 1 :] for value in call.present]
    if (
        len(call.present) < len(call.node.inputs)
        or len({*rest}) > 1
        or len({v.dtype for v in call.present}) > 1
    ):
        raise NetworkError(f"joins what does not go together: {_listed(call)}")
    length = sum(value.shape[axis] for value in call.present)
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    numbers = [value.numbers for value in call.present if value.numbers is not None]
    if first.dtype == INT64:
        if len(numbers) < len(call.present):
            raise NetworkError("joins sizes that are not known")
        return _integers_of(shape, call.origin, np.concatenate(numbers, axis))
    return Value(first.dtype, shape, call.origin, place=_joined_place(call, axis))


def _joined_place(call: Call, axis: int) -> Place | None:
    """Channels are joined in place, rows where one ends and the next begins."""
    if all(value.place is None for value in call.present):
        return None
    top = call[0].place.top if call[0].place else 0
    for value in call.present:
        expected = call[0].place and replace(call[0].place, top=top)
        if value.place is None or axis not in (1, 2) or not _aligned(value.place, expected):
            raise NetworkError("joins parts of a picture that do not continue each other")
        top += value.shape[2] if axis == 2 else 0
    widened = _widened(call.present)
    return _stacked(call, widened) if axis == 2 else widened


def _stacked(call: Call, widened: Place | None) -> Place | None:
    """The place of strips that are joined one below the other; where they meet, no row may be spoilt."""
    places = [value.place for value in call.present if value.place is not None and value.shape[2]]
    if not places or widened is None:
        return widened
    if any(place.spoilt[1] for place in places[:-1]) or any(place.spoilt[0] for place in places[1:]):
        raise NetworkError("joins strips whose ends depend on padding: expected them to overlap by more")
    first, last = places[0], places[-1]
    return replace(
        widened, inside=(first.inside[0], last.inside[1]), spoilt=(first.spoilt[0], last.spoilt[1])
    )


def _convolved(call: Call) -> Value:
    values, weights = call[0], call[1]
    _expect_float(call, 0)
    axes = len(values.shape) - 2
    if axes not in (1, 2) or len(weights.shape) != axes + 2:
        raise NetworkError(f"expected 1 or 2 axes of positions, found {values} and weights {weights}")
    group, kernel = call.integer("group", 1), list(weights.shape[2:])
    filters = weights.shape[0]
    _expect_weights(call, filters)
    if values.shape[1] != weights.shape[1] * group or filters % group or max(kernel) > _LARGEST_KERNEL:
        raise NetworkError(f"does not go with {values} and weights {weights} in {group} groups")
    if call.integers("kernel_shape", kernel) != kernel:
        raise NetworkError(f"says that its kernel is not that of its weights {weights}")
    dilations, pads = call.integers("dilations", [1] * axes), call.integers("pads", [0] * 2 * axes)
    if len(dilations) != axes or len(pads) != 2 * axes or len(call.integers("strides", [1] * axes)) != axes:
        raise NetworkError(f"expected attributes for {axes} axes")
    reach = [dilation * (length - 1) for dilation, length in zip(dilations, kernel, strict=True)]
    before, after = pads[:axes], pads[axes:]
    if any(max(pair) > most for *pair, most in zip(before, after, reach, strict=True)):
        raise NetworkError(f"pads by {pads} what only reaches {reach}")
    sides = [
        side + sum(more) - most
        for side, *more, most in zip(values.shape[2:], before, after, reach, strict=True)
    ]
    shape = (*values.shape[:1], filters, *sides)
    return Value(
        FLOAT, shape, values.origin, None, values.place and _moved(values.place, before, after, reach)
    )


def _moved(place: Place, before: Sequence[int], after: Sequence[int], reach: Sequence[int]) -> Place:
    """Where the result of a convolution lies: an output is over the middle of what it reads."""
    firsts = (place.top, place.left)
    top, left = (first - pad + most // 2 for first, pad, most in zip(firsts, before, reach, strict=True))
    radius = place.radius + (max(reach) + 1) // 2 / place.scale
    return replace(place, top=top, left=left, radius=radius, spoilt=place.widened(before[0], after[0]))


def _spread(call: Call) -> Value:
    """ConvTranspose."""
    values, weights = call[0], call[1]
    _expect_float(call, 0)
    if len(values.shape) != 4 or len(weights.shape) != 4:
        raise NetworkError(f"expected pictures and weights of 4 axes, found {values} and {weights}")
    group, kernel = call.integer("group", 1), list(weights.shape[2:])
    filters = weights.shape[1] * group
    _expect_weights(call, filters)
    if values.shape[1] != weights.shape[0] or weights.shape[0] % group:
        raise NetworkError(f"does not go with {values} and weights {weights} in {group} groups")
    strides, pads = call.integers("strides", [1, 1]), call.integers("pads", [0, 0, 0, 0])
    more = call.integers("output_padding", [0, 0])
    if (
        call.integers("kernel_shape", kernel) != kernel
        or strides[0] != strides[1]
        or max(kernel) > _LARGEST_KERNEL
        or min(kernel) < strides[0]
        or max(more) >= strides[0]
        or max(pads) >= min(kernel)
    ):
        raise NetworkError(f"of {kernel} may not have strides {strides}, pads {pads}, output_padding {more}")
    scale = strides[0]
    sides = [
        scale * (side - 1) + length + extra - first - last
        for side, length, extra, first, last in zip(
            values.shape[2:], kernel, more, pads[:2], pads[2:], strict=True
        )
    ]
    place = values.place
    if place is not None:
        offsets = [(length - scale) // 2 - first for length, first in zip(kernel, pads, strict=False)]
        firsts = (place.top, place.left)
        top, left = (scale * first - offset for first, offset in zip(firsts, offsets, strict=True))
        radius = place.radius + math.ceil(max(kernel) / scale) / place.scale
        spoilt = place.widened(max(kernel), max(kernel), scale)
        place = Place(place.scale * scale, top, left, radius, place.inside, spoilt)
    return Value(FLOAT, (values.shape[0], filters, *sides), values.origin, None, place)


def _shuffled(call: Call) -> Value:
    """DepthToSpace."""
    _expect_float(call, 0)
    batch, channels, height, width = _four(call[0])
    block = call.integer("blocksize", 0)
    if block < 2 or channels % block**2:
        raise NetworkError(f"cannot make blocks of {block} x {block} of {channels} channels")
    shape = (batch, channels // block**2, block * height, block * width)
    return Value(FLOAT, shape, call[0].origin, None, _enlarged(call[0].place, block, 0))


def _enlarged(place: Place | None, factor: int, reach: int) -> Place | None:
    """The place of a picture enlarged; what is made of it lies up to `reach` of its pixels away."""
    return place and Place(
        place.scale * factor,
        place.top * factor,
        place.left * factor,
        place.radius + reach / place.scale,
        place.inside,
        place.widened(reach * factor, reach * factor, factor),
    )


def _resized(call: Call) -> Value:
    _expect_float(call, 0)
    before = _four(call[0])
    if call.has(1) or call.has(2) == call.has(3):
        raise NetworkError("expected either scales or sizes, and no region of interest")
    if call.has(2):
        scales = [float(number) for number in call.numbers(2).ravel()]
        if call[2].dtype != FLOAT or len(scales) != 4 or not all(scale in range(1, 9) for scale in scales):
            raise NetworkError(f"expected whole scales of 1 to 8, found {scales}")
        after = [int(scale) * side for scale, side in zip(scales, before, strict=True)]
    else:
        after = call.ints(3)
    if len(after) != 4 or tuple(after[:2]) != before[:2] or min(after) < 1:
        raise NetworkError(f"cannot make {tuple(after)} of {call[0]}")
    if any(max(a, b) > _MOST_RESIZED * min(a, b) for a, b in zip(before, after, strict=True)):
        raise NetworkError(f"makes {tuple(after)} of {call[0]}, more than {_MOST_RESIZED} times as much")
    place = call[0].place
    if call.tiled and call.origin is Origin.PICTURE:
        factor = after[2] // before[2]
        how = call.node.attributes.get("coordinate_transformation_mode", "half_pixel")
        if not call.has(2) or after[3] != factor * before[3] or how == "align_corners":
            raise NetworkError(
                "expected one whole scale for both axes, without align_corners, in an upscaler"
            )
        place = _enlarged(place, factor, 0 if call.node.attributes.get("mode", "nearest") == "nearest" else 2)
    return Value(FLOAT, tuple(after), call.origin, None, place)


def _padded(call: Call) -> Value:
    _expect_float(call, 0)
    shape, pads = call[0].shape, call.ints(1)
    before, after = pads[: len(shape)], pads[len(shape) :]
    if len(pads) != 2 * len(shape) or not all(0 <= pad <= _MOST_PADDING for pad in pads):
        raise NetworkError(f"cannot pad {call[0]} by {pads}")
    if call.has(2) and (call[2].dtype != FLOAT or call[2].size != 1 or call[2].origin is not Origin.WEIGHTS):
        raise NetworkError(f"expected a number to pad with, found {call[2]}")
    if call.node.attributes.get("mode") == "reflect" and any(map(operator.ge, pads, 2 * shape)):
        raise NetworkError(f"cannot reflect {call[0]} by {pads}")
    place = call[0].place
    if place is not None:
        if any((*before[:2], *after[:2])):
            raise NetworkError("pads channels")
        spoilt = place.widened(before[2], after[2])
        place = replace(place, top=place.top - before[2], left=place.left - before[3], spoilt=spoilt)
    sides = tuple(side + first + last for side, first, last in zip(shape, before, after, strict=True))
    return replace(call[0], shape=sides, numbers=None, place=place)


def _cut(call: Call) -> Value:
    """Slice."""
    value = call[0]
    starts, ends = call.ints(1), call.ints(2)
    axes = call.ints(3) if call.has(3) else list(range(len(starts)))
    steps = call.ints(4) if call.has(4) else [1] * len(starts)
    axes = [_axis(axis, len(value.shape)) for axis in axes]
    if not len(starts) == len(ends) == len(axes) == len(steps) == len({*axes}) or {*steps} - {1}:
        raise NetworkError("expected a start, an end and a step of 1 for each of several axes")
    cuts, firsts = [slice(None)] * len(value.shape), [0] * len(value.shape)
    for axis, start, end in zip(axes, starts, ends, strict=True):
        first, last, _ = slice(start, end).indices(value.shape[axis])
        cuts[axis], firsts[axis] = slice(first, last), first
    shape = tuple(len(range(side)[cut]) for side, cut in zip(value.shape, cuts, strict=True))
    numbers = None if value.numbers is None else value.numbers[tuple(cuts)]
    place = value.place
    if place is not None:
        if shape[3] != value.shape[3]:
            raise NetworkError("cuts columns of a picture in an upscaler")
        place = _cut_place(place, firsts[2], value.shape[2] - firsts[2] - shape[2])
        place = replace(place, left=place.left + firsts[3])
    return replace(value, shape=shape, numbers=numbers, place=place)


def _cut_place(place: Place, above: int, below: int) -> Place:
    """Where a picture lies that has lost so many rows at its top and its bottom."""
    (top, bottom), (first, last) = place.inside, place.spoilt
    return replace(
        place,
        top=place.top + above,
        inside=(top or above > 0, bottom or below > 0),
        spoilt=(max(0, first - above), max(0, last - below)),
    )


def _gathered(call: Call) -> Value:
    value, indices = call[0], call.ints(1)
    axis = _axis(call.integer("axis", 0), len(value.shape))
    if not all(-value.shape[axis] <= index < value.shape[axis] for index in indices):
        raise NetworkError(f"takes {indices[:9]} out of {value}")
    shape = value.shape[:axis] + call[1].shape + value.shape[axis + 1 :]
    numbers = None if value.numbers is None else np.take(value.numbers, call.numbers(1), axis)
    return replace(value, shape=shape, numbers=numbers)


def _shape(call: Call) -> Value:
    shape = call[0].shape[call.integer("start", 0) : call.integer("end", len(call[0].shape))]
    return Value(INT64, (len(shape),), Origin.SIZES, np.array(shape, np.int64))


def _range(call: Call) -> Value:
    bounds = [call.numbers(index) for index in range(3)]
    if len({value.dtype for value in call.present}) > 1 or any(value.shape for value in call.present):
        raise NetworkError("expected three numbers of a type")
    # Whole ones, which float32 holds as they are.
    first, last, step = (float(number) for number in bounds)
    if (
        not all(number % 1 == 0 and abs(number) <= _LARGEST_WHOLE for number in (first, last, step))
        or step < 1
    ):
        raise NetworkError(f"counts from {first} to {last} by {step}: expected whole numbers, upwards")
    return Value(call[0].dtype, (len(range(int(first), int(last), int(step))),), Origin.SIZES)


def _squeezed(call: Call) -> Value:
    shape = call[0].shape
    given = call.ints(1) if call.has(1) else [axis for axis, side in enumerate(shape) if side == 1]
    axes = {_axis(axis, len(shape)) for axis in given}
    if any(shape[axis] != 1 for axis in axes):
        raise NetworkError(f"cannot take axes {sorted(axes)} from {call[0]}")
    return _reshaped(call[0], tuple(side for axis, side in enumerate(shape) if axis not in axes))


def _unsqueezed(call: Call) -> Value:
    given, rank = call.ints(1), len(call[0].shape) + len(call.ints(1))
    axes = {_axis(axis, rank) for axis in given}
    if len(axes) < len(given):
        raise NetworkError(f"adds axes {given} twice")
    sides = iter(call[0].shape)
    return _reshaped(call[0], tuple(1 if axis in axes else next(sides) for axis in range(rank)))


def _reshaped(value: Value, shape: Ints) -> Value:
    numbers = None if value.numbers is None else value.numbers.reshape(shape)
    return replace(value, shape=shape, numbers=numbers)


def _renumbered(call: Call) -> Value:
    """Reshape: of codes."""
    value, wanted = call[0], call.ints(1)
    sides = [value.shape[index] if side == 0 else side for index, side in enumerate(wanted)]
    if sides.count(-1) == 1:
        known = -math.prod(sides)
        sides[sides.index(-1)] = value.size // known if known else 0
    if math.prod(sides) != value.size or min(sides, default=1) < 1:
        raise NetworkError(f"cannot make {wanted} of {value}")
    return _reshaped(value, tuple(sides))


def _expanded(call: Call) -> Value:
    _expect_float(call, 0)
    shape = _broadcast(call[0].shape, tuple(call.ints(1)))
    return replace(call[0], shape=shape, numbers=None)


def _reduced(call: Call) -> Value:
    _expect_float(call, 0)
    shape = call[0].shape
    axes = {_axis(axis, len(shape)) for axis in call.ints(1)}
    if not axes:
        raise NetworkError("expected axes to reduce")
    kept = call.integer("keepdims", 1)
    sides = [1 if axis in axes else side for axis, side in enumerate(shape) if kept or axis not in axes]
    return replace(call[0], shape=tuple(sides), numbers=None)


def _normalised(call: Call) -> Value:
    """BatchNormalization and InstanceNormalization: numbers for each channel."""
    _expect_float(call, 0)
    channels = call[0].shape[1:2]
    for index in range(1, len(call.node.inputs)):
        if call[index].shape != channels or call[index].dtype != FLOAT:
            raise NetworkError(f"expected float32 {channels} for input {index}, found {call[index]}")
    return replace(call[0], numbers=None)


def _expect_float(call: Call, index: int) -> None:
    if call[index].dtype != FLOAT:
        raise NetworkError(f"expected float32 for input {index}, found {call[index]}")


def _expect_weights(call: Call, filters: int) -> None:
    for value in call.present[1:]:
        if value.origin is not Origin.WEIGHTS or value.dtype != FLOAT:
            raise NetworkError(f"expected float32 weights that depend on no picture, found {value}")
    if call.has(2) and call[2].shape != (filters,):
        raise NetworkError(f"expected a bias for each of {filters} filters, found {call[2]}")


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise NetworkError(f"speaks of axis {axis} of {rank}")
    return axis % rank


def _four(value: Value) -> tuple[int, int, int, int]:
    if len(value.shape) != 4:
        raise NetworkError(f"expected a picture (1, C, h, w), found {value}")
    batch, channels, height, width = value.shape
    return batch, channels, height, width


_LARGEST_KERNEL = 31
_LARGEST_WHOLE = 1 << 24
_MOST_RESIZED = 64

_NONE: Mapping[str, Check] = {}
_RESIZE: Mapping[str, Check] = {
    "antialias": _integer(0, 0),
    "coordinate_transformation_mode": _one_of(
        "half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"
    ),
    "cubic_coeff_a": _number(-1, 0),
    "exclude_outside": _integer(0, 1),
    "extrapolation_value": _number(-1e6, 1e6),
    "keep_aspect_ratio_policy": _one_of("stretch"),
    "mode": _one_of("nearest", "linear", "cubic"),
    "nearest_mode": _one_of("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
}
_CONV: Mapping[str, Check] = {
    "auto_pad": _one_of("NOTSET"),
    "dilations": _integers(1, 16, 1, 2),
    "group": _integer(1, 4096),
    "kernel_shape": _integers(1, _LARGEST_KERNEL, 1, 2),
    "pads": _integers(0, 512, 2, 4),
    "strides": _integers(1, 1, 1, 2),
}
_CONV_TRANSPOSE: Mapping[str, Check] = {
    "auto_pad": _one_of("NOTSET"),
    "dilations": _integers(1, 1, 2),
    "group": _integer(1, 4096),
    "kernel_shape": _integers(1, _LARGEST_KERNEL, 2),
    "output_padding": _integers(0, 3, 2),
    "pads": _integers(0, _LARGEST_KERNEL, 4),
    "strides": _integers(1, 4, 2),
}
_REDUCE: Mapping[str, Check] = {"keepdims": _integer(0, 1), "noop_with_empty_axes": _integer(0, 0)}

OPERATORS: Mapping[str, Operator] = {
    "Add": Operator((2, 2), _NONE, _combined),
    "BatchNormalization": Operator(
        (5, 5),
        {"epsilon": _number(1e-12, 1), "momentum": _number(0, 1), "training_mode": _integer(0, 0)},
        _normalised,
        on_pictures=False,
    ),
    "Cast": Operator((1, 1), {"to": _integer(FLOAT, FLOAT)}, _cast),
    "Clip": Operator((1, 3), _NONE, _clipped),
    "Concat": Operator((1, 64), {"axis": _integer(-_MOST_AXES, _MOST_AXES)}, _joined),
    "Conv": Operator((2, 3), _CONV, _convolved),
    "Cos": Operator((1, 1), _NONE, _same, work=16),
    "ConvTranspose": Operator((2, 3), _CONV_TRANSPOSE, _spread),
    "DepthToSpace": Operator((1, 1), {"blocksize": _integer(2, 4), "mode": _one_of("DCR", "CRD")}, _shuffled),
    "Div": Operator((2, 2), _NONE, _combined),
    "Expand": Operator((2, 2), _NONE, _expanded, on_pictures=False),
    "Gather": Operator((2, 2), {"axis": _integer(-_MOST_AXES, _MOST_AXES)}, _gathered, on_pictures=False),
    "Identity": Operator((1, 1), _NONE, _identity),
    "InstanceNormalization": Operator((3, 3), {"epsilon": _number(1e-12, 1)}, _normalised, on_pictures=False),
    "LeakyRelu": Operator((1, 1), {"alpha": _number(-1e4, 1e4)}, _same),
    "Log": Operator((1, 1), _NONE, _same, work=16),
    "Max": Operator((2, 2), _NONE, _combined),
    "Min": Operator((2, 2), _NONE, _combined),
    "Mul": Operator((2, 2), _NONE, _combined),
    "PRelu": Operator((2, 2), _NONE, _parametric),
    "Pad": Operator((2, 3), {"mode": _one_of("constant", "edge", "reflect")}, _padded),
    "Range": Operator((3, 3), _NONE, _range, on_pictures=False),
    "ReduceMean": Operator((2, 2), _REDUCE, _reduced, on_pictures=False),
    "ReduceSum": Operator((2, 2), _REDUCE, _reduced, on_pictures=False),
    "Relu": Operator((1, 1), _NONE, _same),
    "Reshape": Operator((2, 2), {"allowzero": _integer(0, 0)}, _renumbered, on_pictures=False),
    "Resize": Operator((3, 4), _RESIZE, _resized, work=16),
    "Shape": Operator(
        (1, 1), {"start": _integer(-_MOST_AXES, _MOST_AXES), "end": _integer(-_MOST_AXES, _MOST_AXES)}, _shape
    ),
    "Sigmoid": Operator((1, 1), _NONE, _same, work=16),
    "Sin": Operator((1, 1), _NONE, _same, work=16),
    "Slice": Operator((3, 5), _NONE, _cut),
    "Sqrt": Operator((1, 1), _NONE, _same, work=4),
    "Squeeze": Operator((1, 2), _NONE, _squeezed, on_pictures=False),
    "Sub": Operator((2, 2), _NONE, _combined),
    "Tanh": Operator((1, 1), _NONE, _same, work=16),
    "Unsqueeze": Operator((2, 2), _NONE, _unsqueezed, on_pictures=False),
}
