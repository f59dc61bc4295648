"""Training scale by scale, coarsest first: what all families of structures have in common.

Steps that are not finite are left out, and a scale that diverges starts once more with a lower learning rate
(:mod:`trainers.runs.stability`).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..photo import Photo, structure_pyramid
from ..runs.run import METRICS_EVERY, Run
from ..runs.stability import DivergedError, DriftWatch, GuardedOptimizer
from .model import Model

log = logging.getLogger(__name__)

Metrics = dict[str, Tensor]

SECOND_TRY = 0.2  # of the learning rate, where a scale diverged
# The reconstruction's mean squared error, of pictures in [-1, 1], that counts as diverged: this many times
# the lowest it has been, and at least an error of a tenth of the range.
DRIFT_FACTOR, DRIFT_FLOOR = 10.0, 0.04


class Scale(Protocol):
    """One scale in training, beside the model that it is a part of."""

    optimizers: dict[str, GuardedOptimizer]

    def step(self) -> Metrics:
        """One training step; one of its metrics is ``reconstruction``."""

    def finish(self) -> None:
        """After the last step: makes the model's weights those that stay. Twice is once."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


AnyModel = TypeVar("AnyModel", bound=Model)
AnyScale = TypeVar("AnyScale", bound=Scale)


def train_scales(
    run: Run,
    photo: Photo,
    model: AnyModel,
    make_scale: Callable[[AnyModel, list[Tensor], int, AnyScale | None], AnyScale],
) -> AnyModel:
    """Trains all scales, from where the run's checkpoint stands; returns the trained model.

    ``make_scale`` takes the model, the photograph's pyramid, the scale's number, and the scale before where
    that was trained just now. All that lies below is in the model by then.

    Raises:
        DivergedError: a scale diverged, and again with a lower learning rate; its checkpoints are good.
    """
    pyramid = [
        x.to(run.device, memory_format=torch.channels_last) for x in structure_pyramid(photo, model.sizes)
    ]
    saved = run.load_checkpoint("structure")
    if saved is not None:
        model.load_state_dict(saved["model"])
    first = saved["scale"] if saved is not None else 0
    scale: AnyScale | None = None
    for m in range(first, len(model.sizes)):
        resumed = saved if m == first else None
        if resumed is None:
            model.inherit(m)
        scale = make_scale(model, pyramid, m, scale)
        try:
            _train_scale(run, model, scale, m, pyramid=pyramid, saved=resumed)
        except DivergedError as e:
            path = run.checkpoint_path("structure")
            raise DivergedError(
                f"structure scale {m + 1} diverged twice: {e}; the last good state is in {path}"
            ) from e
    return model


def _train_scale(
    run: Run, model: Model, scale: Scale, m: int, *, pyramid: list[Tensor], saved: dict[str, Any] | None
) -> None:
    """One scale from its start or from a checkpoint; once again and slower where it diverges."""
    step, watch = 0, DriftWatch(DRIFT_FACTOR, DRIFT_FLOOR)
    start = copy.deepcopy({"model": model.state_dict(), "scale_state": scale.state_dict()})
    if saved is not None:
        step, start = saved["step"], saved["start"]
        scale.load_state_dict(saved["scale_state"])
        watch.load_state_dict(saved["watch"])
        run.load_checkpoint("structure")  # building the scale drew random numbers: set them back
    try:
        _take_steps(run, model, scale, m, step, pyramid=pyramid, watch=watch, start=start)
    except DivergedError as error:
        if start is None:
            raise
        log.warning("structure scale %d diverged (%s); once again with a lower learning rate", m + 1, error)
        model.load_state_dict(start["model"])
        scale.load_state_dict(start["scale_state"])
        slow_down(scale, SECOND_TRY)
        watch = DriftWatch(DRIFT_FACTOR, DRIFT_FLOOR)
        _take_steps(run, model, scale, m, 0, pyramid=pyramid, watch=watch, start=None)


def slow_down(scale: Scale, factor: float) -> None:
    """Multiplies the learning rates, which the optimizers' states keep."""
    for optimizer in scale.optimizers.values():
        for group in optimizer.optimizer.param_groups:
            group["lr"] *= factor


def _take_steps(
    run: Run,
    model: Model,
    scale: Scale,
    m: int,
    first_step: int,
    *,
    pyramid: list[Tensor],
    watch: DriftWatch,
    start: dict[str, Any] | None,
) -> None:
    """The steps of one scale; ``start``: what it would start again from, None where it has done so."""
    steps = model.config.steps(m)

    def save(name: str, step: int) -> None:
        run.save_checkpoint(
            name,
            {
                "model": model.state_dict(),
                "scale": m,
                "step": step,
                "scale_state": scale.state_dict(),
                "watch": watch.state_dict(),
                "start": start,
            },
        )

    height, width = model.sizes[m]
    description = f"structure {m + 1}/{len(model.sizes)} ({width} x {height})"
    run.forget_metrics(f"structure-{m}", first_step)
    with run.progress(description, first_step, steps) as bar:
        for step in range(first_step, steps):
            if step == model.config.final_step(m):
                slow_down(scale, model.config.final_rate)
            metrics = scale.step()
            watch.update(float(metrics["reconstruction"]))
            if step % METRICS_EVERY == 0 or step == steps - 1:
                run.metrics(f"structure-{m}", step, metrics)
            # Not behind the last step: what is saved there is the finished scale, below.
            if step + 1 < steps and run.checkpoint_due(sound=not watch.rising):
                save("structure", step + 1)
            bar.update()
    scale.finish()
    levels = model.reconstruction_levels(pyramid, m + 1)
    run.metrics(f"structure-{m}", steps, {"reconstruction_levels": levels})  # of the finished scale
    if first_step < steps:
        start = None
        save(f"structure-{m}", steps)
        with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
            run.save_samples(f"structure-{m}", model.sample(m + 1, 12))
        save("structure", steps)  # last: a run that is killed before it repeats the end of this scale
