"""One picture that a cluster renders, as its workers know it, and what they do for it."""

import contextlib
import pickle
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._core import halved
from ..arrays import Picture
from ..canvas import Canvas
from ..errors import ClusterError, OurganError, OutputError, RenderCancelledError, RenderMemoryError
from ..structure import Base
from .outputs import Output
from .pyramid import Block
from .reference import CanvasReference, check_version
from .worker import canvas_of, forget

__all__ = ["Job", "check_worker", "merge_blocks", "render_block"]

_REFERENCE, _BASE, _PARTS = "canvas", "base", "parts"


@dataclass(frozen=True)
class Job:
    """A picture on its way to `path`, in a temporary `folder` beside it that all workers have to see.

    There also is what a worker's process reads once: the canvas called `token`, and its base.
    """

    path: Path
    folder: Path
    name: str
    """Of what is written there."""
    output: Output
    token: str

    def begin(self, reference: CanvasReference, base: Base) -> None:
        """Make all that workers need; raises OutputError if it cannot be written."""
        with self._naming():
            (self.folder / _PARTS).mkdir()
            (self.folder / _REFERENCE).write_bytes(pickle.dumps(reference))
            (self.folder / _BASE).mkdir()
            for name, array in base.items():
                np.save(self.folder / _BASE / name, array, allow_pickle=False)
            self.output.begin(self.folder / self.name)

    def canvas(self) -> Canvas:
        """The canvas, opened once per process."""
        return canvas_of(self.token, self._reference, self._base)

    def _reference(self) -> CanvasReference:
        # Whoever sends tasks can run what he likes here; the file is his, too.
        reference = pickle.loads((self.folder / _REFERENCE).read_bytes())  # noqa: S301
        if not isinstance(reference, CanvasReference) or reference.token != self.token:
            raise ClusterError(f"{self.folder} holds another canvas than this task is of")
        return reference

    def _base(self) -> Base:
        # Views of the files, which the canvas copies: up to a gigabyte that is not read into memory twice.
        files = (self.folder / _BASE).iterdir()
        return {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in files}

    def is_set(self) -> bool:
        """Whether whoever asked for the picture has left: his folder is gone. So it can `cancel` a render."""
        return not self.folder.exists()

    def render(self, block: Block) -> Picture | None:
        """Render a leaf, write the files of all that it covers, and return its half."""
        with self._naming():
            canvas = self.canvas()
            windows = canvas.plan.windows
            pixels = canvas.read(self.output.pyramid.below(block), cancel=self)
            if canvas.plan.windows != windows:
                forget(self.token)
                raise RenderMemoryError(
                    f"out of memory on {socket.gethostname()}: smaller tiles would do, but change the "
                    "picture; give memory_limit (--memory) what workers have, or workers more"
                )
            for level in range(block.level):
                for finer, part in self.output.pyramid.divided(block, pixels, level):
                    self._write(finer, part)
                pixels = halved(pixels)
            return self._written(block, pixels)

    def merge(self, block: Block, *halves: Picture) -> Picture | None:
        """Write the files of a block that is made of those halves, and return its own."""
        with self._naming():
            return self._written(block, self.output.pyramid.assembled(block, halves))

    def _written(self, block: Block, pixels: Picture) -> Picture | None:
        """The half of a block, once its files are written; of the last one, all levels are."""
        pyramid = self.output.pyramid
        self._write(block, pixels)
        if block.level < pyramid.top:
            return halved(pixels)
        for level in range(block.level + 1, len(pyramid.sizes)):
            pixels = halved(pixels)
            self._write(Block(level, 0, 0), pixels)
        return None

    def _write(self, block: Block, pixels: Picture) -> None:
        """Write a block's files, each of which takes its name when it is whole."""
        # So a block may be written again, by another worker as well, whatever has become of the first time.
        for name, data in self.output.files(self.name, block, pixels):
            part = self.folder / _PARTS / secrets.token_hex(8)
            part.write_bytes(data)
            part.replace(self.folder / name)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Turn all that may fail on a worker into errors that say what, and where."""
        try:
            yield
        except OurganError:
            raise
        except MemoryError as error:
            raise RenderMemoryError(
                f"out of memory on {socket.gethostname()} ({error}): give workers more"
            ) from error
        except OSError as error:
            if self.is_set():
                raise RenderCancelledError(f"{self.path} is not asked for any more") from error
            reason = error.strerror or str(error)
            raise OutputError(f"cannot write {self.path} on {socket.gethostname()}: {reason}") from error


def render_block(job: Job, block: Block) -> Picture | None:
    """A task: see `Job.render`."""
    return job.render(block)


def merge_blocks(job: Job, block: Block, *halves: Picture) -> Picture | None:
    """A task: see `Job.merge`."""
    return job.merge(block, *halves)


def check_worker(job: Job, version: str) -> str | None:
    """Why this worker cannot take part, if so; called before there is anything to do."""
    try:
        check_version(version)
        job.output.check()
        file = job.folder / _PARTS / secrets.token_hex(8)
        job._reference()
        file.touch()
        file.unlink()
    except OSError as error:
        return f"cannot write into {job.folder.parent}, where {job.path.name} is to be ({error})"
    except OurganError as error:
        return str(error)
    return None
