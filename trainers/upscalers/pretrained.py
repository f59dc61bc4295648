"""Upscalers that a run starts from, kept in the run so that their files may go.

They come from ``--init``, or from ``trainers/weights``: what this project has pre-trained for its presets
(trainers/weights/README.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from ..networks import RRDBNet
from ..presets import UpscalerConfig
from ..runs.restore import RestoreError, restore_upscaler
from ..runs.run import Run

WEIGHTS = Path(__file__).parents[1] / "weights"
OURS = {"init": WEIGHTS / "upscaler-later.pth", "init_first": WEIGHTS / "upscaler-first.pth"}


@dataclass(frozen=True)
class Pretrained:
    """An upscaler, and the file that it came from."""

    network: RRDBNet
    file: str  # its name
    sha256: str

    def record(self) -> dict[str, str]:
        """What a run's configuration and a bundle's manifest say of it."""
        return {"file": self.file, "sha256": self.sha256}


def read_pretrained(path: Path) -> Pretrained:
    """Reads a checkpoint, of this project or public; raises RestoreError where it is neither."""
    network = restore_upscaler(path)
    return Pretrained(network, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def adopt_size(config: UpscalerConfig, pretrained: Collection[Pretrained]) -> UpscalerConfig:
    """``config`` with the features, blocks and growth of the networks that training starts from.

    Where these are another size, learning rates are at most the paper's.

    Raises:
        RestoreError: they are of different sizes.
    """
    networks = [one.network for one in pretrained]
    sizes = [(network.features, network.blocks, network.growth) for network in networks]
    if len(set(sizes)) > 1:
        found = "; ".join(f"{one.file} {size}" for one, size in zip(pretrained, sizes, strict=True))
        raise RestoreError(f"both upscalers must have the same features, blocks and growth, found {found}")
    ours = (config.features, config.blocks, config.growth)
    for features, blocks, growth in sizes:
        if (features, blocks, growth) != ours:  # the preset's rates suit its own size
            rate = min(config.learning_rate, UpscalerConfig.learning_rate)
            gan_rate = min(config.gan_learning_rate, UpscalerConfig.gan_learning_rate)
            config = replace(config, learning_rate=rate, gan_learning_rate=gan_rate)
        config = replace(config, features=features, blocks=blocks, growth=growth)
    return config


def keep(run: Run, name: str, pretrained: Pretrained) -> None:
    """Copies the network into the run's checkpoint ``name``; raises RunError where the disk is full."""
    run.write_checkpoint(name, {"params": pretrained.network.state_dict()})


def kept(run: Run, name: str) -> RRDBNet | None:
    """The network that the run keeps as ``name``, or None where it was started without.

    Raises:
        RestoreError: it is missing or broken.
    """
    return restore_upscaler(run.checkpoint_path(name)) if run.config.get(name) else None
