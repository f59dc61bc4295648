from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.tiny import write_photo
from trainers.metrics import restoration
from trainers.metrics.restoration import bicubic, enlarge, make_task, psnr, score, ssim
from trainers.networks import RRDBNet
from trainers.photo import Photo, load_photo, reduce, to_float

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Photo:
    return load_photo(write_photo(tmp_path_factory.mktemp("photo") / "hills.png"))


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def test_psnr_is_its_definition() -> None:
    one, other = picture(20, 30, 1), picture(20, 30, 2)
    expected = 10 * np.log10(1 / np.mean((one.double().numpy() - other.double().numpy()) ** 2))
    assert psnr(one, other) == pytest.approx(expected)
    assert psnr(one, one + 0.1) == pytest.approx(20, abs=1e-4)
    assert psnr(one, one) == 100


def test_ssim_agrees_with_its_definition() -> None:
    """Equation 13 of Wang et al. at every position of the window, by loops."""
    one = picture(16, 19, 1)
    other = (one + 0.3 * picture(16, 19, 2)).clamp(0, 1)
    offsets = np.arange(11) - 5
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for x, y in zip(one.double().numpy(), other.double().numpy(), strict=True):
        for top in range(6):
            for left in range(9):
                a, b = (z[top : top + 11, left : left + 11] for z in (x, y))
                ma, mb = (weights * a).sum(), (weights * b).sum()
                va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
                cov = (weights * (a - ma) * (b - mb)).sum()
                luminance = (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
                values.append(luminance * (2 * cov + 9e-4) / (va + vb + 9e-4))
    assert ssim(one, other) == pytest.approx(np.mean(values), rel=1e-9)
    assert ssim(one, one) == pytest.approx(1)


def test_the_task_is_the_right_end_of_the_photograph(photo: Photo) -> None:
    task = make_task(photo, 1 / 4, 300, 0.0)
    assert task.high.shape == (3, 200, 72)
    assert task.low.shape == (1, 3, 50, 18)
    torch.testing.assert_close(task.high, to_float(photo.pixels[:, :, 225:297]))
    torch.testing.assert_close(task.low, reduce(task.high[None], 50, 18))


def test_a_reduced_task_with_noise(photo: Photo) -> None:
    clean, noisy = (make_task(photo, 0.5, 150, deviation) for deviation in (0.0, 0.1))
    assert noisy.high.shape == (3, 100, 72)
    assert noisy.low.shape == (restoration.NOISES, 3, 25, 18)
    noise = noisy.low - clean.low
    assert noise.std() == pytest.approx(0.1, rel=0.03)
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(noisy.low, make_task(photo, 0.5, 150, 0.1).low)


def test_never_enlarges_the_photograph(photo: Photo) -> None:
    assert make_task(photo, 0.25, 4096, 0.0).high.shape == make_task(photo, 0.25, 300, 0.0).high.shape


def test_a_part_that_is_too_small(photo: Photo) -> None:
    with pytest.raises(ValueError, match=r"has 4 x 100 pixels at a long side of 150: too few"):
        make_task(photo, 1 / 20, 150, 0.0)


def test_better_upscalers_have_better_scores(photo: Photo) -> None:
    """A perfect one; bicubic; repetition of pixels."""
    task = make_task(photo, 0.5, 300, 0.0)

    def perfect(_: Tensor) -> Tensor:
        return task.high[None]

    def repeat(low: Tensor) -> Tensor:
        return F.interpolate(low, scale_factor=4.0, mode="nearest")

    best, middle, worst = (score(upscale, task) for upscale in (perfect, bicubic, repeat))
    assert (best.psnr, best.swd) == (100, 0)
    assert best.ssim == pytest.approx(1)
    assert best.psnr > middle.psnr > worst.psnr
    assert best.ssim > middle.ssim > worst.ssim
    assert best.swd < min(middle.swd, worst.swd)


def test_detail_in_the_wrong_place_has_a_small_distance_and_a_low_psnr(photo: Photo) -> None:
    task = make_task(photo, 0.5, 300, 0.0)
    shifted = score(lambda _: task.high[None].roll(3, dims=3), task)
    blurred = score(bicubic, task)
    assert shifted.swd < blurred.swd / 2
    assert shifted.psnr < blurred.psnr


def test_bands_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = RRDBNet(8, 1, 4)
    torch.nn.init.normal_(network.conv_body.weight, std=0.1)
    low = picture(45, 12)[None]
    with torch.no_grad():
        whole = network(low)
    monkeypatch.setattr(restoration, "BAND_ROWS", 10)
    heights: list[int] = []

    def upscale(band: Tensor) -> Tensor:
        heights.append(band.shape[2])
        return network(band)

    torch.testing.assert_close(enlarge(upscale, low), whole, atol=1e-4, rtol=0)
    assert heights == [26, 36, 41, 31, 21]


def test_sides_that_are_no_multiple_of_4(tmp_path: Path) -> None:
    photo = load_photo(write_photo(tmp_path / "odd.png", 131, 203))
    task = make_task(photo, 1 / 3, 203, 0.0)
    assert task.high.shape == (3, 128, 68)
    assert task.low.shape == (1, 3, 32, 17)
