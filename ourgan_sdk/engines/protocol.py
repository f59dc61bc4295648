"""What every engine can do, and what those on the host have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from .._core import CudaDevice, Pipeline
from ..arrays import Tensor
from ..bundle import Bundle, Upscaler
from ..errors import EngineError
from .rules import WindowRules

__all__ = ["PRECISIONS", "Engine", "HostEngine", "Options", "Precision", "any_sizes"]

Precision = Literal["fp32", "fp16", "bf16"]

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")


def any_sizes(_sizes: Sequence[tuple[int, int]]) -> None:
    """For networks that come from no bundle: whoever runs them knows what they take."""


@dataclass(frozen=True)
class Options:
    """What a caller asks of engines: "auto" leaves it to them."""

    device: str = "auto"
    """"cpu", "cuda" (the first GPU), or "cuda:1"."""
    precision: Precision | Literal["auto"] = "auto"
    threads: int | None = None
    """Of an engine on the host."""
    memory_limit: int | None = None
    """Bytes of a GPU's memory, where somebody has set a limit."""
    allow_plans: bool = False
    """Whether TensorRT's plans, which are programs, may be loaded whoever has built them."""

    def __post_init__(self) -> None:
        kind, _, ordinal = self.device.partition(":")
        is_number = ordinal.isascii() and ordinal.isdecimal()
        known = self.device in ("auto", "cpu", "cuda") or (kind == "cuda" and is_number)
        if not known:
            raise EngineError(f"expected a device of auto, cpu, cuda or cuda:1; got {self.device!r}")
        if self.precision not in ("auto", *PRECISIONS):
            expected = ", ".join(PRECISIONS)
            raise EngineError(f"expected a precision of auto, {expected}; got {self.precision!r}")

    @property
    def ordinal(self) -> int:
        """The number of the GPU."""
        return int(self.device.partition(":")[2] or 0)


class Engine(ABC):
    """An upscaler on a runtime; several threads may use it at once.

    Failures raise EngineError; where memory is what lacks, its subclass EngineMemoryError; where the runtime,
    the device or what the bundle would have to hold is not there, EngineUnavailableError.
    """

    NAME: ClassVar[str]
    """Of the runtime."""
    DEVICE: ClassVar[Literal["cpu", "cuda"]]
    GIVES_PIXELS: ClassVar[bool]
    """Whether an engine's output has the type of a picture, so that it takes one engine for each type."""

    precision: Precision
    rules: WindowRules
    device: CudaDevice | None
    """None: the host."""

    @staticmethod
    @abstractmethod
    def version() -> str:
        """Of the installed runtime."""

    @classmethod
    @abstractmethod
    def open(cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options) -> "Engine":
        """The engine of `upscaler`, whose results go into pictures of `dtype`, uint8 or uint16."""

    @abstractmethod
    def bind(self, pipeline: Pipeline, slot: int) -> Callable[[], None]:
        """A function that runs the tile in `slot`; on a device it puts it into `pipeline.stream`'s queue."""


class HostEngine(Engine):
    """An engine whose tiles are float32 arrays of the host."""

    DEVICE = "cpu"
    GIVES_PIXELS = False

    device = None

    @abstractmethod
    def bind_arrays(self, tile: Tensor, result: Tensor) -> Callable[[], None]:
        """A function that runs a network from `tile` (1, C, h, w) into `result` (1, C, 4h, 4w), in place.

        Both are contiguous; the function may be called again after `tile` has changed, and keeps both alive.
        """

    def bind(self, pipeline: Pipeline, slot: int) -> Callable[[], None]:
        """A function that runs the tile in `slot`."""
        return self.bind_arrays(pipeline.input(slot), pipeline.output(slot))

    def enlarge(self, picture: Tensor) -> Tensor:
        """(1, C, h, w) -> (1, C, 4h, 4w)."""
        _, channels, height, width = picture.shape
        result = np.empty((1, channels, 4 * height, 4 * width), np.float32)
        self.bind_arrays(picture, result)()
        return result
