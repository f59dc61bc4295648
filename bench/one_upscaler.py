"""One upscaler, trained outside of a fit: what benchmarks of the trainer's choices compare."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from trainers.networks import Upscaler, UpscalerSize
from trainers.perceptual import Perceptual
from trainers.photo import Photo
from trainers.presets import UpscalerConfig
from trainers.runs.run import Run
from trainers.upscalers.patches import Pair, Patches, make_pairs
from trainers.upscalers.teacher import balanced
from trainers.upscalers.upscaler import UpscalerTraining, train_upscaler

CPU = torch.device("cpu")


def train(
    photo: Photo,
    sizes: list[int],
    config: UpscalerConfig,
    steps: tuple[int, int],
    *,
    noise: float = 0.0,
    size: UpscalerSize | None = None,
    start: Upscaler | None = None,
    perceptual: Perceptual | None = None,
    taught: Sequence[Pair] = (),
    directory: Path | None = None,
) -> Upscaler:
    """An upscaler after ``steps`` of the L1 phase and of the adversarial one, with seed 0.

    ``sizes``: long sides that the photograph is trained at; ``size``: of the network (default: the later
    one's); ``start``: the network to start from; ``taught``: further pairs, by a teacher; ``directory``: of a
    run, new or of the same training, which goes on where it was stopped.
    """
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    pairs = balanced(make_pairs(photo, sizes, config.held_out), taught)
    patches = Patches(lambda _: pairs, config, noise, CPU)
    training = UpscalerTraining(config, size or config.later, steps, patches, perceptual)
    if start is not None:
        training.start_from(start)
    with opened_run(directory) as run:
        return train_upscaler(run, "upscaler", training)


@contextlib.contextmanager
def opened_run(directory: Path | None) -> Iterator[Run]:
    """The run in ``directory``, which need not be there yet; one that nobody keeps if there is none."""
    if directory is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Run.create(Path(folder) / "run", {"preset": {}}, CPU)
    elif (directory / "config.json").exists():
        yield Run.open(directory, CPU, keys=frozenset({"preset"}))
    else:
        yield Run.create(directory, {"preset": {}}, CPU)
