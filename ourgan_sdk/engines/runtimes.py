"""ONNX Runtime and OpenVINO, imported when they are first needed, and kept from reporting to their makers."""

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

from ..errors import EngineUnavailableError
from ..system.optional import import_optional

__all__ = ["import_onnxruntime", "import_openvino"]


def import_onnxruntime() -> Any:
    """The module; raises EngineUnavailableError if it is not installed, or does not load.

    On its import it would give this user a number, kept with a database in the cache folder, and look for a
    server to report to; unless the environment says otherwise, it does not.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    install = '"ourgan-sdk[cpu]", or "ourgan-sdk[cuda]" for a GPU'
    return import_optional("onnxruntime", "ONNX Runtime", install, EngineUnavailableError)


@functools.cache
def import_openvino() -> Any:
    """The module; raises EngineUnavailableError if it is not installed, or does not load."""
    install = '"ourgan-sdk[openvino]"'
    return import_optional(
        "openvino", "OpenVINO", install, EngineUnavailableError, _without_openvino_telemetry
    )


@contextlib.contextmanager
def _without_openvino_telemetry() -> Iterator[None]:
    """Hide the package by which OpenVINO, on its import, reports to its makers and writes to ~/intel.

    It does without. Whoever has imported that package before has decided otherwise.
    """
    name = "openvino_telemetry"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # which makes its import fail
    try:
        yield
    finally:
        del sys.modules[name]
