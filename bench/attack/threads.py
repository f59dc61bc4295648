"""Threads that render, read, save, cancel, let time run out and close, on synthesizers shared and their own.

Every pixel that comes out is compared with what one thread alone has rendered before.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ourgan_sdk import (
    Box,
    Bundle,
    ClosedError,
    Layout,
    OurganError,
    RenderCancelledError,
    RenderTimeoutError,
    Synthesizer,
    set_limits,
)

from .counts import Counts, Outcome

THREADS = 6
PATIENCE = 60.0
"""Seconds in which an operation has to end."""
MEMORY_LIMIT = 24 << 20
SIDE = 256
"""Pixels of the photograph that is learned."""
SIZES = ((96, 64), (150, 110), (64, 200), (320, 200))
SEEDS = (0, 1)
ASKED = (RenderCancelledError, RenderTimeoutError, ClosedError)
"""What an operation that was cancelled, was too slow or came too late may end with."""


@dataclass(frozen=True)
class Case:
    """One picture, and how its synthesizer is opened."""

    detail: str
    size: tuple[int, int]
    seed: int
    symmetric: bool

    @property
    def layout(self) -> Layout | None:
        """What is asked of the layout."""
        return Layout(symmetric="x") if self.symmetric else None


@dataclass
class Attackers:
    """What the threads share: the bundle, the truth, the synthesizers that all of them use, the counts."""

    bundle: Bundle
    folder: Path
    counts: Counts
    left: int
    seed: int
    truth: dict[Case, np.ndarray[Any, Any]] = field(default_factory=dict)
    shared: dict[str, Synthesizer] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, detail: str) -> Synthesizer:
        """A synthesizer like those by which the truth was rendered."""
        return Synthesizer(
            self.bundle,
            engine="onnxruntime",
            memory_limit=MEMORY_LIMIT,
            detail=detail,  # type: ignore[arg-type]
        )

    def next_number(self) -> int | None:
        """Of the operations that are left."""
        with self.lock:
            self.left -= 1
            return self.left if self.left >= 0 else None

    def add(self, outcome: Outcome, fault: str) -> None:
        """One more."""
        with self.lock:
            self.counts.add(outcome, fault)


def attack(count: int, seed: int, folder: Path) -> Counts:
    """So many operations, drawn from the seed, shared out among threads as they come."""
    photograph = folder / "photograph.png"
    write_photograph(photograph, seed)
    attackers = Attackers(Synthesizer(photograph).bundle, folder, Counts("threads"), count, seed)
    for detail in ("photograph", "network"):
        attackers.shared[detail] = attackers.open(detail)
        for size in SIZES:
            for number in SEEDS:
                for symmetric in (False, True):
                    case = Case(detail, size, number, symmetric)
                    attackers.truth[case] = attackers.shared[detail].render(
                        *size, number, layout=case.layout, dtype=np.uint8
                    )
    set_limits(memory=6 * MEMORY_LIMIT, renders=THREADS - 1)
    try:
        _run(attackers)
    finally:
        set_limits()
    for path in folder.iterdir():
        if path != photograph:
            attackers.add("leftover", f"seed {seed}: {path.name}")
    return attackers.counts


def write_photograph(path: Path, seed: int) -> None:
    """A landscape of blotches under a sky, enough to be learned."""
    import pyvips  # noqa: PLC0415 - only here

    random = np.random.default_rng(seed)
    rows = np.linspace(0, 1, SIDE)[:, None, None]
    sky = np.array([200, 210, 240]) * (1 - 0.4 * rows) + np.zeros((SIDE, SIDE, 1))
    ground = random.integers(20, 90, (SIDE // 4, SIDE // 4, 3)).repeat(4, 0).repeat(4, 1)
    picture = np.where(rows < 0.55, sky, ground).astype(np.uint8)
    pyvips.Image.new_from_memory(picture, SIDE, SIDE, 3, "uchar").pngsave(str(path))


def _run(attackers: Attackers) -> None:
    begun: dict[int, tuple[float, str]] = {}
    threads = [
        threading.Thread(target=_work, args=(attackers, number, begun), daemon=True)
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    hung: set[int] = set()
    while any(thread.is_alive() for number, thread in enumerate(threads) if number not in hung):
        time.sleep(0.2)
        for number, (moment, what) in list(begun.items()):
            if number not in hung and time.monotonic() - moment > PATIENCE:
                hung.add(number)
                attackers.add("hung", what)


def _work(attackers: Attackers, thread: int, begun: dict[int, tuple[float, str]]) -> None:
    own = {detail: attackers.open(detail) for detail in attackers.shared}
    while (number := attackers.next_number()) is not None:
        random = np.random.default_rng((attackers.seed, number))
        case = list(attackers.truth)[random.integers(len(attackers.truth))]
        operation = OPERATIONS[random.integers(len(OPERATIONS))]
        whose = "shared" if random.random() < 0.6 else "own"
        synthesizer = (attackers.shared if whose == "shared" else own)[case.detail]
        what = f"seed {attackers.seed}, operation {number}: {operation.__name__} of {case}, {whose}"
        begun[thread] = time.monotonic(), what
        try:
            is_right = all(operation(attackers, synthesizer, case, random, number))
        except ASKED:
            attackers.add("refused", what)
        except OurganError as error:
            attackers.add("crashed", f"{what}: {type(error).__name__}: {error}")
        except BaseException as error:  # noqa: BLE001 - whatever it is
            attackers.add("crashed", f"{what}: {type(error).__name__}: {error}")
        else:
            attackers.add("harmless" if is_right else "silent", what)
        finally:
            del begun[thread]


Operation = Callable[[Attackers, Synthesizer, Case, np.random.Generator, int], Iterator[bool]]
"""Yields whether what came out is right."""


def _canvas(synthesizer: Synthesizer, case: Case) -> Any:
    return synthesizer.canvas(*case.size, case.seed, layout=case.layout)


def render(
    attackers: Attackers, synthesizer: Synthesizer, case: Case, _random: np.random.Generator, _number: int
) -> Iterator[bool]:
    """Whole."""
    picture = synthesizer.render(*case.size, case.seed, layout=case.layout)
    yield np.array_equal(picture, attackers.truth[case])


def read(
    attackers: Attackers, synthesizer: Synthesizer, case: Case, random: np.random.Generator, _number: int
) -> Iterator[bool]:
    """Three regions of one canvas."""
    canvas, truth = _canvas(synthesizer, case), attackers.truth[case]
    for _ in range(3):
        (y0, y1), (x0, x1) = (sorted(random.choice(side + 1, 2, replace=False)) for side in truth.shape[:2])
        region = canvas.read(Box(int(y0), int(x0), int(y1), int(x1)))
        yield np.array_equal(region, truth[y0:y1, x0:x1])


def save(
    attackers: Attackers, synthesizer: Synthesizer, case: Case, random: np.random.Generator, number: int
) -> Iterator[bool]:
    """Into a file."""
    path = attackers.folder / f"{number}.npy"
    _canvas(synthesizer, case).save(path, resume=bool(random.integers(2)))
    yield np.array_equal(np.load(path), attackers.truth[case])
    path.unlink()


def cancel(
    attackers: Attackers, synthesizer: Synthesizer, case: Case, random: np.random.Generator, number: int
) -> Iterator[bool]:
    """At some moment, perhaps after the end."""
    event = threading.Event()
    timer = threading.Timer(float(random.exponential(0.1)), event.set)
    timer.start()
    path = attackers.folder / f"{number}.png"
    try:
        synthesizer.render(*case.size, case.seed, layout=case.layout, out=path, cancel=event)
        yield path.exists()
        path.unlink()
    except RenderCancelledError:
        yield event.is_set() and not path.exists()
        raise
    finally:
        timer.cancel()


def run_out_of_time(
    attackers: Attackers, synthesizer: Synthesizer, case: Case, random: np.random.Generator, _number: int
) -> Iterator[bool]:
    """At some moment, perhaps after the end."""
    picture = _canvas(synthesizer, case).read(timeout=float(random.exponential(0.1)))
    yield np.array_equal(picture, attackers.truth[case])


def be_interrupted(
    attackers: Attackers, synthesizer: Synthesizer, case: Case, random: np.random.Generator, _number: int
) -> Iterator[bool]:
    """By a callback, at some call; then all is as before."""
    left = int(random.integers(1, 20))

    class StopError(Exception):
        pass

    def watch(_done: int, _total: int) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise StopError

    canvas = _canvas(synthesizer, case)
    try:
        picture = canvas.read(progress=watch)
    except StopError:
        picture = canvas.read()
    yield np.array_equal(picture, attackers.truth[case])


def look(
    attackers: Attackers, synthesizer: Synthesizer, case: Case, _random: np.random.Generator, _number: int
) -> Iterator[bool]:
    """At the structure and a thumbnail, which are the same each time."""
    del attackers
    yield np.array_equal(synthesizer.preview(case.seed), synthesizer.preview(case.seed))
    canvas = _canvas(synthesizer, case)
    yield np.array_equal(canvas.thumbnail(40), canvas.thumbnail(40))


def close(
    attackers: Attackers, _synthesizer: Synthesizer, case: Case, random: np.random.Generator, _number: int
) -> Iterator[bool]:
    """One of its own, in the middle of a render."""
    synthesizer = attackers.open(case.detail)
    timer = threading.Timer(float(random.exponential(0.05)), synthesizer.close)
    timer.start()
    try:
        picture = synthesizer.render(*case.size, case.seed, layout=case.layout)
        yield np.array_equal(picture, attackers.truth[case])
    finally:
        timer.join()


OPERATIONS: tuple[Operation, ...] = (
    *(render, read, read, save, cancel, cancel),
    *(run_out_of_time, run_out_of_time, be_interrupted, look, close),
)
