"""Pixel conversion against NumPy, exactly."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ourgan_sdk._core import Box, Pipeline, gather, normal, scatter

Array = npt.NDArray[Any]
DTYPES = ["uint8", "uint16", "float16", "float32"]
LEVELS = {"uint8": 255, "uint16": 65535}


def numpy_gather(picture: Array, window: Box) -> Array:
    region = picture[window.y0 : window.y1, window.x0 : window.x1].astype(np.float32)
    if picture.dtype.name in LEVELS:
        region /= np.float32(LEVELS[picture.dtype.name])
    return np.transpose(region, (2, 0, 1))


def numpy_encode(values: Array, dtype: str) -> Array:
    clipped = np.clip(values, np.float32(0), np.float32(1))
    if dtype in LEVELS:
        clipped = np.rint(clipped * np.float32(LEVELS[dtype]))
    return np.transpose(clipped, (1, 2, 0)).astype(dtype)


def random_picture(shape: tuple[int, int, int], dtype: str, seed: int = 0) -> Array:
    random = np.random.default_rng(seed)
    if dtype in LEVELS:
        return random.integers(0, LEVELS[dtype] + 1, shape).astype(dtype)
    return random.uniform(-0.5, 1.5, shape).astype(dtype)


def random_tile(shape: tuple[int, int, int], seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0.5, 0.5, shape).astype(np.float32)


def numpy_window(picture: Array, window: Box) -> Array:
    """The tile of a window that may reach beyond the whole picture."""
    height, width, _ = picture.shape
    above, below = max(0, -window.y0), max(0, window.y1 - height)
    before, behind = max(0, -window.x0), max(0, window.x1 - width)
    padded = np.pad(picture, ((above, below), (before, behind), (0, 0)), mode="edge")
    y, x = above, before
    return numpy_gather(padded, Box(window.y0 + y, window.x0 + x, window.y1 + y, window.x1 + x))


@st.composite
def boxes(draw: st.DrawFn, height: int, width: int) -> Box:
    y0, x0 = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Box(y0, x0, draw(st.integers(y0 + 1, height)), draw(st.integers(x0 + 1, width)))


@settings(deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 5), st.integers(0, 3))
def test_gather_equals_numpy(data: st.DataObject, dtype: str, channels: int, threads: int) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 700))
    picture = random_picture((height, width, channels), dtype)
    window = data.draw(boxes(height, width))
    tile = gather(picture, window, threads=threads)
    assert tile.dtype == np.float32
    np.testing.assert_array_equal(tile, numpy_gather(picture, window))


@settings(deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 5), st.integers(0, 3))
def test_beyond_the_picture_its_border_is_repeated(
    data: st.DataObject, dtype: str, channels: int, threads: int
) -> None:
    """Also for windows beside the picture, and noise goes on where pixels repeat."""
    height, width = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 300))
    picture = random_picture((height, width, channels), dtype)
    y, x = data.draw(st.integers(-40, 40)), data.draw(st.integers(-300, 400))
    window = Box(y, x, y + data.draw(st.integers(1, 90)), x + data.draw(st.integers(1, 700)))
    expected = numpy_window(picture, window)
    np.testing.assert_array_equal(gather(picture, window, threads=threads), expected)
    noise = normal(channels, window.height, window.width, 9, 256, y=y, x=x)
    noisy = gather(picture, window, seed=9, stream=256, deviation=0.1, threads=threads)
    np.testing.assert_array_equal(noisy, expected + np.float32(0.1) * noise)


@settings(deadline=None)
@given(st.data())
def test_a_band_does_for_the_windows_whose_pixels_it_holds(data: st.DataObject) -> None:
    height, width = 40, 50
    whole = random_picture((height, width, 3), "uint16")
    held = data.draw(boxes(height, width))
    window = data.draw(boxes(3 * height, 3 * width))
    window = Box(window.y0 - height, window.x0 - width, window.y1 - height, window.x1 - width)
    rows = np.clip(range(window.y0, window.y1), 0, height - 1)
    columns = np.clip(range(window.x0, window.x1), 0, width - 1)
    band, origin = whole[held.y0 : held.y1, held.x0 : held.x1], (held.y0, held.x0)
    has_rows = held.y0 <= rows[0] <= rows[-1] < held.y1
    if has_rows and held.x0 <= columns[0] <= columns[-1] < held.x1:
        actual = gather(band, window, origin, (height, width), 9, 256, 0.1)
        np.testing.assert_array_equal(actual, gather(whole, window, (0, 0), None, 9, 256, 0.1))
    else:
        with pytest.raises(ValueError, match=r"shows the picture's .*, but the array holds"):
            gather(band, window, origin, (height, width))


@settings(deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 5), st.integers(0, 3))
def test_scatter_equals_numpy(data: st.DataObject, dtype: str, channels: int, threads: int) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 700))
    tile = random_tile((channels, height, width))
    crop = data.draw(boxes(height, width))
    y, x = data.draw(st.integers(0, 60)), data.draw(st.integers(0, 800))
    actual = random_picture((50, 720, channels), dtype)
    expected = actual.copy()
    values = numpy_encode(tile[:, crop.y0 : crop.y1, crop.x0 : crop.x1], dtype)
    region = expected[y : y + crop.height, x : x + crop.width]
    region[...] = values[: region.shape[0], : region.shape[1]]
    assert scatter(tile, crop, actual, y, x, threads=threads) == 0
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("threads", [0, 1, 2, 3])
def test_threads_share_large_pictures(threads: int) -> None:
    picture = random_picture((1103, 1009, 3), "uint8")
    whole = Box(0, 0, 1103, 1009)
    tile = gather(picture, whole, threads=threads)
    np.testing.assert_array_equal(tile, numpy_gather(picture, whole))
    back = np.zeros_like(picture)
    tile[0, 0, 0] = tile[2, -1, -1] = np.nan
    assert scatter(tile, whole, back, 0, 0, threads=threads) == 2
    picture[0, 0, 0] = picture[-1, -1, 2] = 0
    np.testing.assert_array_equal(back, picture)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16"])
def test_every_level_is_read_and_written_back(dtype: str) -> None:
    """All values of a dtype; float16 includes subnormals, infinities and NaN."""
    bits = np.arange(256 if dtype == "uint8" else 65536).astype("uint8" if dtype == "uint8" else "uint16")
    picture = bits.view(dtype).reshape(1, -1, 1)
    whole = Box(0, 0, 1, picture.shape[1])
    tile = gather(picture, whole)
    np.testing.assert_array_equal(tile, numpy_gather(picture, whole))
    back = np.zeros_like(picture)
    broken = scatter(tile, whole, back, 0, 0)
    assert broken == np.count_nonzero(~np.isfinite(picture.astype(np.float32)))
    finite = np.isfinite(picture)
    np.testing.assert_array_equal(back[finite], np.clip(picture[finite], 0, LEVELS.get(dtype, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_is_that_of_numpy(dtype: str) -> None:
    """Values at, just below and just above every half level, and where float16 becomes subnormal."""
    levels = LEVELS.get(dtype, 4096)
    halves = ((np.arange(2 * levels + 1) / 2) / levels).astype(np.float32)
    tiny = np.float32(2) ** np.arange(-30, -10, 0.01, dtype=np.float32)
    values = np.concatenate(
        [halves, np.nextafter(halves, np.float32(-1)), np.nextafter(halves, np.float32(2)), tiny]
    )
    tile = values.reshape(1, 1, -1)
    picture = np.zeros((1, values.size, 1), dtype)
    scatter(tile, Box(0, 0, 1, values.size), picture, 0, 0)
    np.testing.assert_array_equal(picture, numpy_encode(tile, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_may_be_strided(dtype: str) -> None:
    whole = random_picture((30, 41, 3), dtype)
    window, tile = Box(2, 0, 9, 20), random_tile((3, 7, 20))
    for rows, columns in [
        (slice(None), slice(5, 26)),
        (slice(None, None, 2), slice(3, 40)),
        (slice(None, None, -1), slice(21)),
    ]:
        np.testing.assert_array_equal(
            gather(whole[rows, columns], window), numpy_gather(whole[rows, columns], window)
        )
        actual, expected = whole.copy(), whole.copy()
        scatter(tile, Box(0, 0, 7, 20), actual[rows, columns], 2, 1)
        expected[rows, columns][2:9, 1:21] = numpy_encode(tile, dtype)
        np.testing.assert_array_equal(actual, expected)


TILE_DTYPES = ["uint8", "float16", "float32"]


def interleaved(height: int, width: int, channels: int, **types: str) -> Pipeline:
    """A pipeline is the way to interleaved tiles: pack() gathers into them, unpack() scatters from them."""
    return Pipeline(channels, height, width, 1, slots=1, interleaved=True, **types)


def numpy_store(values: Array, dtype: str) -> Array:
    """What a tile of `dtype` (h, w, C) makes of planar float32 values (C, h, w)."""
    if dtype == "uint8":
        return numpy_encode(values, dtype)
    with np.errstate(over="ignore"):
        return np.transpose(values, (1, 2, 0)).astype(dtype)


@settings(deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.sampled_from(TILE_DTYPES), st.integers(1, 5))
def test_interleaved_tiles_are_gathered_as_planar_ones(
    data: st.DataObject, dtype: str, tile_dtype: str, channels: int
) -> None:
    height, width = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 300))
    picture = random_picture((height, width, channels), dtype)
    y, x = data.draw(st.integers(-40, 40)), data.draw(st.integers(-300, 400))
    window = Box(y, x, y + data.draw(st.integers(1, 90)), x + data.draw(st.integers(1, 700)))
    deviation = 0.0 if tile_dtype == "uint8" else data.draw(st.sampled_from([0.0, 0.1, 30000.0]))
    noise = 9, 256, deviation
    expected = numpy_store(gather(picture, window, (0, 0), None, *noise), tile_dtype)
    with interleaved(window.height, window.width, channels, input_type=tile_dtype) as pipeline:
        slot = pipeline.pack(picture, window, (0, 0), None, *noise)
        pipeline.packed(slot)
        np.testing.assert_array_equal(pipeline.input(slot)[0], expected)


@settings(deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.sampled_from(TILE_DTYPES), st.integers(1, 5))
def test_interleaved_tiles_are_scattered_as_planar_ones(
    data: st.DataObject, dtype: str, tile_dtype: str, channels: int
) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 900))
    tile = random_picture((height, width, channels), tile_dtype, seed=1)
    crop = data.draw(boxes(height, width))
    y, x = data.draw(st.integers(0, 60)), data.draw(st.integers(0, 800))
    broken = tile_dtype != "uint8" and data.draw(st.booleans())
    if broken:
        tile[data.draw(st.integers(crop.y0, crop.y1 - 1)), crop.x1 - 1, channels - 1] = np.nan
    actual = random_picture((50, 720, channels), dtype)
    expected = actual.copy()
    counted = scatter(numpy_gather(tile, Box(0, 0, height, width)).copy(), crop, expected, y, x)
    with interleaved(height, width, channels, output_type=tile_dtype) as pipeline:
        slot = pipeline.pack(np.zeros((height, width, channels), np.uint8), Box(0, 0, height, width))
        pipeline.packed(slot)
        pipeline.output(slot)[0] = tile
        ticket = pipeline.unpack(slot, crop, actual, y, x)
        assert pipeline.wait(ticket) == ([ticket] if counted else [])
    np.testing.assert_array_equal(actual, expected)


def test_floats_become_halves_as_in_numpy() -> None:
    """Every half, what lies halfway between two, a little beside both, and what no half can hold."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    between = np.append((halves[1:] + halves[:-1]) / 2, np.float32(65520))
    exact = np.concatenate([halves, between, np.array([1e9, 1e-9, 1e-42, np.inf], np.float32)])
    beside = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    values = np.concatenate([exact, *beside, [np.float32(np.nan)]])
    picture = np.concatenate([values, -values]).reshape(1, -1, 1)
    with interleaved(1, picture.shape[1], 1, input_type="float16") as pipeline:
        slot = pipeline.pack(picture, Box(0, 0, 1, picture.shape[1]))
        pipeline.packed(slot)
        with np.errstate(over="ignore"):
            expected = picture.astype(np.float16)
        actual = pipeline.input(slot)[0]
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
        number = ~np.isnan(expected)
        np.testing.assert_array_equal(actual[number].view(np.uint16), expected[number].view(np.uint16))


def test_noise_is_addressed_in_the_whole_picture() -> None:
    whole = random_picture((60, 300, 3), "uint8")
    window = Box(31, 17, 47, 290)
    held = whole[25:50, 11:295]
    tile = gather(held, window, origin=(25, 11), seed=9, stream=256, deviation=0.1)
    noise = normal(3, window.height, window.width, 9, 256, y=31, x=17)
    np.testing.assert_array_equal(tile, numpy_gather(whole, window) + np.float32(0.1) * noise)


def test_gather_into_an_array_that_exists() -> None:
    picture, window = random_picture((10, 10, 3), "uint16"), Box(1, 2, 7, 9)
    out = np.full((3, 6, 7), 5, np.float32)
    assert gather(picture, window, out=out) is out
    np.testing.assert_array_equal(out, numpy_gather(picture, window))


def test_non_finite_values_are_counted() -> None:
    tile = np.full((3, 4, 5), 0.5, np.float32)
    tile[0, 0, 0], tile[1, 2, 3], tile[2, 3, 4] = np.nan, np.inf, -np.inf
    picture = np.zeros((4, 5, 3), np.uint8)
    assert scatter(tile, Box(0, 0, 4, 5), picture, 0, 0) == 3
    assert (picture[0, 0, 0], picture[2, 3, 1], picture[3, 4, 2]) == (0, 255, 0)
    assert scatter(tile, Box(1, 0, 3, 3), picture, 0, 0) == 0


def test_pictures_of_a_gigapixel_are_addressed_right() -> None:
    """Offsets beyond 2**31 bytes, in an array of which only a few pages are ever touched."""
    picture = np.zeros((60000, 40000, 1), np.uint8)
    tile = np.ones((1, 2, 2), np.float32)
    scatter(tile, Box(0, 0, 2, 2), picture, 59998, 39998)
    assert picture[59998:, 39998:].all()
    np.testing.assert_array_equal(gather(picture, Box(59998, 39998, 60000, 40000)), tile)


TILE = np.zeros((3, 4, 4), np.float32)
PICTURE = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        (
            PICTURE.astype(np.float64),
            TypeError,
            "picture must be uint8, uint16, float16 or float32.*got float64",
        ),
        (PICTURE.astype(">u2"), TypeError, "in native byte order, got >u2"),
        (PICTURE.astype(np.int16), TypeError, "got int16"),
        (PICTURE[..., 0], ValueError, r"\(height, width, channels\) array, got uint8 of shape \(8, 8\)"),
        (PICTURE[:0], ValueError, "picture must be a non-empty"),
        (PICTURE[..., ::-1], ValueError, "rows whose pixels are contiguous"),
        (PICTURE[:, ::2], ValueError, "rows whose pixels are contiguous"),
        (PICTURE.transpose(1, 0, 2), ValueError, "rows whose pixels are contiguous"),
        (np.zeros(8 * 8 * 6 + 1, np.uint8)[1:].view(np.uint16).reshape(8, 8, 3), ValueError, "aligned rows"),
        ([[[1]]], TypeError, "incompatible function arguments"),
    ],
)
def test_bad_pictures(picture: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gather(picture, Box(0, 0, 2, 2))
    with pytest.raises(error, match=message):
        scatter(TILE, Box(0, 0, 2, 2), picture, 0, 0)


@pytest.mark.parametrize(
    "crop",
    [
        Box(-1, 0, 2, 2),
        Box(0, -1, 2, 2),
        Box(3, 0, 5, 2),
        Box(0, 3, 2, 5),
        Box(2, 2, 2, 4),
        Box(3, 3, 1, 1),
        Box(0, 0, 2**62, 2),
    ],
)
def test_crops_outside(crop: Box) -> None:
    with pytest.raises(ValueError, match=r"crop .* must be a non-empty part of the tile's \[0:4, 0:4\]"):
        scatter(TILE, crop, PICTURE.copy(), 0, 0)


@pytest.mark.parametrize(
    "window",
    [
        Box(2, 2, 2, 4),
        Box(5, 5, 3, 3),
        Box(0, 0, 2**62, 2),
        Box(0, -(2**31) - 1, 1, 2),
        Box(2**31 - 1, 0, 2**31 + 1, 2),
    ],
)
def test_bad_windows(window: Box) -> None:
    message = r"window .* must not be empty and lie in \[-2147483648, 2147483648\)"
    with pytest.raises(ValueError, match=message):
        gather(PICTURE, window)


@pytest.mark.parametrize("window", [Box(4, 5, 7, 8), Box(-3, 5, -1, 8), Box(6, 4, 8, 8), Box(14, 5, 17, 8)])
def test_pixels_that_are_not_there(window: Box) -> None:
    with pytest.raises(ValueError, match=r"window .* shows .* but the array holds \[5:13, 5:13\]"):
        gather(PICTURE, window, (5, 5), (20, 20))


def test_windows_reach_to_the_ends_of_the_plane() -> None:
    picture = np.array([[[7], [9]]], np.uint8)
    for x, level in ((-(2**31), 7), (2**31 - 3, 9)):
        tile = gather(picture, Box(0, x, 1, x + 3), deviation=1.0)
        assert (
            tile.ravel().tolist() == (normal(1, 1, 3, 0, 0, x=x) + np.float32(level / 255)).ravel().tolist()
        )


def test_bad_tiles_and_positions() -> None:
    window, out = Box(0, 0, 4, 4), np.zeros((3, 4, 4), np.float32)
    with pytest.raises(ValueError, match="cannot hold a window of 4 x 4 x 3"):
        gather(PICTURE, window, out=out[:2])
    with pytest.raises(ValueError, match=r"contiguous \(channels, height, width\) array"):
        gather(PICTURE, window, out=out[:, ::2])
    with pytest.raises(TypeError, match="tile must be float32, got float64"):
        scatter(TILE.astype(float), window, PICTURE.copy(), 0, 0)
    with pytest.raises(ValueError, match="a tile of 2 channels cannot go into a picture of 3"):
        scatter(TILE[:2], window, PICTURE.copy(), 0, 0)
    with pytest.raises(ValueError, match=r"y and x must not be negative, got \(0, -1\)"):
        scatter(TILE, window, PICTURE.copy(), 0, -1)
    for origin in ((-1, 0), (0, -1), (2**31, 0), (0, 2**31)):
        with pytest.raises(ValueError, match="origin must be in"):
            gather(PICTURE, window, origin=origin)
    for extent in ((12, 40), (40, 12), (2**31 + 1, 40), (0, 0)):
        with pytest.raises(ValueError, match=r"extent must hold the picture's \[5:13, 5:13\] and not pass"):
            gather(PICTURE, window, (5, 5), extent)


def test_read_only_and_overlapping_memory_is_not_written() -> None:
    window = Box(0, 0, 4, 4)
    frozen = PICTURE.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="picture must be writeable"):
        scatter(TILE, window, frozen, 0, 0)
    overlapping = np.lib.stride_tricks.as_strided(PICTURE.copy(), PICTURE.shape, (3, 3, 1))
    with pytest.raises(ValueError, match="rows that do not overlap"):
        scatter(TILE, window, overlapping, 0, 0)
    out = np.zeros((3, 4, 4), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="tile must be writeable"):
        gather(PICTURE, window, out=out)


def test_the_gil_is_free_meanwhile() -> None:
    """Another Python thread counts during one call. Threads switch only where they give up the GIL."""
    target = np.zeros((6000, 3000, 3), np.uint8)
    stop, counted = threading.Event(), 0

    def count() -> None:
        nonlocal counted
        while not stop.wait(0.0001):
            counted += 1

    interval = sys.getswitchinterval()
    counter = threading.Thread(target=count)
    counter.start()
    try:
        sys.setswitchinterval(60)
        for call in (
            lambda: normal(16, 2000, 1000, 1, 1),
            lambda: gather(np.zeros((6000, 3000, 3), np.float16), Box(0, 0, 6000, 3000), threads=1),
            lambda: scatter(
                np.zeros((3, 6000, 3000), np.float32), Box(0, 0, 6000, 3000), target, 0, 0, threads=1
            ),
        ):
            rises = []
            for _ in range(30):  # once will do: on a busy machine the other thread may get no turn
                before = counted
                call()
                rises.append(counted - before)
                if rises[-1] >= 3:
                    break
            assert max(rises) >= 3
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        counter.join()
