"""Calls in a process of their own, begun anew: for what a library no longer does in a forked child."""

import contextlib
import importlib
import multiprocessing.spawn
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import OurganError

__all__ = ["call_apart", "serve"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Stream:
    """Stands for an argument that is an iterator: what it yields follows, piece by piece."""


def call_apart(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """What `function`, which its module has under its name, returns in a new process.

    All that goes there and comes back has to be picklable; one of the arguments may be an iterator. Raises
    what the function raises there, and OurganError if there can be no such process.
    """
    stream = next((one for one in arguments if isinstance(one, Iterator)), iter(()))
    sent = [_Stream() if one is stream else one for one in arguments]
    with _process() as process:
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # it has ended, and says why
            _send((function.__module__, function.__name__, sent, named), process.stdin)
            for item in stream:
                _send((item,), process.stdin)
            _send(None, process.stdin)
        try:
            result, failure = pickle.load(process.stdout)  # noqa: S301 - of our own process
        except (EOFError, pickle.UnpicklingError) as error:
            raise OurganError(
                f"a process begun for {function.__name__} ended with {process.wait()}"
            ) from error
    if failure is not None:
        raise failure
    return result  # type: ignore[no-any-return]


def _send(message: object, pipe: Any) -> None:
    pickle.dump(message, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


@contextlib.contextmanager
def _process() -> Iterator["subprocess.Popen[bytes]"]:
    """A new Python that runs `serve`; it ends with the block."""
    python = multiprocessing.spawn.get_executable()  # which programs set that hold a Python of their own
    command = [python or "", "-c", f"from {__name__} import serve; serve()"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
    try:
        process = subprocess.Popen(  # noqa: S603 - it is this Python
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
    except OSError as error:
        raise OurganError(
            "libvips was in use before this process was forked, and no other process can be begun for it "
            f"({error}): use it after forks alone, or start processes by spawn"
        ) from error
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def serve() -> None:
    """Do what one `call_apart` asks for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks, who ends this process
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever prints does not disturb
    with contextlib.suppress(EOFError, BrokenPipeError), answers:  # whoever asks is no more
        module, name, sent, named = pickle.load(requests)  # noqa: S301 - of the process that began this one
        function = getattr(importlib.import_module(module), name)
        arguments = [_received(requests) if isinstance(one, _Stream) else one for one in sent]
        outcome: tuple[Any, Exception | None]
        try:
            outcome = function(*arguments, **named), None
        except Exception as error:  # noqa: BLE001 - it is raised there
            outcome = None, _portable(error)
        _send(outcome, answers)


def _received(requests: Any) -> Iterator[Any]:
    while (message := pickle.load(requests)) is not None:  # noqa: S301 - of the process that began this one
        yield message[0]


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception:  # noqa: BLE001 - of any kind: to read an exception is to call its class
        return OurganError(str(error))
    return error
