"""Networks back from checkpoints, without a trainer around them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
            return _structure(state["model"], preset, config["photo"]["height"], config["photo"]["width"])
        upscaler = RRDBNet(preset.upscaler.features, preset.upscaler.blocks, preset.upscaler.growth)
        upscaler.load_state_dict(state["generator"])
        return Restored(upscaler, [], [])
    except FileNotFoundError as e:
        raise RestoreError(f"there is no checkpoint {path}: has the run come that far?") from e
    except Exception as e:  # torch raises many kinds for a file that is not a checkpoint
        raise RestoreError(f"{path} is not a checkpoint of trainers.fit: {type(e).__name__}: {e}") from e


def _structure(state: dict[str, object], preset: Preset, height: int, width: int) -> Restored:
    config = preset.structure
    network = Structure(config.scales, config.channels, config.layers, config.latent)
    network.load_state_dict(state["network"])  # type: ignore[arg-type]
    sizes = scale_sizes(height, width, config.long_side, config.scales, config.factor)
    return Restored(network, sizes, list(state["deviations"]))  # type: ignore[call-overload]
