"""What of a canvas has to be found in the whole, as arrays that go from process to process.

Each says which canvas it is of: that of another one would be found out by nobody.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .structure import Base

__all__ = ["marked", "unmarked"]

_MARK = "canvas"
_LONGEST_MARK = 1 << 16


def marked(base: Base, canvas: Mapping[str, object]) -> Base:
    """`base` with what it is of, JSON in UTF-8, as one more array, uint8 (n,), of the name `canvas`."""
    return base | {_MARK: np.frombuffer(_text(canvas).encode(), np.uint8)}


def unmarked(base: Mapping[str, npt.NDArray[Any]], canvas: Mapping[str, object]) -> Base:
    """What `marked` was given; raises TypeError or ValueError if it is none, or of another canvas."""
    if not isinstance(base, Mapping):
        raise TypeError(f"expected what find_base returns, got {type(base).__name__}")
    mark = base.get(_MARK)
    if not isinstance(mark, np.ndarray) or mark.dtype != np.uint8 or mark.size > _LONGEST_MARK:
        raise ValueError("expected what find_base returns: which canvas it is of is missing")
    if mark.tobytes() != _text(canvas).encode():
        raise ValueError(f"this is the base of another canvas: {_differences(mark.tobytes(), canvas)}")
    return {name: array for name, array in base.items() if name != _MARK}


def _text(canvas: Mapping[str, object]) -> str:
    return json.dumps(canvas, sort_keys=True)


def _differences(mark: bytes, canvas: Mapping[str, object]) -> str:
    try:
        other = json.loads(mark)
    except (ValueError, RecursionError):
        return "it does not say of which"
    expected = json.loads(_text(canvas))
    if not isinstance(other, dict):
        return "it does not say of which"
    names = sorted(name for name in {*other, *expected} if other.get(name) != expected.get(name))
    return ", ".join(
        f"{name} {_short(other.get(name))} in place of {_short(expected.get(name))}" for name in names
    )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
