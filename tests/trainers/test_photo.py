from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ourgan_sdk.photograph import PhotographError, read_photograph
from trainers.photo import Photo, check_photo, load_photo, structure_pyramid
from trainers.presets import SINGAN, STANDARD
from trainers.pyramid import scale_sizes


def gradient(height: int = 60, width: int = 90) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    channels = rows * 255 // height, columns * 255 // width, (rows + columns) % 256
    return np.stack(channels, -1).astype(np.uint8)


def test_pixels_and_hash_are_the_photographs(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path)
    photo, photograph = load_photo(path), read_photograph(path)
    assert (photo.height, photo.width) == (60, 90)
    assert photo.sha256 == photograph.sha256
    assert photo.pixels.is_contiguous()
    assert np.array_equal(photo.pixels.permute(1, 2, 0).numpy(), photograph.pixels)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotographError, match="No such file"):
        load_photo(tmp_path / "none.jpg")


@pytest.mark.parametrize("size", [(1, 1), (100, 100), (2000, 50), (4000, 130)])
def test_too_small_photographs_are_refused(size: tuple[int, int]) -> None:
    photo = Photo(torch.zeros((3, size[1], size[0]), dtype=torch.uint8), "0" * 64)
    with pytest.raises(PhotographError, match=rf"{size[0]} x {size[1]} pixels"):
        check_photo(photo, STANDARD.structure, patch=128)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((240, 200), "at least 250 on the long side"),
        ((2400, 230), "too elongated to learn from; crop it to at most 10.0 : 1"),
    ],
)
def test_photographs_that_singan_cannot_learn_from(size: tuple[int, int], message: str) -> None:
    photo = Photo(torch.zeros((3, size[1], size[0]), dtype=torch.uint8), "0" * 64)
    with pytest.raises(PhotographError, match=message):
        check_photo(photo, SINGAN.structure, patch=48)


def test_photographs_as_small_as_the_finest_scale_do_for_singan() -> None:
    for height, width in ((250, 250), (200, 250), (250, 2400)):
        check_photo(Photo(torch.zeros((3, height, width), dtype=torch.uint8), ""), SINGAN.structure, patch=48)


def test_scales_of_the_paper() -> None:
    sizes = scale_sizes(2048, 3072, 256, 9, 0.75)
    assert sizes[0] == (17, 26)
    assert sizes[-1] == (171, 256)
    assert len(sizes) == 9


def test_pyramid_has_the_sizes_and_the_range(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient(200, 300)).save(path)
    sizes = scale_sizes(200, 300, 64, 4, 0.75)
    pyramid = structure_pyramid(load_photo(path), sizes)
    assert [tuple(x.shape[2:]) for x in pyramid] == sizes
    assert all(x.min() >= -1 and x.max() <= 1 for x in pyramid)
    means = torch.stack([x.mean() for x in pyramid])
    assert (means - means[0]).abs().max() < 0.03
