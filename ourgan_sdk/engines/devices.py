"""GPUs, each opened once: engines on one share its stream, in which work is done in the order it comes."""

from .._core import CudaDevice
from ..errors import EngineError, EngineUnavailableError
from ..system.forks import PerProcess, lock

__all__ = ["open_device"]

_lock = lock()
_opened: PerProcess[dict[int, CudaDevice]] = PerProcess(dict)


def open_device(ordinal: int) -> CudaDevice:
    """GPU number `ordinal`; raises EngineUnavailableError if there is none, EngineError if it fails."""
    with _lock:
        opened = _opened()
        if ordinal not in opened:
            opened[ordinal] = _open(ordinal)
        return opened[ordinal]


def _open(ordinal: int) -> CudaDevice:
    count = CudaDevice.count()
    if ordinal < count:
        return CudaDevice(ordinal)
    if count:
        raise EngineError(f"expected a GPU from cuda:0 to cuda:{count - 1}, got cuda:{ordinal}")
    raise EngineUnavailableError(
        "there is no NVIDIA GPU here, no driver for it, or this process was forked from one that uses it"
    )
