"""The photograph that a bundle holds: asked for, damaged, of another size."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ourgan_sdk import BundleError, Manifest, Synthesizer
from ourgan_sdk._core import PhotographLevels
from ourgan_sdk.bundle import Bundle
from ourgan_sdk.detail import PhotographSource, plan_detail
from ourgan_sdk.detail.photograph import make_levels
from ourgan_sdk.photograph import decode_photograph
from tests.conftest import PHOTOGRAPH, write_bundle_with_photograph

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, manifest: Manifest, networks: dict[str, bytes]) -> Write:
    def write(data: bytes, **changes: object) -> Path:
        return write_bundle_with_photograph(tmp_path / "a.ourgan", manifest, networks, data, **changes)

    return write


def test_the_photograph_is_used_by_default_where_there_is_one(
    photograph_path: Path, bundle_path: Path
) -> None:
    by_default = Synthesizer(photograph_path).canvas(120, 80)
    asked_for = Synthesizer(photograph_path, detail="photograph").canvas(120, 80)
    assert by_default.extent == asked_for.extent == 1
    np.testing.assert_array_equal(by_default[:], asked_for[:])
    assert Synthesizer(bundle_path).canvas(120, 80).extent > 1


def test_a_bundle_without_photograph_has_none_to_take(bundle_path: Path) -> None:
    with pytest.raises(BundleError, match=r"tiny\.ourgan: holds no photograph .* use detail='network'"):
        Synthesizer(bundle_path, detail="photograph")
    plan = plan_detail(PHOTOGRAPH, (60, 90))
    with pytest.raises(BundleError, match="holds no photograph"):
        PhotographSource(Bundle.open(bundle_path), 1).levels(plan)


@pytest.mark.parametrize("detail", ["", "Photograph", "none", None, 1])
def test_unknown_detail(photograph_path: Path, detail: object) -> None:
    with pytest.raises(ValueError, match=f"one of auto, photograph, network, got {detail!r}"):
        Synthesizer(photograph_path, detail=detail)


@pytest.mark.parametrize("extent", [0.2499, 1025, -1, 0, float("nan"), float("inf")])
@pytest.mark.parametrize("detail", ["photograph", "network"])
def test_extents_out_of_range(photograph_path: Path, extent: float, detail: str) -> None:
    with pytest.raises(ValueError, match=r"the extent to be from 0\.25 to 1024"):
        Synthesizer(photograph_path, detail=detail).canvas(90, 60, extent=extent)


@pytest.mark.parametrize("extent", ["1", True, [1], 1j])
def test_extents_that_are_no_numbers(photograph_path: Path, extent: object) -> None:
    with pytest.raises(TypeError, match="expected the extent to be a number"):
        Synthesizer(photograph_path).canvas(90, 60, extent=extent)


def test_extents_of_numpy_and_whole_numbers(photograph_path: Path) -> None:
    synthesizer = Synthesizer(photograph_path)
    expected = synthesizer.canvas(90, 60, extent=2.0)[:]
    for extent in (2, np.float32(2), np.int8(2), np.float64(2)):
        np.testing.assert_array_equal(synthesizer.canvas(90, 60, extent=extent)[:], expected)


def jpeg(height: int, width: int) -> bytes:
    data = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(data, "JPEG")
    return data.getvalue()


def test_a_photograph_of_another_size(write: Write) -> None:
    for data, changes in ((jpeg(64, 100), {}), (jpeg(*PHOTOGRAPH), {"width": 640, "height": 1000})):
        synthesizer = Synthesizer(write(data, **changes))
        with pytest.raises(BundleError, match=r"member 'photograph\.jpg' has \d+ x \d+ pixels, the manifest"):
            synthesizer.render(90, 60)


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "broken", "black"])
def test_members_that_are_no_photograph(write: Write, photograph: bytes, kind: str) -> None:
    """Opening does not read it; rendering says what is wrong, and networks can still render."""
    data = {
        "empty": b"",
        "text": b"no picture at all" * 50,
        "cut": photograph[: len(photograph) // 2],
        "broken": photograph[:2] + b"\0" * 600 + photograph[602:],
        "black": b"\xff\xd8\xff\xd9",
    }[kind]
    path = write(data)
    synthesizer = Synthesizer(path)
    for _ in range(2):
        with pytest.raises(BundleError, match=r"a\.ourgan: member 'photograph\.jpg'"):
            synthesizer.render(90, 60)
    assert Synthesizer(path, detail="network").render(40, 30).shape == (30, 40, 3)


def test_a_member_damaged_on_the_disk(write: Write, photograph: bytes) -> None:
    path = write(photograph)
    data = bytearray(path.read_bytes())
    data[data.index(photograph[1000:1100])] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"damaged|CRC"):
        Synthesizer(path).render(90, 60)


def test_a_bundle_replaced_since_it_was_opened(write: Write, photograph: bytes) -> None:
    path = write(photograph)
    synthesizer = Synthesizer(path)
    write(jpeg(*PHOTOGRAPH))
    with pytest.raises(BundleError, match="bytes, expected"):
        synthesizer.render(90, 60)


def test_levels_are_kept_for_canvases_of_one_scale(photograph_path: Path) -> None:
    source = PhotographSource(Bundle.open(photograph_path), 1)
    plans = [plan_detail(PHOTOGRAPH, size) for size in ((80, 120), (70, 120), (80, 150))]
    first = source.levels(plans[0])
    assert isinstance(first, PhotographLevels)
    assert source.levels(plans[1]) is first
    assert source.levels(plans[2]) is not first
    assert source.levels(plans[0]) is not first


def test_levels_are_the_photograph_reduced(photograph: bytes) -> None:
    pixels = decode_photograph(photograph, "photograph").pixels
    plan = plan_detail(PHOTOGRAPH, PHOTOGRAPH)
    levels = make_levels(pixels, plan)
    assert [level.shape[:2] for level in levels] == list(plan.photograph)
    assert plan.photograph[-1] == (640, 992)
    for level in levels:
        expected = Image.fromarray(pixels).resize(level.shape[1::-1], Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(expected).astype(int) - level).mean() < 2
    for threads in (1, 3):
        for level, again in zip(levels, make_levels(pixels, plan, threads), strict=True):
            np.testing.assert_array_equal(again, level)
