"""The noise against an independent implementation, published vectors and statistics."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ourgan_sdk._core import normal, philox4x32

Words = npt.NDArray[np.uint64]


def numpy_philox(counter: list[Words], key: tuple[int, int]) -> list[Words]:
    """Philox 4x32-10 on arrays of counters, written from the paper."""
    c0, c1, c2, c3 = counter
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & low, (p0 >> shift) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return [c0, c1, c2, c3]


def twos_complement(start: int, count: int) -> Words:
    """The numbers from `start` on as unsigned 32-bit words."""
    return (np.arange(start, start + count) % 2**32).astype(np.uint64)


def numpy_normal(
    channels: int, height: int, width: int, seed: int, stream: int, y: int, x: int
) -> npt.NDArray[np.float64]:
    """What the compiled core should give, in double precision."""
    planes = []
    rows = np.broadcast_to(twos_complement(y, height)[:, None], (height, width))
    columns = np.broadcast_to(twos_complement(x, width), (height, width))
    for group in range(-(-channels // 4)):
        constants = [np.full((height, width), value, np.uint64) for value in (group, stream)]
        words = numpy_philox([columns, rows, *constants], (seed & 0xFFFFFFFF, seed >> 32))
        for first, second in (words[:2], words[2:]):
            u1 = ((first >> np.uint64(8)) + np.uint64(1)) / 2**24
            u2 = (second >> np.uint64(8)) / 2**24
            radius = np.sqrt(-2 * np.log(u1))
            planes += [radius * np.cos(2 * math.pi * u2), radius * np.sin(2 * math.pi * u2)]
    return np.stack(planes)[:channels]


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_published_words(counter: list[int], key: list[int], words: list[int]) -> None:
    assert list(philox4x32(counter, key)) == words
    reference = numpy_philox([np.array(word, np.uint64) for word in counter], (key[0], key[1]))
    assert [int(word) for word in reference] == words


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1, 0x0123456789ABCDEF])
@pytest.mark.parametrize(
    ("y", "x"), [(0, 0), (1000, 70000), (2**31 - 40, 2**31 - 300), (-7, -150), (-(2**31), -(2**31))]
)
def test_normal_equals_the_reference(seed: int, y: int, x: int) -> None:
    actual = normal(6, 40, 300, seed, 257, y, x)
    expected = numpy_normal(6, 40, 300, seed, 257, y, x)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


def test_shape_dtype_and_deviation() -> None:
    ones, twos = normal(3, 5, 7, 11, 2), normal(3, 5, 7, 11, 2, deviation=2.0)
    assert ones.shape == (3, 5, 7)
    assert ones.dtype == np.float32
    np.testing.assert_array_equal(twos, 2 * ones)
    np.testing.assert_array_equal(normal(3, 5, 7, 11, 2, deviation=0.0), np.zeros((3, 5, 7)))


def test_moments() -> None:
    noise = normal(8, 500, 500, seed=5, stream=256).astype(np.float64)
    count = noise.size
    assert abs(noise.mean()) < 4 / math.sqrt(count)
    assert abs(noise.var() - 1) < 4 * math.sqrt(2 / count)
    assert abs((noise**3).mean()) < 4 * math.sqrt(15 / count)
    assert abs((noise**4).mean() - 3) < 4 * math.sqrt(96 / count)
    correlations = np.corrcoef(noise.reshape(8, -1))
    assert np.abs(correlations - np.eye(8)).max() < 4.5 / math.sqrt(count / 8)
    for axis in (1, 2):
        shifted = np.roll(noise, 1, axis)
        assert abs((noise * shifted).mean()) < 4 / math.sqrt(count)


def test_distribution() -> None:
    """Kolmogorov-Smirnov against the normal distribution."""
    noise = np.sort(normal(4, 300, 300, seed=8, stream=0).ravel())
    expected = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in noise[::50]])
    empirical = np.arange(noise.size)[::50] / noise.size
    assert np.abs(expected - empirical).max() < 1.63 / math.sqrt(noise.size)  # 1 % level


@settings(deadline=None)
@given(
    st.integers(1, 7), st.integers(0, 30), st.integers(0, 500), st.integers(1, 20), st.integers(1, 600),
    st.sampled_from([(5, 9), (-17, -700), (-2000, 3)]),
)  # fmt: skip
def test_any_part_equals_the_slice(
    channels: int, top: int, left: int, height: int, width: int, origin: tuple[int, int]
) -> None:
    y, x = origin
    whole = normal(channels, 50, 1100, 3, 1, y=y, x=x)
    part = normal(channels, height, width, 3, 1, y=y + top, x=x + left)
    np.testing.assert_array_equal(part, whole[:, top : top + height, left : left + width])


def test_seed_and_stream_matter() -> None:
    base = normal(3, 20, 20, 1, 0)
    for other in (normal(3, 20, 20, 2, 0), normal(3, 20, 20, 1, 1), normal(3, 20, 20, 1 + 2**32, 0)):
        assert np.abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) < 0.15
    np.testing.assert_array_equal(base, normal(3, 20, 20, 1, 0))


def test_channels_do_not_depend_on_their_number() -> None:
    np.testing.assert_array_equal(normal(9, 10, 10, 4, 4)[:3], normal(3, 10, 10, 4, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, -1, 5, 0, 0), "must not be negative"),
        ((3, 5, 5, 0, 0, -(2**31) - 1, 0), r"noise rows must lie in \[-2147483648, 2147483648\), got 5 from"),
        ((3, 5, 5, 0, 0, 0, 2**31 - 4), "noise columns must lie in"),
    ],
)
def test_bad_regions(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        normal(*arguments)


def test_bad_seeds() -> None:
    for seed in (-1, 2**64, 1.5):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            normal(3, 5, 5, seed, 0)
