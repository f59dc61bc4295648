"""The IIIF Image API on paper: regions, sizes, rotations, qualities, formats, and what an info.json says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ourgan_sdk import Box
from ourgan_sdk.service import iiif
from ourgan_sdk.service.errors import BadRequestError

LIMITS = iiif.Limits(area=1_000_000, side=2000)
SIZE = (600, 400)


def parse(region="full", size="max", rotation="0", file="default.jpg", *, picture=SIZE, limits=LIMITS):
    return iiif.parse_request((region, size, rotation, file), picture, limits)


@pytest.mark.parametrize(
    ("text", "box", "canonical"),
    [
        ("full", (0, 0, 400, 600), "full"),
        ("0,0,600,400", (0, 0, 400, 600), "full"),
        ("square", (0, 100, 400, 500), "100,0,400,400"),
        ("10,20,30,40", (20, 10, 60, 40), "10,20,30,40"),
        ("590,390,100,100", (390, 590, 400, 600), "590,390,10,10"),
        ("pct:10,10,50,50", (40, 60, 240, 360), "60,40,300,200"),
        ("pct:0,0,33.3,33.3", (0, 0, 133, 200), "0,0,200,133"),
        ("pct:90,90,50,50", (360, 540, 400, 600), "540,360,60,40"),
    ],
)
def test_regions(text: str, box: tuple[int, ...], canonical: str) -> None:
    request = parse(text)
    assert request.region == Box(*box)
    assert request.canonical == f"{canonical}/max/0/default.jpg"
    assert request.is_whole == (canonical == "full")


@pytest.mark.parametrize(
    "text",
    [
        "10,20,30",
        "10,20,0,40",
        "600,0,10,10",
        "-1,0,10,10",
        "1.5,0,10,10",
        "pct:0,0,0,10",
        "pct:100,0,10,10",
        "pct:a,0,10,10",
        "",
        "FULL",
        "pct:1,2,3",
        "1,2,3,4,5",
        "\u0661,0,10,10",
    ],
)
def test_regions_that_are_none(text: str) -> None:
    with pytest.raises(BadRequestError, match="region"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "size", "canonical"),
    [
        ("max", (600, 400), "max"),
        ("300,", (300, 200), "300,200"),
        (",100", (150, 100), "150,100"),
        ("pct:50", (300, 200), "300,200"),
        ("pct:100", (600, 400), "max"),
        ("600,400", (600, 400), "max"),
        ("60,50", (60, 50), "60,50"),
        ("!300,300", (300, 200), "300,200"),
        ("!5000,5000", (600, 400), "max"),
        ("^300,", (300, 200), "300,200"),
        ("^1200,", (1200, 800), "^1200,800"),
        ("^,800", (1200, 800), "^1200,800"),
        ("^pct:150", (900, 600), "^900,600"),
        ("^!900,900", (900, 600), "^900,600"),
        ("^700,50", (700, 50), "^700,50"),
        ("^max", (1224, 816), "^max"),
    ],
)
def test_sizes(text: str, size: tuple[int, int], canonical: str) -> None:
    request = parse(size=text)
    assert (request.width, request.height) == size
    assert request.canonical == f"full/{canonical}/0/default.jpg"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("full", "expected a size"),
        ("", "expected a size"),
        (",", "expected a size"),
        ("^", "expected a size"),
        ("300", "expected a size"),
        ("pct:", "expected a size"),
        ("pct:0", "leaves nothing"),
        ("0,0", "leaves nothing"),
        ("!0,5", "leaves nothing"),
        ("601,", r"\^"),
        ("pct:101", r"\^"),
        ("601,400", r"\^"),
        ("^2001,1", "at most 2000 pixels per side"),
        ("^1500,1000", "1000000 in all"),
        ("!^300,300", "expected a size"),
    ],
)
def test_sizes_that_are_none(text: str, reason: str) -> None:
    with pytest.raises(BadRequestError, match=reason):
        parse(size=text)


def test_what_is_larger_than_the_limits_is_reduced_where_nobody_says_how_large() -> None:
    request = parse(picture=(30_000, 20_000))
    assert (request.width, request.height) == (1224, 816)
    assert parse(size="!3000,3000", picture=(30_000, 20_000)).width == 1224
    assert parse(picture=(1 << 31, 1)).width == 2000


@given(
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    st.sampled_from(["max", "^max", "!{},{}", "^!{},{}", "{},", ",{}", "^{},", "pct:{}", "^pct:{}"]),
    st.integers(0, 3000),
    st.integers(0, 3000),
)
def test_no_size_goes_beyond_the_limits(picture: tuple[int, int], form: str, a: int, b: int) -> None:
    text = form.format(a, b)
    try:
        request = parse(size=text, picture=picture)
    except BadRequestError:
        return
    assert 1 <= request.width <= LIMITS.side
    assert 1 <= request.height <= LIMITS.side
    assert request.width * request.height <= LIMITS.area
    if not text.startswith("^"):
        assert request.width <= picture[0]
        assert request.height <= picture[1]


@given(
    st.text(alphabet="0123456789,.!^:pctmaxfulsqr", max_size=14),
    st.text(alphabet="0123456789!,.^:pctmax", max_size=12),
)
def test_canonical_forms_are_read_as_the_same_picture(region: str, size: str) -> None:
    try:
        request = parse(region, size)
    except BadRequestError:
        return
    again = parse(*request.canonical.split("/"))
    assert again == request


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", (False, 0)),
        ("90", (False, 90)),
        ("!180", (True, 180)),
        ("270.0", (False, 270)),
        ("360", (False, 0)),
    ],
)
def test_rotations(text: str, expected: tuple[bool, int]) -> None:
    request = parse(rotation=text)
    assert (request.mirrored, request.rotation) == expected


@pytest.mark.parametrize("text", ["45", "-90", "!", "", "361", "a", "!!90", "9" * 30])
def test_rotations_that_are_none(text: str) -> None:
    with pytest.raises(BadRequestError, match="rotation"):
        parse(rotation=text)


@pytest.mark.parametrize(
    "text", ["default", "default.", "default.gif", "native.jpg", ".jpg", "default.jpg.png", ""]
)
def test_files_that_are_none(text: str) -> None:
    with pytest.raises(BadRequestError, match=r"expected a (quality|format)"):
        parse(file=text)


def test_color_is_the_default() -> None:
    assert parse(file="color.png").canonical == parse(file="default.png").canonical


@given(st.integers(1, 3_000_000), st.integers(1, 3_000_000))
def test_tiles_of_all_scales_lead_to_one(width: int, height: int) -> None:
    factors = iiif.scale_factors(width, height)
    assert factors == [1 << n for n in range(len(factors))]
    long = max(width, height)
    assert math.ceil(long / factors[-1]) <= iiif.TILE
    assert len(factors) == 1 or math.ceil(long / factors[-2]) > iiif.TILE


def test_info() -> None:
    info = iiif.info("http://here/iiif/3/a~5000x3000~0", (5000, 3000), LIMITS)
    assert info["profile"] == "level2"
    assert (info["width"], info["height"]) == (5000, 3000)
    assert info["tiles"] == [{"width": 512, "height": 512, "scaleFactors": [1, 2, 4, 8, 16]}]
    assert info["sizes"][0] == {"width": 313, "height": 188}
    for one in info["sizes"]:  # a client may ask for each of them
        asked = parse(size=f"{one['width']},{one['height']}", picture=(5000, 3000))
        assert (asked.width, asked.height) == (one["width"], one["height"])
