"""A photograph in, a picture out: learned without training, in memory or into a bundle."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ourgan_sdk import (
    Bundle,
    BundleError,
    Layout,
    OutputError,
    PhotographError,
    RenderStats,
    SizeError,
    Synthesizer,
    learn,
    save_bundle,
)
from ourgan_sdk._core import resample
from ourgan_sdk.detail import check_wrap
from ourgan_sdk.learning import SMALLEST_SIDE
from ourgan_sdk.photograph import read_photograph
from tests.tiny import write_photo


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hills, as a PNG of 960 x 640."""
    return write_photo(tmp_path_factory.mktemp("photo") / "hills.png", 640, 960)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    """Of a photograph whose aspect is not that of its reductions, whatever they are rounded to."""
    return Synthesizer(write_photo(tmp_path_factory.mktemp("photo") / "odd.png", 729, 1094))


@pytest.fixture(scope="module")
def synthesizer(photo: Path) -> Synthesizer:
    return Synthesizer(photo)


def test_a_bundle_renders_what_its_photograph_renders(photo: Path, tmp_path: Path) -> None:
    kept = save_bundle(learn(photo), tmp_path / "hills.ourgan")
    assert kept.sha256 == learn(photo).sha256
    assert Bundle.open(kept.path).manifest.schema_version == 4
    pictures = [Synthesizer(source).render(300, 200, 5) for source in (photo, kept.path, kept, learn(photo))]
    for picture in pictures[1:]:
        np.testing.assert_array_equal(picture, pictures[0])
    assert (Synthesizer(photo).render(300, 200, 6) != pictures[0]).any()


def test_canvases_as_of_any_bundle(synthesizer: Synthesizer, tmp_path: Path) -> None:
    canvas = synthesizer.canvas(1000, 600, 2, dtype=np.uint16)
    whole = canvas.read()
    np.testing.assert_array_equal(canvas[100:300, 50:700], whole[100:300, 50:700])
    assert len(canvas.levels) > 1
    assert canvas.sources().shape == (600, 1000, 2)
    stats = RenderStats()
    path = canvas.save(tmp_path / "picture.tif", stats=stats)
    with Image.open(path) as image:
        assert image.size == (1000, 600)
    assert stats.copied_share is not None
    assert 0 < stats.copied_share <= 1
    assert stats.engine_seconds == 0


def test_the_share_is_told_of_pictures_read_again(synthesizer: Synthesizer) -> None:
    canvas = synthesizer.canvas(300, 200, 8)
    shares = []
    for _ in range(2):
        stats = RenderStats()
        canvas.read(stats=stats)
        shares.append(stats.copied_share)
    assert shares[0] == shares[1] is not None


@pytest.mark.parametrize("layout", [Layout(), Layout(symmetric="x"), Layout(symmetric="both")])
@pytest.mark.parametrize("detail", ["photograph", "network"])
def test_the_share_is_told_to_whoever_reads_again(photo: Path, layout: Layout, detail: str) -> None:
    """Of a structure that was made before, into numbers that hold another share already."""
    synthesizer = Synthesizer(photo, detail=detail)  # type: ignore[arg-type]
    canvas = synthesizer.canvas(300, 200, 8, layout=layout)
    stats = RenderStats()
    shares = []
    for level in (0, 0, len(canvas.levels) - 1, 0):
        canvas.read(level=level, stats=stats)
        shares.append(stats.copied_share)
    assert shares[0] is not None
    assert 0 < shares[0] < 1
    assert len(set(shares)) == 1
    Synthesizer(photo, structure="patches").preview(9, stats=stats)
    assert stats.copied_share not in (None, shares[0])


def test_every_mode_of_a_photograph(synthesizer: Synthesizer, photo: Path) -> None:
    by_networks = Synthesizer(photo, detail="network")
    assert by_networks.render(260, 180).shape == (180, 260, 3)
    assert not by_networks.takes_detail
    enlarged = synthesizer.canvas(3200, 2100, extent=1)  # beyond 1.5 times the photograph
    assert enlarged[1000:1040, 1000:1040].shape == (40, 40, 3)
    with pytest.raises(BundleError, match="has no structure network"):
        Synthesizer(photo, structure="network")


def test_trained_bundles_take_either(photograph_path: Path, bundle_path: Path) -> None:
    pictures = {
        structure: Synthesizer(photograph_path, structure=structure).render(300, 200, 1)  # type: ignore[arg-type]
        for structure in ("auto", "network", "patches")
    }
    np.testing.assert_array_equal(pictures["auto"], pictures["network"])
    assert (pictures["patches"] != pictures["network"]).any()
    with pytest.raises(BundleError, match=r"holds no photograph to take patches from.*structure='network'"):
        Synthesizer(bundle_path, structure="patches")
    with pytest.raises(ValueError, match="expected structure to be one of auto, network, patches"):
        Synthesizer(photograph_path, structure="gan")  # type: ignore[arg-type]


@pytest.mark.parametrize("axes", ["x", "y", "both"])
def test_opposite_borders_continue_each_other(synthesizer: Synthesizer, axes: str) -> None:
    """Across them a picture changes no more than it does anywhere else."""
    picture = synthesizer.render(512, 512, 1, layout=Layout(tileable=axes)).astype(int)  # type: ignore[arg-type]
    for axis, name in ((0, "y"), (1, "x")):
        steps = np.abs(np.diff(picture, axis=axis)).mean(axis=(1 - axis, 2))
        across = np.abs(picture.take(0, axis) - picture.take(-1, axis)).mean()
        if axes in (name, "both"):
            assert across <= 1.2 * steps.max()
        else:
            assert across > 1.2 * steps.max()


def test_sides_that_cannot_wrap_are_refused(synthesizer: Synthesizer) -> None:
    with pytest.raises(SizeError, match=r"give a width of 512 or 520 in place of 518"):
        synthesizer.canvas(518, 512, layout=Layout(tileable="x"))
    assert synthesizer.canvas(512, 521, layout=Layout(tileable="x")).shape == (521, 512, 3)
    with pytest.raises(SizeError, match="cannot wrap where networks enlarge it"):
        synthesizer.canvas(4096, 4096, extent=1, layout=Layout(tileable="x"))


def test_what_networks_cannot_do_is_refused(photograph_path: Path, photo: Path) -> None:
    trained = Synthesizer(photograph_path)
    with pytest.raises(ValueError, match=r"variety, retarget: a structure network cannot do that"):
        trained.canvas(300, 200, layout=Layout(variety=0.1, retarget=True))
    with pytest.raises(ValueError, match="tileable: networks that make detail cannot do that"):
        Synthesizer(photo, detail="network").canvas(256, 256, layout=Layout(tileable="x"))
    with pytest.raises(TypeError, match=r"expected an ourgan_sdk\.Layout, got 'x'"):
        trained.canvas(300, 200, layout="x")  # type: ignore[arg-type]


def test_the_photographs_own_layout_fits_into_the_picture(synthesizer: Synthesizer, photo: Path) -> None:
    for width, height in ((900, 300), (300, 600), (600, 400)):
        canvas = synthesizer.canvas(width, height, layout=Layout(retarget=True))
        factor = min(width / 960, height / 640)
        assert canvas.extent == pytest.approx(max(width, height) / (960 * factor), rel=0.02)
    reduced = np.asarray(Image.open(photo).convert("RGB").resize((600, 400), Image.Resampling.LANCZOS))
    assert np.corrcoef(canvas.read().ravel(), reduced.ravel())[0, 1] > 0.85


@pytest.mark.parametrize("layout", [Layout(), Layout(symmetric="x"), Layout(tileable="x")])
@pytest.mark.parametrize("size", [(1408, 800), (704, 1200), (1344, 640), (4000, 900)])
def test_thumbnails_show_the_layout_of_the_render(
    odd: Synthesizer, layout: Layout, size: tuple[int, int]
) -> None:
    """Of a photograph whose levels round otherwise at another scale; at the last size a pass enlarges."""
    width, height = size
    if layout.tileable and max(size) == 4000:
        return
    thumbnail = odd.thumbnail(4, width=width, height=height, size=128, layout=layout)
    canvas = odd.canvas(width, height, 4, layout=layout)
    level = next(one for one in reversed(canvas.levels) if max(one.shape) >= 128)
    expected = resample(level[:], *thumbnail.shape[:2])
    difference = np.abs(thumbnail.astype(int) - expected).mean()
    other = odd.thumbnail(5, width=width, height=height, size=128, layout=layout)
    assert difference < 0.25 * np.abs(thumbnail.astype(int) - other).mean()
    assert odd.thumbnail(4, size=5000).shape == (729, 1094, 3)


def test_thumbnails_refuse_what_renders_refuse(synthesizer: Synthesizer) -> None:
    for width, height in ((1024, 1023), (518, 512)):
        for make in (
            synthesizer.canvas,
            lambda *size, **asked: synthesizer.thumbnail(width=size[0], height=size[1], size=100, **asked),
        ):
            with pytest.raises(SizeError, match="in place of"):
                make(width, height, layout=Layout(tileable="both"))


@given(length=st.integers(1, 3000), height=st.integers(1, 3000), extent=st.sampled_from([None, 0.5, 3.0]))
def test_lengths_that_errors_name_wrap(length: int, height: int, extent: float | None) -> None:
    photograph, wrap = (2048, 3072), (False, True)
    try:
        check_wrap(photograph, (height, length), extent, wrap)
    except SizeError as error:
        if "where networks enlarge it" in str(error):
            return
        named = re.search(r"give a width of (\d+)(?: or (\d+))? in", str(error))
        assert named is not None
        for text in filter(None, named.groups()):
            check_wrap(photograph, (height, int(text)), extent, wrap)


def test_sources_are_not_replaced(photo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "hills.png"
    copy.write_bytes(photo.read_bytes())
    with pytest.raises(OutputError, match="it is what the output is made from"):
        Synthesizer(copy).render(64, 64, out=copy)
    with pytest.raises(OutputError, match="it is what the output is made from"):
        save_bundle(learn(copy), copy)
    assert copy.read_bytes() == photo.read_bytes()
    kept = save_bundle(learn(copy), tmp_path / "hills.ourgan")
    assert save_bundle(kept, kept.path).sha256 == kept.sha256
    for source in (7, b"photo.jpg"):
        with pytest.raises(TypeError, match="expected the path of a photograph or a bundle"):
            Synthesizer(source)  # type: ignore[arg-type]


def test_a_mirrored_pictures_share_is_of_the_whole(synthesizer: Synthesizer) -> None:
    shares = []
    for layout, width in ((Layout(), 300), (Layout(symmetric="x"), 600)):
        stats = RenderStats()
        synthesizer.canvas(width, 400, 3, extent=width / 600, layout=layout).read(stats=stats)
        shares.append(stats.copied_share)
    assert shares[0] is not None
    assert shares[1] is not None
    assert shares[1] <= 0.51


def test_refused_photographs(tmp_path: Path) -> None:
    small = write_photo(tmp_path / "small.png", SMALLEST_SIDE - 1, 200)
    with pytest.raises(PhotographError, match=r"has 200 x 63 pixels; at least 64 are needed on each side"):
        learn(small)
    long = write_photo(tmp_path / "long.png", 64, 64 * 12 + 1)
    with pytest.raises(PhotographError, match=r"too elongated to learn from; crop it to at most 12 : 1"):
        learn(long)
    Image.new("RGB", (200, 100), (7, 8, 9)).save(tmp_path / "flat.png")
    with pytest.raises(PhotographError, match="flat"):
        Synthesizer(tmp_path / "flat.png")
    with pytest.raises(PhotographError, match="No such file"):
        Synthesizer(tmp_path / "absent.jpg")
    with pytest.raises(BundleError, match="No such file"):
        Synthesizer(tmp_path / "absent.ourgan")
    (tmp_path / "text.txt").write_text("no picture")
    with pytest.raises(PhotographError, match=r"text\.txt"):
        Synthesizer(tmp_path / "text.txt")


def test_the_smallest_and_the_longest_photographs_render(tmp_path: Path) -> None:
    for height, width in ((64, 64), (64, 768), (768, 64)):
        path = write_photo(tmp_path / f"{width}.png", height, width)
        synthesizer = Synthesizer(path)
        assert synthesizer.render(90, 70).shape == (70, 90, 3)
        assert synthesizer.render(33, 190, extent=4).shape == (190, 33, 3)


def test_a_folder_that_is_not_there(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save_bundle(learn(photo), tmp_path / "absent" / "hills.ourgan")


def test_large_photographs_are_reduced_as_they_are_read(
    photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photograph = read_photograph(photo, most_pixels=100_000)
    assert photograph.pixels.shape == (258, 387, 3)
    assert photograph.data is None
    assert "it is reduced to 387 x 258 pixels" in caplog.text
    whole = read_photograph(photo)
    assert whole.pixels.shape == (640, 960, 3)
    assert whole.data is not None


def test_reading_a_huge_photograph_takes_bounded_memory(tmp_path: Path) -> None:
    """A picture of 48 megapixels, at most a fiftieth of which is kept, hardly takes more than that."""
    path = tmp_path / "huge.jpg"
    Image.effect_noise((400, 300), 60).convert("RGB").resize((8000, 6000)).save(path, quality=50)
    tracemalloc.start()
    photograph = read_photograph(path, most_pixels=1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert photograph.height * photograph.width == pytest.approx(1_000_000, rel=0.01)
    assert peak < 20 << 20
