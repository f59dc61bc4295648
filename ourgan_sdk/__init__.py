"""Renders new pictures, of any size, of the kind that a bundle has learned from one photograph."""

from ._compiled import Box  # first: without the core it says what to do
from ._version import __version__
from .animation import Animation
from .bundle import Bundle, Manifest, save_bundle, write_bundle
from .canvas import Canvas, Level
from .errors import (
    BudgetError,
    BundleError,
    ClosedError,
    ClusterError,
    EngineError,
    EngineMemoryError,
    EngineUnavailableError,
    NonFiniteError,
    OurganError,
    OutputError,
    PhotographError,
    RenderCancelledError,
    RenderMemoryError,
    RenderTimeoutError,
    SizeError,
    ZarrError,
)
from .learning import learn
from .limits import set_limits
from .mask import Mask
from .progress import Progress, RenderStats
from .stopping import Cancel, to_thread
from .structure import Layout, StartPicture
from .synthesizer import Synthesizer
from .writers import ArrayWriter, Writer, open_writer

__all__ = [
    "Animation",
    "ArrayWriter",
    "Box",
    "BudgetError",
    "Bundle",
    "BundleError",
    "Cancel",
    "Canvas",
    "ClosedError",
    "ClusterError",
    "EngineError",
    "EngineMemoryError",
    "EngineUnavailableError",
    "Layout",
    "Level",
    "Manifest",
    "Mask",
    "NonFiniteError",
    "OurganError",
    "OutputError",
    "PhotographError",
    "Progress",
    "RenderCancelledError",
    "RenderMemoryError",
    "RenderStats",
    "RenderTimeoutError",
    "SizeError",
    "StartPicture",
    "Synthesizer",
    "Writer",
    "ZarrError",
    "__version__",
    "learn",
    "open_writer",
    "save_bundle",
    "set_limits",
    "to_thread",
    "write_bundle",
]
