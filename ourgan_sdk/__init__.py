"""Renders new pictures, of any size, of the kind that a bundle has learned from one photograph."""

from ._compiled import Box, BudgetError, NonFiniteError  # first: without the core it says what to do
from ._version import __version__
from .bundle import Bundle, Manifest, save_bundle, write_bundle
from .canvas import Canvas
from .errors import BundleError, EngineError, OurganError, OutputError, PhotographError, SizeError
from .learning import learn
from .progress import Progress, RenderStats
from .structure import Layout
from .synthesizer import Synthesizer
from .writers import open_writer

__all__ = [
    "Box",
    "BudgetError",
    "Bundle",
    "BundleError",
    "Canvas",
    "EngineError",
    "Layout",
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
    "learn",
    "open_writer",
    "save_bundle",
    "write_bundle",
]
