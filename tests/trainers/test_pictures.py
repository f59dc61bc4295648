"""A folder of pictures of every size, and the views that are cut out of it."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ourgan_sdk.errors import PhotographError
from trainers.any_resolution import pictures as module
from trainers.any_resolution.pictures import PictureFolder, Square, Views, cut, reduce_whole
from trainers.any_resolution.views import Band

pytestmark = pytest.mark.usefixtures("one_thread")

LEVEL = 1 / 127.5


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def ramps(side: int, left: int = 0, width: int | None = None) -> Image.Image:
    """Red tells y and green x in the square ``side`` pixels wide that begins at ``left``; blue is noise."""
    centres = (np.arange(side) + 0.5) / side
    columns = (np.arange(width or side) - left + 0.5) / side
    red = np.broadcast_to(centres[:, None], (side, len(columns)))
    green = np.broadcast_to(columns[None].clip(0, 1), red.shape)
    blue = np.random.default_rng(1).random(red.shape)
    return Image.fromarray((np.stack([red, green, blue], -1) * 255).round().astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    noise(20, 20).save(tmp_path / "small.png")
    noise(30, 70, 1).save(tmp_path / "wide.png")
    noise(90, 40, 2).save(tmp_path / "below" / "tall.png")
    ramps(64).save(tmp_path / "square.png")
    return tmp_path


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(one: Views, other: Views) -> bool:
    pairs = [
        (one.patches, other.patches),
        (one.origins, other.origins),
        (one.scales, other.scales),
    ]
    return all(torch.equal(a, b) for a, b in pairs)


def difference(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


@pytest.mark.parametrize("scale", [120, 119, 75, 50, 17, 16])
def test_a_cut_is_the_crop_of_the_reduced_whole(scale: int) -> None:
    picture = noise(120, 120)
    whole = picture.resize((scale, scale), Image.Resampling.LANCZOS)
    for y, x in ((0, 0), (scale - 16, scale - 16), (0, (scale - 16) // 2), ((scale - 16) // 3, scale - 16)):
        patch = cut(picture, Square(0, 0, 120), (y / scale, x / scale), scale, 16)
        assert difference(patch, whole.crop((x, y, x + 16, y + 16))) <= 1


def test_a_square_within_a_wide_picture_sees_what_lies_beside_it() -> None:
    picture = noise(60, 120)
    whole = picture.resize((90, 45), Image.Resampling.LANCZOS)
    patch = cut(picture, Square(0, 20, 60), (9 / 45, 29 / 45), 45, 16)  # at its right end
    assert difference(patch, whole.crop((15 + 29, 9, 15 + 29 + 16, 9 + 16))) <= 1


def test_a_cut_at_the_native_scale_is_the_pictures_own_pixels() -> None:
    picture = noise(77, 50)
    patch = cut(picture, Square(13, 0, 50), (5 / 50, 31 / 50), 50, 16)
    assert difference(patch, picture.crop((31, 18, 47, 34))) == 0


@pytest.mark.parametrize(("width", "height"), [(91, 33), (33, 91), (32, 32), (100, 100), (4000, 37)])
def test_reductions_are_just_as_long_as_a_patch(width: int, height: int) -> None:
    reduced = reduce_whole(noise(height, width), 32)
    assert min(reduced.size) == 32
    assert max(reduced.size) == int(32 * max(width, height) / min(width, height) + 1e-6)


def test_views_lie_where_they_say(tmp_path: Path) -> None:
    ramps(200).save(tmp_path / "a.png")
    views = PictureFolder(tmp_path, 16).patches(64, generator())
    shown = views.patches[:, :2].mean((2, 3)) / 2 + 0.5  # y, x of the middle
    middles = views.origins + 8 / views.scales[:, None]
    # a Lanczos filter bends a ramp at its ends only
    inside = ((middles - 0.5).abs() + 12 / views.scales[:, None] < 0.5).all(1)
    assert inside.sum() > 20
    assert (shown - middles)[inside].abs().max() < LEVEL
    slopes = (views.patches[:, 0, 15] - views.patches[:, 0, 0]).mean(1) / 2
    assert (slopes - 15 / views.scales)[inside].abs().max() < LEVEL


def test_half_of_mirrored_views_show_the_mirror_image_of_where_they_say(tmp_path: Path) -> None:
    ramps(200).save(tmp_path / "a.png")
    views = PictureFolder(tmp_path, 16, mirrored=True).patches(64, generator())
    y, x = ((views.origins + 8 / views.scales[:, None]) * 2 - 1).T  # of the middle, as values
    mirrored = falls(views.patches[:, 1])
    assert 16 < mirrored.sum() < 48
    inside = (torch.stack([y, x]).abs() + 24 / views.scales < 1).all(0)
    across, down = views.patches[:, 1].mean((1, 2)), views.patches[:, 0].mean((1, 2))
    assert (across - torch.where(mirrored, -x, x))[inside].abs().max() < 2 * LEVEL
    assert (down - y)[inside].abs().max() < 2 * LEVEL


def test_half_of_mirrored_whole_views_are_mirror_images(tmp_path: Path) -> None:
    ramps(200).save(tmp_path / "a.png")
    ramp, *_ = PictureFolder(tmp_path, 16).whole(1, generator()).patches
    patches = PictureFolder(tmp_path, 16, mirrored=True).whole(64, generator()).patches
    mirrored = falls(patches[:, 1])
    assert 16 < mirrored.sum() < 48
    assert all(torch.equal(one, ramp.flip(2) if falls(one[1]) else ramp) for one in patches)


def falls(values: torch.Tensor) -> torch.Tensor:
    """Of (..., h, w): whether there is less at the right than at the left."""
    return values[..., -1].mean(-1) < values[..., 0].mean(-1)


def test_whole_views_show_whole_squares(tmp_path: Path) -> None:
    ramps(128).save(tmp_path / "a.png")
    views = PictureFolder(tmp_path, 16).whole(4, generator())
    assert views.patches.shape == (4, 3, 16, 16)
    assert views.patches.dtype == torch.float32
    assert (views.scales == 16).all()
    assert (views.origins == 0).all()
    centres = (torch.arange(16) + 0.5) / 16 * 2 - 1
    # at its ends the filter sees less of the ramp on one side, by less than a quarter of a pixel
    torch.testing.assert_close(views.patches[0, 0], centres[:, None].expand(16, 16), rtol=0, atol=0.04)


def test_squares_lie_anywhere_along_the_longer_side(tmp_path: Path) -> None:
    ramps(32, width=160).save(tmp_path / "wide.png")  # green says where, on its first 32 columns
    pictures = PictureFolder(tmp_path, 16)
    for views in (pictures.whole(200, generator()), pictures.patches(200, generator())):
        green = views.patches[:, 1].mean((1, 2))
        assert green.min() < 0.1  # squares at the left end
        assert (green > 0.99).float().mean() > 0.5  # and most of them right of the ramp


def test_values_lie_between_minus_1_and_1(folder: Path) -> None:
    views = PictureFolder(folder, 16).patches(100, generator())
    assert views.patches.min() >= -1
    assert views.patches.max() <= 1
    assert views.patches.std() > 0.3


def test_patches_are_of_larger_pictures_alone_as_long_as_there_are_any(tmp_path: Path) -> None:
    noise(16, 50).save(tmp_path / "small.png")
    small = PictureFolder(tmp_path, 16)
    assert (small.patches(8, generator()).scales == 16).all()
    ramps(64).save(tmp_path / "large.png")
    both = PictureFolder(tmp_path, 16)
    scales = both.patches(500, generator()).scales
    assert (scales == 16).float().mean() < 0.1


def test_numbers_of_a_folder(folder: Path) -> None:
    pictures = PictureFolder(folder, 16)
    assert (pictures.count, pictures.shortest, pictures.longest, pictures.largest) == (4, 20, 64, 64)
    files = list(folder.rglob("*.png"))
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    assert pictures.sha256 == hashlib.sha256("".join(f"{d}\n" for d in digests).encode()).hexdigest()
    record = pictures.pictures
    assert (record.count, record.shortest, record.longest) == (4, 20, 64)
    assert record.sha256 == pictures.sha256


def test_neither_the_hash_nor_what_is_drawn_depends_on_names(folder: Path) -> None:
    before = PictureFolder(folder, 16)
    drawn = [before.whole(8, generator()), before.patches(8, generator())]
    for path in folder.glob("*.png"):
        path.rename(folder / f"{path.name[::-1]}.png")
    after = PictureFolder(folder, 16)
    assert after.sha256 == before.sha256
    for one, other in zip(drawn, [after.whole(8, generator()), after.patches(8, generator())], strict=True):
        assert torch.equal(one.patches, other.patches)


def test_what_cannot_be_used_is_named_and_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "broken.jpg").write_bytes((folder / "wide.png").read_bytes()[:500])
    (folder / "notes.txt").write_text("no picture")
    with caplog.at_level(logging.WARNING):
        pictures = PictureFolder(folder, 32)
    assert pictures.count == 2
    assert {path.path.name for path in pictures.entries} == {"tall.png", "square.png"}
    text = caplog.text
    assert "broken.jpg is broken or cut short" in text
    assert "small.png has 20 x 20 pixels, fewer than 32 on the shorter side" in text
    assert "wide.png has 70 x 30 pixels" in text
    assert "notes.txt" not in text


def test_folders_without_anything_to_learn_from_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PhotographError, match=r"none of the 4 pictures in .* at least 100 pixels"):
        PictureFolder(folder, 100)
    with pytest.raises(PhotographError, match="is not a folder"):
        PictureFolder(folder / "none", 16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhotographError, match="there is no photograph"):
        PictureFolder(tmp_path / "empty", 16)


def test_a_seed_decides_whatever_was_drawn_before(folder: Path) -> None:
    pictures = PictureFolder(folder, 16)
    first = pictures.patches(20, generator(5)), pictures.whole(20, generator(5))
    pictures.patches(7, generator(1))
    again = pictures.patches(20, generator(5)), pictures.whole(20, generator(5))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[0], pictures.patches(20, generator(6)))


def test_a_small_cache_reads_again_and_gives_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    genuine = module.read_photograph
    monkeypatch.setattr(module, "read_photograph", lambda path: (read.append(path), genuine(path))[1])
    large, limit = PictureFolder(folder, 16), 2 * 64 * 64 * 4  # room for one of the pictures or two
    small = PictureFolder(folder, 16, cache_bytes=limit)
    assert len(read) == 8
    for seed in range(5):
        assert same(small.patches(8, generator(seed)), large.patches(8, generator(seed)))
        assert same(small.whole(8, generator(seed)), large.whole(8, generator(seed)))
        assert 0 < small._pictures.bytes + small._reduced.bytes <= limit
    again = len(read) - 8
    assert again > 10
    large.patches(50, generator())
    assert len(read) - 8 == again  # the large cache has never read anything twice


def test_whole_views_do_not_read_large_pictures_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = PictureFolder(folder, 16, cache_bytes=2 * 4 * 90 * 40)  # room for all reduced ones
    small.patches(50, generator())
    monkeypatch.setattr(module, "read_photograph", None)
    assert small.whole(50, generator()).patches.shape == (50, 3, 16, 16)
    with pytest.raises(TypeError):  # as patches do
        small.patches(50, generator())


def test_pictures_that_change_are_noticed(folder: Path) -> None:
    pictures = PictureFolder(folder, 16, cache_bytes=0)
    for path in folder.rglob("*.png"):
        noise(64, 64, 9).save(path)
    with pytest.raises(PhotographError, match="has changed since the folder was read"):
        pictures.patches(8, generator())


def test_scales_are_left_out(folder: Path) -> None:
    scales = PictureFolder(folder, 16, band=Band(30, 50)).patches(500, generator()).scales
    assert not ((scales >= 30) & (scales <= 50)).any()
    assert (scales > 50).any()
