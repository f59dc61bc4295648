"""TensorRT and TensorRT for RTX: engines that `export/to_trt.py` has put into the bundle."""

import contextlib
import functools
import hashlib
import importlib
import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from .._atomic import atomic_file
from .._core import CudaDevice, DeviceMemory, Pipeline
from ..bundle import Bundle, EngineRecord, Upscaler
from ..errors import BundleError, EngineError, EngineMemoryError, EngineUnavailableError, OutputError
from ..precision import float_type
from .devices import open_device
from .protocol import Engine, Options, Precision
from .rules import DEVICE_SLOTS, TileFormat, TileType, WindowRules

__all__ = ["RUNTIMES", "Runtime", "TensorRtEngine", "TensorRtRtxEngine", "make_logger"]

_log = logging.getLogger(__name__)

_PREFERENCE: tuple[Precision, ...] = ("fp16", "bf16", "fp32")

_MEMORY_SIGNS = ("OutOfMemory", "out of memory", "insufficient memory")
"""What TensorRT says where memory is what lacks."""


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
        except (ImportError, OSError, RuntimeError) as error:  # the import looks for its libraries
            raise EngineUnavailableError(
                f"{self.title} is not installed or does not load ({error}): "
                f'pip install "ourgan-sdk[{self.name}]"'
            ) from error

    def version(self) -> str:
        """Of the installed module; raises EngineUnavailableError if there is none."""
        return str(self.load().__version__)


_RTX = Runtime("tensorrt-rtx", "TensorRT for RTX", "tensorrt_rtx")
_CLASSIC = Runtime("tensorrt", "TensorRT", "tensorrt")

RUNTIMES = {runtime.name: runtime for runtime in (_RTX, _CLASSIC)}
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

        def error(self, what: str) -> EngineError:
            """An error that says what happened, and why."""
            reason = "; ".join(self.errors) or "it gives no reason"
            self.errors.clear()
            short_of_memory = any(sign in reason for sign in _MEMORY_SIGNS)
            return (EngineMemoryError if short_of_memory else EngineError)(f"{what}: {reason}")

    return Logger()


class _Engine(Engine):
    """A plan of the bundle, deserialized: what both TensorRTs have in common."""

    DEVICE = "cuda"
    GIVES_PIXELS = True
    RUNTIME: ClassVar[Runtime]

    device: CudaDevice

    def __init__(self, device: CudaDevice, record: EngineRecord, plan: bytes) -> None:
        """Raises EngineError if the runtime does not take the plan on this device."""
        self._trt = self.RUNTIME.load()
        self.device = device
        self.precision = record.precision
        self.rules = _rules(record)
        self._logger = make_logger(self._trt)
        with device:
            self._runtime = self._trt.Runtime(self._logger)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise self._logger.error(f"{self.RUNTIME.title} refuses {record.file}")
            self._prepare(plan)
        self._lock = threading.Lock()
        self._idle: list[Any] = []  # contexts of slots that are no more
        self._scratch: weakref.WeakKeyDictionary[Pipeline, DeviceMemory] = weakref.WeakKeyDictionary()

    @classmethod
    def open(cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options) -> "_Engine":
        """The engine of `upscaler` that the bundle holds, by default in half precision."""
        cls.version()
        record = _find_record(cls.RUNTIME, bundle, upscaler, dtype, options)
        device = open_device(options.ordinal)
        _check_built_for(cls.RUNTIME, bundle, record, device)
        _check_memory(cls.RUNTIME, bundle, record, options.memory_limit)
        try:
            plan = bundle.read(record.file)
        except BundleError as error:  # other engines may need no plan
            raise EngineError(str(error)) from error
        return cls(device, record, plan)

    def bind(self, pipeline: Pipeline, slot: int) -> Callable[[], None]:
        """A function that queues the network's work on the tile in `slot`."""
        addresses = {
            "pixels": pipeline.device_input(slot),
            "upscaled": pipeline.device_output(slot),
            "check": pipeline.device_check(slot),
        }
        with self._lock, self.device:
            scratch = self._scratch_of(pipeline)
            # One for each slot, so that what TensorRT records of a run stays good for the next one.
            context = self._idle.pop() if self._idle else self._create_context()
            weakref.finalize(pipeline, self._idle.append, context)
            context.set_device_memory(scratch.address, scratch.bytes)
            for name, address in addresses.items():
                if not context.set_tensor_address(name, address):
                    raise self._logger.error(f"{self.RUNTIME.title} has no tensor {name!r}")
        return functools.partial(self._enqueue, context, pipeline.stream)

    def _enqueue(self, context: Any, stream: int) -> None:
        with self.device:
            if not context.execute_async_v3(stream):
                raise self._logger.error(f"{self.RUNTIME.title} failed")

    def _scratch_of(self, pipeline: Pipeline) -> DeviceMemory:
        """Memory for activations, for as long as the pipeline lives: its slots are computed in turn."""
        scratch = self._scratch.get(pipeline)
        if scratch is None:
            scratch = self.device.allocate(max(1, self._engine.device_memory_size_v2))
            self._scratch[pipeline] = scratch
        return scratch

    def _prepare(self, plan: bytes) -> None:
        """Called once, when the engine is there."""

    def _create_context(self) -> Any:
        """A context without memory of its own for activations; the device's is current."""
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        return self._checked(self._engine.create_execution_context(strategy))

    def _checked(self, context: Any) -> Any:
        if context is None:
            raise self._logger.error(f"{self.RUNTIME.title} cannot prepare the engine")
        return context


class TensorRtEngine(_Engine):
    """TensorRT: engines for the GPU model that they were built on."""

    NAME = _CLASSIC.name
    RUNTIME = _CLASSIC

    @staticmethod
    def version() -> str:
        """Of the installed TensorRT; raises EngineUnavailableError if there is none."""
        return _CLASSIC.version()


class TensorRtRtxEngine(_Engine):
    """TensorRT for RTX: portable engines, whose kernels are compiled for the GPU at hand, and kept."""

    NAME = _RTX.name
    RUNTIME = _RTX

    @staticmethod
    def version() -> str:
        """Of the installed TensorRT for RTX; raises EngineUnavailableError if there is none."""
        return _RTX.version()

    def _prepare(self, plan: bytes) -> None:
        self._config = self._engine.create_runtime_config()
        self._config.set_execution_context_allocation_strategy(
            self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        self._config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache = self._config.create_runtime_cache()
        self._kernels = _KernelCache(self.device, self.version(), plan)
        if self._kernels.content is not None and not self._cache.deserialize(self._kernels.content):
            _log.info("kernels in %s are not for this GPU and driver: compiling them", self._kernels.path)
        self._config.set_runtime_cache(self._cache)

    def _create_context(self) -> Any:
        context = self._checked(self._engine.create_execution_context(self._config))
        self._kernels.save(bytes(self._cache.serialize()))
        return context


class _KernelCache:
    """A file in the user's cache folder for what TensorRT for RTX compiled for a GPU; `content` is its bytes.

    Nothing that is wrong with it, or with the folder, keeps anybody from rendering.
    """

    def __init__(self, device: CudaDevice, version: str, plan: bytes) -> None:
        parts = (device.name, device.driver_version, version, hashlib.sha256(plan).hexdigest())
        name = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
        self.path = _cache_folder() / "tensorrt-rtx" / f"{name}.cache"
        self.content: bytes | None = None
        with contextlib.suppress(OSError):
            self.content = self.path.read_bytes()

    def save(self, content: bytes) -> None:
        """Keep `content`, where it is not what was kept already."""
        if content == self.content:
            return
        self.content = content
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(self.path) as temporary:
                temporary.write_bytes(content)
        except (OSError, OutputError) as error:
            _log.info("compiled kernels are not kept: %s", error)


def _cache_folder() -> Path:
    import platformdirs  # noqa: PLC0415 - comes with the extra that the runtime comes with

    return platformdirs.user_cache_path("ourgan_sdk")


def _rules(record: EngineRecord) -> WindowRules:
    height, width = record.window.height, record.window.width
    wide = cast("TileType", float_type(record.precision).name)
    return WindowRules(
        window=(height, width),
        bytes_per_pixel=-(-record.activation_bytes // (height * width)) or 1,
        on_device=True,
        slots=DEVICE_SLOTS,
        format=TileFormat(wide, record.output, interleaved=True),
    )


def _find_record(
    runtime: Runtime, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options
) -> EngineRecord:
    """What the bundle says of the engine that was asked for.

    Raises EngineUnavailableError if it has none, and EngineError if it was made of another network.
    """
    network = bundle.manifest.files[upscaler.file]
    records = {
        record.precision: record
        for record in bundle.manifest.engines
        if (record.runtime, record.network) == (runtime.name, upscaler.file)
        and record.output == ("uint8" if dtype == np.uint8 else float_type(record.precision).name)
    }
    wanted = _PREFERENCE if options.precision == "auto" else (options.precision,)
    record = next((records[precision] for precision in wanted if precision in records), None)
    if record is None:
        kind = "" if options.precision == "auto" else f"{options.precision} "
        raise EngineUnavailableError(
            f"the bundle holds no {kind}engine of {upscaler.file} for {runtime.title}: "
            f"{_build_command(runtime, bundle, options.precision)}"
        )
    if record.network_sha256 != network.sha256:
        raise EngineError(
            f"{record.file} was built from another {upscaler.file} than the bundle's: build it again with "
            f"{_build_command(runtime, bundle, record.precision)}"
        )
    return record


def _check_built_for(runtime: Runtime, bundle: Bundle, record: EngineRecord, device: CudaDevice) -> None:
    """Raises EngineError if it was built by another version than the one that is here, or for other GPUs."""
    again = f"build it again with {_build_command(runtime, bundle, record.precision)}"
    installed = runtime.version()
    if record.version != installed:
        raise EngineError(
            f"{record.file} was built by {runtime.title} {record.version}, {installed} is installed: {again}"
        )
    capability = ".".join(map(str, device.compute_capability))
    if capability not in record.compute_capabilities:
        raise EngineError(
            f"{record.file} was built for GPUs of compute capability "
            f"{', '.join(record.compute_capabilities)}; {device.name} has {capability}: {again}"
        )


def _check_memory(runtime: Runtime, bundle: Bundle, record: EngineRecord, memory_limit: int | None) -> None:
    """Raises EngineError if its activations alone take more than a render may."""
    if memory_limit is not None and record.activation_bytes > memory_limit:
        command = _build_command(runtime, bundle, record.precision)
        raise EngineError(
            f"{record.file} takes {record.activation_bytes} bytes of the GPU's memory, memory_limit is "
            f"{memory_limit}: allow more, or build it for smaller windows with {command} --memory BYTES"
        )


def _build_command(runtime: Runtime, bundle: Bundle, precision: str) -> str:
    chosen = "" if precision == "auto" else f" --precision {precision}"
    return f"python export/to_trt.py {bundle.path} --runtime {runtime.name}{chosen}"
