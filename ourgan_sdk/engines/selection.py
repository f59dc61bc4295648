"""Which engine renders: the first that can, of those that were asked for."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bundle import Bundle, Upscaler
from ..errors import EngineError, EngineUnavailableError
from .onnxruntime import OnnxRuntimeEngine
from .onnxruntime_cuda import OnnxRuntimeCudaEngine
from .openvino import OpenVinoEngine
from .protocol import Engine, Options
from .tensorrt import TensorRtEngine, TensorRtRtxEngine

__all__ = ["ENGINES", "Opened", "asked_engine", "candidates", "engine_names", "open_first"]

_log = logging.getLogger(__name__)

ENGINES: list[type[Engine]] = [
    TensorRtRtxEngine,
    TensorRtEngine,
    OnnxRuntimeCudaEngine,
    OpenVinoEngine,
    OnnxRuntimeEngine,
]
"""In order of preference. A runtime that works on several devices is there once for each."""

_OVERRIDE = "OURGAN_ENGINE"
"""Environment variable: what "auto" means."""

_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True)
class Opened:
    """A bundle's upscalers on one runtime."""

    kind: type[Engine]
    engines: Mapping[tuple[str, np.dtype[Any]], Engine]

    def engine(self, upscaler: Upscaler, dtype: np.dtype[Any]) -> Engine:
        """The one of `upscaler` whose results go into pictures of `dtype`, uint8 or uint16."""
        return self.engines[upscaler.file, dtype]

    @property
    def name(self) -> str:
        """What the pixels depend on: runtime, version, device and precision."""
        precisions = "/".join(sorted({engine.precision for engine in self.engines.values()}))
        return f"{self.kind.NAME} {self.kind.version()} {self.kind.DEVICE} {precisions}"


def engine_names() -> list[str]:
    """What may be asked for, beside "auto"."""
    return list(dict.fromkeys(kind.NAME for kind in ENGINES))


def asked_engine(engine: str) -> str:
    """`engine`, or what OURGAN_ENGINE says in the place of "auto"."""
    return (os.environ.get(_OVERRIDE) or "auto") if engine == "auto" else engine


def candidates(engine: str, options: Options) -> list[type[Engine]]:
    """The engines called `engine` ("auto": any, or what OURGAN_ENGINE says) on the device asked for.

    Raises EngineError if there is none.
    """
    engine = asked_engine(engine)
    if engine not in ("auto", *engine_names()):
        raise EngineError(f"expected an engine of auto, {', '.join(engine_names())}; got {engine!r}")
    device = options.device.partition(":")[0]
    found = [kind for kind in ENGINES if engine in ("auto", kind.NAME) and device in ("auto", kind.DEVICE)]
    if not found:
        raise EngineError(f"{engine} does not run on {device}")
    return found


def open_first(bundle: Bundle, kinds: Sequence[type[Engine]], options: Options) -> Opened:
    """Open the bundle's upscalers on the first runtime that can, and log why not on those before it.

    Raises EngineError if none can: the error of the only one, or all reasons together.
    """
    reasons = []
    for kind in kinds:
        try:
            return Opened(kind, _open_all(bundle, kind, options))
        except EngineError as error:  # noqa: PERF203 - there are five
            if len(kinds) == 1:
                raise
            reasons.append(f"{kind.NAME} on {kind.DEVICE}: {error}")
            expected = isinstance(error, EngineUnavailableError)
            _log.log(logging.INFO if expected else logging.WARNING, "going on without %s", reasons[-1])
    raise EngineError(f"no engine can be used ({'; '.join(reasons)})")


def _open_all(
    bundle: Bundle, kind: type[Engine], options: Options
) -> dict[tuple[str, np.dtype[Any]], Engine]:
    """All at once, so that what is wrong with any of them shows while there still is a choice."""
    engines: dict[tuple[str, np.dtype[Any]], Engine] = {}
    for upscaler in {upscaler.file: upscaler for upscaler in bundle.manifest.upscalers}.values():
        for dtype in _DTYPES:
            if kind.GIVES_PIXELS or dtype is _DTYPES[0]:
                engine = kind.open(bundle, upscaler, dtype, options)
            engines[upscaler.file, dtype] = engine
    return engines
