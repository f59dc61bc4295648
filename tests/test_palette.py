"""Paintings in a photograph's colours."""

from pathlib import Path

import numpy as np
import pytest

from ourgan_sdk import Synthesizer
from ourgan_sdk.palette import in_colors_of, main_colors
from tests.tiny import write_photo


def areas(colors: np.ndarray) -> np.ndarray:
    """Stripes, each of one colour."""
    return np.repeat(colors[:, None], 40, 1).repeat(8, 0).astype(np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_main_colors_of_areas_are_theirs(seed: int) -> None:
    colors = np.random.default_rng(seed).integers(0, 256, (5, 3))
    found = main_colors(areas(colors), 5)
    nearest = [int(np.abs(found - color).sum(1).min()) for color in colors]
    assert max(nearest) <= 24  # reduced, areas mix at their borders


@pytest.mark.parametrize("seed", range(5))
def test_areas_keep_apart_and_take_the_photographs_colors(seed: int) -> None:
    random = np.random.default_rng(seed)
    theirs = np.array([(10, 20, 40), (200, 180, 150), (90, 140, 60)])
    ours = np.clip(theirs * 0.7 + random.integers(0, 40, 3), 0, 255).astype(int)  # duller and tinted
    result = in_colors_of(areas(ours), areas(theirs), 3)
    assert np.abs(result.astype(int) - areas(theirs)).mean() < 12
    assert len(np.unique(result.reshape(-1, 3), axis=0)) == 3
    np.testing.assert_array_equal(result, in_colors_of(areas(ours), areas(theirs), 3))


def test_a_synthesizers_colors(tmp_path: Path) -> None:
    synthesizer = Synthesizer(write_photo(tmp_path / "hills.png"))
    painting = areas(np.array([(255, 0, 0), (0, 0, 255)]))
    result = synthesizer.recolored(painting, 4)
    assert result.shape == painting.shape
    assert 2 <= len(np.unique(result.reshape(-1, 3), axis=0)) <= 4
    with pytest.raises(ValueError, match="colors to be from 1 to 64, got 65"):
        synthesizer.recolored(painting, 65)
