"""A process that faults are tried in: it may crash, hang or grow, and is started anew."""

import contextlib
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from ourgan_sdk import BudgetError, NonFiniteError, OurganError

from .counts import Counts, Outcome

__all__ = ["growth_of", "serve", "serve_trials", "try_all"]

_ROOT = Path(__file__).resolve().parents[2]
"""Where this package is."""

_SECONDS = 120
"""For one fault, on a machine that does other things as well."""

_SECONDS_TO_START = 600

_MEMORY = 24 << 30
"""Bytes of address space of such a process, so that one that grows ends, not the machine. Runtimes reserve
more than they use."""

_OWN_ERRORS = (OurganError, NonFiniteError, BudgetError)


def try_all(
    kind: str, module: str, arguments: Sequence[str], count: int, folder: Path, *, memory: int = _MEMORY
) -> Counts:
    """Have `python -m module arguments` in `folder` try the faults 0 to `count` - 1; it calls `serve`.

    It gets `memory` bytes of address space. What it writes to stderr by itself counts as a crash, since
    somebody would have to read it.
    """
    counts = Counts(kind)
    errors = folder / "stderr"
    process = None
    with errors.open("wb") as stderr:
        for index in range(count):
            process = process or _start([sys.executable, "-m", module, *arguments], folder, stderr, memory)
            before = errors.stat().st_size
            answer = _ask(process, index)
            said = errors.read_bytes()[before:].decode(errors="replace").strip()
            if answer is None:
                hangs = process.poll() is None
                process.kill()
                status = _end(process)
                process = None
                counts.add("hung" if hangs else "crashed", f"{kind} {index}: status {status}: {said[-300:]}")
            elif said:
                counts.add("crashed", f"{kind} {index}: on stderr: {said[-300:]}")
            else:
                counts.add(answer["verdict"], f"{kind} {index}: {answer['fault']}")
        if process is not None:
            _end(process)
    return counts


def _end(process: "subprocess.Popen[bytes]") -> int:
    """Let it come to its end, at the end of its input or killed; its status."""
    with contextlib.suppress(BrokenPipeError), process:
        pass
    return process.returncode


def _start(command: Sequence[str], folder: Path, stderr: IO[bytes], memory: int) -> "subprocess.Popen[bytes]":
    """The process, when it is ready."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    resource.prlimit(process.pid, resource.RLIMIT_AS, (memory, memory))
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
    if _answer(process, _SECONDS_TO_START) is None:
        raise RuntimeError(f"{' '.join(command)} does not start: {Path(stderr.name).read_text()[-500:]}")
    return process


def _ask(process: "subprocess.Popen[bytes]", index: int) -> dict[str, Any] | None:
    """What the process says of a fault; None if it died or does not answer in time."""
    assert process.stdin is not None
    try:
        process.stdin.write(f"{index}\n".encode())
        process.stdin.flush()
    except BrokenPipeError:
        process.wait()
        return None
    return _answer(process, _SECONDS)


def _answer(process: "subprocess.Popen[bytes]", seconds: float) -> dict[str, Any] | None:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], seconds)[0]:
        return None
    line = process.stdout.readline()
    if not line:
        process.wait()
        return None
    answer: dict[str, Any] = json.loads(line)
    return answer


def serve(attempt: Callable[[int], tuple[Outcome, str]]) -> None:
    """In the process: call `attempt` for each number on stdin, and answer with what came of it.

    It returns the verdict and which fault it was. An error of this package that it raises is a refusal, any
    other a crash.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what runtimes print is not an answer
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        try:
            verdict, fault = attempt(int(line))
        except _OWN_ERRORS as error:
            verdict, fault = "refused", f"{type(error).__name__}: {error}"
        except Exception:  # noqa: BLE001 - which is what is looked for
            verdict, fault = "crashed", traceback.format_exc()[-600:]
        print(json.dumps({"verdict": verdict, "fault": fault}), file=answers, flush=True)


def serve_trials(trial: Callable[[int, Path], tuple[Outcome, str]]) -> None:
    """As `serve`, for faults that are tried in an empty folder of their own each.

    Refusals are among what `trial` returns: whatever it raises is a crash. Warnings of what is passed over or
    tried again go nowhere.
    """
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for as long as the process lives

    def attempt(index: int) -> tuple[Outcome, str]:
        place = Path.cwd() / f"{index}"
        place.mkdir()
        try:
            return trial(index, place)
        except _OWN_ERRORS as error:
            raise RuntimeError("not where it was expected") from error
        finally:
            shutil.rmtree(place, ignore_errors=True)

    serve(attempt)


def growth_of(work: Callable[[], object]) -> tuple[int, Exception | None]:
    """Bytes by which this process was at most larger while `work` ran than before; and what that raised."""
    Path("/proc/self/clear_refs").write_text("5")  # which sets the highest back to the present
    before, raised = _status("VmRSS"), None
    try:
        work()
    except Exception as error:  # noqa: BLE001 - for the caller to judge
        raised = error
    return _status("VmHWM") - before, raised


def _status(name: str) -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) << 10
