"""A bundle's networks, opened when they are first needed."""

from typing import Any

import numpy as np

from ..bundle import Bundle, Upscaler
from ..engines import Engine, Opened, Options, candidates, open_first
from ..engines.onnxruntime import OnnxRuntimeEngine
from ..errors import ClosedError
from ..stopping import locked
from ..system.forks import PerProcess, lock

__all__ = ["Networks"]


class Networks:
    """The networks of `bundle`, upscalers on the first usable of the engines asked for.

    The structure and the references run in ONNX Runtime on the CPU, whatever the engine: so a seed has the
    same composition everywhere. Several threads may use them at once; a forked child opens its own.
    """

    def __init__(self, bundle: Bundle, engine: str, options: Options) -> None:
        """Raises EngineError if no engine is called so, or none of that name runs on the device asked for."""
        self.bundle = bundle
        self._options = options
        self._kinds = candidates(engine, options)
        self._opened = PerProcess(self._open)
        self._on_cpu: PerProcess[dict[str, OnnxRuntimeEngine]] = PerProcess(dict)
        self._lock = lock()
        self._is_closed = False

    def close(self) -> None:
        """Let go of the engines; whoever asks for one from now on gets a ClosedError."""
        with locked(self._lock):
            self._is_closed = True
            self._opened.let_go()
            self._on_cpu.let_go()

    def check_open(self) -> None:
        """Raise ClosedError after `close`."""
        if self._is_closed:
            raise ClosedError(f"the synthesizer of {self.bundle.path} is closed: open another one")

    @property
    def memory_limit(self) -> int | None:
        """In bytes, where somebody has set one."""
        return self._options.memory_limit

    def _open(self) -> Opened:
        opened = open_first(self.bundle, self._kinds, self._options)
        self._kinds = [opened.kind]  # a forked child goes on with that, or not at all
        return opened

    @property
    def opened(self) -> Opened:
        """The upscalers; raises EngineError if no engine can be used."""
        with locked(self._lock):
            self.check_open()
            return self._opened()

    @property
    def cpu_name(self) -> str:
        """What the pixels of networks `on_cpu` depend on; raises EngineUnavailableError without a runtime."""
        return f"{OnnxRuntimeEngine.NAME} {OnnxRuntimeEngine.version()} {OnnxRuntimeEngine.DEVICE} fp32"

    def engine(self, upscaler: Upscaler, dtype: np.dtype[Any]) -> Engine:
        """The engine of `upscaler` whose results go into pictures of `dtype`, uint8 or uint16."""
        return self.opened.engine(upscaler, dtype)

    def on_cpu(self, file: str) -> OnnxRuntimeEngine:
        """The network of member `file` in float32 on the CPU, opened by the first thread that asks."""
        with locked(self._lock):
            self.check_open()
            opened = self._on_cpu()
            if file not in opened:
                opened[file] = OnnxRuntimeEngine.of(self.bundle.network(file), self._options.threads)
            return opened[file]
