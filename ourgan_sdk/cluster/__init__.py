"""Canvases on Dask: as arrays of it, and rendered by the workers of a cluster into one output.

Nothing else of this package imports it but `Canvas.to_dask` and the command `ourgan render`.
"""

from .array import to_dask

__all__ = ["to_dask"]
