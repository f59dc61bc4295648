"""Renders new pictures, of any size, of the kind that a bundle has learned from one photograph."""

from ._compiled import Box, BudgetError, NonFiniteError  # first: without the core it says what to do
from ._version import __version__
from .bundle import Bundle, Manifest, write_bundle
from .canvas import Canvas
from .errors import BundleError, EngineError, OurganError, OutputError, PhotographError, SizeError
from .progress import Progress, RenderStats
from .synthesizer import Synthesizer
from .writers import open_writer

__all__ = [
    "Box",
    "BudgetError",
    "Bundle",
    "BundleError",
    "Canvas",
    "EngineError",
    "Manifest",
    "NonFiniteError",
    "OurganError",
    "OutputError",
    "PhotographError",
    "Progress",
    "RenderStats",
    "SizeError",
    "Synthesizer",
    "__version__",
    "open_writer",
    "write_bundle",
]
