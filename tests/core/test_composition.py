"""Compositions are the same bytes whatever computes them."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk._core import Composition, resample

ROOT = Path(__file__).parents[2]
LEVELS = [((18, 24), (15, 30)), ((24, 32), (20, 40)), ((32, 43), (27, 53))]
"""(height, width) of photograph and picture."""


def photograph() -> np.ndarray:
    """Blobs under noise."""
    random = np.random.default_rng(2)
    blobs = resample(random.integers(0, 255, (6, 8, 3), np.uint8, endpoint=True), 32, 43)
    return np.asarray(blobs // 2 + random.integers(0, 60, blobs.shape, np.uint8))


def digest(threads: int = 1, wrap: tuple[bool, bool] = (False, True), seed: int = 3) -> str:
    composed = Composition(photograph(), LEVELS, wrap=wrap, seed=seed, threads=threads)
    return hashlib.sha256(composed.picture.tobytes()).hexdigest()


@pytest.mark.parametrize("instruction_set", ["portable", "avx2", "avx512"])
def test_no_instruction_set_changes_a_byte(instruction_set: str) -> None:
    """On a processor that lacks one, the fastest that it has is used."""
    script = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from tests.core.test_composition import digest
        print(digest())
    """
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT)],
        env=os.environ | {"OURGAN_INSTRUCTION_SET": instruction_set},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest()


def test_threads_change_no_byte_but_seeds_and_wrapping_do() -> None:
    assert digest(threads=4) == digest()
    assert len({digest(), digest(seed=4), digest(wrap=(False, False)), digest(wrap=(True, True))}) == 4
