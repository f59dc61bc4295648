"""Weights of published networks, from files that the user has or that come in packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import nn


def package_file(package: str, path: str) -> Path | None:
    """The file at ``path`` of an installed package, none of whose code is run; None where it is not there."""
    try:
        found = Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        return None
    return found if found.is_file() else None


def load_weights(network: nn.Module, path: str | Path, wanted: str) -> None:
    """Gives ``network`` its weights from the state dict in the file at ``path``, which may hold others, too.

    The network is frozen, in evaluation mode, afterwards. ``wanted`` says in errors which file is expected.

    Raises:
        ValueError: the file cannot be read, or lacks a weight, or has one of another shape.
    """
    names = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict({name: state[name] for name in names}, strict=False)
        damaged = [name for name in names if not network.state_dict()[name].isfinite().all()]
        if damaged:
            raise ValueError(f"{damaged[0]} is not finite")
    except OSError as e:
        raise ValueError(f"cannot read {path}, expected {wanted}: {e.strerror or e}") from e
    except KeyError as e:
        raise ValueError(f"{path} is not {wanted}: it has no {e}") from e
    except Exception as e:  # torch raises many kinds for a file that is not a checkpoint
        reason = str(e).strip().splitlines()[-1].strip() if str(e).strip() else type(e).__name__
        raise ValueError(f"{path} is not {wanted}: {reason[:200]}") from e
    network.eval().requires_grad_(False)
