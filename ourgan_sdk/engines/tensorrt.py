"""TensorRT and TensorRT for RTX: engines that `export/to_trt.py` has put into the bundle."""

import functools
import hashlib
import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import numpy as np

from .._core import CudaDevice, DeviceMemory, Pipeline
from ..bundle import Bundle, EngineRecord, Upscaler
from ..errors import BundleError, EngineError, EngineMemoryError, EngineUnavailableError
from ..system.cache import CacheFile, cache_folder
from ..system.forks import lock
from ..system.optional import import_optional
from .devices import open_device
from .gpu_memory import bytes_per_pixel, memory_of_render, resized
from .graphs.even_strips import ALIGNMENT
from .graphs.precision import float_type
from .own_plans import check_allowed
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
        return import_optional(self.module, self.title, f'"ourgan-sdk[{self.name}]"', EngineUnavailableError)

    def version(self) -> str:
        """Of the installed module; raises EngineUnavailableError if there is none."""
        return str(self.load().__version__)


_RTX = Runtime("tensorrt-rtx", "TensorRT for RTX", "tensorrt_rtx")
_CLASSIC = Runtime("tensorrt", "TensorRT", "tensorrt")

RUNTIMES = {runtime.name: runtime for runtime in (_RTX, _CLASSIC)}
"""By name, in order of preference."""


def make_logger(trt: Any, lines: list[str] | None = None) -> Any:
    """A logger for the module `trt`, which appends what is worth knowing to `lines`, if they are given."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        """`errors` say what went wrong: to be cleared before a call whose errors are wanted."""

        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT, from any of its threads."""
            if lines is not None and severity != trt.ILogger.VERBOSE:
                lines.append(message)
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
        self._lock = lock()
        self._bound: weakref.WeakKeyDictionary[Pipeline, _Bound] = weakref.WeakKeyDictionary()
        try:
            with device:
                self._runtime = self._trt.Runtime(self._logger)
                self._engine = self._runtime.deserialize_cuda_engine(plan)
                if self._engine is None:
                    raise self._logger.error(f"{self.RUNTIME.title} refuses {record.file}")
                self._prepare(plan)
                # The first context now, while there still is a choice of engines, should it fail.
                self._idle = [self._create_context()]  # those of slots that are not, or are no more
        except EngineError:
            raise
        except Exception as error:  # of any kind, where a version lacks what is used here
            raise EngineError(f"{self.RUNTIME.title} {self.version()} cannot be used: {error}") from error

    @classmethod
    def version(cls) -> str:
        """Of the installed runtime; raises EngineUnavailableError if there is none."""
        return cls.RUNTIME.version()

    @classmethod
    def open(cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options) -> "_Engine":
        """The engine of `upscaler` that the bundle holds, by default in half precision."""
        cls.version()
        records = _find_records(cls.RUNTIME, bundle, upscaler, dtype, options)
        device = open_device(options.ordinal)
        record = _first_usable(cls.RUNTIME, bundle, records, device, options.memory_limit)
        try:
            plan = bundle.read(record.file)
        except BundleError as error:  # other engines may need no plan
            raise EngineError(str(error)) from error
        check_allowed(f"{bundle.path}: {record.file}", plan, cache_folder(), allow=options.allow_plans)
        return cls(device, record, plan)

    def bind(self, pipeline: Pipeline, slot: int) -> Callable[[], None]:
        """A function that queues the network's work on the tile in `slot`."""
        addresses = {
            "pixels": pipeline.device_input(slot),
            "upscaled": pipeline.device_output(slot),
            "check": pipeline.device_check(slot),
        }
        with self._lock, self.device:
            self._logger.errors.clear()
            # One for each slot, so that a context's addresses and shapes are set once.
            context = self._idle.pop() if self._idle else self._create_context()
            shape = pipeline.input(slot).shape
            if not context.set_input_shape("pixels", shape):
                raise self._logger.error(f"{self.RUNTIME.title} takes no tiles of {shape}")
            bound = self._bind_context(pipeline, context)
            context.set_device_memory(bound.scratch.address, bound.scratch.bytes)
            for name, address in addresses.items():
                if not context.set_tensor_address(name, address):
                    raise self._logger.error(f"{self.RUNTIME.title} has no tensor {name!r}")
        return functools.partial(self._enqueue, context, pipeline.stream)

    def _enqueue(self, context: Any, stream: int) -> None:
        self._logger.errors.clear()
        with self.device:
            if not context.execute_async_v3(stream):
                raise self._logger.error(f"{self.RUNTIME.title} failed")

    def _bind_context(self, pipeline: Pipeline, context: Any) -> "_Bound":
        """What `pipeline` has for all its slots; `context`, whose shapes are set, is one of them now."""
        needed = self._scratch_bytes(context)
        bound = self._bound.get(pipeline)
        if bound is None:
            bound = _Bound(self.device.allocate(max(1, needed)))
            self._bound[pipeline] = bound
            weakref.finalize(pipeline, self._release, bound.contexts)
        bound.contexts.append(context)
        return bound

    def _scratch_bytes(self, context: Any) -> int:
        """What activations take for the shapes of `context`; where that is not told, for the largest."""
        if hasattr(context, "update_device_memory_size_for_shapes"):
            return int(context.update_device_memory_size_for_shapes())
        return int(self._engine.device_memory_size_v2)

    def _release(self, contexts: list[Any]) -> None:
        """A pipeline is no more; its contexts serve again."""
        self._idle.extend(contexts)

    def _prepare(self, plan: bytes) -> None:
        """Called once, when the engine is there."""

    def _create_context(self) -> Any:
        """A context without memory of its own for activations; the device's is current."""
        context = self._engine.create_execution_context(self._context_settings())
        # Only the first context has its profile, the only one, without being told.
        if context is None or not context.set_optimization_profile_async(0, self.device.stream):
            raise self._logger.error(f"{self.RUNTIME.title} cannot prepare the engine")
        return context

    def _context_settings(self) -> Any:
        return self._trt.ExecutionContextAllocationStrategy.USER_MANAGED


@dataclass(frozen=True)
class _Bound:
    """What a pipeline's slots compute with: memory for activations, in turn, and a context for each."""

    scratch: DeviceMemory
    contexts: list[Any] = field(default_factory=list)


class TensorRtEngine(_Engine):
    """TensorRT: engines for the GPU model that they were built on."""

    NAME = _CLASSIC.name
    RUNTIME = _CLASSIC


class TensorRtRtxEngine(_Engine):
    """TensorRT for RTX: portable engines, whose kernels are compiled for the GPU at hand, and kept."""

    NAME = _RTX.name
    RUNTIME = _RTX

    def _prepare(self, plan: bytes) -> None:
        self._config = self._engine.create_runtime_config()
        self._config.set_execution_context_allocation_strategy(
            self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        # CUDA graphs stay off: a capture would take in what other threads queue on the device's stream
        # meanwhile, and tiles take so long that their launches are ahead of the GPU without.
        # Kernels for a window's size are compiled before they are first used: by default others stand in
        # until then, whose pixels may differ.
        self._config.dynamic_shapes_kernel_specialization_strategy = (
            self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        self._cache = self._config.create_runtime_cache()
        gpu = self.device.name, self.device.driver_version
        self._kernels = CacheFile("tensorrt-rtx", *gpu, self.version(), hashlib.sha256(plan).hexdigest())
        self._kept = self._kernels.read()
        if self._kept is not None and not self._cache.deserialize(self._kept):
            _log.info("kernels in %s are not for this GPU and driver: compiling them", self._kernels.path)
        self._config.set_runtime_cache(self._cache)

    def _context_settings(self) -> Any:
        return self._config

    def _create_context(self) -> Any:
        context = super()._create_context()
        self._keep_kernels()
        return context

    def _release(self, contexts: list[Any]) -> None:
        super()._release(contexts)
        self._keep_kernels()  # those for a window's size are compiled by its first tile

    def _keep_kernels(self) -> None:
        content = self._cache.serialize()
        if content is not None and bytes(content) != self._kept:
            self._kept = bytes(content)
            self._kernels.write(self._kept)


def _rules(record: EngineRecord) -> WindowRules:
    height, width = record.window.height, record.window.width
    is_fixed = record.smallest_window == record.window
    wide = cast("TileType", float_type(record.precision).name)
    return WindowRules(
        alignment=1 if is_fixed else ALIGNMENT,
        window=(height, width) if is_fixed else None,
        max_side=None if is_fixed else min(height, width),
        bytes_per_pixel=bytes_per_pixel(record),
        on_device=True,
        slots=DEVICE_SLOTS,
        format=TileFormat(wide, record.output, interleaved=True),
    )


def _find_records(
    runtime: Runtime, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options
) -> list[EngineRecord]:
    """What the bundle says of the engines that were asked for, the preferred one first.

    Raises EngineUnavailableError if it has none.
    """
    records = {
        record.precision: record
        for record in bundle.manifest.engines
        if (record.runtime, record.network) == (runtime.name, upscaler.file)
        and record.output == ("uint8" if dtype == np.uint8 else float_type(record.precision).name)
    }
    wanted = _PREFERENCE if options.precision == "auto" else (options.precision,)
    found = [records[precision] for precision in wanted if precision in records]
    if not found:
        kind = "" if options.precision == "auto" else f"{options.precision} "
        raise EngineUnavailableError(
            f"the bundle holds no {kind}engine of {upscaler.file} for {runtime.title}: "
            f"{_build_command(runtime, bundle, options.precision)}"
        )
    return found


def _first_usable(
    runtime: Runtime,
    bundle: Bundle,
    records: Sequence[EngineRecord],
    device: CudaDevice,
    memory_limit: int | None,
) -> EngineRecord:
    """The first that can be used on the device; raises what is wrong with the first one if none can."""
    problems = []
    for record in records:
        try:
            _check_built_for(runtime, bundle, record, device)
            _check_memory(runtime, bundle, record, memory_limit)
        except EngineError as error:  # noqa: PERF203 - there are three
            problems.append(error)
        else:
            return record
    raise problems[0]


def _check_built_for(runtime: Runtime, bundle: Bundle, record: EngineRecord, device: CudaDevice) -> None:
    """Raises EngineError if it was built of another network, by another version, or for other GPUs."""
    again = f"build it again with {_build_command(runtime, bundle, record.precision)}"
    if record.network_sha256 != bundle.manifest.files[record.network].sha256:
        raise EngineError(f"{record.file} was built from another {record.network} than the bundle's: {again}")
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
    """Raises EngineError if a render takes more than it may even with the smallest windows."""
    if memory_limit is None:
        return
    together = [
        resized(other, other.smallest_window)
        for other in bundle.manifest.engines
        if (other.runtime, other.precision) == (record.runtime, record.precision)
    ]
    weights = sum(bundle.manifest.files[other.file].size for other in together)
    needed = memory_of_render(bundle.manifest, together, weights)
    if needed > memory_limit:
        command = _build_command(runtime, bundle, record.precision)
        raise EngineError(
            f"{record.precision} engines for {runtime.title} take {needed} bytes of the GPU's memory, "
            f"memory_limit is {memory_limit}: allow more, or build them for smaller windows with {command} "
            "--window WIDTHxHEIGHT"
        )


def _build_command(runtime: Runtime, bundle: Bundle, precision: str) -> str:
    chosen = "" if precision == "auto" else f" --precision {precision}"
    return f"python export/to_trt.py {bundle.path} --runtime {runtime.name}{chosen}"
