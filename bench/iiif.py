"""The IIIF project's own validator (`pip install iiif-validator`) against the service's IIIF Image API.

python -m bench.iiif PYTHON [--runs 3] [--max-area 16777216]

PYTHON is the interpreter of an environment that has it: it takes libraries that this package does not. What
the validator compares are the colours of a picture of its own, so the service is given a canvas that is that
picture; all between a request and its pixels is as with any other canvas.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from ourgan_sdk import Box
from ourgan_sdk._core import resample
from ourgan_sdk.service import Settings
from ourgan_sdk.service.server import serve

_DIFFERENT = {
    "size_noup": "wants an error for !2000,3000; by the specification that is answered as large as the region"
}
"""Tests of levels 0 to 2 that contradict the specification, Image API 3.0, section 4.2."""

_COLORS = (
    "import json; from iiif_validator.validator import ValidationInfo as V; print(json.dumps(V().colorInfo))"
)
_RUN = """
import contextlib, io, json, sys
from iiif_validator.validator import ImageAPI, TestSuite, ValidationInfo
identifier, server = sys.argv[1:]
results = {}
for name, test in TestSuite(ValidationInfo()).list_tests("3.0").items():
    result = ImageAPI(identifier, server, "iiif/3", "http", "", "3.0", debug=False)
    reason = None
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            TestSuite(ValidationInfo()).run_test(name, result)
            if result.exception:
                reason = str(result.exception)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
    results[name] = [test["level"], reason]
print(json.dumps(results))
"""


class _Canvas:
    """In the place of a Canvas: a picture of ten times ten squares, (1000, 1000, 3) uint8."""

    width = height = 1000

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self.levels = (SimpleNamespace(shape=pixels.shape),)
        self._renderer = SimpleNamespace(need=lambda **_: SimpleNamespace(shared={}))

    def read(self, box: Box, _level: int) -> npt.NDArray[np.uint8]:
        """The pixels of a region."""
        return self._pixels[box.y0 : box.y1, box.x0 : box.x1]

    def view(self, box: Box, width: int, height: int) -> npt.NDArray[Any]:
        """They at another size."""
        return resample(np.ascontiguousarray(self.read(box, 0)), height, width)


class _Synthesizer:
    """In the place of a Synthesizer."""

    takes_detail = False

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        photo = SimpleNamespace(width=1000, height=1000, file=None)
        structure = SimpleNamespace()
        self.bundle = SimpleNamespace(sha256="0", manifest=SimpleNamespace(photo=photo, structure=structure))
        self._canvas = _Canvas(pixels)

    def canvas(self, *_size: int, **_asked: object) -> _Canvas:
        """The one that there is."""
        return self._canvas

    def close(self) -> None:
        """There is nothing to close."""


def main() -> int:
    """Run all tests of version 3.0, print how each went, and return 1 if one of level 0 to 2 has failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python", type=Path, help="the interpreter that has the validator")
    parser.add_argument("--runs", type=int, default=3, help="the tests draw random sizes and squares")
    parser.add_argument(
        "--max-area", type=int, default=Settings.max_area, help="pixels of a picture, at most"
    )
    options = parser.parse_args()
    colors = np.array(json.loads(_output(options.python, _COLORS)), np.uint8).transpose(1, 0, 2)
    pixels = np.repeat(np.repeat(colors, 100, 0), 100, 1)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "squares.png"
        source.touch()
        settings = Settings(sources={"squares": source}, port=0, viewer=False, max_area=options.max_area)
        reasons = _validate(options.python, settings, pixels, options.runs)
    for (level, name), failures in sorted(reasons.items()):
        told = "passed" if not any(failures) else f"FAILED {sum(map(bool, failures))} of {len(failures)}"
        print(f"level {level}  {name:26} {told}  {next(filter(None, failures), '')[:160]}")
    for level in sorted({level for level, _ in reasons}):
        of_level = [failures for (one, _), failures in reasons.items() if one == level]
        print(f"level {level}: {sum(not any(one) for one in of_level)} of {len(of_level)} tests passed")
    for name, reason in _DIFFERENT.items():
        print(f"{name}: {reason}")
    wanted = [failures for (level, name), failures in reasons.items() if level < 3 and name not in _DIFFERENT]
    return int(any(any(failures) for failures in wanted))


def _validate(
    python: Path, settings: Settings, pixels: npt.NDArray[np.uint8], runs: int
) -> dict[tuple[int, str], list[str | None]]:
    """By level and name of a test, why it has failed in each of the runs, or None."""
    stop, urls, ready = threading.Event(), list[str](), threading.Event()

    def tell(url: str) -> None:
        urls.append(url)
        ready.set()

    opener = lambda *_: _Synthesizer(pixels)  # noqa: E731
    service = threading.Thread(
        target=serve, args=(settings,), kwargs={"ready": tell, "stop": stop, "opener": opener}
    )
    service.start()
    reasons: dict[tuple[int, str], list[str | None]] = defaultdict(list)
    try:
        ready.wait(30)
        for _ in range(runs):
            results = json.loads(
                _output(python, _RUN, "squares~1000x1000~7", urls[0].removeprefix("http://"))
            )
            for name, (level, reason) in results.items():
                reasons[level, name].append(reason)
    finally:
        stop.set()
        service.join()
    return reasons


def _output(python: Path, program: str, *arguments: str) -> str:
    """The last line that it prints."""
    command = [str(python), "-c", program, *arguments]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    return str(done.stdout).splitlines()[-1]


if __name__ == "__main__":
    sys.exit(main())
