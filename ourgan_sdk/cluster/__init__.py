"""Canvases on Dask: as arrays of it, and rendered by the workers of a cluster into one output.

Nothing else of this package imports it but `Canvas.to_dask` and the command `ourgan render`.
"""

from .array import to_dask
from .clusters import connected, local_workers
from .rendering import check_suffix, save

__all__ = ["check_suffix", "connected", "local_workers", "save", "to_dask"]
