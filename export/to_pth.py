"""An upscaler -> a checkpoint in the public ESRGAN layout, for other programs (spandrel, chaiNNer, ...).

python export/to_pth.py RUN -o upscaler.pth            the upscaler of a run's later passes
python export/to_pth.py CHECKPOINT.pt -o upscaler.pth  any other, such as checkpoints/upscaler-first.pt
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

if __package__ in (None, ""):  # run as a script: the checkout's root is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ourgan_sdk import OurganError
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import say, steady_streams, warn
from trainers.networks import size_of
from trainers.runs.restore import RestoreError, restore_upscaler
from trainers.upscalers.esrgan import SUFFIXES, LayoutError, public_state


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = Parser(description="Save an upscaler in the public ESRGAN layout.")
    parser.add_argument("source", type=Path, metavar="RUN_OR_CHECKPOINT")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .pth file to write")
    options = parser.parse_args(arguments)
    source: Path = options.source
    if source.is_dir():
        source = source / "checkpoints" / "upscaler-later.pt"
    if options.output.suffix not in SUFFIXES:
        parser.error(f"{options.output}: a checkpoint's name ends in {' or '.join(SUFFIXES)}")
    try:
        network = restore_upscaler(source)
        state = public_state(network)
        with atomic_file(options.output) as temporary:
            torch.save(state, temporary)
    except (RestoreError, LayoutError, OurganError, OSError, RuntimeError) as e:
        warn(f"error: {e}")
        return 1
    say(f"{options.output}: {size_of(network)}, x4")
    return 0


if __name__ == "__main__":
    sys.exit(main())
