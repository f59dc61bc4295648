"""Films of a photograph that moves: a random walk around what makes it (SinGAN, section 4)."""

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .arrays import Picture, Tensor
from .bundle import Structure
from .bundle.structure_inputs import structure_inputs
from .canvas import Canvas
from .progress import Progress, check_progress, reporting
from .sizes import check_integer, check_number
from .stopping import Cancel, stoppable
from .structure import Draw, Layout, StartPicture, cells_of, moved, reconstruction_feeds, walk
from .writers.film import Film, check_film, save_film

__all__ = ["MOST_FRAMES", "Animation", "Frames", "NetworkFrames", "PatchesFrames"]

MOST_FRAMES = 1 << 20

RATES = (0.1, 240.0)
"""Frames per second, least and most."""

_REACH = 2.0
"""Pixels of a structure of patches by which its parts move where the walk is at 1; it seldom is at 1 / 2."""


class Frames(Protocol):
    """Makes the canvases of a film."""

    def canvases(self) -> Iterator[Canvas]:
        """Those of all frames, in their order, anew."""


class Animation:
    """A film: `len(animation)` frames, uint8 (height, width, 3), made one by one as they are iterated over.

    Every iteration gives the same frames.
    """

    def __init__(
        self,
        frames: Frames,
        size: tuple[int, int],
        count: int,
        *,
        is_loop: bool,
        description: Mapping[str, object],
    ) -> None:
        """`size` is (width, height); `description` says in a file what the film was made of.

        Made by `Synthesizer.animation`, which tells what is raised.
        """
        self.width, self.height = size
        self.is_loop = is_loop
        self._description = description
        self._frames = frames
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Picture]:
        for canvas in self._frames.canvases():
            yield canvas.read()

    def thumbnails(self, size: int = 256) -> Iterator[Picture]:
        """The frames with at most `size` pixels on their long side."""
        for canvas in self._frames.canvases():
            yield canvas.thumbnail(size)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        rate: float = 10.0,
        quality: int = 90,
        first: int | None = None,
        progress: Progress = None,
        cancel: Cancel | None = None,
        timeout: float | None = None,
    ) -> Path:
        """Stream the film into a file or a folder, and return its path, made absolute.

        Its metadata says, as JSON, what it was made of (not in WebP).

        Args:
            path: .mp4, .gif or .webp, or the name of a folder for PNG files. MP4, GIF and WebP take the extra
                `animate`.
            rate: Frames per second, from 0.1 to 240.
            quality: From 1 to 100, of MP4 and WebP.
            first: Only so many frames of it, at least one.
            progress: True for a bar, or a function of (done, total) frames; more on all three:
                `Synthesizer.render`.
            cancel: Ends it once its `is_set()` is true; nothing half-written is left.
            timeout: Seconds after which it ends.

        Raises:
            OutputError: The file cannot be written, or a library is missing.
            TypeError, ValueError: `rate`, `quality` or `first` is not allowed.
            RenderCancelledError, RenderTimeoutError: `cancel` was set, or `timeout` is over.
            BundleError, EngineError, NonFiniteError: As for `Synthesizer.render`.
        """
        check_progress(progress)
        rate = check_number("the rate, in frames per second,", rate, *RATES)
        quality = check_integer("the quality", quality, 100)
        count = self._count
        if first is not None:
            count = min(check_integer("first", first, MOST_FRAMES), count)
        description = json.dumps(self._description)
        film = Film(self.width, self.height, rate, self.is_loop, quality, description)
        check_film(Path(path), film)
        with stoppable(cancel, timeout):
            return save_film(path, self._reported(count, progress), film)

    def _reported(self, count: int, progress: Progress) -> Iterator[Picture]:
        with reporting(progress, count, description="frames") as advance:
            for picture in itertools.islice(self, count):
                yield picture
                advance(1)


class NetworkFrames:
    """Those of a structure network: from scale `first` on, noise walks around what makes the photograph."""

    def __init__(
        self,
        canvas: Callable[[Draw], Canvas],
        reconstruction: Tensor,
        count: int,
        seed: int,
        first: int,
        **walking: Any,
    ) -> None:
        """`canvas` makes a frame, of a structure that is fed with what it is given draws."""
        self._canvas = canvas
        self._reconstruction = reconstruction
        self._count = count
        self._seed = seed
        self._first = first
        self._walking = walking

    def canvases(self) -> Iterator[Canvas]:
        """Those of all frames, in their order, anew."""
        walks = _Walks(self._reconstruction, self._count, self._seed, self._first, self._walking)
        for _ in range(self._count):
            walks.step()
            yield self._canvas(walks.draw)


class _Walks:
    """One of every scale, begun when the size of structures is known."""

    def __init__(
        self, reconstruction: Tensor, count: int, seed: int, first: int, walking: dict[str, Any]
    ) -> None:
        self._reconstruction = reconstruction
        self._count, self._seed, self._first, self._walking = count, seed, first, walking
        self._begun: dict[int, Iterator[Tensor]] = {}
        self._now: dict[int, Tensor] = {}
        self._frame = -1
        self._taken = -1

    def step(self) -> None:
        """On to the next frame."""
        self._frame += 1

    def draw(self, structure: Structure, size: tuple[int, int]) -> dict[str, Tensor]:
        """The inputs of the frame's structure, of a size that is the same for all."""
        feeds = reconstruction_feeds(self._reconstruction, structure, size)
        while self._taken < self._frame:
            self._taken += 1
            self._now = {m: next(one) for m, one in self._walks_of(structure, size).items()}
        for m, step in self._now.items():
            feeds[f"noise_{m}"] += np.float32(structure.scales[m].noise_deviation) * step
        return feeds

    def _walks_of(self, structure: Structure, size: tuple[int, int]) -> dict[int, Iterator[Tensor]]:
        if not self._begun:
            inputs = structure_inputs(structure, size)
            self._begun = {
                m: walk(
                    (inputs[m].channels, inputs[m].height, inputs[m].width),
                    self._count,
                    self._seed,
                    m,
                    **self._walking,
                )
                for m in range(self._first, len(structure.scales))
            }
        return self._begun


class PatchesFrames:
    """Those of structures of patches: parts of the photograph walk around where they are."""

    def __init__(
        self,
        canvas: Callable[[Layout], Canvas],
        photograph: Picture,
        count: int,
        seed: int,
        first: int,
        **walking: Any,
    ) -> None:
        """`canvas` makes a frame of a layout; `photograph` has the size of a structure."""
        self._canvas = canvas
        self._photograph = photograph
        self._count = count
        self._seed = seed
        self._first = first
        self._walking = walking

    def canvases(self) -> Iterator[Canvas]:
        """Those of all frames, in their order, anew."""
        cells = cells_of(self._photograph.shape[:2])
        with contextlib.closing(walk((2, *cells), self._count, self._seed, 0, **self._walking)) as steps:
            for step in steps:
                start = StartPicture(moved(self._photograph, step, _REACH), self._first)
                yield self._canvas(Layout(variety=0.0, start=start))
