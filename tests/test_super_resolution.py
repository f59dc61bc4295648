"""The photograph itself, enlarged: by networks, and reduced to sizes that they do not make."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import Box, BundleError, Synthesizer
from tests.tiny import write_photo


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png", 90, 140)


@pytest.fixture(scope="module")
def synthesizer(photo: Path) -> Synthesizer:
    return Synthesizer(photo, memory_limit="8MiB")


def cubic(length: int, size: int) -> np.ndarray:
    """Weights (size, length) of Catmull and Rom's cubic, widened, in float64."""
    scale = length / size
    x = np.abs((np.arange(-40, length + 40) - ((np.arange(size) + 0.5) * scale - 0.5)[:, None]) / scale)
    values = np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    values = np.where(x < 2, values, 0)
    values /= values.sum(1, keepdims=True)
    inner = values[:, 40:-40].copy()
    inner[:, 0] += values[:, :40].sum(1)
    inner[:, -1] += values[:, -40:].sum(1)
    return inner


def test_four_times_is_the_networks_own(synthesizer: Synthesizer, photo: Path) -> None:
    canvas = synthesizer.super_resolution(4)
    assert canvas.shape == (360, 560, 3)
    picture = canvas.read()
    with Image.open(photo) as image:
        assert np.abs(np.asarray(image.resize((560, 360))).astype(int) - picture).mean() < 12
    np.testing.assert_array_equal(canvas[40:90, 100:301], picture[40:90, 100:301])
    assert canvas.levels[1].shape == (90, 140, 3)
    np.testing.assert_array_equal(canvas.levels[1][:], synthesizer._photograph.pixels())


@pytest.mark.parametrize("factor", [1.3, 2, 3, 3.99, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_other_factors_are_reduced(synthesizer: Synthesizer, factor: float, dtype: type) -> None:
    if (factor == 6) == (dtype is np.uint16):
        return  # one of the large ones is enough
    large = synthesizer.super_resolution(4 if factor < 4 else 16, dtype=dtype).read()
    canvas = synthesizer.super_resolution(factor, dtype=dtype)
    picture = canvas.read()
    height, width = round(90 * factor), round(140 * factor)
    assert picture.shape == (height, width, 3)
    down, across = cubic(large.shape[0], height), cubic(large.shape[1], width)
    expected = np.einsum("yr,rcd,xc->yxd", down, large.astype(float), across, optimize=True)
    difference = np.abs(picture - np.clip(expected, 0, np.iinfo(dtype).max))
    assert difference.max() <= (1 if dtype is np.uint8 else 30)
    random = np.random.default_rng(int(factor * 100))
    for _ in range(4):
        y0, x0 = int(random.integers(0, height)), int(random.integers(0, width))
        y1, x1 = int(random.integers(y0, height)) + 1, int(random.integers(x0, width)) + 1
        np.testing.assert_array_equal(canvas.read(Box(y0, x0, y1, x1)), picture[y0:y1, x0:x1])


def test_files_and_copies(synthesizer: Synthesizer, tmp_path: Path) -> None:
    canvas = synthesizer.super_resolution(2.5, 3)
    path = canvas.save(tmp_path / "large.png")
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), canvas.read())
        assert '"structure": "the photograph"' in image.info["Description"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(canvas)).read(), canvas.read())
    with pytest.raises(ValueError, match=r"no sources|no place in the photograph"):
        canvas.sources()


def test_what_cannot_be_enlarged(synthesizer: Synthesizer, bundle_path: Path) -> None:
    for factor in (1, 0, -4, 65, float("nan")):
        with pytest.raises(ValueError, match="factor of more than 1, up to 64"):
            synthesizer.super_resolution(factor)
    for wrong in ("4", True, None):
        with pytest.raises(TypeError, match="factor to be a number"):
            synthesizer.super_resolution(wrong)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="holds no photograph to enlarge"):
        Synthesizer(bundle_path).super_resolution(4)
