"""A service as a program, whose fields do not end: `python -m tests.service.stuck FOLDER SECONDS`."""

import sys
import time
from pathlib import Path

import numpy as np

from ourgan_sdk import Box
from ourgan_sdk.cli.serve import serve_until_signal
from ourgan_sdk.service import Settings, app, server
from ourgan_sdk.system.streams import say
from tests.service.stand_in import Squares, StandIn, a_file


class Stuck(Squares):
    """In the place of a Canvas that does not come back."""

    def read(self, _box: Box, _level: int) -> np.ndarray:
        say("stuck")
        while True:
            time.sleep(1)


def main(folder: Path, seconds: float) -> None:
    """Serve, given `seconds` to end in."""
    app._STOP_SECONDS = seconds
    server.serve.__kwdefaults__["opener"] = lambda *_: StandIn(Stuck)
    (folder / "work").mkdir()
    settings = Settings(sources={"a": a_file(folder)}, port=0, viewer=False, work=folder / "work")
    serve_until_signal(settings, say)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
