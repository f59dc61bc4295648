"""ONNX Runtime on an NVIDIA GPU: any window, no engine to be built before."""

import contextlib
import io
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import CudaDevice, Pipeline
from ..bundle import Bundle, CheckSizes, Upscaler
from ..errors import EngineError, EngineMemoryError, EngineUnavailableError
from ..system.forks import lock
from .devices import open_device
from .graphs.even_strips import ALIGNMENT
from .graphs.precision import convert_upscaler
from .protocol import Engine, Options, Precision, any_sizes
from .rules import DEVICE_SLOTS, TileFormat, TileType, WindowRules
from .runtimes import import_onnxruntime

__all__ = ["OnnxRuntimeCudaEngine"]

_log = logging.getLogger(__name__)

_PROVIDER = "CUDAExecutionProvider"

_MEMORY_SIGNS = ("Failed to allocate memory", "out of memory", "ALLOC_FAILED")
"""What ONNX Runtime, CUDA and cuDNN say, in an exception of no other kind, where memory is what lacks."""

_LARGEST_TENSOR = 1 << 30
"""Elements: cuDNN counts bytes of half precision in 31 bits."""

_OPSET = 18
"""The last for which every release in question has CUDA kernels: for a node of a later version, such as
Resize-19, some know one for the CPU alone, and take it without a word."""

_OF_PICTURES = frozenset(
    {"Conv", "ConvTranspose", "DepthToSpace", "LeakyRelu", "PRelu", "Relu", "Resize", "Round", "Transpose"}
)
"""What no size is computed with. Sizes are computed on the CPU, on purpose."""

_TRIALS = 3


class OnnxRuntimeCudaEngine(Engine):
    """An upscaler in ONNX Runtime sessions that queue their work on the device's stream."""

    NAME = "onnxruntime"
    DEVICE = "cuda"
    GIVES_PIXELS = True

    device: CudaDevice

    def __init__(
        self,
        network: bytes,
        device: CudaDevice,
        precision: Precision,
        rules: WindowRules,
        check: CheckSizes = any_sizes,
    ) -> None:
        """`network` is what `convert_upscaler` made; `check` is called with the sizes of windows.

        Raises EngineError if it cannot be loaded.
        """
        self._check = check
        self._ort = import_onnxruntime()
        _load_libraries(self._ort)
        self.device = device
        self.precision = precision
        self.rules = rules
        self._network = network
        self._lock = lock()
        self._session: Any = self._open_session(prefer_nhwc=False)
        # With NHWC, cuDNN computes fp32 in TF32 whatever `use_tf32` says: there is nothing to choose.
        self._is_tuned = precision == "fp32"

    @staticmethod
    def version() -> str:
        """Of the installed ONNX Runtime; raises EngineUnavailableError if it is none for CUDA."""
        ort = import_onnxruntime()
        if _PROVIDER not in ort.get_available_providers():
            raise EngineUnavailableError(
                "the installed ONNX Runtime is one for the CPU: pip uninstall onnxruntime, then pip install "
                '"ourgan-sdk[cuda]"'
            )
        return str(ort.__version__)

    @classmethod
    def open(
        cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options
    ) -> "OnnxRuntimeCudaEngine":
        """The engine of `upscaler`, by default in half precision."""
        cls.version()
        device = open_device(options.ordinal)
        precision: Precision = "fp16" if options.precision == "auto" else options.precision
        if precision == "bf16":
            raise EngineUnavailableError("computes in fp32 or fp16, not in bf16")
        wide: TileType = "float32" if precision == "fp32" else "float16"
        tile_format = TileFormat(wide, "uint8" if dtype == np.uint8 else wide, interleaved=True)
        network = bundle.network(upscaler.file)
        converted = convert_upscaler(network.data, precision, np.dtype(tile_format.output_type), window=None)
        # As many bytes for half precision as for single: half of them for cuDNN's workspaces.
        rules = WindowRules(
            largest_tensor=_LARGEST_TENSOR,
            on_device=True,
            slots=DEVICE_SLOTS,
            format=tile_format,
            alignment=ALIGNMENT,
        )
        return cls(_lower(converted), device, precision, rules, network.check_sizes)

    def bind(self, pipeline: Pipeline, slot: int) -> Callable[[], None]:
        """A function that queues the network's work on the tile in `slot`."""
        self._check([pipeline.input(slot).shape[1:3]])
        self._tune(pipeline, slot)
        binding = self._binding(self._session, pipeline, slot)
        options = self._ort.RunOptions()
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")

        def run() -> None:
            with self._lock:  # concurrent runs would share the stream's workspaces
                self._run(self._session, binding, options)

        return run

    def _tune(self, pipeline: Pipeline, slot: int) -> None:
        """Choose the layout that is faster on this device, the first time that a window is known.

        One session at a time, since each keeps the memory that it has had.
        """
        with self._lock:
            if self._is_tuned:
                return
            self._session = self._session or self._open_session(prefer_nhwc=False)
            planes = self._seconds(pipeline, slot)
            self._session = None
            pixels = self._seconds_with_nhwc(pipeline, slot)
            _log.info("ONNX Runtime: %.1f ms a tile with NCHW, %.1f with NHWC", 1e3 * planes, 1e3 * pixels)
            if pixels >= planes:
                self._session = None
                self._session = self._open_session(prefer_nhwc=False)
            self._is_tuned = True

    def _seconds_with_nhwc(self, pipeline: Pipeline, slot: int) -> float:
        """Infinite where it does not work: not all operators have that layout, nor is there always memory."""
        try:
            self._session = self._open_session(prefer_nhwc=True)
            return self._seconds(pipeline, slot)
        except EngineError as error:
            _log.info("going on without NHWC: %s", error)
            return math.inf

    def _seconds(self, pipeline: Pipeline, slot: int) -> float:
        """What a tile takes at best; a run ends when the device is done."""
        binding, options = self._binding(self._session, pipeline, slot), self._ort.RunOptions()
        best = math.inf
        for _ in range(1 + _TRIALS):
            started = time.perf_counter()
            self._run(self._session, binding, options)
            best = min(best, time.perf_counter() - started)
        return best

    def _open_session(self, *, prefer_nhwc: bool) -> Any:
        settings = {
            "device_id": str(self.device.ordinal),
            "user_compute_stream": str(self.device.stream),
            "prefer_nhwc": str(int(prefer_nhwc)),
            # Tries every algorithm once for a shape; windows of a pass have one.
            "cudnn_conv_algo_search": "EXHAUSTIVE",
            "arena_extend_strategy": "kSameAsRequested",
            "use_tf32": "0",
            # No CUDA graphs: a capture would take up what other renders' threads, and the pipeline's events,
            # put into the same stream meanwhile. Tiles are queued ahead, so launches cost no time either.
        }
        options = self._ort.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        try:
            session = self._ort.InferenceSession(
                self._network, options, providers=[(_PROVIDER, settings), "CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no base class of their own
            raise _error(error, "cannot load the network") from error
        if session.get_providers()[0] != _PROVIDER:  # it falls back without an exception
            cuda = getattr(self._ort, "cuda_version", "") or "(unknown)"
            raise EngineUnavailableError(
                f"ONNX Runtime cannot load its CUDA provider, built for CUDA {cuda}; stderr tells why. CUDA "
                'and cuDNN come with pip install "ourgan-sdk[cuda]"; where they are installed, the driver '
                "may be too old for them"
            )
        _check_assignment(session)
        return session

    def _binding(self, session: Any, pipeline: Pipeline, slot: int) -> Any:
        binding = session.io_binding()
        place, tile = ("cuda", self.device.ordinal), self.rules.format
        binding.bind_input(
            "pixels",
            *place,
            np.dtype(tile.input_type),
            pipeline.input(slot).shape,
            pipeline.device_input(slot),
        )
        binding.bind_output(
            "upscaled",
            *place,
            np.dtype(tile.output_type),
            pipeline.output(slot).shape,
            pipeline.device_output(slot),
        )
        binding.bind_output("check", *place, np.dtype(np.float32), (1,), pipeline.device_check(slot))
        return binding

    def _run(self, session: Any, binding: Any, options: Any) -> None:
        try:
            session.run_with_iobinding(binding, options)
        except Exception as error:
            raise _error(error, "failed") from error


def _load_libraries(ort: Any) -> None:
    """Load CUDA and cuDNN from NVIDIA's wheels, where the provider does not look for them itself."""
    if not hasattr(ort, "preload_dlls"):  # before 1.21
        return
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        ort.preload_dlls()
    if told.getvalue():
        _log.info("ONNX Runtime: %s", told.getvalue().strip())


def _lower(network: bytes) -> bytes:
    """The same network in `_OPSET`; raises EngineError if it holds what that had not."""
    from onnx import load_model_from_string, version_converter  # noqa: PLC0415 - optional, slow to import

    try:
        model = version_converter.convert_version(load_model_from_string(network), _OPSET)
    except Exception as error:  # onnx's exceptions have no base class of their own
        raise EngineError(f"the network cannot be had in opset {_OPSET}: {error}") from error
    return bytes(model.SerializeToString())


def _check_assignment(session: Any) -> None:
    """Raises EngineError if pictures would be computed on the CPU: it would be slow, and say nothing."""
    if not hasattr(session, "get_provider_graph_assignment_info"):  # before 1.24
        return
    elsewhere = {
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != _PROVIDER
        for node in part.get_nodes()
    }
    if found := sorted(elsewhere & _OF_PICTURES):
        raise EngineError(f"ONNX Runtime has no CUDA kernels for the network's {', '.join(found)}")


def _error(error: Exception, what: str) -> EngineError:
    kind = EngineMemoryError if any(sign in str(error) for sign in _MEMORY_SIGNS) else EngineError
    return kind(f"ONNX Runtime {what} on the GPU: {error}")
