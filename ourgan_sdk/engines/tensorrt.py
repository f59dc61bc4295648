"""TensorRT and TensorRT for RTX: engines that `export/to_trt.py` has put into the bundle."""

import importlib
from dataclasses import dataclass
from typing import Any

from ..errors import EngineUnavailableError

__all__ = ["RUNTIMES", "Runtime", "make_logger"]


@dataclass(frozen=True)
class Runtime:
    """One of the two TensorRTs, which differ in what GPUs an engine is built for."""

    name: str
    title: str
    module: str

    def load(self) -> Any:
        """Its Python module; raises EngineUnavailableError if it is not installed or does not load."""
        try:
            return importlib.import_module(self.module)
        except (
            ImportError,
            OSError,
            RuntimeError,
        ) as error:  # its libraries are looked for while it is imported
            raise EngineUnavailableError(
                f"{self.title} is not installed or does not load ({error}): "
                f'pip install "ourgan-sdk[{self.name}]"'
            ) from error

    def version(self) -> str:
        """Of the installed module; raises EngineUnavailableError if there is none."""
        return str(self.load().__version__)


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("tensorrt-rtx", "TensorRT for RTX", "tensorrt_rtx"),
        Runtime("tensorrt", "TensorRT", "tensorrt"),
    )
}
"""By name, in order of preference."""


def make_logger(trt: Any) -> Any:
    """A logger for the module `trt` that keeps what it is told."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        """`lines`: what is worth knowing, in order; `errors`: those of them that say what went wrong."""

        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT, from any of its threads."""
            if severity != trt.ILogger.VERBOSE:
                self.lines.append(message)
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

        @property
        def reason(self) -> str:
            """The errors in one line."""
            return "; ".join(self.errors) or "it gives no reason"

    return Logger()
