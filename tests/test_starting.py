"""Pictures that start from another: at every kind of structure, and blended into it by a mask."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ourgan_sdk import Box, BundleError, Layout, Mask, PhotographError, StartPicture, Synthesizer, learn
from ourgan_sdk.bundle import Bundle, write_bundle
from tests.tiny import write_photo

SIZE = 320, 200


@pytest.fixture(scope="module")
def photo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png", 400, 600)


@pytest.fixture(scope="module")
def patches(photo_path: Path) -> Synthesizer:
    """A photograph: structures of patches."""
    return Synthesizer(photo_path)


@pytest.fixture(scope="module")
def network(starting_path: Path) -> Synthesizer:
    """A structure network that can start from a picture, and detail from the photograph."""
    return Synthesizer(starting_path)


@pytest.fixture(scope="module")
def by_networks(starting_path: Path) -> Synthesizer:
    return Synthesizer(starting_path, detail="network")


@pytest.fixture(params=["patches", "network", "by_networks"])
def synthesizer(request: pytest.FixtureRequest) -> Synthesizer:
    found: Synthesizer = request.getfixturevalue(request.param)
    return found


def painting(seed: int = 0, height: int = 100, width: int = 160) -> np.ndarray:
    """Three areas of one colour each."""
    random = np.random.default_rng(seed)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = random.integers(0, 256, 3)
    picture[height // 2 :] = random.integers(0, 256, 3)
    picture[height // 4 :, : width // 3] = random.integers(0, 256, 3)
    return picture


def blob(seed: int, height: int = 100, width: int = 160) -> np.ndarray:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    cy, cx, r = random.uniform(0, height), random.uniform(0, width), random.uniform(5, 30)
    return np.hypot(y - cy, x - cx) < r


def test_seeds_vary_what_is_above_the_start(synthesizer: Synthesizer) -> None:
    start = painting()
    for scale in range(1, synthesizer.start_scales):
        one, same, other = (synthesizer.preview(seed, start=start, start_scale=scale) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert np.abs(one.astype(int) - other).mean() > 0.5
    last = [synthesizer.preview(seed, start=start, start_scale=synthesizer.start_scales) for seed in (1, 2)]
    np.testing.assert_array_equal(*last)  # nothing is left to be new
    canvases = [
        synthesizer.render(*SIZE, seed, start=start, start_scale=synthesizer.start_scales) for seed in (1, 2)
    ]
    assert (canvases[0] != canvases[1]).any()  # but for detail, or the passes' noise


def test_the_finer_the_start_the_closer_to_it(patches: Synthesizer, network: Synthesizer) -> None:
    """Reduced to what was given, each is nearer to it than the one started a scale lower."""
    for synthesizer in (patches, network):
        start = np.asarray(Image.fromarray(painting(3)).resize((300, 200), Image.Resampling.BICUBIC))
        last = synthesizer.start_scales
        distances = []
        for scale in (1, last - 1, last):
            pictures = [synthesizer.preview(seed, start=start, start_scale=scale) for seed in range(4)]
            expected = np.asarray(
                Image.fromarray(start).resize(pictures[0].shape[1::-1], Image.Resampling.BOX)
            )
            distances.append(np.mean([np.abs(one.astype(int) - expected).mean() for one in pictures]))
        assert distances[0] > distances[2]
        assert distances[1] >= distances[2]


def test_what_is_below_the_start_does_not_matter(network: Synthesizer, starting_path: Path) -> None:
    """The network's coarser scales make something, of noise; nothing of it is seen."""
    scales = Bundle.open(starting_path).manifest.structure.scales  # type: ignore[union-attr]
    start = painting(1)
    structure = network._layouts.source(5, Layout(start=StartPicture(start, 2)))
    feeds = structure._draw(network.bundle.manifest.structure, (12, 18))  # type: ignore[attr-defined]
    changed = {name: value.copy() for name, value in feeds.items()}
    for name in ("noise_0", "noise_1"):
        changed[name] += 1
    pictures = []
    for one in (feeds, changed):
        structure._draw = lambda _structure, _size, one=one: dict(one)  # type: ignore[attr-defined]
        pictures.append(structure.picture((12, 18), np.dtype(np.uint16), _stats())[0])
    assert len(scales) == 3
    np.testing.assert_array_equal(*pictures)


def _stats() -> object:
    from ourgan_sdk import RenderStats  # noqa: PLC0415

    return RenderStats()


def test_without_a_picture_it_starts_from_the_photograph(patches: Synthesizer, photo_path: Path) -> None:
    with Image.open(photo_path) as image:
        photograph = np.asarray(image)
    by_itself = patches.preview(4, start_scale=3)
    given_it = patches.preview(4, start=photo_path, start_scale=3)
    assert np.abs(by_itself.astype(int) - given_it).mean() < 3  # reduced once more
    np.testing.assert_array_equal(given_it, patches.preview(4, start=photograph, start_scale=3))


def test_a_bundle_without_its_photograph_reconstructs_it(starting_path: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(starting_path)
    members = {name: bundle.read(name) for name in bundle.manifest.files if name != "photograph.jpg"}
    path = tmp_path / "without.ourgan"
    write_bundle(path, bundle.manifest.without_photograph(), members)
    synthesizer = Synthesizer(path)
    assert synthesizer.preview(0, start_scale=1).shape == (12, 18, 3)
    film = synthesizer.animation(60, 40, 3)
    assert [frame.shape for frame in film] == [(40, 60, 3)] * 3


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10_000))
def test_outside_the_mask_every_byte_stays(photo_path: Path, starting_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    synthesizer = Synthesizer([photo_path, starting_path][seed % 2])
    start = random.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    mask = Mask(blob(seed), grow=float(random.uniform(0, 10)), soften=float(random.uniform(0, 6)))
    scale = int(random.integers(1, synthesizer.start_scales + 1))
    for dtype, factor in ((np.uint8, 1), (np.uint16, 257)):
        canvas = synthesizer.canvas(*SIZE, seed, dtype=dtype, start=start, start_scale=scale, mask=mask)
        given = start.copy()
        picture = canvas.read()
        np.testing.assert_array_equal(start, given)  # what was given is not written to
        weights = mask.weights(SIZE[::-1]).part(SIZE[::-1], 0, 0, *SIZE[::-1])
        expected = start.astype(dtype) * dtype(factor)
        np.testing.assert_array_equal(picture[weights == 0], expected[weights == 0])
        assert (picture[weights == 1] != expected[weights == 1]).mean() > 0.5
        plain = synthesizer.canvas(*SIZE, seed, dtype=dtype, start=start, start_scale=scale).read()
        np.testing.assert_array_equal(picture[weights == 1], plain[weights == 1])
        y0, x0 = int(random.integers(0, SIZE[1])), int(random.integers(0, SIZE[0]))
        y1, x1 = int(random.integers(y0, SIZE[1])) + 1, int(random.integers(x0, SIZE[0])) + 1
        np.testing.assert_array_equal(canvas.read(Box(y0, x0, y1, x1)), picture[y0:y1, x0:x1])


def test_what_stays_is_enlarged_in_bands(by_networks: Synthesizer) -> None:
    """Of a canvas that no memory could hold, any part."""
    start, mask = painting(4), blob(5)
    canvas = by_networks.canvas(400_000, 250_000, 1, start=start, start_scale=1, mask=mask)
    at = np.argwhere(Mask(mask).weights((250_000, 400_000)).part((100, 160), 0, 0, 100, 160) == 0)[0]
    y, x = (int(place) * 2500 for place in at)
    part = canvas[y : y + 20, x : x + 30]
    expected = start[at[0], at[1]]
    assert np.abs(part.astype(int) - expected).max() <= 3
    small = by_networks.canvas(480, 300, 1, start=start, start_scale=1, mask=mask)
    whole = small.read()
    np.testing.assert_array_equal(small[100:177, 33:401], whole[100:177, 33:401])
    cubic = np.asarray(Image.fromarray(start).resize((480, 300), Image.Resampling.BICUBIC)).astype(int)
    weights = Mask(mask).weights((300, 480)).part((300, 480), 0, 0, 300, 480)
    assert np.abs(whole[weights == 0] - cubic[weights == 0]).max() <= 4


def test_coarser_levels_are_blended_too(synthesizer: Synthesizer) -> None:
    size_of_all = 960, 600
    start, mask = painting(2, *size_of_all[::-1]), Mask(blob(3), soften=2)
    canvas = synthesizer.canvas(*size_of_all, 1, start=start, start_scale=1, mask=mask)
    plain = synthesizer.canvas(*size_of_all, 1, start=start, start_scale=1)
    assert len(canvas.levels) == len(plain.levels) > 1
    for level, new in zip(canvas.levels, plain.levels, strict=True):
        picture = level[:]
        size = picture.shape[:2]
        weights = mask.weights(size_of_all[::-1]).part(size, 0, 0, *size)
        np.testing.assert_array_equal(picture[weights == 1], new[:][weights == 1])
        old = np.asarray(Image.fromarray(start).resize(size[::-1], Image.Resampling.BICUBIC))
        assert np.abs(picture[weights == 0].astype(int) - old[weights == 0]).mean() < 3
    assert max(canvas.thumbnail(50).shape) == 50
    with pytest.raises(ValueError, match="no sources"):
        canvas.sources()


def test_a_saved_picture_says_what_it_started_from(patches: Synthesizer, tmp_path: Path) -> None:
    start = painting(2, *SIZE[::-1])
    told = []
    for number, mask in enumerate((None, blob(1), blob(2))):
        canvas = patches.canvas(*SIZE, start=start, start_scale=2, mask=mask)
        with Image.open(canvas.save(tmp_path / f"{number}.png")) as image:
            np.testing.assert_array_equal(np.asarray(image), canvas.read())
            told.append(json.loads(image.info["Description"]))
    assert [one["start_scale"] for one in told] == [2, 2, 2]
    assert len({one["start"] for one in told}) == 1
    assert len({one.get("mask") for one in told}) == 3
    again = pickle.loads(pickle.dumps(canvas))
    np.testing.assert_array_equal(again.read(), canvas.read())


def test_thumbnails_and_previews_start_likewise(patches: Synthesizer, network: Synthesizer) -> None:
    for synthesizer in (patches, network):
        start = painting(5)
        whole = synthesizer.render(*SIZE, 3, start=start, start_scale=2)
        small = synthesizer.thumbnail(3, width=SIZE[0], height=SIZE[1], size=80, start=start, start_scale=2)
        reduced = np.asarray(Image.fromarray(whole).resize((80, 50), Image.Resampling.BOX))
        assert np.abs(small.astype(int) - reduced).mean() < 12


def refused(call: Callable[[], object], message: str, kind: type[Exception] = ValueError) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_what_cannot_be_started_from(patches: Synthesizer, network: Synthesizer, tmp_path: Path) -> None:
    start = painting()
    canvas = patches.canvas
    last = patches.start_scales
    refused(lambda: canvas(*SIZE, start=start), f"a start_scale from 1 to {last} with `start`")
    refused(lambda: canvas(*SIZE, start=start, start_scale=0), f"start_scale to be from 1 to {last}")
    refused(lambda: canvas(*SIZE, start=start, start_scale=last + 1), f"from 1 to {last}, got {last + 1}")
    refused(lambda: network.canvas(*SIZE, start_scale=4), "from 1 to 3, got 4")
    refused(lambda: canvas(*SIZE, start=start[..., 0], start_scale=1), r"uint8 \(height, width, 3\)")
    refused(lambda: canvas(*SIZE, start=start / 255, start_scale=1), "got float64")
    refused(lambda: canvas(*SIZE, start=[1], start_scale=1), "got list", TypeError)  # type: ignore[arg-type]
    refused(lambda: canvas(*SIZE, start="no such file", start_scale=1), "cannot read", PhotographError)
    refused(lambda: canvas(*SIZE, mask=blob(1)), "give `start`")
    symmetric = Layout(symmetric="x")
    refused(
        lambda: canvas(*SIZE, start=start, start_scale=1, mask=blob(1), layout=symmetric), "not symmetric"
    )
    refused(lambda: canvas(*SIZE, start_scale=1, layout=Layout(retarget=True)), "either retarget or start")
    tileable = Layout(tileable="x")
    refused(lambda: canvas(*SIZE, start=start, start_scale=1, layout=tileable), "has borders of its own")
    own = Layout(start=StartPicture(start, 1))
    refused(lambda: canvas(*SIZE, start_scale=1, layout=own), "has a start already")
    (tmp_path / "flat.png").touch()
    refused(lambda: canvas(*SIZE, start=tmp_path / "flat.png", start_scale=1), "flat.png", PhotographError)


def test_networks_of_earlier_releases_cannot(photograph_path: Path) -> None:
    synthesizer = Synthesizer(photograph_path)
    refused(
        lambda: synthesizer.canvas(*SIZE, start_scale=1),
        "was exported without starts, by an earlier .* at scale 3",
    )
    refused(lambda: synthesizer.animation(*SIZE), "does not hold what reconstructs", BundleError)
    # Where the structure is the picture itself, no network is asked.
    assert synthesizer.render(*SIZE, start_scale=3).shape == (200, 320, 3)
    patches = Synthesizer(photograph_path, structure="patches")
    assert patches.render(*SIZE, start_scale=1).shape == (200, 320, 3)


@pytest.mark.parametrize("data", [b"", b"\0" * 12, np.full(96, np.nan, "<f4").tobytes()])
def test_a_damaged_reconstruction(starting_path: Path, tmp_path: Path, data: bytes) -> None:
    bundle = Bundle.open(starting_path)
    members = {name: bundle.read(name) for name in bundle.manifest.files} | {"reconstruction.f32": data}
    path = tmp_path / "damaged.ourgan"
    write_bundle(path, bundle.manifest, members)
    with pytest.raises(BundleError, match=r"reconstruction\.f32"):
        Synthesizer(path).animation(*SIZE)


def test_a_flat_picture_is_one_to_start_from(patches: Synthesizer, tmp_path: Path) -> None:
    path = tmp_path / "flat.png"
    Image.new("RGB", (30, 20), (90, 120, 200)).save(path)
    assert patches.render(*SIZE, start=path, start_scale=2).shape == (200, 320, 3)


def test_learned_bundles_start_as_their_photograph(photo_path: Path, patches: Synthesizer) -> None:
    with Synthesizer(learn(photo_path)) as synthesizer:
        np.testing.assert_array_equal(
            synthesizer.render(*SIZE, 2, start_scale=2), patches.render(*SIZE, 2, start_scale=2)
        )
