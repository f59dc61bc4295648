"""ONNX Runtime on the CPU."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..arrays import Tensor
from ..bundle import Bundle, CheckSizes, Network, Upscaler
from ..errors import EngineError, EngineMemoryError, EngineUnavailableError, OurganError
from ..stopping import check_stop
from ..system.forks import PerProcess, undisturbed
from ..system.threads import Call
from .protocol import HostEngine, Options, Precision, any_sizes
from .rules import WindowRules
from .runtimes import import_onnxruntime

__all__ = ["OnnxRuntimeEngine"]

T = TypeVar("T")

_MEMORY_SIGNS = ("Failed to allocate memory", "Cannot allocate memory", "bad_alloc", "bad allocation")
"""What ONNX Runtime says, in an exception of no other kind, where it is refused memory."""

_SILENT = 4
"""Log level of fatal errors alone: the others are raised, and need not be printed as well."""


class OnnxRuntimeEngine(HostEngine):
    """A network in an ONNX Runtime session; beside what an `Engine` can do, it runs structures as well."""

    NAME = "onnxruntime"

    precision: Precision = "fp32"
    rules = WindowRules()

    def __init__(self, network: bytes, threads: int | None = None, check: CheckSizes = any_sizes) -> None:
        """`check` is called with the sizes of inputs before anything is done for them."""
        self._check = check
        self._ort = import_onnxruntime()
        options = self._ort.SessionOptions()
        options.log_severity_level = _SILENT
        options.intra_op_num_threads = threads or 0
        options.use_deterministic_compute = True
        # Patterns would make it hold its peak of activations twice, and gain no time.
        options.enable_mem_pattern = False
        try:
            with undisturbed():
                session = self._ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no base class of their own
            raise EngineError(f"ONNX Runtime cannot load the network: {error}") from error
        self._session = PerProcess(lambda: session, once="this engine")
        self._session()

    @staticmethod
    def version() -> str:
        """Of the installed ONNX Runtime; raises EngineUnavailableError if there is none."""
        return str(import_onnxruntime().__version__)

    @classmethod
    def of(cls, network: Network, threads: int | None = None) -> "OnnxRuntimeEngine":
        """The engine of a bundle's network, which is checked again for every size that it is run on."""
        return cls(network.data, threads, network.check_sizes)

    @classmethod
    def open(
        cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options
    ) -> "OnnxRuntimeEngine":
        """The engine of `upscaler`."""
        del dtype  # tiles are float32, whatever becomes of them
        if options.precision not in ("auto", cls.precision):
            raise EngineUnavailableError(f"computes in {cls.precision}, not in {options.precision}")
        return cls.of(bundle.network(upscaler.file), options.threads)

    def run(self, feeds: Mapping[str, Tensor]) -> Tensor:
        """The network's first output for inputs of any size, by name."""
        self._check([feed.shape[2:] for feed in feeds.values()])

        def call(options: Any) -> Tensor:
            output: Tensor = self._session().run(None, dict(feeds), options)[0]
            return output

        return self._interruptible(call)

    def bind_arrays(self, tile: Tensor, result: Tensor) -> Callable[[], None]:
        """A function that runs the network from `tile` into `result`."""
        self._check([tile.shape[2:]])
        session = self._session()
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise EngineError(
                f"expected a network of one input and one output, got {len(inputs)} and {len(outputs)}"
            )
        binding = session.io_binding()
        binding.bind_input(inputs[0].name, "cpu", 0, np.float32, tile.shape, tile.ctypes.data)
        binding.bind_output(outputs[0].name, "cpu", 0, np.float32, result.shape, result.ctypes.data)
        return functools.partial(self.run_bound, _Binding(binding, (tile, result)))

    def run_bound(self, binding: "_Binding") -> None:
        """Run on the addresses in `binding`."""
        session = self._session()
        self._interruptible(lambda options: session.run_with_iobinding(binding.addresses, options))

    def _interruptible(self, function: Callable[[Any], T]) -> T:
        """`function(run_options)`, in another thread, so that Ctrl-C reaches this one and ends it at once."""
        options = self._ort.RunOptions()
        options.log_severity_level = _SILENT
        call = Call(lambda: function(options), "ourgan engine")
        try:
            call.wait(check_stop)
        except BaseException:
            options.terminate = True
            call.wait()
            raise
        try:
            return call.result()
        except OurganError:
            raise
        except Exception as error:
            kind = EngineMemoryError if any(sign in str(error) for sign in _MEMORY_SIGNS) else EngineError
            raise kind(f"ONNX Runtime failed: {error}") from error


@dataclass(frozen=True)
class _Binding:
    addresses: Any
    arrays: tuple[Tensor, Tensor]
    """What lies there: a run whose caller is interrupted twice goes on, and holds them, for a while."""
