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

from ourgan_sdk import OurganError
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import log_to_stderr, say, steady_streams, warn
from trainers.bundling.onnx_export import ExportError, export_checkpoint
from trainers.runs.restore import RestoreError

OPTIONAL = "upscaler-second"  # not every preset has one for pass 2 alone
NAMES = ("structure", "upscaler-first", OPTIONAL, "upscaler-later")


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = Parser(description="Export trained networks to ONNX and compare them with PyTorch.")
    parser.add_argument("source", type=Path, metavar="RUN_OR_CHECKPOINT")
    options = parser.parse_args(arguments)
    log_to_stderr(logging.WARNING, "%(message)s")
    logging.getLogger("trainers").setLevel(logging.INFO)
    source: Path = options.source
    if source.is_dir():
        checkpoints = [source / "checkpoints" / f"{name}.pt" for name in NAMES]
        jobs = [
            (checkpoint, source / "onnx" / f"{checkpoint.stem}.onnx")
            for checkpoint in checkpoints
            if checkpoint.stem != OPTIONAL or checkpoint.exists()
        ]
    else:
        jobs = [(source, source.with_suffix(".onnx"))]
    try:
        for checkpoint, target in jobs:
            data = export_checkpoint(checkpoint)
            target.parent.mkdir(exist_ok=True)
            with atomic_file(target) as temporary:
                temporary.write_bytes(data)
            say(str(target))
    except (RestoreError, ExportError, OurganError, OSError) as e:
        warn(f"error: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
