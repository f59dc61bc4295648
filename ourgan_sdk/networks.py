"""A bundle's networks, each opened on an engine when it is first needed."""

import threading
import time
from typing import Any

import numpy as np

from ._core import Box, NonFiniteError, normal, scatter
from .arrays import Picture
from .bundle import Bundle
from .engines import Engine, check_engine, open_engine
from .errors import EngineError, EngineMemoryError
from .progress import RenderStats

__all__ = ["Networks"]


class Networks:
    """The networks of `bundle` on the runtime `engine`; several threads may use them at once."""

    def __init__(self, bundle: Bundle, engine: str, threads: int | None) -> None:
        self.bundle = bundle
        self.engine_name = check_engine(engine)
        self._threads = threads
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    def engine(self, file: str) -> Engine:
        """The network of member `file`, opened by the first thread that asks."""
        with self._lock:
            if file not in self._engines:
                self._engines[file] = open_engine(self.bundle.read(file), self.engine_name, self._threads)
            return self._engines[file]

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
        engine = self.engine(structure.file)
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
