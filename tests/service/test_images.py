"""The IIIF Image API over HTTP, on a picture whose every pixel is known: geometry, formats, headers."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from ourgan_sdk.service import Settings
from tests.service.conftest import running
from tests.service.stand_in import SIDE, SQUARES, WHOLE, StandIn, a_file, colors

CANVAS = f"/iiif/3/squares~{WHOLE}x{WHOLE}~0"
COLORS = colors().astype(int)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    source = a_file(tmp_path_factory.mktemp("squares"))
    settings = Settings(sources={"squares": source}, port=0, viewer=False)
    with running(settings, lambda *_: StandIn()) as client:
        yield client


def picture(client: httpx.Client, parameters: str) -> Image.Image:
    response = client.get(f"{CANVAS}/{parameters}")
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


def square_at(image: Image.Image, x: int, y: int) -> tuple[int, int]:
    """(row, column) of the square whose colour a pixel has; it may differ by what JPEG does."""
    pixel = np.asarray(image.convert("RGB")).astype(int)[y, x]
    distance = np.abs(COLORS - pixel).max(-1)
    assert distance.min() <= 6
    return divmod(int(distance.argmin()), SQUARES)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 7), (9, 9)])
def test_region_in_pixels(squares: httpx.Client, row: int, column: int) -> None:
    image = picture(squares, f"{column * SIDE + 10},{row * SIDE + 20},60,70/max/0/default.jpg")
    assert image.size == (60, 70)
    assert square_at(image, 30, 30) == (row, column)


def test_region_in_percent(squares: httpx.Client) -> None:
    image = picture(squares, "pct:41,71,9,8/max/0/default.png")
    assert image.size == (90, 80)
    assert square_at(image, 40, 40) == (7, 4)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("max", (1000, 1000)),
        ("500,", (500, 500)),
        (",250", (250, 250)),
        ("pct:30", (300, 300)),
        ("!400,700", (400, 400)),
        ("400,700", (400, 700)),
        ("^2000,", (2000, 2000)),
    ],
)
def test_sizes(squares: httpx.Client, size: str, expected: tuple[int, int]) -> None:
    image = picture(squares, f"full/{size}/0/default.jpg")
    assert image.size == expected
    step_x, step_y = expected[0] // SQUARES, expected[1] // SQUARES
    for row, column in ((0, 0), (2, 8), (9, 9)):
        place = column * step_x + step_x // 2, row * step_y + step_y // 2
        assert square_at(image, *place) == (row, column)


@pytest.mark.parametrize(
    ("rotation", "corner"),
    [
        ("0", (0, 0)),
        ("90", (9, 0)),  # what was at the bottom left is at the top left
        ("180", (9, 9)),
        ("270", (0, 9)),
        ("!0", (0, 9)),
        ("!90", (9, 9)),
        ("!180", (9, 0)),
        ("!270", (0, 0)),
    ],
)
def test_rotations(squares: httpx.Client, rotation: str, corner: tuple[int, int]) -> None:
    assert square_at(picture(squares, f"full/max/{rotation}/default.png"), 50, 50) == corner


def test_size_is_that_before_the_rotation(squares: httpx.Client) -> None:
    assert picture(squares, "full/400,200/90/default.png").size == (200, 400)


@pytest.mark.parametrize(
    ("format_", "name", "media_type"),
    [
        ("jpg", "JPEG", "image/jpeg"),
        ("png", "PNG", "image/png"),
        ("webp", "WEBP", "image/webp"),
        ("tif", "TIFF", "image/tiff"),
    ],
)
def test_formats(squares: httpx.Client, format_: str, name: str, media_type: str) -> None:
    response = squares.get(f"{CANVAS}/full/200,/0/default.{format_}")
    assert response.headers["content-type"] == media_type
    image = Image.open(io.BytesIO(response.content))
    assert image.format == name
    assert square_at(image, 150, 30) == (1, 7)


def test_gray(squares: httpx.Client) -> None:
    image = picture(squares, "full/max/0/gray.png")
    assert image.mode == "L"
    red, green, blue = COLORS[3, 8]
    assert abs(image.getpixel((850, 350)) - (0.299 * red + 0.587 * green + 0.114 * blue)) <= 1


@pytest.mark.parametrize("format_", ["png", "jpg", "tif", "webp"])
def test_bitonal(squares: httpx.Client, format_: str) -> None:
    image = picture(squares, f"full/max/0/bitonal.{format_}")
    gray = picture(squares, "full/max/0/gray.png").convert("L")
    values = np.asarray(image.convert("L"))
    centres = np.s_[50::100, 50::100]
    assert np.array_equal(values[centres] > 128, np.asarray(gray)[centres] >= 128)
    assert set(np.unique(values[centres] // 200 * 255)) == {0, 255}


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ("full/full/0/default.jpg", 400),
        ("full/2000,/0/default.jpg", 400),
        ("full/max/45/default.jpg", 400),
        ("full/max/0/native.jpg", 400),
        ("full/max/0/default.gif", 400),
        ("2000,2000,10,10/max/0/default.jpg", 400),
        ("full/max/0/default.jpg/more", 404),
        ("full/max/0", 404),
    ],
)
def test_what_is_no_picture(squares: httpx.Client, parameters: str, status: int) -> None:
    response = squares.get(f"{CANVAS}/{parameters}")
    assert response.status_code == status
    assert set(response.json()) == {"error"}


def test_escaped_characters(squares: httpx.Client) -> None:
    response = squares.get(f"{CANVAS.replace('~', '%7E')}/pct%3A10,10,10,10/%5E200,/%2190/default.png")
    assert response.status_code == 200
    assert squares.get("/iiif/3/a%2Fb/info.json").status_code == 404


def test_info(squares: httpx.Client) -> None:
    response = squares.get(f"{CANVAS}/info.json", headers={"Origin": "https://elsewhere.example"})
    info = response.json()
    assert info["id"] == f"{squares.base_url}{CANVAS}"
    assert (info["width"], info["height"]) == (WHOLE, WHOLE)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert 'rel="profile"' in response.headers["link"]
    linked = squares.get(f"{CANVAS}/info.json", headers={"Accept": "application/ld+json"})
    assert linked.headers["content-type"].startswith("application/ld+json")
    assert linked.json() == info


def test_redirects(squares: httpx.Client) -> None:
    base = squares.get(CANVAS)
    assert (base.status_code, base.headers["location"]) == (303, f"{squares.base_url}{CANVAS}/info.json")
    other = squares.get(f"{CANVAS}~variety=0.5/info.json")
    assert (other.status_code, other.headers["location"]) == (303, base.headers["location"])


def test_a_picture_never_changes(squares: httpx.Client) -> None:
    path = f"{CANVAS}/0,0,512,512/256,256/0/default.jpg"
    first = squares.get(path)
    assert first.headers["cache-control"] == "public, max-age=31536000, immutable"
    tag = first.headers["etag"]
    assert tag.startswith('"')
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = squares.get(path, headers={"If-None-Match": header})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert squares.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    same = squares.get(f"{CANVAS}/pct:0,0,51.2,51.2/pct:50/0/color.jpg")
    assert same.headers["etag"] == tag
    assert same.content == first.content
    canonical = f"{squares.base_url}{path}"
    assert f'<{canonical}>;rel="canonical"' in first.headers["link"]
    assert squares.get(f"{CANVAS}/0,0,512,512/255,255/0/default.jpg").headers["etag"] != tag


def test_head(squares: httpx.Client) -> None:
    response = squares.head(f"{CANVAS}/full/200,/0/default.png")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 100


def test_preflight(squares: httpx.Client) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    response = squares.options(f"{CANVAS}/info.json", headers=headers)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "GET" in response.headers["access-control-allow-methods"]


def test_cors_of_one_origin_and_of_none(tmp_path: Path) -> None:
    for cors in ("https://pictures.example", None):
        settings = Settings(sources={"squares": a_file(tmp_path)}, port=0, viewer=False, cors=cors)
        with running(settings, lambda *_: StandIn()) as client:
            headers = client.get(f"{CANVAS}/info.json").headers
            assert headers.get("access-control-allow-origin") == cors
            assert client.options(f"{CANVAS}/info.json").status_code == (400 if cors is None else 204)


def test_url_behind_a_proxy(tmp_path: Path) -> None:
    settings = Settings(
        sources={"squares": a_file(tmp_path)}, port=0, viewer=False, url="https://pictures.example/"
    )
    with running(settings, lambda *_: StandIn()) as client:
        info = client.get(f"{CANVAS}/info.json").json()
        assert info["id"] == f"https://pictures.example{CANVAS}"
