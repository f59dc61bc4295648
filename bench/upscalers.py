"""What pass 1's and the later upscaler of a run have learned, phase by phase, on the tasks of both.

Run it as ``python -m bench.upscalers RUN``; it prints one table. What is restored is the part of the
photograph that was held out of their training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ourgan_sdk import PhotographError
from trainers.metrics.restoration import Upscale, bicubic, make_task, score, task_sizes
from trainers.photo import load_photo
from trainers.runs.restore import RestoreError, restore_upscaler
from trainers.runs.run import Run, RunError

CHECKPOINTS = {  # an upscaler that starts from pre-trained weights may have no L1 phase
    "later after L1": "upscaler-later-l1",
    "later": "upscaler-later",
    "first after L1": "upscaler-first-l1",
    "first": "upscaler-first",
}


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory of trainers.fit")
    try:
        show(Run.open(parser.parse_args().run, torch.device("cpu"), quiet=True))
    except (PhotographError, RestoreError, RunError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def show(run: Run) -> None:
    """Scores of every upscaler that the run has; raises ValueError where nothing was held out."""
    preset, photo = run.preset, load_photo(run.config["photo"]["path"])
    if not preset.upscaler.held_out:
        raise ValueError(f"{run.directory}: its upscalers were trained on all of the photograph")
    upscalers: dict[str, Upscale] = {"bicubic": bicubic}
    for label, name in CHECKPOINTS.items():
        if run.checkpoint_path(name).exists():
            upscalers[label] = restore_upscaler(run.checkpoint_path(name))
    print(f"{'task':<16} {'upscaler':<16} {'PSNR, dB':>9} {'SSIM':>8} {'SWD':>7}")
    for name, long_side in task_sizes(photo, preset.structure.long_side):
        noise = preset.upscaler.noise if name == "first" else 0.0
        task = make_task(photo, preset.upscaler.held_out, long_side, noise)
        for label, upscale in upscalers.items():
            got = score(upscale, task)
            where = f"{name}, {long_side} px"
            print(f"{where:<16} {label:<16} {got.psnr:>9.2f} {got.ssim:>8.4f} {got.swd:>7.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
