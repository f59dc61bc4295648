"""What keeps a training from running away: steps that are not finite are not taken, and drift is noticed."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .run import RunError


class DivergedError(RunError):
    """A training does not come back by itself; its last checkpoint is good."""


class GuardedOptimizer:
    """An optimizer that no loss or gradient reaches that is not finite.

    ``clip`` limits the norm of all gradients together (infinite: no limit). A single bad step is left out,
    as a batch can be unlucky; ``patience`` of them in a row are a divergence.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, clip: float = math.inf, patience: int = 10) -> None:
        self.optimizer, self.clip, self.patience = optimizer, clip, patience
        self.skipped = 0  # in a row

    def step(self, loss: Tensor) -> bool:
        """One step down the gradient of ``loss`` (a scalar); whether it was taken.

        Where it was not, neither the weights nor the optimizer's state have changed. Old gradients are
        dropped before. The host waits for the device once.

        Raises:
            DivergedError: this is the last of ``patience`` steps in a row that could not be taken.
        """
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not math.isfinite(float(loss.detach() + norm)):
            self.skipped += 1
            if self.skipped >= self.patience:
                raise DivergedError(f"{self.skipped} losses or gradients in a row were not finite")
            return False
        self.skipped = 0
        if self.clip < math.inf:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.clip, norm)
        self.optimizer.step()
        return True

    def state_dict(self) -> dict[str, Any]:
        return {**self.optimizer.state_dict(), "skipped": self.skipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict({k: v for k, v in state.items() if k != "skipped"})
        self.skipped = state["skipped"]


class DriftWatch:
    """Notices that a value which should fall, such as a reconstruction's error, has risen for good.

    The value's running mean over about ``horizon`` updates may rise to ``factor`` times the lowest that it
    has been, and to ``floor`` at any rate: below that even a rise is harmless.
    """

    def __init__(self, factor: float, floor: float, horizon: int = 50) -> None:
        self.factor, self.floor, self.horizon = factor, floor, horizon
        self.count, self.mean, self.lowest = 0, 0.0, math.inf
        self.latest = 0.0

    @property
    def limit(self) -> float:
        """What the running mean may not exceed."""
        return max(self.factor * self.lowest, self.floor)

    @property
    def rising(self) -> bool:
        """Whether this may be the beginning of a divergence: no state to come back to later."""
        halfway = max(math.sqrt(self.factor) * self.lowest, self.floor / 2)
        return self.latest > self.limit or self.mean > halfway

    def update(self, value: float) -> None:
        """Takes the next value; one that is not finite is passed over, as the step it belongs to is.

        Raises:
            DivergedError: the running mean has risen too far.
        """
        if not math.isfinite(value):
            return
        self.count += 1
        self.latest = value
        self.mean += (value - self.mean) / min(self.count, self.horizon)
        if self.count >= self.horizon:
            self.lowest = min(self.lowest, self.mean)
        if self.mean > self.limit:
            raise DivergedError(f"an error that had fallen to {self.lowest:.3g} has risen to {self.mean:.3g}")

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean, "lowest": self.lowest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count, self.mean, self.lowest = state["count"], state["mean"], state["lowest"]
