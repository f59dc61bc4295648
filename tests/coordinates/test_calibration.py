"""What halos of networks of coordinates are measured on."""

import tracemalloc
from collections.abc import Mapping

import numpy as np
import pytest

from ourgan_sdk.bundle import SeamError
from ourgan_sdk.calibration.coordinates import calibrate_coordinates
from ourgan_sdk.calibration.halo import Calibration
from ourgan_sdk.cli.calibrate import _coordinates_table
from tests.coordinates.tiny import LARGEST, PATCH, STRIDE, coordinates_record

LONG = 512
"""Of a code."""


def test_windows_of_all_scales_and_codes_take_little_memory() -> None:
    """A code is held once, not in every cell; every part of a window is given that of the whole."""
    seen: dict[float, bytes] = {}

    def run(feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        latent, scale = feeds["latent"], feeds["scale"]
        assert latent.shape == (1, LONG)
        assert 0.8 < latent.std() < 1.2
        assert seen.setdefault(float(scale[0]), latent.tobytes()) == latent.tobytes()
        _, axes, height, width = feeds["coordinates"].shape
        steps = np.diff(feeds["coordinates"], axis=3)[0, 1] * scale[0]
        assert axes == 2
        assert np.abs(steps - STRIDE).max() < 0.01
        return np.zeros((1, 3, STRIDE * height, STRIDE * width), np.float32)

    tracemalloc.start()
    try:
        calibration = calibrate_coordinates("a.onnx", run, coordinates_record(latent=LONG))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert calibration.halo == 0
    scales = sorted(seen)
    assert scales == pytest.approx(np.geomspace(PATCH, LARGEST, len(scales)))
    assert len(set(seen.values())) == len(scales) == 6
    assert peak < 48 << 20


def test_the_table_has_what_cannot_be_placed() -> None:
    """Where pictures of the sizes that costs are told of would be reduced of larger ones than may be made."""
    errors = {0: SeamError(maximum=9, p9999=1, share_different=0.5)}
    for record, cost in (
        (coordinates_record(), "%"),
        (coordinates_record(patch=1 << 20, largest=1 << 20), "too large"),
    ):
        *_, row = _coordinates_table(record, Calibration(0, errors), 1 << 30)
        assert row.count(cost) == (3 if cost == "%" else 2)
