"""The errors that this package raises on purpose; all of them derive from `OurganError`."""

__all__ = [
    "BundleError",
    "EngineError",
    "EngineMemoryError",
    "EngineUnavailableError",
    "OurganError",
    "OutputError",
    "PhotographError",
    "SizeError",
]


class OurganError(Exception):
    """Base of the package's own errors; the message is one sentence meant for a person."""


class BundleError(OurganError):
    """A file is not a whole, well-formed bundle that this version can read."""


class EngineError(OurganError):
    """A network cannot be loaded or run on the runtime that was asked for."""


class EngineMemoryError(EngineError, MemoryError):
    """An engine was refused the memory that a window takes."""


class EngineUnavailableError(EngineError):
    """A runtime is not installed, there is no device for it, or the bundle holds nothing made for it."""


class OutputError(OurganError):
    """A file cannot be written: its format, its folder or its disk does not allow it."""


class PhotographError(OurganError, ValueError):
    """A photograph cannot be read, is of a kind that programs show differently, or cannot be learned."""


class SizeError(OurganError, ValueError):
    """A width, height or size text is not one that can be rendered."""
