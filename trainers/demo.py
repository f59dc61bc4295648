"""The whole way in one command: photograph -> draft bundle -> large picture, with the time of each step.

    python -m trainers.demo photo.jpg --size 7680x4320

Without a photograph it learns the one that the sample bundle holds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ourgan_sdk import Bundle, BundleError, OurganError, Synthesizer
from ourgan_sdk._atomic import atomic_file
from ourgan_sdk.sizes import parse_size
from ourgan_sdk.synthesizer import sample_bundle

from . import fit
from .command_line import minutes

OUTPUT = Path("output")


class Steps:
    """What was done, and how long it took."""

    def __init__(self, seconds_before: float) -> None:
        self.rows = [("install", seconds_before)] if seconds_before else []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times a step and says that it begins."""
        print(f"== {name}", flush=True)
        started = time.perf_counter()
        yield
        self.rows.append((name, time.perf_counter() - started))

    def __str__(self) -> str:
        rows = [*self.rows, ("all", sum(seconds for _, seconds in self.rows))]
        return "\n".join(f"{name:<28} {minutes(seconds)}" for name, seconds in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m trainers.demo", description="Photograph to picture.")
    parser.add_argument("image", nargs="?", type=Path)
    parser.add_argument("--size", default="7680x4320")
    parser.add_argument("--install-seconds", type=float, default=0.0, help="time that installing took before")
    options = parser.parse_args(arguments)
    steps = Steps(options.install_seconds)
    try:
        size = parse_size(options.size)
        OUTPUT.mkdir(exist_ok=True)
        image = options.image or sample_photograph()
        bundle = OUTPUT / f"{image.stem}.ourgan"
        with steps("fit a draft bundle"):
            status = fit.main([str(image), "--preset", "draft", "-o", str(bundle)])
        if status:
            return status
        picture = OUTPUT / f"{image.stem}-{size[0]}x{size[1]}.png"
        with steps(f"render {size[0]} x {size[1]}"):
            Synthesizer(bundle).render(*size, out=picture, progress=True)
    except (OurganError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{steps}\n\nbundle:  {bundle}\npicture: {picture}")
    return 0


def sample_photograph() -> Path:
    """The photograph of the packaged sample bundle, as a file."""
    bundle = Bundle.open(sample_bundle())
    file = bundle.manifest.photo.file
    if file is None:
        raise BundleError(f"{bundle.path}: holds no photograph to learn: give one")
    picture = OUTPUT / f"{bundle.path.stem}{Path(file).suffix}"
    with atomic_file(picture) as temporary:
        temporary.write_bytes(bundle.read(file))
    return picture


if __name__ == "__main__":
    sys.exit(main())
