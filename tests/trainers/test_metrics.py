import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.metrics import nearest_patches, sliced_wasserstein
from trainers.metrics.diversity import diversity
from trainers.metrics.filters import convolve
from trainers.metrics.layout import layout_drift, row_statistics
from trainers.metrics.nearest_patches import NearestPatches, patches_of
from trainers.metrics.sifid import Normal, frechet_distance
from trainers.metrics.sliced_wasserstein import SlicedWasserstein, laplacian_pyramid


def landscape(height: int = 72, width: int = 96, seed: int = 0) -> Tensor:
    """A sky that brightens downwards over textured ground: (3, H, W) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.linspace(0, 1, height)[:, None]
    sky = torch.stack([0.2 + 0.5 * rows, 0.3 + 0.3 * rows, 0.7 + 0.1 * rows]).expand(-1, -1, width)
    grain = torch.rand(1, height, width, generator=generator) * torch.tensor([0.5, 0.4, 0.2])[:, None, None]
    phase = torch.rand((), generator=generator) * 6
    ridge = 0.55 + 0.1 * torch.sin(torch.arange(width) / 9 + phase)
    return torch.where(rows < ridge, sky, grain)


def blurred(picture: Tensor, times: int = 1) -> Tensor:
    for _ in range(times):
        picture = convolve(
            torch.nn.functional.pad(picture[None], (1,) * 4, mode="replicate")[0], [0.25, 0.5, 0.25]
        )
    return picture


def noisy(picture: Tensor, deviation: float) -> Tensor:
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(1))
    return (picture + deviation * noise).clamp(0, 1)


pytestmark = pytest.mark.usefixtures("one_thread")


PHOTO = landscape()


class TestSlicedWasserstein:
    def test_the_photograph_itself_is_at_0(self) -> None:
        assert SlicedWasserstein(PHOTO)(PHOTO) == [0, 0, 0]

    @pytest.mark.parametrize(
        "damage",
        [
            blurred,
            lambda x: noisy(x, 0.1),
            lambda x: x[[2, 0, 1]],
            lambda x: (x + 0.1).clamp(0, 1),
            lambda x: 0.5 + 0.5 * (x - 0.5),
        ],
        ids=["blur", "noise", "colours", "brightness", "contrast"],
    )
    def test_damage_is_further_away_than_another_picture_of_the_kind(
        self, damage: Callable[[Tensor], Tensor]
    ) -> None:
        distance = SlicedWasserstein(PHOTO)
        other = landscape(seed=5)
        assert np.mean(distance(damage(other))) > 1.3 * np.mean(distance(other))

    def test_blur_shows_at_the_finest_level_and_grows(self) -> None:
        distance = SlicedWasserstein(PHOTO)
        finest = [distance(blurred(PHOTO, times))[0] for times in (0, 1, 2, 4)]
        assert finest == sorted(finest)
        assert finest[3] > finest[1] + 50

    def test_a_flat_picture_at_a_known_distance(self) -> None:
        """Of standard normal patches, a constant at their mean is the mean of |normal| away: sqrt(2 / pi)."""
        white = torch.randn(3, 16, 400, generator=torch.Generator().manual_seed(0))
        distance = SlicedWasserstein(white)
        assert distance(white.mean((1, 2), keepdim=True).expand_as(white)) == [
            pytest.approx(1000 * math.sqrt(2 / math.pi), rel=0.03)
        ]

    def test_agrees_with_a_plain_implementation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """All patches of one level, cut out by loops."""
        one, other = landscape(20, 24, 1).double(), landscape(20, 24, 2).double()
        monkeypatch.setattr(sliced_wasserstein, "DESCRIPTORS", 10_000)
        distance = SlicedWasserstein(one.float())
        directions = distance.directions.double().numpy()

        def cut(picture: Tensor) -> np.ndarray:
            array = picture.numpy()
            return np.stack([array[:, y : y + 7, x : x + 7] for y in range(14) for x in range(18)])

        ours, theirs = cut(one), cut(other)
        mean = ours.mean((0, 2, 3), keepdims=True)
        deviation = ours.std((0, 2, 3), keepdims=True, ddof=1)
        projected = [
            np.sort(((patches - mean) / deviation).reshape(len(patches), -1) @ directions, axis=0)
            for patches in (ours, theirs)
        ]
        expected = 1000 * np.abs(projected[0] - projected[1]).mean()
        assert distance(other.float()) == [pytest.approx(expected, rel=1e-4)]

    def test_which_patches_are_taken_matters_little(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The spread over seeds against the difference between a good and a blurred picture."""
        monkeypatch.setattr(sliced_wasserstein, "DESCRIPTORS", 2000)
        other = landscape(seed=5)
        good, bad = (
            [np.mean(SlicedWasserstein(PHOTO, seed)(picture)) for seed in range(5)]
            for picture in (other, blurred(other))
        )
        assert min(bad) - max(good) > 3 * max(np.std(good), np.std(bad))

    def test_the_pyramid_adds_up_to_the_picture(self) -> None:
        """Its sizes, and that collapsing it gives the picture back."""
        pyramid = laplacian_pyramid(landscape(67, 90))
        assert [tuple(band.shape[1:]) for band in pyramid] == [(67, 90), (34, 45), (17, 23)]
        picture = pyramid[-1]
        for band in reversed(pyramid[:-1]):
            spread = torch.zeros_like(band)
            spread[:, ::2, ::2] = picture
            picture = band + 4 * sliced_wasserstein._filter(spread)
        torch.testing.assert_close(picture, landscape(67, 90))

    def test_smooth_pictures_lie_in_the_coarsest_level(self) -> None:
        """A linear ramp has no detail: away from the borders all bands but the last are 0."""
        ramp = torch.linspace(0, 1, 96).expand(3, 64, 96)
        fine = laplacian_pyramid(ramp)[0]
        assert fine[:, 4:-4, 4:-4].abs().max() < 1e-6

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match=r"at least 7 x 7 pixels, got 9 x 6"):
            SlicedWasserstein(torch.zeros(3, 6, 9))
        with pytest.raises(ValueError, match=r"photograph's size \(3, 72, 96\), got \(3, 72, 90\)"):
            SlicedWasserstein(PHOTO)(PHOTO[:, :, :90])


class TestNearestPatches:
    def test_the_photograph_itself_is_at_0(self) -> None:
        assert NearestPatches(PHOTO)(PHOTO) == (0, 0)

    def test_a_part_is_coherent_and_not_complete(self) -> None:
        coherence, completeness = NearestPatches(PHOTO)(PHOTO[:, :40])  # sky alone
        assert coherence == 0
        assert completeness > 100

    def test_something_foreign_is_complete_and_not_coherent(self) -> None:
        coherence, completeness = NearestPatches(PHOTO[:, :40])(PHOTO)
        assert completeness == 0
        assert coherence > 100

    def test_damage_makes_it_less_coherent(self) -> None:
        compare = NearestPatches(PHOTO)
        other = landscape(seed=5)
        assert compare(other)[0] < compare(noisy(other, 0.1))[0]
        assert compare(other)[0] < compare(other[[2, 0, 1]])[0]

    def test_agrees_with_brute_force(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nearest_patches, "CHUNK_VALUES", 1000)  # several chunks
        one, other = landscape(14, 19, 1), landscape(16, 15, 2)

        def cut(picture: Tensor) -> np.ndarray:
            array = picture.double().numpy()
            height, width = array.shape[1] - 6, array.shape[2] - 6
            return np.stack(
                [array[:, y : y + 7, x : x + 7].ravel() for y in range(height) for x in range(width)]
            )

        squares = ((cut(other)[:, None] - cut(one)[None]) ** 2).mean(-1) * 255**2
        expected = squares.min(1).mean(), squares.min(0).mean()
        assert NearestPatches(one, stride=1)(other) == pytest.approx(expected, rel=1e-4)

    def test_every_fifth_patch_stands_for_all(self) -> None:
        other = landscape(seed=5)
        few, all_of_them = (NearestPatches(PHOTO, stride)(other) for stride in (5, 1))
        assert few == pytest.approx(all_of_them, rel=0.1)

    def test_patches(self) -> None:
        assert patches_of(PHOTO, 5).shape == (14 * 18, 147)
        with pytest.raises(ValueError, match=r"at least 7 x 7 pixels, got \(6, 9\)"):
            NearestPatches(torch.zeros(3, 6, 9))


class TestLayoutDrift:
    def test_moves_along_rows_are_no_drift(self) -> None:
        assert layout_drift(PHOTO, PHOTO) == 0
        assert layout_drift(PHOTO.roll(31, dims=2), PHOTO) < 1e-3
        assert layout_drift(PHOTO.flip(2), PHOTO) < 1e-3

    def test_it_grows_with_the_shift_of_the_horizon(self) -> None:
        drifts = [layout_drift(PHOTO.roll(rows, dims=1), PHOTO) for rows in (0, 1, 4, 12)]
        assert drifts == sorted(drifts)
        assert drifts[1] < drifts[3] / 4  # a pixel is little
        assert layout_drift(PHOTO.flip(1), PHOTO) > drifts[2]

    def test_units_are_levels(self) -> None:
        """Ten levels brighter; and twice the contrast, about rows' means, of a deviation of 20 levels."""
        picture = landscape().clamp(0.1, 0.9)
        assert layout_drift(picture + 10 / 255, picture) == pytest.approx(10, abs=0.01)
        stripes = torch.tensor([-20.0, 20.0]).repeat(3, 50, 30) / 255 + 0.5
        assert layout_drift(0.5 + 2 * (stripes - 0.5), stripes) == pytest.approx(20, abs=0.01)

    def test_row_statistics_agree_with_a_plain_implementation(self) -> None:
        picture = landscape(64, 80)  # the window's deviation is one row
        array = np.pad(picture.double().numpy(), ((0, 0), (3, 3), (0, 0)), mode="edge")
        weights = np.exp(-0.5 * np.arange(-3, 4) ** 2.0)
        mean, deviation = row_statistics(picture).numpy()
        for row in (0, 30, 63):
            values = array[:, row : row + 7].reshape(3, -1)
            each = np.repeat(weights / weights.sum() / 80, 80)
            expected = values @ each
            np.testing.assert_allclose(mean[:, row], expected, atol=1e-6)
            spread = np.sqrt(((values - expected[:, None]) ** 2) @ each)
            np.testing.assert_allclose(deviation[:, row], spread, atol=1e-5)

    def test_other_widths_but_no_other_heights(self) -> None:
        assert layout_drift(PHOTO.repeat(1, 1, 2), PHOTO) < 1e-3
        with pytest.raises(ValueError, match=r"expected a height of 72 px, as the photograph's, got 71"):
            layout_drift(PHOTO[:, :71], PHOTO)


class TestDiversity:
    def test_of_equal_and_of_independent_samples(self) -> None:
        """1 where samples differ from each other as pixels of the photograph do."""
        photo = torch.rand(1, 30, 40, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
        samples = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(1)).expand(-1, 3, -1, -1)
        assert diversity(torch.stack([photo] * 5), photo) == pytest.approx(0, abs=1e-6)
        assert diversity(samples, photo) == pytest.approx(1, rel=0.03)

    def test_agrees_with_its_definition(self) -> None:
        samples = torch.stack([landscape(seed=seed) for seed in range(6)])
        grey = (samples.double().numpy() * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(1)
        photo = (PHOTO.double().numpy() * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(0)
        assert diversity(samples, PHOTO) == pytest.approx(grey.std(0).mean() / photo.std(), rel=1e-5)

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match="expected at least two samples, got 1"):
            diversity(PHOTO[None], PHOTO)
        with pytest.raises(ValueError, match="of one intensity"):
            diversity(torch.stack([PHOTO, PHOTO]), torch.full_like(PHOTO, 0.3))


class TestFrechet:
    @staticmethod
    def features(channels: int, positions: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        mixing = torch.randn(channels, channels, generator=generator)
        return mixing @ torch.randn(channels, positions, generator=generator) + seed

    def test_agrees_with_the_roots_of_the_product(self) -> None:
        """tr (C1 C2)^(1/2) from the eigenvalues of C1 C2, which is not symmetric; statistics by NumPy."""
        one, other = self.features(24, 300, 1), self.features(24, 200, 2)
        c1, c2 = (np.cov(x.double().numpy()) for x in (one, other))
        means = one.double().mean(1) - other.double().mean(1)
        roots = np.sqrt(np.linalg.eigvals(c1 @ c2).astype(complex)).real.sum()
        expected = float(means @ means) + np.trace(c1) + np.trace(c2) - 2 * roots
        distance = frechet_distance(Normal.of(one), Normal.of(other))
        assert distance == pytest.approx(expected, rel=1e-9)
        assert distance == pytest.approx(frechet_distance(Normal.of(other), Normal.of(one)), rel=1e-9)

    def test_of_singular_covariances(self) -> None:
        """With fewer positions than channels; the product's eigenvalues hardly serve there."""
        one, other = Normal.of(self.features(40, 10, 1)), Normal.of(self.features(40, 15, 2))
        scale = float(one.covariance.trace())
        assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6 * scale)
        shifted = Normal(one.mean + 2, one.covariance)
        assert frechet_distance(one, shifted) == pytest.approx(160, abs=1e-6 * scale)
        zero = Normal(one.mean, torch.zeros_like(one.covariance))
        assert frechet_distance(one, zero) == pytest.approx(scale, rel=1e-9)
        assert frechet_distance(one, other) > 0

    def test_of_known_distributions(self) -> None:
        """Of independent channels it is the sum of squared differences of means and of deviations."""
        deviations = torch.tensor([1.0, 2.0, 0.0]).double(), torch.tensor([3.0, 0.5, 1.0]).double()
        one, other = (Normal(torch.zeros(3).double(), s.square().diag()) for s in deviations)
        assert frechet_distance(one, other) == pytest.approx(4 + 2.25 + 1)

    def test_statistics_in_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trainers.metrics.sifid.CHUNK", 7)
        features = self.features(5, 50, 3)
        normal = Normal.of(features)
        np.testing.assert_allclose(normal.mean, features.double().mean(1), rtol=1e-10)
        np.testing.assert_allclose(normal.covariance, np.cov(features.double().numpy()), rtol=1e-10)
