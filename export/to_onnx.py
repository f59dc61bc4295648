"""PyTorch -> ONNX: the structure and the upscalers with dynamic sizes, compared with ONNX Runtime.

python export/to_onnx.py RUN              writes RUN/onnx/structure.onnx, upscaler-first.onnx, ...
python export/to_onnx.py CHECKPOINT.pt    writes CHECKPOINT.onnx beside it
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the checkout's root is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from ourgan_sdk import OurganError
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import log_to_stderr, say, steady_streams, warn
from trainers.bundling.onnx_export import ExportError, export_checkpoint
from trainers.runs.restore import RestoreError
from trainers.runs.run import Run, RunError
from trainers.upscalers.passes import roles


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = Parser(description="Export trained networks to ONNX and compare them with PyTorch.")
    parser.add_argument("source", type=Path, metavar="RUN_OR_CHECKPOINT")
    options = parser.parse_args(arguments)
    log_to_stderr(logging.WARNING, "%(message)s")
    logging.getLogger("trainers").setLevel(logging.INFO)
    source: Path = options.source
    try:
        jobs = jobs_of(source) if source.is_dir() else [(source, source.with_suffix(".onnx"))]
        for checkpoint, target in jobs:
            data = export_checkpoint(checkpoint)
            target.parent.mkdir(exist_ok=True)
            with atomic_file(target) as temporary:
                temporary.write_bytes(data)
            say(str(target))
    except (RestoreError, RunError, ExportError, OurganError, OSError) as e:
        warn(f"error: {e}")
        return 1
    return 0


def jobs_of(directory: Path) -> list[tuple[Path, Path]]:
    """The checkpoints of a run and what they become; raises RunError where it is no run."""
    preset = Run.open(directory, torch.device("cpu"), quiet=True).preset
    names = ["structure", *(role.name for role in roles(preset.upscaler, preset.structure.long_side))]
    return [(directory / "checkpoints" / f"{name}.pt", directory / "onnx" / f"{name}.onnx") for name in names]


if __name__ == "__main__":
    sys.exit(main())
