"""Photograph -> draft bundle -> large picture, in one command, with the time of each step.

    python -m trainers.demo photo.jpg --size 7680x4320

Without a photograph it learns the one that the sample bundle holds. `make demo` renders a picture without
training first, and says here where it lies and how long that took.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ourgan_sdk import Bundle, BundleError, OurganError, Synthesizer
from ourgan_sdk.bundle.replacing import reason_to_keep
from ourgan_sdk.sizes import parse_size
from ourgan_sdk.synthesizer import sample_bundle
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.parser import Parser
from ourgan_sdk.system.streams import say, steady_streams, warn

from . import fit
from .command_line import minutes

OUTPUT = Path("output")


STEPS_BEFORE = ("install what rendering needs", "render without training", "install the trainers")


class Steps:
    """What was done, and how long it took.

    `moments` (seconds since 1970) are when the whole began and when each of STEPS_BEFORE ended, or nothing.
    """

    def __init__(self, moments: Sequence[float] = ()) -> None:
        self._began = moments[0] if moments else time.time()
        self.rows = [
            (name, end - start) for name, start, end in zip(STEPS_BEFORE, moments, moments[1:], strict=False)
        ]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times a step and says that it begins."""
        say(f"== {name}")
        started = time.perf_counter()
        yield
        self.rows.append((name, time.perf_counter() - started))

    def __str__(self) -> str:
        rows = [*self.rows, ("all, with starting up", time.time() - self._began)]
        return "\n".join(f"{name:<30} {minutes(seconds)}" for name, seconds in rows)


@steady_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = Parser(prog="python -m trainers.demo", description="Photograph to picture.")
    parser.add_argument("image", nargs="?", type=Path)
    parser.add_argument("--size", default="7680x4320")
    parser.add_argument("--first", type=Path, help="the picture that was rendered without training")
    parser.add_argument(
        "--moments",
        nargs=len(STEPS_BEFORE) + 1,
        type=float,
        default=(),
        help=f"when all began and when these had ended: {', '.join(STEPS_BEFORE)}",
    )
    options = parser.parse_args(arguments)
    steps = Steps(options.moments)
    try:
        size = parse_size(options.size)
        OUTPUT.mkdir(exist_ok=True)
        image = options.image or sample_photograph()
        name = free_name(image)
        bundle = OUTPUT / f"{name}.ourgan"
        with steps("fit a draft bundle"):
            status = fit.main([str(image), "--preset", "draft", "-o", str(bundle)])
        if status:
            return status
        picture = OUTPUT / f"{name}-{size[0]}x{size[1]}.png"
        with steps("render from the bundle"):
            Synthesizer(bundle).render(*size, out=picture, progress=True)
    except (OurganError, OSError) as e:
        warn(f"error: {e}")
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"\n{steps}\n")
    if options.first:
        say(f"without training: {options.first}")
    say(f"trained:          {picture}\nbundle:           {bundle}")
    return 0


def free_name(image: Path) -> str:
    """What the results are called: as the photograph, with a number where another one's are called so."""
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    names = (image.stem if number == 1 else f"{image.stem}-{number}" for number in itertools.count(1))
    return next(name for name in names if not reason_to_keep(OUTPUT / f"{name}.ourgan", sha256, trained=True))


def sample_photograph() -> Path:
    """The photograph of the packaged sample bundle, as a file."""
    bundle = Bundle.open(sample_bundle())
    file = bundle.manifest.photograph
    if file is None:
        raise BundleError(f"{bundle.path}: holds no photograph to learn: give one")
    picture = OUTPUT / f"sample{Path(file).suffix}"
    with atomic_file(picture) as temporary:
        temporary.write_bytes(bundle.read(file))
    return picture


if __name__ == "__main__":
    sys.exit(main())
