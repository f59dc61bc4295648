"""What upscalers make beyond the resolution that they have seen."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.metrics import beyond
from trainers.metrics.restoration import bicubic
from trainers.photo import Photo

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beyond, "SIDE", 64)


def noise(height: int, width: int) -> Tensor:
    """Smooth to the left, fine grain to the right."""
    generator = torch.Generator().manual_seed(0)
    grain = torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8)
    grain[..., : width // 2] = 100
    return grain


def test_the_busiest_parts_are_taken() -> None:
    pixels = noise(130, 64 * 6)
    parts = beyond.busiest_parts(Photo(pixels, "0" * 64))
    assert len(parts) == 4
    assert all(part.shape == (1, 3, 64, 64) and float(part.std()) > 0.2 for part in parts)
    with pytest.raises(ValueError, match="at least 64 x 64 pixels, got 384 x 63"):
        beyond.busiest_parts(Photo(pixels[:, :63], "0" * 64))


def test_numbers_tell_sharp_from_soft() -> None:
    photo = Photo(noise(64, 128), "0" * 64)
    (truth,) = beyond.busiest_parts(replace_left(photo))
    seen: list[int] = []
    rows = beyond.compare_beyond(
        replace_left(photo),
        {"perfect": lambda _low: truth, "soft": lambda low: F.avg_pool2d(bicubic(low), 5, 1, 2)},
        done=lambda: seen.append(1),
    )
    assert len(seen) == 1
    perfect, soft, plain = (rows[name] for name in ("perfect", "soft", "bicubic"))
    assert perfect["psnr"] == pytest.approx(100)
    assert perfect["amplitude_2_4px"] == pytest.approx(1)
    assert soft["amplitude_4_8px"] < plain["amplitude_4_8px"] < 0.5
    assert perfect["swd"] < plain["swd"]
    table = beyond.lines(rows)
    assert [line.split()[0] for line in table[1:]] == ["bicubic", "perfect", "soft"]
    assert "LPIPS" not in table[0]


def replace_left(photo: Photo) -> Photo:
    """Its right half alone."""
    return Photo(photo.pixels[..., photo.width // 2 :], photo.sha256)


def test_what_repeats_with_every_input_is_a_pattern() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, 128, 192, generator=generator) * 0.2 + 0.4
    tile = torch.tensor([[1.0, -1, 1, -1]]).expand(4, 4) / 255
    plain = beyond.grid_pattern(picture)
    patterned = beyond.grid_pattern(picture + 3 * tile.repeat(32, 48))
    assert plain < 1
    assert patterned == pytest.approx(math.hypot(3, plain), rel=0.05)
