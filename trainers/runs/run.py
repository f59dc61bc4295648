"""A run directory: configuration, checkpoints, samples, metrics, progress.

RUN/config.json             preset, seed, photograph (path and hash)
RUN/checkpoints/PHASE.pt    newest state of each phase: weights, optimizers, RNG, position
RUN/checkpoints/PHASE-N.pt  the state after each part of a phase: structure scale N, an upscaler's L1 phase
RUN/samples/*.png           picture grids
RUN/erf-*.png               effective receptive fields of the upscalers
RUN/metrics.jsonl           one JSON object per line
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ourgan_sdk.progress import progress_bar
from ourgan_sdk.system.atomic import atomic_file
from ourgan_sdk.system.bar import Bar

from ..presets import Preset

PARTS = ("checkpoints", "samples")
KEYS = frozenset({"photo", "photograph", "output", "perceptual", "preset", "seed"})  # of a fit's config.json
PART = re.compile(r"-(\d+|l1)$")  # in the names of checkpoints of a phase's parts
CHECKPOINT_SECONDS = 120.0
UNSOUND_SECONDS = 1200.0  # the same while an error is rising
METRICS_EVERY = 10  # steps


M = TypeVar("M", bound=nn.Module)


class RunError(RuntimeError):
    """A run directory cannot be used as asked."""


class Terminated(KeyboardInterrupt):
    """SIGTERM has come; otherwise as Ctrl-C."""


def terminate(_number: int, _frame: FrameType | None) -> None:
    """What SIGTERM does in a training command, as Python's own handler for Ctrl-C."""
    raise Terminated


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within, SIGTERM raises Terminated, unless this is no main thread or somebody else handles it."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def place(module: M, device: torch.device) -> M:
    """``module`` on ``device``, its weights in the layout that convolutions like (channels last)."""
    module.to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    return module


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's generators, from which all of training draws."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_rng_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """The inverse of :func:`rng_state`."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's checkpoints have in common: all of its configuration but where its result goes."""
    return {name: value for name, value in config.items() if name != "output"}


class Run:
    """One run directory, and the clock of what happens in it."""

    def __init__(
        self, directory: Path, config: Mapping[str, Any], device: torch.device, *, quiet: bool = False
    ) -> None:
        self.directory = directory
        self.config = dict(config)
        self.device = device
        self.quiet = quiet
        self._last_checkpoint = self._started = time.monotonic()
        self._seconds_before = 0.0  # of earlier sessions that this one resumes
        self._interruption: type[KeyboardInterrupt] | None = None  # that waits for the next checkpoint
        self._tensorboard = self._open_tensorboard()

    @classmethod
    def create(
        cls, directory: Path, config: Mapping[str, Any], device: torch.device, *, quiet: bool = False
    ) -> Run:
        if (directory / "config.json").exists():
            raise RunError(
                f"{directory} already holds a run: give another directory, or --resume {directory}"
            )
        for part in PARTS:
            (directory / part).mkdir(parents=True, exist_ok=True)
        text = json.dumps(config, indent=2)
        with atomic_file(directory / "config.json") as path:
            path.write_text(text)
        return cls(directory, json.loads(text), device, quiet=quiet)

    @classmethod
    def open(
        cls, directory: Path, device: torch.device, *, quiet: bool = False, keys: frozenset[str] = KEYS
    ) -> Run:
        """An existing run, to go on with.

        Raises:
            RunError: ``directory`` is no run, or its configuration is broken or lacks one of ``keys``.
        """
        try:
            config = json.loads((directory / "config.json").read_text())
        except OSError as e:
            raise RunError(
                f"{directory} is not a run directory (no readable config.json): {e.strerror}"
            ) from e
        except ValueError as e:
            raise RunError(f"{directory / 'config.json'} is broken: {e}") from e
        if not isinstance(config, dict) or not config.keys() >= keys:
            raise RunError(
                f"{directory / 'config.json'} is broken or of another command: expected "
                f"{', '.join(sorted(keys))}"
            )
        for part in PARTS:
            (directory / part).mkdir(exist_ok=True)
        return cls(directory, config, device, quiet=quiet)

    @property
    def preset(self) -> Preset:
        """The preset that the run was started with; raises RunError where this version does not know it."""
        try:
            return Preset.from_dict(self.config["preset"])
        except TypeError as e:
            raise RunError(
                f"{self.directory / 'config.json'} is not of this version: {e}; start a new run"
            ) from e

    @property
    def seconds(self) -> float:
        """Time spent training, over all sessions of this run."""
        return self._seconds_before + time.monotonic() - self._started

    def _open_tensorboard(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - where it is installed
        except ImportError:
            return None
        return SummaryWriter(str(self.directory / "tensorboard"))

    def metrics(self, phase: str, step: int, values: Mapping[str, Tensor | float]) -> None:
        """Appends one line of numbers to the metrics log."""
        numbers = {name: float(value) for name, value in values.items()}
        line = {"time": round(time.time(), 3), "phase": phase, "step": step, **numbers}
        with (self.directory / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self._tensorboard is not None:
            for name, value in numbers.items():
                self._tensorboard.add_scalar(f"{phase}/{name}", value, step)

    def forget_metrics(self, phase: str, step: int) -> None:
        """Takes the lines of a phase from ``step`` on out of the log: these steps will be taken again."""
        path = self.directory / "metrics.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):  # a line that was cut short when the run was killed
                entry = json.loads(line)
                if entry["phase"] != phase or entry["step"] < step:
                    kept.append(line)
        with atomic_file(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept))

    def checkpoint_path(self, name: str) -> Path:
        return self.directory / "checkpoints" / f"{name}.pt"

    def save_checkpoint(self, name: str, state: Mapping[str, Any]) -> None:
        """Writes ``state``, the configuration, the time spent and the generators' states, atomically.

        Raises:
            RunError: the disk did not take it.
            KeyboardInterrupt: Ctrl-C or SIGTERM was waiting for this (:meth:`saving_when_interrupted`).
        """
        whole = {
            **state,
            "phase": PART.sub("", name),  # structure-3 is the structure's, too
            "config": self.config,
            "seconds": self.seconds,
            "rng": rng_state(self.device),
        }
        self.write_checkpoint(name, whole)
        self._last_checkpoint = time.monotonic()
        if self._interruption is not None and not PART.search(name):
            raise self._interruption

    def write_checkpoint(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes ``content`` and nothing else as checkpoint ``name``, atomically.

        Raises:
            RunError: the disk did not take it.
        """
        path = self.checkpoint_path(name)
        try:
            with atomic_file(path) as temporary:
                torch.save(content, temporary)
        except (RuntimeError, OSError) as e:  # torch's writer turns a full disk into a RuntimeError
            raise RunError(
                f"cannot write {path} ({e}); is the disk full? What was there before is kept"
            ) from e

    def load_checkpoint(self, name: str) -> dict[str, Any] | None:
        """The state of phase ``name``, or None where there is none; restores the generators' states."""
        path = self.checkpoint_path(name)
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as e:  # torch raises many kinds here; whatever it was, the file is not usable
            raise RunError(f"the checkpoint {path} is broken ({e}); delete it to repeat its phase") from e
        if state.get("phase") != name or settled(state["config"]) != settled(self.config):
            raise RunError(f"{path} is not this run's checkpoint of {name}; delete it to repeat that phase")
        set_rng_state(state["rng"], self.device)
        self._seconds_before, self._started = state["seconds"], time.monotonic()
        return state

    def checkpoint_due(self, *, sound: bool = True) -> bool:
        """Whether the last whole step should be saved now.

        One that is not ``sound``, as it may have begun to diverge, waits for some time, though not for ever:
        errors may also rise and stay there. It does not wait where Ctrl-C or SIGTERM waits for it.
        """
        interval = CHECKPOINT_SECONDS if sound else UNSOUND_SECONDS
        is_awaited = self._interruption is not None
        return is_awaited or time.monotonic() - self._last_checkpoint > interval

    @contextlib.contextmanager
    def saving_when_interrupted(self) -> Iterator[None]:
        """Within, Ctrl-C and SIGTERM end training once the next checkpoint is due and saved: after the step.

        A second one ends it at once. Nothing changes where Ctrl-C does not raise KeyboardInterrupt, or
        SIGTERM not Terminated: in other threads than the main one, and where somebody else handles or
        ignores it.
        """
        is_main = threading.current_thread() is threading.main_thread()
        raising = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: terminate}
        usual = {
            number: one for number, one in raising.items() if is_main and signal.getsignal(number) is one
        }

        def restore() -> None:
            for number, handler in usual.items():
                signal.signal(number, handler)

        def interrupt(number: int, _frame: FrameType | None) -> None:
            self._interruption = Terminated if number == signal.SIGTERM else KeyboardInterrupt
            restore()

        for number in usual:
            signal.signal(number, interrupt)
        try:
            yield
        finally:
            restore()
        if self._interruption is not None:
            raise self._interruption

    def save_samples(self, name: str, pictures: Tensor, columns: int = 4) -> None:
        """A grid of ``pictures`` (N, 3, H, W) in [0, 1] as samples/NAME.png."""
        with atomic_file(self.directory / "samples" / f"{name}.png") as path:
            grid(pictures, columns).save(path, "PNG")

    def progress(self, description: str, done: int, total: int) -> Bar:
        """A progress bar with a remaining-time estimate."""
        return progress_bar(total, description, done=done, unit="step", silent=self.quiet)


def grid(pictures: Tensor, columns: int = 4, gap: int = 4) -> Image.Image:
    """``pictures`` (N, 3, H, W) in [0, 1] side by side on white."""
    tiles = (pictures.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    count, height, width, _ = tiles.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = tile
    return Image.fromarray(sheet)
