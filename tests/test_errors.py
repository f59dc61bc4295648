"""Whatever is asked for and whatever bundles hold: an error of this package's own, and soon."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ourgan_sdk
from ourgan_sdk import (
    Box,
    BudgetError,
    Bundle,
    BundleError,
    Canvas,
    EngineError,
    EngineMemoryError,
    Layout,
    Manifest,
    NonFiniteError,
    OurganError,
    RenderTimeoutError,
    SizeError,
    Synthesizer,
    errors,
    write_bundle,
)
from ourgan_sdk._core import plan_grid
from tests.conftest import HALO

LARGEST = (1 << 31) - 1
SIZES = [(LARGEST, LARGEST), (LARGEST, 1), (1, LARGEST), (LARGEST, 100), (65536, 65536)]
MOMENT = 0.1
SOON = 30.0
"""Seconds, on a busy machine."""


def test_all_errors_are_the_packages_own() -> None:
    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, OurganError)
        assert getattr(ourgan_sdk, name) is error
        assert name in ourgan_sdk.__all__
    assert issubclass(BudgetError, ValueError)
    assert issubclass(NonFiniteError, ArithmeticError)
    assert issubclass(EngineMemoryError, EngineError)
    with pytest.raises(BudgetError, match="budget is 1, but"):
        plan_grid(100, 100, 8, budget=1, pixel_bytes=1)


def test_what_users_need_is_at_the_top() -> None:
    for name in ("Level", "Writer", "ArrayWriter", "open_writer", "Cancel", "set_limits", "to_thread"):
        assert name in ourgan_sdk.__all__


@pytest.fixture(scope="module", params=["networks", "photograph", "both"])
def synthesizer(request: pytest.FixtureRequest, bundle_path: Path, photograph_path: Path) -> Synthesizer:
    if request.param == "networks":
        return Synthesizer(bundle_path)
    detail = "photograph" if request.param == "photograph" else "network"
    return Synthesizer(photograph_path, detail=detail, structure="patches")


def parts(canvas: Canvas, folder: Path) -> Iterator[Callable[[], object]]:
    width, height = canvas.width, canvas.height
    corner = Box(height - 1, width - 1, height, width)
    yield lambda: canvas.read(timeout=MOMENT)
    yield lambda: canvas.read(corner, timeout=MOMENT)
    yield lambda: canvas.read(level=len(canvas.levels) - 1, timeout=MOMENT)
    yield lambda: canvas.thumbnail(64, timeout=MOMENT)
    yield lambda: canvas.thumbnail(LARGEST, timeout=MOMENT)
    yield lambda: canvas.save(folder / "a.npy", timeout=MOMENT)
    if len(canvas.levels) == len(canvas._renderer.first.sizes) and canvas._renderer.plan.passes == 0:
        yield lambda: canvas.sources(timeout=MOMENT)


@pytest.mark.parametrize("size", SIZES)
def test_huge_pictures(synthesizer: Synthesizer, size: tuple[int, int], tmp_path: Path) -> None:
    """What cannot be held is refused, what would take for ever ends with the timeout; small parts render."""
    width, height = size
    for extent, axes in itertools.product((None, 0.25, 1024), (None, "both")):
        started = time.monotonic()
        layout = Layout(symmetric=axes)  # type: ignore[arg-type]
        try:
            canvas = synthesizer.canvas(width, height, extent=extent, layout=layout)
        except (SizeError, BudgetError):
            continue
        for part in parts(canvas, tmp_path):
            with contextlib.suppress(SizeError, RenderTimeoutError):
                part()
        assert time.monotonic() - started < SOON
    with pytest.raises((SizeError, RenderTimeoutError)):
        synthesizer.preview(width=width, height=height, timeout=MOMENT)


def test_structures_too_large_to_be_made_whole(bundle_path: Path, photograph_path: Path) -> None:
    """In some kilobytes of memory per pixel: nobody has hundreds of gigabytes."""
    for synthesizer in (Synthesizer(bundle_path), Synthesizer(photograph_path, detail="network")):
        with pytest.raises(
            SizeError, match=r"needs a structure of \d+ x \d+ pixels, more than can be made whole"
        ):
            synthesizer.canvas(300_000, 200_000, extent=1024)
        with pytest.raises(SizeError, match=r"^a structure of 100000 x 100000 .* a smaller size"):
            synthesizer.preview(width=100_000, height=100_000)
    long = Synthesizer(photograph_path, structure="patches")
    with pytest.raises(SizeError, match=r"a structure of \d+ x 2 pixels, more than .* 65536 a side"):
        long.canvas(LARGEST, 100, extent=1024)


def test_members_that_are_not_there(photograph_path: Path) -> None:
    bundle = Bundle.open(photograph_path)
    members = {name: bundle.read(name) for name in bundle.manifest.files}
    for missing in members:
        held = {name: data for name, data in members.items() if name != missing}
        broken = replace(bundle, _members=held)
        with pytest.raises(BundleError, match=f"member '{missing}' is missing"):
            broken.read(missing)


@pytest.mark.parametrize("damage", ["empty", "cut", "no picture", "another size"])
def test_photographs_that_are_damaged(
    networks: dict[str, bytes], photograph_path: Path, tmp_path: Path, damage: str
) -> None:
    bundle = Bundle.open(photograph_path)
    whole = bundle.read("photograph.jpg")
    data = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "no picture": b"no picture" * 50,
        "another size": whole,
    }[damage]
    changed = bundle.manifest
    if damage == "another size":
        photo = changed.photo.model_copy(update={"width": 999})
        changed = changed.model_copy(update={"photo": photo})
    path = write_bundle(tmp_path / "a.ourgan", changed, networks | {"photograph.jpg": data}).path
    for detail, structure in (("photograph", "patches"), ("photograph", "network"), ("network", "patches")):
        canvas = Synthesizer(path, detail=detail, structure=structure).canvas(90, 60)  # type: ignore[arg-type]
        for use in (canvas.read, canvas.thumbnail):
            with pytest.raises(BundleError, match=r"a\.ourgan: member 'photograph\.jpg'"):
                use()


def test_halos_without_sense_are_refused_by_name(
    manifest: Manifest, networks: dict[str, bytes], tmp_path: Path
) -> None:
    upscalers = [one.model_copy(update={"halo": 4095}) for one in manifest.upscalers]
    changed = manifest.model_copy(update={"upscalers": upscalers})
    path = write_bundle(tmp_path / "a.ourgan", changed, networks).path
    assert HALO < 4095
    with pytest.raises(OurganError):
        Synthesizer(path, memory_limit=1 << 26).render(300, 200)


def test_arrays_of_a_level_are_refused_as_well(bundle_path: Path) -> None:
    canvas = Synthesizer(bundle_path, memory_limit=1 << 40).canvas(2_000_000, 2_000_000)
    for use in (lambda: np.asarray(canvas), lambda: canvas[:], lambda: canvas.levels[0][:, :]):
        with pytest.raises(SizeError, match="does not fit into memory"):
            use()
