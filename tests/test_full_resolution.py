"""The metrics at full resolution: on pictures made for it, each of which one metric must tell."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from trainers.metrics import borders as borders_module
from trainers.metrics import sliced_wasserstein_any_size
from trainers.metrics.borders import VisibleBorders, measure_borders, smooth_places, strip_differences
from trainers.metrics.copied import CopiedShare, connected, copied_share, pieces_of
from trainers.metrics.full_resolution import (
    FullResolution,
    as_pixels,
    measure_full_resolution,
    photograph_at,
    table,
)
from trainers.metrics.octaves import OctaveAmplitudes, octave_masks, tile_powers
from trainers.metrics.sliced_wasserstein import laplacian_pyramid
from trainers.metrics.sliced_wasserstein_any_size import (
    SlicedWassersteinAnySize,
    gaussian_pyramid,
    laplacian_patches,
)
from trainers.photo import Photo

pytestmark = pytest.mark.usefixtures("one_thread")

Pixels = npt.NDArray[np.uint8]
Field = npt.NDArray[np.int64]


def to_pixels(values: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def filtered_noise(shape: tuple[int, int], seed: int, response: object) -> npt.NDArray[np.float64]:
    """White noise of deviation 1 per channel, times ``response`` of the frequency in cycles per pixel."""
    noise = np.random.default_rng(seed).standard_normal((*shape, 3))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    spectrum = np.fft.fft2(noise, axes=(0, 1)) * response(frequency)[..., None]  # type: ignore[operator]
    return np.fft.ifft2(spectrum, axes=(0, 1)).real


def pink(frequency: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1 / np.maximum(frequency, 1 / 128)


def gaussian(deviation: float, frequency: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What a Gaussian blur leaves of a frequency."""
    return np.exp(-2 * (math.pi * deviation * frequency) ** 2)


def landscape(height: int, width: int, seed: int = 0, blur: float = 0.0, horizon: float = 0.4) -> Pixels:
    """A sky with a little noise over rock (1/f noise)."""
    rock = filtered_noise((height, width), seed, lambda f: 3 * pink(f) * gaussian(blur, f))
    grain = filtered_noise((height, width), seed + 1000, lambda f: gaussian(blur, f))
    rows = np.arange(height)[:, None, None] / height
    return to_pixels(120 + 20 * rows + grain + rock * np.clip(10 * (rows - horizon), 0, 1))


def mosaic(photograph: Pixels, block: int, seed: int = 0) -> tuple[Pixels, Field]:
    """The photograph's blocks (its sides are multiples of ``block``) in another order, and their sources."""
    rows, columns = (side // block for side in photograph.shape[:2])
    order = np.random.default_rng(seed).permutation(rows * columns).reshape(rows, columns)
    y, x = np.indices(photograph.shape[:2])
    taken = order[y // block, x // block]
    sources = np.stack([taken // columns * block + y % block, taken % columns * block + x % block], -1)
    return photograph[sources[..., 0], sources[..., 1]], sources


def identity(height: int, width: int) -> Field:
    return np.moveaxis(np.indices((height, width)), 0, -1)


PHOTOGRAPH = landscape(384, 512)


class TestOctaveAmplitudes:
    def test_the_photograph_itself_is_at_1(self) -> None:
        octaves = OctaveAmplitudes(PHOTOGRAPH)(PHOTOGRAPH)
        assert [one.name for one in octaves] == ["2_4px", "4_8px", "8_16px", "16_32px", "32_64px"]
        assert [one.plain for one in octaves] == pytest.approx([1] * 5)
        assert [one.matched for one in octaves[:-1]] == pytest.approx([1] * 4)
        assert octaves[-1].matched is None

    def test_mirrored_or_repeated_it_stays_there(self) -> None:
        compare = OctaveAmplitudes(PHOTOGRAPH)
        twice = np.concatenate([PHOTOGRAPH, PHOTOGRAPH[:, ::-1]], 1)
        for picture in (PHOTOGRAPH[:, ::-1], twice):
            octaves = compare(picture)
            assert [one.plain for one in octaves[:3]] == pytest.approx([1] * 3, abs=0.02)
            assert [one.plain for one in octaves[3:]] == pytest.approx([1] * 2, abs=0.04)  # of few tiles

    @pytest.mark.parametrize("blur", [0.5, 1.0, 2.0])
    def test_blur_takes_what_it_takes(self, blur: float) -> None:
        """Of pictures whose spectrum is known; bands where rounding is what is left are not looked at."""
        size = 512, 768

        def noise(response: object) -> Pixels:
            return to_pixels(128 + 4 * filtered_noise(size, 3, response))

        got = OctaveAmplitudes(noise(pink))(noise(lambda f: pink(f) * gaussian(blur, f)))
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)).ravel()
        masks = octave_masks(256).numpy()
        before = pink(frequency) ** 2 @ masks
        after = (pink(frequency) * gaussian(blur, frequency)) ** 2 @ masks
        expected = np.sqrt(after / before)
        for one, value in zip(got, expected, strict=True):
            if one.amplitude > 1:
                assert one.plain == pytest.approx(value, rel=0.03)
        assert sum(one.amplitude > 1 for one in got) >= 3
        assert expected[0] < 0.75  # else there would be nothing to see

    def test_units_are_levels(self) -> None:
        """A wave of 10 levels has an amplitude of 10 / sqrt(2), in the octave of its wavelength alone."""
        x = np.arange(512)
        wave = np.broadcast_to(128 + 10 * np.sin(2 * np.pi * x / 11.6)[None, :, None], (300, 512, 3))
        amplitudes = tile_powers(to_pixels(wave), 256).mean(0).sqrt()
        assert amplitudes.tolist() == pytest.approx([0, 0, 10 / math.sqrt(2), 0, 0], abs=0.3)

    def test_masks_count_every_frequency_once(self) -> None:
        """Those that a real transform leaves out, too."""
        radius = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
        expected = [((radius > high / 2) & (radius <= high)).sum() for high in (1 / 2, 1 / 4, 1 / 8)]
        assert octave_masks(64).sum(0).tolist() == expected

    def test_more_sky_is_less_amplitude_but_not_at_equal_composition(self) -> None:
        more_sky = landscape(384, 512, seed=7, horizon=0.7)
        compare = OctaveAmplitudes(PHOTOGRAPH, 64)
        octaves = compare(more_sky)
        assert all(one.plain < 0.8 for one in octaves)
        assert all(one.matched == pytest.approx(1, abs=0.12) for one in octaves[:-1])
        blurred = compare(landscape(384, 512, seed=7, horizon=0.7, blur=1))
        assert blurred[0].matched is not None
        assert blurred[0].matched < 0.5

    def test_small_pictures(self) -> None:
        small = OctaveAmplitudes(PHOTOGRAPH[:100])
        assert small.tile == 64
        assert [one.finest for one in small(PHOTOGRAPH)] == [2, 4, 8]
        with pytest.raises(ValueError, match=r"at least 64 x 64 pixels, got 512 x 63"):
            OctaveAmplitudes(PHOTOGRAPH[:63])
        with pytest.raises(ValueError, match=r"at least 256 x 256 pixels, got 512 x 200"):
            OctaveAmplitudes(PHOTOGRAPH)(PHOTOGRAPH[:200])


class TestSlicedWassersteinAnySize:
    @pytest.mark.parametrize("size", [(67, 90), (64, 97)])
    def test_patches_are_those_of_the_laplacian_pyramid(
        self, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At corners, borders, odd and even places; level 1 made in several bands."""
        monkeypatch.setattr(sliced_wasserstein_any_size, "BAND_ROWS", 9)
        picture = PHOTOGRAPH[150 : 150 + size[0], : size[1]]
        expected = laplacian_pyramid(torch.from_numpy(picture.copy()).permute(2, 0, 1) / 255)
        pyramid = gaussian_pyramid(picture)
        assert pyramid.shapes == [tuple(band.shape[1:]) for band in expected]
        for level, band in enumerate(expected):
            height, width = band.shape[1:]
            y = torch.tensor([0, 1, height - 7, height - 8, 5, 0])
            x = torch.tensor([0, width - 7, 1, width - 8, 4, width - 7])
            got = laplacian_patches(pyramid, level, y, x, residual=level == len(expected) - 1)
            wanted = torch.stack([band[:, i : i + 7, j : j + 7] for i, j in zip(y, x, strict=True)])
            torch.testing.assert_close(got, wanted, atol=1e-6, rtol=0)

    def test_distances(self) -> None:
        """The photograph, another picture of its kind and another size, and that one blurred."""
        distance = SlicedWassersteinAnySize(gaussian_pyramid(PHOTOGRAPH))
        assert distance(gaussian_pyramid(PHOTOGRAPH)) == [0] * 5
        good, bad = (
            distance(gaussian_pyramid(landscape(500, 900, seed=7, blur=blur))) for blur in (0.0, 1.0)
        )
        assert max(good[:3]) < 70
        assert bad[0] > 5 * good[0]
        assert bad[0] > bad[1] > bad[2]

    def test_a_flat_picture_at_a_known_distance(self) -> None:
        """Of normal patches, a constant at their mean is the mean of |normal| away: sqrt(2 / pi)."""
        white = to_pixels(128 + 20 * np.random.default_rng(0).standard_normal((24, 700, 3)))
        flat = np.full((24, 900, 3), 128, np.uint8)
        distance = SlicedWassersteinAnySize(gaussian_pyramid(white))(gaussian_pyramid(flat))
        assert distance == [pytest.approx(1000 * math.sqrt(2 / math.pi), rel=0.03)]

    def test_other_seeds_say_the_same(self) -> None:
        pictures = [gaussian_pyramid(landscape(384, 512, seed=7, blur=blur)) for blur in (0.0, 0.5)]
        photograph = gaussian_pyramid(PHOTOGRAPH)
        good, bad = zip(
            *([SlicedWassersteinAnySize(photograph, seed)(one)[0] for one in pictures] for seed in range(3)),
            strict=True,
        )
        assert len({*good}) == 3
        assert min(bad) > 2 * max(good)

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match=r"at least 7 x 7 pixels, got 512 x 6"):
            SlicedWassersteinAnySize(gaussian_pyramid(PHOTOGRAPH[:6]))
        with pytest.raises(ValueError, match=r"a picture of 40 x 40 is too small for this photograph"):
            SlicedWassersteinAnySize(gaussian_pyramid(PHOTOGRAPH))(gaussian_pyramid(PHOTOGRAPH[:40, :40]))


class TestCopied:
    PHOTOGRAPH = landscape(96, 128, horizon=0)

    @staticmethod
    def planes(picture: Pixels) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1) / 255

    def test_the_photograph_itself_is_one_piece(self) -> None:
        copied = CopiedShare(self.planes(self.PHOTOGRAPH))(self.planes(self.PHOTOGRAPH))
        assert (copied.largest, copied.typical, copied.pieces) == (1, 1, 1)

    def test_so_is_a_plain_picture(self) -> None:
        """Where every patch is as near as any other."""
        plain = torch.full((3, 40, 50), 0.7)
        assert CopiedShare(plain)(plain).largest == 1

    def test_pieces_end_where_pixels_differ(self) -> None:
        """Plain patches join a neighbour's piece only as far as the photograph is plain there."""
        texture = torch.rand(3, 30, 40, generator=torch.Generator().manual_seed(0))
        plain = torch.full((3, 30, 20), 0.5)
        photograph, picture = torch.cat([plain, texture], 2), torch.cat([texture[:, :, :20], plain], 2)
        sources, stride = CopiedShare(photograph).sources(picture, 1)
        assert stride == 1
        assert (sources[:, 20:, 1] <= 13).all()
        np.testing.assert_array_equal(sources[:, :14, 1], np.arange(20, 34)[None].repeat(24, 0))

    def test_blocks_are_found(self) -> None:
        """Their inner patches have them as their piece; those across borders go anywhere."""
        compare = CopiedShare(self.planes(self.PHOTOGRAPH))
        picture, sources = mosaic(self.PHOTOGRAPH, 32)
        copied, known = compare(self.planes(picture)), copied_share(sources)
        assert copied.largest == pytest.approx(known.largest, rel=0.2)
        assert copied.typical == pytest.approx(known.typical * (26 / 32) ** 2, rel=0.3)
        smaller = compare(self.planes(mosaic(self.PHOTOGRAPH, 16)[0]))
        assert smaller.typical < copied.typical / 3

    def test_other_pictures_have_small_pieces(self) -> None:
        compare = CopiedShare(self.planes(self.PHOTOGRAPH))
        shuffled = np.random.default_rng(0).permutation(self.PHOTOGRAPH.reshape(-1, 3))
        for other in (
            shuffled.reshape(self.PHOTOGRAPH.shape),
            self.PHOTOGRAPH[:, ::-1],
            landscape(96, 128, seed=5, horizon=0),
        ):
            copied = compare(self.planes(other))
            assert copied.largest < 0.02
            assert copied.typical < 0.004

    def test_nearest_patches_are_exact(self) -> None:
        """Against all differences in float64, on places three pixels apart."""
        photograph, picture = (self.planes(landscape(28, 33, seed=seed, horizon=0)) for seed in (1, 2))
        sources, stride = CopiedShare(photograph).sources(picture, 3)
        assert (sources.shape, stride) == ((8, 9, 2), 3)

        def cut(planes: torch.Tensor, step: int) -> npt.NDArray[np.float64]:
            array = planes.double().numpy()
            ys, xs = range(0, 22, step), range(0, 27, step)
            return np.stack([array[:, y : y + 7, x : x + 7].ravel() for y in ys for x in xs])

        nearest = np.square(cut(picture, 3)[:, None] - cut(photograph, 1)[None]).sum(2).argmin(1)
        expected = np.stack([nearest // 27, nearest % 27], 1).reshape(8, 9, 2)
        np.testing.assert_array_equal(sources, expected)

    def test_of_known_sources(self) -> None:
        copied = copied_share(identity(90, 120))
        assert (copied.largest, copied.typical, copied.pieces) == (1, 1, 1)
        _, sources = mosaic(self.PHOTOGRAPH, 16)
        copied = copied_share(sources)
        assert copied.typical == pytest.approx(1 / 48, rel=0.2)  # now and then neighbours stay neighbours
        assert copied.typical == pytest.approx(copied_share(sources[::4, ::4], stride=4).typical)
        rng = np.random.default_rng(0)
        anywhere = copied_share(rng.integers(0, 4000, (100, 100, 2)))
        assert anywhere.pieces > 9900
        with pytest.raises(ValueError, match="one place at least"):
            copied_share(sources[:0])

    def test_pieces_may_warp_by_the_tolerance(self) -> None:
        sources = identity(10, 20)
        sources[:, 10:, 1] += 1
        sources[:, 15:, 1] += 2
        np.testing.assert_array_equal(pieces_of(sources)[0], [0] * 15 + [1] * 5)
        np.testing.assert_array_equal(pieces_of(sources, tolerance=0)[0], [0] * 10 + [1] * 5 + [2] * 5)
        np.testing.assert_array_equal(pieces_of(sources, tolerance=2)[0], [0] * 20)

    def test_one_pixel_spread_over_many_is_no_piece(self) -> None:
        assert copied_share(np.full((20, 30, 2), 5)).pieces == 600

    def test_neighbours_across_a_corner_are_not_connected(self) -> None:
        sources = identity(4, 4)
        sources[:2, 2:] += 50
        sources[2:, :2] += 90
        assert copied_share(sources).pieces == 4

    def test_components_agree_with_a_plain_search(self) -> None:
        rng = np.random.default_rng(0)
        edges = rng.integers(0, 400, (2, 250))
        roots = connected(edges, 400)
        least = np.arange(400)
        for _ in range(400):
            for one, other in edges.T:
                least[one] = least[other] = min(least[one], least[other])
        np.testing.assert_array_equal(roots, least)
        order = rng.permutation(5000)  # one long chain
        assert not connected(np.stack([order[:-1], order[1:]]), 5000).any()


def two_tones(step: float, noise: float, seed: int = 0) -> Pixels:
    """A gradient downwards with noise, ``step`` levels brighter in its right half: (640, 512, 3)."""
    y, x = np.indices((640, 512))
    values = 110 + 0.02 * y + np.where(x >= 256, step, 0)
    return to_pixels(values[..., None] + noise * np.random.default_rng(seed).standard_normal((640, 512, 3)))


def joined(photograph: Pixels, blend: int = 0) -> tuple[Pixels, Field]:
    """The photograph's left quarter beside its right one, blended over ``blend`` pixels; and the sources."""
    left, right = photograph[:, :256].astype(float), photograph[:, 256:].astype(float)
    x = np.arange(256)
    share = np.clip((x - 127.5) / max(blend, 1e-6) + 0.5, 0, 1)[None, :, None]
    sources = identity(640, 256).copy()
    sources[:, 128:, 1] += 256
    return to_pixels((1 - share) * left + share * right), sources


class TestBorders:
    def test_a_step_of_four_levels_in_noise_stands_out_by_four(self) -> None:
        photograph = two_tones(4, noise=2)
        result = measure_borders([joined(photograph)], photograph)
        assert set(result.kinds) == {"smooth"}
        assert result.share == pytest.approx(640 / (640 * 255 + 639 * 256))
        smooth = result.kinds["smooth"]
        assert smooth.runs == 40
        assert list(smooth.stands_out) == [50, 95, 99]
        assert list(smooth.stands_out.values()) == pytest.approx([4, 4, 4], abs=0.5)
        assert smooth.at_borders[0] == pytest.approx([4, 4, 4, 4], abs=0.3)
        assert 1.5 < smooth.gradient_ratio < 2.5

    def test_without_a_step_nothing_stands_out(self) -> None:
        photograph = two_tones(0, noise=2)
        smooth = measure_borders([joined(photograph)], photograph).kinds["smooth"]
        assert max(map(abs, smooth.stands_out.values())) < 0.3
        assert smooth.gradient_ratio == pytest.approx(1, abs=0.1)

    def test_blended_over_64_pixels_it_stands_out_by_less_than_one(self) -> None:
        photograph = two_tones(4, noise=2)
        smooth = measure_borders([joined(photograph, blend=64)], photograph).kinds["smooth"]
        assert smooth.stands_out[95] < 1
        assert smooth.stands_out[95] > 0.5  # 16 of 64 pixels' worth of it, at width 16
        assert smooth.at_borders[1, 0] < 1  # levels at width 2

    def test_in_texture_a_cut_is_measured_as_busy(self) -> None:
        """A step of 4 levels is below what the texture does anyhow; one of 60 is not."""
        results = {}
        for step in (0, 4, 60):
            photograph = two_tones(step, noise=25)
            result = measure_borders([joined(photograph)], photograph)
            assert set(result.kinds) == {"busy"}
            results[step] = result.kinds["busy"].stands_out[95]
        assert results[0] < 1.5
        assert results[4] < 4
        assert results[60] == pytest.approx(55, abs=8)

    def test_borders_one_above_the_other_are_as_good(self) -> None:
        photograph = two_tones(4, noise=2)
        picture, sources = joined(photograph)
        upright = measure_borders([(picture, sources)], photograph).kinds["smooth"]
        turned = measure_borders(
            [(picture.transpose(1, 0, 2), sources.transpose(1, 0, 2)[..., ::-1])],
            photograph.transpose(1, 0, 2),
        ).kinds["smooth"]
        np.testing.assert_allclose(upright.at_borders, turned.at_borders, atol=1e-5)
        np.testing.assert_allclose(upright.natural, turned.natural, atol=1e-5)

    def test_a_mosaic_of_a_landscape_shows(self) -> None:
        picture, sources = mosaic(PHOTOGRAPH, 64)
        result = measure_borders([(picture, sources)], PHOTOGRAPH)
        assert result.kinds["busy"].stands_out[50] > 5
        assert result.numbers()["border_busy_stands_out_50"] == result.kinds["busy"].stands_out[50]
        assert result.numbers()["border_share"] == pytest.approx(
            (7 * 384 + 5 * 512) / (384 * 511 + 383 * 512), rel=0.1
        )

    def test_the_photograph_itself_has_no_borders(self) -> None:
        result = measure_borders([(PHOTOGRAPH, identity(384, 512))], PHOTOGRAPH)
        assert (result.share, result.kinds) == (0, {})
        assert result.numbers() == {"border_share": 0}

    def test_runs_are_drawn_where_there_are_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        photograph = two_tones(4, noise=2)
        monkeypatch.setattr(borders_module, "RUNS", 25)
        few = [measure_borders([joined(photograph)], photograph, seed).kinds["smooth"] for seed in (0, 0, 1)]
        assert few[0].runs == 25
        np.testing.assert_array_equal(few[0].natural, few[1].natural)
        assert (few[0].natural != few[2].natural).any()

    def test_strips_agree_with_plain_means(self) -> None:
        got = strip_differences(PHOTOGRAPH, np.array([300, 17]), np.array([50, 15]))
        assert got.shape == (2, 3, 5)
        values = PHOTOGRAPH.astype(float)
        for i, (y, x) in enumerate([(300, 50), (17, 15)]):
            for j, width in enumerate((2, 4, 8, 16, 1)):
                right, left = values[y, x + 1 : x + 1 + width], values[y, x + 1 - width : x + 1]
                np.testing.assert_allclose(got[i, :, j], right.mean(0) - left.mean(0), atol=1e-4)

    def test_smooth_places_agree_with_plain_deviations(self) -> None:
        smooth = smooth_places(PHOTOGRAPH)
        luma = PHOTOGRAPH @ np.array([0.299, 0.587, 0.114])
        padded = np.pad(luma, 7, mode="edge")
        for y, x in [(0, 0), (383, 511), (150, 30), (153, 200), (256, 77), (300, 300)]:
            assert smooth[y, x] == (padded[y : y + 15, x : x + 15].std() < 2.5)
        assert smooth[:100].mean() > 0.95
        assert smooth[200:].mean() < 0.05

    def test_errors(self) -> None:
        found = VisibleBorders(PHOTOGRAPH)
        with pytest.raises(ValueError, match=r"expected sources of \(384, 512\), got \(383, 512\)"):
            found.add(PHOTOGRAPH, identity(383, 512))
        with pytest.raises(ValueError, match="sources lie outside the photograph"):
            found.add(PHOTOGRAPH, identity(384, 512) + 1)


class Canvas:
    """A picture that can only be sliced, and counts the rows that were asked for."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels, self.shape, self.rows = pixels, pixels.shape, 0

    def __getitem__(self, key: tuple[slice, slice]) -> Pixels:
        result = self.pixels[key]
        self.rows += result.shape[0]
        return result


class TestFullResolution:
    @pytest.fixture(autouse=True)
    def _coarser_copies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nearest patches take the longest of all."""
        monkeypatch.setattr("trainers.metrics.full_resolution.LONG_SIDE", 96)

    def test_all_numbers_of_a_mosaic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trainers.metrics.full_resolution.REGION", 201)
        monkeypatch.setattr("trainers.metrics.full_resolution.SOURCE_PLACES", 8000)  # every 5th pixel
        picture, sources = mosaic(PHOTOGRAPH, 64)
        compare = FullResolution(PHOTOGRAPH)

        def field(y0: int, x0: int, y1: int, x1: int) -> Field:
            return sources[y0:y1, x0:x1]

        numbers = compare.measure(picture, field)
        assert numbers == measure_full_resolution(picture, PHOTOGRAPH, sources=field)
        known = copied_share(sources[::5, ::5], stride=5)
        assert numbers["source_largest"] == known.largest
        assert (numbers["source_typical"], numbers["source_pieces"]) == (known.typical, known.pieces)
        levels = [numbers[f"swd_full_level_{i}"] for i in range(5)]
        assert numbers["swd_full"] == pytest.approx(sum(levels[:3]) / 3)  # 512, 256 and 128 pixels
        assert numbers["source_typical"] == pytest.approx(1 / 48, rel=0.3)
        assert numbers["border_busy_stands_out_95"] > 5
        assert numbers["copied_typical"] < 0.1
        assert all(math.isfinite(value) for value in numbers.values())
        mirrored = compare.mirrored()
        assert set(mirrored) == {name for name in numbers if not name.startswith(("source", "border"))}
        text = table({"mosaic": numbers, "mirrored": mirrored})
        assert len(text.splitlines()) == len(numbers) + 1
        assert "amplitude, 2 to 4 px" in text
        assert text.splitlines()[-1].endswith("-")

    def test_the_photograph_itself(self) -> None:
        numbers = measure_full_resolution(
            PHOTOGRAPH, PHOTOGRAPH, sources=lambda y0, x0, y1, x1: identity(384, 512)[y0:y1, x0:x1]
        )
        assert numbers["amplitude_2_4px"] == pytest.approx(1)
        assert numbers["swd_full"] == 0
        assert (numbers["copied_largest"], numbers["source_largest"], numbers["border_share"]) == (1, 1, 0)

    def test_each_damage_shows_in_its_own_number(self) -> None:
        compare = FullResolution(PHOTOGRAPH)
        kind = compare.measure(landscape(384, 512, seed=7))
        blurred = compare.measure(landscape(384, 512, seed=7, blur=1))
        assert kind["amplitude_2_4px"] == pytest.approx(1, abs=0.05)
        assert blurred["amplitude_2_4px"] < 0.5
        assert blurred["swd_full_level_0"] > 3 * kind["swd_full_level_0"]
        shuffled = np.random.default_rng(0).permutation(PHOTOGRAPH.reshape(-1, 3)).reshape(PHOTOGRAPH.shape)
        broken = compare.measure(shuffled)
        assert broken["amplitude_2_4px"] > 2
        assert broken["swd_full"] > 10 * kind["swd_full"]
        assert broken["copied_largest"] < 0.05

    def test_a_canvas_is_read_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trainers.metrics.full_resolution.BAND_ROWS", 100)
        canvas = Canvas(PHOTOGRAPH)
        assert measure_full_resolution(canvas, PHOTOGRAPH)["swd_full"] == 0
        assert canvas.rows == 384 + 1

    def test_photographs_at_a_scale(self) -> None:
        photo = Photo(torch.from_numpy(PHOTOGRAPH).permute(2, 0, 1), "")
        np.testing.assert_array_equal(photograph_at(photo, 512), PHOTOGRAPH)
        assert photograph_at(photo, 128).shape == (96, 128, 3)
        assert photograph_at(photo, 1024).shape == (768, 1024, 3)
        mean = PHOTOGRAPH.mean((0, 1))
        np.testing.assert_allclose(photograph_at(photo, 128).mean((0, 1)), mean, atol=0.5)

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match="expected 8-bit pixels, got uint16"):
            as_pixels(PHOTOGRAPH.astype(np.uint16))
        with pytest.raises(ValueError, match=r"shape \(height, width, 3\), got \(384, 512\)"):
            as_pixels(PHOTOGRAPH[..., 0])
