"""A preset that trains in seconds, and `trainers.fit` with it: `python tests/tiny.py photo.png ...`."""

import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainers import fit, presets
from trainers.networks import UpscalerSize
from trainers.runs import run

TINY = replace(
    presets.DRAFT,
    structure=replace(
        presets.DRAFT.structure,
        long_side=48,
        scales=4,
        vae_scales=2,
        channels=8,
        layers=1,
        latent=8,
        vae_steps=6,
        gan_steps=6,
        decay=0.1,
    ),
    upscaler=replace(
        presets.DRAFT.upscaler,
        first=UpscalerSize("residual", 8, 1, None),
        second=UpscalerSize("residual", 8, 1, None),
        later=UpscalerSize("residual", 8, 1, None),
        pretrained=False,
        tuning_l1_steps=0,
        l1_steps=6,
        gan_steps=6,
        first_share=0.5,
        batch=2,
        patch=48,
        margin=2,
        adversarial_share=0.5,
        lpips=0.0,
        discriminator_channels=4,
    ),
)


def use_tiny_preset() -> None:
    presets.PRESETS["draft"] = TINY
    torch.set_num_threads(1)  # the networks are so small that two threads only wait for each other


def train_step_by_step(arguments: list[str]) -> None:
    """`trainers.fit` with a checkpoint after every step, up to where the networks are trained."""
    use_tiny_preset()
    run.CHECKPOINT_SECONDS = 0.0
    fit.assemble = lambda _run, _photo, _trained, output: output.touch()
    sys.exit(fit.main(arguments))


class InterruptedBackward:
    """``torch.autograd.backward``, in whose call number ``stop_at`` comes Ctrl-C, or another signal."""

    def __init__(self, stop_at: int, number: signal.Signals = signal.SIGINT) -> None:
        self.backward, self.stop_at, self.calls = torch.autograd.backward, stop_at, 0
        self.number = number

    def __call__(self, loss: torch.Tensor) -> None:
        self.calls += 1
        if self.calls == self.stop_at:
            signal.raise_signal(self.number)
        self.backward(loss)


def write_photo(path: Path, height: int = 200, width: int = 300) -> Path:
    """A landscape: a sky that brightens downwards, dark ground with texture."""
    generator = np.random.default_rng(3)
    rows = np.linspace(0, 1, height)[:, None, None]
    sky = rows * [0.5, 0.3, 0.1] + [0.2, 0.3, 0.7]
    ground = generator.uniform(0.05, 0.3, (height, width, 1)) * [1.0, 0.8, 0.5]
    ridge = 0.6 + 0.1 * np.sin(np.arange(width) / 30)
    picture = np.where(rows < ridge[None, :, None], sky + np.zeros((1, width, 1)), ground)
    Image.fromarray((picture * 255).astype(np.uint8)).save(path)
    return path


if __name__ == "__main__":
    use_tiny_preset()
    sys.exit(fit.main(sys.argv[1:]))
