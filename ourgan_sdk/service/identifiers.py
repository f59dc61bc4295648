"""Identifiers of canvases: `canyon~100000x60000~7~extent=2~variety=0.3`, read and written."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from ..detail import EXTENTS
from ..structure.layout import VARIETY, VERTICAL, Axes, Layout
from ..synthesizer import DetailMode, StructureMode
from .errors import BadRequestError
from .settings import SOURCE_NAME

__all__ = ["Identifier", "parse_identifier", "source_of"]

_SIZE = re.compile(r"([1-9]\d{0,9})x([1-9]\d{0,9})", re.ASCII)
_SEED = re.compile(r"0|[1-9]\d{0,19}", re.ASCII)
_NUMBER = re.compile(r"\d{1,4}(\.\d{1,6})?", re.ASCII)
_FORM = "SOURCE~WIDTHxHEIGHT~SEED, then ~key=value"


_COORDINATES: Final = "coordinates"

OfferedStructure = StructureMode | Literal["coordinates"]
"""What makes structures, as /api/sources has it: where a bundle's are of coordinates, nothing else does."""


@dataclass(frozen=True)
class Identifier:
    """A canvas: what `Synthesizer.canvas` is asked for, of which source."""

    source: str
    width: int
    height: int
    seed: int
    extent: float | None = None
    variety: float | None = None
    vertical: float | None = None
    tileable: Axes | None = None
    symmetric: Axes | None = None
    retarget: bool = False
    start_scale: int | None = None
    structure: OfferedStructure = "auto"
    detail: DetailMode = "auto"

    @property
    def modes(self) -> tuple[StructureMode, DetailMode]:
        """`structure` and `detail` that a `Synthesizer` is opened with."""
        return "auto" if self.structure == _COORDINATES else self.structure, self.detail

    @property
    def layout(self) -> Layout:
        """What is asked of the layout; raises ValueError for what contradicts itself."""
        return Layout(self.variety, self.vertical, self.tileable, self.symmetric, self.retarget)

    def __str__(self) -> str:
        """The canonical form: keys in one order, what is so by default left out."""
        size = f"{self.source}~{self.width}x{self.height}~{self.seed}"
        defaults = _defaults(self.retarget, self.tileable)
        values = ((key, getattr(self, _attribute(key))) for key in _KEYS)
        given = ((key, value) for key, value in values if value is not None and value != defaults.get(key))
        return size + "".join(f"~{key}={_format(value)}" for key, value in given)


def source_of(text: str) -> str:
    """The name of the source in what may be an identifier."""
    return text.partition("~")[0]


def parse_identifier(text: str) -> Identifier:
    """What `text` names; raises BadRequestError that says what is wrong with it."""
    source, *rest = text.split("~")
    if SOURCE_NAME.fullmatch(source) is None or len(rest) < 2:
        raise BadRequestError(f"expected a canvas as {_FORM}, got {text[:200]!r}")
    size, seed = _SIZE.fullmatch(rest[0]), _SEED.fullmatch(rest[1])
    if size is None or seed is None or int(seed[0]) >= 1 << 64:
        raise BadRequestError(
            f"expected a size as WIDTHxHEIGHT and a seed from 0 to 2^64 - 1, "
            f"got {rest[0][:40]!r} and {rest[1][:40]!r}"
        )
    values: dict[str, Any] = {}
    for part in rest[2:]:
        key, _, value = part.partition("=")
        if key not in _KEYS or _attribute(key) in values:
            raise BadRequestError(f"expected each of {', '.join(_KEYS)} once at most, got {part[:80]!r}")
        try:
            values[_attribute(key)] = _KEYS[key](value)
        except ValueError as error:
            raise BadRequestError(f"{key}: {error}") from None
    _leave_out_defaults(values)
    identifier = Identifier(source, int(size[1]), int(size[2]), int(seed[0]), **values)
    try:
        _ = identifier.layout
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    return identifier


def _leave_out_defaults(values: dict[str, Any]) -> None:
    """So that what is the same picture is the same identifier."""
    for key, default in _defaults(bool(values.get("retarget")), values.get("tileable")).items():
        if values.get(_attribute(key)) == default:
            del values[_attribute(key)]


def _defaults(retarget: bool, tileable: Axes | None) -> dict[str, object]:
    """As `Layout` has them; None is the default of all that is not here."""
    layout = Layout(tileable=tileable if not retarget else None, retarget=retarget)
    return {
        "variety": layout.wildness,
        "vertical": layout.rows,
        "retarget": False,
        "structure": "auto",
        "detail": "auto",
    }


def _attribute(key: str) -> str:
    return key.replace("-", "_")


def _number(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if _NUMBER.fullmatch(text) is None or not least <= float(text) <= most:
            raise ValueError(f"expected a number from {least:g} to {most:g}, got {text[:40]!r}")
        return float(text)

    return parse


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected one of {', '.join(names)}, got {text[:40]!r}")
        return text

    return parse


def _start_scale(text: str) -> int:
    if re.fullmatch(r"[1-9]\d{0,2}", text, re.ASCII) is None or int(text) > 255:
        raise ValueError(f"expected a scale from 1 to 255, got {text[:40]!r}")
    return int(text)


def _flag(text: str) -> Literal[True]:
    if text != "1":
        raise ValueError(f"expected 1, got {text[:40]!r}")
    return True


def _format(value: object) -> str:
    if value is True:
        return "1"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)


_KEYS: dict[str, Callable[[str], object]] = {
    "extent": _number(*EXTENTS),
    "variety": _number(*VARIETY),
    "vertical": _number(*VERTICAL),
    "tileable": _one_of(get_args(Axes)),
    "symmetric": _one_of(get_args(Axes)),
    "retarget": _flag,
    "start-scale": _start_scale,
    "structure": _one_of((*get_args(StructureMode), _COORDINATES)),
    "detail": _one_of(cast(tuple[str, ...], get_args(DetailMode))),
}
"""What may follow the seed, in the canonical order."""
