"""Dask and its scheduler, imported when they are first needed."""

from typing import Any

from ..errors import ClusterError
from ..system.optional import import_optional

__all__ = ["import_dask", "import_distributed"]

_INSTALL = '"ourgan-sdk[dask]"'


def import_dask() -> Any:
    """The module `dask`, with `dask.array`; raises ClusterError where they are missing or do not load."""
    import_optional("dask.array", "Dask", _INSTALL, ClusterError)
    return import_optional("dask", "Dask", _INSTALL, ClusterError)


def import_distributed() -> Any:
    """The module `distributed`; raises ClusterError where it is not installed or does not load."""
    return import_optional("distributed", "Dask's scheduler, distributed,", _INSTALL, ClusterError)
