"""Networks back from checkpoints, without a trainer around them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .networks import RRDBNet, Structure
from .photo import scale_sizes
from .presets import Preset


class RestoreError(RuntimeError):
    """A checkpoint is missing, broken, or of another kind."""


@dataclass(frozen=True)
class Restored:
    """A network, and for a structure its training sizes and noise deviations per scale."""

    network: Structure | RRDBNet
    sizes: list[tuple[int, int]]
    deviations: list[float]


def restore_network(path: Path) -> Restored:
    """The network in a checkpoint of ``trainers.fit``, on the CPU.

    Raises:
        RestoreError: the file is missing, broken, or not such a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        config = state["config"]
        preset = Preset.from_dict(config["preset"])
        if "model" in state:
            photo = config["photo"]
            return _structure(state["model"], preset, photo["height"], photo["width"], state["scale"] + 1)
        upscaler = RRDBNet(preset.upscaler.features, preset.upscaler.blocks, preset.upscaler.growth)
        upscaler.load_state_dict(state["generator"])
        return Restored(upscaler, [], [])
    except FileNotFoundError as e:
        raise RestoreError(f"there is no checkpoint {path}: has the run come that far?") from e
    except Exception as e:  # torch raises many kinds for a file that is not a checkpoint
        raise RestoreError(f"{path} is not a checkpoint of trainers.fit: {type(e).__name__}: {e}") from e


def _structure(state: dict[str, Any], preset: Preset, height: int, width: int, scales: int) -> Restored:
    """The structure's first ``scales`` scales: those that were trained."""
    config = preset.structure
    network = Structure(
        config.scales, config.channels, config.layers, config.latent, vertical=config.vertical_coordinates
    )
    network.load_state_dict(state["network"])
    network.generators = network.generators[:scales]
    sizes = scale_sizes(height, width, config.long_side, config.scales, config.factor)
    return Restored(network, sizes[:scales], state["deviations"][:scales])
