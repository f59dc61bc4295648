"""Clients of clusters: of one that is there, and of one on this machine for as long as it takes."""

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, SupportsIndex

from ..errors import ClusterError
from ..sizes import check_integer
from ..system.processors import available_processors
from .libraries import import_dask, import_distributed

__all__ = ["connected", "local_workers"]

MOST_WORKERS = 1024
"""Of one machine."""

_CONNECT_SECONDS = 10

_NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
"""Nor its usual port, which another scheduler may have."""

_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"


@contextlib.contextmanager
def local_workers(count: SupportsIndex, threads: int | None = None) -> Iterator[Any]:
    """Yield a client of `count` worker processes on this machine, which end with the block, or this process.

    They share `threads`, by default all processors. Raises ClusterError if they cannot be started, TypeError
    or ValueError for a count that is none.
    """
    count = check_integer("the number of workers", count, MOST_WORKERS)
    distributed = import_distributed()
    each = max(1, (threads or available_processors()) // count)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet_and_quick())
        try:
            with _uninterrupted():
                cluster = stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=count,
                        threads_per_worker=each,
                        processes=True,
                        dashboard_address=None,
                        scheduler_kwargs=_NO_DASHBOARD,
                        silence_logs=None,
                    )
                )
                client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ClusterError(f"cannot start {count} workers: {_told(error)}") from error
        yield client


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, and reach no process that is started then, or later by then.

    A cluster that is half started cannot be ended; and what has started workers ends them. They, and all
    threads that start them, inherit what is blocked.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # whoever starts it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        # Threads from before do not block it, and would still let it interrupt this one.
        with _remembered():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _remembered() -> Iterator[None]:
    """Let Ctrl-C do what it does when the block has ended, where it is this thread's to say."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _quiet_and_quick() -> Iterator[None]:
    """Let neither this process nor workers that it starts log what distributed does: all errors are raised.

    Its own way to do so silences whatever this process logs. And workers keep the memory of one chunk for the
    next: to give it back each time, as distributed has it, takes a fifth of the time.
    """
    dask = import_dask()
    logger = logging.getLogger("distributed")
    before = logger.level
    of_workers = {
        **dask.config.get(_ENVIRONMENT),
        "DASK_LOGGING__DISTRIBUTED": "critical",
        "MALLOC_TRIM_THRESHOLD_": None,
    }
    logger.setLevel(logging.CRITICAL)
    try:
        with dask.config.set({_ENVIRONMENT: of_workers}):
            yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """Yield a client of the cluster at an address such as tcp://host:8786, or in a scheduler's JSON file.

    Raises ClusterError if none answers.
    """
    distributed = import_distributed()
    where: dict[str, Any] = {"address": scheduler}
    if "://" not in scheduler and Path(scheduler).is_file():
        where = {"scheduler_file": scheduler}
    try:
        client = distributed.Client(**where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, TimeoutError) as error:
        raise ClusterError(
            f"no scheduler answers at {scheduler} ({_told(error)}): expected its address, such as "
            "tcp://host:8786, or the file that it has written (dask scheduler --scheduler-file)"
        ) from error
    with client:
        yield client


def _told(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
