"""The errors that this package raises on purpose; all of them derive from `OurganError`."""

__all__ = [
    "BudgetError",
    "BundleError",
    "ClosedError",
    "ClusterError",
    "EngineError",
    "EngineMemoryError",
    "EngineUnavailableError",
    "NonFiniteError",
    "OurganError",
    "OutputError",
    "PhotographError",
    "RenderCancelledError",
    "RenderMemoryError",
    "RenderTimeoutError",
    "SizeError",
    "ZarrError",
]


class OurganError(Exception):
    """Base of the package's own errors; the message is one sentence meant for a person."""


class BudgetError(OurganError, ValueError):
    """A memory limit is too small for any tile."""


class BundleError(OurganError):
    """A file is not a whole, well-formed bundle that this version can read."""


class ClosedError(OurganError, ValueError):
    """A synthesizer, or a canvas made from it, is used after it was closed."""


class ClusterError(OurganError):
    """A cluster cannot be used, or does not come to the end of what it was asked for."""


class EngineError(OurganError):
    """A network cannot be loaded or run on the runtime that was asked for."""


class EngineMemoryError(MemoryError, EngineError):  # in this order they pickle, also with tblib
    """An engine was refused the memory that a window takes."""


class EngineUnavailableError(EngineError):
    """A runtime is not installed, there is no device for it, or the bundle holds nothing made for it."""


class NonFiniteError(OurganError, ArithmeticError):
    """A network gave NaN or infinity, in float32 as well."""


class OutputError(OurganError):
    """A file cannot be written: its format, its folder or its disk does not allow it."""


class PhotographError(OurganError, ValueError):
    """A photograph cannot be read, is of a kind that programs show differently, or cannot be learned."""


class RenderCancelledError(OurganError):
    """A render was ended by its `cancel`; nothing of it is left, but for what `resume` keeps."""


class RenderMemoryError(MemoryError, OurganError):  # as above
    """A render was refused memory that smaller tiles would not save."""


class RenderTimeoutError(OurganError, TimeoutError):
    """A render was ended by its `timeout`; nothing of it is left, but for what `resume` keeps."""


class SizeError(OurganError, ValueError):
    """A width, height or size text is not one that can be rendered."""


class ZarrError(OurganError, ValueError):
    """A folder is no OME-Zarr of a picture of three channels, or it is damaged."""
