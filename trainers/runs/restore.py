"""Networks back from checkpoints, without a trainer around them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..networks import AnyStructure, Upscaler
from ..presets import Preset
from ..structures.families import make_network
from ..upscalers.esrgan import LayoutError, read_upscaler


class RestoreError(RuntimeError):
    """A checkpoint is missing, broken, or of another kind."""


@dataclass(frozen=True)
class Restored:
    """A network, and for a structure its training sizes and noise deviations per scale."""

    network: AnyStructure | Upscaler
    sizes: list[tuple[int, int]]
    deviations: list[float]


def restore_network(path: Path) -> Restored:
    """The network in a checkpoint of ``trainers.fit`` or in a public one of ESRGAN, on the CPU.

    Raises:
        RestoreError: the file is missing, broken, or not such a checkpoint.
    """
    content = read_checkpoint(path)
    if not isinstance(content, dict) or "model" not in content:
        return Restored(_upscaler(path, content), [], [])
    try:
        preset = Preset.from_dict(content["config"]["preset"])
        photo = content["config"]["photo"]
        return _structure(content["model"], preset, photo["height"], photo["width"], content["scale"] + 1)
    except Exception as e:  # other programs' checkpoints differ in any way
        raise RestoreError(f"{path} is not a checkpoint of trainers.fit: {type(e).__name__}: {e}") from e


def restore_upscaler(path: Path) -> Upscaler:
    """The upscaler in a checkpoint, of this project or public (:mod:`trainers.upscalers.esrgan`), on the CPU.

    Raises:
        RestoreError: the file is missing or broken, or holds something else.
    """
    return _upscaler(path, read_checkpoint(path))


def read_checkpoint(path: Path) -> object:
    """What a .pt, .pth or .safetensors file holds, on the CPU; runs no code from it.

    Raises:
        RestoreError: the file is missing, or is no such file, or the package safetensors is.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file  # noqa: PLC0415 - where it is installed

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as e:
        raise RestoreError(f"{path} needs the package safetensors: pip install safetensors") from e
    except FileNotFoundError as e:
        raise RestoreError(f"there is no checkpoint {path}: {_found_instead(path.parent)}") from e
    except Exception as e:  # torch raises many kinds for a file that is not a checkpoint
        reason = str(e).splitlines()[0] if str(e) else ""
        raise RestoreError(
            f"{path} is not a checkpoint that can be read: {type(e).__name__}: {reason}"
        ) from e


def _found_instead(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.pt"))
    return f"{folder} holds {', '.join(names)}" if names else "has the run come that far?"


def _upscaler(path: Path, content: object) -> Upscaler:
    try:
        return read_upscaler(content)
    except LayoutError as e:
        raise RestoreError(f"{path} is not a checkpoint of an upscaler: {e}") from e


def _structure(state: dict[str, Any], preset: Preset, height: int, width: int, scales: int) -> Restored:
    """The structure's first ``scales`` scales: those that were trained."""
    sizes = preset.structure.sizes(height, width)
    network = make_network(preset.structure, len(sizes))
    network.load_state_dict(state["network"])
    network.generators = network.generators[:scales]
    network.noise_channels = network.noise_channels[:scales]
    return Restored(network, sizes[:scales], state["deviations"][:scales])
