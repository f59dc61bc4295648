"""OpenVINO on the CPU, in float32 or, where the processor can, largely in bfloat16."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import normal, resample
from .._version import __version__
from ..arrays import Tensor
from ..bundle import Bundle, CheckSizes, Upscaler
from ..errors import EngineError, EngineMemoryError, EngineUnavailableError
from ..photograph import decode_photograph
from ..stopping import check_stop
from ..system.cache import CacheFile
from ..system.forks import PerProcess, lock, undisturbed
from .onnxruntime import OnnxRuntimeEngine
from .openvino_bf16 import convert_body
from .protocol import HostEngine, Options, Precision, any_sizes
from .rules import WindowRules
from .runtimes import import_openvino
from .structure_feeds import structure_feeds

__all__ = ["OpenVinoEngine"]

_log = logging.getLogger(__name__)

SHARE_WITHIN_A_LEVEL = 0.999
"""Of a picture's pixels: how many bf16 may at least not move by more than an 8-bit level from fp32."""

SIDE = 48
"""Of the window, in input pixels, on which that is measured."""

_MOST_WINDOWS = 4
"""Window sizes for which the network is kept compiled: weights are repacked for each. A render takes one or
two of each upscaler."""

_POLL_MILLISECONDS = 100

_MEMORY_SIGNS = ("bad_alloc", "Failed to allocate", "can't alloc", "Resource temporarily unavailable")
"""What OpenVINO says, in an exception of no other kind, where it is refused memory."""


class OpenVinoEngine(HostEngine):
    """A network that OpenVINO compiles for each window size; several threads' tiles run one after the other.

    Results do not depend on the number of threads. Memory of activations is less than ONNX Runtime's, which
    is what bundles tell, so that both cut a picture into the same tiles.
    """

    NAME = "openvino"

    rules = WindowRules()

    def __init__(
        self,
        network: bytes,
        precision: Precision = "fp32",
        threads: int | None = None,
        check: CheckSizes = any_sizes,
    ) -> None:
        """`check` is called with the sizes of inputs before anything is done for them.

        Raises EngineUnavailableError if there is no such precision here, EngineError.
        """
        _check_precision(precision)
        self.precision: Precision = precision
        self._check = check
        self._core = _core()
        with undisturbed(), _errors("cannot load the network"):
            self._model = self._core.read_model(network)
            inputs, outputs = len(self._model.inputs), len(self._model.outputs)
            if (inputs, outputs) != (1, 1):
                raise EngineError(
                    f"expected a network of one input and one output, got {inputs} and {outputs}"
                )
            whole = precision == "bf16" and not convert_body(self._model)
        self._options: dict[str, str | int] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if whole else "f32",
            "ENABLE_CPU_PINNING": False,  # two programs would be pinned to the same cores
        }
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._lock = lock()

    @staticmethod
    def version() -> str:
        """Of the installed OpenVINO; raises EngineUnavailableError if there is none."""
        return str(import_openvino().__version__).partition("-")[0]

    @classmethod
    def open(
        cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options
    ) -> "OpenVinoEngine":
        """The engine of `upscaler`; "auto" is bf16 where that is fast and looks the same, else fp32."""
        del dtype  # tiles are float32, whatever becomes of them
        import_openvino()  # which is told first, where it is missing
        network = bundle.network(upscaler.file)
        opened = functools.partial(cls, network.data, threads=options.threads, check=network.check_sizes)
        if options.precision != "auto":
            return opened(options.precision)
        if "BF16" in _capabilities():
            engine = opened("bf16")
            share = _kept_share(bundle, upscaler, lambda: engine._share_within_a_level(bundle, upscaler))
            is_close = share >= SHARE_WITHIN_A_LEVEL
            _log.info(
                "%s in %s: bf16 keeps %.3f %% of the pixels within one 8-bit level of fp32",
                *(upscaler.file, "bf16" if is_close else "fp32", 100 * share),
            )
            if is_close:
                return engine
        return opened("fp32")

    def bind_arrays(self, tile: Tensor, result: Tensor) -> Callable[[], None]:
        """A function that runs the network from `tile` into `result`."""
        self._check([tile.shape[2:]])
        tensor = import_openvino().Tensor
        with _errors("cannot compile the network"):
            request = self._compile(tile.shape).create_infer_request()
            request.set_input_tensor(tensor(tile, shared_memory=True))
            request.set_output_tensor(tensor(result, shared_memory=True))
        return _BoundRun(request, (tile, result))

    def _compile(self, shape: tuple[int, ...]) -> Any:
        """The network for inputs of `shape`: where that is fixed, activations take a third of the memory."""
        with self._lock:
            _core()  # says in a forked child that there is none
            kept = self._compiled
            compiled = kept.pop(shape, None)
            for other in kept.values():
                with contextlib.suppress(RuntimeError):  # it is busy
                    other.release_memory()
            if compiled is None:
                model = self._model.clone()
                model.reshape(list(shape))
                with undisturbed():
                    compiled = self._core.compile_model(model, "CPU", self._options)
                while len(kept) >= _MOST_WINDOWS:
                    del kept[next(iter(kept))]  # the one not asked for the longest time
            kept[shape] = compiled
        return compiled

    def _share_within_a_level(self, bundle: Bundle, upscaler: Upscaler) -> float:
        """How many pixels of an example stay within one 8-bit level of ONNX Runtime's float32."""
        example = _example(bundle, upscaler)
        one, other = (
            np.clip(engine.enlarge(example), 0, 1)
            for engine in (self, OnnxRuntimeEngine.of(bundle.network(upscaler.file)))
        )
        self._compiled.clear()  # no render has windows of this size
        return float(np.mean(np.abs(one - other).max(axis=1) <= 1 / 255))


@dataclass(frozen=True)
class _BoundRun:
    request: Any
    arrays: tuple[Tensor, Tensor]  # the request holds their addresses alone, this keeps them alive

    def __call__(self) -> None:
        """Run; Ctrl-C ends it at once."""
        with _errors("failed"):
            self.request.start_async()
            try:
                while not self.request.wait_for(_POLL_MILLISECONDS):
                    check_stop()
            except BaseException:
                self.request.cancel()
                with contextlib.suppress(RuntimeError):  # which says that it was cancelled
                    self.request.wait()
                raise


def _kept_share(bundle: Bundle, upscaler: Upscaler, measure: Callable[[], float]) -> float:
    """What `measure` gives, which takes seconds, or has given on this processor by the same software."""
    processor = _core().get_property("CPU", "FULL_DEVICE_NAME"), *sorted(_capabilities())
    software = __version__, OpenVinoEngine.version(), OnnxRuntimeEngine.version()
    file = CacheFile("bf16", bundle.sha256, upscaler.file, *processor, *software)
    content = file.read(most=32)
    with contextlib.suppress(ValueError):
        share = float(content or b"")
        if 0 <= share <= 1:
            return share
    share = measure()
    file.write(repr(share).encode())
    return share


def _check_precision(precision: Precision) -> None:
    """Raise EngineUnavailableError unless this engine computes in `precision` on this processor."""
    if precision not in ("fp32", "bf16"):
        raise EngineUnavailableError(f"computes in fp32 or bf16, not in {precision}")
    if precision == "bf16" and "BF16" not in _capabilities():
        raise EngineUnavailableError(
            "computes in fp32 alone here: the processor has no instructions for bf16"
        )


def _capabilities() -> list[str]:
    """What OpenVINO can use of this processor."""
    return list(_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _example(bundle: Bundle, upscaler: Upscaler) -> Tensor:
    """A window of what `upscaler` gets to see: a structure in pass 1, and what those before it make later."""
    picture = _middle(_structure(bundle), SIDE)
    for earlier in bundle.manifest.upscalers:
        if earlier.file == upscaler.file:
            break
        given = _with_noise(_middle(picture, SIDE // 2), earlier)
        picture = OnnxRuntimeEngine.of(bundle.network(earlier.file)).enlarge(given)
        picture = _middle(np.clip(picture, 0, 1), SIDE)
    return _with_noise(picture, upscaler)


def _with_noise(picture: Tensor, upscaler: Upscaler) -> Tensor:
    _, channels, height, width = picture.shape
    return picture + normal(channels, height, width, 1, 0, deviation=upscaler.noise_deviation)


def _structure(bundle: Bundle) -> Tensor:
    """That of seed 0, or the photograph at its size, where there is no network to make one."""
    structure, file = bundle.manifest.structure, bundle.manifest.photograph
    if structure is None:
        photograph = decode_photograph(bundle.read(file or ""), f"{bundle.path}: member {file!r}")
        reduced = resample(photograph.pixels, *bundle.manifest.base_size)
        return np.ascontiguousarray(reduced.transpose(2, 0, 1)[np.newaxis] / np.float32(255))
    return OnnxRuntimeEngine.of(bundle.network(structure.file)).run(structure_feeds(structure, None, 0))


def _middle(picture: Tensor, side: int) -> Tensor:
    """Of (1, C, h, w), at most `side` rows and columns."""
    y, x = (max(0, (length - side) // 2) for length in picture.shape[2:])
    return np.ascontiguousarray(picture[..., y : y + side, x : x + side])


@contextlib.contextmanager
def _errors(what: str) -> Iterator[None]:
    """Raise what OpenVINO raises as EngineError, or EngineMemoryError."""
    try:
        yield
    except RuntimeError as error:  # it has no exceptions of its own
        # All but the last line of its messages tells where in its source it happened.
        reason = str(error).strip().rpartition("\n")[2]
        kind = EngineMemoryError if any(sign in str(error) for sign in _MEMORY_SIGNS) else EngineError
        raise kind(f"OpenVINO {what}: {reason}") from error


_core: PerProcess[Any] = PerProcess(lambda: import_openvino().Core(), once="OpenVINO")
"""OpenVINO itself, once per process and for as long as that lives.

When its CPU plugin is loaded it sets a stack for signal handlers, and when it goes it puts back the one
before: of several that come and go, the last one leaves a stack that is no more, on which the next Ctrl-C
ends the process. It keeps threads for the next network, too, for which a forked child would wait in vain."""
