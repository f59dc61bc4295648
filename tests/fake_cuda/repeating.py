"""One engine on a pretended device, and its like on the host: both repeat every pixel 4 x 4 times."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ourgan_sdk import Bundle
from ourgan_sdk._core import Pipeline
from ourgan_sdk.arrays import Tensor
from ourgan_sdk.bundle import Upscaler
from ourgan_sdk.engines import Engine, HostEngine, Options, TileFormat, WindowRules
from tests.fake_cuda import FakeCuda

__all__ = ["CpuEngine", "DeviceEngine"]


class DeviceEngine(Engine):
    """Repeats every pixel, on the device of `fake`."""

    NAME, DEVICE, GIVES_PIXELS, precision = "repeating", "cuda", True, "fp16"
    fake: FakeCuda

    def __init__(self, dtype: np.dtype[Any]) -> None:
        output = "uint8" if dtype == np.uint8 else "float16"
        self.rules = WindowRules(
            on_device=True, slots=3, format=TileFormat("float16", output, interleaved=True)
        )
        self.device = self.fake.device()

    @staticmethod
    def version() -> str:
        return "1"

    @classmethod
    def open(
        cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options
    ) -> "DeviceEngine":
        return cls(dtype)

    def bind(self, pipeline: Pipeline, slot: int) -> Callable[[], None]:
        return lambda: self.fake.upscale(pipeline, slot)


class CpuEngine(HostEngine):
    """The same on the host, in its own way."""

    NAME, precision = "repeating", "fp32"
    rules = WindowRules()

    @staticmethod
    def version() -> str:
        return "1"

    @classmethod
    def open(cls, bundle: Bundle, upscaler: Upscaler, dtype: np.dtype[Any], options: Options) -> "CpuEngine":
        return cls()

    def bind_arrays(self, tile: Tensor, result: Tensor) -> Callable[[], None]:
        def run() -> None:
            result[...] = tile.astype(np.float16).repeat(4, axis=2).repeat(4, axis=3)

        return run
