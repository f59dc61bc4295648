"""The bindings of detail: resampling, a photograph's levels, a picture's field."""

import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ourgan_sdk._core import Box, Detail, DetailSettings, PhotographLevels, halved, resample

SIZES = [(8, 12), (15, 23), (30, 45), (60, 90)]
"""Of a picture."""


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def make_photograph(searched: int = 2) -> PhotographLevels:
    finest = noise(128, 192, 3)
    levels = [finest]
    while len(levels) < 4:
        levels.insert(0, resample(levels[0], levels[0].shape[0] // 2, levels[0].shape[1] // 2))
    return PhotographLevels(levels, searched)


def quick() -> DetailSettings:
    settings = DetailSettings()
    settings.iterations, settings.rounds, settings.coarse_tries, settings.tone_iterations = 8, 2, 4, 8
    return settings


def make_detail(**arguments: object) -> Detail:
    structure = noise(8, 12, 3, dtype=np.uint16)
    given = {"seed": 3, "settings": quick(), "threads": 1} | arguments
    return Detail(make_photograph(), given.pop("structure", structure), given.pop("sizes", SIZES), **given)


def gathered(detail: Detail, level: int, box: Box, dtype: type = np.uint8, threads: int = 1) -> np.ndarray:
    out = np.zeros((box.height, box.width, 3), dtype)
    detail.gather(level, box, out, threads=threads)
    return out


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_resampling_keeps_what_is_flat_and_its_type(
    height: int, width: int, to_height: int, to_width: int, wide: bool
) -> None:
    dtype = np.uint16 if wide else np.uint8
    value = 51_234 if wide else 201
    picture = np.full((height, width, 2), value, dtype)
    result = resample(picture, to_height, to_width)
    np.testing.assert_array_equal(result, np.full((to_height, to_width, 2), value, dtype))
    assert result.dtype == dtype


@pytest.mark.parametrize("size", [(20, 31), (64, 64), (150, 99)])
def test_resampling_is_the_bicubic_of_others(size: tuple[int, int]) -> None:
    """Pillow's, which is the same cubic, leaves pixels beyond the border out: compared inside."""
    picture = np.asarray(Image.fromarray(noise(8, 8, 3)).resize((64, 64), Image.Resampling.BICUBIC))
    expected = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC))
    inside = np.s_[size[0] // 6 : -(size[0] // 6), size[1] // 6 : -(size[1] // 6)]
    difference = resample(picture, *size).astype(int) - expected
    assert np.abs(difference[inside]).max() <= 1


def test_resampling_takes_views_and_any_number_of_threads() -> None:
    picture = noise(70, 50, 3)
    view = picture[3:60, 5:40]
    expected = resample(np.ascontiguousarray(view), 100, 21)
    for threads in (0, 1, 2, 5):
        np.testing.assert_array_equal(resample(view, 100, 21, threads=threads), expected)
    np.testing.assert_array_equal(resample(view[::-1], 57, 35), view[::-1])


@pytest.mark.parametrize(
    ("picture", "size", "error", "words"),
    [
        (noise(4, 4, 3), (0, 4), ValueError, "at least 1"),
        (noise(4, 4, 3), (4, -1), ValueError, "at least 1"),
        (noise(4, 4), (4, 4), ValueError, "height, width, channels"),
        (np.zeros((4, 4, 3), np.float32), (4, 4), ValueError, "uint8 or uint16"),
        (np.zeros((4, 4, 3), np.int32), (4, 4), TypeError, "uint8"),
        (noise(4, 8, 3)[:, ::2], (4, 4), ValueError, "contiguous"),
    ],
)
def test_resampling_refuses(
    picture: np.ndarray, size: tuple[int, int], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        resample(picture, *size)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_halving_is_the_rounded_mean_of_four(
    height: int, width: int, channels: int, wide: bool, threads: int
) -> None:
    """Of views, too; rows and columns at odd ends count twice."""
    picture = noise(height + 2, width + 3, channels, dtype=np.uint16 if wide else np.uint8)[1:-1, 2:-1]
    result = halved(picture, threads=threads)
    even = np.pad(picture.astype(int), ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    sums = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    np.testing.assert_array_equal(result, (sums + 2) // 4)
    assert result.dtype == picture.dtype


def test_halving_refuses() -> None:
    for picture in (np.zeros((2, 2, 3), np.float32), np.zeros((0, 2, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"uint8 or uint16|non-empty"):
            halved(picture)
    with pytest.raises(TypeError, match="uint8"):
        halved(np.zeros((2, 2, 3), np.int64))


def test_a_photograph_knows_its_levels() -> None:
    photograph = make_photograph(3)
    assert (photograph.count, photograph.searched) == (4, 3)
    assert photograph.bytes >= 128 * 192 * 9


@pytest.mark.parametrize(
    ("levels", "searched", "words"),
    [
        ([], 1, "expected levels"),
        ([noise(8, 8, 3)], 0, "expected levels"),
        ([noise(8, 8, 3)], 2, "expected levels"),
        ([noise(7, 9, 3)], 1, "from 8 to 1048576 pixels, got 7 x 9"),
        ([noise(8, 8, 4)], 1, "three channels"),
        ([noise(8, 8, 3, dtype=np.uint16)], 1, "uint8"),
        ([noise(8, 8, 3), noise(16, 15, 3)], 1, "twice as high"),
    ],
)
def test_levels_that_are_none(levels: list[np.ndarray], searched: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PhotographLevels(levels, searched)


def test_a_photograph_copies_what_it_is_given() -> None:
    levels = [noise(8, 8, 3)]
    photograph = PhotographLevels(levels, 1)
    structure = noise(8, 8, 3, dtype=np.uint16)
    before = gathered(Detail(photograph, structure, [(8, 8)]), 0, Box(0, 0, 8, 8))
    levels[0][:] = 0
    after = gathered(Detail(photograph, structure, [(8, 8)]), 0, Box(0, 0, 8, 8))
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_boxes_are_slices_of_the_whole(dtype: type, level: int) -> None:
    detail = make_detail()
    assert (detail.base, detail.levels) == (1, 4)
    assert detail.bytes > 0
    height, width = SIZES[level]
    whole = gathered(detail, level, Box(0, 0, height, width), dtype)
    generator = np.random.default_rng(2)
    for threads in (1, 2, 4) * 8:
        y0, x0 = (int(generator.integers(side)) for side in (height, width))
        y1, x1 = int(generator.integers(y0, height)) + 1, int(generator.integers(x0, width)) + 1
        part = gathered(detail, level, Box(y0, x0, y1, x1), dtype, threads)
        np.testing.assert_array_equal(part, whole[y0:y1, x0:x1])


def test_pictures_are_made_of_the_seed_and_the_photograph_alone() -> None:
    box = Box(0, 0, 60, 90)
    expected = gathered(make_detail(), 3, box)
    for threads in (0, 2, 4):
        np.testing.assert_array_equal(gathered(make_detail(threads=threads), 3, box), expected)
    assert (gathered(make_detail(seed=(1 << 64) - 1), 3, box) != expected).any()
    default = make_detail(settings=None)
    settings = make_detail(settings=DetailSettings())
    np.testing.assert_array_equal(gathered(default, 3, box), gathered(settings, 3, box))


@pytest.mark.parametrize("part", [1, 20_000, 60_000])
def test_a_field_found_in_parts_is_the_same(part: int) -> None:
    """Levels above the first two are searched part by part where they are large: no row may show it."""
    finest = resample(noise(32, 32, 3), 512, 128)
    levels = [finest]
    while len(levels) < 4:
        levels.insert(0, resample(levels[0], levels[0].shape[0] // 2, levels[0].shape[1] // 2))
    photograph = PhotographLevels(levels, 4)
    sizes = [(100, 20), (200, 40), (400, 80), (800, 160)]
    structure = noise(100, 20, 3, dtype=np.uint16)

    def render(settings: DetailSettings) -> np.ndarray:
        detail = Detail(photograph, structure, sizes, 5, settings=settings)
        return gathered(detail, 3, Box(0, 0, 800, 160))

    settings, whole = quick(), quick()
    settings.part, whole.part = part, 1 << 30
    np.testing.assert_array_equal(render(settings), render(whole))


def test_gathering_writes_into_views_and_nothing_else() -> None:
    detail = make_detail()
    frame = np.full((64, 96, 3), 77, np.uint8)
    detail.gather(3, Box(10, 20, 50, 80), frame[5:45, 7:67])
    np.testing.assert_array_equal(frame[5:45, 7:67], gathered(detail, 3, Box(10, 20, 50, 80)))
    frame[5:45, 7:67] = 77
    assert (frame == 77).all()


@pytest.mark.parametrize(
    ("level", "box", "out", "error", "words"),
    [
        (0, Box(0, 0, 4, 4), noise(4, 4, 3), ValueError, "a level from 1 to 3, got 0"),
        (4, Box(0, 0, 4, 4), noise(4, 4, 3), ValueError, "a level from 1 to 3, got 4"),
        (3, Box(0, 0, 61, 4), noise(61, 4, 3), ValueError, "leaves the level"),
        (3, Box(-1, 0, 3, 4), noise(4, 4, 3), ValueError, "leaves the level"),
        (3, Box(4, 0, 4, 4), noise(4, 4, 3), ValueError, "the box is empty"),
        (3, Box(0, 0, 4, 4), noise(4, 5, 3), ValueError, "the box's size"),
        (3, Box(0, 0, 4, 4), noise(4, 4, 1), ValueError, "three channels"),
        (3, Box(0, 0, 4, 4), np.zeros((4, 4, 3), np.float32), ValueError, "uint8 or uint16"),
        (3, Box(0, 0, 4, 4), np.zeros((4, 4, 3), np.int64), TypeError, "uint8"),
    ],
)
def test_gathering_refuses(level: int, box: Box, out: np.ndarray, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make_detail().gather(level, box, out)


def test_gathering_refuses_what_cannot_be_written() -> None:
    out = np.zeros((4, 4, 3), np.uint8)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        make_detail().gather(3, Box(0, 0, 4, 4), out)


def test_sources() -> None:
    detail = make_detail()
    for level, (height, width) in list(enumerate(SIZES))[1:]:
        sources = detail.sources(level, Box(0, 0, height, width))
        assert (sources.shape, sources.dtype) == ((height, width, 2), np.int32)
        assert sources.min() >= 0
        assert (sources.reshape(-1, 2).max(0) < np.array([16, 24]) << level).all()
        part = detail.sources(level, Box(3, 5, 14, 21))
        np.testing.assert_array_equal(part, sources[3:14, 5:21])
    with pytest.raises(ValueError, match="leaves the level"):
        detail.sources(3, Box(0, 0, 61, 4))
    with pytest.raises(ValueError, match="a level from 1 to 3"):
        detail.sources(0, Box(0, 0, 4, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"structure": noise(8, 12, 3)}, TypeError, "structure must be uint16"),
        ({"structure": noise(8, 12, 4, dtype=np.uint16)}, TypeError, "structure must be uint16"),
        ({"structure": noise(8, 11, 3, dtype=np.uint16)}, ValueError, "the structure's"),
        ({"sizes": SIZES[:1]}, ValueError, "as many sizes"),
        ({"sizes": [*SIZES, (120, 180)]}, ValueError, "as many sizes"),
        ({"sizes": [(8, 12), (15, 25)]}, ValueError, "half the next one's sides"),
        ({"sizes": [(8, 12), (0, 24)]}, ValueError, "sides from 1"),
        ({"seed": -1}, TypeError, "incompatible"),
        ({"seed": 1 << 64}, TypeError, "incompatible"),
    ],
)
def test_what_does_not_belong_together_is_refused_before_the_search(
    arguments: dict[str, object], error: type[Exception], words: str
) -> None:
    reports: list[float] = []
    with pytest.raises(error, match=words):
        make_detail(report=reports.append, **arguments)
    assert reports == []


def test_reports_rise_to_the_whole() -> None:
    reports: list[float] = []
    make_detail(report=reports.append)
    assert reports == sorted(reports)
    assert reports[-1] == 1
    assert len(reports) > 10


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, MemoryError])
def test_what_a_report_raises_ends_the_search_and_frees_everything(error: type[BaseException]) -> None:
    class Report:
        calls = 0

        def __call__(self, _share: float) -> None:
            self.calls += 1
            if self.calls == 5:
                raise error("enough")

    report = Report()
    with pytest.raises(error, match="enough"):
        make_detail(report=report)
    assert report.calls == 5
    left = weakref.ref(report)
    del report
    gc.collect()
    assert left() is None


def test_searching_lets_other_threads_run() -> None:
    """The interpreter's lock is free between reports, and held in them."""
    ran = threading.Event()
    waiting = threading.Thread(target=ran.set)
    seen: list[bool] = []

    def report(_share: float) -> None:
        if not seen:
            waiting.start()
        seen.append(ran.is_set())

    make_detail(report=report, settings=None)
    waiting.join()
    assert seen[-1]


def test_a_photograph_lives_as_long_as_a_picture_of_it() -> None:
    detail = make_detail()  # nothing else refers to its photograph
    gc.collect()
    assert gathered(detail, 3, Box(0, 0, 60, 90)).std() > 1


def restored(detail: Detail, **changes: object) -> Detail:
    """Of the numbers of another one, some of them replaced."""
    arrays = {name: array.copy() for name, array in detail.state().items()} | changes
    given = {"photograph": make_photograph(), "sizes": SIZES, "settings": quick()} | arrays
    return Detail.restored(given.pop("photograph"), given.pop("sizes"), **given)


@pytest.mark.parametrize("searched", [1, 2, 3])
def test_a_state_makes_the_same_picture_elsewhere(searched: int) -> None:
    detail = (
        make_detail()
        if searched == 2
        else Detail(make_photograph(searched), noise(8, 12, 3, dtype=np.uint16), SIZES, 3, settings=quick())
    )
    other = restored(detail, photograph=make_photograph(searched))
    assert (other.base, other.levels, other.bytes) == (detail.base, detail.levels, detail.bytes)
    for level in range(detail.base, 4):
        box = Box(0, 0, *SIZES[level])
        np.testing.assert_array_equal(
            gathered(other, level, box, np.uint16), gathered(detail, level, box, np.uint16)
        )
        np.testing.assert_array_equal(other.sources(level, box), detail.sources(level, box))


def test_a_state_is_views_in_a_fixed_byte_order_that_keep_what_they_show() -> None:
    state = make_detail().state()  # nothing else refers to the picture
    gc.collect()
    described = {name: (array.dtype.str, array.shape) for name, array in state.items()}
    assert described == {
        "picture": ("<i2", (3, 15, 23)),
        "field": ("<i4", (8, 12, 2)),
        "tone": ("<i2", (3, 15, 23)),
    }
    assert state["picture"].std() > 100
    for array in state.values():
        assert array.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_state_survives_pickling_and_wraps() -> None:
    sizes = [(8, 12), (16, 24), (32, 48), (64, 96)]
    detail = Detail(
        make_photograph(), noise(8, 12, 3, dtype=np.uint16), sizes, 3, settings=quick(), wrap=(True, True)
    )
    state = pickle.loads(pickle.dumps(detail.state()))
    assert state["picture"].shape == (3, 16 + 96, 24 + 96)
    other = Detail.restored(make_photograph(), sizes, settings=quick(), wrap=(True, True), **state)
    box = Box(-20, 50, 30, 130)
    np.testing.assert_array_equal(gathered(other, 3, box), gathered(detail, 3, box))
    with pytest.raises(ValueError, match="expected picture to be"):
        Detail.restored(make_photograph(), sizes, **state)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"sizes": SIZES[:1]}, ValueError, "as many sizes"),
        (
            {"sizes": [(8, 12), (16, 23)]},
            ValueError,
            r"expected picture to be a contiguous array \(3, 16, 23\) of int16",
        ),
        ({"photograph": make_photograph(3)}, ValueError, r"\(3, 30, 45\)"),
        ({"wrap": (False, True)}, ValueError, "expected picture"),
        ({"wrap": (True, False)}, ValueError, "expected picture"),
        ({"picture": np.zeros((3, 15, 23), np.float32)}, ValueError, "of int16, got float32"),
        ({"picture": np.full((3, 15, 23), np.nan)}, ValueError, "of int16, got float64"),
        ({"picture": np.zeros((3, 15, 23), np.uint16)}, ValueError, "of int16, got uint16"),
        ({"picture": np.zeros((3, 15, 23), object)}, ValueError, "of int16, got object"),
        ({"picture": np.zeros((15, 23, 3), np.int16)}, ValueError, "expected picture"),
        ({"picture": np.int16(3)}, TypeError, "incompatible"),
        ({"picture": np.array(3, np.int16)}, ValueError, "expected picture"),
        ({"picture": np.broadcast_to(np.int16(3), (3, 15, 23))}, ValueError, "contiguous"),
        ({"picture": np.full((3, 15, 23), -1, np.int16)}, ValueError, "the picture from 0 to 32640"),
        ({"tone": np.zeros((3, 15, 24), np.int16)}, ValueError, "expected tone"),
        ({"tone": np.full((3, 15, 23), 16321, np.int16)}, ValueError, "the tone from -16320 to 16320"),
        ({"field": np.zeros((8, 12, 2), np.int64)}, ValueError, "expected field"),
        ({"field": np.zeros((15, 12, 2), np.int32)}, ValueError, r"expected field to be .* \(8, 12, 2\)"),
        ({"field": np.zeros((8, 12), np.int32)}, ValueError, "expected field"),
        ({"field": np.full((8, 12, 2), 1 << 30, np.int32)}, ValueError, "within the photograph"),
        ({"field": np.full((15, 23, 2), -(1 << 31), np.int32)}, ValueError, "within the photograph"),
        ({"field": "places"}, TypeError, "incompatible"),
    ],
)
def test_a_state_that_is_none(changes: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        restored(make_detail(), **changes)


def test_a_state_of_another_byte_order_and_a_damaged_one_are_read_as_they_are() -> None:
    detail, box = make_detail(), Box(0, 0, 60, 90)
    swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in detail.state().items()}
    np.testing.assert_array_equal(gathered(restored(detail, **swapped), 3, box), gathered(detail, 3, box))


@given(st.sampled_from(["picture", "field", "tone"]), st.integers(0, 1 << 20), st.integers(0, 255))
@settings(deadline=None, max_examples=150)
def test_a_damaged_state_is_refused_or_makes_a_picture(name: str, at: int, value: int) -> None:
    """One byte of it is another one."""
    array = DETAIL.state()[name]
    data = bytearray(array.tobytes())
    data[at % len(data)] = value
    damaged = np.frombuffer(bytes(data), array.dtype).reshape(array.shape)
    try:
        other = restored(DETAIL, **{name: damaged})
    except ValueError:
        return
    assert gathered(other, 3, Box(0, 0, 60, 90)).shape == (60, 90, 3)
    sources = other.sources(3, Box(0, 0, 60, 90)).reshape(-1, 2)
    assert sources.min() >= 0
    assert (sources.max(0) < [128, 192]).all()


DETAIL = make_detail()
