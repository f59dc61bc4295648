"""Reading, checking and writing `.ourgan` bundles.

A bundle is a ZIP archive whose members are stored, not compressed: `manifest.json`, the ONNX networks, a
preview and, where some were built, engines. The manifest names every other member with its size and SHA-256.
Opening a bundle runs no code, extracts nothing to disk, and compares every size with what was declared before
it reads a byte of it.
"""

from .archive import Bundle
from .manifest import (
    Checkpoint,
    Coordinates,
    EngineRecord,
    Erf,
    FileEntry,
    Manifest,
    Photo,
    Pictures,
    Scale,
    SeamError,
    Structure,
    Training,
    Upscaler,
    Window,
)
from .networks import CheckSizes, Network
from .writing import add_engines, bundle_in_memory, save_bundle, write_bundle

__all__ = [
    "Bundle",
    "CheckSizes",
    "Checkpoint",
    "Coordinates",
    "EngineRecord",
    "Erf",
    "FileEntry",
    "Manifest",
    "Network",
    "Photo",
    "Pictures",
    "Scale",
    "SeamError",
    "Structure",
    "Training",
    "Upscaler",
    "Window",
    "add_engines",
    "bundle_in_memory",
    "save_bundle",
    "write_bundle",
]
