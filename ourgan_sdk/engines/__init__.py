"""Engines: networks compiled for a runtime, one module per runtime behind one protocol."""

from collections.abc import Callable, Mapping
from typing import Protocol

from ..arrays import Tensor
from ..errors import EngineError
from . import onnxruntime
from .rules import WindowRules

__all__ = [
    "ENGINES",
    "Engine",
    "WindowRules",
    "check_engine",
    "engine_version",
    "open_engine",
    "window_rules",
]


class Engine(Protocol):
    """One network, ready to run; several threads may use it at once.

    Failures raise EngineError; where memory is what lacks, its subclass EngineMemoryError.
    """

    def run(self, feeds: Mapping[str, Tensor]) -> Tensor:
        """The network's first output for inputs of any size, by name."""

    def bind(self, tile: Tensor, result: Tensor) -> Callable[[], None]:
        """A function that runs a network of one input and one output on these two arrays, in place.

        Both are contiguous; the function may be called again after `tile` has changed, and keeps both alive.
        """


ENGINES: dict[str, type[onnxruntime.OnnxRuntimeEngine]] = {"onnxruntime": onnxruntime.OnnxRuntimeEngine}
"""Runtimes by name in order of preference; made of an ONNX network and a number of threads (or None)."""


def check_engine(engine: str) -> str:
    """The name of a runtime out of ENGINES, which "auto" is replaced by; raises EngineError if unknown."""
    if engine == "auto":
        return next(iter(ENGINES))
    if engine not in ENGINES:
        raise EngineError(f"expected an engine of auto, {', '.join(ENGINES)}; got {engine!r}")
    return engine


def open_engine(network: bytes, engine: str = "auto", threads: int | None = None) -> Engine:
    """Open an ONNX network on the runtime `engine`; "auto" takes the first that is installed.

    Raises EngineError if the runtime is unknown or not installed, or if it refuses the network.
    """
    return ENGINES[check_engine(engine)](network, threads)


def engine_version(engine: str = "auto") -> str:
    """The installed version of the runtime `engine`; raises EngineError if it is unknown or not installed."""
    return ENGINES[check_engine(engine)].version()


def window_rules(engine: str = "auto") -> WindowRules:
    """What windows the runtime `engine` takes; raises EngineError if it is unknown."""
    return ENGINES[check_engine(engine)].RULES
