"""Engines: upscalers compiled for a runtime, one module per runtime behind one protocol."""

from .protocol import PRECISIONS, Engine, HostEngine, Options
from .rules import TileFormat, WindowRules
from .selection import ENGINES, Opened, asked_engine, candidates, engine_names, open_first

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Engine",
    "HostEngine",
    "Opened",
    "Options",
    "TileFormat",
    "WindowRules",
    "asked_engine",
    "candidates",
    "engine_names",
    "open_first",
]
