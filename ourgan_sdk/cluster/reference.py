"""A canvas as other processes open it: what it is made of, and what it has to be there to the byte."""

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._version import __version__
from ..bundle import Bundle
from ..canvas import Canvas
from ..errors import ClusterError, EngineError
from ..synthesizer import Synthesizer

__all__ = ["CanvasReference", "refer_to"]

_SYNTHESIZER = "synthesizer"


@dataclass(frozen=True)
class CanvasReference:
    """Opens a canvas anew, in whatever process: `open`. It pickles; the same canvas has the same `token`.

    The bundle goes by its path, which has to be there where it is opened, or, if it was learned and not
    saved, as its bytes.
    """

    token: str
    version: str
    bundle: Bundle
    arguments: Mapping[str, Any]
    """The synthesizer's, but for its threads: engine and memory limit are those that the canvas has taken."""
    recipe: bytes
    """The pickled canvas, without its synthesizer."""
    engine: str | None
    """What networks' pixels depend on; None where no network makes any."""
    windows: tuple[tuple[int, int], ...]
    """(height, width) of the tiles of every pass, on which they depend, too."""

    def open(self, threads: int) -> Canvas:
        """The canvas of a synthesizer of its own, with so many threads.

        Raises what opening one raises, ClusterError in another version of this package, and EngineError where
        its engine is another one, or tiles differently.
        """
        check_version(self.version)
        synthesizer = Synthesizer(self.bundle, **self.arguments, threads=threads)
        canvas = _Unpickler(io.BytesIO(self.recipe), synthesizer).load()
        assert isinstance(canvas, Canvas)  # noqa: S101 - for the type checker: a canvas was pickled
        engine, windows = _tiling(canvas)
        if engine != self.engine:
            raise EngineError(
                f"this process renders with {engine}, the one that asks for pixels with {self.engine}: "
                "install the same runtime, in the same version, on all machines"
            )
        if windows != self.windows:
            raise EngineError(
                f"this process renders tiles of {windows}, the one that asks for pixels of {self.windows}: "
                "give both the same limits (OURGAN_TOTAL_MEMORY)"
            )
        return canvas


def refer_to(canvas: Canvas) -> CanvasReference:
    """The reference to `canvas`; raises ClosedError, and EngineError if no engine can be used."""
    canvas.networks.check_open()
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(canvas)
    synthesizer, recipe = pickler.synthesizer, file.getvalue()
    if synthesizer is None:
        raise ClusterError("expected a canvas that a synthesizer has made")
    engine, windows = _tiling(canvas)
    arguments = {**synthesizer.arguments, **_decided(canvas)}
    del arguments["threads"]
    bundle = replace(synthesizer.bundle)  # without the networks that were read of it
    told = repr((__version__, bundle.sha256, sorted(arguments.items()), engine, windows))
    token = hashlib.sha256(told.encode() + recipe).hexdigest()[:32]
    return CanvasReference(token, __version__, bundle, arguments, recipe, engine, windows)


def check_version(version: str) -> None:
    """Raise ClusterError unless it is this package's."""
    if version != __version__:
        raise ClusterError(
            f"this process has ourgan-sdk {__version__}, the one that asks for pixels {version}: install the "
            "same version on all machines"
        )


def _decided(canvas: Canvas) -> dict[str, Any]:
    """What was left open when the synthesizer was made, and has been decided since."""
    decided: dict[str, Any] = {"memory_limit": canvas.plan.memory_limit}
    if canvas.plan.passes:
        opened = canvas.networks.opened
        precisions = {engine.precision for engine in opened.engines.values()}
        decided["engine"] = opened.kind.NAME
        if len(precisions) == 1:
            decided["precision"] = precisions.pop()
    return decided


def _tiling(canvas: Canvas) -> tuple[str | None, tuple[tuple[int, int], ...]]:
    return canvas.engine_name, tuple(canvas.plan.windows)


class _Pickler(pickle.Pickler):
    """Leaves out the synthesizer, and keeps it."""

    synthesizer: Synthesizer | None = None

    def persistent_id(self, value: Any) -> str | None:
        """What stands in the place of the synthesizer."""
        if not isinstance(value, Synthesizer):
            return None
        self.synthesizer = value
        return _SYNTHESIZER


class _Unpickler(pickle.Unpickler):
    """Puts a synthesizer in its place."""

    def __init__(self, file: io.BytesIO, synthesizer: Synthesizer) -> None:
        super().__init__(file)
        self._synthesizer = synthesizer

    def persistent_load(self, name: Any) -> Synthesizer:
        """The synthesizer."""
        if name != _SYNTHESIZER:
            raise pickle.UnpicklingError(f"expected a canvas, got something with {name!r}")
        return self._synthesizer
