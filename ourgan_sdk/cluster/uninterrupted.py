"""What distributed loads in workers of this machine: Ctrl-C, which reaches them as well, is not for them.

Whoever has started them ends them.
"""

import signal


def dask_setup(_worker: object) -> None:
    """Called by distributed in the worker's main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
