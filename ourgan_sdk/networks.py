"""A bundle's networks, opened when they are first needed."""

import functools
import threading
import time
from typing import Any

import numpy as np

from ._core import Box, NonFiniteError, normal, scatter
from .arrays import Picture
from .bundle import Bundle, Upscaler
from .engines import Engine, Opened, Options, candidates, open_first
from .engines.onnxruntime import OnnxRuntimeEngine
from .errors import EngineError, EngineMemoryError
from .progress import RenderStats

__all__ = ["Networks"]


class Networks:
    """The networks of `bundle`, upscalers on the first usable of the engines asked for.

    The structure and the references run in ONNX Runtime on the CPU, whatever the engine: so a seed has the
    same composition everywhere. Several threads may use them at once.
    """

    def __init__(self, bundle: Bundle, engine: str, options: Options) -> None:
        """Raises EngineError if no engine is called so, or none of that name runs on the device asked for."""
        self.bundle = bundle
        self._kinds = candidates(engine, options)
        self._options = options
        self._on_cpu: dict[str, OnnxRuntimeEngine] = {}
        self._lock = threading.Lock()

    @property
    def opened(self) -> Opened:
        """The upscalers; raises EngineError if no engine can be used."""
        with self._lock:
            return self._opened

    @functools.cached_property
    def _opened(self) -> Opened:
        return open_first(self.bundle, self._kinds, self._options)

    def engine(self, upscaler: Upscaler, dtype: np.dtype[Any]) -> Engine:
        """The engine of `upscaler` whose results go into pictures of `dtype`, uint8 or uint16."""
        return self.opened.engine(upscaler, dtype)

    def on_cpu(self, file: str) -> OnnxRuntimeEngine:
        """The network of member `file` in float32 on the CPU, opened by the first thread that asks."""
        with self._lock:
            if file not in self._on_cpu:
                self._on_cpu[file] = OnnxRuntimeEngine(self.bundle.read(file), self._options.threads)
            return self._on_cpu[file]

    def structure(
        self, height: int, width: int, seed: int, dtype: np.dtype[Any], stats: RenderStats
    ) -> Picture:
        """The base picture, (height, width, 3) of `dtype`; noise of scale m is drawn from stream m.

        Raises EngineError or NonFiniteError if the network does not give such a picture.
        """
        structure = self.bundle.manifest.structure
        trained = structure.scales[-1]
        noise = {}
        for stream, scale in enumerate(structure.scales):
            rows = max(1, round(height * scale.height / trained.height))
            columns = max(1, round(width * scale.width / trained.width))
            maps = normal(scale.channels, rows, columns, seed, stream, deviation=scale.noise_deviation)
            noise[f"noise_{stream}"] = maps[np.newaxis]
        engine = self.on_cpu(structure.file)
        started = time.perf_counter()
        try:
            output = engine.run(noise)
        except EngineMemoryError as error:  # which smaller tiles would not help: it is not tiled
            raise EngineError(
                f"a structure of {width} x {height} does not fit into memory: {error}"
            ) from error
        stats.engine_seconds += time.perf_counter() - started
        expected = (1, 3, height, width)
        if output.shape != expected:
            raise EngineError(f"expected {structure.file} to give {expected}, got {output.shape}")
        picture = np.empty((height, width, 3), dtype)
        damaged = scatter(output[0], Box(0, 0, height, width), picture, 0, 0)
        if damaged:
            raise NonFiniteError(f"{structure.file} gave {damaged} values that are not finite")
        return picture
