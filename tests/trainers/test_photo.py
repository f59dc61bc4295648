from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, features

from trainers.photo import PhotoError, check_photo, load_photo, scale_sizes, structure_pyramid
from trainers.presets import STANDARD

RED = (200, 30, 40)


def gradient(height: int = 60, width: int = 90) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    channels = rows * 255 // height, columns * 255 // width, (rows + columns) % 256
    return np.stack(channels, -1).astype(np.uint8)


def test_rgb_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path)
    photo = load_photo(path)
    assert (photo.height, photo.width) == (60, 90)
    assert np.array_equal(photo.pixels.permute(1, 2, 0).numpy(), gradient())


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient()[..., 0]).save(path)
    pixels = load_photo(path).pixels.numpy()
    assert all(np.array_equal(channel, gradient()[..., 0]) for channel in pixels)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    values = np.linspace(0, 65535, 60 * 90).reshape(60, 90).astype(np.uint16)
    Image.fromarray(values).save(path)
    got = load_photo(path).pixels[0].numpy().astype(int)
    assert np.abs(got - np.rint(values / 257)).max() <= 1


def test_alpha_is_laid_over_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[..., :3], picture[:20, :, 3] = RED, 255
    Image.fromarray(picture).save(path)
    pixels = load_photo(path).pixels.permute(1, 2, 0).numpy()
    assert tuple(pixels[5, 5]) == RED
    assert tuple(pixels[30, 5]) == (255, 255, 255)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees to see it upright"
    Image.fromarray(gradient()).save(path, exif=exif)
    pixels = load_photo(path).pixels.permute(1, 2, 0).numpy()
    assert np.array_equal(pixels, np.rot90(gradient(), -1))


def test_missing_foreign_and_truncated_files(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="No such file"):
        load_photo(tmp_path / "none.jpg")
    text = tmp_path / "a.txt"
    text.write_text("not a picture")
    with pytest.raises(PhotoError, match="not a picture"):
        load_photo(text)
    whole = tmp_path / "b.jpg"
    Image.fromarray(gradient(400, 400)).save(whole)
    for length in (300, whole.stat().st_size // 2, whole.stat().st_size - 30):
        cut = tmp_path / "c.jpg"
        cut.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(PhotoError, match=r"broken or cut short|not a picture"):
            load_photo(cut)


@pytest.mark.parametrize("size", [(1, 1), (100, 100), (2000, 50), (4000, 130)])
def test_too_small_photographs_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", size, RED).save(path)
    with pytest.raises(PhotoError, match=rf"{size[0]} x {size[1]} pixels"):
        check_photo(load_photo(path), STANDARD.structure, patch=128)


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


def test_the_profile_counts_under_alpha_too(tmp_path: Path) -> None:
    """With a profile that is not sRGB's, an opaque RGBA picture is read as the RGB one is."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = srgb.find(b"rXYZ"), srgb.find(b"bXYZ")  # tags: name, offset, size
    srgb[red : red + 4], srgb[blue : blue + 4] = b"bXYZ", b"rXYZ"  # swapped primaries
    picture = Image.new("RGB", (8, 8), (200, 60, 30))
    picture.save(tmp_path / "rgb.png", icc_profile=bytes(srgb))
    picture.convert("RGBA").save(tmp_path / "rgba.png", icc_profile=bytes(srgb))
    rgb, rgba = (load_photo(tmp_path / name).pixels for name in ("rgb.png", "rgba.png"))
    assert rgb[2, 0, 0] > rgb[0, 0, 0]
    assert torch.equal(rgb, rgba)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_broken_avif_is_told_as_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.new("RGB", (40, 30), (200, 90, 10)).save(path)
    whole = path.read_bytes()
    assert load_photo(path).width == 40
    for end in range(len(whole) // 4, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(PhotoError):
            load_photo(path)
