"""GPUs, each opened once: engines on one share its stream, in which work is done in the order it comes."""

import functools
import threading

from .._core import CudaDevice
from ..errors import EngineError, EngineUnavailableError

__all__ = ["open_device"]

_lock = threading.Lock()


def open_device(ordinal: int) -> CudaDevice:
    """GPU number `ordinal`; raises EngineUnavailableError if there is none, EngineError if it fails."""
    with _lock:
        return _open(ordinal)


@functools.cache
def _open(ordinal: int) -> CudaDevice:
    count = CudaDevice.count()
    if ordinal < count:
        return CudaDevice(ordinal)
    if count:
        raise EngineError(f"expected a GPU from cuda:0 to cuda:{count - 1}, got cuda:{ordinal}")
    raise EngineUnavailableError("there is no NVIDIA GPU here, or no driver for it")
